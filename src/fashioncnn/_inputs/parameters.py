# SPDX-License-Identifier: BSD-3-Clause
"""The nested parameters (stacks, windows, rates, shapes): what they may be, written out in full."""

import copy
import math
import sys
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, InvalidParameterError, Options, StrOptions

from fashioncnn._messages import warn_user
from fashioncnn._network.architecture import Architecture, Window

_MANY_PARAMETERS = 20_000_000
_MOST_PARAMETERS = 10**12


class Nested(Options):
    """A constraint of scikit-learn's kind for a value that ``parse`` can read.

    Parameters
    ----------
    description : str
        What the value must be, as the error message puts it: "must be <description>".
    parse : callable
        Returns the value written out in full, or raises ValueError.
    """

    # scikit-learn knows constraints by a fixed list of classes, of which Options fits best.
    def __init__(self, description: str, parse: Callable[[Any], Any]) -> None:
        super().__init__(object, set())
        self.description = description
        self.parse = parse

    def is_satisfied_by(self, val: Any) -> bool:
        """Say whether ``parse`` reads the value."""
        try:
            self.parse(val)
        except ValueError:
            return False
        return True

    def __str__(self) -> str:
        return self.description


class Number(Interval):
    """An interval of numbers, which are no truth values, within which float32 keeps them."""

    def is_satisfied_by(self, val: Any) -> bool:
        """Say whether the value is a number of the type and within the interval."""
        is_number = isinstance(val, self.type) and not isinstance(val, bool)
        return is_number and _in_float32(val) in self


class Names(StrOptions):
    """A constraint to a set of names, with a hint for those who pass what bears the name."""

    def __init__(self, names: set[str], hint: str) -> None:
        super().__init__(names)
        self.hint = hint

    def __str__(self) -> str:
        return f"{super().__str__()} ({self.hint})"


def refuse_unprintable(params: Mapping[str, Any], owner: str) -> None:
    """Refuse integers of so many digits that Python prints none, nor any message that has them.

    Raises
    ------
    InvalidParameterError
        If a parameter is or contains one.
    """
    for name, value in params.items():
        try:
            repr(value)
        except ValueError as error:
            raise InvalidParameterError(
                f"The {name!r} parameter of {owner} must be of numbers that Python prints. Got "
                f"{type(value).__name__} instead, with an int of too many digits."
            ) from error


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
    if value and all(_is_sequence(item) for item in value):
        return tuple(_pair(item) for item in value)
    return _pair(value)


def parse_rates(value: Any) -> float | tuple[float, ...]:
    """Read a dropout rate, or a non-empty sequence of them, one per stack."""
    if not _is_sequence(value):
        return _rate(value)
    if not value:
        raise ValueError("no rates")
    return tuple(_rate(item) for item in value)


def parse_image_shape(value: Any) -> tuple[int, int, int]:
    """Read (h, w) or (h, w, c)."""
    shape = _positive_ints(value)
    if len(shape) not in (2, 3):
        raise ValueError("not two or three sides")
    height, width, *channels = shape
    return height, width, channels[0] if channels else 1


def parse_callbacks(value: Any) -> list[Any]:
    """Read a Keras callback, or a sequence of them."""
    module = getattr(sys.modules.get("keras"), "callbacks", None)  # there, if a callback is
    callbacks: list[Any] = []
    for callback in value if _is_sequence(value) else [value]:
        if module is None or not isinstance(callback, module.Callback):
            raise ValueError("not a callback")
        is_list = isinstance(callback, module.CallbackList)
        callbacks += callback.callbacks if is_list else [callback]
    return callbacks


def copy_callbacks(value: Any) -> list[Any]:
    """Return copies of what `parse_callbacks` reads, without any model they were used with.

    What callbacks share, one of them perhaps, their copies share, too.

    Raises
    ------
    TypeError
        If one can't be copied.
    """
    callbacks = [] if value is None else parse_callbacks(value)
    copies = []
    memo: dict[int, Any] = {id(getattr(callback, "_model", None)): None for callback in callbacks}
    for callback in callbacks:
        try:
            copies.append(copy.deepcopy(callback, memo))
        except Exception as error:
            raise TypeError(
                f"The callback {type(callback).__name__} can't be copied, as each fit does: "
                f"{error}. Open files and the like in on_train_begin, not before, or give it a "
                "__deepcopy__ that returns itself."
            ) from error
    return copies


def build_architecture(
    params: Mapping[str, Any], image_shape: tuple[int, int, int], n_classes: int
) -> Architecture:
    """Write the estimator's parameters out as an architecture.

    Raises
    ------
    ValueError
        If a value given per stack does not have one entry per stack, or no memory could hold the
        network.
    """
    conv_stacks = parse_conv_stacks(params["conv_stacks"])

    def per_stack(name: str, parsed: Any, is_common: bool) -> Any:
        if is_common:
            return (parsed,) * len(conv_stacks)
        if len(parsed) != len(conv_stacks):
            raise ValueError(
                f"The {name!r} parameter has {len(parsed)} entries, but 'conv_stacks' has "
                f"{len(conv_stacks)} stacks. Give one entry per stack, or one value for all. "
                f"Got {name}={params[name]!r} and conv_stacks={params['conv_stacks']!r}."
            )
        return parsed

    def windows(name: str) -> Any:
        parsed = parse_windows(params[name])
        return per_stack(name, parsed, isinstance(parsed[0], int))

    rates = parse_rates(params["conv_dropout"])
    architecture = Architecture(
        image_shape=image_shape,
        n_classes=n_classes,
        conv_stacks=conv_stacks,
        dense_units=parse_dense_units(params["dense_units"]),
        kernel_sizes=windows("kernel_size"),
        padding=params["padding"],
        activation=params["activation"],
        pool_sizes=windows("pool_size"),
        batch_normalization=bool(params["batch_normalization"]),
        global_pooling=params["global_pooling"],
        conv_dropouts=per_stack("conv_dropout", rates, isinstance(rates, float)),
        dense_dropout=float(params["dense_dropout"]),
    )
    if architecture.n_parameters > _MOST_PARAMETERS:
        raise ValueError(
            "The 'conv_stacks' and 'dense_units' parameters ask for a network of more than 10**12 "
            f"parameters on images of shape {image_shape}. Use fewer filters and units. Got "
            f"conv_stacks={params['conv_stacks']!r} and dense_units={params['dense_units']!r}."
        )
    return architecture


def warn_of_many_parameters(architecture: Architecture) -> None:
    """Warn of a network that takes long to train, and say which layer makes it large."""
    n_parameters = architecture.n_parameters
    if n_parameters > _MANY_PARAMETERS:
        sizes = {name: math.prod(shape) for name, shape in architecture.weight_shapes.items()}
        largest = max(sizes, key=sizes.__getitem__)
        warn_user(
            f"The network has {n_parameters:,} parameters on images of shape "
            f"{architecture.image_shape}, which take long to train and much memory; {largest} has "
            f"{sizes[largest]:,} of them. Use global_pooling='avg', a larger pool_size, or more "
            "stacks in conv_stacks.",
        )


def _is_sequence(value: Any) -> bool:
    return isinstance(value, (tuple, list))


def _sequence(value: Any) -> Any:
    if not _is_sequence(value):
        raise ValueError("not a tuple or list")
    return value


def _positive_int(value: Any) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError("not an int of at least 1")
    return int(value)


def _positive_ints(value: Any) -> tuple[int, ...]:
    return tuple(_positive_int(item) for item in _sequence(value))


def _in_float32(value: Any) -> float:
    """Return what the network makes of a number; one that no float holds is infinite."""
    try:
        with np.errstate(over="ignore", under="ignore"):
            return float(np.float32(float(value)))
    except OverflowError:
        return math.inf


def _pair(value: Any) -> Window:
    pair = _positive_ints(value)
    if len(pair) != 2:
        raise ValueError("not a pair")
    return pair[0], pair[1]


def _rate(value: Any) -> float:
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= _in_float32(value) < 1:
        raise ValueError("not a rate in [0, 1)")
    return float(value)
