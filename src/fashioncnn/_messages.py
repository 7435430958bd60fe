# SPDX-License-Identifier: BSD-3-Clause
"""Warnings that point at the user's line of code, and what several messages say."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_INTERNAL = ("fashioncnn", "joblib", "pickle", "sklearn", "skops", "tensorflow")
TRAIN_ANEW = (  # where another network is asked for
    "To train a new network, call set_params(warm_start=False) before fit, or partial_fit of a "
    "clone."
)
WITH_WEIGHT = "with a positive weight (sample_weight times class_weight)"


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, and name the nearest line outside of this package and of what calls it for users."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _INTERNAL:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def shortened(items: list[Any], most: int = 20) -> str:
    """Return the first items as text for a message, and how many more there are."""
    more = f", ... and {len(items) - most} more" if len(items) > most else ""
    return f"[{', '.join(map(shortened_repr, items[:most]))}{more}]"


def shortened_repr(value: Any, most: int = 200) -> str:
    """Return how Python writes a value, for a message: only its beginning where that is long."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


@contextmanager
def needed_for(purpose: str, package: str, extra: str) -> Iterator[None]:
    """Say how to install an optional package where importing it fails.

    A folder of the package's name, beside a script or a notebook, counts as an empty package where
    the package itself is not installed.

    Raises
    ------
    ImportError
        If the package is not installed.
    """
    try:
        yield
    except ImportError as error:
        if error.name != package or error.path is not None:  # it is installed, and broken
            raise
        raise ImportError(
            f"{purpose} needs the package {package}, which is not installed. Install it by "
            f"pip install 'fashioncnn[{extra}]'.",
            name=package,
        ) from error
