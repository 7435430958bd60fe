# SPDX-License-Identifier: BSD-3-Clause
"""What each parameter of the estimator may be, as scikit-learn's table of constraints."""

import os
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Literal, get_args

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, Options, StrOptions

from fashioncnn._inputs.nested import (
    as_float32,
    is_number,
    parse_augment,
    parse_callbacks,
    parse_conv_stacks,
    parse_dense_units,
    parse_image_shape,
    parse_rates,
    parse_seed,
    parse_verbose,
    parse_windows,
)
from fashioncnn._network.architecture import Activation, GlobalPooling, Padding
from fashioncnn._network.augmentation import AugmentationName
from fashioncnn._network.fitted import Loss
from fashioncnn._network.optimizers import OptimizerName
from fashioncnn._network.scaling import ScalingKind
from fashioncnn._network.schedules import Schedule

Int = int | np.integer[Any]
Float = float | np.floating[Any]
Filters = Sequence[int | Sequence[int]] | NDArray[Any]
Units = Int | Sequence[Int] | NDArray[Any]
Sizes = int | Sequence[int] | Sequence[Sequence[int]] | NDArray[Any]
Rates = Float | Sequence[Float] | NDArray[Any]
Augment = AugmentationName | Mapping[str, Any]
Sides = Sequence[int] | NDArray[Any]
Precision = Literal["auto", "bfloat16", "float32"]


class Nested(Options):
    """A constraint of scikit-learn's kind for a value that ``parse`` can read.

    Parameters
    ----------
    description : str
        What the value must be, as the error message puts it: "must be <description>".
    parse : callable
        Returns the value written out in full, or raises ValueError.
    """

    # scikit-learn knows constraints by a fixed list of its private classes. Options fits best.
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
    """An interval of numbers that are in it as float32, too; bools and durations are no numbers."""

    def is_satisfied_by(self, val: Any) -> bool:
        """Say whether the value is a number of the type and within the interval."""
        return is_number(val, self.type) and as_float32(val) in self


class Names(StrOptions):
    """A constraint to a set of names, with a hint about what to pass instead of an object."""

    def __init__(self, names: set[str], hint: str) -> None:
        super().__init__(names)
        self.hint = hint

    def __str__(self) -> str:
        return f"{super().__str__()} ({self.hint})"


def _one_of(names: Any) -> StrOptions:
    """Return the constraint to the names of a Literal type."""
    return StrOptions(set(get_args(names)))


_WINDOWS = (
    "an int in the range [1, inf), an (h, w) pair of them, or a tuple of such pairs, one per stack"
)

PARAMETER_CONSTRAINTS: dict[str, list[Any]] = {
    "conv_stacks": [
        Nested(
            "a non-empty tuple with, for each stack, an int in the range [1, inf) or a "
            "non-empty tuple of them",
            parse_conv_stacks,
        )
    ],
    "dense_units": [Nested("an int in the range [1, inf) or a tuple of them", parse_dense_units)],
    "kernel_size": [Nested(_WINDOWS, parse_windows)],
    "padding": [_one_of(Padding)],
    "activation": [_one_of(Activation)],
    "pool_size": [Nested(_WINDOWS, parse_windows)],
    "batch_normalization": ["boolean"],
    "residual": ["boolean"],
    "global_pooling": [_one_of(GlobalPooling), None],
    "conv_dropout": [
        Nested("a float in the range [0.0, 1.0) or a tuple of them, one per stack", parse_rates)
    ],
    "dense_dropout": [Number(Real, 0, 1, closed="left")],
    "loss": [_one_of(Loss)],
    "label_smoothing": [Number(Real, 0, 1, closed="left")],
    "class_weight": [dict, StrOptions({"balanced"}), None],
    "optimizer": [
        Names(
            set(get_args(OptimizerName)),
            "for a Keras optimizer pass its name and its rate, as in optimizer='adam', "
            "learning_rate=0.001",
        )
    ],
    "learning_rate": [Number(Real, 0, None, closed="neither"), None],
    "learning_rate_schedule": [_one_of(Schedule)],
    "weight_decay": [Number(Real, 0, None, closed="left")],
    "epochs": [Number(Integral, 1, None, closed="left")],
    "batch_size": [Number(Integral, 1, None, closed="left")],
    "augment": [
        _one_of(AugmentationName),
        Nested(
            "a dict with some of the keys 'flip' ('alternating', 'random' or None), 'shift' (an "
            "int in the range [0, inf)) and 'erase' (a float in the range [0.0, 1.0])",
            parse_augment,
        ),
        None,
    ],
    "early_stopping": ["boolean"],
    "validation_fraction": [Number(Real, 0, 1, closed="neither"), None],
    "n_iter_no_change": [Number(Integral, 1, None, closed="left")],
    "tol": [Number(Real, 0, None, closed="left")],
    "image_shape": [
        Nested("a tuple (h, w) or (h, w, c) of ints in the range [1, inf)", parse_image_shape),
        None,
    ],
    "scaling": [_one_of(ScalingKind), None],
    "precision": [_one_of(Precision)],
    "test_time_flip": ["boolean"],
    "weight_averaging": [Number(Real, 0, 1, closed="left")],
    "min_steps": [Number(Integral, 0, None, closed="left")],
    "checkpoint": [str, os.PathLike, None],
    "callbacks": [
        Nested("an instance of keras.callbacks.Callback or a list of them", parse_callbacks),
        None,
    ],
    "warm_start": ["boolean"],
    "random_state": [Nested("an int in the range [0, 4294967295]", parse_seed), RandomState, None],
    "verbose": [Nested("an int in the range [0, 2]", parse_verbose)],
}
