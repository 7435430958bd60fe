# SPDX-License-Identifier: BSD-3-Clause
"""How an epoch is divided into batches, and how much each counts in moving means and variances."""

import numpy as np
import pytest

from fashioncnn._network.batches import MOMENTUM, Batches, batch_weights, divide_into_batches


def sizes_of(batches):
    firsts = [batches.first_row(step) for step in range(batches.n_steps + 1)]
    return np.diff(firsts).tolist()


@pytest.mark.parametrize(
    ("n_rows", "size", "without", "normalized"),
    [
        (1, 1, [1], [1]),
        (5, 16, [5], [5]),
        (1, 10**9, [1], [1]),
        (16, 16, [16], [16]),
        (17, 16, [16, 1], [17]),
        (18, 16, [16, 2], [18]),  # an eighth
        (19, 16, [16, 3], [16, 3]),
        (34, 16, [16, 16, 2], [16, 18]),
        (9, 8, [8, 1], [9]),
        (8, 7, [7, 1], [7, 1]),  # a seventh
    ],
)
def test_a_small_rest_joins_the_batch_before_it(n_rows, size, without, normalized):
    for is_normalized, sizes in ((False, without), (True, normalized)):
        batches = divide_into_batches(n_rows, size, is_normalized=is_normalized)
        assert sizes_of(batches) == sizes
        assert batches.n_steps == len(sizes)
        assert batches.size_of_last == sizes[-1]


@pytest.mark.parametrize("n_rows", [32, 35, 34, 17, 5])
def test_batches_count_in_proportion_over_all_epochs(n_rows):
    batches = divide_into_batches(n_rows, 16, is_normalized=True)
    shares = [size / min(16, n_rows) for size in sizes_of(batches)] * 3
    steps = np.arange(len(shares) + 1)
    np.testing.assert_allclose(batches.counts(steps), np.cumsum([0, *shares]))
    assert batches.counts(np.array(0)) == 0


def moving_average(values, start, weights):
    for value, weight in zip(values, weights, strict=True):
        start = start * (1 - weight) + value * weight
    return start


@pytest.mark.parametrize("shares", [[1] * 30, [1, 1, 0.3] * 10, [0.01], [1, 0.01]])
def test_moving_averages_are_those_of_keras_without_their_bias(shares):
    random = np.random.default_rng(0)
    means, variances = random.normal(5, 2, len(shares)), random.random(len(shares))
    counts = np.cumsum([0, *shares])
    weights, of_keras = batch_weights(counts), 1 - MOMENTUM ** np.array(shares)
    bias = MOMENTUM ** counts[-1]
    mean = moving_average(means, 0, of_keras) / (1 - bias)
    assert moving_average(means, 0, weights) == pytest.approx(mean, rel=1e-9)
    variance = (moving_average(variances, 1, of_keras) - bias) / (1 - bias)
    assert moving_average(variances, 1, weights) == pytest.approx(variance, rel=1e-9)


def test_the_first_batch_replaces_the_start_and_the_last_count_as_in_keras():
    weights = batch_weights(np.arange(10_001.0))
    assert weights[0] == 1
    assert weights[1] == pytest.approx(0.5, abs=0.01)
    assert weights[-1] == pytest.approx(1 - MOMENTUM, rel=1e-12)
    assert (np.diff(weights) < 1e-15).all()


def test_only_batch_normalisation_joins_rests():
    assert divide_into_batches(100, 32, is_normalized=False) == Batches(100, 32, 0)
    assert divide_into_batches(100, 32, is_normalized=True) == Batches(100, 32, 4)
