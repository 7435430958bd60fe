# SPDX-License-Identifier: BSD-3-Clause
"""A file that is written whole or not at all, whatever happens meanwhile."""

import errno
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial

if sys.platform != "win32":
    import fcntl

_HOME = re.compile(r"(^|[/\\])~")  # also in a path that was made absolute
_TEMPORARY_NAME = re.compile(r"\.fashioncnn-[0-9a-f]{16}\.tmp")
_STANDARD_ERROR = 2  # the last of the three descriptors that stand for standard streams
_SECONDS_OF_A_WRITER = 3600  # after which Windows' temporary files are those of dead writers

_FREE_SPACE = "Delete files there that are not needed, or save to a folder on another disk"
_TAKE_YOUR_OWN = "Save to a folder, or to a file, that you may write to"
CLOSE_FILES = (
    "Close files that this program has left open, or raise the limit that `ulimit -n` shows"
)
_REMEDIES: Mapping[int | None, str] = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EFBIG: "Raise the limit if `ulimit -f` shows one, else save to another kind of disk",
    errno.EACCES: _TAKE_YOUR_OWN,
    errno.EPERM: _TAKE_YOUR_OWN,
    errno.EROFS: _TAKE_YOUR_OWN,
    errno.EMFILE: CLOSE_FILES,
    errno.ENFILE: CLOSE_FILES,
    errno.ENOENT: "Make the folder first, by os.makedirs, or save to a folder that exists",
    errno.EISDIR: "Add the name of a file to the name of the folder",
    errno.ENAMETOOLONG: "Take a shorter name, and a folder with a shorter path",
}
_ANY_OTHER_REMEDY = "Remove the cause, or save under another name or to another folder"


def write_atomically(path: str | os.PathLike[str], parts: Iterable[bytes | memoryview]) -> None:
    """Write a file so that its name stands for the old content or the new, never for another.

    The parts go to a temporary file beside it, which takes the file's name once the disk has it
    all. Who reads meanwhile, or writes to the same path, sees whole files only. Temporary files
    that killed writers have left in the folder are removed first.

    A link is followed. The mode of an older file stays, but not its owner and its other hard
    links. A new file has the mode that the umask leaves. Nothing global is read or changed.

    Windows is not tested: there a folder can't be flushed to the disk, a file that any program has
    open can't be replaced (a PermissionError), and what killed writers left is removed after an
    hour.

    Parameters
    ----------
    path : str or path-like
        The name of the file. Its folder must exist.
    parts : iterable of bytes or memoryview
        The content, in order. The memory is contiguous.

    Raises
    ------
    TypeError, ValueError
        If `path` can't be the name of a file.
    OSError
        If the file can't be written, in Python's class for its reason. What was there before is
        unchanged.
    """
    name = file_name(path)
    try:
        target, mode = _find_target(name)
        folder = os.path.dirname(target) or os.curdir
        _sweep(folder)
        while not _replace(target, mode, parts):
            pass
    except OSError as error:
        raise _explained(error, name) from error
    _flush_folder(folder)


def file_name(path: str | os.PathLike[str], parameter: str = "path") -> str:
    """Return a path as text; bytes are accepted, too.

    Parameters
    ----------
    path : str or path-like
        What the user has passed.
    parameter : str, default="path"
        What messages call it.

    Raises
    ------
    TypeError, ValueError
        If it is no path, or none that the system can have.
    """
    try:
        name = os.fsdecode(path)
    except TypeError:
        raise TypeError(
            f"{parameter} must be the name of a file, a str or a path-like object such as "
            f"pathlib.Path; got {type(path).__name__}."
        ) from None
    try:
        if b"\0" in os.fsencode(name):
            raise ValueError("it has a null character")
    except ValueError as error:  # of the encoding, too
        raise ValueError(
            f"{parameter} must be a name that a file can have; got {name!r}: {error}. Leave that "
            "character out."
        ) from None
    return name


def _find_target(name: str) -> tuple[str, int | None]:
    """Follow links to what shall be replaced; return it with its mode, None for a new file."""
    target = name
    while True:
        try:
            mode = os.stat(target).st_mode  # fails if links lead in a circle
        except FileNotFoundError:
            mode = None
        if not os.path.islink(target):
            break
        target = os.path.join(os.path.dirname(target), os.readlink(target))
    if not os.path.basename(target) or (mode is not None and stat.S_ISDIR(mode)):
        raise OSError(errno.EISDIR, "It is a folder")
    if mode is None:
        return target, None
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "It is no regular file but a device, a pipe or a socket")
    os.close(os.open(target, os.O_WRONLY))  # the folder's permission would do to replace a file
    return target, stat.S_IMODE(mode)


def _replace(target: str, mode: int | None, parts: Iterable[bytes | memoryview]) -> bool:
    """Write a temporary file and give it the target's name; return False to be called again."""
    temporary = os.path.join(os.path.dirname(target), f".fashioncnn-{secrets.token_hex(8)}.tmp")
    opener = partial(_open_new, mode=0o666 if mode is None else mode)  # less what the umask takes
    try:
        with open(temporary, "xb", buffering=0, opener=opener) as file:
            descriptor = file.fileno()
            if not _claim(descriptor, temporary):
                return False
            if mode is not None:
                _set_mode(descriptor, mode)
            _write(descriptor, parts)
            os.fsync(descriptor)
            if sys.platform == "win32":
                file.close()  # no open file can be renamed there; elsewhere its lock is needed
            os.replace(temporary, target)
            return True
    finally:
        with suppress(OSError):
            os.unlink(temporary)


def _open_new(path: str, flags: int, mode: int) -> int:
    """Open a file, but not as a standard stream of a process that has closed it.

    What any library writes to that stream meanwhile, such as a log, would go into the file.
    """
    descriptor = os.open(path, flags, mode)
    if sys.platform == "win32" or descriptor > _STANDARD_ERROR:
        return descriptor
    try:
        other = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _STANDARD_ERROR + 1)
    finally:
        os.close(descriptor)
    os.truncate(other, 0)  # of what has gone into it until now
    os.lseek(other, 0, os.SEEK_SET)
    return other


def _claim(descriptor: int, temporary: str) -> bool:
    """Tell sweepers that the writer lives; return False if one of them has been faster."""
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # there are no locks: sweepers get none either, and remove nothing
            return True
    return os.path.exists(temporary)


def _set_mode(descriptor: int, mode: int) -> None:
    """Set a mode that the umask has cut; some disks know one mode only and refuse to be asked."""
    if sys.platform != "win32" and stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
        os.fchmod(descriptor, mode)


def _write(descriptor: int, parts: Iterable[bytes | memoryview]) -> None:
    for part in parts:
        rest = memoryview(part)
        if rest.nbytes:
            rest = rest.cast("B")
        while rest.nbytes:  # the system may take less than all
            rest = rest[os.write(descriptor, rest) :]


def _sweep(folder: str) -> None:
    """Remove temporary files whose writers were killed, where the folder lets us."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _TEMPORARY_NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    _remove_orphan(entry.path)


def _remove_orphan(path: str) -> None:
    """Remove a temporary file, unless its writer lives."""
    if sys.platform == "win32":  # where what is open stays; it is closed before it is renamed
        if time.time() - os.stat(path).st_mtime > _SECONDS_OF_A_WRITER:
            os.unlink(path)
        return
    descriptor = os.open(path, os.O_WRONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system unlocks for the dead
        os.unlink(path)
    finally:
        os.close(descriptor)


def _flush_folder(folder: str) -> None:
    """Let the new name last. Where that fails, a power failure may bring back the old file."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _explained(error: OSError, name: str) -> OSError:
    """Return an error of the same class that says what happened and what to do."""
    remedy = _REMEDIES.get(error.errno, _ANY_OTHER_REMEDY)
    if error.errno == errno.ENOENT and _HOME.search(name):
        remedy = "Write out what ~ stands for, as os.path.expanduser does"
    text = f"{error.strerror}: nothing is saved, what was there before is unchanged. {remedy}"
    return OSError(error.errno, text, name)
