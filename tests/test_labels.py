# SPDX-License-Identifier: BSD-3-Clause
"""Labels to codes."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from fashioncnn._labels import codes_of, encode_labels, refuse_one_hot


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["b", "a", "b"]),
        np.array(["b", "a", "b"], dtype=object),
        np.array([True, False, True]),
        np.array([3, -7, 3]),
        np.array([2**63 + 5, 2**63 + 1, 2**63 + 5], dtype=np.uint64),
        np.array([2**62, 0, 2**62]),
        np.array([1.0, 0.0, 1.0]),
    ],
    ids=lambda labels: labels.dtype.name,
)
def test_labels_and_codes_are_one(labels):
    classes, codes = encode_labels(labels)
    assert classes.dtype == labels.dtype
    assert codes.dtype == np.int32
    assert codes.tolist() == [1, 0, 1]
    np.testing.assert_array_equal(classes[codes], labels)


@pytest.mark.parametrize("labels", [[3, -7, 3], [True, False, True], [1.0, 0.0, 1.0]])
def test_numbers_in_objects_are_numbers(labels):
    classes, codes = encode_labels(np.array(labels, dtype=object))
    assert classes.dtype == np.array(labels).dtype
    assert codes.tolist() == [1, 0, 1]
    assert codes_of(np.array(labels, dtype=object), classes, "y_val").tolist() == [1, 0, 1]


@pytest.mark.parametrize("labels", [["a", None, "b"], [None, "a", "b"], ["a", "b", 1], [1, "a", 2]])
def test_labels_of_several_kinds_are_refused(labels):
    with pytest.raises(ValueError, match=r"Unknown label type.*Got .* in row 0 and .* in row [12]"):
        encode_labels(np.array(labels, dtype=object))


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="at least 2 classes in y; got 1 class"):
        encode_labels(np.zeros(5))


def test_regression_targets_are_refused():
    with pytest.raises(ValueError, match="continuous"):
        encode_labels(np.array([0.5, 1.5, 2.5]))


@pytest.mark.parametrize(
    "y", [np.eye(3), [[1, 0], [0, 1]], pd.DataFrame(np.eye(3)), [(0, 1, 1), (1, 0, 0)]]
)
def test_one_hot_labels_are_refused_with_the_remedy(y):
    with pytest.raises(ValueError, match=r"y should be a 1d array.*y\.argmax\(axis=1\)"):
        refuse_one_hot(y)


@pytest.mark.parametrize(
    "y", [None, [0, 1], np.zeros((3, 1)), np.zeros(3), ["a", "b"], scipy.sparse.csr_array((3, 2))]
)
def test_other_labels_are_not_one_hot(y):
    refuse_one_hot(y)


def test_codes_of_known_classes():
    classes = np.array(["a", "b", "c"])
    assert codes_of(["c", "a"], classes, "y_val").tolist() == [2, 0]
    # numbers of another dtype are the same labels
    assert codes_of(np.array([3.0, 1.0]), np.array([1, 3]), "y_val").tolist() == [1, 0]
    # a longer unknown string is not cut to a known one
    with pytest.raises(ValueError, match=r"y_val has labels that y lacks: \['abc'\]"):
        codes_of(["abc", "a"], classes, "y_val")


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        ([1.0, np.nan], ValueError, "Input y_val contains NaN"),
        ([1.0, np.inf], ValueError, "Input y_val contains infinity"),
        (scipy.sparse.csr_array((2, 1)), TypeError, "Sparse data was passed for y_val"),
        (np.array(["a", 1], dtype=object), ValueError, "labels in y_val must be all strings"),
    ],
)
def test_bad_labels_of_validation_data_are_named(y, error, message):
    with pytest.raises(error, match=message):
        codes_of(y, np.array([0.0, 1.0]), "y_val")
