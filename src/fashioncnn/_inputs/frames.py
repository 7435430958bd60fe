# SPDX-License-Identifier: BSD-3-Clause
"""Data frames of pandas, polars and pyarrow: which columns are pixels."""

import re
from typing import Any

import numpy as np

from fashioncnn._inputs.arrays import SPARSE, dtype_of_objects, to_numbers
from fashioncnn._messages import shortened

# Types of columns that hold numbers, or of which scikit-learn says well what is wrong.
_INTEGERS = re.compile(r"u?int(8|16|32|64)\b")
_NUMBERS = re.compile(
    rf"{_INTEGERS.pattern}|float|double|halffloat|bool|decimal|complex|object|null"
)


def is_frame(value: Any) -> bool:
    """Say whether a value has columns, as frames of pandas, polars and pyarrow have."""
    return hasattr(type(value), "columns") and hasattr(type(value), "shape")


def check_frame(frame: Any, name: str) -> tuple[Any, np.dtype | None]:
    """Let columns of numbers pass; of objects only if they are numbers.

    Parameters
    ----------
    frame : data frame
        As `is_frame` says.
    name : str
        What messages call it.

    Returns
    -------
    values : data frame or ndarray
        Two-dimensional; the frame itself where scikit-learn converts it well.
    integer_dtype : dtype or None
        What holds its columns if all of them are integers, which scikit-learn may make floats.

    Raises
    ------
    TypeError, ValueError
        If a column is sparse or holds no numbers, or two have one name.
    """
    columns, types = _columns(frame)
    if any(kind.startswith("sparse") for kind in types):
        raise TypeError(SPARSE.format(name))
    others = [pair for pair in zip(columns, types, strict=True) if not _NUMBERS.match(pair[1])]
    if not columns:
        return np.empty(frame.shape), None
    if others:
        raise ValueError(
            f"{name} has columns that are no numbers: {shortened(others)}. Convert or drop them, "
            "or pass the images as one NumPy array."
        )
    if len(set(columns)) < len(columns):
        raise ValueError(f"{name} has several columns of one name; rename or drop them.")
    if "object" in types:
        values = to_numbers(frame, name, "a frame of numbers")
        return values, dtype_of_objects(values)
    integers = [_INTEGERS.match(kind) for kind in types]
    dtype = np.result_type(*(found[0] for found in integers if found)) if all(integers) else None
    return frame, dtype


def _columns(frame: Any) -> tuple[list[Any], list[str]]:
    """Return the names and the types of the columns."""
    if hasattr(type(frame), "schema") and hasattr(frame.schema, "types"):  # of pyarrow
        return list(frame.schema.names), [str(kind).lower() for kind in frame.schema.types]
    return list(frame.columns), [str(kind).lower() for kind in frame.dtypes]
