# SPDX-License-Identifier: BSD-3-Clause
"""The weights of classes and samples."""

import numpy as np
import pandas as pd
import pytest
from sklearn.utils import compute_class_weight

from fashioncnn._inputs.labels import encode_labels
from fashioncnn._inputs.weights import (
    class_weights,
    relative_product,
    sample_weights,
    scale_to_mean_one,
)


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
    with pytest.warns(UserWarning, match=r"lacks: \[0, 1, .*, 19, \.\.\. and 70 more\]\."):
        class_weights(dict.fromkeys(range(90), 2), classes, codes)


@pytest.mark.parametrize("weight", [np.timedelta64(1, "s"), True, "1", -1, np.nan, None])
def test_weights_of_classes_that_are_no_weights(weight):
    with pytest.raises(ValueError, match="weights in class_weight must be finite numbers"):
        class_weights({"a": weight}, np.array(["a", "b"]), np.array([0, 1]))


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


def test_weights_multiply_without_overflow():
    with np.errstate(all="raise"):
        product = relative_product(np.array([1e308, 5e307, 0]), np.array([1e300, 2e300, 1e300]))
    np.testing.assert_allclose(product, [0.5, 0.5, 0])
    assert relative_product(np.zeros(2), np.ones(2)).tolist() == [0, 0]


def test_weights_are_scaled_to_mean_one():
    weights = scale_to_mean_one(np.array([1.0, 2.0, 0.0, 5.0]), "training part")
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, [0.5, 1, 0, 2.5])
    np.testing.assert_allclose(scale_to_mean_one(np.array([1e308] * 9), "training part"), 1)
    with pytest.raises(ValueError, match="weights of the validation part are zero"):
        scale_to_mean_one(np.zeros(3), "validation part")
