# SPDX-License-Identifier: BSD-3-Clause
"""A file is written whole or not at all, whatever stops a process or works beside it."""

import errno
import os
import signal

import pytest
from saving_scripts import printed_by, run_script

from fashioncnn._files import atomic_file
from fashioncnn._files.atomic_file import write_atomically

OLD, NEW = b"old" * 1000, b"new content" * 1000
pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(os.name != "posix", reason="POSIX only"),
]

BEGINNING = f"""
        sys.path.append({os.path.dirname(atomic_file.__file__)!r})  # it is quick by itself
        from atomic_file import write_atomically

        OLD, NEW = b"old" * 1000, b"new content" * 1000

        def fault(path="model"):
            return refusal(write_atomically, path, [NEW[:5000], NEW[5000:]])
        """


@pytest.fixture
def run(tmp_path):
    """Give a function that runs a script in the folder and returns what it prints as JSON."""

    def run(script, argument="", command=()):
        return printed_by(BEGINNING + script, tmp_path, argument, command)

    return run


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o027, 0o077])
def test_the_umask_holds_for_a_new_file_and_stays(tmp_path, run, umask):
    modes = run(
        """
        os.umask(int(argument))
        open("plain", "xb").close()
        write_atomically("model", [b"new"])
        modes = [os.stat(name).st_mode for name in ("plain", "model")]
        os.chmod("model", 0o664)
        write_atomically("model", [b"newer"])
        print(json.dumps([*modes, os.stat("model").st_mode & 0o777, os.umask(0)]))
        """,
        argument=umask,
    )
    assert modes == [modes[0], modes[0], 0o664, umask]


def test_what_is_logged_to_a_closed_stderr_does_not_go_into_the_file(run):
    assert run(
        """
        def log_and_flush(descriptor, flush=os.fsync):
            refusal(os.write, 2, b"a log")
            flush(descriptor)

        os.close(2)
        os.fsync = log_and_flush
        write_atomically("model", [NEW])
        print(json.dumps(read() == NEW))
        """
    )


def test_a_limited_size_of_files_leaves_the_old_file(run):
    answers = run(
        """
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        with open("model", "xb") as file:
            file.write(OLD)
        answers = []
        for limit in (0, 1, 4999, 5000, 5001, len(NEW) - 1, len(NEW)):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, unlimited[1]))
            answers.append([limit, fault(), read() == OLD, read() == NEW, os.listdir()])
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        print(json.dumps(answers))
        """
    )
    *limited, (limit, error, _, is_new, names) = answers
    assert (limit, error, is_new, names) == (len(NEW), None, True, ["model"])
    assert len(limited) == 6
    for _, error, is_old, _, names in limited:
        assert error[:3] == ["OSError", errno.EFBIG, "model"]
        assert "File too large: nothing is saved, what was there before is unchanged" in error[3]
        assert (is_old, names) == (True, ["model"])


def test_too_many_open_files_leave_the_old_file_until_some_are_closed(run):
    error, *others = run(
        """
        write_atomically("model", [OLD])
        left_open = open("model", "rb")
        unlimited = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (left_open.fileno() + 1, unlimited[1]))
        error = fault()
        left_open.close()  # the remedy
        resource.setrlimit(resource.RLIMIT_NOFILE, unlimited)
        answers = [error, read() == OLD, os.listdir()]
        print(json.dumps([*answers, fault(), read() == NEW]))
        """
    )
    assert error[:3] == ["OSError", errno.EMFILE, "model"]
    assert "Close files that this program has left open" in error[3]
    assert others == [True, ["model"], None, True]


def test_a_full_disk_leaves_the_old_file_until_there_is_space(run, own_disk):
    answers = run(
        """
        write_atomically("model", [OLD])
        fill_disk("other")
        answers = [fault(), read() == OLD, sorted(os.listdir())]
        os.unlink("other")  # the remedy
        print(json.dumps([*answers, fault(), read() == NEW, os.listdir()]))
        """,
        command=own_disk,
    )
    error, *others = answers
    assert error[:3] == ["OSError", errno.ENOSPC, "model"]
    assert "Delete files there that are not needed" in error[3]
    assert others == [True, ["model", "other"], None, True, ["model"]]


def test_a_disk_for_reading_only_leaves_the_old_file(run, own_disk):
    answers = run(
        """
        write_atomically("model", [OLD])
        let_read_only(argument)
        print(json.dumps([fault(), fault("new"), read() == OLD, os.listdir()]))
        """,
        argument=own_disk[-1],
        command=own_disk,
    )
    for error, name in zip(answers[:2], ["model", "new"], strict=True):
        assert error[:3] == ["OSError", errno.EROFS, name]
        assert "that you may write to" in error[3]
    assert answers[2:] == [True, ["model"]]


def test_files_and_folders_that_the_user_may_not_write_to_stay(run):
    answers = run(
        """
        os.mkdir("free")
        os.mkdir("closed")
        for name in ("free/model", "free/protected", "closed/model"):
            write_atomically(name, [OLD])
        if os.geteuid() == 0:  # who may do all
            for name in ("free", "closed", "free/model", "free/protected", "closed/model"):
                os.chown(name, 65534, 65534)
            os.chmod(".", 0o755)
            os.seteuid(65534)
        os.chmod("closed", 0o555)
        os.chmod("free/protected", 0o444)
        names = ["closed/model", "closed/new", "free/protected"]
        answers = [[fault(name) for name in names]]
        answers.append([read(name) == OLD for name in (names[0], names[2])])
        answers.append(fault("free/new"))  # the remedy
        os.chmod("free", 0o300)  # it can't be listed
        answers += [fault("free/model"), read("free/model") == NEW]
        os.chmod("free", 0o700)
        os.chmod("closed", 0o700)
        answers.append([sorted(os.listdir("free")), os.listdir("closed")])
        os.seteuid(os.getuid())
        print(json.dumps(answers))
        """
    )
    for error, name in zip(
        answers[0], ["closed/model", "closed/new", "free/protected"], strict=True
    ):
        assert error[:3] == ["PermissionError", errno.EACCES, name]
        assert "Save to a folder, or to a file, that you may write to" in error[3]
    assert answers[1:5] == [[True, True], None, None, True]
    assert answers[5] == [["model", "new", "protected"], ["model"]]


KILLED_AT_A_STEP = """
        import fcntl

        where, function, after = argument.split()
        module = {"os": os, "fcntl": fcntl}[where]
        original = getattr(module, function)

        def fall(*arguments):
            if after == "after":
                original(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(module, function, fall)
        write_atomically("model", [NEW[:5000], NEW[5000:]])
        """
STEPS = {
    "fcntl flock before": (OLD, 1),
    "os write before": (OLD, 1),
    "os write after": (OLD, 1),
    "os fsync before": (OLD, 1),
    "os fsync after": (OLD, 1),
    "os replace before": (OLD, 1),
    "os replace after": (NEW, 0),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_writer_killed_at_a_step_leaves_a_whole_file_and_what_the_next_one_removes(
    tmp_path, step
):
    old = tmp_path / "model"
    old.write_bytes(OLD)
    content, n_orphans = STEPS[step]
    assert run_script(BEGINNING + KILLED_AT_A_STEP, tmp_path, step).returncode == -signal.SIGKILL
    assert old.read_bytes() == content
    assert len(os.listdir(old.parent)) == 1 + n_orphans
    write_atomically(old, [b"next"])
    assert (os.listdir(old.parent), old.read_bytes()) == (["model"], b"next")


def test_a_writer_killed_at_any_moment_leaves_a_whole_file(run):
    n_orphans = run(
        """
        def new_content():
            write_atomically("model", [b"new" * 1000] * 300)

        most_seconds = 0.02 + 5 * seconds_of(new_content)
        old, new, n_orphans = OLD, b"new" * 300_000, 0
        for _ in range(100):
            write_atomically("model", [old])
            assert os.listdir() == ["model"]
            repeat_and_die(new_content, most_seconds)
            assert read() in (old, new)
            n_orphans += len(os.listdir()) - 1
        write_atomically("model", [old])
        assert os.listdir() == ["model"]
        print(n_orphans)
        """
    )
    assert n_orphans > 0  # else the moments were no test


def test_two_writers_to_one_path_and_a_reader_always_see_whole_files(run):
    n_reads, names = run(
        """
        contents = [b"one" * 100_000, b"other" * 100_000]

        def write(content):
            for _ in range(100):
                write_atomically("model", [content[:1000], content[1000:]])

        write(contents[0])
        writers = [start(write, content) for content in contents]
        n_reads = 0
        while are_alive(writers):
            assert read() in contents
            n_reads += 1
        print(json.dumps([n_reads, os.listdir()]))
        """
    )
    assert n_reads > 20
    assert names == ["model"]
