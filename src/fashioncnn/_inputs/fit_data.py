# SPDX-License-Identifier: BSD-3-Clause
"""What `fit`, `partial_fit` and `score` are given: checked, encoded and weighted, then split."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length

from fashioncnn._inputs.images import check_first_images, check_images
from fashioncnn._inputs.labels import (
    check_classes,
    encode_known_labels,
    encode_labels,
    labels_to_score,
    refuse_one_class,
    refuse_other_classes,
)
from fashioncnn._inputs.nested import parse_augment, parse_image_shape
from fashioncnn._inputs.parameters import Float
from fashioncnn._inputs.split import split_rows
from fashioncnn._inputs.weights import (
    absolute_product,
    class_weights,
    refuse_balanced,
    relative_product,
    sample_weights,
    scale_to_mean_one,
)
from fashioncnn._messages import TRAIN_ANEW, WITH_WEIGHT, warn_user
from fashioncnn._network.batches import divide_into_batches
from fashioncnn._network.data import (
    ImageSelection,
    ImageShape,
    LabelledImages,
    TrainingSplit,
    ValidationImages,
)
from fashioncnn._network.pixel_range import PixelRange, pixel_range, warn_of_other_range
from fashioncnn._network.scaling import warn_of_unscaled

_AS_BEFORE = "Pass pixels on the same scale as in the calls before; the network knows no other."
_AS_X = (
    "Pass X_val on the same scale as X; else val_loss and val_accuracy mean little. A Pipeline "
    "transforms X only, unless you pass transform_input=['X_val'] to it, which needs "
    "scikit-learn's metadata routing."
)


class UserData(NamedTuple):
    """Images, labels and weights as the user passes them."""

    X: Any
    y: Any
    sample_weight: Any


class PreviousFit(NamedTuple):
    """What an earlier fit has fixed."""

    image_shape: ImageShape
    classes: np.ndarray
    pixel_range: PixelRange


class TrainingData(NamedTuple):
    """The user's data, checked and encoded."""

    images: LabelledImages
    source_dtype: np.dtype  # of X
    pixel_range: PixelRange  # of all images so far
    classes: np.ndarray
    validation: LabelledImages | None


def check_fit_input(
    estimator: BaseEstimator,
    training: UserData,
    validation: UserData,
    previous: PreviousFit | None,
) -> TrainingData:
    """Check all that `fit` is given.

    Parameters
    ----------
    estimator : estimator
        Has the parameters; receives ``n_features_in_`` and ``feature_names_in_``.
    training : UserData
        X, y and sample_weight, which may be None.
    validation : UserData
        X_val, y_val and sample_weight_val, which may all be None.
    previous : PreviousFit or None
        What a warm start goes on from.

    Raises
    ------
    TypeError, ValueError
        If X is no array of images, y no classification target with at least two classes, or weights
        are no finite numbers of at least 0; or if shape, names or classes are not those of
        `previous`.
    """
    if estimator.checkpoint is not None:
        _refuse_to_resume(estimator)
    classes, codes = encode_labels(training.y)
    if previous:
        refuse_other_classes(classes, previous.classes)
        classes = previous.classes
    pixels, source_dtype, value_range = _check_pixels(estimator, training.X, codes, previous)
    weight_of_class = class_weights(estimator.class_weight, classes, codes)
    weights = sample_weights(training.sample_weight, pixels)
    images = LabelledImages(pixels, codes, relative_product(weights, weight_of_class[codes]))
    data = TrainingData(images, source_dtype, value_range, classes, None)
    data = data._replace(validation=_check_validation(estimator, validation, data, weight_of_class))
    _warn_of_unseen_mirror_images(estimator)
    return data


def _refuse_to_resume(estimator: BaseEstimator) -> None:
    """Refuse parameters by which no other fit can be the same."""
    if estimator.warm_start:
        raise ValueError(
            "checkpoint is for one fit, and warm_start=True goes on from the one before. Set "
            "checkpoint=None, or warm_start=False."
        )
    seed = estimator.random_state
    if seed is None or isinstance(seed, np.random.RandomState):
        raise ValueError(
            "checkpoint needs an int as random_state, so that the next fit can go on with the same "
            f"random numbers. Got random_state={seed!r}. Set it to an int, such as random_state=0."
        )


def warn_of_cut_schedule(estimator: BaseEstimator, n_rows: int) -> None:
    """Warn where early stopping may end training while the schedule's rate is still high.

    Parameters
    ----------
    estimator : estimator
        Has the parameters.
    n_rows : int
        The number of images to train on.
    """
    schedule = estimator.learning_rate_schedule
    if not estimator.early_stopping or schedule == "constant":
        return
    batches = divide_into_batches(
        n_rows, estimator.batch_size, is_normalized=estimator.batch_normalization
    )
    epochs = batches.n_epochs(estimator.epochs, estimator.min_steps)
    if estimator.n_iter_no_change + 1 < epochs:
        fewer = "fewer epochs" if epochs == estimator.epochs else "a lower min_steps"
        warn_user(
            f"learning_rate_schedule={schedule!r} falls over all {epochs} epochs, but "
            "early_stopping=True may end training long before that, which may cost accuracy. "
            f"Use early_stopping=False and {fewer}, or learning_rate_schedule='constant'."
        )


def _warn_of_unseen_mirror_images(estimator: BaseEstimator) -> None:
    """Warn where predictions will see mirror images and training does not."""
    augmentation = parse_augment(estimator.augment)
    if estimator.test_time_flip and not (augmentation and augmentation.flip):
        warn_user(
            "test_time_flip=True averages predictions over images and their mirror images, but "
            "augment has no flip. Unless X has mirror images too, training sees none, which may "
            "cost much accuracy. Where a mirror image has the same label, use augment='flip' or "
            "'flip_shift', or a dict with a flip; else use test_time_flip=False."
        )


def check_partial_fit_input(
    estimator: BaseEstimator, training: UserData, classes: Any, previous: PreviousFit | None
) -> TrainingData:
    """Check all that `partial_fit` is given; see `check_fit_input`.

    Weights stay as they are: those of other calls, to which they relate, are not known.
    """
    classes = check_classes(classes, getattr(estimator, "classes_", None))
    refuse_one_class(len(classes), "classes")
    refuse_balanced(estimator.class_weight)
    codes = encode_known_labels(training.y, classes, "y", is_piece=True)
    pixels, source_dtype, value_range = _check_pixels(estimator, training.X, codes, previous)
    weight_of_class = class_weights(estimator.class_weight, classes, codes)
    weights = sample_weights(training.sample_weight, pixels)
    images = LabelledImages(pixels, codes, absolute_product(weights, weight_of_class[codes]))
    return TrainingData(images, source_dtype, value_range, classes, None)


def check_score_input(
    y: Any, sample_weight: Any, classes: np.ndarray, pixels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Check the labels and weights that `score` is given with the pixels.

    Raises
    ------
    TypeError, ValueError
        If they are not an array of labels and one of weights, or not one for each image.
    """
    labels = labels_to_score(y, classes)
    check_consistent_length(pixels, labels)
    return labels, sample_weights(sample_weight, pixels)


def _check_pixels(
    estimator: BaseEstimator, X: Any, codes: np.ndarray, previous: PreviousFit | None
) -> tuple[np.ndarray, np.dtype, PixelRange]:
    """Check X, and return its pixels, its dtype, and the range of all pixels so far."""
    image_shape = estimator.image_shape
    shape = None if image_shape is None else parse_image_shape(image_shape)
    if previous and shape not in (None, previous.image_shape):
        raise ValueError(
            f"image_shape={image_shape}, but training goes on with images of shape "
            f"{previous.image_shape}. Set it back. {TRAIN_ANEW}"
        )
    if previous:
        pixels, source_dtype = check_images(estimator, X, previous.image_shape)
    else:
        pixels, source_dtype = check_first_images(estimator, X, shape)
    check_consistent_length(pixels, codes)
    value_range = pixel_range(pixels, source_dtype)
    if previous:
        warn_of_other_range(pixels, source_dtype, previous.pixel_range, advice=_AS_BEFORE)
        value_range = value_range.union(previous.pixel_range)
    elif estimator.scaling == "unit":
        warn_of_unscaled(value_range)
    return pixels, source_dtype, value_range


def _check_validation(
    estimator: BaseEstimator,
    validation: UserData,
    training: TrainingData,
    weight_of_class: np.ndarray,
) -> LabelledImages | None:
    X, y, sample_weight = validation
    if X is None and y is None:
        if sample_weight is not None:
            raise ValueError("sample_weight_val goes with X_val and y_val, which are None.")
        return None
    if X is None or y is None:
        raise ValueError("Pass X_val and y_val together, or neither.")
    pixels, source_dtype = check_images(estimator, X, training.images.pixels.shape[1:], "X_val")
    warn_of_other_range(pixels, source_dtype, training.pixel_range, "X_val", _AS_X)
    codes = encode_known_labels(y, training.classes, "y_val")
    if len(pixels) != len(codes):  # scikit-learn's check would not name them
        raise ValueError(
            f"X_val and y_val have inconsistent numbers of samples: {len(pixels)} and {len(codes)}."
        )
    weights = sample_weights(sample_weight, pixels, "sample_weight_val")
    return LabelledImages(pixels, codes, relative_product(weights, weight_of_class[codes]))


def split_data(data: TrainingData, validation_fraction: Float | None, seed: int) -> TrainingSplit:
    """Hold out a share of the images where none are given to validate on, and scale weights.

    Raises
    ------
    ValueError
        If nothing can be held out, a part has weights of zero only, or y one class that has others.
    """
    images, rows = data.images, np.arange(len(data.images.codes))
    n_classes = np.unique(images.codes[images.weights > 0]).size
    refuse_one_class(n_classes, f"y {WITH_WEIGHT}")
    validation = data.validation and ValidationImages(*data.validation)
    if validation is None and validation_fraction is not None:
        rows, held_out = split_rows(
            images.codes, images.weights, data.classes, validation_fraction, seed
        )
        validation = ValidationImages(
            ImageSelection(images.pixels, held_out),
            images.codes[held_out],
            images.weights[held_out],
        )
    weights = np.zeros(len(images.weights), np.float32)
    weights[rows] = scale_to_mean_one(images.weights[rows], "training part")
    if validation is not None:
        scaled = scale_to_mean_one(validation.weights, "validation part")
        validation = validation._replace(weights=scaled)
    return TrainingSplit(images._replace(weights=weights), rows, validation)


def train_on_all(data: TrainingData) -> TrainingSplit:
    """Hold nothing out, and leave the weights as they are."""
    return TrainingSplit(data.images, np.arange(len(data.images.codes)), None)
