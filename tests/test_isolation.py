# SPDX-License-Identifier: BSD-3-Clause
"""Nothing global is changed, no global setting has an effect, and a seed decides everything."""

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from global_state import global_state
from tensorflow.python.eager import context

from fashioncnn import FashionCNNClassifier
from fashioncnn._network import checkpoint
from fashioncnn._tensorflow import backend, program

DOCS = Path(__file__).parent.parent / "docs" / "start.md"


def flip_name():
    return keras.ops.flip(keras.Input((2, 2)), axis=1)._keras_history.operation.name


@pytest.mark.filterwarnings("ignore:test_time_flip=True:UserWarning")
def test_global_state_is_the_same_before_and_after(images, small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(program, "_programs", type(program._programs)())
    X, y = images
    keras.layers.Dense(1)
    number = int(keras.layers.Dense(1).name.removeprefix("dense_"))
    flip_name()
    flip = flip_name()
    before = global_state(tmp_path)
    clf = small(validation_fraction=0.2, batch_normalization=True, test_time_flip=True, verbose=2)
    clf.fit(X, y)
    with tempfile.TemporaryDirectory() as folder:
        clf.save(f"{folder}/model")
        assert os.listdir(folder) == ["model"]
        clf = FashionCNNClassifier.load(f"{folder}/model")
    clf.predict_proba(X)
    clf.score(X, y)
    clf.model_.summary(print_fn=lambda line: None)
    assert global_state(tmp_path) == before
    # Keras counts the layers that a user names nothing: ours do not move the count
    assert keras.layers.Dense(1).name == f"dense_{number + 1}"
    assert flip_name() == f"flip_{int(flip.removeprefix('flip_')) + 1}"


def test_no_seed_draws_one_integer_from_numpy(images, small):
    X, y = images
    np.random.seed(3)
    first = small(random_state=None, epochs=2).fit(X, y).predict_proba(X)
    drawn = np.random.get_state()[2]
    second = small(random_state=None, epochs=2).fit(X, y).predict_proba(X)
    assert (first != second).any()

    np.random.seed(3)
    np.random.randint(np.iinfo(np.int32).max)
    assert np.random.get_state()[2] == drawn
    np.random.seed(3)
    again = small(random_state=None, epochs=2).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(first, again)


def test_training_that_goes_on_draws_nothing(images, small):
    clf = small(random_state=None, epochs=1, warm_start=True).fit(*images)
    drawn = np.random.get_state()[2]
    clf.fit(*images).partial_fit(*images)
    assert np.random.get_state()[2] == drawn


def test_random_state_instance(images, small):
    X, y = images
    state = np.random.RandomState(5)
    first = small(random_state=state, epochs=2).fit(X, y).predict_proba(X)
    second = small(random_state=state, epochs=2).fit(X, y).predict_proba(X)
    again = small(random_state=np.random.RandomState(5), epochs=2).fit(X, y).predict_proba(X)
    assert (first != second).any()
    np.testing.assert_array_equal(first, again)


def test_seeds(images, small):
    X, y = images
    settings = {"epochs": 2, "validation_fraction": 0.2}
    one, same, other = (small(random_state=s, **settings).fit(X, y) for s in (0, 0, 1))
    np.testing.assert_array_equal(one.predict_proba(X), same.predict_proba(X))
    assert one.history_ == same.history_
    assert (one.predict_proba(X) != other.predict_proba(X)).any()


@pytest.mark.parametrize(
    ("chance", "without"),
    [
        ("split", {"validation_fraction": None}),
        ("initial", None),
        ("order", None),
        ("dropout", {"conv_dropout": 0, "dense_dropout": 0}),
        ("augmentation", {"augment": None}),
    ],
)
def test_a_seed_decides_every_kind_of_chance(images, small, monkeypatch, chance, without):
    """Where one kind alone comes from another seed, the result is another, if there is any."""

    def trained(**params):
        settings = {"epochs": 2, "validation_fraction": 0.2, "augment": "flip_shift"}
        clf = small(**settings | params).fit(*images)
        return clf.predict_proba(images[0])

    before, before_without = trained(), without and trained(**without)
    spawn_seeds = checkpoint.spawn_seeds
    other = {chance: getattr(spawn_seeds(1), chance)}
    monkeypatch.setattr(checkpoint, "spawn_seeds", lambda seed: spawn_seeds(seed)._replace(**other))
    assert (trained() != before).any()
    if without:
        np.testing.assert_array_equal(trained(**without), before_without)


def test_every_epoch_has_an_order_of_its_own(images, small):
    """Seen in the loss of the first batch, where the weights stay as they were."""
    frozen = {"epochs": 3, "learning_rate": 1e-30, "conv_dropout": 0, "dense_dropout": 0}
    losses = []

    def note(batch, logs):
        if batch == 0:
            losses.append(logs["loss"])

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=note)
    for _ in range(2):
        small(callbacks=callback, **frozen).fit(*images)
    assert losses[:3] == losses[3:]
    assert len(set(losses)) == 3


FIT_AND_SAVE = """
import sys
import numpy as np
from fashioncnn import FashionCNNClassifier
X, y = np.load("X.npy"), np.load("y.npy")
clf = FashionCNNClassifier((4,), (8,), epochs=3, random_state=0, validation_fraction=0.2).fit(X, y)
np.save("probabilities.npy", clf.predict_proba(X))
print(hash("a"), clf.history_["loss"])
"""


@pytest.mark.slow
def test_two_processes_give_the_same_bits(images, tmp_path, other_hash_seed):
    X, y = images
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    output = subprocess.run(
        [sys.executable, "-c", FIT_AND_SAVE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": other_hash_seed},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    clf = FashionCNNClassifier((4,), (8,), epochs=3, random_state=0, validation_fraction=0.2)
    clf.fit(X, y)
    np.testing.assert_array_equal(np.load(tmp_path / "probabilities.npy"), clf.predict_proba(X))
    hashed, losses = output.split(maxsplit=1)
    assert losses == f"{clf.history_['loss']}\n"
    assert int(hashed) != hash("a")  # sets of the two have other orders


@contextmanager
def setting(get, change, value):
    before = get()
    change(value)
    try:
        yield
    finally:
        change(before)


def make_no_variable(next_creator, **kwargs):
    raise AssertionError("a variable was made within the user's scope")


SETTINGS = {
    "floatx": lambda: setting(keras.config.floatx, keras.config.set_floatx, "float64"),
    "data format": lambda: setting(
        keras.config.image_data_format, keras.config.set_image_data_format, "channels_first"
    ),
    "dtype policy": lambda: setting(
        keras.config.dtype_policy, keras.config.set_dtype_policy, "mixed_float16"
    ),
    "eager functions": lambda: setting(
        tf.config.functions_run_eagerly, tf.config.run_functions_eagerly, True
    ),
    "device": lambda: tf.device("/job:nowhere/device:GPU:7"),
    "graph": lambda: tf.Graph().as_default(),
    "gradient tape": tf.GradientTape,
    "variable creator": lambda: tf.variable_creator_scope(make_no_variable),
    "name scope": lambda: tf.name_scope("mine"),
    "random seed": lambda: setting(context.global_seed, tf.random.set_seed, 7),
}


# Together; each of them by itself is slow, and tells which it is.
TOGETHER = {
    "all of Keras": ["floatx", "data format", "dtype policy"],
    "all of TensorFlow": [
        "device",
        "graph",
        "gradient tape",
        "variable creator",
        "name scope",
        "random seed",
    ],
    "eager functions": ["eager functions"],
}


@pytest.mark.parametrize(
    "names",
    [
        *(pytest.param(names, id=kind) for kind, names in TOGETHER.items()),
        *(
            pytest.param([name], id=name, marks=pytest.mark.slow)
            for name in SETTINGS
            if name not in TOGETHER
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*eager.*:UserWarning")
@pytest.mark.filterwarnings("ignore:test_time_flip=True:UserWarning")
def test_settings_of_the_user_change_no_bit(images, small, monkeypatch, names):
    X, y = images
    params = {"batch_normalization": True, "validation_fraction": 0.2, "test_time_flip": True}
    clf = small(epochs=2, **params)
    before = clf.fit(X, y).predict_proba(X)
    monkeypatch.setattr(program, "_programs", type(program._programs)())
    monkeypatch.setattr(program, "_idle_variables", type(program._idle_variables)())
    with ExitStack() as settings:
        for name in names:
            settings.enter_context(SETTINGS[name]())
        inside = clf.fit(X, y).predict_proba(X)
        program._idle_variables.clear()  # and with them the variables of the trace
        in_cached_program = clf.fit(X, y).predict_proba(X)
        model = clf.model_
    np.testing.assert_array_equal(inside, before)
    np.testing.assert_array_equal(in_cached_program, before)
    assert {weight.dtype for weight in model.weights} == {"float32"}
    np.testing.assert_allclose(model.predict(X, verbose=0), before, rtol=1e-4, atol=1e-6)


@pytest.mark.slow  # AutoGraph rewrites all that is called
@pytest.mark.filterwarnings("ignore")  # its own, of what it can't read
def test_fit_and_predict_within_a_function_that_is_traced(images, small):
    X, y = images
    clf, results = small(epochs=2), []

    @tf.function
    def traced():
        clf.fit(X, y)
        results.append(clf.predict_proba(X))

    traced()
    np.testing.assert_array_equal(results[0], small(epochs=2).fit(X, y).predict_proba(X))


FIT = "from fashioncnn import *; FashionCNNClassifier().fit([[0] * 4] * 4, [0, 1] * 2)"


@pytest.mark.parametrize("name", ["torch", "jax", "openvino", "numpy"])
def test_another_backend_is_refused(name):
    with pytest.raises(
        RuntimeError, match=f"Keras is set to '{name}'. Set the environment variable"
    ):
        backend._refuse_other_backend(name)


@pytest.mark.parametrize(
    "by_file",
    [pytest.param(False, id="variable", marks=pytest.mark.slow), pytest.param(True, id="file")],
)
def test_another_backend_of_keras_is_refused_with_the_remedy(tmp_path, by_file):
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    setting = {"KERAS_HOME": str(tmp_path)} if by_file else {"KERAS_BACKEND": "torch"}
    result = subprocess.run(
        [sys.executable, "-c", FIT],
        env={**os.environ, **setting},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "RuntimeError: fashioncnn needs Keras on TensorFlow" in result.stderr
    assert "KERAS_BACKEND=tensorflow" in result.stderr


def test_without_eager_execution_nothing_starts(monkeypatch):
    monkeypatch.setattr(tf.compat.v1, "executing_eagerly_outside_functions", lambda: False)
    spec = importlib.util.spec_from_file_location("backend_again", backend.__file__)
    with pytest.raises(RuntimeError, match="fashioncnn needs TensorFlow's eager execution, which"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


@pytest.mark.slow
def test_disabled_eager_execution_is_refused_with_the_remedy():
    code = f"import tensorflow as tf; tf.compat.v1.disable_eager_execution(); {FIT}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1
    assert "RuntimeError: fashioncnn needs TensorFlow's eager execution" in result.stderr
    assert "Remove the call" in result.stderr


WITHOUT_TENSORFLOW = """
import pickle, sys
if sys.platform == "linux":  # to read what is virtual would take minutes
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (30, 40))
import numpy as np, pandas as pd, scipy.sparse
from sklearn.base import clone
from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample
clf = FashionCNNClassifier(epochs=3)
clone(clf).get_params(), repr(clf), clf._repr_html_()
def refused(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except (TypeError, ValueError):
        return
    raise AssertionError(args)

fitted = pickle.load(open("clf.pkl", "rb"))
fitted.classes_, fitted.history_, repr(fitted), fitted._repr_html_()
X, y = np.zeros((4, 6, 6)), np.array(["left", "up"] * 2)
bad = [
    None, "X.npy", 5, {"X": X}, iter(X), np.zeros(4), X[:0], X[:, :0], X[:, None],
    X[..., None, None], X * np.nan, X - np.inf, np.where(np.eye(6), np.inf, X - np.inf), X + 1e300,
    X + 0j, X.astype(str), [[10**400] * 36] * 4, [X[0], X[1, 1:]],
    list(np.ma.masked_equal(X, 0)), scipy.sparse.csr_array(X[0]), X.astype(np.longdouble) + 1e39,
    np.where(X == 0, None, X), pd.DataFrame(X[0]).astype("category"), X.astype("M8[s]"),
    np.broadcast_to(np.float32(7), (4, 2 * 10**10)),
    np.broadcast_to(np.float32(7), (4, 10**5, 2 * 10**5)),
    np.broadcast_to(np.array(7, object), (4, 2 * 10**10)),
]
for X_bad in bad:
    for params in ({}, {"callbacks": []}, {"scaling": "unit"}):
        refused(FashionCNNClassifier(**params).fit, X_bad, y)
    refused(clf.partial_fit, X_bad, y, ["left", "up"])
    refused(clf.fit, X, y, X_val=X_bad, y_val=y)
    for method in (fitted.predict, fitted.predict_proba, fitted.decision_function):
        refused(method, X_bad)
    refused(fitted.score, X_bad, y)
refused(fitted.predict, np.zeros((2, 9, 9)))
for y_bad in (None, y[:3], [0] * 4, np.eye(4), y.astype("S"), [0, np.nan] * 2, [0.5, 1e300] * 2):
    refused(clf.fit, X, y_bad)
    refused(fitted.score, X, y_bad)
for weights in ([1] * 3, [0] * 4, [-1] * 4, [np.nan] * 4, [10**400] * 4, "balanced"):
    refused(clf.fit, X, y, weights)
    refused(fitted.score, X, y, weights)
assert not {"tensorflow", "keras", "matplotlib"} & set(sys.modules), set(sys.modules)
print("without TensorFlow")
"""


def test_tensorflow_waits_until_it_is_needed(fitted, tmp_path):
    import pickle

    (tmp_path / "clf.pkl").write_bytes(pickle.dumps(fitted))
    result = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", WITHOUT_TENSORFLOW],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert result.stdout == "without TensorFlow\n"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="TensorFlow writes other lines elsewhere")
@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="names the GPU")
def test_the_docs_explain_every_line_that_a_fit_writes(user_environment):
    environment = {**user_environment, "TF_CPP_MIN_LOG_LEVEL": "0"}
    result = subprocess.run(
        [sys.executable, "-c", FIT], env=environment, check=True, capture_output=True, text=True
    )
    assert result.stdout == ""
    rows = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
    texts = [text for row in rows for text in re.findall("`(.*?)`", row.split("|")[1])]
    for line in result.stderr.splitlines():
        assert any(text.partition(" …")[0] in line for text in texts), line
