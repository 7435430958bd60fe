# SPDX-License-Identifier: BSD-3-Clause
"""What all tests share: small images that can be learnt, and one classifier fitted on them."""

import copy
import importlib
import os
import re
import sys
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # there is a process for each core
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
# Without this, set before SciPy is imported, three of scikit-learn's checks skip silently.
os.environ["SCIPY_ARRAY_API"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime would report each test

import hypothesis
import numpy as np
import pytest
from saving_scripts import command_with_own_disk

from fashioncnn import FashionCNNClassifier, load_fashion_mnist, load_fashion_mnist_sample

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"

# The same examples in every run, however slow the machine; more of them, and many others that are
# new in each run, are tried for --hypothesis-profile=more and =thorough.
same = {"derandomize": True, "deadline": None, "database": None}
hypothesis.settings.register_profile("few", max_examples=25, **same)
hypothesis.settings.register_profile("more", max_examples=100, **same)
hypothesis.settings.register_profile("thorough", max_examples=2000, deadline=None, print_blob=True)
hypothesis.settings.load_profile("few")


@pytest.fixture(scope="session")
def images():
    """Give 90 uint8 images of 6 x 6 pixels, three classes told apart by a bright quarter."""
    random = np.random.default_rng(0)
    labels = np.repeat(["left", "right", "up"], 30)
    X = random.integers(0, 120, size=(90, 6, 6), dtype=np.uint8)
    X[:30, 3:, :3] += 120
    X[30:60, 3:, 3:] += 120
    X[60:, :3, :3] += 120
    order = random.permutation(90)
    X, labels = X[order], labels[order]
    X.flags.writeable = labels.flags.writeable = False
    return X, labels


@pytest.fixture
def small():
    """Give a function that makes an unfitted classifier of few parameters."""

    def make(**params):
        settings = {"conv_stacks": (4,), "dense_units": (8,), "epochs": 8, "batch_size": 16}
        settings |= {"learning_rate": 0.01, "random_state": 0}
        return FashionCNNClassifier(**(settings | params))

    return make


@pytest.fixture(scope="session")
def fitted(images):
    """Give a classifier fitted on the images. Do not refit or change it."""
    return FashionCNNClassifier(
        (4,), (8,), epochs=8, batch_size=16, learning_rate=0.01, random_state=0
    ).fit(*images)


@pytest.fixture(scope="session")
def trained():
    """Give the default network, trained a little on the packaged sample. Do not refit it."""
    X, y = load_fashion_mnist_sample("train", as_names=True)
    return FashionCNNClassifier(epochs=1, random_state=0).fit(X[:512], y[:512])


@pytest.fixture(scope="session")
def pictures():
    """Give 100 pictures that it was not trained on."""
    return load_fashion_mnist_sample("test")[0][:100]


@pytest.fixture
def user_environment():
    """Give the variables of a process of a user, where TensorFlow has its own number of threads."""
    return {name: v for name, v in os.environ.items() if name != "TF_NUM_INTRAOP_THREADS"}


@pytest.fixture
def other_hash_seed():
    """Give a value of PYTHONHASHSEED by which sets have another order than here."""
    return "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"


@pytest.fixture
def refused(small, fitted, monkeypatch):
    """Give a function that demands that a call is refused as bad input is to be.

    The call is refused by this package or scikit-learn, before TensorFlow is needed, and leaves the
    classifier as it was, whether it has been fitted or not.
    """

    learned = ("classes_", "history_")

    def check(call, error, message, states=("unfitted", "fitted"), **params):
        # Importing it fails.
        monkeypatch.setitem(sys.modules, "fashioncnn._tensorflow.backend", None)
        for state in states:
            clf = copy.copy(fitted).set_params(**params) if state == "fitted" else small(**params)
            before = dict(vars(clf))
            values = copy.deepcopy({name: before[name] for name in learned if name in before})
            with pytest.raises(error) as caught:
                call(clf)
            text = re.sub(r"\s+", " ", str(caught.value))
            assert re.search(message, text), f"{state}: {type(caught.value).__name__}: {text}"
            modules = {entry.frame.f_globals.get("__name__", "") for entry in caught.traceback}
            assert {name.partition(".")[0] for name in modules}.isdisjoint(
                {"keras", "tensorflow", "torch"}
            )
            assert vars(clf).keys() == before.keys()
            assert all(vars(clf)[name] is value for name, value in before.items())
            for name, value in values.items():  # neither is another, nor has another content
                np.testing.assert_equal(vars(clf)[name], value)

    return check


@pytest.fixture
def own_disk(tmp_path):
    """Give the beginning of a command that sees the folder as a small disk of its own."""
    return command_with_own_disk(tmp_path) or pytest.skip("needs the right to mount a disk")


@pytest.fixture
def new_modules():
    """Forget afterwards what has been imported of the benchmarks."""
    before = set(sys.modules)
    yield
    own = {path.stem for path in [*BENCHMARKS.iterdir(), *BENCHMARKS.rglob("*.py")]}
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in own:
            del sys.modules[name]


@pytest.fixture
def load(monkeypatch, new_modules):
    """Give a function that imports a module of the benchmarks by its name."""
    for folder in (".", "peers", "serving", "accuracy"):
        monkeypatch.syspath_prepend(BENCHMARKS / folder)
    return importlib.import_module


@pytest.fixture(scope="session")
def full_dataset():
    """The real data set as {subset: (X, y)}; being session-wide, it sees the real folders."""
    try:
        return {
            subset: load_fashion_mnist(subset, download_if_missing=False)
            for subset in ("train", "test")
        }
    except OSError:
        pytest.skip("the full Fashion-MNIST is not on this machine")
