# SPDX-License-Identifier: BSD-3-Clause
"""The warning about pixels on another scale, and what it keeps of the training images."""

import tracemalloc
import warnings
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from fashioncnn import PixelRangeWarning, load_fashion_mnist_sample
from fashioncnn._network.pixel_range import (
    PixelRange,
    VariedRange,
    pixel_range,
    warn_of_other_range,
)


def array(dtype, *images):
    """Make images one pixel high, of as many pixels as there are values for each."""
    return np.array(images, dtype)[:, np.newaxis, :, np.newaxis]


def range_of(images):
    return pixel_range(images, images.dtype)


def warns(training, images):
    """Say whether images are on another scale than those of training, or than their range."""
    if not isinstance(training, PixelRange):
        training = range_of(training)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_other_range(images, images.dtype, training)
    assert {warning.category for warning in caught} <= {PixelRangeWarning}
    return bool(caught)


def singles(images):
    return np.split(images, len(images))


# --- The rule -------------------------------------------------------------------------------------


def test_many_values_beyond_training_by_more_than_its_width():
    training = array(np.float32, [0, 255])
    assert not warns(training, array(np.float32, [-255, 510]))
    assert warns(training, array(np.float32, [0, 511]))
    assert warns(training, array(np.float64, [-256, 255]))
    few = np.zeros((2, 10, 10, 1), np.float32)
    few[0, 0, 0] = 1e30
    assert not warns(training, few)
    few[1, 9, 9] = -1e30
    assert warns(training, few)


@pytest.mark.parametrize("dtype", ["u1", "i4", ">u2", "i8"])
def test_integers_of_the_dtype_of_training_that_went_beyond_one(dtype):
    for training in (array(dtype, [0, 2]), array(dtype, [1, 100])):
        assert not warns(training, array(dtype, [0, 120]))
        assert not warns(training, array(dtype, [0, 1]))
        assert warns(training, array(np.float32, [0, 1000]))
        assert warns(training, array("u4", [0, 1000]))
    assert warns(array(dtype, [0, 1]), array(dtype, [0, 120]))
    assert not warns(array(dtype, [0, 1]), array(dtype, [1, 2]))
    assert not warns(array(dtype, [0, 1]), array(dtype, [0, 0]))


def test_negative_integers_go_beyond_one():
    assert not warns(array(np.int8, [-90, 0]), array(np.int8, [0, 127]))


def test_byte_order_is_no_other_dtype():
    assert not warns(array(">u2", [0, 9]), array("<u2", [0, 1000]))


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "?"])
def test_images_darker_than_all_of_training_and_of_little_contrast(dtype):
    training = array(np.uint8, [0, 255], [0, 2], [7, 7])
    assert warns(training, array(dtype, [0, 1]))
    if dtype != "?":
        assert not warns(training, array(dtype, [0, 2]))
    deep = array(np.float32, [0, 255], [0, 100])
    assert warns(deep, array(np.float32, [50, 75], [60, 70]))
    assert not warns(deep, array(np.float32, [50, 75.5]))
    assert not warns(deep, array(np.float32, [50, 60], [90, 100]))


def test_images_without_the_low_values_of_training():
    training = array(np.float32, [-1, 1], [-0.5, 1])
    assert not warns(training, array(np.float32, [0, 1]))
    assert warns(training, array(np.float32, [0.25, 1]))
    assert warns(array(np.float32, [-1, 1]), array(np.float32, [0, 1]))
    assert not warns(array(np.float32, [-1, 1]), array(np.float32, [0, 1], [-0.5, 0]))


@pytest.mark.parametrize("value", [0, 1, 200])
def test_training_images_of_one_value_have_no_scale(value):
    for dtype in (np.uint8, np.float32):
        assert not warns(array(dtype, [value, value]), array(dtype, [0, 255]))


@pytest.mark.parametrize("value", [0, 1, 99, 255])
def test_blank_images_say_nothing_within_the_range(value):
    training = array(np.uint8, [0, 255], [9, 200])
    blank = array(np.float32, [value, value])
    assert not warns(training, blank)
    assert warns(training, np.concatenate([blank, array(np.float32, [0, 1])]))
    assert not warns(np.concatenate([blank, np.zeros_like(blank)]), array(np.float32, [0, value]))


def test_the_message_names_the_range_that_was_judged():
    pixels = array(np.float32, [0, 1], [255, 255])
    message = r"^X has values within 0\.\.1, but this model was trained on values within 0\.\.255\."
    with pytest.warns(PixelRangeWarning, match=message):
        warn_of_other_range(pixels, pixels.dtype, range_of(array(np.uint8, [0, 255])))


def test_what_is_kept_of_training():
    images = array(np.int16, [-3, 5], [0, 2], [7, 7])
    kept = PixelRange(-3, 7, VariedRange(-3, 0, 2, 5), "int16")
    assert range_of(images) == kept
    assert {type(value) for value in (*kept[:2], *range_of(images).varied)} <= {int, float}
    assert range_of(images[2:]) == PixelRange(7, 7, None, "int16")
    assert range_of(images.astype(np.float64)) == kept._replace(integer_dtype=None)
    # 0.1 and its neighbours are one value of float32, which is what the network sees.
    assert range_of(array(np.float64, [0.1, 0.1 + 1e-12])).varied is None


def test_pieces_of_several_dtypes_are_judged_like_floats():
    dark, bright = array(np.uint8, [0, 100], [0, 50]), array(np.uint8, [0, 255])
    union = range_of(dark).union(range_of(dark.astype(np.float32)))
    assert not warns(range_of(dark), bright // 255)
    assert warns(union, bright // 255)
    assert range_of(dark).union(range_of(bright)).integer_dtype == "uint8"


# --- What must not warn, and what must ------------------------------------------------------------


@st.composite
def image_sets(draw):
    """Draw images of any dtype, shape and contrast, some of which are all one value."""
    dtype = np.dtype(draw(st.sampled_from(["?", "u1", "i1", "u2", ">i4", "i8", "f2", "f4", "f8"])))
    shape = draw(st.sampled_from([(1, 1, 1), (1, 2, 1), (3, 3, 1), (2, 2, 3), (1, 500, 1)]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_images = draw(st.integers(1, 9))
    images = random.random((n_images, *shape))
    one_each = (n_images, 1, 1, 1)
    images *= random.choice([0, 1e-3, 0.1, 1], one_each)
    images += random.choice([0, 0, 0.3, 0.9, -1], one_each)
    images *= draw(st.sampled_from([1e-30, 1, 2, 127, 255, 3e4]))
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        images = images.clip(limits.min, limits.max)
    with np.errstate(all="ignore"):
        return images.astype(dtype)


@given(images=image_sets(), data=st.data())
def test_no_selection_of_the_training_images_warns(images, data):
    rows = data.draw(st.lists(st.integers(0, len(images) - 1), min_size=1, max_size=9))
    cut = data.draw(st.integers(0, len(images) - 1))
    parts = [part for part in (images[:cut], images[cut:]) if len(part)]
    training = reduce(PixelRange.union, map(range_of, parts))
    assert training == range_of(images)
    for dtype in (images.dtype, np.float32, np.float64):
        with np.errstate(under="ignore"):
            assert not warns(training, images[rows].astype(dtype))


# Scales of the same images.
SCALES = {
    "uint8": lambda X: X,
    "int64": lambda X: X.astype(np.int64),
    "0..255": lambda X: X.astype(np.float32),
    "uint16": lambda X: X.astype(np.uint16) * 257,
    "0..1": lambda X: X / 255,
    "-1..1": lambda X: X / np.float32(127.5) - 1,
    "standardised": lambda X: (X - 73.0) / 90.0,
}
SAME = {"uint8", "int64", "0..255"}
SMALL = {"0..1", "-1..1", "standardised"}  # not all can be told from each other


@given(
    seed=st.integers(0, 2**32 - 1),
    n_images=st.integers(1, 20),
    scales=st.tuples(*[st.sampled_from(list(SCALES))] * 2),
)
def test_images_on_another_scale_warn(seed, n_images, scales):
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (20, 8, 8, 1), np.uint8)
    images = images // random.integers(1, 4, (20, 1, 1, 1), np.uint8)
    images[:, 0, 0], images[0, 0, 1] = 0, 255
    training, other = (SCALES[scale](images) for scale in scales)
    is_same = set(scales) <= SAME or scales[0] == scales[1]
    if is_same or not set(scales) <= SMALL or scales == ("-1..1", "0..1"):
        assert warns(training, other[:n_images]) != is_same


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
def test_real_images_on_the_same_scale(dtype):
    training, test = (load_fashion_mnist_sample(part)[0][..., None] for part in ("train", "test"))
    kept = range_of(training.astype(dtype))
    for other in (np.uint8, np.uint16, np.int64, np.float32, np.float64):
        assert not warns(kept, test.astype(other))
        assert not warns(kept, (test // 2).astype(other))  # half as bright
    for images in (training, test):
        assert not any(warns(kept, image) for image in singles(images.astype(np.float32)))


@pytest.mark.parametrize("scaler", [None, StandardScaler(), MinMaxScaler()], ids=str)
def test_digits_by_pixel(scaler):
    X = load_digits().data
    training, test = X[:1200], X[1200:]
    if scaler:
        training, test = scaler.fit_transform(training), scaler.transform(test)
    kept, test = range_of(training.reshape(-1, 8, 8, 1)), test.reshape(-1, 8, 8, 1)
    assert not any(warns(kept, images) for images in [test, *np.split(test[:590], 59)])
    # One value of 64 is more than few: a digit may have it where no digit in training had ink.
    assert scaler or not any(warns(kept, image) for image in singles(test))


# --- How it is done -------------------------------------------------------------------------------


def test_integers_of_training_are_not_even_looked_at():
    warn_of_other_range(None, np.dtype(np.uint8), range_of(array(np.uint8, [0, 9])))


@pytest.mark.parametrize("order", ["C", "F"])
def test_large_arrays_are_looked_at_in_blocks(order, monkeypatch):
    images = np.asarray(np.random.default_rng(0).random((100, 30, 30, 3)), order=order)
    images[40:60] = images[40:60].mean(axis=(1, 2, 3), keepdims=True)
    expected = range_of(images)
    monkeypatch.setattr("fashioncnn._network.data._BLOCK", 5000)
    assert range_of(images) == expected
    training = range_of(array(np.float32, [0, 0.1], [0, 0.2]))
    tracemalloc.start()
    try:
        assert warns(training, images)
        assert tracemalloc.get_traced_memory()[1] < images.nbytes / 4
    finally:
        tracemalloc.stop()


def test_values_near_the_largest_of_float32():
    training = array(np.float32, [-3e38, 3e38])
    assert not warns(training, training)
    assert warns(array(np.float32, [-1e38, 1e38]), array(np.float32, [-1e38, 3.1e38]))
    assert warns(array(np.float32, [0, 3e38]), array(np.float32, [-3.2e38, 3e38]))


# --- What the messages say ------------------------------------------------------------------------


def test_images_to_predict(images, fitted):
    X, _ = images
    message = (
        r"^X has values within 0\.\.61423, but this model was trained on values within 0\.\.239\. "
        "Pass pixels on the same scale as in training; the predictions are probably wrong.$"
    )
    with pytest.warns(PixelRangeWarning, match=message):
        fitted.predict(X.astype(np.uint16) * 257)


def test_images_to_validate_on(images, small):
    X, y = images
    scaled = X / np.float32(255)
    advice = r"on the same scale as X; .* Pipeline.* transform_input=\['X_val'\].* metadata routing"
    standardised = (X - X.mean(axis=0)) / X.std(axis=0)
    for training, other in ((X, scaled), (scaled, X), (standardised, X)):
        with pytest.warns(PixelRangeWarning, match=f"^X_val has values within.*{advice}"):
            small(epochs=1).fit(training, y, X_val=other, y_val=y)


def test_more_images_to_train_on(images, small):
    X, y = images
    clf = small(epochs=1, warm_start=True).fit(X, y)
    message = "^X has values within .* on the same scale as in the calls before; the network knows"
    with pytest.warns(PixelRangeWarning, match=message):
        clf.fit(X / 127.5 - 1, y)
    with pytest.warns(PixelRangeWarning, match=message):
        clf.partial_fit(X * np.float32(257), y)
