# SPDX-License-Identifier: BSD-3-Clause
"""Whatever a user calls images: accepted as (n, h, w, c), or refused with a remedy."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from ml_dtypes import bfloat16

from fashioncnn import FashionCNNClassifier
from fashioncnn._inputs import check_images, check_training_images

N = 6
Y = np.arange(N) % 2


def as_training(X, image_shape=None):
    pixels, _, _ = check_training_images(FashionCNNClassifier(), X, Y, image_shape)
    return pixels


@pytest.fixture
def checked():
    """Give an estimator that has seen images of 3 x 4 pixels."""
    clf = FashionCNNClassifier()
    check_training_images(clf, np.zeros((N, 3, 4)), Y, None)
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


def test_rows_that_look_like_flat_colour_warn():
    with pytest.warns(UserWarning, match=r"flat images of shape \(8, 8, 3\).*Pass image_shape="):
        assert as_training(np.zeros((N, 192))).shape == (N, 1, 192, 1)


@pytest.mark.parametrize("n_features", [3 * 49, 4 * 81, 3 * 64 + 1])
def test_other_rows_do_not_warn(n_features):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_training(np.zeros((N, n_features)))


@pytest.mark.parametrize(
    "dtype", ["?", "i1", "u2", "i8", "u8", "f2", "f4", "f8", ">f4", "O", bfloat16]
)
def test_dtypes_become_float32(dtype):
    X = np.arange(N * 4).reshape(N, 2, 2) % 2
    pixels = as_training(X.astype(dtype))
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels[..., 0], X)


def test_uint8_stays_and_is_not_copied():
    X = np.zeros((N, 3, 4), np.uint8)
    pixels = as_training(X)
    assert pixels.dtype == np.uint8
    assert np.shares_memory(pixels, X)


def as_memmap(X, folder):
    path = folder / "X.npy"
    np.save(path, X)
    return np.load(path, mmap_mode="r")


class OnlyArray:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


@pytest.mark.parametrize(
    "wrap",
    [
        lambda X, _: X,
        lambda X, _: X.tolist(),
        lambda X, _: list(X),
        lambda X, _: np.asfortranarray(X),
        lambda X, _: np.ascontiguousarray(X[:, ::-1])[:, ::-1],
        lambda X, _: np.repeat(X, 2, axis=2)[:, :, ::2],
        lambda X, _: OnlyArray(X),
        as_memmap,
    ],
    ids=["array", "nested", "list", "fortran", "reversed", "strided", "array-like", "memmap"],
)
def test_layouts_and_containers(wrap, tmp_path):
    X = np.random.default_rng(0).integers(0, 255, (N, 3, 4))
    before = X.tobytes()
    np.testing.assert_array_equal(as_training(wrap(X, tmp_path))[..., 0], X)
    assert X.tobytes() == before


def test_data_frames_keep_their_names():
    X = pd.DataFrame(np.zeros((N, 4), np.uint8), columns=list("abcd"))
    clf = FashionCNNClassifier()
    pixels, _, source_dtype = check_training_images(clf, X, Y, None)
    assert clf.feature_names_in_.tolist() == list("abcd")
    assert (pixels.shape, source_dtype) == ((N, 2, 2, 1), np.uint8)
    with pytest.raises(ValueError, match="feature names should match"):
        check_images(clf, X[list("abdc")], (2, 2, 1))


REFUSED = [
    (None, ValueError, "X is None"),
    ("img.png", ValueError, "X is a str; pass an array of images"),
    (Path("img.png"), ValueError, "pass an array of images, not a file"),
    (b"png", ValueError, "X is a bytes"),
    ({"a": 1}, TypeError, "got dict"),
    ({1, 2}, TypeError, "got set"),
    ((image for image in []), TypeError, "got generator"),
    (5, TypeError, "got int"),
    ((np.zeros((N, 3, 4)), Y), ValueError, "tuple of two arrays"),
    ([np.zeros((3, 4)), np.zeros((4, 4))], ValueError, r"same size; got sizes \[\(3, 4\), \(4, 4"),
    (np.float64(1), ValueError, "Expected 2D array, got scalar"),
    (np.zeros(N), ValueError, "Reshape your data"),
    (np.zeros((N, 2, 2, 1, 1)), ValueError, "Found array with dim 5.*expected 2, 3 or 4"),
    (np.zeros((0, 3, 4)), ValueError, r"0 sample\(s\) \(shape=\(0, 3, 4\)\) as X while a minimum"),
    (np.zeros((0, 12)), ValueError, r"Found array with 0 sample\(s\)"),
    (np.zeros((N, 4, 4, 0)), ValueError, r"Found array with 0 feature\(s\)"),
    (np.zeros((N, 0)), ValueError, r"Found array with 0 feature\(s\)"),
    (np.zeros((N, 3, 0)), ValueError, r"Found array with 0 feature\(s\)"),
    (np.full((N, 3, 4), np.nan), ValueError, "Input X contains NaN"),
    (np.full((N, 3, 4), -np.inf), ValueError, "Input X contains infinity"),
    (np.full((N, 3, 4), 1e300), ValueError, r"too large for dtype\('float32'\)"),
    (np.array([np.inf, -np.inf] * N, "f2").reshape(N, 2), ValueError, "Input X contains infinity"),
    ([[10**400, 1]] * N, ValueError, "Input X contains a value too large"),
    (np.zeros((N, 3, 4), "M8[s]"), ValueError, r"X has dtype datetime64\[s\]; pass an array of"),
    (pd.DataFrame(np.zeros((N, 4), "M8[s]")), ValueError, r"X has dtype datetime64\[s\]; pass"),
    (np.zeros((N, 3, 4), complex), ValueError, "Complex data not supported"),
    (np.full((N, 3, 4), "0.1"), ValueError, "not compatible with arrays of bytes/strings"),
    (np.array([[{}] * 4] * N), TypeError, "argument must be .* string.* number"),
    (scipy.sparse.csr_array((N, 4)), TypeError, "Sparse data was passed"),
    (np.zeros((N, 4)).view(np.matrix), TypeError, "np.matrix is not supported"),
    (np.zeros((N, 1, 28, 28)), ValueError, r"channels-first.*np\.moveaxis\(X, 1, -1\)"),
    (np.zeros((N, 3, 32, 32)), ValueError, r"channels-first.*image_shape=\(3, 32, 32\)"),
]


@pytest.mark.parametrize(("X", "error", "message"), REFUSED, ids=[m for _, _, m in REFUSED])
def test_refused(X, error, message):
    with pytest.raises(error, match=message):
        check_training_images(FashionCNNClassifier(), X, Y, None)


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
        check_training_images(FashionCNNClassifier(), np.zeros((N, 4)), y, None)


@pytest.mark.parametrize("shape", [(N, 3, 4), (N, 3, 4, 1), (N, 12), (1, 3, 4)])
def test_flat_and_shaped_are_one_after_fitting(checked, shape):
    pixels, source_dtype = check_images(checked, np.zeros(shape, np.int16), (3, 4, 1))
    assert pixels.shape == (shape[0], 3, 4, 1)
    assert pixels.dtype == np.float32
    assert source_dtype == np.int16


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((N, 4, 4), r"X has images of shape \(4, 4, 1\), but FashionCNNClassifier is expecting"),
        ((N, 4, 3), r"images of shape \(4, 3, 1\).* expecting \(3, 4, 1\)\.$"),
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
