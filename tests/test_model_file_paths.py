# SPDX-License-Identifier: BSD-3-Clause
"""What is no model file, can't be read, or changes meanwhile, is refused and does nothing."""

import builtins
import errno
import gzip
import importlib
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import joblib
import keras
import numpy as np
import pytest
import safetensors.numpy
import skops.io
from fuzzed_model_files import untrained
from model_files import take_apart

from fashioncnn import FashionCNNClassifier
from fashioncnn._files import model_file, open_file
from fashioncnn.exceptions import ModelFileError

LOADERS = [
    *((pickle, name) for name in ("load", "loads", "Unpickler")),
    *((builtins, name) for name in ("eval", "exec", "compile")),
    *((np, "load"), (joblib, "load"), (h5py, "File"), (h5py, "is_hdf5"), (zipfile, "ZipFile")),
    *((keras.saving, "load_model"), (keras.models, "load_model"), (keras.Model, "load_weights")),
    *((importlib, "import_module"), (subprocess, "Popen"), (os, "system"), (socket, "socket")),
]


@pytest.fixture
def refuse(monkeypatch):
    """Give a function that returns the error of loading a path, which calls no other loader."""

    def explode(*_, **__):
        raise AssertionError("something else was called")

    def load(path, **kwargs):
        with monkeypatch.context() as patch:
            for owner, name in LOADERS:
                patch.setattr(owner, name, explode)
            try:
                FashionCNNClassifier.load(path, **kwargs)
            except ModelFileError as error:
                refusal = error
            else:
                raise AssertionError("it was loaded")
        assert refusal.path == os.fsdecode(path)
        return refusal

    return load


@pytest.fixture(scope="module")
def clf():
    return untrained(["coat", "shoe"], dense_units=20_000)  # larger than what is read ahead


@pytest.fixture
def saved(clf, tmp_path):
    clf.save(tmp_path / "model")
    return tmp_path / "model"


class RunsCode:
    """Its pickle writes a file when it is loaded."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


def write_pickle(path, clf):
    path.write_bytes(pickle.dumps(RunsCode()))


def write_old_pickle(path, clf):
    path.write_bytes(pickle.dumps(RunsCode(), protocol=0))


def write_keras(path, clf):
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    network.save(path.with_suffix(".keras"))
    os.replace(path.with_suffix(".keras"), path)


def write_keras_lambda(path, clf):
    code = {"class_name": "__lambda__", "config": {"code": "Y29kZQ==", "defaults": None}}
    layer = {"class_name": "Lambda", "config": {"name": "x", "function": code}}
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("metadata.json", "{}")
        file.writestr("config.json", str({"class_name": "Sequential", "layers": [layer]}))


def write_h5(path, clf):
    with h5py.File(path, "w") as file:
        file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/x")
        file.create_dataset("external", (4,), "u1", external=[("/etc/passwd", 0, 4)])
        file.attrs["model_config"] = '{"class_name": "Lambda", "config": {"function": "x"}}'


def write_npz(path, clf):
    with open(path, "wb") as file:
        np.savez(file, weights=np.array([RunsCode()], object))


def write_npy(path, clf):
    with open(path, "wb") as file:
        np.save(file, np.array([RunsCode()], object), allow_pickle=True)


def write_safetensors(path, clf):
    path.write_bytes(safetensors.numpy.save({"weights/dense1/bias": np.ones(3, np.float32)}))


def write_other_metadata(path, clf):
    metadata = {"fashioncnn": '{"format":"fashioncnn"}'}
    path.write_bytes(safetensors.numpy.save({"a": np.ones(3, np.float32)}, metadata))


FOREIGN = {
    "pickle": write_pickle,
    "old pickle": write_old_pickle,
    "joblib": lambda path, clf: joblib.dump(clf, path),
    "joblib, compressed": lambda path, clf: joblib.dump(clf, path, compress=3),
    "skops": lambda path, clf: skops.io.dump(clf, path),
    "keras": write_keras,
    "keras with a Lambda": write_keras_lambda,
    "h5": write_h5,
    "npz": write_npz,
    "npy": write_npy,
    "gzip": lambda path, clf: path.write_bytes(gzip.compress(b"x" * 1000)),
    "ELF": lambda path, clf: path.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(1000)),
    "empty": lambda path, clf: path.write_bytes(b""),
    "a byte": lambda path, clf: path.write_bytes(b"\0"),
    "eight bytes": lambda path, clf: path.write_bytes(bytes(8)),
    "zeros": lambda path, clf: path.write_bytes(bytes(10_000)),
    "text": lambda path, clf: path.write_text('{"format": "fashioncnn"}' * 50),
    "safetensors of others": write_safetensors,
    "safetensors like ours": write_other_metadata,
}


@pytest.mark.parametrize("suffix", ["", ".keras", ".h5", ".pkl"])
@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_of_another_kind_is_refused(refuse, clf, tmp_path, monkeypatch, kind, suffix):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"foreign{suffix}"
    FOREIGN[kind](tmp_path / "foreign", clf)
    os.replace(tmp_path / "foreign", path)
    error = refuse(path)
    assert error.field == "the beginning"
    assert re.match(r"is b['\"].*, and should be eight bytes and b'", error.problem)
    assert "files that save has written" in error.advice
    assert os.listdir(tmp_path) == [path.name]


def make_socket(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.close()


def make_loop(path):
    path.symlink_to(path)


PATHS = {
    "folder": (os.mkdir, "directory|folder"),
    "pipe": (lambda path: os.mkfifo(path), "pipe"),
    "socket": (make_socket, "can't be read|device"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "device"),
    "terminal": (lambda path: path.symlink_to("/dev/null"), "device"),
    "loop of links": (make_loop, "(?i)symbolic links"),
}


@pytest.mark.skipif(sys.platform == "win32", reason="has no such paths")
@pytest.mark.parametrize("kind", PATHS)
def test_a_path_that_is_no_file_is_refused(refuse, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)  # since the path of a socket must be short
    make, text = PATHS[kind]
    make(Path("model"))

    def stop(*_):
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    try:
        error = refuse("model")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert re.search(text, f"{error.field} {error.problem}"), f"{error.field} {error.problem}"


@pytest.mark.parametrize("name", ["model/below", "x" * 5000])
def test_a_path_that_can_not_be_is_refused(refuse, saved, monkeypatch, name):
    monkeypatch.chdir(saved.parent)
    assert refuse(name).field == "the file"


def test_a_missing_file_is_not_found(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "missing")
    for name in ("missing", "link", "no folder/missing"):
        with pytest.raises(FileNotFoundError) as caught:
            FashionCNNClassifier.load(tmp_path / name)
        assert caught.value.filename == str(tmp_path / name)


@pytest.mark.parametrize("path", [None, 0, 1.5, ["model"], sys.stdin, object()])
def test_what_is_no_path_is_a_type_error(path):
    with pytest.raises(TypeError, match="path must be the name of a file"):
        FashionCNNClassifier.load(path)


# Root may read all, so another user tries.
LOAD_AS_ANOTHER = """
import os, sys
from fashioncnn import FashionCNNClassifier

os.geteuid() or os.setuid(65534)
try:
    FashionCNNClassifier.load(sys.argv[1])
except ValueError as error:
    print(type(error).__name__, error.problem)
"""


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="has no users' rights")
@pytest.mark.parametrize("is_folder", [False, True])
def test_what_may_not_be_read_is_refused(tmp_path, is_folder):
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "model"
    path.touch()
    (path.parent if is_folder else path).chmod(0)
    command = [sys.executable, "-c", LOAD_AS_ANOTHER, str(path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    path.parent.chmod(0o700)
    assert output == "ModelFileError can't be read: Permission denied\n"


class FailingFile:
    """A file of which some call of `read` fails."""

    def __init__(self, file, number, failing):
        self.file, self.number, self.failing = file, number, failing

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def read(self, n):
        self.failing -= 1
        if self.failing < 0:
            raise OSError(self.number, os.strerror(self.number))
        return self.file.read(n)


@pytest.mark.parametrize("failing", range(3))  # the beginning, the header, or all
@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN])
def test_a_disk_that_fails_is_said(refuse, saved, monkeypatch, number, failing):
    def open_failing(*args, **kwargs):
        return FailingFile(open(*args, **kwargs), number, failing)

    monkeypatch.setattr(open_file, "open", open_failing, raising=False)
    error = refuse(saved)
    assert error.field == "the file"
    assert os.strerror(number) in error.problem
    assert error.__context__.errno == number


def test_a_disk_that_vanishes_before_its_size_is_known(refuse, saved, monkeypatch):
    def stale(_):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    with monkeypatch.context() as patch:  # since pytest calls it, too
        patch.setattr(os, "fstat", stale)
        error = refuse(saved)
    assert os.strerror(errno.ESTALE) in error.problem


def overwrite(path, content):
    with open(path, "r+b") as file:
        file.write(content)


def of_equal_size(content):
    """Return another valid file with the same header but for the digest."""
    parts = take_apart(content)
    parts.array("weights/dense1/bias")[:] += 1
    return parts.seal()


# Of a file between the reading of its header and that of its arrays. What was read ahead is old.
CHANGES = {
    "cut off": (lambda path, content: os.truncate(path, len(content) - 1), "the file"),
    "emptied": (lambda path, content: os.truncate(path, 0), "the file"),
    "cut within the header": (lambda path, content: os.truncate(path, 500), "the file"),
    "another file": (lambda path, content: overwrite(path, of_equal_size(content)), "sha256"),
    "other arrays": (
        lambda path, content: overwrite(path, content[:-8] + b"\1" * 8),
        "sha256",
    ),
    "zeros": (lambda path, content: overwrite(path, bytes(len(content))), "sha256"),
}


@pytest.fixture
def between(monkeypatch):
    """Give a function that does something between the two phases of loading."""

    def do(change):
        read_params = model_file.ModelFile.read_params

        def change_and_read(*args):
            change()
            return read_params(*args)

        monkeypatch.setattr(model_file.ModelFile, "read_params", change_and_read)

    return do


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_changed_while_it_is_read_is_refused(refuse, saved, between, name):
    change, field = CHANGES[name]
    content = saved.read_bytes()
    between(lambda: change(saved, content))
    assert refuse(saved).field == field


def test_a_file_that_takes_its_place_while_it_is_read_has_no_part_in_it(clf, saved, between):
    other = saved.parent / "other"
    other.write_bytes(of_equal_size(saved.read_bytes()))
    between(lambda: os.replace(other, saved))
    image = np.full((1, 3, 4, 2), 3)
    expected = clf.predict_proba(image)
    np.testing.assert_array_equal(FashionCNNClassifier.load(saved).predict_proba(image), expected)


def test_a_file_removed_while_it_is_read_is_loaded(saved, between):
    between(saved.unlink)
    assert FashionCNNClassifier.load(saved).classes_.tolist() == ["coat", "shoe"]
