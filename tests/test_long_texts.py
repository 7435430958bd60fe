# SPDX-License-Identifier: BSD-3-Clause
"""A long text in a list is refused, or is a label, without an array as wide as it."""

import tracemalloc

import numpy as np
import pytest

from fashioncnn._inputs.arrays import to_array
from fashioncnn._inputs.labels import check_classes, check_labels, encode_known_labels

LONG = "x" * 1_000_000
MOST = 20_000_000  # bytes; an array of fixed width would take 4 million for each of its values


@pytest.fixture
def little_memory():
    """Demand that a test allocates little."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MOST


def in_pictures(value):
    """Give lists of pictures of which one pixel, not the first, is the value."""
    pictures = np.zeros((50, 6, 6), int).tolist()
    pictures[20][3][4] = value
    return pictures


BAD_IMAGES = {
    "everywhere": ([[[LONG] * 28] * 28] * 10, "str"),
    "text": (in_pictures(LONG), "str"),
    "text of NumPy": (in_pictures(np.str_(LONG)), "str"),
    "bytes": (in_pictures(LONG.encode()), "bytes"),
    "bytes of NumPy": (in_pictures(np.bytes_(LONG.encode())), "bytes"),
    "flat rows": ([[0] * 36] * 49 + [[0.5] * 35 + [LONG]], "str"),
    "tuples": ([((0,) * 6,) * 6] * 49 + [((0,) * 6,) * 5 + ((0, 1, 2, 3, 4, LONG),)], "str"),
    "numbers of NumPy": ([[np.uint8(200)] * 36] * 49 + [[np.float32(0)] * 35 + [LONG]], "str"),
    "colour": ([[[[0, 0, 0]] * 4] * 3] * 49 + [[[[0, 0, 0]] * 3 + [[0, 0, LONG]]] * 3], "str"),
}


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize(("X", "kind"), BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_images_are_refused(images, refused, X, kind):
    y, message = images[1][: len(X)], f"{{}} has values of type {kind}_?; pass an array of numbers"

    def is_refused(call, name="X", states=("unfitted", "fitted")):
        refused(call, ValueError, f"^{message.format(name)}", states)

    is_refused(lambda clf: clf.fit(X, y))
    is_refused(lambda clf: clf.partial_fit(X, y, classes=images[1]))
    is_refused(lambda clf: clf.fit(*images, X_val=X, y_val=y), "X_val")
    is_refused(lambda clf: clf.predict(X), states=["fitted"])
    is_refused(lambda clf: clf.predict_proba(X), states=["fitted"])
    is_refused(lambda clf: clf.score(X, y), states=["fitted"])


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("value", [LONG, LONG.encode()], ids=["text", "bytes"])
def test_weights_are_refused(images, refused, value):
    weights = [1.0] * 89 + [value]
    message = f"^sample_weight has values of type {type(value).__name__}; pass an array of numbers"
    refused(lambda clf: clf.fit(*images, sample_weight=weights), ValueError, message)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("column", [False, True], ids=["row", "column"])
def test_long_labels_of_a_list_stay_objects(column):
    y = ["a", "b"] * 45 + [LONG]
    labels = check_labels([[label] for label in y] if column else y, warn=False)
    assert labels.dtype == object
    assert labels.tolist() == y
    assert check_classes(y, None).tolist() == ["a", "b", LONG]
    known = np.array(["a", "b", LONG], object)
    assert encode_known_labels(y[-3:], known, "y").tolist() == [0, 1, 2]


@pytest.mark.parametrize(("length", "dtype"), [(256, "<U256"), (257, object)])
def test_labels_of_a_list_have_a_width_where_they_are_short(length, dtype):
    y = ["a", "b" * length]
    for labels in (y, tuple(y), [np.str_(label) for label in y], [["a"], ["b" * length]]):
        assert check_labels(labels, warn=False).dtype == dtype
        assert check_labels(labels, warn=False).tolist() == y
    assert check_labels(np.array(y)).dtype == np.array(y).dtype  # an array is as the user made it
    assert check_labels(np.array(y, object)).dtype == object


def test_a_classifier_of_long_labels_learns_and_is_saved(images, small, tmp_path):
    X, y = images
    names = {"left": "left" * 100, "right": "right", "up": "up"}
    clf = small(epochs=3).fit(X, [names[label] for label in y])
    same = small(epochs=3).fit(X, y)
    assert clf.predict(X).dtype == object
    assert clf.predict(X).tolist() == [names[label] for label in same.predict(X)]
    clf.save(tmp_path / "model")
    loaded = type(clf).load(tmp_path / "model")
    assert loaded.predict(X).tolist() == clf.predict(X).tolist()
    pieces = small().partial_fit(X, [names[label] for label in y], classes=list(names.values()))
    assert pieces.classes_.dtype == object


@pytest.mark.usefixtures("little_memory")
def test_messages_show_the_beginning_of_a_long_label(fitted, images):
    X, y = images
    calls = {
        "Got 1 in row 0 and 'xxx": lambda: check_labels([1, LONG]),
        "y has 'xxx": lambda: small_integers(fitted).score(X, [LONG] * 90),
        "classes not in": lambda: fitted.__copy__().partial_fit(X, [LONG] * 90),
        "not the same as on last call": lambda: fitted.__copy__().partial_fit(X, y, [LONG, "a"]),
    }
    for message, call in calls.items():
        with pytest.raises(ValueError, match=message) as caught:
            call()
        assert len(str(caught.value)) < 1000, message


def small_integers(clf):
    """Give a copy whose classes are numbers."""
    copied = clf.__copy__()
    copied.classes_ = np.arange(3)
    return copied


NUMBERS = {
    "ints": [[1, 2], [3, 4]],
    "floats": [[0.5, 2], [3, np.inf]],
    "bools": [[True, False]],
    "large": [[2**70, 1], [1, 1]],
    "too large to add": [[2**2000, 1.5]],
    "overflow": [[0, np.uint8(200), np.uint8(200)], [0, 1, 2]],
    "infinite": [[1.0, np.float32(3e38), np.float32(3e38)]],
    "NumPy": [[np.uint8(200)] * 3],
    "mixed": [[1, np.float32(0.5), True]],
    "arrays": [[np.zeros(2), np.ones(2)]],
    "number and arrays": [[0, np.array(7)], [1, 2]],
    "empty": [[]],
    "nothing": [],
}


@pytest.mark.parametrize("items", NUMBERS.values(), ids=NUMBERS)
def test_numbers_in_lists_become_what_numpy_makes_of_them(items):
    array, expected = to_array(items, "X", "an array"), np.asarray(items)
    assert array.dtype == expected.dtype
    np.testing.assert_array_equal(array, expected)


def test_what_lies_behind_a_number_is_looked_at():
    masked = np.ma.masked_equal([1, 2], 2)
    for items in ([[1, 2], [3, masked[1]]], [[[0, 0], [0, 0]], [[0, 0], masked]]):
        with pytest.raises(ValueError, match=r"^X\[1\]\[1\] has masked values"):
            to_array(items, "X", "an array")
