# SPDX-License-Identifier: BSD-3-Clause
"""Tests of the data set loaders. None of them uses the network."""

import gzip
import hashlib
import importlib.util
import io
import os
import stat
import struct
import subprocess
import sys
import tracemalloc
import urllib.request
from http.client import IncompleteRead
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from urllib.error import HTTPError, URLError

import numpy as np
import pytest
from sklearn.utils._param_validation import InvalidParameterError

from fashioncnn.datasets import (
    FASHION_MNIST_CLASSES,
    load_fashion_mnist,
    load_fashion_mnist_sample,
)
from fashioncnn.datasets import fashion_mnist as datasets

SUBSETS = ("train", "test", "all")
TRAIN_LABELS = "train-labels-idx1-ubyte.gz"
TEST_IMAGES = "t10k-images-idx3-ubyte.gz"
TEST_LABELS = "t10k-labels-idx1-ubyte.gz"
MAKE_SAMPLE = Path(__file__).parents[1] / "tools" / "make_sample.py"


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """The folders that are looked in, in order, moved below tmp_path; and no network."""
    home = tmp_path / "home"
    home.mkdir()
    debian = tmp_path / "debian"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setenv("FASHIONCNN_DATA", str(tmp_path / "variable"))
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setattr(datasets, "_DEBIAN_FOLDER", str(debian))
    monkeypatch.setattr(urllib.request, "urlopen", refuse_connection)
    return {
        "data_home": tmp_path / "data_home",
        "variable": tmp_path / "variable",
        "debian": debian,
        "cache": home / ".cache" / "fashioncnn",
        "keras": home / ".keras" / "datasets" / "fashion-mnist",
    }


@pytest.fixture
def tiny(monkeypatch):
    """A tiny data set in place of the full one."""
    tiny = TinyDataset()
    monkeypatch.setattr(datasets, "_FULL", tiny.table)
    return tiny


class TinyDataset:
    """A made-up data set of 30 training and 20 test images, with the file names of the full one."""

    def __init__(self):
        random_state = np.random.RandomState(0)
        self.arrays = {}
        self.files = {}  # name -> compressed content
        self.table = {}
        for subset, prefix, n_samples in (("train", "train", 30), ("test", "t10k", 20)):
            X = random_state.randint(0, 256, (n_samples, 28, 28)).astype(np.uint8)
            y = random_state.permutation(np.arange(n_samples) % 10).astype(np.uint8)
            self.arrays[subset] = X, y
            self.table[subset] = (
                self._add(f"{prefix}-images-idx3-ubyte.gz", X),
                self._add(f"{prefix}-labels-idx1-ubyte.gz", y),
            )
        self.arrays["all"] = tuple(
            np.concatenate(pair)
            for pair in zip(self.arrays["train"], self.arrays["test"], strict=True)
        )

    def _add(self, name, array):
        content = encode_idx(array)
        self.files[name] = gzip.compress(content)
        return datasets.IdxFile(name, array.shape, hashlib.sha256(content).hexdigest())

    def write(self, folder, names=None):
        folder.mkdir(parents=True, exist_ok=True)
        for name in names or self.files:
            (folder / name).write_bytes(self.files[name])

    def assert_loads(self, subset="train", **params):
        for actual, expected in zip(
            load_fashion_mnist(subset, **params), self.arrays[subset], strict=True
        ):
            np.testing.assert_array_equal(actual, expected, strict=True)


def encode_idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def refuse_connection(url, timeout):
    raise URLError("no network in tests")


def write_unreadable_files(folder, names):
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"not to be read")


def read_tree(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


class Server:
    """Answers in place of ``urlopen``: with the content, or by raising where it is an exception."""

    def __init__(self, contents):
        self.contents = contents
        self.urls = []

    def __call__(self, url, timeout):
        assert 0 < timeout <= 60
        self.urls.append(url)
        return Response(self.contents[url.rpartition("/")[2]])

    @property
    def names(self):
        return [url.rpartition("/")[2] for url in self.urls]


class Response(io.BytesIO):
    def __init__(self, content):
        self.error = content if isinstance(content, BaseException) else None
        super().__init__(b"" if self.error else content)

    def read(self, size=-1):
        if self.error:
            raise self.error
        return super().read(size)


@pytest.fixture
def serve(monkeypatch):
    """A function that starts a server and returns it."""

    def start(contents):
        server = Server(contents)
        monkeypatch.setattr(urllib.request, "urlopen", server)
        return server

    return start


# ---- The full data set


@pytest.mark.parametrize(("subset", "n_samples"), [("train", 60_000), ("test", 10_000)])
def test_full_dataset_is_complete(full_dataset, subset, n_samples):
    X, y = full_dataset[subset]
    assert X.shape == (n_samples, 28, 28)
    assert X.dtype == y.dtype == np.uint8
    np.testing.assert_array_equal(np.bincount(y), n_samples // 10)


def test_class_names_fit_the_labels():
    assert len(FASHION_MNIST_CLASSES) == 10
    assert FASHION_MNIST_CLASSES[0] == "T-shirt/top"
    assert FASHION_MNIST_CLASSES[9] == "Ankle boot"


# ---- Subsets and labels, on the tiny data set


@pytest.mark.parametrize("subset", SUBSETS)
def test_subset(tiny, places, subset):
    tiny.write(places["data_home"])
    tiny.assert_loads(subset, data_home=places["data_home"])


def test_train_is_the_default(tiny, places):
    tiny.write(places["cache"])
    X, y = load_fashion_mnist()
    np.testing.assert_array_equal(X, tiny.arrays["train"][0])
    np.testing.assert_array_equal(y, tiny.arrays["train"][1])


@pytest.mark.parametrize("subset", SUBSETS)
def test_names(tiny, places, subset):
    tiny.write(places["cache"])
    _, names = load_fashion_mnist(subset, as_names=True)
    assert names.dtype.kind == "U"
    assert names.tolist() == [FASHION_MNIST_CLASSES[code] for code in tiny.arrays[subset][1]]


@pytest.mark.parametrize("subset", SUBSETS)
@pytest.mark.parametrize("load", [load_fashion_mnist, load_fashion_mnist_sample])
def test_arrays_are_fresh_and_writable(tiny, places, load, subset):
    tiny.write(places["cache"])
    first, second = load(subset), load(subset)
    for mine, yours in zip(first, second, strict=True):
        assert mine.flags.c_contiguous
        mine[:] = 77
        assert not np.shares_memory(mine, yours)
        assert np.any(yours != 77)


def test_loading_writes_nothing(tiny, places, tmp_path, monkeypatch):
    tiny.write(places["keras"])
    monkeypatch.chdir(tmp_path)
    before = read_tree(tmp_path)
    load_fashion_mnist("all", data_home=places["data_home"])
    load_fashion_mnist_sample("all")
    assert read_tree(tmp_path) == before


# ---- Where the files are looked for


@pytest.mark.parametrize("rank", range(5))
def test_search_order(tiny, places, rank):
    folders = list(places.values())
    tiny.write(folders[rank])
    for folder in folders[rank + 1 :]:
        write_unreadable_files(folder, tiny.files)
    tiny.assert_loads("all", data_home=places["data_home"])


def test_incomplete_folder_does_not_serve(tiny, places):
    tiny.write(places["data_home"], [TEST_IMAGES])
    tiny.write(places["variable"], [TEST_LABELS])
    tiny.write(places["debian"], [TEST_IMAGES, TEST_LABELS])
    tiny.write(places["keras"])
    tiny.assert_loads("test", data_home=places["data_home"])
    tiny.assert_loads("all", data_home=places["data_home"])


def test_only_needed_files_are_read(tiny, places):
    tiny.write(places["cache"])
    (places["cache"] / TRAIN_LABELS).write_bytes(b"damaged")
    tiny.assert_loads("test")
    with pytest.raises(ValueError, match=TRAIN_LABELS):
        load_fashion_mnist("all")


def test_damaged_folder_is_not_passed_over(tiny, places):
    tiny.write(places["variable"])
    tiny.write(places["cache"])
    (places["variable"] / TRAIN_LABELS).write_bytes(b"damaged")
    with pytest.raises(ValueError, match="variable"):
        load_fashion_mnist()


def test_keras_home_takes_the_place_of_its_default(tiny, places, tmp_path, monkeypatch):
    tiny.write(places["keras"])
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(OSError, match="elsewhere"):
        load_fashion_mnist(download_if_missing=False)
    tiny.write(tmp_path / "elsewhere" / "datasets" / "fashion-mnist")
    tiny.assert_loads("train")


@pytest.mark.parametrize("variable", ["FASHIONCNN_DATA", "KERAS_HOME"])
def test_empty_variable_counts_as_not_set(tiny, places, tmp_path, monkeypatch, variable):
    working_folder = tmp_path / "working"
    for folder in (working_folder, working_folder / "datasets" / "fashion-mnist"):
        write_unreadable_files(folder, tiny.files)
    monkeypatch.chdir(working_folder)
    monkeypatch.setenv(variable, "")
    tiny.write(places["keras"])
    tiny.assert_loads("train")


@pytest.mark.parametrize("as_type", [str, Path])
def test_home_folder_is_expanded(tiny, places, monkeypatch, as_type):
    tiny.write(Path.home() / "mine")
    tiny.assert_loads("train", data_home=as_type("~/mine"))
    monkeypatch.setenv("FASHIONCNN_DATA", "~/mine")
    tiny.assert_loads("train")


def test_any_path_like_will_do(tiny, tmp_path):
    class Folder:
        def __fspath__(self):
            return str(tmp_path / "mine")

    tiny.write(tmp_path / "mine")
    tiny.assert_loads("train", data_home=Folder())


def test_recompressed_files_pass(tiny, places):
    tiny.write(places["cache"])
    for name, compressed in tiny.files.items():
        again = gzip.compress(gzip.decompress(compressed), compresslevel=1, mtime=12345)
        (places["cache"] / name).write_bytes(again)
    tiny.assert_loads("all")


# ---- Damaged files


def flip(content, position):
    return content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :]


DAMAGES = {
    "empty": lambda content: b"",
    "text": lambda content: b"<html>Log in to the network first</html>",
    "not compressed": gzip.decompress,
    "cut in the gzip header": lambda content: content[:5],
    "cut in the IDX header": lambda content: content[:12],
    "cut in the middle": lambda content: content[: len(content) // 2],
    "cut in the check sum": lambda content: content[:-6],
    "last byte missing": lambda content: content[:-1],
    "flipped byte": lambda content: flip(content, len(content) // 2),
    "flipped byte in the check sum": lambda content: flip(content, len(content) - 8),
    "flipped pixel, compressed again": lambda content: gzip.compress(
        flip(gzip.decompress(content), 500)
    ),
    "too short": lambda content: gzip.compress(gzip.decompress(content)[:-1]),
    "too long": lambda content: gzip.compress(gzip.decompress(content) + b"\0"),
    "twice": lambda content: content + content,
    "followed by something": lambda content: content + b"something",
    "nothing, compressed": lambda content: gzip.compress(b""),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_file(tiny, places, damage):
    tiny.write(places["cache"])
    path = places["cache"] / TEST_IMAGES
    path.write_bytes(damage(tiny.files[TEST_IMAGES]))
    with pytest.raises(ValueError, match="is damaged or is another file") as raised:
        load_fashion_mnist("test")
    message = str(raised.value)
    assert message.startswith(str(path))
    assert "15,696 bytes" in message  # 16 + 20 * 28 * 28
    assert tiny.table["test"][0].sha256 in message
    assert "Delete it or replace it, or pass another folder as `data_home`" in message
    assert path.exists()


def test_files_of_another_data_set(tiny, places):
    tiny.write(places["cache"])
    _, y = tiny.arrays["test"]
    (places["cache"] / TEST_LABELS).write_bytes(gzip.compress(encode_idx(9 - y)))
    with pytest.raises(ValueError, match=r"its content has the sha256 .*older MNIST"):
        load_fashion_mnist("test")


def test_no_damage_of_a_few_bits_is_missed(tiny, places):
    """Whatever bit flips, whatever the file ends at: the right labels, or a ValueError."""
    tiny.write(places["cache"])
    content = tiny.files[TEST_LABELS]
    damaged = [content[:size] for size in range(len(content))]
    for position in range(len(content)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[position] ^= 1 << bit
            damaged.append(bytes(flipped))
    refused = 0
    for variant in damaged:
        (places["cache"] / TEST_LABELS).write_bytes(variant)
        try:
            tiny.assert_loads("test")
        except ValueError:
            refused += 1
    assert refused >= len(damaged) - 100  # a few bits of gzip's header mean nothing


def test_folder_in_place_of_a_file(tiny, places):
    tiny.write(places["cache"])
    (places["cache"] / TEST_LABELS).unlink()
    (places["cache"] / TEST_LABELS).mkdir()
    with pytest.raises(ValueError, match=rf"{TEST_LABELS} .* not a regular file"):
        load_fashion_mnist("test")


def test_unreadable_file(tiny, places, monkeypatch):
    tiny.write(places["cache"])
    denied = PermissionError(13, "Permission denied", str(places["cache"] / TEST_IMAGES))

    def refuse(self, *args, **kwargs):
        raise denied

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermissionError, match=rf"{TEST_IMAGES}.*data_home") as raised:
        load_fashion_mnist("test")
    assert raised.value.__cause__ is denied


def test_decompression_bomb_is_not_unpacked(tiny, places):
    tiny.write(places["cache"])
    (places["cache"] / TEST_LABELS).write_bytes(gzip.compress(bytes(100_000_000), compresslevel=1))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="its content is longer"):
            load_fashion_mnist("test")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3_000_000


def test_damaged_sample(monkeypatch, tmp_path):
    (tmp_path / "data").mkdir()
    for part in datasets._SAMPLE.values():
        for file in part:
            (tmp_path / "data" / file.name).write_bytes(b"damaged")
    monkeypatch.setattr(datasets, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match=r"sample-train-images.*Reinstall fashioncnn"):
        load_fashion_mnist_sample()


# ---- The data set is nowhere


def assert_explains(message, places, names):
    """Every needed file, every folder and every way to provide the data is named."""
    for name in names:
        assert name in message
    order = [message.index(f"\n  {folder}\n") for folder in places]
    assert order == sorted(order)
    for way in (
        "apt-get install dataset-fashion-mnist",
        "`data_home`",
        "FASHIONCNN_DATA",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "`download_if_missing=True`",
        "keras.datasets.fashion_mnist.load_data()",
        "load_fashion_mnist_sample()",
    ):
        assert way in message


def test_missing_and_no_download(tiny, places, tmp_path, serve):
    server = serve(tiny.files)
    with pytest.raises(
        OSError, match=r"^Data not found and `download_if_missing` is False"
    ) as raised:
        load_fashion_mnist("test", data_home=places["data_home"], download_if_missing=False)
    assert_explains(str(raised.value), places.values(), [TEST_IMAGES, TEST_LABELS])
    assert TRAIN_LABELS not in str(raised.value)
    assert server.urls == []
    assert list(tmp_path.rglob("*")) == [tmp_path / "home"]


def test_missing_and_no_network(tiny, places, tmp_path):
    with pytest.raises(OSError, match=r"downloading it failed: .*no network in tests") as raised:
        load_fashion_mnist("all", data_home=places["data_home"])
    assert_explains(str(raised.value), places.values(), tiny.files)
    assert isinstance(raised.value.__cause__, URLError)
    assert list(tmp_path.rglob("*")) == [tmp_path / "home"]


def test_folder_that_cannot_be_made(tiny, tmp_path, serve):
    serve(tiny.files)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="downloading it failed") as raised:
        load_fashion_mnist(data_home=tmp_path / "file" / "folder")
    assert isinstance(raised.value.__cause__, OSError)


def test_no_home_folder(tiny, tmp_path, serve, monkeypatch):
    server = serve(tiny.files)
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.setattr(os.path, "expanduser", lambda path: os.fspath(path))
    with pytest.raises(OSError, match="home directory"):
        load_fashion_mnist()
    assert server.urls == []
    assert list((tmp_path / "home").iterdir()) == []
    tiny.assert_loads("train", data_home=tmp_path / "data_home")


# ---- Downloading


@pytest.mark.parametrize("subset", SUBSETS)
@pytest.mark.parametrize("place", ["data_home", "cache"])
def test_download(tiny, places, tmp_path, serve, place, subset):
    server = serve(tiny.files)
    data_home = places["data_home"] if place == "data_home" else None
    tiny.assert_loads(subset, data_home=data_home)
    names = [
        name for name in tiny.files if subset in ("all", "test" if "t10k" in name else "train")
    ]
    assert server.urls == [
        f"https://storage.googleapis.com/tensorflow/tf-keras-datasets/{name}" for name in names
    ]
    written = {path: content for path, content in read_tree(tmp_path).items() if content}
    assert written == {places[place] / name: tiny.files[name] for name in names}
    tiny.assert_loads(subset, data_home=data_home)
    assert len(server.urls) == len(names)


def test_download_fetches_only_missing_files(tiny, places, serve):
    server = serve(tiny.files)
    tiny.write(places["cache"], [TRAIN_LABELS, TEST_IMAGES])
    tiny.assert_loads("test")
    assert server.names == [TEST_LABELS]


def test_download_into_a_home_folder(tiny, serve):
    serve(tiny.files)
    tiny.assert_loads("train", data_home="~/mine")
    assert (Path.home() / "mine" / TRAIN_LABELS).exists()


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_downloaded_files_have_usual_permissions(tiny, places, serve):
    serve(tiny.files)
    load_fashion_mnist()
    usual = places["cache"] / "usual"
    usual.touch()
    assert stat.S_IMODE((places["cache"] / TRAIN_LABELS).stat().st_mode) == stat.S_IMODE(
        usual.stat().st_mode
    )


BROKEN_ANSWERS = {
    "connection reset": ConnectionResetError("reset by peer"),
    "timed out": TimeoutError("timed out"),
    "incomplete": IncompleteRead(b"part", 1000),
    "not there": HTTPError("https://example.org", 404, "Not Found", {}, io.BytesIO()),
    "short": 0.5,
    "empty": b"",
    "log-in page": b"<html>Log in to the network first</html>",
    "other data": gzip.compress(bytes(28)),
    "too much": gzip.compress(np.random.RandomState(0).bytes(1_000_000)),
    "bomb": gzip.compress(bytes(1_000_000)),
}


@pytest.mark.parametrize("answer", BROKEN_ANSWERS.values(), ids=BROKEN_ANSWERS)
def test_broken_download_leaves_nothing_behind(tiny, places, tmp_path, serve, answer):
    if isinstance(answer, float):
        answer = tiny.files[TEST_IMAGES][: int(answer * len(tiny.files[TEST_IMAGES]))]
    serve({**tiny.files, TEST_IMAGES: answer})
    with pytest.raises(OSError, match="downloading it failed") as raised:
        load_fashion_mnist("test")
    assert raised.value.__cause__ is not None
    assert_explains(str(raised.value), list(places.values())[1:], [TEST_IMAGES, TEST_LABELS])
    assert list(tmp_path.rglob("*")) == [tmp_path / "home"]
    serve(tiny.files)
    tiny.assert_loads("test")


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, MemoryError])
def test_interrupted_download_leaves_nothing_behind(tiny, tmp_path, serve, interruption):
    serve({**tiny.files, TEST_IMAGES: interruption()})
    with pytest.raises(interruption):
        load_fashion_mnist("test")
    assert list(tmp_path.rglob("*")) == [tmp_path / "home"]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError(28, "No space left")])
@pytest.mark.parametrize("step", ["write", "replace"])
def test_interrupted_storing_leaves_no_file(tiny, places, serve, monkeypatch, step, interruption):
    def write_half(self, content):
        with self.open("wb") as stream:
            stream.write(content[: len(content) // 2])
        raise interruption

    def refuse(source, target):
        raise interruption

    serve(tiny.files)
    with monkeypatch.context() as patch:
        if step == "write":
            patch.setattr(Path, "write_bytes", write_half)
        else:
            patch.setattr(os, "replace", refuse)
        with pytest.raises((KeyboardInterrupt, OSError)):
            load_fashion_mnist("test")
    assert list(places["cache"].iterdir()) == []
    tiny.assert_loads("test")


def test_nothing_is_on_disk_while_a_file_arrives(tiny, tmp_path, monkeypatch):
    """So a process that is killed during a download leaves nothing."""
    seen = []

    class Watched(Response):
        def read(self, size=-1):
            seen.append([path for path in tmp_path.rglob("*") if path.is_file()])
            return super().read(size)

    def open_watched(url, timeout):
        return Watched(tiny.files[url.rpartition("/")[2]])

    monkeypatch.setattr(urllib.request, "urlopen", open_watched)
    load_fashion_mnist("test", data_home=tmp_path / "mine")
    assert seen == [[], [tmp_path / "mine" / TEST_IMAGES]]


def test_interrupted_download_is_taken_up_again(tiny, places, serve):
    serve({**tiny.files, TEST_LABELS: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        load_fashion_mnist("test")
    assert [path.name for path in places["cache"].iterdir()] == [TEST_IMAGES]
    server = serve(tiny.files)
    tiny.assert_loads("test")
    assert server.names == [TEST_LABELS]


# ---- Parameters


@pytest.mark.parametrize("load", [load_fashion_mnist, load_fashion_mnist_sample])
@pytest.mark.parametrize(
    ("name", "value"),
    [("subset", "valid"), ("subset", None), ("subset", ["train"]), ("as_names", "yes")],
)
def test_invalid_parameters(load, name, value):
    with pytest.raises(InvalidParameterError, match=f"The '{name}' parameter of {load.__name__}"):
        load(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("data_home", 3), ("data_home", b"folder"), ("download_if_missing", None)],
)
def test_invalid_parameters_of_the_full_set(name, value):
    with pytest.raises(
        InvalidParameterError, match=f"The '{name}' parameter of load_fashion_mnist"
    ):
        load_fashion_mnist(**{name: value})


@pytest.mark.parametrize("load", [load_fashion_mnist, load_fashion_mnist_sample])
def test_only_subset_is_positional(load):
    with pytest.raises(TypeError, match="positional"):
        load("train", None)


# ---- The sample


@pytest.mark.parametrize(("subset", "per_class"), [("train", 300), ("test", 100), ("all", 400)])
def test_sample_is_stratified_and_shuffled(subset, per_class):
    X, y = load_fashion_mnist_sample(subset)
    assert X.shape == (10 * per_class, 28, 28)
    assert X.dtype == y.dtype == np.uint8
    assert y.shape == (10 * per_class,)
    np.testing.assert_array_equal(np.bincount(y), per_class)
    assert np.mean(y[1:] != y[:-1]) > 0.8
    _, names = load_fashion_mnist_sample(subset, as_names=True)
    np.testing.assert_array_equal(names, np.array(FASHION_MNIST_CLASSES)[y], strict=True)


def test_whole_sample_is_training_then_test():
    for whole, *parts in zip(
        *map(load_fashion_mnist_sample, ("all", "train", "test")), strict=True
    ):
        np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_sample_images_differ():
    X, _ = load_fashion_mnist_sample("all")
    assert len(np.unique(X.reshape(4000, -1), axis=0)) == 4000


@pytest.mark.parametrize("subset", ["train", "test"])
def test_sample_is_part_of_the_full_set(full_dataset, subset):
    """Every image is in the same part of the full set, with the same label."""
    full = {(image.tobytes(), label) for image, label in zip(*full_dataset[subset], strict=True)}
    sample = load_fashion_mnist_sample(subset)
    assert all((image.tobytes(), label) in full for image, label in zip(*sample, strict=True))


@pytest.mark.parametrize("subset", ["train", "test"])
def test_sample_is_drawn_the_same_again(full_dataset, subset, monkeypatch):
    make_sample = import_make_sample()
    monkeypatch.setattr(make_sample, "load_fashion_mnist", full_dataset.__getitem__)
    drawn = make_sample.draw_sample(subset)
    for again, packaged in zip(drawn, load_fashion_mnist_sample(subset), strict=True):
        np.testing.assert_array_equal(again, packaged, strict=True)


def test_sample_files_are_written_in_their_format(tiny, tmp_path, monkeypatch):
    make_sample = import_make_sample()
    monkeypatch.setattr(make_sample, "draw_sample", tiny.arrays.__getitem__)
    make_sample.write_sample(tmp_path)
    for part, (subset, prefix) in zip(
        datasets._SAMPLE.values(), make_sample.FILE_PREFIXES.items(), strict=True
    ):
        for file, array in zip(part, tiny.arrays[subset], strict=True):
            assert file.name.startswith(prefix)
            compressed = (tmp_path / file.name).read_bytes()
            assert compressed[4:8] == bytes(4)  # no time stamp
            assert gzip.decompress(compressed) == encode_idx(array)


def import_make_sample() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_sample", MAKE_SAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sample_comes_with_its_licence():
    notice = (files("fashioncnn.datasets") / "data" / "NOTICE.md").read_text(encoding="utf-8")
    for text in ("MIT License", "© 2017 Zalando SE", "arXiv:1708.07747", "WITHOUT WARRANTY"):
        assert text in notice


# ---- Importing


def test_import_is_light():
    code = (
        "import sys, fashioncnn.datasets as datasets; datasets.load_fashion_mnist_sample(); "
        "heavy = {'tensorflow', 'keras', 'urllib.request', 'http.client'}; "
        "sys.exit(' '.join(heavy & set(sys.modules)) or None)"
    )
    source = str(Path(datasets.__file__).parents[2])
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": source}
    )
