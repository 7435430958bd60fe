# SPDX-License-Identifier: BSD-3-Clause
"""Whatever a user calls an array, as one of NumPy; what is none is refused with a remedy."""

import os
from collections import UserList, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

# What arrays, tensors and data frames have, and data sets and generators have not.
_MARKS_OF_NUMPY = ("__array__", "__array_interface__")
_MARKS = (*_MARKS_OF_NUMPY, "__dlpack__")
# What must be computed or collected first, or is sparse.
_MARKS_OF_OTHERS = ("__dask_graph__", "collect", "tocsr")
_LISTS = (list, tuple, deque, UserList)
_SCALARS = frozenset({bool, int, float, *np.sctypeDict.values()})
_DEEPEST = 5  # lists within lists, one more than images have dimensions
FILES = (str, bytes, bytearray, os.PathLike)
SPARSE = (
    "Sparse data was passed for {}, but dense data is required. Use '.toarray()' to convert to a "
    "dense numpy array."
)
_MISSING = ("NAType", "NaTType")  # of pandas, which need not be installed


def collected(value: Any, name: str, what: str) -> Any:
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
    # NumPy reads these item by item, as it does lists, and their items are to be looked at. A
    # memoryview and an array.array hold numbers only, which NumPy takes at once from their memory.
    return list(value) if isinstance(value, (deque, UserList)) else value


def to_array(value: Any, name: str, what: str) -> np.ndarray:
    """Make an array of what `collected` lets pass, see there for parameters.

    Raises
    ------
    TypeError
        If its own conversion fails, as of a tensor that has a gradient or is on another device.
    ValueError
        If elements differ in shape, or are masked.
    """
    value = collected(value, name, what)
    if isinstance(value, (list, tuple)):
        value = with_arrays(value, name, partial(to_array, what=what), "one dimension.")
    return joined(value, name, what)


def with_arrays(
    items: Sequence[Any],
    name: str,
    convert: Callable[[Any, str], Any],
    dimensions: str,
    depth: int = 1,
) -> Sequence[Any]:
    """Convert whatever is an array in a list, or in lists within it.

    A list within that begins with a number stays: a look at all its items takes as long as NumPy
    does. What else is in it either makes NumPy complain, or is masked and becomes NaN.

    Parameters
    ----------
    items : list or tuple
        Left as it is.
    name : str
        What messages call it.
    convert : callable
        Given an array, a tensor, a sparse matrix and so on, and its name, what to have instead.
    dimensions : str
        How many are expected, as the message says of lists that are nested too deep.
    depth : int, default=1
        How many lists this one is the innermost of.

    Raises
    ------
    ValueError
        If lists are nested too deep; one that contains itself is, too.
    """
    kinds = set(map(type, items)) - _SCALARS
    lists = {kind for kind in kinds if issubclass(kind, _LISTS)}
    arrays = {kind for kind in kinds - lists - {np.ndarray} if _is_array(kind)}
    if not lists and not arrays:
        return items
    if lists and depth == _DEEPEST:
        name = name.partition("[")[0]
        raise ValueError(
            f"{name} has lists within lists, more than {_DEEPEST} deep; expected {dimensions}"
        )
    result = list(items)
    for i, item in enumerate(items):
        if type(item) in arrays:
            result[i] = convert(item, f"{name}[{i}]")
        elif type(item) in lists and len(item) and type(item[0]) not in _SCALARS:
            result[i] = with_arrays(item, f"{name}[{i}]", convert, dimensions, depth + 1)
    return result


def _is_array(kind: type) -> bool:
    marks = (*_MARKS, *_MARKS_OF_OTHERS)
    return not issubclass(kind, np.generic) and any(hasattr(kind, mark) for mark in marks)


def joined(value: Any, name: str, what: str) -> np.ndarray:
    """Make one array of an array, or of a list whose items have been converted.

    Raises
    ------
    TypeError, ValueError
        As from `to_array`.
    """
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
        if isinstance(value, (list, tuple)):
            raise ValueError(f"{name} does not become {what}: {error}") from error
        raise TypeError(
            f"{name} must be {what}; got {type(value).__name__}, which does not become a NumPy "
            f"array: {error}{_remedy(value, name)}"
        ) from error


def _convert(value: Any) -> np.ndarray:
    has_dlpack_only = not any(hasattr(type(value), mark) for mark in _MARKS_OF_NUMPY)
    if has_dlpack_only and hasattr(type(value), "__dlpack__"):
        return np.from_dlpack(value)
    return np.asarray(value)


def _remedy(value: Any, name: str) -> str:
    if not hasattr(type(value), "detach"):
        return ""
    return f" Pass {name}.detach().cpu().numpy(), for bfloat16 with .float() before .numpy()."


def to_numbers(value: Any, name: str, what: str) -> np.ndarray:
    """Make an array of numbers; see `to_array` and `only_numbers`."""
    return only_numbers(to_array(value, name, what), name)


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


def dtype_of_objects(array: np.ndarray) -> np.dtype | None:
    """Return int64 for Python's integers, which scikit-learn makes floats."""
    kinds = kinds_of(array) - {bool, np.bool_} if array.dtype == object else set()
    are_integers = kinds and all(issubclass(kind, (int, np.integer)) for kind in kinds)
    return np.dtype(np.int64) if are_integers else None


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
