# SPDX-License-Identifier: BSD-3-Clause
"""What is said of the shape of X: rows that look like flat images, and what makes others fit."""

import re
import warnings

import keras
import numpy as np
import pandas as pd
import PIL.Image
import polars as pl
import pyarrow as pa
import pytest
import tensorflow as tf

from fashioncnn import FashionCNNClassifier
from fashioncnn._inputs.images import check_first_images, check_images

N = 6


def as_training(X, image_shape=None):
    return check_first_images(FashionCNNClassifier(), X, image_shape)[0]


@pytest.fixture
def trained():
    """Give a function that returns an estimator which has seen images of a shape."""

    def make(*image_shape):
        clf = FashionCNNClassifier()
        check_first_images(clf, np.zeros((N, *image_shape)), None)
        return clf

    return make


@pytest.mark.parametrize("side", [4, 5, 8, 32])
def test_rows_that_look_like_flat_colour_warn(side):
    X = np.zeros((N, 3 * side**2))
    message = rf"flat images of shape \({side}, {side}, 3\).*Pass image_shape=\({side}, {side}, 3\)"
    with pytest.warns(UserWarning, match=message):
        assert as_training(X).shape == (N, 1, X.shape[1], 1)
    for image_shape in ((side, side, 3), (1, X.shape[1], 1)):
        assert as_training(X, image_shape).shape == (N, *image_shape)


@pytest.mark.parametrize("square", [(8, 8, 1), (28, 28, 1), (16, 16, 3), (32, 32, 3)])
def test_rows_of_a_square_and_one_more_value_warn(square):
    n_features = np.prod(square) + 1
    X = np.zeros((N, n_features))
    shape = ", ".join(map(str, square))
    message = rf"flat images of shape \({shape}\) with a column too many.* If one column "
    with pytest.warns(UserWarning, match=message + r"holds .*: np\.delete\(X, 0, axis=1\) drops"):
        assert as_training(X).shape == (N, 1, n_features, 1)
    assert as_training(X, (1, n_features, 1)).shape == (N, 1, n_features, 1)
    image_shape = None if square[2] == 1 else square  # else the next warning says so
    for rows in (X, X.tolist()):
        assert as_training(np.delete(rows, 0, axis=1), image_shape).shape == (N, *square)


# 4 * 16 is a square too: scikit-learn's digits are grey, where a flat 4 x 4 with alpha is not.
@pytest.mark.parametrize(
    "n_features", [3 * 9, 4 * 16, 4 * 81, 3 * 64 + 1, 3 * 14**2 + 1, 7 * 7 + 1]
)
def test_other_rows_do_not_warn(n_features):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_training(np.zeros((N, n_features)))


FRAMES = [
    pd.DataFrame,
    lambda data: pl.DataFrame(data),
    lambda data: pa.table({name: list(values) for name, values in data.items()}),
]


@pytest.mark.parametrize("make", FRAMES, ids=["pandas", "polars", "pyarrow"])
def test_a_spare_column_is_named(make):
    names = ["label", *(f"pixel{i}" for i in range(64))]
    X = make(dict.fromkeys(names, np.zeros(N)))
    named = "drop it: the first is named 'label', the last 'pixel63'"
    with pytest.warns(UserWarning, match=named):
        as_training(X)
    with pytest.raises(ValueError, match=f"65 features, but image_shape=.* 64 values.*{named}"):
        as_training(X, (8, 8, 1))


@pytest.mark.filterwarnings("ignore:X has feature names, but:UserWarning")
def test_a_spare_column_after_training(trained):
    clf, X = trained(8, 8), np.zeros((N, 65))
    sentence = "has 65 features, but FashionCNNClassifier is expecting 64 features as input. If one"
    for name in ("X", "X_val"):
        with pytest.raises(ValueError, match=rf"{name} {sentence}.*delete\({name}, 0, axis=1\)"):
            check_images(clf, X, (8, 8, 1), name)
    frame = pd.DataFrame(X, columns=["Unnamed: 0", *(f"pixel{i}" for i in range(64))])
    with pytest.raises(ValueError, match=rf"{sentence}.* first is named 'Unnamed: 0', the last"):
        check_images(clf, frame, (8, 8, 1))
    assert check_images(clf, np.delete(X, 0, axis=1), (8, 8, 1))[0].shape == (N, 8, 8, 1)
    with pytest.raises(ValueError, match=r"has 66 features.* 64 features as input\.$"):
        check_images(clf, np.zeros((N, 66)), (8, 8, 1))


@pytest.mark.parametrize("dtype", ["u1", "?", "u4", "i8", ">u2", "f2", "f8", ">f4"])
@pytest.mark.parametrize(
    ("shape", "image_shape"),
    [
        ((N, 9, 7), (5, 4, 1)),
        ((N, 9, 7, 1), (5, 4, 1)),
        ((N, 5, 4, 3), (5, 4, 1)),
        ((N, 9, 7, 3), (5, 4, 1)),
        ((N, 9, 7, 4), (5, 4, 1)),
        ((N, 5, 4), (5, 4, 3)),
        ((N, 5, 4, 1), (5, 4, 3)),
        ((N, 9, 7), (5, 4, 3)),
        ((N, 9, 7, 3), (5, 4, 3)),
        ((N, 9, 7, 4), (5, 4, 3)),
        ((N, 9, 7, 2), (5, 4, 2)),
    ],
    ids=str,
)
def test_other_shapes_are_made_to_fit(trained, shape, image_shape, dtype):
    clf, X = trained(*image_shape), np.full(shape, 1, dtype)
    given = re.escape(str((*shape[1:], 1)[:3]))
    message = rf"X has images of shape {given}, but FashionCNNClassifier is expecting \("
    with pytest.raises(ValueError, match=message) as error:
        check_images(clf, X, image_shape)
    (remedy,) = re.findall("To make them fit: (.*)\\.$", str(error.value))
    for images in (X, list(X)):
        names = {"X": images, "np": np, "keras": keras}
        exec(remedy, names)
        pixels, _ = check_images(clf, names["X"], image_shape)
        assert pixels.shape == (N, *image_shape)
        np.testing.assert_allclose(pixels, 1, rtol=1e-5)  # the scale is kept


@pytest.mark.parametrize(
    ("shape", "image_shape"), [((N, 5, 4, 2), (5, 4, 1)), ((N, 5, 4, 3), (5, 4, 4))]
)
def test_nothing_is_said_of_channels_that_nothing_makes_fit(trained, shape, image_shape):
    with pytest.raises(ValueError, match=rf"is expecting {re.escape(str(image_shape))}\.$"):
        check_images(trained(*image_shape), np.zeros(shape), image_shape)


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 3), (9, 9, 3)])
def test_a_single_image_is_told(trained, shape):
    clf, X = trained(5, 4), np.zeros(shape)
    with pytest.raises(ValueError, match=r"To pass a single image, pass X\[None\]\.$"):
        check_images(clf, X, (5, 4, 1))
    if shape[:2] == (5, 4) and shape[-1] != 3:
        assert check_images(clf, X[None], (5, 4, 1))[0].shape == (1, 5, 4, 1)
    else:
        with pytest.raises(ValueError, match="To make them fit: "):
            check_images(clf, X[None], (5, 4, 1))


@pytest.mark.parametrize(
    "X",
    [
        [np.full((5, 4), 200), np.full((9, 7), 200)],
        [np.full((5, 4, 3), 200, np.uint8), np.full((9, 7, 3), 200, np.uint8)],
        [PIL.Image.new("L", (4, 5), 200), PIL.Image.new("L", (7, 9), 200)],
        [tf.fill((5, 4), 200), tf.fill((9, 7), 200)],
    ],
    ids=["grey", "colour", "PIL", "TensorFlow"],
)
def test_images_of_several_sizes_are_made_to_fit(X):
    with pytest.raises(ValueError, match=r"the same size; got .* Resize them first") as error:
        as_training(X)
    (call,) = re.findall(r"as by (.*)\.$", str(error.value))
    images = [eval(call, {"image": image, "np": np, "keras": keras}) for image in X]
    pixels = as_training(images)
    assert pixels.shape[:3] == (2, 5, 4)
    np.testing.assert_allclose(pixels, 200, rtol=1e-5)


@pytest.mark.parametrize(
    "shapes", [[(5, 4, 3), (5, 4, 4)], [(5, 4), (9, 7, 3)], [(5, 4, 1), (5, 4)]]
)
def test_images_of_several_numbers_of_channels_are_not_resized(shapes):
    tensors = [tf.zeros(shape, tf.uint8) for shape in shapes]
    message = r"the same size; got .*\. Make them all grey, of shape \(h, w\), or all colour"
    for images in (tensors, [tensor.numpy() for tensor in tensors]):
        with pytest.raises(ValueError, match=message):
            as_training(images)


def test_grey_among_colour_is_not_resized():
    X = [np.zeros((5, 4)), np.ones((5, 4, 3))]
    message = r"\[\(5, 4\), \(5, 4, 3\)\]\. Make grey images .*, as by np\.mean\(image, axis=-1\)"
    with pytest.raises(ValueError, match=message):
        as_training(X)
    assert as_training([X[0], np.mean(X[1], axis=-1)]).shape == (2, 5, 4, 1)
