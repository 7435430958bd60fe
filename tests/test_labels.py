# SPDX-License-Identifier: BSD-3-Clause
"""Labels to codes."""

from datetime import date

import numpy as np
import pytest
import scipy.sparse

from fashioncnn._inputs.labels import as_labels, encode_known_labels, encode_labels


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
    known = encode_known_labels(np.array(labels, dtype=object), classes, "y_val")
    assert known.tolist() == [1, 0, 1]


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


def test_a_list_is_no_text_because_of_one_text():
    assert as_labels(["a", 1, np.nan]).tolist()[:2] == ["a", 1]
    assert as_labels(["a", "b"]).dtype.kind == "U"


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="NumPy 2 has this dtype")
def test_texts_of_variable_width_become_objects():
    assert as_labels(np.array(["a", "b"], dtype="T")).tolist() == ["a", "b"]


@pytest.mark.parametrize("unit", ["D", "s", "ns"])
def test_dates_of_any_unit_are_the_same_labels(unit):
    days = [date(2020, 1, 1), date(2021, 1, 1)]
    classes, codes = encode_labels(np.array(days, f"M8[{unit}]"))
    assert codes.tolist() == [0, 1]
    assert encode_known_labels(days, classes, "y_val").tolist() == [0, 1]
    assert encode_known_labels(np.array(days, "M8[us]"), classes, "y_val").tolist() == [0, 1]
    with pytest.raises(ValueError, match="y_val has labels that y lacks"):
        encode_known_labels(np.array(["2020-01-01T00:00:01"], "M8[ns]"), classes, "y_val")
    with pytest.raises(ValueError, match="y_val has labels that y lacks"):
        encode_known_labels(np.array([18262]), classes, "y_val")  # the same in days since 1970


def test_codes_of_known_classes():
    classes = np.array(["a", "b", "c"])
    assert encode_known_labels(["c", "a"], classes, "y_val").tolist() == [2, 0]
    # numbers of another dtype are the same labels
    assert encode_known_labels(np.array([3.0, 1.0]), np.array([1, 3]), "y_val").tolist() == [1, 0]
    # a longer unknown string is not cut to a known one
    with pytest.raises(ValueError, match=r"y_val has labels that y lacks: \['abc'\]"):
        encode_known_labels(["abc", "a"], classes, "y_val")


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
        encode_known_labels(y, np.array([0.0, 1.0]), "y_val")
