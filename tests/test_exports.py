# SPDX-License-Identifier: BSD-3-Clause
"""What Keras writes of a fitted classifier's model, read without this package.

The code that writes and reads is that of `docs/export.md`. What `export_onnx` writes has tests of
its own.
"""

import contextlib
import io
import json
import subprocess
import sys
from importlib.metadata import version

import keras
import numpy as np
import onnxruntime
import pytest
from networks import ACTIVATIONS, CONFIGURATIONS, EDGES, RECIPE_NETWORKS, make, untrained
from pages import blocks, page, printed

WRITING, READING = page("docs/export.md").split("\n## Reading without this library\n")
(WRITE,) = [code for code in blocks("python", WRITING) if "model_.export" in code]
MISSING = {  # what cannot be imported where a file is read
    "model.onnx": ["fashioncnn", "sklearn", "keras", "tensorflow"],
    "model.tflite": ["fashioncnn", "sklearn", "keras", "tensorflow"],
    "saved_model": ["fashioncnn", "sklearn", "keras"],
    "model.keras": ["fashioncnn", "sklearn"],
}
READ = {
    file: next(code for code in blocks("python", READING) if f'("{file}")' in code)
    for file in MISSING
}
TENSORFLOW = tuple(int(part) for part in version("tensorflow").split(".")[:2])
KERAS_FILES = ["model.keras", "saved_model", "model.tflite"]

NETWORKS = {
    **CONFIGURATIONS,
    **EDGES,
    **RECIPE_NETWORKS,
    "deep, unscaled": {"conv_stacks": (4, 4, 4, 4), "global_pooling": "max", "scaling": None},
    "mirrored": {"test_time_flip": True},
    "mirrored, normalized": {"batch_normalization": True, "test_time_flip": True},
}


def new_classifier(name):
    params = NETWORKS[name]
    architecture = make(**params)
    classes = np.array([f"class {number} é" for number in range(architecture.n_classes)])
    options = {key: params[key] for key in ("scaling", "test_time_flip") if key in params}
    return untrained(architecture, classes, **options)


def export(clf, folder):
    """Write all of Keras' files and pictures; return what the classifier says of these."""
    random = np.random.default_rng(0)
    pictures = random.normal(size=(9, *clf.image_shape_)).astype(np.float32)
    with contextlib.chdir(folder):
        exec(WRITE, {"clf": clf, "pictures": pictures, "json": json, "np": np})
    return clf.predict_proba(pictures), clf.predict(pictures).tolist()


def assert_right(answers, expected):
    np.testing.assert_allclose(answers["probabilities"], expected[0], atol=1e-5)
    assert list(answers["labels"]) == expected[1]


# --- One of each format, in this process ----------------------------------------------------------


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    return folder, export(new_classifier("relu"), folder)


@pytest.mark.parametrize("file", KERAS_FILES)
def test_each_format(exported, file, monkeypatch):
    folder, expected = exported
    monkeypatch.chdir(folder)
    answers = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(READ[file], answers)
    assert_right(answers, expected)


# --- All networks, in processes of their own ------------------------------------------------------


def run(code, folder, *args):
    """Run code in a new process; return what it prints."""
    command = [sys.executable, "-c", code, *args]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


WITHOUT = "import sys; sys.modules.update(dict.fromkeys({missing}))  # importing them fails\n"
READ_ALL = """
import json, os, traceback
import numpy as np
code, file, *folders = sys.argv[1:]
for folder in folders:
    os.chdir(folder)
    answers = {}
    try:
        exec(code, answers)
        np.savez(f"{file}.npz", **{name: answers[name] for name in ("probabilities", "labels")})
    except Exception:  # others may work
        with open(f"{file}.txt", "w") as log:
            traceback.print_exc(file=log)
"""


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Give the folder of each network's files, and what its classifier says of the pictures."""
    folders = {name: tmp_path_factory.mktemp("network") for name in NETWORKS}
    return {name: (path, export(new_classifier(name), path)) for name, path in folders.items()}


@pytest.fixture(scope="module")
def read(networks):
    """Give a function that reads all files of a format by one process, at its first call."""
    done = set()

    def read_all(file):
        if file not in done:
            folders = [str(folder) for folder, _ in networks.values()]
            code = WITHOUT.format(missing=MISSING[file]) + READ_ALL
            run(code, folders[0], READ[file], file, *folders)
            done.add(file)

    return read_all


@pytest.mark.slow
@pytest.mark.parametrize("file", KERAS_FILES)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_in_every_format(networks, read, name, file):
    read(file)
    folder, expected = networks[name]
    error = folder / f"{file}.txt"
    if (name, file) == ("softsign", "model.tflite") and TENSORFLOW < (2, 20):
        assert "Select TensorFlow op" in error.read_text()  # the page says so
        return
    assert not error.exists(), error.read_text()
    with np.load(folder / f"{file}.npz") as answers:
        assert_right(answers, expected)


@pytest.mark.slow
def test_the_page_says_what_its_code_prints(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (expected,) = blocks("text", WRITING)
    assert printed("\n".join(blocks("python", WRITING))) == expected
    assert list(READ.values()) == blocks("python", READING)
    for file, code in READ.items():
        assert run(WITHOUT.format(missing=MISSING[file]) + code, tmp_path) == expected


@pytest.mark.slow
def test_sizes(tmp_path):
    """If Keras has mended that it writes all weights of a SavedModel twice, the page is wrong."""
    clf = new_classifier("article")
    export(clf, tmp_path)
    size = sum(weight.nbytes for weight in clf._network.weights.values())
    values = next((tmp_path / "saved_model" / "variables").glob("*.data*"))
    assert values.stat().st_size == pytest.approx(2 * size, rel=0.01)
    assert (tmp_path / "model.tflite").stat().st_size == pytest.approx(size, rel=0.01)
    assert (tmp_path / "model.keras").stat().st_size == pytest.approx(3 * size, rel=0.01)


# --- Training on in Keras -------------------------------------------------------------------------

LOAD_AND_TRAIN = """
import sys, warnings
sys.modules["fashioncnn"] = None  # importing it fails
import keras, numpy as np

warnings.simplefilter("error", UserWarning)
X, labels = np.load("X.npy"), np.load("labels.npy")
for name in ("adam", "adamw", "muon", "rmsprop", "sgd"):
    model, other = (keras.models.load_model(f"{name}.keras") for _ in range(2))
    other.load_weights(f"{name}.weights.h5")
    for each in (model, other, keras.models.load_model(f"{name}.h5")):
        np.testing.assert_allclose(
            each.predict(X, verbose=0), np.load(f"{name}.npy"), rtol=1e-4, atol=1e-6
        )
    assert type(model.optimizer).__name__.lower() == name
    assert int(model.optimizer.iterations) == 0
    assert abs(float(model.optimizer.learning_rate) - .01) < 1e-6
    losses = model.fit(X, labels, epochs=8, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < losses[0], losses
    assert int(model.optimizer.iterations) == 8 * 6
"""


@pytest.mark.slow
def test_what_is_saved_loads_without_a_warning_and_trains_on(images, small, tmp_path):
    X, y = images
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "labels.npy", np.eye(3)[np.unique(y, return_inverse=True)[1]])
    for name in ("adam", "adamw", "muon", "rmsprop", "sgd"):
        clf = small(epochs=2, optimizer=name).fit(X, y)
        np.save(tmp_path / f"{name}.npy", clf.predict_proba(X))
        clf.model_.save(tmp_path / f"{name}.keras")
        clf.model_.save(tmp_path / f"{name}.h5")
        clf.model_.save_weights(tmp_path / f"{name}.weights.h5")
    run(LOAD_AND_TRAIN, tmp_path)


@pytest.mark.slow
def test_limits_of_the_older_format(tmp_path):
    """If Keras has mended one of them, the page is wrong."""
    for name in ("mirrored", "relu"):
        new_classifier(name).model_.save(tmp_path / f"{name}.h5")
    with pytest.raises(ValueError, match="Unknown layer: 'Flip'"):
        keras.models.load_model(tmp_path / "mirrored.h5")
    model = keras.models.load_model(tmp_path / "relu.h5")
    X, labels = np.zeros((4, *model.input_shape[1:])), np.eye(3)[[0, 1, 2, 0]]
    with pytest.raises(ValueError, match="Unknown variable"):
        model.fit(X, labels, verbose=0)
    model.compile("adam", "categorical_crossentropy")
    model.fit(X, labels, verbose=0)


# --- Keras' own ONNX ------------------------------------------------------------------------------

# Of Keras, which makes tf2onnx work with NumPy 2.
of_tf2onnx = pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")


def onnx_probabilities(path, X):
    session = onnxruntime.InferenceSession(path)
    pixels = X.reshape(len(X), *session.get_inputs()[0].shape[1:]).astype(np.float32)
    return session.run(None, {"image": pixels})[0]


@pytest.mark.slow
@of_tf2onnx
@pytest.mark.parametrize("name", [*ACTIVATIONS, "mirrored, normalized"])
def test_onnx_of_keras(tmp_path, caplog, name):
    clf, path = new_classifier(name), tmp_path / "model.onnx"
    X = np.random.default_rng(0).normal(size=(9, *clf.image_shape_))
    clf.model_.export(path, format="onnx", verbose=False)
    if "is not supported" in caplog.text:
        assert name in {"celu", "gelu"}  # gelu with recent versions of TensorFlow only
        with pytest.raises(Exception, match="No Op registered for"):
            onnx_probabilities(path, X)
    else:
        assert name != "celu"  # otherwise the page is wrong
        np.testing.assert_allclose(onnx_probabilities(path, X), clf.predict_proba(X), atol=1e-5)


@pytest.mark.slow
@of_tf2onnx
def test_a_callback_exports_its_model_to_onnx(images, small, tmp_path):
    X, y = images

    class Export(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            self.model.export(tmp_path / "model.onnx", format="onnx", verbose=False)

    clf = small(epochs=1, callbacks=Export()).fit(X, y)
    probabilities = onnx_probabilities(tmp_path / "model.onnx", X)
    np.testing.assert_allclose(probabilities, clf.predict_proba(X), atol=1e-5)
