# SPDX-License-Identifier: BSD-3-Clause
"""Whatever a user calls images, as one array of shape (n, h, w, c)."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, validate_data

from fashioncnn._warnings import warn_user

ImageShape = tuple[int, int, int]

# What arrays, tensors, data frames and sparse matrices have, and data sets and generators have not.
_ARRAY_MARKS = ("__array__", "__array_interface__", "__dlpack__", "columns", "tocsr")


class Rows(NamedTuple):
    """X as scikit-learn sees it, and as what its user gave it."""

    values: Any  # two-dimensional
    given_shape: tuple[int, ...]
    image_shape: ImageShape | None  # None where X was flat


def check_training_images(
    estimator: BaseEstimator,
    X: Any,
    y: Any,
    image_shape: ImageShape | None,
    *,
    is_first: bool = True,
) -> tuple[np.ndarray, np.ndarray, np.dtype]:
    """Check X and y for fitting, and make X images.

    Parameters
    ----------
    estimator : estimator
        Named in messages; receives ``n_features_in_`` and ``feature_names_in_`` the first time.
    X : array-like of shape (n, h, w), (n, h, w, c) or (n, d)
        The images.
    y : array-like of shape (n,)
        The labels.
    image_shape : tuple (h, w, c) or None
        How to see a flat row.
    is_first : bool, default=True
        Whether these images are the first; others must be of `image_shape` and have the same names.

    Returns
    -------
    pixels : ndarray of shape (n, h, w, c), uint8 or float32
        The images; uint8 stays uint8, everything else becomes float32.
    y : ndarray of shape (n,)
        The labels.
    source_dtype : dtype
        The dtype of X as an array, where objects and nullable integers are floats.

    Raises
    ------
    TypeError, ValueError
        If X is no array of images, or X and y do not fit together.
    """
    rows = _rows(X, "X", image_shape)
    if not is_first:
        _refuse_other_shape(estimator, rows, image_shape, "X")
    elif None not in (rows.image_shape, image_shape) and rows.image_shape != image_shape:
        raise ValueError(
            f"X has images of shape {rows.image_shape}, but image_shape={image_shape}. "
            "Leave image_shape=None for input that has a shape."
        )
    with number_errors("X"):
        values, y = validate_data(estimator, rows.values, y, dtype="numeric", reset=is_first)
    image_shape = rows.image_shape or image_shape or _guess_image_shape(values.shape[1])
    if math.prod(image_shape) != values.shape[1]:
        raise ValueError(
            f"X has {values.shape[1]} features, but image_shape={image_shape} has "
            f"{math.prod(image_shape)} values."
        )
    return _as_pixels(values, image_shape, "X"), y, values.dtype


def check_images(
    estimator: BaseEstimator, X: Any, image_shape: ImageShape, name: str = "X"
) -> tuple[np.ndarray, np.dtype]:
    """Check X against the images of training, and make it images.

    Parameters
    ----------
    estimator : estimator
        Fitted, as far as ``n_features_in_`` and ``feature_names_in_`` go.
    X : array-like of shape (n, h, w), (n, h, w, c) or (n, d)
        The images.
    image_shape : tuple (h, w, c)
        The shape of an image in training.
    name : str, default="X"
        What messages call X.

    Returns
    -------
    pixels : ndarray of shape (n, h, w, c), uint8 or float32
        The images; uint8 stays uint8, everything else becomes float32.
    source_dtype : dtype
        The dtype of X as an array, where objects and nullable integers are floats.

    Raises
    ------
    TypeError, ValueError
        If X is no array of such images.
    """
    rows = _rows(X, name, image_shape)
    _refuse_other_shape(estimator, rows, image_shape, name)
    # First the names of columns only, which have their own message, then the values.
    validate_data(estimator, rows.values, reset=False, skip_check_array=True, ensure_2d=False)
    with number_errors(name):
        values = check_array(rows.values, dtype="numeric", estimator=estimator, input_name=name)
    n_features = math.prod(image_shape)
    if values.shape[1] != n_features:
        raise ValueError(
            f"{name} has {values.shape[1]} features, but {type(estimator).__name__} is expecting "
            f"{n_features} features as input.{_hint(rows, image_shape)}"
        )
    return _as_pixels(values, image_shape, name), values.dtype


@contextmanager
def number_errors(name: str) -> Iterator[None]:
    """Let no warning of NumPy precede the complaint about a number that is too large."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            yield
    except OverflowError as error:  # of Python's integers
        raise ValueError(
            f"Input {name} contains a value too large for dtype('float64')."
        ) from error


def _rows(X: Any, name: str, image_shape: ImageShape | None) -> Rows:
    """Flatten shaped input to rows; leave flat input to scikit-learn's own checks."""
    _refuse_what_is_no_array(X, name)
    if hasattr(X, "columns") or hasattr(X, "tocsr"):
        return Rows(
            X, np.shape(X), None
        )  # data frames keep their names, sparse input gets its message
    if not isinstance(X, np.ndarray):
        X = _as_array(X, name)
    if X.dtype.name == "bfloat16":
        X = X.astype(np.float32)  # NumPy itself takes it for no number
    if X.ndim <= 2:
        return Rows(X, X.shape, None)
    if len(X) == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={X.shape}) as {name} while a minimum of 1 is "
            "required."
        )
    if X.ndim > 4:
        raise ValueError(
            f"Found array with dim {X.ndim} and shape {X.shape} as {name}; expected 2, 3 or 4: "
            "(n, h * w * c), (n, h, w) or (n, h, w, c)."
        )
    shape: ImageShape = (*X.shape[1:], 1)[:3]
    if shape != image_shape:
        _refuse_channels_first(X, name)
    return Rows(X.reshape(len(X), math.prod(shape)), X.shape, shape)


def _refuse_other_shape(
    estimator: BaseEstimator, rows: Rows, image_shape: ImageShape | None, name: str
) -> None:
    if rows.image_shape not in (None, image_shape):
        raise ValueError(
            f"{name} has images of shape {rows.image_shape}, but {type(estimator).__name__} is "
            f"expecting {image_shape}.{_hint(rows, image_shape)}"
        )


def _hint(rows: Rows, image_shape: ImageShape | None) -> str:
    is_single = image_shape and rows.given_shape in (image_shape, image_shape[:2])
    return " To pass a single image, pass X[None]." if is_single else ""


def _refuse_what_is_no_array(X: Any, name: str) -> None:
    kind = type(X).__name__
    if X is None:
        raise ValueError(f"{name} is None; pass an array of images.")
    if isinstance(X, (str, bytes, os.PathLike)):
        raise ValueError(f"{name} is a {kind}; pass an array of images, not a file or its name.")
    if not isinstance(X, (list, tuple)) and not any(hasattr(X, mark) for mark in _ARRAY_MARKS):
        raise TypeError(
            f"{name} must be an array of images; got {kind}. Collect its images into one array."
        )


def _as_array(X: Any, name: str) -> np.ndarray:
    if isinstance(X, tuple) and len(X) == 2 and np.ndim(X[0]) != np.ndim(X[1]):
        raise ValueError(f"{name} is a tuple of two arrays; pass images and labels one by one.")
    try:
        return np.asarray(X)
    except ValueError as error:
        sizes = sorted({np.shape(image) for image in X if hasattr(image, "shape")})
        if len(sizes) < 2:
            raise
        raise ValueError(
            f"All images in {name} must have the same size; got sizes {sizes}. Resize them first."
        ) from error


def _refuse_channels_first(X: np.ndarray, name: str) -> None:
    colours = (1, 3, 4)
    if X.ndim == 4 and X.size and X.shape[1] in colours and X.shape[3] not in colours:
        raise ValueError(
            f"{name} of shape {X.shape} looks channels-first; expected (n, h, w, c). "
            f"Use np.moveaxis({name}, 1, -1), or say image_shape={X.shape[1:]} if its images "
            "really have that height, width and number of channels."
        )


def _guess_image_shape(n_features: int) -> ImageShape:
    side = math.isqrt(n_features)
    if side * side == n_features:
        return side, side, 1
    side = math.isqrt(n_features // 3)
    if side >= 8 and 3 * side * side == n_features:
        warn_user(
            f"Rows of {n_features} values look like flat images of shape {(side, side, 3)}, but "
            f"are taken as strips one pixel high. Pass image_shape={(side, side, 3)}, or "
            f"{(1, n_features, 1)} if they are strips.",
        )
    return 1, n_features, 1


def _as_pixels(values: np.ndarray, image_shape: ImageShape, name: str) -> np.ndarray:
    if values.dtype.kind in "Mm":
        raise ValueError(f"{name} has dtype {values.dtype}; pass an array of numbers.")
    if values.dtype not in (np.uint8, np.float32):
        with np.errstate(over="ignore", under="ignore"):
            values = values.astype(np.float32)
        if not np.isfinite(values).all():
            raise ValueError(
                f"Input {name} contains infinity or a value too large for dtype('float32')."
            )
    return values.reshape(len(values), *image_shape)
