# SPDX-License-Identifier: BSD-3-Clause
"""Dates, times and durations of Python, pandas and NumPy."""

from datetime import date, timedelta
from typing import Any

import numpy as np

TIMES = (date, timedelta, np.datetime64, np.timedelta64)


def to_numpy_time(value: Any) -> np.datetime64 | np.timedelta64 | None:
    """Return a date, time or duration as NumPy has it; None for one with a time zone."""
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return value
    if getattr(value, "tzinfo", None) is not None:
        return None
    if hasattr(value, "to_numpy"):  # of pandas, which has nanoseconds and NaT
        time: np.datetime64 | np.timedelta64 = value.to_numpy()
        return time
    return np.timedelta64(value) if isinstance(value, timedelta) else np.datetime64(value)
