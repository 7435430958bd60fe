# SPDX-License-Identifier: BSD-3-Clause
"""Class labels and names of columns as arrays of a file; there are too many for its header.

Texts are written as UTF-8, one after the other, and where each begins; dates and durations as
integers, with their unit in the name of their dtype; numbers as they are.
"""

import re
import reprlib
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from fashioncnn._files.fields import Refuse
from fashioncnn._files.parameters import UNIT
from fashioncnn._files.safetensors_file import TensorInfo

_OFFSETS = "/offsets"  # after the name of an array of texts
# Of texts of equal width, which may be few bytes in a file: of all labels, and of one, of which
# predictions have many.
_MOST_CHARACTERS, _MOST_OF_ONE = 2**22, 2**12
_DTYPES = re.compile(
    rf"\|O|[<>]U[1-9]\d{{0,6}}|\|b1|\|[iu]1|[<>][iu][248]|[<>]f[248]|[<>][Mm]8\[{UNIT}\]", re.ASCII
)
_OF_NUMBERS = {"b": "BOOL", "i": "I", "u": "U", "f": "F"}


def read_dtype(text: str) -> np.dtype | None:
    """Return the dtype of labels by its name, or None if they can't have it."""
    try:
        return np.dtype(text) if _DTYPES.fullmatch(text) else None
    except (TypeError, ValueError, OverflowError):  # a unit that is too long
        return None


def _has_texts(dtype: np.dtype) -> bool:
    """Say whether labels of a dtype are texts."""
    return dtype.kind in "OU"


def label_infos(name: str, dtype: np.dtype, n: int) -> dict[str, TensorInfo]:
    """Return what the arrays of some labels are."""
    if _has_texts(dtype):
        return {name: TensorInfo("U8", (-1,)), name + _OFFSETS: TensorInfo("I64", (n + 1,))}
    if dtype.kind in "Mm":
        return {name: TensorInfo("I64", (n,))}
    bits = "" if dtype.kind == "b" else 8 * dtype.itemsize
    return {name: TensorInfo(f"{_OF_NUMBERS[dtype.kind]}{bits}", (n,))}


def write_labels(name: str, labels: np.ndarray, refuse: Refuse) -> dict[str, np.ndarray]:
    """Return the arrays of some labels by their names."""
    _refuse_wide(name, labels.dtype, len(labels), refuse)
    if read_dtype(labels.dtype.str) is None:
        advice = f"Fit with {'y.astype(float)' if labels.dtype.kind == 'f' else 'other labels'}."
        refuse(name, f"has the dtype {labels.dtype}, which a file does not hold", advice)
    if _has_texts(labels.dtype):
        return _write_texts(name, labels.tolist(), refuse)
    if labels.dtype.kind in "Mm":
        return {name: labels.astype("<i8")}
    return {name: labels.astype(labels.dtype.newbyteorder("<"))}


def read_labels(
    name: str, dtype: np.dtype, arrays: Mapping[str, np.ndarray], refuse: Refuse
) -> np.ndarray:
    """Return the labels that were written, after a check that they are what labels can be."""
    values = arrays[name]
    if not _has_texts(dtype):
        return _read_numbers(name, dtype, values, refuse)
    offsets = arrays[name + _OFFSETS]
    _refuse_wide(name, dtype, len(offsets) - 1, refuse)
    texts = _read_texts(name, values, offsets, refuse)
    labels = np.array(texts, dtype=dtype)
    if labels.tolist() != texts:
        refuse(name, f"has a text that does not fit into {dtype.str}")
    return labels


def _refuse_wide(name: str, dtype: np.dtype, n: int, refuse: Refuse) -> None:
    width = dtype.itemsize // 4 if dtype.kind == "U" else 0
    if width > _MOST_OF_ONE or n * width > _MOST_CHARACTERS:
        refuse(
            name,
            f"has {n} texts of the dtype {dtype.str}, and a file holds texts of {_MOST_OF_ONE} "
            f"characters and {_MOST_CHARACTERS} in all, each counted as wide as the dtype",
            "Texts as objects take what each needs: fit with y.astype(object).",
        )


def _write_texts(name: str, texts: Sequence[str], refuse: Refuse) -> dict[str, np.ndarray]:
    try:
        pieces = [str.encode(text) for text in texts]
    except UnicodeEncodeError as error:
        refuse(
            name,
            f"has {error.object!r}, which is no text: {error.reason}",
            "Fit with names of whole characters, or pickle the classifier.",
        )
    offsets = np.cumsum([0, *map(len, pieces)], dtype=np.int64)
    return {name: np.frombuffer(b"".join(pieces), np.uint8), name + _OFFSETS: offsets}


def _read_texts(name: str, values: np.ndarray, offsets: np.ndarray, refuse: Refuse) -> list[str]:
    if offsets[0] != 0 or offsets[-1] != len(values) or (offsets[1:] < offsets[:-1]).any():
        refuse(name + _OFFSETS, f"should rise from 0 to {len(values)}, and do not")
    content, ends = values.tobytes(), offsets.tolist()
    try:
        return [content[start:end].decode() for start, end in pairwise(ends)]
    except UnicodeDecodeError as error:
        refuse(name, f"has a text that is not UTF-8: {error}")


def _read_numbers(name: str, dtype: np.dtype, values: np.ndarray, refuse: Refuse) -> np.ndarray:
    if dtype.kind == "b" and values.view(np.uint8).max() > 1:
        refuse(name, "has bools that are neither 0 nor 1")
    # A signalling NaN may not come to be rounded: NumPy would warn.
    if dtype.kind == "f" and not (np.isfinite(values).all() and (values % 1 == 0).all()):
        refuse(name, "has numbers that are not finite integers")
    return values.astype(dtype)


def refuse_unsorted(name: str, labels: np.ndarray, refuse: Refuse) -> None:
    """Refuse labels that are not in order, or some of which are equal."""
    is_before = (labels[:-1] < labels[1:]).astype(bool)  # of objects it is none
    if not is_before.all():
        at = int(is_before.argmin())
        one, other = map(reprlib.repr, labels[at : at + 2].astype(str).tolist())
        refuse(name, f"has {one} before {other}, and should be sorted without duplicates")
