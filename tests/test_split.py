# SPDX-License-Identifier: BSD-3-Clause
"""The held-out part: stratified, seeded, of the promised size."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fashioncnn._inputs.split import split_rows


def split(members, fraction, seed=0, n_without_weight=0):
    """Split rows of which `members[i]` belong to class i, in a fixed random order.

    In each class so many more rows have no weight.
    """
    random = np.random.default_rng(1)
    codes = random.permutation(np.repeat(np.arange(len(members)), members))
    weights = random.uniform(0.1, 9, size=len(codes))
    if n_without_weight:
        more = np.repeat(np.arange(len(members)), n_without_weight)
        codes, weights = np.append(codes, more), np.append(weights, np.zeros(len(more)))
    labels = np.arange(len(members)) * 10
    return codes, *split_rows(codes, weights, labels, fraction, seed)


def test_size_and_shares():
    codes, training, validation = split([500, 300, 200], 0.3)
    assert len(validation) == 300
    assert np.bincount(codes[validation]).tolist() == [150, 90, 60]
    assert len(training) == 700


def test_rare_classes_are_in_both_parts():
    for members, held_out in (([100, 2], [10, 1]), ([500, 3, 3, 3], [48, 1, 1, 1])):
        codes, _, validation = split(members, 0.1)
        assert np.bincount(codes[validation]).tolist() == held_out
    codes, training, validation = split([2] * 10 + [100], 0.5)
    assert np.bincount(codes[training]).tolist() == [1] * 10 + [50]
    assert np.bincount(codes[validation]).tolist() == [1] * 10 + [50]


@pytest.mark.parametrize(
    ("members", "fraction", "size"),
    [
        ([10, 10], 0.1, 2),
        ([10, 11], 0.1, 3),  # rounded up
        ([7, 7, 6], 0.1, 3),  # at least one row per class
        ([5, 5], 0.9, 5),  # at most half
        ([2, 2, 2, 2], 0.1, 4),
    ],
)
def test_size_rule(members, fraction, size):
    assert len(split(members, fraction)[2]) == size


def test_seed_decides():
    one, same, other = (split([50, 50], 0.2, seed)[2].tolist() for seed in (0, 0, 1))
    assert one == same
    assert one != other


def test_class_of_one_stays_in_training():
    with pytest.warns(UserWarning, match=r"one member only.*\[10, 30\]"):
        codes, training, _ = split([20, 1, 20, 1], 0.5)
    assert {1, 3} <= set(codes[training])


def test_labels_are_shown_as_they_are():
    classes = np.array(["2020-01-01", "2020-01-03"], "M8[ns]")
    with pytest.warns(UserWarning, match=r"one member only.*2020-01-03T"):
        split_rows(np.array([0, 0, 0, 1]), np.ones(4), classes, 0.5, 0)


WITH_WEIGHT = r"with a positive weight \(sample_weight times class_weight\)"


@pytest.mark.parametrize("n_without_weight", [0, 30])
def test_nothing_to_hold_out(n_without_weight):
    of_weight, and_weights = (
        (f" {WITH_WEIGHT}", " and positive weights") if n_without_weight else ("", "")
    )
    message = rf"nothing to hold out .* no class has more than one member{of_weight}\. Pass more "
    for members in ([1, 1, 1], [1, 1, 0] if n_without_weight else [1, 1]):
        with pytest.raises(ValueError, match=rf"{message}data{and_weights}, X_val and y_val, or"):
            split(members, 0.5, n_without_weight=n_without_weight)


def test_rows_without_weight_count_nowhere():
    members = [40, 1, 0, 9]
    message = rf"These classes have one member only {WITH_WEIGHT}, which stays .* \[10\]\. The"
    with pytest.warns(UserWarning, match=message):
        codes, training, validation = split(members, 0.3, n_without_weight=5)
    with pytest.warns(UserWarning, match="These classes have one member only, which stays"):
        _, _, same = split(members, 0.3)
    np.testing.assert_array_equal(validation, same)
    assert np.bincount(codes[validation], minlength=4).tolist() == [12, 0, 0, 3]
    assert sorted([*training, *validation]) == list(range(len(codes)))


@given(
    members=st.lists(st.integers(1, 40), min_size=2, max_size=8),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32 - 1),
)
def test_parts_are_disjoint_and_complete(members, fraction, seed):
    if max(members) == 1:
        members[0] = 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        codes, training, validation = split(members, fraction, seed)
    n, n_splittable = len(codes), sum(m for m in members if m > 1)
    assert sorted([*training, *validation]) == list(range(n))
    n_classes = sum(m > 1 for m in members)
    assert len(validation) == min(max(math.ceil(fraction * n), n_classes), n_splittable // 2)
    assert set(codes[training]) == set(range(len(members)))
    assert set(codes[validation]) == {code for code, m in enumerate(members) if m > 1}
