# SPDX-License-Identifier: BSD-3-Clause
"""Convert what users pass to NumPy arrays, or raise an error that says what to pass instead."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

# Types with one of these attributes are array-likes. Data sets and generators have none of them.
_ARRAY_ATTRIBUTES = ("__array__", "__array_interface__", "__dlpack__")
_REFUSED = ("tocsr", "collect")  # of sparse matrices and lazy frames
_TEXTS = (str, bytes)
_SCALARS = frozenset(
    {bool, int, float, *(kind for kind in np.sctypeDict.values() if not issubclass(kind, _TEXTS))}
)
FILES = (str, bytes, bytearray, os.PathLike)
SPARSE = (
    "Sparse data was passed for {}, but dense data is required. Use '.toarray()' to convert to a "
    "dense numpy array."
)
_MISSING = ("NAType", "NaTType")  # types of pandas, which need not be installed


def to_array(value: Any, name: str, what: str) -> np.ndarray:
    """Convert an array-like to an array of any dtype and number of dimensions.

    Parameters
    ----------
    value : array-like
        What the user passed. A NumPy array is returned as it is.
    name : str
        The name of the value in error messages.
    what : str
        What the value must be, in error messages: "an array of images".

    Raises
    ------
    TypeError
        If the value is not an array-like, is sparse, or fails to convert itself, as a PyTorch
        tensor with a gradient does.
    ValueError
        If the value is None, a text or a path, has masked values, or is a list of items that
        differ in shape.
    """
    _check_is_array_like(value, name, what)
    if isinstance(value, (list, tuple)):
        value = _convert_items(value, name, what)
    if np.ma.is_masked(value):
        raise ValueError(
            f"{name} has masked values; pass {what} without. {name}.filled(value) replaces them."
        )
    if isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray):
        return value
    try:
        if hasattr(type(value), "__dlpack__") and not hasattr(type(value), "__array__"):
            return np.from_dlpack(value)
        return np.asarray(value)
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(value, (list, tuple)):
            raise ValueError(f"{name} does not become {what}: {error}") from error
        remedy = ""
        if hasattr(type(value), "detach"):  # a tensor of PyTorch
            remedy = (
                f" Pass {name}.detach().cpu().numpy(), for bfloat16 with .float() before .numpy()."
            )
        raise TypeError(
            f"{name} must be {what}; got {type(value).__name__}, which does not become a NumPy "
            f"array: {error}{remedy}"
        ) from error


def _check_is_array_like(value: Any, name: str, what: str) -> None:
    kind = type(value)
    if value is None:
        raise ValueError(f"{name} is None; pass {what}.")
    if isinstance(value, FILES):
        raise ValueError(f"{name} is a {kind.__name__}; pass {what}, not a file or its name.")
    if hasattr(kind, "tocsr"):
        raise TypeError(SPARSE.format(name))
    if hasattr(kind, "collect"):  # a frame of polars
        raise TypeError(
            f"{name} must be {what}; got a lazy {kind.__name__}. Pass {name}.collect()."
        )
    if not isinstance(value, Sequence) and not _has_attribute(kind, *_ARRAY_ATTRIBUTES):
        raise TypeError(
            f"{name} must be {what}; got {kind.__name__}. Pass a list or an array: list({name}) "
            "collects a generator; collect a data set's images and labels into one array each."
        )


def _has_attribute(kind: type, *attributes: str) -> bool:
    return any(hasattr(kind, attribute) for attribute in attributes)


def _convert_items(items: Sequence[Any], name: str, what: str) -> Sequence[Any] | np.ndarray:
    """Convert the array-likes in a list, and those in lists within it, by `to_array`.

    `np.asarray` alone would ignore masks, and its errors would not name the item. It would also
    give each value the room of the longest text, so a list with texts becomes an array of objects.
    """
    kinds = set(map(type, items))
    if kinds <= {list, tuple} and _are_lists_of_numbers(items):
        return items
    kinds -= _SCALARS
    if any(issubclass(kind, _TEXTS) for kind in kinds):
        return np.array(items, dtype=object)
    kinds -= {np.ndarray}
    lists = {kind for kind in kinds if issubclass(kind, (list, tuple))}
    arrays = {kind for kind in kinds if _has_attribute(kind, *_ARRAY_ATTRIBUTES, *_REFUSED)}
    if not lists and not arrays:
        return items
    result = list(items)
    for i, item in enumerate(items):
        if type(item) in arrays:
            result[i] = to_array(item, f"{name}[{i}]", what)
        elif type(item) in lists and not _SCALARS.issuperset(map(type, item)):
            result[i] = _convert_items(item, f"{name}[{i}]", what)
    return result


def _are_lists_of_numbers(items: Sequence[Any]) -> bool:
    """Say whether lists have Python's numbers only, by adding them up: nothing looks quicker.

    It may say no where they have, and a sum of others is of another type or fails.
    """
    try:
        with np.errstate(all="ignore"):
            is_number = type(items[0][0]) in (int, float)
            return is_number and set(map(type, map(sum, items))) <= {int, float}
    except Exception:
        return False


def to_numbers(array: np.ndarray, name: str) -> np.ndarray:
    """Convert an array to one of numbers that scikit-learn can check.

    Objects become integers where all of them are, else float64; scikit-learn would make float64 of
    integers too. bfloat16 becomes float32. All other dtypes stay.

    Raises
    ------
    ValueError
        If there are texts, dates, records or arrays in it, or integers too large for float64.
    """
    if array.dtype.name == "bfloat16":
        return array.astype(np.float32)
    is_number = issubclass(array.dtype.type, (np.number, np.bool_, np.object_))
    if not is_number or array.dtype.kind == "m":
        raise ValueError(f"{name} has dtype {array.dtype}; pass an array of numbers.")
    return _objects_to_numbers(array, name) if array.dtype == object else array


def _objects_to_numbers(array: np.ndarray, name: str) -> np.ndarray:
    kinds = kinds_of(array)
    others = [kind for kind in kinds if issubclass(kind, (str, bytes, list, tuple, np.ndarray))]
    if others:
        names = " and ".join(sorted(kind.__name__ for kind in others))
        raise ValueError(
            f"{name} has values of type {names}; pass an array of numbers. Convert texts by "
            "astype(float), and join arrays by np.stack."
        )
    kinds -= {bool, np.bool_}
    if kinds and all(issubclass(kind, (int, np.integer)) for kind in kinds):
        numbers = np.array(array.tolist())  # still objects where an integer has over 64 bits
    else:
        numbers = _missing_as_nan(array)
    try:
        return numbers.astype(np.float64) if numbers.dtype == object else numbers
    except OverflowError as error:
        raise ValueError(
            f"Input {name} contains a value too large for dtype('float64')."
        ) from error


def kinds_of(array: np.ndarray) -> set[type]:
    """Return the types of the values in an array of objects."""
    return set(map(type, array.ravel().tolist()))


def is_missing(value: Any) -> bool:
    """Say whether a value is None, NaN, NaT or pandas' NA."""
    is_number = isinstance(value, (float, np.number, np.datetime64))
    return value is None or type(value).__name__ in _MISSING or bool(is_number and value != value)


def _missing_as_nan(array: np.ndarray) -> np.ndarray:
    """Replace pandas' missing values in an array of objects by NaN, which scikit-learn refuses."""
    if not any(kind.__name__ in _MISSING for kind in kinds_of(array)):
        return array
    return np.where(np.frompyfunc(is_missing, 1, 1)(array).astype(bool), np.nan, array)
