# SPDX-License-Identifier: BSD-3-Clause
"""The values of parameters as JSON: lists are tuples, and objects are what JSON has no word for.

An object has one key, which says what its value is: ``{"dict": [[key, value], ...]}``, ``{"int":
"digits"}`` beyond 64 bits, and as key of a dict ``{"datetime64": [n, unit]}`` or ``{"timedelta64":
[n, unit]}``.
"""

import math
import re
import reprlib
from collections import Counter
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from fashioncnn._network.times import TIMES, to_numpy_time

_MOST_DIGITS = 40  # of an integer beyond 64 bits: parameters are numbers of float32
_BIG_INT = re.compile(rf"-?[1-9]\d{{18,{_MOST_DIGITS - 1}}}", re.ASCII)
UNIT = r"(?:[1-9]\d{0,8})?(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)"  # of dates and durations
_MOST_TIMES = 1000  # among the keys of a dict: some versions of NumPy give all of them one hash
_TIMES: Mapping[str, type[np.datetime64] | type[np.timedelta64]] = {
    "datetime64": np.datetime64,
    "timedelta64": np.timedelta64,
}
_NO_VALUE = "is no plain value (None, a bool, a number, a text, or a sequence of them)"


def encode(value: Any) -> Any:
    """Return a value as JSON writes it.

    Raises
    ------
    TypeError, ValueError
        If it is no plain value, or a number that is not finite; the message begins with a verb.
    """
    if isinstance(value, Mapping):
        return {"dict": _encode_items(value)}
    if _is_sequence(value):
        return [
            [_encode_scalar(part) for part in item] if _is_sequence(item) else _encode_scalar(item)
            for item in value
        ]
    return _encode_scalar(value)


def _is_sequence(value: Any) -> bool:
    return isinstance(value, (np.ndarray, Sequence)) and not isinstance(value, (str, bytes))


def _encode_items(mapping: Mapping[Any, Any]) -> list[list[Any]]:
    items = [[_encode_key(key), _encode_scalar(value)] for key, value in mapping.items()]
    _decode_items(items)  # refuses what could not be read again
    return items


def _encode_key(value: Any) -> Any:
    return _encode_time(value) if isinstance(value, TIMES) else _encode_scalar(value)


def _encode_scalar(value: Any) -> Any:
    if value is None or isinstance(value, (bool, np.bool_)):
        return None if value is None else bool(value)
    if isinstance(value, str):
        return _encode_text(value)
    if isinstance(value, TIMES) or not isinstance(value, Real):  # some of these are Integral
        raise TypeError(f"has {reprlib.repr(value)} of {type(value).__name__}, which {_NO_VALUE}")
    if isinstance(value, Integral):
        return _encode_int(int(value))
    try:
        number = float(value)
    except OverflowError:  # of a fraction
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"has {number}, and a file holds finite numbers only")
    return number


def _encode_text(value: str) -> str:
    text = str.__str__(value)  # of an enumeration, whose `str` would be its name
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"has {text!r}, which is no text: {error.reason}") from error
    return text


def _encode_int(value: int) -> int | dict[str, str]:
    if -(2**63) <= value < 2**63:
        return value
    if abs(value) >= 10**_MOST_DIGITS:
        raise ValueError(f"has an integer of more than {_MOST_DIGITS} digits")
    return {"int": str(value)}


def _encode_time(value: Any) -> dict[str, list[Any]]:
    time = to_numpy_time(value)
    if time is None:
        raise ValueError(f"has {value!r} with a time zone, which no label has")
    name = "datetime64" if time.dtype.kind == "M" else "timedelta64"
    unit, count = np.datetime_data(time.dtype)
    if unit == "generic":
        raise ValueError(f"has {time!r}, which has no unit")
    return {name: [int(time.astype(np.int64)), f"{'' if count == 1 else count}{unit}"]}


def decode(value: Any) -> Any:
    """Return the value that was written as JSON.

    Raises
    ------
    ValueError
        If there is none; the message begins with a verb.
    """
    if isinstance(value, list):
        return tuple(
            tuple(map(_decode_scalar, item)) if isinstance(item, list) else _decode_scalar(item)
            for item in value
        )
    if isinstance(value, dict) and value.keys() == {"dict"}:
        return _decode_items(value["dict"])
    return _decode_scalar(value)


def _decode_items(items: Any) -> dict[Any, Any]:
    if not isinstance(items, list) or not all(
        isinstance(item, list) and len(item) == 2 for item in items
    ):
        raise ValueError("has a dict that is no list of keys with values")
    n_times = sum(isinstance(key, dict) and "int" not in key for key, _ in items)
    if n_times > _MOST_TIMES:
        raise ValueError(
            f"has {n_times} dates and durations as keys, and not {_MOST_TIMES} at most"
        )
    keys = Counter(_decode_key(key) for key, _ in items)
    if len(keys) < len(items):
        raise ValueError(f"has the key {keys.most_common(1)[0][0]!r} twice")
    return {key: _decode_scalar(item[1]) for key, item in zip(keys, items, strict=True)}


def _decode_key(value: Any) -> Any:
    if isinstance(value, dict) and len(value) == 1:
        ((name, content),) = value.items()
        if name in _TIMES and _is_time(content):
            return _decode_time(_TIMES[name], *content)
    key = _decode_scalar(value)
    # Thousands of integers beyond 64 bits may have one hash, and a dict of these takes long.
    if type(key) is int and abs(key) >= 2**64:
        raise ValueError(f"has the key {key}, which has more than 64 bits, as no label has")
    return key


def _decode_scalar(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict) and value.keys() == {"int"}:
        digits = value["int"]
        if isinstance(digits, str) and _BIG_INT.fullmatch(digits):
            return int(digits)
    raise ValueError(f"has {reprlib.repr(value)}, which is none of the values that a file holds")


def _is_time(content: Any) -> bool:
    return (
        isinstance(content, list)
        and len(content) == 2
        and type(content[0]) is int
        and isinstance(content[1], str)
        and re.fullmatch(UNIT, content[1], re.ASCII) is not None
    )


def _decode_time(kind: Any, number: int, unit: str) -> Any:
    try:
        return kind(number, unit)
    except (OverflowError, TypeError, ValueError) as error:  # a unit that is too long
        raise ValueError(f"has the unit {unit!r}, which NumPy does not take") from error
