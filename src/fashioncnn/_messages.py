# SPDX-License-Identifier: BSD-3-Clause
"""Warnings that point at the user's line of code, and short lists of labels in messages."""

import sys
import warnings
from typing import Any

_INTERNAL = ("fashioncnn", "joblib", "sklearn")


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, and name the nearest line outside of this package, scikit-learn and joblib."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _INTERNAL:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def shortened(labels: list[Any], most: int = 20) -> str:
    """Return the first labels as text for a message, and how many more there are."""
    if len(labels) <= most:
        return str(labels)
    return f"{str(labels[:most])[:-1]}, ... and {len(labels) - most} more]"
