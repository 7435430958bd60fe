# SPDX-License-Identifier: BSD-3-Clause
"""Whatever a user calls images: accepted as (n, h, w, c), or refused with a remedy."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from ml_dtypes import bfloat16

from fashioncnn import FashionCNNClassifier
from fashioncnn._inputs.fit_data import UserData, check_fit_input
from fashioncnn._inputs.images import check_first_images, check_images
from fashioncnn._network.data import as_network_input, network_dtype

N = 6
NOTHING = UserData(None, None, None)
Y = np.arange(N) % 2


def as_training(X, image_shape=None):
    pixels, _ = check_first_images(FashionCNNClassifier(), X, image_shape)
    return pixels


@pytest.fixture
def checked():
    """Give an estimator that has seen images of 3 x 4 pixels."""
    clf = FashionCNNClassifier()
    check_first_images(clf, np.zeros((N, 3, 4)), None)
    return clf


@pytest.mark.parametrize(
    ("shape", "image_shape", "expected"),
    [
        ((N, 3, 4), None, (3, 4, 1)),
        ((N, 3, 4, 1), None, (3, 4, 1)),
        ((N, 5, 4, 2), None, (5, 4, 2)),
        ((N, 5, 5, 3), (5, 5, 3), (5, 5, 3)),
        ((N, 16), None, (4, 4, 1)),
        ((N, 12), None, (1, 12, 1)),
        ((N, 12), (3, 4, 1), (3, 4, 1)),
        ((N, 12), (2, 2, 3), (2, 2, 3)),
        ((N, 16), (1, 16, 1), (1, 16, 1)),
        ((N, 1, 1), None, (1, 1, 1)),
        ((N, 3, 8, 8), (3, 8, 8), (3, 8, 8)),
    ],
)
def test_shapes(shape, image_shape, expected):
    X = np.arange(np.prod(shape)).reshape(shape)
    pixels = as_training(X, image_shape)
    assert pixels.shape == (N, *expected)
    np.testing.assert_array_equal(pixels.ravel(), X.ravel())


@pytest.mark.parametrize(
    "dtype", ["?", "i1", "u2", "i8", "u8", "f2", "f4", "f8", ">f4", "O", bfloat16]
)
def test_dtypes_become_float32(dtype):
    X = np.arange(N * 4).reshape(N, 2, 2) % 2
    pixels = as_training(X.astype(dtype))
    assert network_dtype(pixels.dtype) == np.float32
    batch = as_network_input(pixels[::2])
    assert batch.dtype == np.float32
    assert batch.flags.c_contiguous
    np.testing.assert_array_equal(batch[..., 0], X[::2])


def test_uint8_stays_and_is_not_copied():
    X = np.zeros((N, 3, 4), np.uint8)
    pixels = as_training(X)
    assert network_dtype(pixels.dtype) == np.uint8
    assert np.shares_memory(as_network_input(pixels), X)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64, np.longdouble])
def test_checking_takes_no_memory(dtype):
    X = np.zeros((1000, 50, 50), dtype)
    clf = FashionCNNClassifier()
    tracemalloc.start()
    pixels, _ = check_first_images(clf, X, None)
    check_images(clf, X, (50, 50, 1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.shares_memory(pixels, X)
    assert peak < 0.1 * 2500 * 1000  # bytes, of at least as many


def test_data_frames_keep_their_names():
    X = pd.DataFrame(np.zeros((N, 4), np.uint8), columns=list("abcd"))
    clf = FashionCNNClassifier()
    pixels, source_dtype = check_first_images(clf, X, None)
    assert clf.feature_names_in_.tolist() == list("abcd")
    assert (pixels.shape, source_dtype) == ((N, 2, 2, 1), np.uint8)
    with pytest.raises(ValueError, match="feature names should match"):
        check_images(clf, X[list("abdc")], (2, 2, 1))


@pytest.mark.parametrize(
    ("shape", "image_shape", "message"),
    [
        ((N, 3, 4), (4, 3, 1), r"images of shape \(3, 4, 1\), but image_shape=\(4, 3, 1\)"),
        ((N, 12), (5, 5, 1), r"X has 12 features, but image_shape=\(5, 5, 1\) has 25 values"),
    ],
)
def test_image_shape_must_fit(shape, image_shape, message):
    with pytest.raises(ValueError, match=message):
        as_training(np.zeros(shape), image_shape)


@pytest.mark.parametrize("y", [None, Y[:-1], np.full(N, np.nan)])
def test_y_is_checked_with_x(y):
    with pytest.raises(ValueError, match=r"requires y|inconsistent numbers|contains NaN"):
        check_fit_input(FashionCNNClassifier(), UserData(np.zeros((N, 4)), y, None), NOTHING, None)


@pytest.mark.parametrize("shape", [(N, 3, 4), (N, 3, 4, 1), (N, 12), (1, 3, 4)])
def test_flat_and_shaped_are_one_after_fitting(checked, shape):
    pixels, source_dtype = check_images(checked, np.zeros(shape, np.int16), (3, 4, 1))
    assert pixels.shape == (shape[0], 3, 4, 1)
    assert pixels.dtype == source_dtype == np.int16


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((N, 4, 4), r"X has images of shape \(4, 4, 1\), but FashionCNNClassifier is expecting"),
        ((N, 4, 5), r"images of shape \(4, 5, 1\).* expecting \(3, 4, 1\)\. To make them fit:"),
        ((N, 3, 4, 3), r"images of shape \(3, 4, 3\)"),
        ((N, 9), "X has 9 features, but FashionCNNClassifier is expecting 12 features as input"),
        ((3, 4), r"X has 4 features.* To pass a single image, pass X\[None\]"),
        ((3, 4, 1), r"images of shape \(4, 1, 1\).* To pass a single image, pass X\[None\]"),
    ],
)
def test_other_shapes_after_fitting(checked, shape, message):
    with pytest.raises(ValueError, match=message):
        check_images(checked, np.zeros(shape), (3, 4, 1))


def test_other_input_is_named(checked):
    for X, message in (
        (np.zeros((N, 5)), "X_val has 5 features"),
        (np.full((N, 12), np.nan), "Input X_val contains NaN"),
    ):
        with pytest.raises(ValueError, match=message):
            check_images(checked, X, (3, 4, 1), "X_val")


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_an_array_after_a_frame_lacks_names(dtype):
    clf = FashionCNNClassifier()
    X = np.arange(N * 4, dtype=dtype).reshape(N, 4)
    check_first_images(clf, pd.DataFrame(X, columns=list("abcd")), (2, 2, 1))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        check_images(clf, X, (2, 2, 1))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
@pytest.mark.parametrize("shape", [(N, 2, 2), (N, 2, 2, 1)])
def test_images_after_a_frame_need_no_names(shape, dtype):
    clf = FashionCNNClassifier()
    X = np.arange(N * 4, dtype=dtype).reshape(N, 4)
    check_first_images(clf, pd.DataFrame(X, columns=list("abcd")), (2, 2, 1))
    pixels, _ = check_images(clf, X.reshape(shape), (2, 2, 1))  # a warning would be an error
    np.testing.assert_array_equal(pixels.reshape(N, 4), X)
    assert clf.feature_names_in_.tolist() == list("abcd")


def test_big_endian_16_bits_are_16_bits():
    for X in (np.zeros((N, 3, 4), ">u2"), np.zeros((N, 12), ">u2")):
        assert check_first_images(FashionCNNClassifier(), X, (3, 4, 1))[1] == np.uint16
