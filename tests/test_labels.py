# SPDX-License-Identifier: BSD-3-Clause
"""Labels to codes, and the weights of classes and samples."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.utils import compute_class_weight

from fashioncnn._labels import (
    class_weights,
    codes_of,
    combine_weights,
    encode_labels,
    refuse_one_hot,
    sample_weights,
    scale_to_mean_one,
)


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


def test_class_weights():
    y = np.array(["a"] * 6 + ["b"] * 3 + ["c"])
    classes, codes = encode_labels(y)
    assert class_weights(None, classes, codes).tolist() == [1, 1, 1]
    for dtype in (float, np.float16, np.float32):
        weights = {"a": dtype(2), "c": dtype(0.5)}
        assert class_weights(weights, classes, codes).tolist() == [2, 1, 0.5]
    np.testing.assert_allclose(
        class_weights("balanced", classes, codes),
        compute_class_weight("balanced", classes=classes, y=y),
    )
    with pytest.warns(UserWarning, match=r"labels that y lacks: \['z'\]"):
        assert class_weights({"z": 9}, classes, codes).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "weight", [-1, np.nan, np.inf, np.float32("inf"), 10**400, "a", "2", [1, 2], None]
)
def test_class_weights_are_finite_numbers_and_not_negative(weight):
    with pytest.raises(ValueError, match="class_weight must be finite numbers and not negative"):
        class_weights({0: weight}, np.array([0, 1]), np.array([0, 1]))


X = np.zeros((4, 2))


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (None, [1, 1, 1, 1]),
        (2, [2, 2, 2, 2]),
        ([1, 2, 3, 0], [1, 2, 3, 0]),
        (pd.Series([1, 2, 3, 4], index=[7, 8, 9, 1]), [1, 2, 3, 4]),
        (np.array([0, 0, 0, 1], bool), [0, 0, 0, 1]),
    ],
    ids=["None", "scalar", "list", "Series", "bool"],
)
def test_sample_weights(weights, expected):
    assert sample_weights(weights, X).tolist() == expected


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 2, 3], r"sample_weight\.shape == \(3,\), expected \(4,\)!"),
        (np.ones((4, 1)), "Sample weights must be 1D array or scalar"),
        ([1, -1, 1, 1], "Negative values in data passed to `sample_weight`"),
        ([0, 0, 0, 0], "must contain at least one non-zero number"),
        ([1, np.nan, 1, 1], "Input sample_weight contains NaN"),
        ([1, np.inf, 1, 1], "Input sample_weight contains infinity"),
        (["a", "b", "c", "d"], "could not convert string to float"),
        (np.nan, "Input sample_weight contains NaN"),
        (np.inf, "Input sample_weight contains NaN or infinity"),
        ([10**400, 1, 1, 1], "Input sample_weight contains a value too large"),
    ],
)
def test_bad_sample_weights(weights, message):
    with pytest.raises(ValueError, match=message):
        sample_weights(weights, X)


@pytest.mark.parametrize("weights", [[1, 2, 3], [1, -1, 1, 1], [1, np.nan, 1, 1], np.inf])
def test_weights_of_validation_data_are_named(weights):
    with pytest.raises(ValueError, match="sample_weight_val"):
        sample_weights(weights, X, "sample_weight_val")


def test_weights_multiply_without_overflow():
    with np.errstate(all="raise"):
        product = combine_weights(np.array([1e308, 5e307, 0]), np.array([1e300, 2e300, 1e300]))
    np.testing.assert_allclose(product, [0.5, 0.5, 0])
    assert combine_weights(np.zeros(2), np.ones(2)).tolist() == [0, 0]


def test_weights_are_scaled_to_mean_one():
    weights = scale_to_mean_one(np.array([1.0, 2.0, 0.0, 5.0]), "training part")
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, [0.5, 1, 0, 2.5])
    np.testing.assert_allclose(scale_to_mean_one(np.array([1e308] * 9), "training part"), 1)
    with pytest.raises(ValueError, match="weights of the validation part are zero"):
        scale_to_mean_one(np.zeros(3), "validation part")
