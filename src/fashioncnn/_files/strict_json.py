# SPDX-License-Identifier: BSD-3-Clause
"""JSON of which every reader understands the same; all else is refused."""

import json
import math
import reprlib
from collections import Counter
from typing import Any

import numpy as np

_MOST_DIGITS = 19  # of an integer of 64 bits
_DEEPEST = 32
_STEPS = np.zeros(128, np.int8)  # into or out of an object or list, by character
_STEPS[[ord("["), ord("{")]], _STEPS[[ord("]"), ord("}")]] = 1, -1


def dump(value: Any) -> str:
    """Write a value as JSON, in ASCII and without blanks."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def parse(text: str) -> Any:
    """Read JSON in ASCII.

    Raises
    ------
    ValueError
        If it is not valid, names a key twice, is nested deeply, or has numbers that are not finite,
        integers beyond 64 bits, or halves of characters.
    """
    _refuse_deep(text)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
            parse_int=_int64,
        )
        json.dumps(value, ensure_ascii=False).encode()  # fails on halves of characters
    except UnicodeEncodeError:
        raise ValueError("it has half of a surrogate pair, which is no character") from None
    return value


def _refuse_deep(text: str) -> None:
    """Refuse what the parser of Python may not return from, where its stack is small."""
    without_escapes = text.replace("\\\\", "").replace('\\"', "")
    characters = np.frombuffer(without_escapes.encode("ascii"), np.uint8)
    is_outside = np.cumsum(characters == ord('"'), dtype=np.int32) % 2 == 0  # of texts
    depth = np.cumsum(_STEPS[characters] * is_outside, dtype=np.int32).max(initial=0)
    if depth > _DEEPEST:
        raise ValueError(f"it is nested {depth} deep, and not {_DEEPEST} at most")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"it has the key {reprlib.repr(twice)} twice")
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"it has {name}, which is no number of JSON")


def _finite_float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"it has the number {reprlib.repr(digits)}, which is too large")
    return value


def _int64(digits: str) -> int:
    if len(digits.lstrip("-")) <= _MOST_DIGITS:
        value = int(digits)
        if -(2**63) <= value < 2**63:
            return value
    raise ValueError(f"it has the integer {reprlib.repr(digits)}, of more than 64 bits")
