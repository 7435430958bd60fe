# SPDX-License-Identifier: BSD-3-Clause
"""Check images and convert them to one array of shape (n, h, w, c)."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, validate_data

from fashioncnn._inputs.arrays import FILES, to_array, to_numbers
from fashioncnn._inputs.frames import check_frame, is_frame
from fashioncnn._inputs.pictures import check_pictures, is_picture
from fashioncnn._inputs.shapes import (
    check_channels_last,
    check_image_size,
    guess_image_shape,
    other_shape,
    single_image,
    spare_column,
    unequal_sizes,
)
from fashioncnn._network.data import ImageShape

_IMAGES = "an array of images"


class FlatImages(NamedTuple):
    """X with two dimensions, as scikit-learn takes it, and what X was before."""

    named: Any  # has the names of columns, if there are any
    values: Any
    given_shape: tuple[int, ...]
    image_shape: ImageShape | None = None  # None where X was flat
    integer_dtype: np.dtype | None = None  # where scikit-learn may convert integers to floats


def check_first_images(
    estimator: BaseEstimator, X: Any, image_shape: ImageShape | None
) -> tuple[np.ndarray, np.dtype]:
    """Check X for a new fit, and reshape it to images.

    Parameters
    ----------
    estimator : estimator
        Named in messages; receives ``n_features_in_`` and ``feature_names_in_``.
    X : array-like of shape (n, h, w), (n, h, w, c) or (n, d)
        The images.
    image_shape : tuple (h, w, c) or None
        The shape of the image in a flat row. None: a square, or a strip one pixel high.

    Returns
    -------
    pixels : ndarray of shape (n, h, w, c)
        The images, of any dtype of numbers. `as_network_input` casts them batch by batch.
    source_dtype : dtype
        The dtype that X had as an array. It is a dtype of integers also where the columns of a
        data frame are nullable integers, which scikit-learn converts to floats.

    Raises
    ------
    TypeError, ValueError
        If X is not an array of images.
    """
    flat = _flatten(X, "X", image_shape, is_first=True)
    if None not in (flat.image_shape, image_shape) and flat.image_shape != image_shape:
        raise ValueError(
            f"X has images of shape {flat.image_shape}, but image_shape={image_shape}. "
            "Leave image_shape=None for input that has a shape."
        )
    _check_names(estimator, flat, is_first=True)
    values = _check_values(estimator, flat, "X")
    n_features = values.shape[1]
    image_shape = flat.image_shape or image_shape or guess_image_shape(flat.named, n_features)
    if math.prod(image_shape) != n_features:
        raise ValueError(
            f"X has {n_features} features, but image_shape={image_shape} has "
            f"{math.prod(image_shape)} values."
            f"{spare_column(flat.named, 'X', n_features, math.prod(image_shape))}"
        )
    estimator.n_features_in_ = n_features
    return values.reshape(-1, *image_shape), _source_dtype(flat, values)


def check_images(
    estimator: BaseEstimator, X: Any, image_shape: ImageShape, name: str = "X"
) -> tuple[np.ndarray, np.dtype]:
    """Check X for prediction, validation or continued training, and reshape it as in the first fit.

    Parameters
    ----------
    estimator : estimator
        Has ``n_features_in_``, and ``feature_names_in_`` if X had column names in the first fit.
    X : array-like of shape (n, h, w), (n, h, w, c) or (n, d)
        The images.
    image_shape : tuple (h, w, c)
        The shape of an image in the first fit.
    name : str, default="X"
        The name of X in error messages.

    Returns
    -------
    pixels, source_dtype : ndarray of shape (n, h, w, c), dtype
        As from `check_first_images`.

    Raises
    ------
    TypeError, ValueError
        If X is not an array of images of this shape.
    """
    if _is_plain(estimator, X, image_shape):
        return X.reshape(len(X), *image_shape), X.dtype
    flat = _flatten(X, name, image_shape)
    _check_like_training(estimator, flat, image_shape, name)
    values = _check_values(estimator, flat, name)
    return values.reshape(-1, *image_shape), _source_dtype(flat, values)


def _is_plain(estimator: BaseEstimator, X: Any, image_shape: ImageShape) -> bool:
    """Say whether X is a uint8 or float32 array of images that all checks would pass.

    The checks take longer than to predict one image.
    """
    if type(X) is not np.ndarray or not X.size:
        return False
    if X.ndim == 2 and hasattr(estimator, "feature_names_in_"):
        return False
    shapes = {image_shape, (math.prod(image_shape),)}
    if image_shape[2] == 1:
        shapes.add(image_shape[:2])
    if X.shape[1:] not in shapes:
        return False
    if X.dtype == np.float32:
        with np.errstate(all="ignore"):
            return bool(np.isfinite(X.sum()))
    return X.dtype == np.uint8


def _flatten(
    X: Any, name: str, image_shape: ImageShape | None, *, is_first: bool = False
) -> FlatImages:
    """Convert X to rows of numbers. scikit-learn refuses input of no or one dimension later."""
    if is_frame(X):
        frame, values, integer_dtype = check_frame(X, name)
        return FlatImages(frame, values, frame.shape, integer_dtype=integer_dtype)
    X = _as_array(X, name, image_shape)
    check_image_size(X, name)
    X = to_numbers(X, name)
    if X.ndim in (0, 2) or (X.ndim == 1 and len(X)):
        return FlatImages(X, X, X.shape)
    if len(X) == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={X.shape}) as {name} while a minimum of 1 is "
            "required."
        )
    if X.ndim > 4:
        raise ValueError(
            f"Found array with dim {X.ndim} and shape {X.shape} as {name}; expected 2, 3 or 4 "
            "dimensions: (n, h * w * c), (n, h, w) or (n, h, w, c)."
        )
    shape: ImageShape = (*X.shape[1:], 1)[:3]
    if shape != image_shape:
        check_channels_last(X, name, is_first)
    values = X.reshape(len(X), math.prod(shape))
    return FlatImages(values, values, X.shape, shape)


def _check_names(estimator: BaseEstimator, flat: FlatImages, is_first: bool) -> None:
    """Set or check ``feature_names_in_``.

    The values are checked separately, because they may be an array that has lost the names.
    """
    validate_data(estimator, flat.named, reset=is_first, skip_check_array=True, ensure_2d=False)


def _check_values(estimator: BaseEstimator, flat: FlatImages, name: str) -> np.ndarray:
    """Check that all values are finite as float32."""
    with np.errstate(over="ignore", invalid="ignore"):
        values = check_array(flat.values, dtype="numeric", estimator=estimator, input_name=name)
    if values.dtype.kind == "f" and values.dtype.itemsize > 4:
        with np.errstate(over="ignore", under="ignore"):
            extremes = np.array([values.min(), values.max()]).astype(np.float32)
        if not np.isfinite(extremes).all():
            raise ValueError(
                f"Input {name} contains infinity or a value too large for dtype('float32')."
            )
    return values


def _source_dtype(flat: FlatImages, values: np.ndarray) -> np.dtype:
    """Return the dtype that X had, in the machine's byte order: big-endian 16 bits are 16 bits."""
    return (flat.integer_dtype or values.dtype).newbyteorder("=")


def _check_like_training(
    estimator: BaseEstimator, flat: FlatImages, image_shape: ImageShape, name: str
) -> None:
    """Check the shape of images, the column names and the number of features, in this order.

    scikit-learn checks that flat input has two dimensions and at least one feature.
    """
    owner, shape, n_features = type(estimator).__name__, flat.given_shape, estimator.n_features_in_
    if flat.image_shape == image_shape:
        return  # its shape says all: names of columns would add nothing
    if flat.image_shape is not None:
        raise ValueError(
            f"{name} has images of shape {flat.image_shape}, but {owner} is expecting "
            f"{image_shape}.{other_shape(name, shape, image_shape)}"
        )
    _check_names(estimator, flat, is_first=False)
    if len(shape) == 2 and 0 not in shape and shape[1] != n_features:
        hint = spare_column(flat.named, name, shape[1], n_features)
        if shape == image_shape[:2]:
            hint = single_image(name)
        raise ValueError(
            f"{name} has {shape[1]} features, but {owner} is expecting {n_features} features as "
            f"input.{hint}"
        )


def _as_array(X: Any, name: str, image_shape: ImageShape | None) -> np.ndarray:
    """Convert X to an array. A list or an array of objects may hold single images."""
    if is_picture(type(X)):
        raise ValueError(f"{name} is one image; pass a list of images: [image].")
    if not isinstance(X, (list, tuple)):
        X = to_array(X, name, _IMAGES)
        if X.dtype != object or X.ndim != 1:
            return X
        X = list(X)
    _refuse_files(X, name)
    _refuse_pair(X, name)
    check_pictures(X, name, image_shape)
    X = [check_frame(x, f"{name}[{i}]")[1] if is_frame(x) else x for i, x in enumerate(X)]
    try:
        return to_array(X, name, _IMAGES)
    except ValueError as error:
        raise ValueError(unequal_sizes(X, name) or str(error)) from error


def _refuse_files(images: Sequence[Any], name: str) -> None:
    kinds = {kind for kind in set(map(type, images)) if issubclass(kind, (*FILES, type(None)))}
    if kinds:
        i = next(i for i, image in enumerate(images) if type(image) in kinds)
        raise ValueError(
            f"{name}[{i}] is a {type(images[i]).__name__}; pass an array of images, not files or "
            "their names."
        )


def _refuse_pair(images: Sequence[Any], name: str) -> None:
    if len(images) == 2 and all(hasattr(image, "shape") for image in images):
        one, other = sorted(len(image.shape) for image in images)
        if one == 1 < other:
            raise ValueError(
                f"{name} is a {type(images).__name__} of two arrays; pass images and labels one by "
                "one."
            )
