# SPDX-License-Identifier: BSD-3-Clause
"""Warnings that point at the user's line, and values in messages that fit one."""

import sys
import warnings
from typing import Any

_INTERNAL = ("fashioncnn", "joblib", "sklearn")


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn as from the nearest line outside of this package, scikit-learn and joblib."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _INTERNAL:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def shortened(labels: list[Any], most: int = 20) -> str:
    """List labels for a message, which is not to run over pages."""
    if len(labels) <= most:
        return str(labels)
    return f"{str(labels[:most])[:-1]}, ... and {len(labels) - most} more]"


def shown(value: Any) -> str:
    """Return the repr of a value for a message, unless Python prints none of its integers."""
    try:
        return repr(value)
    except ValueError:
        return f"{type(value).__name__} of too many digits"
