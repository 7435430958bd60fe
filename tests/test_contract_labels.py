# SPDX-License-Identifier: BSD-3-Clause
"""What goes in as y, weights and validation data: one row for each kind, refused or taken.

Rows are made of the shared labels y, 90 of "left", "right" and "up". In a message <y> stands for
the name of the argument.
"""

import datetime
import decimal
import enum
import types

import dask.array
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import sklearn
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.utils.fixes import parse_version

from fashioncnn import FashionCNNClassifier, PixelRangeWarning

OLD = parse_version(sklearn.__version__) < parse_version("1.7")


def codes(y):
    return np.unique(y, return_inverse=True)[1]


def one_hot(y):
    return np.eye(3)[codes(y)]


def with_label(y, label):
    y = y.astype(object)
    y[40] = label
    return y


def torch_labels(y, **options):
    return pytest.importorskip("torch").tensor(codes(y).astype(np.float32), **options)


def objects_in_reverse(y):
    return np.ascontiguousarray(y[::-1]).astype(object)[::-1]


def days(y, unit="D"):
    return np.array(["2020-01-01", "2021-01-01", "2022-01-01"], f"M8[{unit}]")[codes(y)]


class OnlyArray:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


ONE_HOT = r"<y> should be a 1d array, got an array of shape \(90, 3\).*<y>\)\.argmax\(axis=1\)"
SCALAR = r"<y> should be a 1d array, got an array of shape \(\) instead"
NO_ARRAY = r"<y> must be an array of labels; got {}. Pass a list or an array: list\(<y>\) collects"
MIXED = "Unknown label type.*in <y> must be all strings, all numbers .*Got .* row 0 and {} in row"
MISSING = "Unknown label type: unknown. Input <y> contains NaN: row {} is None, a missing label"
UNKNOWN = "Unknown label type: unknown. The labels in <y> must be .* Got {} in row 0"
BYTES = "labels represented as bytes is not supported in <y>. Convert the labels to a string or"
NAN = "Input .*contains NaN"
CONTINUOUS = "Unknown label type: continuous. The numbers in <y> must be integers"

# The shape and kind of y, which are the same complaint wherever labels go in.
REFUSED = [
    ("one-hot", one_hot, ValueError, ONE_HOT),
    ("one-hot lists", lambda y: one_hot(y).tolist(), ValueError, ONE_HOT),
    ("one-hot list of arrays", lambda y: list(one_hot(y)), ValueError, ONE_HOT),
    ("one-hot frame", lambda y: pd.DataFrame(one_hot(y)), ValueError, ONE_HOT),
    ("one-hot polars", lambda y: pl.DataFrame(one_hot(y)), ValueError, ONE_HOT),
    ("one-hot pyarrow", lambda y: pa.Table.from_pandas(pd.DataFrame(one_hot(y))), ValueError,
     ONE_HOT),
    ("one-hot array-like", lambda y: OnlyArray(one_hot(y)), ValueError, ONE_HOT),
    ("list of tuples", lambda y: [(0, 1, 1)] * 90, ValueError,
     r"<y> should be a 1d array.*\(90, 3\) instead\. Pass one label per image\.$"),
    ("one row", lambda y: y[np.newaxis], ValueError, r"shape \(1, 90\).* pass np\.ravel\(<y>\)"),
    ("3-D", lambda y: np.zeros((90, 1, 1)), ValueError,
     r"<y> should be a 1d array, got an array of shape \(90, 1, 1\) instead\.$"),
    ("0-D", lambda y: np.array(1), ValueError, SCALAR),
    ("number", lambda y: 3, ValueError, SCALAR),
    ("text", lambda y: "left", ValueError, "<y> is a str; pass an array of labels"),
    ("dict", lambda y: {0: 1}, TypeError, NO_ARRAY.format("dict")),
    ("set", lambda y: set(y), TypeError, NO_ARRAY.format("set")),
    ("generator", lambda y: (label for label in y), TypeError, NO_ARRAY.format("generator")),
    ("rows of two lengths", lambda y: [[1], [1, 2]] * 45, ValueError, "inhomogeneous"),
    ("NaN", lambda y: np.where(y == "up", np.nan, 1), ValueError, NAN),
    ("continuous", lambda y: np.linspace(0, 1, 90), ValueError, CONTINUOUS),
    ("beyond 64 bits", lambda y: codes(y) * 1e300, ValueError, CONTINUOUS),
    ("inf", lambda y: np.where(y == "up", np.inf, 1), ValueError, "Input <y> contains infinity"),
    ("NaN among texts", lambda y: with_label(y, np.nan), ValueError, NAN),
    ("NaN in a list of texts", lambda y: [*y[1:], np.nan], ValueError, NAN),
    ("NA among texts", lambda y: with_label(y, pd.NA), ValueError, NAN),
    ("NA in a Series", lambda y: pd.Series([*y[1:], None], dtype="string"), ValueError, NAN),
    ("NA in a Series of numbers", lambda y: pd.Series([1, 2, None] * 30, dtype="Int64"),
     ValueError, NAN),
    ("no category", lambda y: pd.Categorical([*y[1:], None]), ValueError, NAN),
    ("NaT", lambda y: np.array(["2020", "NaT"] * 45, "M8[D]"), ValueError,
     "Input <y> contains NaN: row 1 is NaT"),
    ("masked", lambda y: np.ma.masked_equal(codes(y), 0), ValueError, "<y> has masked values"),
    ("None inside", lambda y: with_label(y, None), ValueError, MISSING.format(40)),
    ("None among numbers", lambda y: [1, None] * 45, ValueError, MISSING.format(1)),
    ("null of polars", lambda y: pl.Series([*y[1:], None]), ValueError, MISSING.format(89)),
    ("null of pyarrow", lambda y: pa.array([*y[1:], None]), ValueError, MISSING.format(89)),
    ("mixed", lambda y: with_label(y, 5), ValueError, MIXED.format("5")),
    ("mixed list", lambda y: [*y[1:], 5], ValueError, MIXED.format("5")),
    ("objects", lambda y: np.array([{}] * 90), ValueError, UNKNOWN.format("dict")),
    ("tuples", lambda y: pd.MultiIndex.from_arrays([codes(y)] * 2), ValueError,
     UNKNOWN.format("tuple")),
    ("Decimal", lambda y: [decimal.Decimal(code) for code in codes(y).tolist()], ValueError,
     UNKNOWN.format("Decimal")),
    ("Enum", lambda y: list(map(enum.Enum("Way", "a b c"), codes(y) + 1)), ValueError,
     UNKNOWN.format("Way")),
    ("huge int", lambda y: [10**400, 1] * 45, ValueError, UNKNOWN.format("int")),
    ("dates of a zone", lambda y: pd.Series(days(y)).dt.tz_localize("UTC"), ValueError,
     UNKNOWN.format("Timestamp")),
    ("nanoseconds", lambda y: [pd.Timestamp(1), pd.Timestamp(2)] * 45, ValueError,
     UNKNOWN.format("Timestamp")),
    ("dates and times", lambda y: [datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1)] * 45,
     ValueError, UNKNOWN.format("date")),
    ("records", lambda y: np.zeros(90, [("a", int)]), ValueError, "Unknown label type: <y> has"),
    ("bytes", lambda y: y.astype("S"), TypeError, BYTES),
    ("bytes among texts", lambda y: [b"up", *y[1:]], TypeError, BYTES),
    ("list of bytearrays", lambda y: [bytearray(b"u")] * 90, TypeError, BYTES),
    ("list of bytes", lambda y: y.astype("S").tolist(), TypeError, BYTES),
    ("byte objects", lambda y: with_label(y, b"up"), TypeError, BYTES),
    ("complex", lambda y: codes(y) * 1j, ValueError, "Complex data not supported"),
    ("sparse", lambda y: scipy.sparse.csr_array(one_hot(y)), TypeError, "Sparse data .* for <y>"),
    ("torch with gradient", lambda y: torch_labels(y, requires_grad=True), TypeError,
     r"<y> must be .*<y>\.detach\(\)\.cpu\(\)\.numpy\(\)"),
]  # fmt: skip

# What training alone complains about.
REFUSED_IN_FIT = [
    ("None", lambda y: None, ValueError, "requires y to be passed, but the target y is None"),
    ("short", lambda y: y[:-1], ValueError, r"inconsistent numbers of samples: \[90, 89\]"),
    ("long", lambda y: [*y, "up"], ValueError, r"inconsistent numbers of samples: \[90, 91\]"),
    ("continuous", lambda y: np.linspace(0, 1, 90), ValueError, "Unknown label type: continuous"),
    ("one class", lambda y: np.zeros(90), ValueError, "at least 2 classes in y; got 1 class"),
]

WAYS = {
    "fit": lambda clf, X, y, bad: clf.fit(X, bad),
    "partial_fit": lambda clf, X, y, bad: clf.partial_fit(X, bad, classes=np.unique(y)),
    "y_val": lambda clf, X, y, bad: clf.fit(X, y, X_val=X, y_val=bad),
    "score": lambda clf, X, y, bad: clf.score(X, bad),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("make", "error", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_labels_refused(images, refused, way, make, error, message):
    X, y = images
    message = message.replace("<y>", "y_val" if way == "y_val" else "y")
    bad, states = make(y), ["fitted"] if way == "score" else ["unfitted", "fitted"]
    refused(lambda clf: WAYS[way](clf, X, y, bad), error, message, states)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [row[1:] for row in REFUSED_IN_FIT],
    ids=[row[0] for row in REFUSED_IN_FIT],
)
def test_labels_refused_in_fit(images, refused, make, error, message):
    X, y = images
    bad = make(y)
    refused(lambda clf: clf.fit(X, bad), error, message)


@pytest.mark.parametrize(
    ("classes", "error", "message"),
    [
        (None, ValueError, "classes must be passed on the first call to partial_fit"),
        ("left", ValueError, "classes must be a sequence of labels.* Got str of 0 dimensions"),
        ({"left", "up"}, ValueError, "classes must be a sequence of labels.* Got set of 0 dimens"),
        ([["left", "up"]], ValueError, "classes must be a sequence .* Got list of 2 dimensions"),
        (
            [0.5, 1, 2],
            ValueError,
            "label type: continuous. The numbers in classes must be integers",
        ),
        ([0, 1, np.nan], ValueError, "Input classes contains NaN"),
        ([0, "1"], ValueError, "labels in classes must be all strings, all numbers"),
        ([0, None], ValueError, "Input classes contains NaN: row 1 is None, a missing label"),
        ([b"left", "up"], TypeError, "labels represented as bytes is not supported in classes"),
        ([0, 1e300], ValueError, "label type: continuous. The numbers in classes must be integers"),
        ([10**400, 1], ValueError, UNKNOWN.replace("<y>", "classes").format("int")),
        (["up"], ValueError, "at least 2 classes in classes; got 1 class"),
        (["up", "left"], ValueError, r"`y` has classes not in `self\.classes_`: \['right'\]"),
    ],
)
def test_classes_refused(images, refused, classes, error, message):
    refused(lambda clf: clf.partial_fit(*images, classes), error, message, ["unfitted"])


def test_one_image(images, refused):
    X, y = images
    refused(lambda clf: clf.fit(X[:1], y[:1]), ValueError, "at least 2 classes in y; got 1 class")


ACCEPTED = {
    "list": lambda y: y.tolist(),
    "tuple": lambda y: tuple(y),
    "objects": lambda y: y.astype(object),
    "Series": lambda y: pd.Series(y, index=range(90, 0, -1)),
    "Series of strings": lambda y: pd.Series(y, dtype="string"),
    "categories": lambda y: pd.Categorical(y, categories=["up", "none", "left", "right"]),
    "Series of categories": lambda y: pd.Series(y, dtype="category"),
    "Index": lambda y: pd.Index(y),
    "polars": lambda y: pl.Series(y),
    "categories of polars": lambda y: pl.Series(y, dtype=pl.Categorical),
    "pyarrow": lambda y: pa.array(y),
    "pyarrow in chunks": lambda y: pa.chunked_array([y[:40], y[40:]]),
    "pyarrow dictionary": lambda y: pa.array(y).dictionary_encode(),
    "__array__ only": lambda y: OnlyArray(y),
    "dask": lambda y: dask.array.from_array(y, chunks=20),
    "int8": lambda y: codes(y).astype(np.int8),
    "gaps": lambda y: np.array([3, 7, 70])[codes(y)],
    "2**62": lambda y: codes(y) + 2**62,
    "uint64": lambda y: codes(y).astype(np.uint64) + np.uint64(2**63),
    "big-endian": lambda y: codes(y).astype(">i4"),
    "integral floats": lambda y: codes(y).astype(float),
    "int objects": lambda y: codes(y).astype(object),
    "Int64": lambda y: pd.Series(codes(y), dtype="Int64"),
    "torch": torch_labels,
    "list of torch": lambda y: list(torch_labels(y)),
    "days": days,
    "nanoseconds": lambda y: days(y, "ns"),
    "list of dates": lambda y: days(y).tolist(),
    "Series of dates": lambda y: pd.Series(days(y)),
    "column": lambda y: y[:, np.newaxis],
    "frame of one column": lambda y: pd.DataFrame({"y": y}),
    "polars frame of one column": lambda y: pl.DataFrame({"y": y}),
}
# What comes back from objects: numbers and dates are taken for what they are.
AS_NUMBERS = {"int objects": np.int64, "Int64": np.int64, "list of dates": "M8[D]"}
COLUMNS = [kind for kind in ACCEPTED if "column" in kind]


@pytest.fixture(scope="module")
def expected(images):
    """Give the codes that are predicted with the plain labels."""
    return codes(fit_predict(*images, images[1]))


def fit_predict(X, y, labels, **val):
    return (
        FashionCNNClassifier((4,), (8,), epochs=1, random_state=0).fit(X, labels, **val).predict(X)
    )


@pytest.mark.parametrize("kind", [kind for kind in ACCEPTED if kind not in COLUMNS])
def test_labels_accepted(images, expected, kind):
    X, y = images
    labels = ACCEPTED[kind](y)
    clf = FashionCNNClassifier((4,), (8,), epochs=1, random_state=0)
    clf.fit(X, labels, X_val=X, y_val=labels)
    np.testing.assert_array_equal(codes(clf.predict(X)), expected)
    classes = np.unique(np.asarray(labels))
    if kind in AS_NUMBERS:
        classes = classes.astype(AS_NUMBERS[kind])
    assert clf.classes_.dtype == clf.predict(X).dtype == classes.dtype
    np.testing.assert_array_equal(clf.classes_, classes)


def test_labels_of_objects_are_left_as_they_are(images, small):
    X, y = images
    for labels in (y.astype(object), codes(y).astype(object), objects_in_reverse(y)):
        before, memory = labels.tolist(), list(map(id, labels))
        small(epochs=1).fit(X, labels, X_val=X, y_val=labels)
        small(epochs=1).partial_fit(X, labels, labels)
        assert (labels.tolist(), list(map(id, labels))) == (before, memory)


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_of_labels_warn(images, expected, kind):
    X, y = images
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed when a 1d array"):
        predicted = fit_predict(X, y, ACCEPTED[kind](y))
    np.testing.assert_array_equal(codes(predicted), expected)
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed") as caught:
        fit_predict(X, y, y, X_val=X, y_val=ACCEPTED[kind](y))
    assert "np.ravel(y_val)" in str(caught[0].message)


@pytest.mark.parametrize("way", ["fit", "partial_fit", "y_val"])
def test_columns_of_labels_warn_once_at_the_line_of_the_user(images, small, way):
    X, y = images
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed") as caught:
        WAYS[way](small(epochs=1), X, y, y[:, np.newaxis])
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("unit", ["D", "s", "ns"])
def test_dates_come_back_and_are_scored(images, small, unit):
    X, y = images
    clf = small().fit(X, days(y, unit))
    assert clf.predict(X).dtype == np.dtype(f"M8[{unit}]")
    for labels in (days(y, unit), days(y), days(y).tolist(), pd.Series(days(y, unit))):
        assert clf.score(X, labels) > 0.9
    with pytest.raises(ValueError, match=r"`y` has classes not in `self\.classes_`"):
        clf.partial_fit(X, days(y, unit) + 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (codes, r"Mix of label input types \(string and number\)"),
        (lambda y: y[:-1], r"inconsistent numbers of samples: \[90, 89\]"),
        (lambda y: None, "y is None; pass an array of labels"),
    ],
    ids=["numbers", "short", "None"],
)
def test_labels_refused_in_score(images, refused, make, message):
    X, y = images
    refused(lambda clf: clf.score(X, make(y)), ValueError, message, ["fitted"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda y: np.linspace(0, 1, 90), "Unknown label type: continuous"),
        (
            days,
            r"input types \(number and date\): y has (np|numpy)\.datetime64\(.*are \[0, 1",
        ),
        (lambda y: codes(y).astype("m8[D]"), r"Mix of label input types \(number and duration\)"),
        (lambda y: y, r"Mix of label input types \(string and number\)"),
    ],
    ids=["continuous", "dates", "durations", "strings"],
)
def test_labels_of_other_kinds_than_numbers_refused_in_score(images, small, refused, make, message):
    X, y = images
    clf = small(epochs=1).fit(X, codes(y))
    refused(lambda _: clf.score(X, make(y)), ValueError, message, ["fitted"])


@pytest.mark.parametrize("kind", [kind for kind in ACCEPTED if "date" not in kind])
def test_labels_accepted_in_score(images, small, kind):
    X, y = images
    labels = ACCEPTED[kind](y)
    clf = small(epochs=1).fit(X, np.asarray(labels).ravel())
    assert clf.score(X, labels) == np.mean(clf.predict(X) == np.asarray(labels).ravel())


@pytest.mark.skipif(OLD, reason="scikit-learn does not warn before 1.7")
def test_many_classes_warn(images, small):
    X, _ = images
    with pytest.warns(UserWarning, match="unique classes is greater than 50% of the number"):
        small(epochs=1).fit(X, np.arange(90))


REFUSED_WEIGHTS = [
    ("short", [1] * 89, ValueError, r"<w>\.shape == \(89,\), expected \(90,\)!"),
    ("2-D", np.ones((90, 1)), ValueError, "must be 1D array or scalar, got 2D array as <w>"),
    ("frame", pd.DataFrame({"w": np.ones(90)}), ValueError, "got 2D array as <w>"),
    ("3-D", np.ones((90, 1, 1)), ValueError, "got 3D array as <w>"),
    ("negative", [-1] + [1] * 89, ValueError, "Negative values in data passed to `<w>`"),
    ("negative number", -1, ValueError, "Negative values in data passed to `<w>`"),
    ("zero", np.zeros(90), ValueError, "^<w> must contain at least one non-zero number"),
    ("number 0", 0, ValueError, "^<w> must contain at least one non-zero number"),
    ("NaN", [np.nan] + [1] * 89, ValueError, "Input <w> contains NaN"),
    ("NaN number", np.nan, ValueError, "Input <w> contains NaN"),
    ("NA", [pd.NA] + [1] * 89, ValueError, "Input <w> contains NaN"),
    ("NA in a Series", pd.Series([None] + [1] * 89, dtype="Int64"), ValueError, "contains NaN"),
    ("None inside", [None] + [1] * 89, ValueError, "Input <w> contains NaN"),
    ("inf", [np.inf] + [1] * 89, ValueError, "Input <w> contains infinity"),
    ("inf and -inf", [np.inf, -np.inf] * 45, ValueError, "Input <w> contains infinity"),
    (
        "signalling NaN",
        np.full(90, 0x7FA00000, np.uint32).view(np.float32),
        ValueError,
        "Input <w> contains NaN",
    ),
    ("long double", np.full(90, np.longdouble("1e4000")), ValueError, "Input <w> contains inf"),
    ("huge int", [10**400] + [1] * 89, ValueError, "Input <w> contains a value too large"),
    ("texts", ["a"] * 90, ValueError, "<w> has values of type str; pass an array of numbers"),
    ("array of texts", np.full(90, "1"), ValueError, "<w> has dtype <U1; pass an array of num"),
    ("objects", np.array(["1"] * 90, object), ValueError, "<w> has values of type str; pass"),
    ("bytes", [b"1"] * 90, ValueError, "<w> has values of type bytes; pass an array of numbers"),
    ("name", "balanced", ValueError, "<w> is a str; pass an array of weights"),
    ("dates", np.ones(90, "M8[s]"), ValueError, r"<w> has dtype datetime64\[s\]; pass"),
    ("complex", np.full(90, 1j), ValueError, "Complex data not supported"),
    ("complex number", 2j, TypeError, "<w> must be an array of weights; got complex"),
    ("masked", np.ma.masked_equal(np.arange(90), 9), ValueError, "<w> has masked values"),
    ("lengths", [[1], [1, 2]] * 45, ValueError, "<w> does not become an array of weights: .*inhom"),
    ("dict", {"up": 2}, TypeError, "<w> must be an array of weights; got dict"),
    ("set", {1, 2}, TypeError, "<w> must be an array of weights; got set"),
    ("generator", (1 for _ in range(90)), TypeError, "<w> must be .*; got generator"),
    ("sparse", scipy.sparse.csr_array((90, 1)), TypeError, "Sparse data was passed for <w>"),
]


@pytest.mark.parametrize("name", ["fit", "partial_fit", "sample_weight_val", "score"])
@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [row[1:] for row in REFUSED_WEIGHTS],
    ids=[row[0] for row in REFUSED_WEIGHTS],
)
def test_weights_refused(images, refused, name, weights, error, message):
    X, y = images
    calls = {
        "fit": lambda clf: clf.fit(X, y, weights),
        "partial_fit": lambda clf: clf.partial_fit(X, y, np.unique(y), weights),
        "sample_weight_val": lambda clf: clf.fit(X, y, X_val=X, y_val=y, sample_weight_val=weights),
        "score": lambda clf: clf.score(X, y, weights),
    }
    argument = name if name == "sample_weight_val" else "sample_weight"
    states = ["fitted"] if name == "score" else ["unfitted", "fitted"]
    refused(calls[name], error, message.replace("<w>", argument), states)


def test_weights_of_torch_with_gradient_refused(images, refused):
    X, y = images
    weights = torch_labels(y, requires_grad=True)
    refused(lambda clf: clf.fit(X, y, weights), TypeError, r"sample_weight\.detach\(\)\.cpu\(\)")


@pytest.mark.parametrize(
    "make",
    [
        list,
        pd.Series,
        pl.Series,
        pa.array,
        torch_labels,
        OnlyArray,
        dask.array.from_array,
        lambda weights: pd.Series(weights, dtype="Float64"),
        lambda weights: weights.astype(object),
        lambda weights: weights.astype(np.float16),
        lambda weights: weights.astype(np.uint8),
    ],
)
def test_weights_accepted(images, small, make):
    X, y = images
    weights = codes(y) + 1.0
    given = make(weights) if make is not torch_labels else torch_labels(y) + 1
    expected = small(epochs=1).fit(X, y, weights).predict_proba(X)
    np.testing.assert_array_equal(small(epochs=1).fit(X, y, given).predict_proba(X), expected)


@pytest.mark.parametrize("number", [2, 2.5, True, np.float32(3), np.array(2.0)])
def test_one_weight_for_all(images, small, number):
    X, y = images
    expected = small(epochs=1).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(small(epochs=1).fit(X, y, number).predict_proba(X), expected)


LEFT_ONLY = {"left": 1, "right": 0, "up": 0}


def test_weights_that_leave_one_class_or_none(images, refused):
    X, y = images
    one, none = "positive weight.*; got 1 class", "positive weight.*; got 0 classes"
    refused(lambda clf: clf.fit(X, y, y == "up"), ValueError, one)
    refused(lambda clf: clf.fit(X, y), ValueError, one, class_weight=LEFT_ONLY)
    refused(lambda clf: clf.fit(X, y), ValueError, none, class_weight=dict.fromkeys(LEFT_ONLY, 0))
    refused(
        lambda clf: clf.partial_fit(X[y == "up"], y[y == "up"], np.unique(y)),
        ValueError,
        "All sample and class weights are zero. Give at least one row a positive weight",
        class_weight=LEFT_ONLY,
    )


BAD_CLASS_WEIGHT = "weights in class_weight must be finite numbers and not negative. Got"
NO_DICT = "'class_weight' parameter .* must be an instance of 'dict', a str among {'balanced'} or N"


@pytest.mark.parametrize("way", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        *(({"up": bad}, BAD_CLASS_WEIGHT) for bad in (-1, np.nan, np.inf, "1", None, True)),
        ({"up": 10**400}, BAD_CLASS_WEIGHT),
        ({"up": np.array([1, 2])}, BAD_CLASS_WEIGHT),
        ("foo", NO_DICT),
        ([1, 2, 3], NO_DICT),
        (types.MappingProxyType({"up": 2}), NO_DICT),
    ],
    ids=lambda value: type(value).__name__,
)
def test_class_weights_refused(images, refused, way, weights, message):
    X, y = images
    call = WAYS[way]
    refused(lambda clf: call(clf, X, y, y), ValueError, message, class_weight=weights)


def test_class_weights_of_labels_that_y_lacks_warn(images, small):
    X, y = images
    with pytest.warns(UserWarning, match=r"class_weight names labels that y lacks: \['down'\]"):
        given = small(epochs=1, class_weight={"up": 2, "down": 3}).fit(X, y)
    with pytest.warns(UserWarning, match=r"The classes are \['left', 'right', 'up'\]\.$"):
        small(epochs=1, class_weight={"down": 3}).partial_fit(X, y, np.unique(y))
    plain = small(epochs=1, class_weight={"up": 2, "left": 1, "right": 1}).fit(X, y)
    np.testing.assert_array_equal(given.predict_proba(X), plain.predict_proba(X))


@pytest.mark.parametrize("unit", ["D", "us", "ns"])
@pytest.mark.parametrize("key", [datetime.date, np.datetime64, pd.Timestamp, datetime.datetime])
def test_class_weights_of_dates(images, small, unit, key):
    X, y = images
    day = key("2022-01-01") if key in (np.datetime64, pd.Timestamp) else key(2022, 1, 1)
    given = small(epochs=1, class_weight={day: 3}).fit(X, days(y, unit))
    plain = small(epochs=1, class_weight={"up": 3}).fit(X, y)
    np.testing.assert_array_equal(given.predict_proba(X), plain.predict_proba(X))


@pytest.mark.parametrize(
    "key",
    [
        pd.Timestamp("2022-01-01 00:00:00.000000001"),
        pd.Timestamp("2022-01-01", tz="UTC"),
        pd.NaT,
        np.datetime64("2022-01-01T01"),
        np.datetime64("99999-01-01"),
        np.timedelta64(18993, "D"),  # the same number of days as 2022-01-01
        "2022-01-01",
    ],
)
@pytest.mark.parametrize("unit", ["D", "ns"])
def test_class_weights_of_dates_that_are_no_class_warn(images, small, unit, key):
    X, y = images
    with pytest.warns(UserWarning, match=r"class_weight names labels that y lacks: \["):
        given = small(epochs=1, class_weight={key: 3}).fit(X, days(y, unit))
    plain = small(epochs=1).fit(X, y)
    np.testing.assert_array_equal(given.predict_proba(X), plain.predict_proba(X))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda X, y: {"X_val": X}, "Pass X_val and y_val together, or neither"),
        (lambda X, y: {"y_val": y}, "Pass X_val and y_val together, or neither"),
        (lambda X, y: {"sample_weight_val": y}, "goes with X_val and y_val, which are None"),
        (
            lambda X, y: {"X_val": X, "y_val": y[1:]},
            "X_val and y_val have inconsistent .* 90 and 89",
        ),
        (
            lambda X, y: {"X_val": X[:, 1:], "y_val": y},
            r"X_val has images of shape \(5, 6, 1\), but",
        ),
        (
            lambda X, y: {"X_val": X[0], "y_val": y},
            r"X_val has 6 features.* To pass a single image, pass X_val\[None\]",
        ),
        (lambda X, y: {"X_val": X, "y_val": codes(y)}, "y_val has labels that y lacks.* of y are"),
        (
            lambda X, y: {"X_val": X, "y_val": np.char.add(y, "s")},
            r"y_val has labels that y lacks: \['lefts'",
        ),
    ],
)
def test_validation_refused(images, refused, make, message):
    X, y = images
    refused(lambda clf: clf.fit(X, y, **make(X, y)), ValueError, message)


@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "predict_log_proba", "decision_function", "score"]
)
@pytest.mark.parametrize("state", ["new", "failed", "cloned", "recipe"])
def test_order_of_calls(images, small, fitted, refused, method, state):
    X, y = images
    states = {"new": small, "failed": small, "cloned": lambda: clone(fitted)}
    clf = states.get(state, lambda: FashionCNNClassifier.from_recipe("article"))()
    if state == "failed":
        with pytest.raises(ValueError, match="NaN"):
            clf.fit(X * np.nan, y)
    arguments = (X, y) if method == "score" else (X,)
    message = "This FashionCNNClassifier instance is not fitted yet. Call 'fit' with appropriate"
    refused(lambda _: getattr(clf, method)(*arguments), NotFittedError, message, ["unfitted"])


def test_a_dark_piece_fixes_no_scale(images, small):
    X, y = images
    clf = small(scaling="unit").partial_fit((X > 200).astype(np.uint8), y, np.unique(y))
    with pytest.warns(PixelRangeWarning, match=r"within 0\.\.1\. Pass pixels on the same scale as"):
        assert clf.partial_fit(X, y).n_iter_ == 2
