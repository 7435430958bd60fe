# SPDX-License-Identifier: BSD-3-Clause
"""The weights of classes and of samples."""

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import compute_class_weight
from sklearn.utils.validation import check_array

from fashioncnn._inputs.arrays import to_array, to_numbers
from fashioncnn._inputs.labels import labels_to_list
from fashioncnn._inputs.nested import is_number
from fashioncnn._messages import shortened, warn_user
from fashioncnn._network.times import TIMES, to_numpy_time


def refuse_balanced(class_weight: Any) -> None:
    """Raise ValueError if class_weight is "balanced", which needs all labels at once."""
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
        If a weight is not a number, is negative or not finite.

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
    labels = labels_to_list(classes)
    given = {_equal_class(key, classes): weight for key, weight in class_weight.items()}
    known = set(labels)
    unknown = [label for label in given if label not in known]
    if unknown:
        warn_user(
            f"class_weight names labels that y lacks: {shortened(unknown)}. They have no effect. "
            f"The classes are {shortened(labels)}."
        )
    weights = [given.get(label, 1) for label in labels]
    if not all(_is_weight(weight) for weight in weights):
        raise ValueError(
            "The weights in class_weight must be finite numbers and not negative. "
            f"Got {class_weight!r}."
        )
    return np.array(weights, dtype=float)


def _equal_class(key: Any, classes: np.ndarray) -> Any:
    """Return the class that equals a date, time or duration of any type; else the key itself."""
    if classes.dtype.kind not in "Mm" or not isinstance(key, TIMES):
        return key
    time = to_numpy_time(key)
    if time is None:
        return key
    if time.dtype.kind != classes.dtype.kind:
        return time
    label = time.astype(classes.dtype)
    return label if label.astype(time.dtype) == time else time


def _is_weight(value: Any) -> bool:
    try:
        return is_number(value) and 0 <= float(value) < math.inf
    except OverflowError:
        return False


def sample_weights(
    sample_weight: ArrayLike | None, X: np.ndarray, name: str = "sample_weight"
) -> np.ndarray:
    """Return one weight per row of X, float64 of shape (n,); error messages use the name.

    Raises
    ------
    ValueError
        If the weights are not finite numbers of at least 0, one per row and not all 0.
    TypeError
        If they are not an array.
    """
    n = len(X)
    if sample_weight is None:
        return np.ones(n)
    if not isinstance(sample_weight, Real):
        sample_weight = to_array(sample_weight, name, "an array of weights")
    array = to_numbers(np.asarray(sample_weight), name)
    if array.ndim > 1:
        raise ValueError(
            f"Sample weights must be 1D array or scalar, got {array.ndim}D array as {name}. "
            f"Expected either a scalar value or a 1D array of length {n}."
        )
    if array.ndim == 0:
        array = np.full(n, array)
    with np.errstate(over="ignore", invalid="ignore"):
        weights = check_array(array, ensure_2d=False, dtype=np.float64, input_name=name)
    if weights.shape != (n,):
        raise ValueError(f"{name}.shape == {weights.shape}, expected {(n,)}!")
    if not weights.any():
        raise ValueError(f"{name} must contain at least one non-zero number.")
    if weights.min() < 0:
        raise ValueError(f"Negative values in data passed to `{name}`.")
    return weights


def relative_product(*factors: np.ndarray) -> np.ndarray:
    """Multiply arrays of weights, each divided by its largest weight so that none overflows."""
    with np.errstate(under="ignore"):
        return np.prod([factor / (factor.max() or 1) for factor in factors], axis=0)


def absolute_product(*factors: np.ndarray) -> np.ndarray:
    """Multiply arrays of weights as they are, and return float32.

    Raises
    ------
    ValueError
        If a product is too large, or all are zero.
    """
    with np.errstate(over="ignore", under="ignore"):
        weights = np.prod(factors, axis=0).astype(np.float32)
    _refuse_only_zeros(weights)
    if not np.isfinite(weights).all():
        raise ValueError(
            "The product of sample_weight and class_weight is too large for dtype('float32'). "
            "Pass smaller weights; partial_fit takes them as they are."
        )
    return weights


def scale_to_mean_one(weights: np.ndarray, part: str) -> np.ndarray:
    """Divide the weights of a part of the images by their mean, as float32.

    Raises
    ------
    ValueError
        If all of them are zero; `part` names the part.
    """
    _refuse_only_zeros(weights, f" of the {part}")
    with np.errstate(under="ignore"):
        shares = weights / weights.max()  # so that the sum of very large weights is finite
        return (shares / shares.mean()).astype(np.float32)


def _refuse_only_zeros(weights: np.ndarray, of_part: str = "") -> None:
    if not weights.any():
        raise ValueError(
            f"All sample and class weights{of_part} are zero. "
            "Give at least one row a positive weight."
        )
