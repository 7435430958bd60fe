# SPDX-License-Identifier: BSD-3-Clause
"""Check labels and encode them: the code of a label is its index among the sorted classes."""

from datetime import date
from numbers import Number
from typing import Any

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array

from fashioncnn._inputs.arrays import kinds_of, missing_as_nan, to_array
from fashioncnn._messages import TRAIN_ANEW, shortened

# By the kind of dtype. All other kinds are numbers.
_KIND_NAMES = {"O": "string", "U": "string", "M": "date", "m": "duration"}
_LABELS = "an array of labels"


def as_labels(y: Any, name: str = "y") -> Any:
    """Convert labels to an array, and check that they are one column without missing values.

    None stays, because scikit-learn has an error message for it. So do the values in an array of
    objects, and those in a list of texts and others, where NumPy would make all of them texts.

    Raises
    ------
    TypeError, ValueError
        If y is not an array, is one-hot or a scalar, or has missing values, records or bytes.
    """
    if y is None:
        return None
    labels = np.asarray(y) if isinstance(y, Number) else to_array(y, name, _LABELS)
    if isinstance(y, (list, tuple)) and labels.dtype.kind in "SU" and labels.ndim == 1:
        is_text = [isinstance(label, (str, bytes)) for label in y]
        labels = labels if all(is_text) else np.array(y, dtype=object)
    if labels.dtype.kind == "T":  # texts of variable width, which scikit-learn does not take
        labels = labels.astype(object)
    if labels.ndim != 1 and not (labels.ndim == 2 and labels.shape[1] <= 1):
        hint = f" If it is one-hot encoded, pass the labels: {name}.argmax(axis=1)."
        raise ValueError(
            f"{name} should be a 1d array, got an array of shape {labels.shape} instead."
            f"{hint if labels.ndim == 2 else ''}"
        )
    if labels.dtype.kind == "S" or (labels.dtype == object and bytes in kinds_of(labels)):
        raise TypeError(
            f"Support for labels represented as bytes is not supported in {name}. Convert the "
            "labels to a string or integer format."
        )
    if labels.dtype.kind == "V":
        raise ValueError(
            f"Unknown label type: {name} has dtype {labels.dtype}. Pass numbers or strings."
        )
    if labels.dtype.kind in "Mm" and np.isnat(labels).any():
        raise ValueError(f"Input {name} contains NaN: row {np.isnat(labels).argmax()} is NaT.")
    return missing_as_nan(labels) if labels.dtype == object else labels


def encode_labels(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted classes, and each label's index among them as int32.

    Raises
    ------
    ValueError
        If y is not a classification target, or has one class only.
    """
    y = _convert_objects(y)
    with np.errstate(invalid="ignore"):  # floats may be too large for the cast to integers in it
        check_classification_targets(y)
    classes, codes = np.unique(y, return_inverse=True)
    refuse_one_class(len(classes))
    return classes, codes.astype(np.int32)


def _convert_objects(y: np.ndarray, name: str = "y") -> np.ndarray:
    """Convert an array of objects to numbers or dates, if all objects are; strings stay objects.

    Raises
    ------
    ValueError
        If the objects differ in kind or are none of these, so that they can't be sorted.
    """
    if y.dtype != object:
        return y
    is_str = [isinstance(label, str) for label in y]
    odd = [row for row, label in enumerate(y) if label is None or is_str[row] != is_str[0]]
    if odd:
        raise ValueError(
            f"Unknown label type: unknown. The labels in {name} must be all strings or all "
            f"numbers. Got {y[0]!r} in row 0 and {y[odd[-1]]!r} in row {odd[-1]}."
        )
    if is_str[0]:
        return y
    if all(isinstance(label, date) and getattr(label, "tzinfo", None) is None for label in y):
        labels = y.astype("datetime64")
        if labels.tolist() == y.tolist():
            return labels
    elif not any(hasattr(kind, "__len__") for kind in kinds_of(y)):
        labels = np.array(y.tolist())
        if labels.dtype.kind in "biuf":
            return labels
    raise ValueError(
        f"Unknown label type: unknown. The labels in {name} must be numbers, strings or dates "
        f"without a time zone, to the microsecond. Got {type(y[0]).__name__} in row 0."
    )


def refuse_one_class(n_classes: int, where: str = "y") -> None:
    """Raise ValueError if there are fewer than two classes."""
    if n_classes < 2:
        plural = "" if n_classes == 1 else "es"
        raise ValueError(
            f"A classifier needs samples of at least 2 classes in {where}; "
            f"got {n_classes} class{plural}."
        )


def encode_known_labels(y: Any, classes: np.ndarray, name: str = "y") -> np.ndarray:
    """Return each label's index among known classes as int32.

    Parameters
    ----------
    y : array-like of shape (n,)
        The labels that `partial_fit` or a validation part is given.
    classes : ndarray of shape (n_classes,)
        The sorted classes.
    name : str, default="y"
        The name of the labels in error messages; "y" in `partial_fit`.

    Raises
    ------
    TypeError, ValueError
        If y is not an array of labels, or a label is not among the classes.
    """
    y = _check_labels(y, name, warn=True)
    unknown = _unknown_labels(y, classes)
    if unknown and name == "y":  # scikit-learn's message
        raise ValueError(
            f"`y` has classes not in `self.classes_`: {shortened(unknown)}. `self.classes_` has "
            f"{shortened(labels_to_list(classes))}. Name all classes in the first call of "
            "partial_fit."
        )
    if unknown:
        raise ValueError(
            f"{name} has labels that y lacks: {shortened(unknown)}. The classes of y are "
            f"{shortened(labels_to_list(classes))}."
        )
    return np.searchsorted(classes, y.astype(classes.dtype)).astype(np.int32)


def _check_labels(y: Any, name: str, warn: bool) -> np.ndarray:
    """Return labels as an array of one dimension; `warn` is about labels in a column."""
    y = check_array(as_labels(y, name), ensure_2d=False, dtype=None, input_name=name)
    return _convert_objects(column_or_1d(y, warn=warn), name)


def labels_to_score(y: Any, classes: np.ndarray) -> np.ndarray:
    """Check the true labels that `score` compares with predictions. They need not be classes.

    Raises
    ------
    TypeError, ValueError
        If y is not an array of labels, or has numbers where classes are strings, or the reverse.
    """
    if y is None:
        raise ValueError(f"y is None; pass {_LABELS}.")
    labels = _check_labels(y, "y", warn=False)
    kind, other = (_KIND_NAMES.get(array.dtype.kind, "number") for array in (labels, classes))
    if kind != other:
        kinds = " and ".join(sorted((kind, other), reverse=True))
        raise ValueError(
            f"Mix of label input types ({kinds}): y has "
            f"{labels_to_list(labels[:1])[0]!r} in row 0, but the classes are "
            f"{shortened(labels_to_list(classes))}."
        )
    _refuse_continuous(labels, "y")
    return labels


def _refuse_continuous(labels: np.ndarray, name: str) -> None:
    if labels.dtype.kind == "f" and (labels != np.floor(labels)).any():
        raise ValueError(f"Unknown label type: continuous. The numbers in {name} must be integers.")


def _unknown_labels(y: np.ndarray, classes: np.ndarray) -> list[Any]:
    """Return the labels that are not among known classes, sorted."""
    if y.dtype.kind == classes.dtype.kind and y.dtype.kind in "Mm":
        dtype = np.result_type(y, classes)  # of the finer unit
        y, classes = y.astype(dtype), classes.astype(dtype)
    return sorted(set(labels_to_list(y)) - set(labels_to_list(classes)), key=str)


def labels_to_list(labels: np.ndarray) -> list[Any]:
    """Return labels as objects of Python, but dates and durations as scalars of NumPy.

    Python has no dates and durations in some of NumPy's units.
    """
    return list(labels) if labels.dtype.kind in "Mm" else labels.tolist()


def refuse_other_classes(classes: np.ndarray, before: np.ndarray) -> None:
    """Raise ValueError, with scikit-learn's message, if a warm start has other classes."""
    if set(labels_to_list(classes)) != set(labels_to_list(before)):
        raise ValueError(
            "warm_start can only be used where `y` has the same classes as in the previous call "
            f"to fit. Previously got {shortened(labels_to_list(before))}, `y` has "
            f"{shortened(labels_to_list(classes))}. {TRAIN_ANEW}"
        )


def check_classes(classes: Any) -> np.ndarray:
    """Check the classes that the first call of `partial_fit` is given.

    Raises
    ------
    TypeError, ValueError
        If they are not a sequence of labels of one kind.
    """
    if np.ndim(classes) != 1:
        raise ValueError(
            "classes must be a sequence of labels, as np.unique(y) gives. Got "
            f"{type(classes).__name__} of {np.ndim(classes)} dimensions."
        )
    labels = _check_labels(classes, "classes", warn=False)
    _refuse_continuous(labels, "classes")
    return labels
