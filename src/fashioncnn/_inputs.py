# SPDX-License-Identifier: BSD-3-Clause
"""Whatever a user calls images, as one array of shape (n, h, w, c)."""

import math
import re
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _check_n_features, check_array, check_X_y, validate_data

from fashioncnn._arrays import (
    FILES,
    SPARSE,
    in_memory,
    kinds_of,
    number_errors,
    only_numbers,
    to_array,
)
from fashioncnn._warnings import shortened, warn_user

ImageShape = tuple[int, int, int]

_IMAGES = "an array of images"
# Types of columns that hold numbers, or of which scikit-learn says well what is wrong.
_INTEGERS = re.compile(r"u?int(8|16|32|64)\b")
_NUMBERS = re.compile(
    rf"{_INTEGERS.pattern}|float|double|halffloat|bool|decimal|complex|object|null"
)


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
    return _as_pixels(values, image_shape, "X"), y, rows.dtype or values.dtype


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
    rows = _rows(X, name, image_shape)
    _refuse_other_shape(estimator, rows, image_shape, name)
    # First the names of columns only, which have their own message, then the values.
    validate_data(estimator, rows.names, reset=False, skip_check_array=True, ensure_2d=False)
    with number_errors(name):
        values = check_array(rows.values, dtype="numeric", estimator=estimator, input_name=name)
    n_features = math.prod(image_shape)
    if values.shape[1] != n_features:
        raise ValueError(
            f"{name} has {values.shape[1]} features, but {type(estimator).__name__} is expecting "
            f"{n_features} features as input.{_hint(rows, image_shape, name)}"
        )
    return _as_pixels(values, image_shape, name), rows.dtype or values.dtype


def network_dtype(pixels: np.ndarray) -> np.dtype:
    """Return the dtype in which the network takes pixels: uint8 stays, all else is float32."""
    return pixels.dtype if pixels.dtype == np.uint8 else np.dtype(np.float32)


def as_network_input(pixels: np.ndarray) -> np.ndarray:
    """Cast some of the pixels that were checked to what the network takes, in C order."""
    with np.errstate(under="ignore"):
        return np.ascontiguousarray(pixels, network_dtype(pixels))


def _rows(X: Any, name: str, image_shape: ImageShape | None) -> Rows:
    """Flatten shaped input to rows; leave flat input to scikit-learn's own checks."""
    X = in_memory(X, name, _IMAGES)
    if hasattr(type(X), "columns") and hasattr(type(X), "shape"):
        return _rows_of_frame(X, name)
    X = only_numbers(_as_array(X, name), name)
    if X.dtype.name == "bfloat16":
        X = X.astype(np.float32)  # NumPy itself takes it for no number
    if X.ndim in (0, 2) or (X.ndim == 1 and len(X)):
        return Rows(X, X, X.shape, dtype=_dtype_of_objects(X))
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
    rows = X.reshape(len(X), math.prod(shape))
    return Rows(rows, rows, X.shape, shape, _dtype_of_objects(X))


def _dtype_of_objects(X: np.ndarray) -> np.dtype | None:
    """Return int64 for Python's integers, which scikit-learn makes floats."""
    kinds = kinds_of(X) - {bool, np.bool_} if X.dtype == object else set()
    are_integers = kinds and all(issubclass(kind, (int, np.integer)) for kind in kinds)
    return np.dtype(np.int64) if are_integers else None


def _rows_of_frame(X: Any, name: str) -> Rows:
    """Let columns of numbers pass; of objects only if they are numbers."""
    if hasattr(type(X), "schema") and hasattr(X.schema, "types"):  # of pyarrow
        columns, types = list(X.schema.names), [str(kind).lower() for kind in X.schema.types]
    else:
        columns, types = list(X.columns), [str(kind).lower() for kind in X.dtypes]
    if any(kind.startswith("sparse") for kind in types):
        raise TypeError(SPARSE.format(name))
    others = [pair for pair in zip(columns, types, strict=True) if not _NUMBERS.match(pair[1])]
    if not columns:
        return Rows(X, np.empty(X.shape), X.shape)
    if others:
        raise ValueError(
            f"{name} has columns that are no numbers: {shortened(others)}. Convert or drop them, "
            "or pass the images as one NumPy array."
        )
    if len(set(columns)) < len(columns):
        raise ValueError(f"{name} has several columns of one name; rename or drop them.")
    if "object" in types:
        values = only_numbers(np.asarray(X), name)
        return Rows(X, values, X.shape, dtype=_dtype_of_objects(values))
    integers = [_INTEGERS.match(kind) for kind in types]
    dtype = np.result_type(*(found[0] for found in integers if found)) if all(integers) else None
    return Rows(X, X, X.shape, dtype=dtype)


def _refuse_other_shape(
    estimator: BaseEstimator, rows: Rows, image_shape: ImageShape | None, name: str
) -> None:
    if rows.image_shape not in (None, image_shape):
        raise ValueError(
            f"{name} has images of shape {rows.image_shape}, but {type(estimator).__name__} is "
            f"expecting {image_shape}.{_hint(rows, image_shape, name)}"
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
    _refuse_other_items(X, name)
    try:
        return to_array(X, name, _IMAGES)
    except ValueError as error:
        raise ValueError(_unequal_sizes(X, name) or str(error)) from error


def _is_pil(value: Any) -> bool:
    pil = sys.modules.get("PIL.Image")
    return pil is not None and isinstance(value, pil.Image)


def _refuse_other_items(images: Sequence[Any], name: str) -> None:
    """Refuse what NumPy would stack, or say little about."""
    for i, image in enumerate(images):
        if image is None or isinstance(image, FILES):
            raise ValueError(
                f"{name}[{i}] is a {type(image).__name__}; pass an array of images, not files or "
                "their names."
            )
    modes = sorted({image.mode for image in images if _is_pil(image)})
    if modes not in ([], ["L"], ["RGB"]):
        raise ValueError(
            f"{name} has images of mode {', '.join(modes)}; all must be L, or all RGB. Convert "
            "each, as by image.convert('RGB')."
        )
    n_dimensions = [len(image.shape) for image in images if hasattr(image, "shape")]
    if len(images) == len(n_dimensions) == 2 and n_dimensions[0] != n_dimensions[1]:
        raise ValueError(
            f"{name} is a {type(images).__name__} of two arrays; pass images and labels one by one."
        )


def _unequal_sizes(images: Sequence[Any], name: str) -> str:
    """Say which sizes the images have, or which is none; nothing if that is not the trouble."""
    sizes = set()
    for i, image in enumerate(images):
        try:
            sizes.add(image.size[::-1] if _is_pil(image) else np.shape(image))
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
    # Values are finite as they are, so the extremes tell whether all of them are as float32.
    with np.errstate(over="ignore", under="ignore"):
        extremes = np.array([values.min(), values.max()]).astype(np.float32)
    if not np.isfinite(extremes).all():
        raise ValueError(
            f"Input {name} contains infinity or a value too large for dtype('float32')."
        )
    return values.reshape(len(values), *image_shape)
