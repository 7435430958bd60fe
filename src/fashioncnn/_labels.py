# SPDX-License-Identifier: BSD-3-Clause
"""Labels to codes, their indices among the classes."""

from typing import Any

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array

from fashioncnn._warnings import shortened


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
    unknown = _unknown_labels(y, classes)
    if unknown:
        raise ValueError(
            f"{name} has labels that y lacks: {shortened(unknown)}. The classes of y are "
            f"{shortened(classes.tolist())}."
        )
    return _indices(y, classes)


def _indices(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    return np.searchsorted(classes, y.astype(classes.dtype)).astype(np.int32)


def _unknown_labels(y: np.ndarray, classes: np.ndarray) -> list[Any]:
    """Return the labels that are not among known classes, sorted."""
    return sorted(set(y.tolist()) - set(classes.tolist()), key=str)


def refuse_other_classes(classes: np.ndarray, before: np.ndarray) -> None:
    """Raise scikit-learn's sentence if a warm start meets classes other than before."""
    if set(classes.tolist()) != set(before.tolist()):
        raise ValueError(
            "warm_start can only be used where `y` has the same classes as in the previous call "
            f"to fit. Previously got {shortened(before.tolist())}, `y` has "
            f"{shortened(classes.tolist())}. Pass warm_start=False to train a new network."
        )


def codes_of_piece(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the codes of labels that `partial_fit` is given.

    Raises
    ------
    ValueError
        If a label is not among the classes.
    """
    y = _plain(y)
    unknown = _unknown_labels(y, classes)
    if unknown:
        raise ValueError(
            f"`y` has classes not in `self.classes_`: {shortened(unknown)}. `self.classes_` has "
            f"{shortened(classes.tolist())}. Name all classes in the first call of partial_fit."
        )
    return _indices(y, classes)


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
