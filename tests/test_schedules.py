# SPDX-License-Identifier: BSD-3-Clause
"""Learning rates: the known curves, step by step."""

from typing import get_args

import keras
import numpy as np
import pytest

from fashioncnn._network.schedules import Schedule, learning_rates


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
    values = rates("one_cycle", 1010)  # each step has the rate of its middle
    assert values.argmax() in (302, 303)
    assert (np.diff(values[:303]) > 0).all()
    assert (np.diff(values[303:]) < 0).all()
    # a 25th of the peak, half of the way up, the peak, half of the way down, nearly zero
    places, expected = [0, 151, 303, 656, 1009], [0.02, 0.26, 0.5, 0.250001, 2e-6]
    np.testing.assert_allclose(values[places], expected, rtol=0.01, atol=1e-6)


def test_one_cycle_of_few_steps_has_rates_near_the_peak():
    np.testing.assert_allclose(rates("one_cycle", 1), [0.5 * 0.811745], rtol=1e-5)
    np.testing.assert_allclose(rates("one_cycle", 2), [0.5 * 0.935699, 0.5 * 0.283059], rtol=1e-5)


@pytest.mark.parametrize("schedule", get_args(Schedule))
@pytest.mark.parametrize("n_steps", [1, 2, 3, 7])
def test_short_trainings_have_rates_too(schedule, n_steps):
    values = rates(schedule, n_steps)
    assert values.shape == (n_steps,)
    assert (values > 0).all()
    assert (values <= 0.5).all()


@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_parts_are_parts_of_the_whole(schedule):
    whole = rates(schedule, 10)
    np.testing.assert_array_equal(learning_rates(schedule, 0.5, np.arange(4, 9), 10), whole[4:9])
