# SPDX-License-Identifier: BSD-3-Clause
"""Parameters of several parts, as users write them: stacks, windows, rates, shapes and others.

Each function returns the value written out in full, or raises ValueError. A sequence may be of any
kind, an array of NumPy too, but not a text.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, cast, get_args

import numpy as np

from fashioncnn._network.architecture import Window
from fashioncnn._network.augmentation import NAMED_AUGMENTATIONS, Augmentation, Flip


def parse_conv_stacks(value: Any) -> tuple[tuple[int, ...], ...]:
    """Read the filters of each convolution, stack by stack; an int ``n`` means ``(n,)``."""
    stacks = tuple(
        _positive_ints(stack) if _is_sequence(stack) else (_positive_int(stack),)
        for stack in _sequence(value)
    )
    if not stacks or not all(stacks):
        raise ValueError("a stack without convolutions")
    return stacks


def parse_dense_units(value: Any) -> tuple[int, ...]:
    """Read the units of each dense layer; an int ``n`` means ``(n,)``."""
    return _positive_ints(value) if _is_sequence(value) else (_positive_int(value),)


def parse_windows(value: Any) -> Window | tuple[Window, ...]:
    """Read an int, an (h, w) pair, or a sequence of pairs, one per stack."""
    if not _is_sequence(value):
        side = _positive_int(value)
        return side, side
    if len(value) and all(_is_sequence(item) for item in value):
        return tuple(_pair(item) for item in value)
    return _pair(value)


def parse_rates(value: Any) -> float | tuple[float, ...]:
    """Read a dropout rate, or a non-empty sequence of them, one per stack."""
    if not _is_sequence(value):
        return _rate(value)
    if not len(value):
        raise ValueError("no rates")
    return tuple(_rate(item) for item in value)


def parse_augment(value: Any) -> Augmentation | None:
    """Read the name of an augmentation, or a dict of its parts; one that does nothing is None."""
    if value is None:
        return None
    if isinstance(value, str) and value in NAMED_AUGMENTATIONS:
        return NAMED_AUGMENTATIONS[value]
    if not isinstance(value, Mapping) or not value or not value.keys() <= set(Augmentation._fields):
        raise ValueError("not a name, nor a dict of parts")
    parts = {**Augmentation()._asdict(), **value}
    augmentation = Augmentation(
        _flip(parts["flip"]), _int(parts["shift"], at_least=0), _share(parts["erase"])
    )
    return augmentation if any(augmentation) else None


def parse_image_shape(value: Any) -> tuple[int, int, int]:
    """Read (h, w) or (h, w, c)."""
    shape = _positive_ints(value)
    if len(shape) not in (2, 3):
        raise ValueError("not two or three sides")
    height, width, *channels = shape
    return height, width, channels[0] if channels else 1


def parse_callbacks(value: Any) -> list[Any]:
    """Read a Keras callback, or a sequence of them; None means none."""
    if value is None:
        return []
    module = getattr(sys.modules.get("keras"), "callbacks", None)  # there, if a callback is
    callbacks: list[Any] = []
    for callback in value if _is_sequence(value) else [value]:
        if module is None or not isinstance(callback, module.Callback):
            raise ValueError("not a callback")
        is_list = isinstance(callback, module.CallbackList)
        callbacks += callback.callbacks if is_list else [callback]
    return callbacks


def parse_seed(value: Any) -> int:
    """Read an int that seeds a RandomState; a bool is one, too."""
    return _int_or_bool(value, at_most=2**32 - 1)


def parse_verbose(value: Any) -> int:
    """Read 0, 1 or 2; a bool is one, too."""
    return _int_or_bool(value, at_most=2)


def is_number(value: Any, kind: type = Real) -> bool:
    """Say whether a value is a number of a kind, and neither a bool nor a duration of NumPy."""
    return isinstance(value, kind) and not isinstance(value, (bool, np.timedelta64))


def as_float32(value: Any) -> float:
    """Return what float32 makes of a number; a number too large for floats becomes infinite."""
    try:
        with np.errstate(over="ignore", under="ignore"):
            return float(np.float32(float(value)))
    except OverflowError:
        return math.inf


def _is_sequence(value: Any) -> bool:
    is_text = isinstance(value, (str, bytes, bytearray, memoryview))
    is_array = isinstance(value, np.ndarray) and value.ndim > 0
    return is_array or (isinstance(value, Sequence) and not is_text)


def _sequence(value: Any) -> Any:
    if not _is_sequence(value):
        raise ValueError("not a sequence")
    return value


def _int(value: Any, *, at_least: int) -> int:
    if not is_number(value, Integral) or value < at_least:
        raise ValueError(f"not an int of at least {at_least}")
    return int(value)


def _int_or_bool(value: Any, *, at_most: int) -> int:
    number = int(value) if isinstance(value, bool) else _int(value, at_least=0)
    if number > at_most:
        raise ValueError(f"not an int of at most {at_most}")
    return number


def _positive_int(value: Any) -> int:
    return _int(value, at_least=1)


def _positive_ints(value: Any) -> tuple[int, ...]:
    return tuple(_positive_int(item) for item in _sequence(value))


def _pair(value: Any) -> Window:
    pair = _positive_ints(value)
    if len(pair) != 2:
        raise ValueError("not a pair")
    return pair[0], pair[1]


def _flip(value: Any) -> Flip | None:
    if value is not None and not (isinstance(value, str) and value in get_args(Flip)):
        raise ValueError("not a way to mirror")
    return cast(Flip | None, value)


def _share(value: Any) -> float:
    if not is_number(value) or not 0 <= as_float32(value) <= 1:
        raise ValueError("not a share in [0, 1]")
    return float(value)


def _rate(value: Any) -> float:
    if not is_number(value) or not 0 <= as_float32(value) < 1:
        raise ValueError("not a rate in [0, 1)")
    return float(value)
