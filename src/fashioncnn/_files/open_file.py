# SPDX-License-Identifier: BSD-3-Clause
"""Opening a file to read: regular files only, so that reading never waits and always ends."""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any, BinaryIO

from fashioncnn._files.atomic_file import CLOSE_FILES, file_name
from fashioncnn._files.fields import Refuse
from fashioncnn._files.model_file import ModelFile, refuse_to_load

_PASS_ANOTHER = "Pass the path of a file that save has written, and that you may read."
_SHA256 = re.compile("[0-9a-fA-F]{64}")


@contextmanager
def open_model_file(
    path: str | os.PathLike[str], sha256: str | None, max_bytes: int
) -> Iterator[ModelFile]:
    """Open a file, whose manifest is read and checked.

    One descriptor is kept open, so that a file which takes its place meanwhile has no part in it.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it should be.
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If it can't be read, is no regular file, is larger than `max_bytes`, or is no model file.
    """
    name = file_name(path)
    _check_arguments(sha256, max_bytes)
    refuse = refuse_to_load(name)
    readable = refuse_unreadable(refuse, _PASS_ANOTHER)
    with readable, open_regular_file(name, refuse, _PASS_ANOTHER) as (file, size):
        if size > max_bytes:
            refuse(
                "the file",
                f"has {size} bytes, and max_bytes is {max_bytes}",
                "If you trust where it comes from, load it with a larger max_bytes.",
            )
        yield ModelFile(file, size, refuse, sha256)


@contextmanager
def open_regular_file(name: str, refuse: Refuse, *advice: str) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file to read; yield it and its size.

    Parameters
    ----------
    name : str
        The file.
    refuse : callable
        Raises the error where it is no regular file.
    *advice : str
        What to do then, if `refuse` does not know it.

    Raises
    ------
    OSError
        If it can't be opened.
    """
    with open(name, "rb", opener=_open) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            refuse(
                "the path",
                "names a folder, a device or a pipe, and should name a file",
                *advice,
            )
        yield file, status.st_size


@contextmanager
def refuse_unreadable(refuse: Refuse, *advice: str) -> Iterator[None]:
    """Refuse a file that can't be read, with the advice; one that is missing is not found."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):  # another file would not do
            advice = (f"{CLOSE_FILES}.",)
        refuse("the file", f"can't be read: {error.strerror or error}", *advice)


def _check_arguments(sha256: Any, max_bytes: Any) -> None:
    if sha256 is not None and not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
        raise ValueError(
            "expected_sha256 must be 64 hexadecimal digits, as sha256sum prints them, or None. Got "
            f"{sha256!r}."
        )
    if isinstance(max_bytes, bool) or not isinstance(max_bytes, Integral) or max_bytes < 1:
        raise ValueError(f"max_bytes must be an int of at least 1. Got {max_bytes!r}.")


def _open(path: str, flags: int) -> int:
    """Open a path, also that of a pipe that nobody writes to; a folder is refused by `open`."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
