# SPDX-License-Identifier: BSD-3-Clause
"""Labels to codes, and the weights that classes and samples carry."""

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import column_or_1d, compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_array

from fashioncnn._inputs import number_errors
from fashioncnn._warnings import warn_user


def refuse_one_hot(y: Any) -> None:
    """Refuse a table of labels with the sentence of scikit-learn and the remedy.

    Raises
    ------
    ValueError
        If y has two dimensions and more than one column.
    """
    if hasattr(y, "tocsr"):
        return  # sparse y gets scikit-learn's message
    shape = getattr(y, "shape", None)
    if shape is None and isinstance(y, (list, tuple)) and y and isinstance(y[0], (list, tuple)):
        shape = len(y), len(y[0])
    if shape is not None and len(shape) == 2 and shape[1] > 1:
        raise ValueError(
            f"y should be a 1d array, got an array of shape {tuple(shape)} instead. "
            "If y is one-hot encoded, pass the labels: y.argmax(axis=1)."
        )


def encode_labels(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted classes, and each label's index among them as int32.

    Raises
    ------
    ValueError
        If y is not a classification target, or has one class only.
    """
    y = _plain(y)
    with np.errstate(invalid="ignore"):  # of floats beyond the integers
        check_classification_targets(y)
    classes, codes = np.unique(y, return_inverse=True)
    refuse_one_class(len(classes))
    return classes, codes.astype(np.int32)


def _plain(y: np.ndarray, name: str = "y") -> np.ndarray:
    """Take objects for what they are: strings, or numbers in an array of numbers."""
    if y.dtype != object:
        return y
    is_str = [isinstance(label, str) for label in y]
    if len(set(is_str)) == 2:  # could not be sorted
        row = is_str.index(not is_str[0])
        raise ValueError(
            f"Unknown label type: unknown. The labels in {name} must be all strings or all "
            f"numbers. Got {y[0]!r} in row 0 and {y[row]!r} in row {row}."
        )
    if is_str[0]:
        return y
    numbers = np.array(y.tolist())
    return numbers if numbers.dtype.kind in "biuf" else y


def refuse_one_class(n_classes: int, where: str = "y") -> None:
    """Raise ValueError if there is nothing to tell apart."""
    if n_classes < 2:
        plural = "" if n_classes == 1 else "es"
        raise ValueError(
            f"A classifier needs samples of at least 2 classes in {where}; "
            f"got {n_classes} class{plural}."
        )


def codes_of(y: Any, classes: np.ndarray, name: str) -> np.ndarray:
    """Return each label's index among known classes as int32.

    Raises
    ------
    TypeError, ValueError
        If y is no array of labels, or one is not among the classes; `name` is what messages call y.
    """
    y = check_array(y, ensure_2d=False, dtype=None, input_name=name)
    y = _plain(column_or_1d(y, warn=True), name)
    unknown = unknown_labels(y, classes)
    if unknown:
        raise ValueError(
            f"{name} has labels that y lacks: {_some(unknown)}. The classes of y are "
            f"{_some(classes.tolist())}."
        )
    return np.searchsorted(classes, y.astype(classes.dtype)).astype(np.int32)


def unknown_labels(y: np.ndarray, classes: np.ndarray) -> list[Any]:
    """Return the labels that are not among known classes, sorted."""
    return sorted(set(y.tolist()) - set(classes.tolist()), key=str)


def _some(labels: list[Any], most: int = 20) -> str:
    """List labels for a message, which is not to run over pages."""
    if len(labels) <= most:
        return str(labels)
    return f"{str(labels[:most])[:-1]}, ... and {len(labels) - most} more]"


def refuse_other_classes(classes: np.ndarray, before: np.ndarray) -> None:
    """Raise scikit-learn's sentence if a warm start meets classes other than before."""
    if set(classes.tolist()) != set(before.tolist()):
        raise ValueError(
            "warm_start can only be used where `y` has the same classes as in the previous call "
            f"to fit. Previously got {_some(before.tolist())}, `y` has "
            f"{_some(classes.tolist())}. Pass warm_start=False to train a new network."
        )


def codes_of_piece(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the codes of labels that `partial_fit` is given.

    Raises
    ------
    ValueError
        If a label is not among the classes.
    """
    unknown = unknown_labels(_plain(y), classes)
    if unknown:
        raise ValueError(
            f"`y` has classes not in `self.classes_`: {_some(unknown)}. `self.classes_` has "
            f"{_some(classes.tolist())}. Name all classes in the first call of partial_fit."
        )
    return codes_of(y, classes, "y")


def check_classes(classes: Any) -> np.ndarray:
    """Check the classes that `partial_fit` is told of.

    Raises
    ------
    TypeError, ValueError
        If they are no sequence of labels of one kind.
    """
    if np.ndim(classes) != 1:
        raise ValueError(
            "classes must be a sequence of labels, as np.unique(y) gives. Got "
            f"{type(classes).__name__} of {np.ndim(classes)} dimensions."
        )
    classes = check_array(classes, ensure_2d=False, dtype=None, input_name="classes")
    return _plain(classes, "classes")


def refuse_balanced(class_weight: Any) -> None:
    """Raise ValueError for weights that need all labels at once."""
    if isinstance(class_weight, str):
        raise ValueError(
            f"class_weight={class_weight!r} needs all labels, which partial_fit does not have. "
            "Pass a dict: dict(zip(classes, compute_class_weight('balanced', classes=classes, "
            "y=y))), by sklearn.utils.class_weight.compute_class_weight."
        )


def class_weights(
    class_weight: Mapping[Any, float] | str | None, classes: np.ndarray, codes: np.ndarray
) -> np.ndarray:
    """Return one weight per class, float64 of shape (n_classes,).

    A class that the mapping does not name has weight 1.

    Raises
    ------
    ValueError
        If a weight is no number, negative or not finite.

    Warns
    -----
    UserWarning
        If the mapping names a label that y lacks, as happens in a fold of cross-validation.
    """
    if class_weight is None:
        return np.ones(len(classes))
    if isinstance(class_weight, str):
        return np.asarray(
            compute_class_weight(class_weight, classes=classes, y=classes[codes]), dtype=float
        )
    labels = classes.tolist()
    unknown = [label for label in class_weight if label not in labels]
    if unknown:
        warn_user(
            f"class_weight names labels that y lacks: {unknown}. They have no effect.",
        )
    weights = [class_weight.get(label, 1) for label in labels]
    if not all(_is_weight(weight) for weight in weights):
        raise ValueError(
            "The weights in class_weight must be finite numbers and not negative. "
            f"Got {class_weight!r}."
        )
    return np.array(weights, dtype=float)


def _is_weight(value: Any) -> bool:
    try:
        return isinstance(value, Real) and 0 <= float(value) < math.inf
    except OverflowError:
        return False


def sample_weights(
    sample_weight: ArrayLike | None, X: np.ndarray, name: str = "sample_weight"
) -> np.ndarray:
    """Return one weight per row, float64 of shape (n,); `name` is what messages call them.

    Raises
    ------
    ValueError
        If the weights are not finite numbers of at least 0, one per row and not all 0.
    """
    if sample_weight is None:
        return np.ones(len(X))
    try:
        with number_errors(name):
            weights: np.ndarray = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
    except ValueError as error:  # scikit-learn's messages know one name only
        raise ValueError(str(error).replace("sample_weight", name)) from error
    if not np.isfinite(weights).all():  # of one number for all rows, which is not checked above
        raise ValueError(f"Input {name} contains NaN or infinity.")
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights


def combine_weights(*factors: np.ndarray) -> np.ndarray:
    """Multiply weights, each as a share of the largest of its kind, so that none overflows."""
    with np.errstate(under="ignore"):
        return np.prod([factor / (factor.max() or 1) for factor in factors], axis=0)


def absolute_weights(*factors: np.ndarray) -> np.ndarray:
    """Multiply weights as they are, to float32.

    Raises
    ------
    ValueError
        If a product is too large.
    """
    with np.errstate(over="ignore", under="ignore"):
        weights = np.prod(factors, axis=0).astype(np.float32)
    if not np.isfinite(weights).all():
        raise ValueError(
            "The product of sample_weight and class_weight is too large for dtype('float32'). "
            "Pass smaller weights; partial_fit takes them as they are."
        )
    return weights


def scale_to_mean_one(weights: np.ndarray, what: str) -> np.ndarray:
    """Divide weights by their mean, as float32.

    Raises
    ------
    ValueError
        If all of them are zero, so that nothing in that part would count.
    """
    largest = weights.max()
    if largest == 0:
        raise ValueError(
            f"All sample and class weights of the {what} are zero. "
            "Give at least one of its rows a positive weight."
        )
    with np.errstate(under="ignore"):
        shares = weights / largest  # keeps the sum finite for the largest floats
        return (shares / shares.mean()).astype(np.float32)
