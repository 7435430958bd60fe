# SPDX-License-Identifier: BSD-3-Clause
"""Learning rates: the known curves, step by step."""

import keras
import numpy as np
import pytest

from fashioncnn._schedules import SCHEDULES, learning_rates


def rates(schedule, n_steps, peak=0.5):
    return learning_rates(schedule, peak, np.arange(n_steps), n_steps)


def test_constant():
    assert rates("constant", 3).tolist() == [0.5] * 3


def test_cosine_is_that_of_keras():
    keras_schedule = keras.optimizers.schedules.CosineDecay(0.5, 20)
    np.testing.assert_allclose(
        rates("cosine", 20), [keras_schedule(step) for step in range(20)], atol=1e-7
    )


def test_one_cycle_rises_to_the_peak_and_falls():
    values = rates("one_cycle", 100)
    assert values.argmax() == 30
    assert (np.diff(values[:31]) > 0).all()
    assert (np.diff(values[30:]) < 0).all()
    # a 25th of the peak, half of the way up, the peak, half of the way down, nearly zero
    np.testing.assert_allclose(values[[0, 15, 30, 65]], [0.02, 0.26, 0.5, 0.250001], rtol=1e-6)
    assert 0 < values[99] < 0.001


@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
@pytest.mark.parametrize("n_steps", [1, 2, 3, 7])
def test_short_trainings_have_rates_too(schedule, n_steps):
    values = rates(schedule, n_steps)
    assert values.shape == (n_steps,)
    assert (values > 0).all()
    assert (values <= 0.5).all()


@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
def test_parts_are_parts_of_the_whole(schedule):
    whole = rates(schedule, 10)
    np.testing.assert_array_equal(learning_rates(schedule, 0.5, np.arange(4, 9), 10), whole[4:9])
