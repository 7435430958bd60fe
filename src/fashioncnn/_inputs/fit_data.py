# SPDX-License-Identifier: BSD-3-Clause
"""What `fit` and `partial_fit` are given: checked, encoded and weighed, then divided into parts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length
from sklearn.utils.multiclass import _check_partial_fit_first_call

from fashioncnn._inputs.images import ImageShape, check_images, check_training_images
from fashioncnn._inputs.labels import (
    as_labels,
    check_classes,
    encode_known_labels,
    encode_labels,
    labels_to_score,
    refuse_one_class,
    refuse_other_classes,
)
from fashioncnn._inputs.parameters import parse_image_shape
from fashioncnn._inputs.split import split_rows
from fashioncnn._inputs.weights import (
    class_weights,
    combine_unscaled_weights,
    combine_weights,
    refuse_balanced,
    sample_weights,
    scale_to_mean_one,
)
from fashioncnn._network.scaling import PixelRange, pixel_range, warn_of_other_range


class Images(NamedTuple):
    """Images with their labels and weights, all of the same length."""

    pixels: np.ndarray  # (n, h, w, c), of any dtype of numbers
    codes: np.ndarray  # (n,), int32
    weights: np.ndarray  # (n,), float64 of any scale, or float32 as training takes them


class Selection:
    """Some of the images, in an order, which are copied only when a few of them are taken."""

    def __init__(self, pixels: np.ndarray, rows: np.ndarray) -> None:
        self.dtype = pixels.dtype
        self._pixels, self._rows = pixels, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, part: slice) -> np.ndarray:
        selected: np.ndarray = self._pixels[self._rows[part]]
        return selected


class ValidationImages(NamedTuple):
    """Images to evaluate on, of the same length each."""

    pixels: np.ndarray | Selection
    codes: np.ndarray  # (n,), int32
    weights: np.ndarray  # (n,), float32 of mean 1


class Known(NamedTuple):
    """What an earlier fit has fixed."""

    image_shape: ImageShape
    classes: np.ndarray
    values: PixelRange


class TrainingData(NamedTuple):
    """What was given, checked."""

    images: Images
    source_dtype: np.dtype
    values: PixelRange  # of all images so far
    classes: np.ndarray
    validation: Images | None


class Parts(NamedTuple):
    """What training takes: images, the rows of them to train on, and images to evaluate on."""

    images: Images
    rows: np.ndarray
    validation: ValidationImages | None


def check_fit_input(
    estimator: BaseEstimator,
    X: Any,
    y: Any,
    sample_weight: Any,
    validation: Sequence[Any],
    known: Known | None,
) -> TrainingData:
    """Make every complaint about what `fit` is given.

    Parameters
    ----------
    estimator : estimator
        Has the parameters; receives ``n_features_in_`` and ``feature_names_in_``.
    X, y, sample_weight : array-like
        Images, labels and weights; weights may be None.
    validation : sequence of X_val, y_val and sample_weight_val
        The same to validate on, or None each.
    known : Known or None
        What a warm start goes on from.

    Raises
    ------
    TypeError, ValueError
        If X is no array of images, y no classification target with at least two classes, or weights
        are no finite numbers of at least 0; with `known`, if shape, names or classes are others.
    """
    pixels, y, source_dtype, values = _check_images_and_labels(estimator, X, y, known)
    classes, codes = encode_labels(y)
    if known:
        refuse_other_classes(classes, known.classes)
        classes = known.classes
    weight_of_class = class_weights(estimator.class_weight, classes, codes)
    weights = combine_weights(sample_weights(sample_weight, pixels), weight_of_class[codes])
    data = TrainingData(Images(pixels, codes, weights), source_dtype, values, classes, None)
    return data._replace(validation=_check_validation(estimator, validation, data, weight_of_class))


def check_partial_fit_input(
    estimator: BaseEstimator,
    X: Any,
    y: Any,
    classes: Any,
    sample_weight: Any,
    known: Known | None,
) -> TrainingData:
    """Make every complaint about what `partial_fit` is given; see `check_fit_input`.

    Weights stay as they are: those of other calls, to which they relate, are not known.
    """
    with np.errstate(invalid="ignore"):  # of floats beyond the integers
        _check_partial_fit_first_call(
            estimator, None if classes is None else check_classes(classes)
        )
    classes = estimator.classes_
    refuse_one_class(len(classes), "classes")
    refuse_balanced(estimator.class_weight)
    pixels, y, source_dtype, values = _check_images_and_labels(estimator, X, y, known)
    codes = encode_known_labels(y, classes)
    weight_of_class = class_weights(estimator.class_weight, classes, codes)
    weights = combine_unscaled_weights(
        sample_weights(sample_weight, pixels), weight_of_class[codes]
    )
    return TrainingData(Images(pixels, codes, weights), source_dtype, values, classes, None)


def check_score_input(
    y: Any, sample_weight: Any, classes: np.ndarray, pixels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Make every complaint about the labels and weights that `score` is given with the pixels.

    Raises
    ------
    TypeError, ValueError
        If they are none, or not as many as images.
    """
    labels = labels_to_score(y, classes)
    check_consistent_length(pixels, labels)
    return labels, sample_weights(sample_weight, pixels)


def _check_images_and_labels(
    estimator: BaseEstimator, X: Any, y: Any, known: Known | None
) -> tuple[np.ndarray, np.ndarray, np.dtype, PixelRange]:
    y = as_labels(y)
    image_shape = (
        None if estimator.image_shape is None else parse_image_shape(estimator.image_shape)
    )
    if known:
        if image_shape not in (None, known.image_shape):
            raise ValueError(
                f"image_shape={estimator.image_shape}, but training goes on with images of shape "
                f"{known.image_shape}. Set it back, or fit with warm_start=False."
            )
        image_shape = known.image_shape
    pixels, y, source_dtype = check_training_images(
        estimator, X, y, image_shape, is_first=known is None
    )
    values = pixel_range(pixels)._replace(is_integer=source_dtype.kind in "iu")
    if known:
        warn_of_other_range(pixels, source_dtype, known.values)
        values = values.joined(known.values)
    return pixels, y, source_dtype, values


def _check_validation(
    estimator: BaseEstimator,
    validation: Sequence[Any],
    training: TrainingData,
    weight_of_class: np.ndarray,
) -> Images | None:
    X, y, sample_weight = validation
    if X is None and y is None:
        if sample_weight is not None:
            raise ValueError("sample_weight_val goes with X_val and y_val, which are None.")
        return None
    if X is None or y is None:
        raise ValueError("Pass X_val and y_val together, or neither.")
    pixels, source_dtype = check_images(estimator, X, training.images.pixels.shape[1:], "X_val")
    warn_of_other_range(pixels, source_dtype, training.values, "X_val")
    codes = encode_known_labels(y, training.classes, "y_val")
    if len(pixels) != len(codes):
        raise ValueError(
            f"X_val and y_val have inconsistent numbers of samples: {len(pixels)} and {len(codes)}."
        )
    weights = sample_weights(sample_weight, pixels, "sample_weight_val")
    return Images(pixels, codes, combine_weights(weights, weight_of_class[codes]))


def divide(data: TrainingData, validation_fraction: float | None, seed: int) -> Parts:
    """Hold out a share of the images where none are given to validate on, and scale weights.

    Raises
    ------
    ValueError
        If nothing can be held out, a part has weights of zero only, or y one class that has others.
    """
    images, rows = data.images, np.arange(len(data.images.codes))
    counted = np.flatnonzero(images.weights)
    n_classes = np.unique(images.codes[counted]).size
    refuse_one_class(n_classes, "y with a positive weight (sample_weight times class_weight)")
    validation = data.validation and ValidationImages(*data.validation)
    if validation is None and validation_fraction is not None:
        # Images of no weight say nothing in either part: they stay in training, and count nowhere.
        _, held_out = split_rows(images.codes[counted], data.classes, validation_fraction, seed)
        chosen = counted[held_out]
        rows = np.delete(rows, chosen)
        validation = ValidationImages(
            Selection(images.pixels, chosen), images.codes[chosen], images.weights[chosen]
        )
    weights = np.zeros(len(images.weights), np.float32)
    weights[rows] = scale_to_mean_one(images.weights[rows], "training part")
    if validation is not None:
        scaled = scale_to_mean_one(validation.weights, "validation part")
        validation = validation._replace(weights=scaled)
    return Parts(images._replace(weights=weights), rows, validation)


def undivided(data: TrainingData) -> Parts:
    """Train on all images, with weights as they are."""
    return Parts(data.images, np.arange(len(data.images.codes)), None)
