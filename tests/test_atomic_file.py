# SPDX-License-Identifier: BSD-3-Clause
"""A file is written whole or not at all: old content or new, whatever happens meanwhile."""

import errno
import os
import re
import signal
import socket
import stat
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fashioncnn._files import atomic_file
from fashioncnn._files.atomic_file import file_name, write_atomically

OLD, NEW = b"old" * 1000, b"new content" * 1000
PARTS = [NEW[:5000], memoryview(NEW)[5000:10_000], b"", NEW[10_000:]]
TEMPORARY = ".fashioncnn-0123456789abcdef.tmp"
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX only")
linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")


@pytest.fixture
def old(tmp_path):
    """Give a file with the old content, alone in its folder."""
    path = tmp_path / "model"
    path.write_bytes(OLD)
    return path


def assert_alone(path, content):
    """There is nothing beside the file, and it has this content."""
    assert os.listdir(path.parent) == [path.name]
    assert path.read_bytes() == content


def refusal(path, error=OSError, parts=PARTS):
    """Return the error with which the file is not written."""
    with pytest.raises(error) as caught:
        write_atomically(path, parts)
    return caught.value


# What is written


def test_a_file_is_made_and_replaced(tmp_path):
    path = tmp_path / "model"
    write_atomically(path, [OLD])
    assert_alone(path, OLD)
    write_atomically(path, PARTS)
    assert_alone(path, NEW)
    write_atomically(path, [])
    assert_alone(path, b"")


def test_parts_are_written_however_little_the_system_takes_at_once(old, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, rest: write(descriptor, rest[:7]))
    numbers = np.arange(12.0)
    arrays = [numbers, numbers.reshape(3, 4), np.empty((0, 3))]
    write_atomically(old, (part for part in [b"a part", *map(memoryview, arrays), b"end"]))
    assert_alone(old, b"a part" + 2 * numbers.tobytes() + b"end")


@posix
def test_the_disk_has_the_content_before_the_name_and_then_the_name(old, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor):
        events.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noted_replace(*names):
        events.append("name")
        replace(*names)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write_atomically(old, PARTS)
    assert events == ["file", "name", "folder"]


@posix
@pytest.mark.parametrize("number", [errno.EACCES, errno.EINVAL])
def test_a_folder_that_cannot_be_flushed_does_not_stop_a_write(old, monkeypatch, number):
    fsync = os.fsync

    def fail_for_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, "no")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_for_folders)
    write_atomically(old, PARTS)
    assert_alone(old, NEW)


def test_nothing_global_is_changed(old, monkeypatch):
    for module, name in [(os, "umask"), (os, "chdir"), (signal, "signal"), (signal, "sigaction")]:
        monkeypatch.setattr(module, name, None, raising=False)
    environment, here = dict(os.environ), os.getcwd()
    write_atomically(old, PARTS)
    assert (environment, here) == (dict(os.environ), os.getcwd())


# Names


class Named:
    """A path-like object."""

    def __init__(self, name):
        self.name = name

    def __fspath__(self):
        return self.name


@pytest.mark.parametrize("kind", [str, Path, os.fsencode, Named, lambda p: Named(os.fsencode(p))])
def test_any_kind_of_path_names_a_file(old, kind):
    write_atomically(kind(str(old)), PARTS)
    assert_alone(old, NEW)


@posix
def test_a_name_need_not_be_text(tmp_path):
    write_atomically(os.fsencode(tmp_path) + b"/\xff\xfe", PARTS)
    assert os.listdir(os.fsencode(tmp_path)) == [b"\xff\xfe"]


def test_a_name_may_be_relative_to_the_current_folder(old, monkeypatch):
    monkeypatch.chdir(old.parent)
    write_atomically("model", PARTS)
    assert_alone(old, NEW)
    write_atomically(os.path.join("..", old.parent.name, "model"), [OLD])
    assert_alone(old, OLD)


@pytest.mark.parametrize("path", [None, 1, True, ["model"], np.arange(3), Named(3)])
def test_what_is_no_path_is_named(path):
    message = "path must be the name of a file, a str or a path-like.*; got " + type(path).__name__
    with pytest.raises(TypeError, match=message):
        write_atomically(path, PARTS)


def test_an_open_file_is_no_path(old):
    with open(old, "rb") as file, pytest.raises(TypeError, match="; got BufferedReader"):
        file_name(file)


@pytest.mark.parametrize("name", ["mod\0el", "mod\ud800el"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"path must be a name that a file can have; got '.*mod"):
        write_atomically(tmp_path / name, PARTS)
    assert os.listdir(tmp_path) == []


def test_the_longest_name_is_written_and_a_longer_one_is_refused(tmp_path):
    path = tmp_path / ("m" * 255)
    write_atomically(path, PARTS)
    assert_alone(path, NEW)
    error = refusal(tmp_path / ("m" * 256))
    assert error.errno == errno.ENAMETOOLONG
    assert "Take a shorter name" in str(error)
    assert_alone(path, NEW)


def test_a_name_that_ends_with_a_slash_is_a_folder(tmp_path):
    for name in ("", f"{tmp_path}/new/", str(tmp_path), "."):
        error = refusal(name, IsADirectoryError)
        assert "Add the name of a file" in str(error)
    assert os.listdir(tmp_path) == []


def test_a_missing_folder_is_named_as_such(tmp_path):
    path = tmp_path / "some" / "folder" / "model"
    error = refusal(path, FileNotFoundError)
    assert error.filename == str(path)
    assert "Make the folder first, by os.makedirs" in str(error)
    with pytest.raises(FileNotFoundError, match=r"Write out what ~ stands for"):
        write_atomically("~/model", [b"new"])
    os.makedirs(path.parent)  # the remedy
    write_atomically(path, PARTS)
    assert_alone(path, NEW)


def test_a_file_is_no_folder(old):
    error = refusal(old / "model", NotADirectoryError)
    assert "or to another folder" in str(error)
    assert_alone(old, OLD)


# Links


@pytest.fixture
def links(tmp_path):
    """Give a folder with a chain of two links to a file in another folder."""
    for name in ("links", "files"):
        (tmp_path / name).mkdir()
    (tmp_path / "links" / "first").symlink_to("second")
    (tmp_path / "links" / "second").symlink_to(Path("..", "files", "model"))
    return tmp_path / "links"


@pytest.mark.parametrize("is_dangling", [False, True])
def test_links_are_followed_and_stay(links, is_dangling):
    target = links.parent / "files" / "model"
    if not is_dangling:
        target.write_bytes(OLD)
    write_atomically(links / "first", PARTS)
    assert_alone(target, NEW)
    assert sorted(os.listdir(links)) == ["first", "second"]
    assert os.readlink(links / "first") == "second"
    assert (links / "second").is_symlink()


def test_a_link_to_an_absolute_path_is_followed(old, tmp_path_factory):
    link = tmp_path_factory.mktemp("elsewhere") / "link"
    link.symlink_to(old)
    write_atomically(link, PARTS)
    assert link.is_symlink()
    assert_alone(old, NEW)


def test_links_in_a_circle_are_refused(tmp_path):
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    error = refusal(tmp_path / "one")
    assert error.errno == errno.ELOOP
    assert error.filename == str(tmp_path / "one")
    assert sorted(os.listdir(tmp_path)) == ["one", "two"]


def test_a_link_into_a_missing_folder_is_refused(tmp_path):
    (tmp_path / "link").symlink_to(Path("missing", "model"))
    assert refusal(tmp_path / "link", FileNotFoundError).filename == str(tmp_path / "link")
    assert os.listdir(tmp_path) == ["link"]


def test_a_path_through_a_missing_folder_is_refused(tmp_path):
    refusal(os.path.join(tmp_path, "missing", "..", "model"), FileNotFoundError)
    assert os.listdir(tmp_path) == []


# What is no regular file


def make_device(path):
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))  # of the kind of /dev/null
    except PermissionError:
        pytest.skip("needs the right to make a device")


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def make_pipe(path):
    os.mkfifo(path)


SPECIAL = {"device": make_device, "pipe": make_pipe, "socket": make_socket, "folder": os.mkdir}


@posix
@pytest.mark.parametrize("is_linked", [False, True])
@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_no_regular_file_is_refused_and_stays(tmp_path, monkeypatch, kind, is_linked):
    monkeypatch.chdir(tmp_path)  # a socket's name may not be long
    SPECIAL[kind]("special")
    os.symlink("special", "link")
    before = os.lstat("special")
    error = refusal("link" if is_linked else "special")
    if kind == "folder":
        assert isinstance(error, IsADirectoryError)
    else:
        assert error.errno == errno.EINVAL
        assert "no regular file but a device, a pipe or a socket: nothing is saved" in str(error)
    after = os.lstat("special")
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert sorted(os.listdir(tmp_path)) == ["link", "special"]


# Modes


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o666, 0o755])
def test_a_file_keeps_its_mode_which_its_new_content_has_from_the_first(old, mode):
    old.chmod(mode)
    seen = []

    def parts():
        for part in PARTS:
            seen.extend(path.stat().st_mode for path in old.parent.glob(".fashioncnn-*"))
            yield part

    write_atomically(old, parts())
    assert {stat.S_IMODE(mode) for mode in (*seen, old.stat().st_mode)} == {mode}
    assert len(seen) == len(PARTS)


@posix
def test_a_private_file_is_never_open_to_others(old, monkeypatch):
    old.chmod(0o600)
    monkeypatch.setattr(os, "fchmod", None)  # the mode is right from the moment it is made
    write_atomically(old, PARTS)
    assert stat.S_IMODE(old.stat().st_mode) == 0o600


# Faults


FAULTS = {
    errno.ENOSPC: (OSError, "Delete files there that are not needed, or save to .* another disk"),
    errno.EDQUOT: (OSError, "Delete files there that are not needed, or save to .* another disk"),
    errno.EFBIG: (OSError, "Raise the limit if `ulimit -f` shows one"),
    errno.EROFS: (OSError, "Save to a folder, or to a file, that you may write to"),
    errno.EACCES: (PermissionError, "Save to a folder, or to a file, that you may write to"),
    errno.EPERM: (PermissionError, "Save to a folder, or to a file, that you may write to"),
    errno.EIO: (OSError, "Remove the cause, or save under another name or to another folder"),
    errno.EMFILE: (OSError, "Close files that this program has left open, or raise the limit that"),
}


def failing(number, calls_before=0):
    """Return a function that fails after some calls, which do nothing."""
    calls = iter(range(calls_before))

    def fail(*arguments):
        if next(calls, None) is None:
            raise OSError(number, os.strerror(number), "a temporary name")
        return len(arguments[-1])

    return fail


@pytest.mark.parametrize("function", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize("number", FAULTS)
def test_a_fault_leaves_the_old_file_and_says_what_to_do(old, monkeypatch, function, number):
    monkeypatch.setattr(os, function, failing(number, calls_before=function == "write"))
    error = refusal(old)
    monkeypatch.undo()
    kind, remedy = FAULTS[number]
    assert type(error) is kind
    assert error.errno == number
    assert error.filename == str(old)
    start = f"[Errno {number}] {os.strerror(number)}: nothing is saved, what was there before is "
    assert str(error).startswith(start + "unchanged. ")
    assert re.search(remedy, str(error))
    assert str(error).endswith(f": {str(old)!r}")
    assert_alone(old, OLD)


def test_a_fault_leaves_nothing_where_there_was_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", failing(errno.ENOSPC))
    refusal(tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_what_the_parts_raise_goes_out_and_the_old_file_stays(old):
    def parts():
        yield NEW[:100]
        raise LookupError("no more")

    with pytest.raises(LookupError, match=r"^no more$"):
        write_atomically(old, parts())
    assert_alone(old, OLD)


class Interrupt:
    """Raise KeyboardInterrupt at the n-th beginning or end of a call within the module."""

    def __init__(self, number):
        self.number, self.count = number, 0

    def __enter__(self):
        sys.setprofile(self.look)
        return self

    def __exit__(self, *exception):
        sys.setprofile(None)

    def look(self, frame, event, argument):
        if frame.f_code.co_filename == atomic_file.__file__:
            self.count += 1
            if self.count == self.number:
                sys.setprofile(None)
                raise KeyboardInterrupt


def test_an_interrupt_at_any_step_leaves_a_whole_file_and_no_litter(old):
    with Interrupt(0) as all_steps:
        write_atomically(old, PARTS)
    assert all_steps.count > 50
    seen = set()
    for number in range(1, all_steps.count + 1):
        old.write_bytes(OLD)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # closed as it was forgotten
            with Interrupt(number) as step, pytest.raises(KeyboardInterrupt):
                write_atomically(old, PARTS)
        assert step.count == number
        seen.add(old.read_bytes())
        assert os.listdir(old.parent) == ["model"], number
    assert seen == {OLD, NEW}


@posix
def test_an_interrupt_by_the_keyboard_goes_out(old):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def parts():
        yield NEW[:100]
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)

    try:
        with pytest.raises(KeyboardInterrupt):
            write_atomically(old, parts())
    finally:
        signal.signal(signal.SIGINT, before)
    assert_alone(old, OLD)


# Temporary files of killed writers


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    (tmp_path / TEMPORARY).write_bytes(b"half")
    (tmp_path / TEMPORARY.replace("0", "a")).write_bytes(b"")
    others = [TEMPORARY[1:], TEMPORARY[:-5] + ".tmp", f"{TEMPORARY}x", TEMPORARY.upper(), "x.tmp"]
    for name in others:
        (tmp_path / name).write_bytes(b"of a user")
    for letter, make in [("b", os.mkdir), ("c", getattr(os, "mkfifo", os.mkdir))]:
        others.append(TEMPORARY.replace("0", letter))
        make(tmp_path / others[-1])
    others.append(TEMPORARY.replace("0", "d"))
    (tmp_path / others[-1]).symlink_to("x.tmp")
    write_atomically(tmp_path / "model", PARTS)
    assert sorted(os.listdir(tmp_path)) == sorted([*others, "model"])


@posix
def test_what_a_living_writer_writes_is_never_removed(old):
    def parts():
        yield NEW[:100]
        temporary = set(old.parent.glob(".fashioncnn-*"))
        assert len(temporary) == 1
        write_atomically(old.parent / "other", [b"other"])
        write_atomically(old, [b"other"])
        assert set(old.parent.glob(".fashioncnn-*")) == temporary
        yield NEW[100:]

    write_atomically(old, parts())
    assert sorted(os.listdir(old.parent)) == ["model", "other"]
    assert old.read_bytes() == NEW


@posix
def test_what_is_written_is_not_removed_before_it_has_its_name(old, monkeypatch):
    replace = os.replace

    def write_beside_and_replace(temporary, target):
        monkeypatch.undo()
        write_atomically(old.parent / "other", [b"other"])
        replace(temporary, target)

    monkeypatch.setattr(os, "replace", write_beside_and_replace)
    write_atomically(old, PARTS)
    assert old.read_bytes() == NEW


@posix
@pytest.mark.parametrize("living", range(3))
def test_a_living_writer_does_not_save_what_killed_ones_left(tmp_path, living):
    paths = [tmp_path / TEMPORARY.replace("0", str(n)) for n in range(3)]
    for path in paths:
        path.write_bytes(b"half")
    with open(paths[living], "ab") as file:
        atomic_file.fcntl.flock(file, atomic_file.fcntl.LOCK_EX)
        write_atomically(tmp_path / "model", PARTS)
    assert sorted(os.listdir(tmp_path)) == [paths[living].name, "model"]


@posix
@pytest.mark.parametrize("is_removed", [True, False])
def test_a_writer_whom_a_sweeper_was_faster_than_begins_anew(old, monkeypatch, is_removed):
    flock, sweepers = atomic_file.fcntl.flock, []

    def late_flock(descriptor, operation):
        if not sweepers:
            (path,) = old.parent.glob(".fashioncnn-*")
            sweepers.append(os.open(path, os.O_WRONLY))
            flock(sweepers[0], operation)
            if is_removed:
                os.unlink(path)
                os.close(sweepers[0])
        flock(descriptor, operation)

    monkeypatch.setattr(atomic_file.fcntl, "flock", late_flock)
    write_atomically(old, iter(PARTS))
    if not is_removed:
        os.close(sweepers[0])
    assert len(sweepers) == 1
    assert_alone(old, NEW)


@posix
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_locks_a_file_is_written_and_nothing_removed(old, monkeypatch, number):
    (old.parent / TEMPORARY).write_bytes(b"half")
    monkeypatch.setattr(atomic_file.fcntl, "flock", failing(number))
    write_atomically(old, PARTS)
    assert sorted(os.listdir(old.parent)) == [TEMPORARY, "model"]
    assert old.read_bytes() == NEW


def test_a_folder_that_cannot_be_listed_does_not_stop_a_write(old, monkeypatch):
    monkeypatch.setattr(os, "scandir", failing(errno.EACCES))
    write_atomically(old, PARTS)
    assert old.read_bytes() == NEW


@linux
def test_the_steps_that_windows_takes(old, monkeypatch):
    """This is no test on Windows: it shows that the steps are those that are meant for it."""
    young, orphan = old.parent / TEMPORARY, old.parent / TEMPORARY.replace("0", "a")
    young.write_bytes(b"of a writer")
    orphan.write_bytes(b"half")
    os.utime(orphan, (time.time() - 4000,) * 2)
    replace = os.replace

    def replace_closed(temporary, target):
        names = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
        assert temporary not in [os.readlink(name) for name in names if os.path.islink(name)]
        replace(temporary, target)

    monkeypatch.setattr(os, "replace", replace_closed)
    monkeypatch.setattr(sys, "platform", "win32")
    write_atomically(str(old), PARTS)
    monkeypatch.undo()
    assert sorted(os.listdir(old.parent)) == [TEMPORARY, "model"]
    assert old.read_bytes() == NEW


# Threads


@posix
def test_threads_write_whole_files(tmp_path):
    path, contents = tmp_path / "model", [bytes([n]) * (10_000 + n) for n in range(6)]
    ready = threading.Barrier(len(contents))

    def write(content):
        ready.wait()
        for _ in range(4):
            write_atomically(path, [content[:5000], content[5000:]])
            assert path.read_bytes() in contents

    with ThreadPoolExecutor(len(contents)) as threads:
        list(threads.map(write, contents))
    assert os.listdir(tmp_path) == ["model"]
