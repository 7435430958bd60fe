# SPDX-License-Identifier: BSD-3-Clause
"""Check labels and encode them: the code of a label is its index among the sorted classes."""

from collections.abc import Sequence
from datetime import date
from numbers import Number, Real
from typing import Any

import numpy as np
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array

from fashioncnn._inputs.arrays import FILES, is_missing, kinds_of, to_array
from fashioncnn._messages import TRAIN_ANEW, shortened, shortened_repr, warn_user

# What messages call labels, by the kind of their dtype. Labels of all other kinds are numbers.
_KIND_NAMES = {"O": "string", "U": "string", "M": "date", "m": "duration"}
_WIDEST = 256  # characters; where a text in a list has more, all stay objects


def check_labels(y: Any, name: str = "y", *, warn: bool = True) -> np.ndarray:
    """Convert labels to an array of one dimension, and check all but whether they are classes.

    Parameters
    ----------
    y : array-like of shape (n,) or (n, 1)
        The labels.
    name : str, default="y"
        Their name in error messages.
    warn : bool, default=True
        Whether to warn of labels in a column.

    Returns
    -------
    labels : ndarray of shape (n,)
        Of numbers, dates, durations or strings. Only strings may be objects.

    Raises
    ------
    TypeError, ValueError
        If y is None, no array, not of one column, or has missing values, bytes, fractions or labels
        of several kinds.
    """
    if y is None:  # the first words are scikit-learn's
        raise ValueError(
            f"This FashionCNNClassifier estimator requires y to be passed, but the target {name} "
            "is None; pass an array of labels."
        )
    labels = _one_column(_as_array(y, name), name, warn)
    if labels.dtype.kind == "V":
        raise ValueError(
            f"Unknown label type: {name} has dtype {labels.dtype}. Pass numbers or strings."
        )
    _refuse_missing(labels, name)
    if labels.dtype == object:
        labels = _convert_objects(labels, name)
    # Of complex numbers and infinity. An empty y has another length than X, or too few classes.
    labels = check_array(labels, ensure_2d=False, dtype=None, input_name=name, ensure_min_samples=0)
    if labels.dtype.kind == "f":
        others = np.flatnonzero((labels != np.floor(labels)) | (np.abs(labels) >= 2.0**63))
        if others.size:
            raise ValueError(
                f"Unknown label type: continuous. The numbers in {name} must be integers of at "
                f"most 64 bits. Got {labels[others[0]]} in row {others[0]}."
            )
    return labels


def _as_array(y: Any, name: str) -> np.ndarray:
    """Convert labels to an array in which each is what it was: NumPy may make texts of others.

    Texts in a list become an array of fixed width, as NumPy makes it, where they are not long: each
    text, and each prediction, would take the room of the longest.
    """
    if isinstance(y, Number):  # an array without dimensions, which has a message of its own
        return np.asarray(y)
    if isinstance(y, Sequence) and not isinstance(y, (*FILES, memoryview)):
        y = list(y)
        _refuse_bytes(set(map(type, y)), name)
    labels = np.asarray(to_array(y, name, "an array of labels"))
    if isinstance(y, list) and labels.dtype == object:
        # Members of an enumeration are texts, too.
        if kinds_of(labels) <= {str, np.str_} and max(map(len, labels.ravel())) <= _WIDEST:
            labels = labels.astype(str)
    elif labels.dtype.kind == "T":  # texts of variable width, which scikit-learn does not take
        labels = labels.astype(object)
    _refuse_bytes(kinds_of(labels) if labels.dtype == object else {labels.dtype.type}, name)
    return labels


def _refuse_bytes(kinds: set[type], name: str) -> None:
    if any(issubclass(kind, (bytes, bytearray, memoryview)) for kind in kinds):
        raise TypeError(
            f"Support for labels represented as bytes is not supported in {name}. Convert the "
            "labels to a string or integer format."
        )


def _one_column(labels: np.ndarray, name: str, warn: bool) -> np.ndarray:
    if labels.ndim == 2 and labels.shape[1] == 1:
        if warn:  # in the words of scikit-learn, of whose warning its checks ask for
            start = "A column-vector y was passed when a 1d array was expected."
            warn_user(f"{start} Pass np.ravel({name}).", DataConversionWarning)
        return labels.ravel()
    if labels.ndim != 1:
        raise ValueError(
            f"{name} should be a 1d array, got an array of shape {labels.shape} instead."
            f"{_hint(labels, name)}"
        )
    return labels


def _hint(labels: np.ndarray, name: str) -> str:
    if labels.ndim != 2:
        return ""
    if len(labels) == 1:
        return f" If it is one row of labels, pass np.ravel({name})."
    ones, zeros = (np.count_nonzero(labels == digit, axis=1) for digit in (1, 0))
    if (ones == 1).all() and (ones + zeros == labels.shape[1]).all():
        return f" It is one-hot encoded; pass the labels: np.asarray({name}).argmax(axis=1)."
    return " Pass one label per image."


def _refuse_missing(labels: np.ndarray, name: str) -> None:
    if labels.dtype == object:
        rows = [row for row, label in enumerate(labels) if is_missing(label)]
    else:  # NaN and NaT differ from themselves
        rows = np.flatnonzero(labels != labels).tolist()
    if rows:  # the first words are what scikit-learn says of None
        raise ValueError(
            f"Unknown label type: unknown. Input {name} contains NaN: row {rows[0]} is "
            f"{labels[rows[0]]}, a missing label. Leave out what has no label."
        )


def _convert_objects(labels: np.ndarray, name: str) -> np.ndarray:
    """Convert an array of objects to numbers or dates, if all objects are; strings stay objects.

    Raises
    ------
    ValueError
        If the objects differ in kind or are none of these, so that they can't be sorted.
    """
    kinds = [_kind(label) for label in labels]
    others = [row for row, kind in enumerate(kinds) if not kind or kind != kinds[0]]
    if not others:
        if "string" in kinds or not kinds:
            return labels
        converted = labels.astype("M8") if "date" in kinds else np.array(labels.tolist())
        # Converting changes nanoseconds, a date among times, and a large integer among floats.
        others = [row for row, label in enumerate(converted.tolist()) if label != labels[row]]
        if not others:
            return converted
    row = others[0]
    got = shortened_repr(labels[row]) if row and kinds[row] else type(labels[row]).__name__
    got = f"{shortened_repr(labels[0])} in row 0 and {got}" if row else got
    raise ValueError(
        f"Unknown label type: unknown. The labels in {name} must be all strings, all numbers of at "
        "most 64 bits, all dates, or all datetimes without a time zone, to the microsecond. "
        f"Got {got} in row {row}."
    )


def _kind(label: Any) -> str:
    """Return the kind of a label that is an object, or "" if it can be none."""
    if isinstance(label, str):
        return "string"
    if isinstance(label, date) and getattr(label, "tzinfo", None) is None:
        return "date"
    is_number = isinstance(label, (Real, np.bool_)) and np.array(label).dtype.kind in "biuf"
    return "number" if is_number else ""


def encode_labels(y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Check labels, and return the sorted classes and each label's index among them as int32.

    Raises
    ------
    TypeError, ValueError
        As from `check_labels`, or if y has one class only.

    Warns
    -----
    UserWarning
        If there are more classes than half the labels; by scikit-learn, from its version 1.7 on.
    """
    labels = check_labels(y)
    check_classification_targets(labels)  # for its warning of many classes
    classes, codes = np.unique(labels, return_inverse=True)
    refuse_one_class(len(classes))
    return classes, codes.astype(np.int32)


def refuse_one_class(n_classes: int, where: str = "y") -> None:
    """Raise ValueError if there are fewer than two classes."""
    if n_classes < 2:
        raise ValueError(
            f"A classifier needs samples of at least 2 classes in {where}; got {n_classes} "
            f"class{'' if n_classes == 1 else 'es'}."
        )


def encode_known_labels(
    y: Any, classes: np.ndarray, name: str, *, is_piece: bool = False
) -> np.ndarray:
    """Check labels, and return each one's index among known classes as int32.

    Parameters
    ----------
    y : array-like of shape (n,)
        The labels that `partial_fit` or a validation part is given.
    classes : ndarray of shape (n_classes,)
        The sorted classes.
    name : str
        The name of the labels in error messages.
    is_piece : bool, default=False
        Whether `partial_fit` is given them.

    Raises
    ------
    TypeError, ValueError
        As from `check_labels`, or if a label is not among the classes.
    """
    labels = check_labels(y, name)
    unknown = _unknown_labels(labels, classes)
    if not unknown:
        return np.searchsorted(classes, labels.astype(classes.dtype)).astype(np.int32)
    known = shortened(labels_to_list(classes))
    if is_piece:  # scikit-learn's message
        raise ValueError(
            f"`y` has classes not in `self.classes_`: {shortened(unknown)}. `self.classes_` has "
            f"{known}, and cannot change. Take a new classifier, as sklearn.base.clone makes, and "
            "pass all labels as classes in its first call of partial_fit."
        )
    raise ValueError(
        f"{name} has labels that y lacks: {shortened(unknown)}. The classes of y are {known}."
    )


def labels_to_score(y: Any, classes: np.ndarray) -> np.ndarray:
    """Check the true labels that `score` compares with predictions. They need not be classes.

    Raises
    ------
    TypeError, ValueError
        As from `check_labels`, or if y has numbers where classes are strings, or the reverse.
    """
    labels = check_labels(y, warn=False)
    kind, other = (_KIND_NAMES.get(array.dtype.kind, "number") for array in (labels, classes))
    if kind != other:
        kinds = " and ".join(sorted((kind, other), reverse=True))
        raise ValueError(
            f"Mix of label input types ({kinds}): y has "
            f"{shortened_repr(labels_to_list(labels[:1])[0])} in row 0, but the classes are "
            f"{shortened(labels_to_list(classes))}."
        )
    return labels


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
    ours, theirs = labels_to_list(before), labels_to_list(classes)
    if set(ours) != set(theirs):
        raise ValueError(
            "warm_start can only be used where `y` has the same classes as in the previous call to "
            f"fit. Previously got {shortened(ours)}, `y` has {shortened(theirs)}. {TRAIN_ANEW}"
        )


def check_classes(classes: Any, before: np.ndarray | None) -> np.ndarray:
    """Check the classes that a call of `partial_fit` is given, and return all classes, sorted.

    scikit-learn's own check makes texts of fixed width of them, as wide as the longest.

    Parameters
    ----------
    classes : array-like of shape (n_classes,) or None
        The classes; the first call needs them.
    before : ndarray of shape (n_classes,) or None
        The sorted classes of the calls before.

    Raises
    ------
    TypeError, ValueError
        If they are not a sequence of labels of one kind, or other classes than before.
    """
    if classes is None:
        if before is None:  # scikit-learn's message
            raise ValueError("classes must be passed on the first call to partial_fit.")
        return before
    n_dimensions = np.array(classes, dtype=object).ndim
    if n_dimensions != 1:
        raise ValueError(
            "classes must be a sequence of labels, as np.unique(y) gives. Got "
            f"{type(classes).__name__} of {n_dimensions} dimensions."
        )
    classes = np.unique(check_labels(classes, "classes"))
    if before is None:
        return classes
    if not np.array_equal(before, classes):
        raise ValueError(
            f"`classes={shortened(labels_to_list(classes))}` is not the same as on last call to "
            f"partial_fit, was: {shortened(labels_to_list(before))}. Leave classes out, or take a "
            "new classifier, as sklearn.base.clone makes."
        )
    return before
