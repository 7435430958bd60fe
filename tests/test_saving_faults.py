# SPDX-License-Identifier: BSD-3-Clause
"""Models on disks that are full or closed, and beside others that write: old or new, always."""

import errno
import os
import re

import numpy as np
import pytest
from saving_scripts import printed_by

from fashioncnn import FashionCNNClassifier

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX only")

BEGINNING = """
        import warnings
        import numpy as np
        from fashioncnn import FashionCNNClassifier

        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        X = np.load(f"{argument}/images.npy")
        names = ["one", "other"]
        contents = [read(f"{argument}/{name}") for name in names]
        models = [FashionCNNClassifier.load(f"{argument}/{name}") for name in names]
        probabilities = [model.predict_proba(X) for model in models]

        def loaded(path="model"):  # which of the models the file is
            model = FashionCNNClassifier.load(path)
            is_model = [(model.predict_proba(X) == values).all() for values in probabilities]
            assert sum(is_model) == 1
            return names[is_model.index(True)]
        """


@pytest.fixture(scope="module")
def models(images, fitted, tmp_path_factory):
    """Give a folder with two model files, and images."""
    X, y = images
    folder = tmp_path_factory.mktemp("models")
    other = FashionCNNClassifier((6,), (7,), epochs=1, random_state=1).fit(X, y)
    fitted.save(folder / "one")
    other.save(folder / "other")
    np.save(folder / "images.npy", X[:4])
    return folder


@pytest.fixture
def run(tmp_path, models):
    """Give a function that runs a script in the folder and returns what it prints as JSON."""

    def run(script, command=()):
        return printed_by(BEGINNING + script, tmp_path, models, command)

    return run


@pytest.mark.parametrize("function", ["write", "fsync", "replace"])
def test_a_fault_leaves_the_old_model_and_says_what_to_do(
    fitted, models, tmp_path, monkeypatch, function
):
    path = tmp_path / "model"
    path.write_bytes((models / "other").read_bytes())

    def fail(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, function, fail)
    message = (
        f"[Errno {errno.ENOSPC}] {os.strerror(errno.ENOSPC)}: nothing is saved, what was there "
        "before is unchanged. Delete files there that are not needed, or save to a folder on "
        f"another disk: {str(path)!r}"
    )
    with pytest.raises(OSError, match=f"^{re.escape(message)}$") as caught:
        fitted.save(path)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["model"]
    assert path.read_bytes() == (models / "other").read_bytes()


@pytest.mark.parametrize("state", ["unfitted", "with a RandomState"])
def test_a_model_that_is_refused_leaves_the_old_one(fitted, small, models, tmp_path, state):
    path = tmp_path / "model"
    path.write_bytes((models / "other").read_bytes())
    clf = small() if state == "unfitted" else FashionCNNClassifier.load(models / "one")
    clf.set_params(random_state=np.random.RandomState(0))
    with pytest.raises((ValueError, TypeError)):
        clf.save(path)
    assert os.listdir(tmp_path) == ["model"]
    assert path.read_bytes() == (models / "other").read_bytes()


@pytest.mark.parametrize("path", [None, 3, ["model"], "mod\0el", b"mod\0el", "mod\ud800el"])
def test_what_names_no_file_is_refused_alike_by_save_and_load(fitted, path):
    texts = []
    for call in (fitted.save, FashionCNNClassifier.load):
        with pytest.raises((TypeError, ValueError), match=r"^path must be .*; got ") as caught:
            call(path)
        texts.append(f"{type(caught.value).__name__}: {caught.value}")
    assert texts[0] == texts[1]


@pytest.mark.processes
def test_a_full_disk_leaves_the_old_model_until_there_is_space(run, own_disk):
    answers = run(
        """
        models[0].save("model")
        fill_disk("film")
        answers = [refusal(models[1].save, "model"), loaded(), sorted(os.listdir())]
        assert read() == contents[0]
        os.unlink("film")  # the remedy
        models[1].save("model")
        print(json.dumps([*answers, loaded(), os.listdir()]))
        """,
        command=own_disk,
    )
    error, *others = answers
    assert error[:3] == ["OSError", errno.ENOSPC, "model"]
    assert "Delete files there that are not needed" in error[3]
    assert others == ["one", ["film", "model"], "other", ["model"]]


@pytest.mark.processes
def test_a_disk_for_reading_only_leaves_the_old_model(run, own_disk):
    answers = run(
        """
        models[0].save("model")
        let_read_only(os.getcwd())
        errors = [refusal(models[1].save, name) for name in ("model", "new")]
        assert read() == contents[0]
        print(json.dumps([errors, loaded(), os.listdir()]))
        """,
        command=own_disk,
    )
    for error, name in zip(answers[0], ["model", "new"], strict=True):
        assert error[:3] == ["OSError", errno.EROFS, name]
        assert "Save to a folder, or to a file, that you may write to" in error[3]
    assert answers[1:] == ["one", ["model"]]


@posix
@pytest.mark.processes
def test_a_folder_that_the_user_may_not_write_to_keeps_its_model(run):
    error, *others = run(
        """
        models[0].save("model")
        os.mkdir("own", 0o700)
        os.chmod(".", 0o555)
        if os.geteuid() == 0:  # who may do all
            os.chown("own", 65534, 65534)
            os.seteuid(65534)
        error = refusal(models[1].save, "model")
        answers = [loaded(), refusal(models[1].save, "own/model")]  # the remedy
        listings = [sorted(os.listdir()), os.listdir("own")]
        os.seteuid(os.getuid())
        os.chmod(".", 0o700)
        assert read() == contents[0]
        print(json.dumps([error, *answers, *listings, loaded("own/model")]))
        """
    )
    assert error[:3] == ["PermissionError", errno.EACCES, "model"]
    assert "Save to a folder, or to a file, that you may write to" in error[3]
    assert others == ["one", None, ["model", "own"], ["model"], "other"]


@posix
@pytest.mark.processes
def test_a_limited_size_of_files_leaves_the_old_model(run):
    errors = run(
        """
        models[0].save("model")
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        size, errors = len(contents[1]), []
        for limit in (0, 1, 7, 8, size // 2, size - 1, size):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, unlimited[1]))
            errors.append(refusal(models[1].save, "model"))
            assert read() == contents[limit == size]
            assert os.listdir() == ["model"]
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        assert loaded() == "other"
        print(json.dumps(errors))
        """
    )
    assert errors[-1] is None
    for error in errors[:-1]:
        assert error[:3] == ["OSError", errno.EFBIG, "model"]
        assert "Raise the limit if `ulimit -f` shows one" in error[3]


@posix
@pytest.mark.processes
def test_too_many_open_files_leave_the_old_model_until_some_are_closed(run):
    saving, loading, *others = run(
        """
        models[0].save("model")
        unlimited = resource.getrlimit(resource.RLIMIT_NOFILE)
        left_open = [open("model", "rb")]
        resource.setrlimit(resource.RLIMIT_NOFILE, (left_open[0].fileno() + 1, unlimited[1]))
        answers = [refusal(models[1].save, "model")]
        try:
            loaded()
        except ValueError as error:
            answers.append([type(error).__name__, str(error)])
        left_open.pop().close()  # the remedy
        answers += [os.listdir(), loaded()]
        models[1].save("model")
        resource.setrlimit(resource.RLIMIT_NOFILE, unlimited)
        print(json.dumps([*answers, loaded()]))
        """
    )
    assert saving[:2] == ["OSError", errno.EMFILE]
    assert loading[0] == "ModelFileError"
    assert "Close files that this program has left open" in loading[1]
    assert others == [["model"], "one", "other"]


@posix
@pytest.mark.processes
def test_a_killed_process_leaves_the_old_model_or_the_new_and_no_litter(run):
    n_files = run(
        """
        def save():
            models[1].save("model")

        def save_and_die():  # with all written, but not yet in its place
            os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
            models[1].save("model")

        models[0].save("model")
        os.waitpid(start(save_and_die), 0)
        assert len(os.listdir()) == 2
        assert loaded() == names[0]
        most_seconds = 0.02 + 5 * seconds_of(save)
        for _ in range(50):
            models[0].save("model")
            assert os.listdir() == ["model"]
            repeat_and_die(save, most_seconds)
            assert loaded() in names
            assert read() in contents
        models[0].save("model")
        print(len(os.listdir()))
        """
    )
    assert n_files == 1


@posix
@pytest.mark.processes
def test_two_processes_save_to_one_path_and_a_reader_always_loads_one_of_both(run):
    counts, names = run(
        """
        def save(model):
            for _ in range(100):
                model.save("model")

        models[0].save("model")
        writers, counts = [start(save, model) for model in models], dict.fromkeys(names, 0)
        while are_alive(writers):
            counts[loaded()] += 1
            assert read() in contents
        print(json.dumps([counts, os.listdir()]))
        """
    )
    assert min(counts.values()) > 0, counts
    assert names == ["model"]
