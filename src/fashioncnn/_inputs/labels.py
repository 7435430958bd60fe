# SPDX-License-Identifier: BSD-3-Clause
"""Labels to codes, their indices among the classes."""

from datetime import date
from numbers import Number
from typing import Any

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array

from fashioncnn._inputs.arrays import collected, kinds_of, missing_as_nan, to_array
from fashioncnn._messages import shortened

_KINDS = {"O": "string", "U": "string", "M": "date", "m": "duration"}  # others are numbers


def as_labels(y: Any, name: str = "y") -> Any:
    """Make an array of labels, and refuse a table of them with the remedy.

    None, which scikit-learn complains about, stays. An array of objects stays, too; in a list of
    texts and others each is what it was, where NumPy would make texts of all.

    Raises
    ------
    TypeError, ValueError
        If y is no array, one-hot or a scalar, or has missing values, records or bytes.
    """
    if y is None:
        return None
    y = np.asarray(y) if isinstance(y, Number) else collected(y, name, "an array of labels")
    labels = to_array(y, name, "an array of labels")
    if isinstance(y, (list, tuple)) and labels.dtype.kind in "SU" and labels.ndim == 1:
        is_text = [isinstance(label, (str, bytes)) for label in y]
        labels = labels if all(is_text) else np.array(y, dtype=object)
    if labels.dtype.kind == "T":  # of NumPy's newer texts
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
    y = _plain(y)
    with np.errstate(invalid="ignore"):  # of floats beyond the integers
        check_classification_targets(y)
    classes, codes = np.unique(y, return_inverse=True)
    refuse_one_class(len(classes))
    return classes, codes.astype(np.int32)


def _plain(y: np.ndarray, name: str = "y") -> np.ndarray:
    """Take objects for what they are: strings, or numbers or dates in an array of them."""
    if y.dtype != object:
        return y
    is_str = [isinstance(label, str) for label in y]
    odd = [row for row, label in enumerate(y) if label is None or is_str[row] != is_str[0]]
    if odd:  # could not be sorted
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
            _refuse_rounded(y, labels, name)
            return labels
    raise ValueError(
        f"Unknown label type: unknown. The labels in {name} must be numbers, strings or dates "
        f"without a time zone, to the microsecond. Got {type(y[0]).__name__} in row 0."
    )


def _refuse_rounded(y: np.ndarray, numbers: np.ndarray, name: str) -> None:
    """Let no two labels become one, as floats beside which NumPy rounds large integers."""
    for row, (label, number) in enumerate(zip(y.tolist(), numbers.tolist(), strict=True)):
        if label != number and label == label:
            raise ValueError(
                f"The labels in {name} are integers too large for floats, and others that are "
                f"floats or negative. Got {label!r} in row {row}, which would become {number!r}."
            )


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
    y = _checked(y, name, warn=True)
    unknown = _unknown_labels(y, classes)
    if unknown:
        raise ValueError(
            f"{name} has labels that y lacks: {shortened(unknown)}. The classes of y are "
            f"{shortened(plain_labels(classes))}."
        )
    return _indices(y, classes)


def _checked(y: Any, name: str, warn: bool) -> np.ndarray:
    y = check_array(as_labels(y, name), ensure_2d=False, dtype=None, input_name=name)
    return _plain(column_or_1d(y, warn=warn), name)


def labels_to_score(y: Any, classes: np.ndarray) -> np.ndarray:
    """Check labels that predictions are compared to; those that are no class are never hit.

    Raises
    ------
    TypeError, ValueError
        If y is no array of labels, or has numbers where classes are strings, or the reverse.
    """
    if y is None:
        raise ValueError("y is None; pass an array of labels.")
    labels = _checked(y, "y", warn=False)
    kind, other = (_KINDS.get(array.dtype.kind, "number") for array in (labels, classes))
    if kind != other:
        kinds = " and ".join(sorted((kind, other), reverse=True))
        raise ValueError(
            f"Mix of label input types ({kinds}): y has "
            f"{plain_labels(labels[:1])[0]!r} in row 0, but the classes are "
            f"{shortened(plain_labels(classes))}."
        )
    _refuse_continuous(labels, "y")
    return labels


def _refuse_continuous(labels: np.ndarray, name: str) -> None:
    if labels.dtype.kind == "f" and (labels != np.floor(labels)).any():
        raise ValueError(f"Unknown label type: continuous. The numbers in {name} must be integers.")


def _indices(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    return np.searchsorted(classes, y.astype(classes.dtype)).astype(np.int32)


def _unknown_labels(y: np.ndarray, classes: np.ndarray) -> list[Any]:
    """Return the labels that are not among known classes, sorted."""
    if y.dtype.kind == classes.dtype.kind and y.dtype.kind in "Mm":
        dtype = np.result_type(y, classes)  # of the finer unit
        y, classes = y.astype(dtype), classes.astype(dtype)
    return sorted(set(plain_labels(y)) - set(plain_labels(classes)), key=str)


def plain_labels(labels: np.ndarray) -> list[Any]:
    """List labels as Python's own; dates and times, which have no such in all units, as NumPy's."""
    return list(labels) if labels.dtype.kind in "Mm" else labels.tolist()


def refuse_other_classes(classes: np.ndarray, before: np.ndarray) -> None:
    """Raise scikit-learn's sentence if a warm start meets classes other than before."""
    if set(plain_labels(classes)) != set(plain_labels(before)):
        raise ValueError(
            "warm_start can only be used where `y` has the same classes as in the previous call "
            f"to fit. Previously got {shortened(plain_labels(before))}, `y` has "
            f"{shortened(plain_labels(classes))}. Pass warm_start=False to train a new network."
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
            f"{shortened(plain_labels(classes))}. Name all classes in the first call of "
            "partial_fit."
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
    labels = _checked(classes, "classes", warn=False)
    _refuse_continuous(labels, "classes")
    return labels
