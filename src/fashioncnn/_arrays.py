# SPDX-License-Identifier: BSD-3-Clause
"""Whatever a user calls an array, as one of NumPy; what is none is refused with a remedy."""

import os
from collections import UserList, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

# What arrays, tensors and data frames have, and data sets and generators have not.
_MARKS = ("__array__", "__array_interface__", "__dlpack__")
FILES = (str, bytes, bytearray, os.PathLike)
SPARSE = (
    "Sparse data was passed for {}, but dense data is required. Use '.toarray()' to convert to a "
    "dense numpy array."
)
_MISSING = ("NAType", "NaTType")  # of pandas, which need not be installed


def in_memory(value: Any, name: str, what: str) -> Any:
    """Refuse what is no array, compute what is a lazy one, and make a list of other sequences.

    Parameters
    ----------
    value : object
        What the user passed.
    name : str
        What messages call it.
    what : str
        What it must be, as in "an array of images".

    Raises
    ------
    TypeError
        If it yields its elements one by one, is sparse or has to be collected first.
    ValueError
        If it is None, a text or a path.
    """
    kind = type(value).__name__
    if value is None:
        raise ValueError(f"{name} is None; pass {what}.")
    if isinstance(value, FILES):
        raise ValueError(f"{name} is a {kind}; pass {what}, not a file or its name.")
    if hasattr(type(value), "tocsr"):
        raise TypeError(SPARSE.format(name))
    if hasattr(type(value), "collect"):
        raise TypeError(f"{name} must be {what}; got a lazy {kind}. Pass {name}.collect().")
    if hasattr(type(value), "__dask_graph__"):
        return value.compute()
    if not isinstance(value, Sequence) and not any(hasattr(type(value), m) for m in _MARKS):
        raise TypeError(
            f"{name} must be {what}; got {kind}. Collect its elements into one NumPy array."
        )
    return list(value) if isinstance(value, (deque, UserList)) else value


def to_array(value: Any, name: str, what: str) -> np.ndarray:
    """Make an array of what `in_memory` lets pass, see there for parameters.

    Raises
    ------
    TypeError
        If its own conversion fails, as of a tensor that has a gradient or is on another device.
    ValueError
        If elements differ in shape, or are masked.
    """
    value = in_memory(value, name, what)
    if isinstance(value, (list, tuple)):
        value = [
            to_array(item, f"{name}[{i}]", what) if _converts_itself(item) else item
            for i, item in enumerate(value)
        ]
    if np.ma.is_masked(value):
        raise ValueError(
            f"{name} has masked values; pass {what} without. {name}.filled(value) replaces them."
        )
    if isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray):
        return value
    try:
        return _convert(value)
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(value, list):
            raise ValueError(f"{name} does not become {what}: {error}") from error
        raise TypeError(
            f"{name} must be {what}; got {type(value).__name__}, which does not become a NumPy "
            f"array: {error}{_remedy(value, name)}"
        ) from error


def _converts_itself(item: Any) -> bool:
    return hasattr(type(item), "__array__") and not isinstance(item, np.generic)


def _convert(value: Any) -> np.ndarray:
    has_dlpack_only = not any(hasattr(type(value), mark) for mark in _MARKS[:2])
    if has_dlpack_only and hasattr(type(value), "__dlpack__"):
        return np.from_dlpack(value)
    return np.asarray(value)


def _remedy(value: Any, name: str) -> str:
    if not hasattr(type(value), "detach"):
        return ""
    return f" Pass {name}.detach().cpu().numpy(), for bfloat16 with .float() before .numpy()."


def only_numbers(array: np.ndarray, name: str) -> np.ndarray:
    """Refuse what NumPy or scikit-learn would turn into numbers silently.

    pandas' missing values in arrays of objects become NaN, about which scikit-learn complains.

    Raises
    ------
    ValueError
        If there are texts, dates, records or arrays in it.
    """
    is_number = issubclass(array.dtype.type, (np.number, np.bool_, np.object_))
    if (not is_number and array.dtype.name != "bfloat16") or array.dtype.kind == "m":
        raise ValueError(f"{name} has dtype {array.dtype}; pass an array of numbers.")
    if array.dtype != object:
        return array
    others = [
        kind for kind in kinds_of(array) if issubclass(kind, (str, bytes, list, tuple, np.ndarray))
    ]
    if others:
        names = " and ".join(sorted(kind.__name__ for kind in others))
        raise ValueError(
            f"{name} has values of type {names}; pass an array of numbers. Convert texts by "
            "astype(float), and join arrays by np.stack."
        )
    return missing_as_nan(array)


def kinds_of(array: np.ndarray) -> set[type]:
    """Return the types of the values in an array of objects."""
    return set(map(type, array.ravel().tolist()))


def missing_as_nan(array: np.ndarray) -> np.ndarray:
    """Replace pandas' missing values in an array of objects, which NumPy can't compare."""
    if not any(kind.__name__ in _MISSING for kind in kinds_of(array)):
        return array
    is_missing = np.frompyfunc(lambda value: type(value).__name__ in _MISSING, 1, 1)
    return np.where(is_missing(array).astype(bool), np.nan, array)


@contextmanager
def number_errors(name: str) -> Iterator[None]:
    """Let no warning of NumPy precede the complaint about a number that is too large."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            yield
    except OverflowError as error:  # of Python's integers
        raise ValueError(
            f"Input {name} contains a value too large for dtype('float64')."
        ) from error
