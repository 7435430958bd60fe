# SPDX-License-Identifier: BSD-3-Clause
"""Labels to codes."""

from collections import deque
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from fashioncnn._inputs.labels import (
    check_classes,
    check_labels,
    encode_known_labels,
    encode_labels,
    labels_to_score,
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
    known = encode_known_labels(np.array(labels, dtype=object), classes, "y_val")
    assert known.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", "b", 1], "Got 'a' in row 0 and 1 in row 2"),
        ([1, "a", 2], "Got 1 in row 0 and 'a' in row 1"),
        ([1, 2, Decimal(3), 4], "Got 1 in row 0 and Decimal in row 2"),
        ([1, {}], "Got 1 in row 0 and dict in row 1"),
        ([date(2020, 1, 1), 5], r"Got datetime.date\(2020, 1, 1\) in row 0 and 5 in row 1"),
        ([datetime(2020, 1, 1), date(2020, 1, 1)], r"row 0 and datetime.date\(.* in row 1"),
        (
            [datetime(2020, 1, 1), datetime(2020, 1, 1, tzinfo=UTC)],
            r"0\) in row 0 and datetime in row 1",
        ),
        ([0.5, 2**53 + 1], r"Got 0.5 in row 0 and 9007199254740993 in row 1"),
        ([{}, 1], "Got dict in row 0"),
        ([1, 10**5000], "Got 1 in row 0 and int in row 1"),  # which has too many digits to show
    ],
)
def test_labels_of_several_kinds_are_refused(labels, message):
    with pytest.raises(ValueError, match=r"Unknown label type.* all dates, or .*" + message):
        encode_labels(np.array(labels, dtype=object))


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT, np.datetime64("NaT")], ids=str)
@pytest.mark.parametrize("others", [["a", "b"], [1, 2], [date(2020, 1, 1)] * 2], ids=str)
def test_missing_labels_are_told_by_their_row(missing, others):
    message = "contains NaN: row 1 is .*, a missing label. Leave out what has no label"
    for y in ([others[0], missing, others[1]], np.array([others[0], missing], dtype=object)):
        with pytest.raises(ValueError, match=message):
            check_labels(y)


@pytest.mark.parametrize(
    "labels",
    [
        [b"a", "b"],
        ["a", np.bytes_("b")],
        [["a"], [b"b"]],
        [bytearray(b"a"), bytearray(b"b")],
        deque([b"a", "b"]),
        np.array([np.bytes_("a"), "b"], dtype=object),
        np.array(["a", b"b"], dtype=object),
        np.array(["a", "b"], "S"),
        pd.Series(["a", b"b"]),
    ],
    ids=repr,
)
def test_bytes_are_refused_whatever_holds_them(labels):
    with pytest.raises(TypeError, match="represented as bytes is not supported in y_val"):
        check_labels(labels, "y_val")


@pytest.mark.parametrize("dtype", [np.float64, object])
@pytest.mark.parametrize(("number", "shown"), [(0.5, "0.5"), (1e300, "1e"), (2.0**63, "9.2")])
def test_numbers_that_are_no_integers_are_continuous(dtype, number, shown):
    y = np.array([0.0, number], dtype)
    for call in (
        lambda: encode_labels(y),
        lambda: encode_known_labels(y, np.array([0.0, 1.0]), "y"),
        lambda: labels_to_score(y, np.array([0.0, 1.0])),
        lambda: check_classes(y, None),
    ):
        message = f"Unknown label type: continuous.* must be integers of .* Got {shown}.* in row 1"
        with pytest.raises(ValueError, match=message):
            call()
    assert check_labels(np.array([2.0**53, 2.0**60], dtype)).tolist() == [2.0**53, 2.0**60]


@pytest.mark.parametrize(
    ("y", "hint"),
    [
        (np.eye(3), r" It is one-hot encoded; .*np\.asarray\(y\)\.argmax\(axis=1\)\.$"),
        (np.eye(3, dtype=bool), r" It is one-hot encoded; "),
        (np.array([[0, 1, 1], [1, 0, 0]]), r"instead\. Pass one label per image\.$"),
        (np.array([[0, 2], [1, 0]]), r"instead\. Pass one label per image\.$"),
        (np.array([["a", "b"]] * 2), r"instead\. Pass one label per image\.$"),
        (np.zeros((3, 0)), r"instead\. Pass one label per image\.$"),
        ([[0, 1, 1, 0]], r"\(1, 4\) instead\. If it is one row of labels, pass np\.ravel\(y\)\.$"),
    ],
)
def test_the_remedy_of_tables_of_labels_depends_on_what_they_are(y, hint):
    with pytest.raises(ValueError, match=f"y should be a 1d array.*{hint}"):
        check_labels(y)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="at least 2 classes in y; got 1 class"):
        encode_labels(np.zeros(5))


def test_regression_targets_are_refused():
    with pytest.raises(ValueError, match="continuous"):
        encode_labels(np.array([0.5, 1.5, 2.5]))


def test_a_list_is_no_text_because_of_one_text():
    with pytest.raises(ValueError, match="Got 'a' in row 0 and 1 in row 1"):
        check_labels(["a", 1])
    with pytest.raises(ValueError, match="contains NaN: row 2 is nan"):
        check_labels(["a", 1, np.nan])
    assert check_labels(["a", "b"]).dtype.kind == "U"


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="NumPy 2 has this dtype")
def test_texts_of_variable_width_become_objects():
    assert check_labels(np.array(["a", "b"], dtype="T")).tolist() == ["a", "b"]


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


class Garment(str, Enum):  # noqa: UP042 - its `str` is another text, unlike that of StrEnum
    """Labels that are texts, with names of their own."""

    BOOT, BAG = "Ankle boot", "bag"


@pytest.mark.parametrize("container", [list, tuple, lambda y: np.array(y, object), pd.Series])
def test_members_of_an_enumeration_are_the_texts_that_they_equal(container):
    classes, codes = encode_labels(check_labels(container([Garment.BOOT, Garment.BAG])))
    assert classes.tolist() == ["Ankle boot", "bag"]
    assert codes.tolist() == [0, 1]
