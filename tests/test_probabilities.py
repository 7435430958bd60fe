# SPDX-License-Identifier: BSD-3-Clause
"""Probabilities from logits."""

import numpy as np

from fashioncnn._network.probabilities import decision, log_softmax, softmax


def test_log_softmax_is_the_logarithm_of_softmax():
    logits = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    exponentials = np.exp(logits.astype(np.float64))
    expected = np.log(exponentials / exponentials.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(log_softmax(logits), expected, rtol=1e-12)


def test_extreme_logits_stay_finite():
    logits = np.array([[3e38, -3e38, 0], [0, 0, 0], [1e4, 1e4, -1e4]], np.float32)
    with np.errstate(all="raise"):
        assert np.isfinite(log_softmax(logits).astype(np.float32)).all()
        probabilities = softmax(logits)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, [[1, 0, 0], [1 / 3] * 3, [0.5, 0.5, 0]], rtol=1e-6)


def test_decision_of_two_classes_stays_within_float32():
    with np.errstate(all="raise", under="ignore"):
        decided = decision(np.array([[1, 3], [3e38, -3e38], [-3e38, 3e38]], np.float32))
    largest = np.finfo(np.float32).max
    np.testing.assert_array_equal(decided, np.array([2, -largest, largest], np.float32))
    assert decided.dtype == np.float32


def test_logits_are_not_changed():
    logits = np.ones((2, 3), np.float64)
    log_softmax(logits)
    assert (logits == 1).all()
