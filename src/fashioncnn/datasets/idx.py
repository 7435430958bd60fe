# SPDX-License-Identifier: BSD-3-Clause
"""Compressed files of arrays in the IDX format, whose content is known by its sha256."""

import gzip
import hashlib
import math
import zlib
from importlib.resources.abc import Traversable
from typing import IO, NamedTuple

import numpy as np


class IdxFile(NamedTuple):
    """A gzip file with one uint8 array in the IDX format, which is a header and the values."""

    name: str
    shape: tuple[int, ...]
    sha256: str  # of the decompressed content, header included

    @property
    def header_size(self) -> int:
        """The number of bytes before the values."""
        """The number of bytes before the values."""
        return 4 + 4 * len(self.shape)

    @property
    def size(self) -> int:
        """The number of bytes in all, decompressed."""
        """The number of bytes in all, decompressed."""
        return self.header_size + math.prod(self.shape)


def read_array(path: Traversable, file: IdxFile, remedy: str) -> np.ndarray:
    """Read the array of a file, of dtype uint8; it can't be written to.

    Parameters
    ----------
    path : Traversable
        Where the file is.
    file : IdxFile
        What it must be.
    remedy : str
        What the user can do if it is not; the message ends with it.

    Raises
    ------
    ValueError
        If the file is damaged or another one.
    OSError
        If it can't be read.
    """
    if not path.is_file():
        raise ValueError(_explain_damage(str(path), file, "it is not a regular file", remedy))
    try:
        with path.open("rb") as stream:
            content = decompress(stream, str(path), file, remedy)
    except OSError as error:
        raise type(error)(f"{error}. {remedy}") from error
    return np.frombuffer(content, np.uint8, offset=file.header_size).reshape(file.shape)


def decompress(stream: IO[bytes], origin: str, file: IdxFile, remedy: str) -> bytes:
    """Return the content of a gzip stream if it is exactly the one that `file` must have."""
    try:
        with gzip.GzipFile(fileobj=stream) as gzip_file:
            # One byte too many shows a file that is too long, and is all that is unpacked of it.
            content = gzip_file.read(file.size + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        problem = f"it cannot be decompressed ({error})"
        raise ValueError(_explain_damage(origin, file, problem, remedy)) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest == file.sha256:
        return content
    if len(content) > file.size:
        problem = "its content is longer"
    elif len(content) < file.size:
        problem = f"its content has {len(content):,} bytes"
    else:
        problem = f"its content has the sha256 {digest}"
    raise ValueError(_explain_damage(origin, file, problem, remedy))


def _explain_damage(origin: str, file: IdxFile, problem: str, remedy: str) -> str:
    return (
        f"{origin} is damaged or is another file: {problem}. Expected a gzip file of "
        f"{file.size:,} bytes when decompressed, with the sha256 {file.sha256}. {remedy}"
    )
