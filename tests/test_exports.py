# SPDX-License-Identifier: BSD-3-Clause
"""What Keras saves and exports of a fitted classifier's model, read without this package."""

import subprocess
import sys
from typing import get_args

import keras
import numpy as np
import onnxruntime
import pytest

from fashioncnn._network.architecture import Activation

# Of Keras, which makes tf2onnx work with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")


def onnx_probabilities(path, X):
    session = onnxruntime.InferenceSession(path)
    pixels = X.reshape(len(X), *session.get_inputs()[0].shape[1:]).astype(np.float32)
    return session.run(None, {"image": pixels})[0]


@pytest.mark.filterwarnings("ignore:test_time_flip=True:UserWarning")
@pytest.mark.parametrize("test_time_flip", [False, True])
def test_a_model_is_exported_to_onnx_at_once(images, small, tmp_path, test_time_flip):
    X, y = images
    params = {"batch_normalization": True, "test_time_flip": test_time_flip}
    clf = small(epochs=1, **params).fit(X, y)
    clf.model_.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    probabilities = onnx_probabilities(tmp_path / "model.onnx", X)
    np.testing.assert_allclose(probabilities, clf.predict_proba(X), rtol=1e-4, atol=1e-6)


def test_a_callback_exports_its_model_to_onnx(images, small, tmp_path):
    X, y = images

    class Export(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            self.model.export(tmp_path / "model.onnx", format="onnx", verbose=False)

    clf = small(epochs=1, callbacks=Export()).fit(X, y)
    probabilities = onnx_probabilities(tmp_path / "model.onnx", X)
    np.testing.assert_allclose(probabilities, clf.predict_proba(X), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("activation", sorted(get_args(Activation)))
def test_activations_in_onnx(images, small, tmp_path, caplog, activation):
    X, y = images
    clf = small(epochs=1, activation=activation).fit(X, y)
    path = tmp_path / "model.onnx"
    clf.model_.export(path, format="onnx", verbose=False)
    if "is not supported" in caplog.text:
        assert activation in {"celu", "gelu"}  # gelu with recent versions of TensorFlow only
        with pytest.raises(Exception, match="No Op registered for"):
            onnx_probabilities(path, X)
    else:
        np.testing.assert_allclose(
            onnx_probabilities(path, X), clf.predict_proba(X), rtol=1e-4, atol=1e-6
        )


EXPORT = """
import numpy as np
from fashioncnn import FashionCNNClassifier
X, y = np.load("X.npy"), np.load("y.npy")
for name, params in {configurations}.items():
    clf = FashionCNNClassifier(**params, epochs=1, random_state=0).fit(X, y)
    np.save(f"{{name}}.npy", clf.predict_proba(X))
    for format, ending in {endings}.items():
        clf.model_.export(f"{{name}}{{ending}}", format=format, verbose=False)
"""

LOAD = """
import sys
sys.modules["fashioncnn"] = None  # importing it fails
import numpy as np, onnxruntime, tensorflow as tf

def onnx(path, X):
    return onnxruntime.InferenceSession(path).run(None, {{"image": X}})[0]

def tf_saved_model(path, X):
    model = tf.saved_model.load(path)
    return model.serve(X)

def litert(path, X):
    interpreter = tf.lite.Interpreter(path)
    (image,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(image["index"], X.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(image["index"], X)
    interpreter.invoke()
    return interpreter.get_tensor(output["index"])

X = np.load("X.npy").astype(np.float32)[..., np.newaxis]
for name in {names}:
    for read in (onnx, tf_saved_model, litert):
        probabilities = read(name + {endings}[read.__name__], X)
        np.testing.assert_allclose(probabilities, np.load(f"{{name}}.npy"), rtol=1e-4, atol=1e-6)
"""

ENDINGS = {"onnx": ".onnx", "tf_saved_model": ".saved", "litert": ".tflite"}
CONFIGURATIONS = {
    "article": {"conv_stacks": ((4, 6),), "dense_units": (8,), "scaling": "unit"},
    "normalized": {
        "conv_stacks": ((4, 6), 5),
        "batch_normalization": True,
        "padding": "same",
        "pool_size": ((2, 1), (1, 3)),
        "kernel_size": ((5, 3), (1, 2)),
        "global_pooling": "avg",
        "dense_units": (),
    },
    "max": {"conv_stacks": (4, 4, 4, 4), "global_pooling": "max", "scaling": None},
    "mirrored": {"conv_stacks": ((4, 6),), "batch_normalization": True, "test_time_flip": True},
}


def run(code, folder):
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_every_format_of_export_in_fresh_processes(images, tmp_path):
    X, y = images
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    run(EXPORT.format(configurations=CONFIGURATIONS, endings=ENDINGS), tmp_path)
    run(LOAD.format(names=list(CONFIGURATIONS), endings=ENDINGS), tmp_path)


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
