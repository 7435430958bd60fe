# SPDX-License-Identifier: BSD-3-Clause
"""Check the columns of data frames of pandas, polars, pyarrow and dask."""

import re
from typing import Any

import numpy as np

from fashioncnn._inputs.arrays import SPARSE, to_array, to_numbers
from fashioncnn._messages import shortened

# Types of columns that hold numbers, or for which scikit-learn has a clear error message.
_INTEGERS = re.compile(r"u?int(8|16|32|64)\b")
_NUMBERS = re.compile(
    rf"{_INTEGERS.pattern}|float|double|halffloat|bool|decimal|complex|object|null"
)


def is_frame(value: Any) -> bool:
    """Say whether a value is a data frame, which has columns and a shape."""
    return hasattr(type(value), "columns") and hasattr(type(value), "shape")


def column_names(frame: Any) -> list[Any]:
    """Return the names of the columns of a data frame."""
    return _columns(frame)[0]


def check_frame(frame: Any, name: str) -> tuple[Any, Any, np.dtype | None]:
    """Check that all columns of a data frame hold numbers.

    Parameters
    ----------
    frame : data frame
        As `is_frame` says.
    name : str
        The name of the frame in error messages.

    Returns
    -------
    frame : data frame
        The frame; a frame of dask is computed.
    values : data frame or ndarray
        Its values, of two dimensions. It is the frame where scikit-learn converts that correctly.
    integer_dtype : dtype or None
        If all columns are integers, the dtype that holds them. scikit-learn may convert them to
        floats.

    Raises
    ------
    TypeError, ValueError
        If a column is sparse or does not hold numbers, or if two columns have the same name.
    """
    if hasattr(type(frame), "compute"):  # a frame of dask
        frame = frame.compute()
    columns, types = _columns(frame)
    if any(kind.startswith("sparse") for kind in types):
        raise TypeError(SPARSE.format(name))
    others = [pair for pair in zip(columns, types, strict=True) if not _NUMBERS.match(pair[1])]
    if not columns:
        return frame, np.empty(frame.shape), None
    if others:
        raise ValueError(
            f"{name} has columns that are no numbers: {shortened(others)}. Convert or drop them, "
            "or pass the images as one NumPy array."
        )
    if len(set(columns)) < len(columns):
        raise ValueError(f"{name} has several columns of one name; rename or drop them.")
    if "object" in types:
        return frame, to_numbers(to_array(frame, name, "a frame of numbers"), name), None
    integers = [_INTEGERS.match(kind) for kind in types]
    dtype = np.result_type(*(found[0] for found in integers if found)) if all(integers) else None
    return frame, frame, dtype


def _columns(frame: Any) -> tuple[list[Any], list[str]]:
    """Return the names and the types of the columns."""
    if hasattr(type(frame), "schema") and hasattr(frame.schema, "types"):  # of pyarrow
        return list(frame.schema.names), [str(kind).lower() for kind in frame.schema.types]
    return list(frame.columns), [str(kind).lower() for kind in frame.dtypes]
