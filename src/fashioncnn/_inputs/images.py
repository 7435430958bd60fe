# SPDX-License-Identifier: BSD-3-Clause
"""Whatever a user calls images, as one array of shape (n, h, w, c)."""

import math
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _check_n_features, check_array, check_X_y, validate_data

from fashioncnn._inputs.arrays import (
    FILES,
    collected,
    dtype_of_objects,
    joined,
    number_errors,
    only_numbers,
    to_array,
    with_arrays,
)
from fashioncnn._inputs.frames import check_frame, is_frame
from fashioncnn._messages import shortened, warn_user
from fashioncnn._network.data import ImageShape

_IMAGES = "an array of images"
_DIMENSIONS = "2, 3 or 4 dimensions: (n, h * w * c), (n, h, w) or (n, h, w, c)."
_MODES = {"L", "RGB"}  # of PIL's images
_LARGEST_IMAGE = 10**9  # values


class Rows(NamedTuple):
    """X as scikit-learn sees it, and as what its user gave it."""

    names: Any  # what has the names of columns, if anything
    values: Any  # two-dimensional
    given_shape: tuple[int, ...]
    image_shape: ImageShape | None = None  # None where X was flat
    dtype: np.dtype | None = None  # of integers that scikit-learn makes floats


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
    pixels : ndarray of shape (n, h, w, c)
        The images, of whatever dtype of numbers: `as_network_input` casts those that are used.
    y : ndarray of shape (n,)
        The labels.
    source_dtype : dtype
        The dtype of X as an array; of integers too where they are objects or nullable.

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
    # First the names of columns and that there is y, then the values, which may have lost names.
    validate_data(estimator, rows.names, y, reset=is_first, skip_check_array=True, ensure_2d=False)
    with number_errors("X"):
        values, y = check_X_y(rows.values, y, dtype="numeric", estimator=estimator)
    _check_n_features(estimator, values, reset=is_first)
    image_shape = rows.image_shape or image_shape or _guess_image_shape(values.shape[1])
    if math.prod(image_shape) != values.shape[1]:
        raise ValueError(
            f"X has {values.shape[1]} features, but image_shape={image_shape} has "
            f"{math.prod(image_shape)} values."
        )
    return _as_float32_images(values, image_shape, "X"), y, rows.dtype or values.dtype


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
    pixels : ndarray of shape (n, h, w, c)
        The images, of whatever dtype of numbers: `as_network_input` casts those that are used.
    source_dtype : dtype
        The dtype of X as an array; of integers too where they are objects or nullable.

    Raises
    ------
    TypeError, ValueError
        If X is no array of such images.
    """
    if _is_plain(estimator, X, image_shape):
        return X.reshape(len(X), *image_shape), X.dtype
    rows = _rows(X, name, image_shape)
    _refuse_other_shape(estimator, rows, image_shape, name)
    # First the names of columns only, which have their own message, then the length of rows, and
    # the values last: there may be many.
    validate_data(estimator, rows.names, reset=False, skip_check_array=True, ensure_2d=False)
    _refuse_other_length(estimator, rows, image_shape, name)
    with number_errors(name):
        values = check_array(rows.values, dtype="numeric", estimator=estimator, input_name=name)
    return _as_float32_images(values, image_shape, name), rows.dtype or values.dtype


def _is_plain(estimator: BaseEstimator, X: Any, image_shape: ImageShape) -> bool:
    """Say whether X is an array about which there is nothing to say, as most are.

    All that scikit-learn and others look for takes longer than one image takes to predict.
    """
    if type(X) is not np.ndarray or not X.size or hasattr(estimator, "feature_names_in_"):
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


def _rows(X: Any, name: str, image_shape: ImageShape | None) -> Rows:
    """Flatten shaped input to rows; leave flat input to scikit-learn's own checks."""
    X = collected(X, name, _IMAGES)
    if is_frame(X):
        values, integer_dtype = check_frame(X, name)
        return Rows(X, values, X.shape, dtype=integer_dtype)
    X = _as_array(X, name)
    _refuse_large(X, name)
    X = only_numbers(X, name)
    if X.dtype.name == "bfloat16":
        X = X.astype(np.float32)  # NumPy itself takes it for no number
    if X.ndim in (0, 2) or (X.ndim == 1 and len(X)):
        return Rows(X, X, X.shape, dtype=dtype_of_objects(X))
    if len(X) == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={X.shape}) as {name} while a minimum of 1 is "
            "required."
        )
    if X.ndim > 4:
        raise ValueError(
            f"Found array with dim {X.ndim} and shape {X.shape} as {name}; expected {_DIMENSIONS}"
        )
    shape: ImageShape = (*X.shape[1:], 1)[:3]
    if shape != image_shape:
        _refuse_channels_first(X, name)
    rows = X.reshape(len(X), math.prod(shape))
    return Rows(rows, rows, X.shape, shape, dtype_of_objects(X))


def _refuse_other_shape(
    estimator: BaseEstimator, rows: Rows, image_shape: ImageShape | None, name: str
) -> None:
    if rows.image_shape not in (None, image_shape):
        raise ValueError(
            f"{name} has images of shape {rows.image_shape}, but {type(estimator).__name__} is "
            f"expecting {image_shape}.{_hint(rows, image_shape, name)}"
        )


def _refuse_other_length(
    estimator: BaseEstimator, rows: Rows, image_shape: ImageShape, name: str
) -> None:
    """Compare flat rows to the images, unless there are none or scikit-learn reshapes them."""
    shape, n_features = rows.given_shape, math.prod(image_shape)
    if rows.image_shape is None and len(shape) == 2 and 0 not in shape and shape[1] != n_features:
        raise ValueError(
            f"{name} has {shape[1]} features, but {type(estimator).__name__} is expecting "
            f"{n_features} features as input.{_hint(rows, image_shape, name)}"
        )


def _hint(rows: Rows, image_shape: ImageShape | None, name: str) -> str:
    is_single = image_shape and rows.given_shape in (image_shape, image_shape[:2])
    return f" To pass a single image, pass {name}[None]." if is_single else ""


def _as_array(X: Any, name: str) -> np.ndarray:
    """Stack images that come one by one."""
    if _is_pil(X):
        raise ValueError(f"{name} is one image; pass a list of images: [image].")
    if not isinstance(X, (list, tuple)):
        X = to_array(X, name, _IMAGES)
        if X.dtype != object or X.ndim != 1:
            return X
        X = list(X)  # an array of arrays
    _refuse_files(X, name)
    _refuse_pair(X, name)
    images = _with_arrays(X, name)
    try:
        return joined(images, name, _IMAGES)
    except ValueError as error:
        raise ValueError(_unequal_sizes(images, name) or str(error)) from error


def _is_pil(value: Any) -> bool:
    pil = sys.modules.get("PIL.Image")
    return pil is not None and isinstance(value, pil.Image)


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
        n_dimensions = {len(image.shape) for image in images}
        if len(n_dimensions) == 2:
            raise ValueError(
                f"{name} is a {type(images).__name__} of two arrays; pass images and labels one by "
                "one."
            )


def _with_arrays(images: Sequence[Any], name: str) -> Sequence[Any]:
    """Convert tensors, frames and images of PIL in lists, with what each is refused for alone."""
    modes: set[str] = set()

    def convert(image: Any, name: str) -> Any:
        if _is_pil(image):
            modes.add(image.mode)
            return to_array(image, name, _IMAGES) if image.mode in _MODES else image
        if is_frame(image):
            return to_array(check_frame(image, name)[0], name, _IMAGES)
        return to_array(image, name, _IMAGES)

    converted = with_arrays(images, name, convert, _DIMENSIONS)
    if len(modes) > 1 or not modes <= _MODES:
        raise ValueError(
            f"{name} has images of mode {', '.join(sorted(modes))}; all must be L, or all RGB. "
            "Convert each, as by image.convert('RGB')."
        )
    return converted


def _unequal_sizes(images: Sequence[Any], name: str) -> str:
    """Say which sizes the images have, or which is none; nothing if that is not the trouble."""
    sizes = set()
    for i, image in enumerate(images):
        try:
            sizes.add(np.shape(image))
        except ValueError:
            return (
                f"{name}[{i}] is no image, but a {type(image).__name__} of parts that differ in "
                "shape. Pass images of one size, without their labels."
            )
        except Exception:  # whatever its conversion raises
            return ""
    if len(sizes) < 2:
        return ""
    return (
        f"All images in {name} must have the same size; got sizes {shortened(sorted(sizes))}. "
        "Resize them first."
    )


def _refuse_large(X: np.ndarray, name: str) -> None:
    """Tell by the shape alone; the values may be one number, which an array repeats for ever."""
    if math.prod(X.shape[1:]) > _LARGEST_IMAGE:
        raise ValueError(
            f"{name} has shape {X.shape}, images of more than {_LARGEST_IMAGE:,} values, which no "
            "network takes. Resize or crop them first."
        )


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


def _as_float32_images(values: np.ndarray, image_shape: ImageShape, name: str) -> np.ndarray:
    if values.dtype.kind == "f" and values.dtype.itemsize > 4:
        # Values are finite as they are, so the extremes tell whether all of them are as float32.
        with np.errstate(over="ignore", under="ignore"):
            extremes = np.array([values.min(), values.max()]).astype(np.float32)
        if not np.isfinite(extremes).all():
            raise ValueError(
                f"Input {name} contains infinity or a value too large for dtype('float32')."
            )
    return values.reshape(len(values), *image_shape)
