# SPDX-License-Identifier: BSD-3-Clause
"""Model files: what `save` writes or refuses by name, and that `load` reads all that is written."""

import copy
import enum
import io
import json
import os
import pickle
import re
import subprocess
import sys
import tracemalloc
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import hypothesis.strategies as st
import keras
import numpy as np
import pytest
import safetensors.numpy
import sklearn
from hypothesis import given
from networks import CONFIGURATIONS, make, untrained
from sklearn.exceptions import NotFittedError
from sklearn.utils.metadata_routing import get_routing_for_object

from fashioncnn import FashionCNNClassifier
from fashioncnn._files import model_file, strict_json
from fashioncnn._files.labels import read_dtype
from fashioncnn._files.model_file import ModelFile, refuse_to_load
from fashioncnn._files.parameters import decode, encode
from fashioncnn._network.description import describe
from fashioncnn._network.fitted import FittedNetwork
from fashioncnn._network.optimizers import N_SLOTS, OPTIMIZERS
from fashioncnn._tensorflow.optimizers import UPDATE_RULES
from fashioncnn.exceptions import ModelFileError


@pytest.fixture
def round_trip(tmp_path):
    """Give a function that saves a classifier and loads it again."""

    def save_and_load(clf):
        clf.save(tmp_path / "model.safetensors")
        return FashionCNNClassifier.load(tmp_path / "model.safetensors")

    return save_and_load


def assert_same(one, other, X):
    assert vars(one).keys() - {"callbacks_"} == vars(other).keys() - {"callbacks_"}
    assert other.classes_.dtype == one.classes_.dtype
    np.testing.assert_array_equal(other.classes_, one.classes_)
    np.testing.assert_equal(describe(other._network), describe(one._network))
    for name in vars(one).keys() - one.get_params().keys() - {"_network", "callbacks_"}:
        np.testing.assert_equal(vars(other)[name], vars(one)[name])
    for n in (1, len(X)):
        np.testing.assert_array_equal(other.predict_proba(X[:n]), one.predict_proba(X[:n]))


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_configuration(round_trip, name):
    architecture = make(**CONFIGURATIONS[name])
    clf = untrained(architecture)
    X = np.random.default_rng(0).normal(size=(9, *architecture.image_shape))
    assert_same(clf, round_trip(clf), X)


# --- Labels and names -----------------------------------------------------------------------------

TWO = make((2, 2, 1), n_classes=2)
LABELS = [
    *(np.array([0, 1], kind) for kind in "bBhHiIlL?efd"),
    np.array([-5, 7], ">i4"),
    np.array([0, 2**64 - 1], np.uint64),
    np.array([-(2**63), 2**63 - 1]),
    np.array([-1e18, 3.0]),
    np.array(["a", "bb"]),
    np.array(["", "ü"], ">U7"),
    np.array(["Ä\0b", "\U0001f600"], object),
    np.array(["a\0", "a\0b"], object),
    np.array([date(2024, 5, 1), date(2024, 5, 2)], "M8"),
    np.array(["1066-10-14", "2024-05-01"], "M8[25s]"),
    np.array([-1, 5], ">m8[ns]"),
    np.array([-1, 5], "m8[W]"),
]


@pytest.mark.parametrize("classes", LABELS, ids=lambda classes: classes.dtype.str)
def test_every_kind_of_label(round_trip, classes):
    clf = untrained(TWO, classes)
    other = round_trip(clf)
    assert other.classes_.dtype.str == classes.dtype.str
    assert other.classes_.tolist() == classes.tolist()
    assert type(other.classes_) is np.ndarray
    assert type(other.classes_[0]) is type(classes[0])


def test_many_classes_and_columns(round_trip, tmp_path):
    """They are not in the header, which would be too long."""
    n = 100_000
    texts = np.array([f"class {i:06d} é" for i in range(n)], object)
    architecture = make((n, 1, 1), n, conv_stacks=(1,), dense_units=(), global_pooling="avg")
    clf = untrained(architecture, texts, feature_names_in_=texts)
    other = round_trip(clf)
    assert other.classes_.tolist() == other.feature_names_in_.tolist() == texts.tolist()
    assert int.from_bytes((tmp_path / "model.safetensors").read_bytes()[:8], "little") < 4000


def test_long_histories(round_trip):
    """Each call of `partial_fit` is an epoch."""
    clf = untrained(TWO)
    values = np.random.default_rng(0).normal(size=50_000).tolist()
    values[5] = float("nan")
    history = {"loss": values, "accuracy": values[::-1]}
    clf._network = FittedNetwork(
        **vars(clf._network)
        | {"checkpoint": clf._network.checkpoint._replace(history=history, best_epoch=50_000)}
    )
    other = round_trip(clf)
    for name, values in history.items():
        np.testing.assert_array_equal(other.history_[name], values)
    assert list(other.history_) == ["loss", "accuracy"]
    assert (other.n_iter_, other.best_epoch_) == (50_000, 50_000)


def test_many_channels(round_trip):
    clf = untrained(make((1, 1, 40_000), conv_stacks=(1,), dense_units=()))
    assert_same(clf, round_trip(clf), np.zeros((2, 1, 1, 40_000)))


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_in_any_order_of_memory(round_trip, order):
    clf = untrained(TWO)
    for name, weight in clf._network.weights.items():
        clf._network.weights[name] = np.asarray(weight, order=order)
    orders = {array.flags.c_contiguous for array in clf._network.weights.values()}
    assert orders == ({True} if order == "C" else {True, False})  # biases are both
    for name, weight in round_trip(clf)._network.weights.items():
        np.testing.assert_array_equal(weight, clf._network.weights[name])


# --- Parameters -----------------------------------------------------------------------------------


class Padding(str, enum.Enum):  # noqa: UP042  # whose `str` is its name
    SAME = "same"


PARAMETERS = [  # as they are given, and as they are read
    ("conv_stacks", [np.array([3, 4]), (5,)], ((3, 4), (5,))),
    ("conv_stacks", np.array([4, 5]), (4, 5)),
    ("dense_units", range(3, 5), (3, 4)),
    ("dense_units", np.int8(4), 4),
    ("kernel_size", [[3, 3], (2, 2)], ((3, 3), (2, 2))),
    ("padding", Padding.SAME, "same"),
    ("padding", np.str_("same"), "same"),
    ("batch_normalization", np.True_, True),
    ("conv_dropout", [np.float32(0.1), 0], (float(np.float32(0.1)), 0)),
    ("learning_rate", Fraction(1, 4), 0.25),
    ("learning_rate", np.longdouble(0.5), 0.5),
    ("learning_rate", 1e-30, 1e-30),
    ("tol", np.float16(0.5), 0.5),
    ("batch_size", 10**30, 10**30),
    ("epochs", 2**63, 2**63),
    ("epochs", 2**63 - 1, 2**63 - 1),
    ("image_shape", [2, 2], (2, 2)),
    ("augment", {"flip": "random", "shift": np.int8(2)}, {"flip": "random", "shift": 2}),
    ("class_weight", "balanced", "balanced"),
    ("class_weight", {}, {}),
    (
        "class_weight",
        {"a": np.float32(0.5), 3: Fraction(1, 2), True: 1, None: 0, 0.5: 2**70, "é": 1},
        {"a": 0.5, 3: 0.5, True: 1, None: 0, 0.5: 2**70, "é": 1},
    ),
    (
        "class_weight",
        {date(2024, 5, 1): 1, timedelta(hours=5): 2, np.datetime64("NaT", "D"): 3},
        {
            np.datetime64("2024-05-01"): 1,
            np.timedelta64(18_000_000_000, "us"): 2,
            np.datetime64("NaT", "D"): 3,
        },
    ),
    ("class_weight", {1 - 2**64: 1, 2**64 - 1: 2}, {1 - 2**64: 1, 2**64 - 1: 2}),
    ("callbacks", [], ()),
    ("random_state", np.int64(5), 5),
    ("verbose", np.uint8(2), 2),
]


@pytest.mark.parametrize(("name", "value", "expected"), PARAMETERS)
def test_parameters_become_plain(round_trip, name, value, expected):
    clf = untrained(TWO).set_params(**{name: value})
    read = getattr(round_trip(clf), name)
    assert repr(read) == repr(expected)
    assert type(read) is type(expected)
    assert getattr(clf, name) is value
    assert round_trip(clf).get_params().keys() == clf.get_params().keys()


def test_dates_of_pandas(round_trip):
    pandas = pytest.importorskip("pandas")
    weights = {pandas.Timestamp("2024-05-01"): 2, pandas.Timedelta("3s"): 3}
    read = round_trip(untrained(TWO).set_params(class_weight=weights)).class_weight
    assert list(read) == [np.datetime64("2024-05-01"), np.timedelta64(3, "s")]


@given(
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**40) + 1, 10**40 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda values: st.lists(values).map(tuple),
        max_leaves=6,
    ).filter(lambda value: depth(value) < 3)
)
def test_values_survive_json(value):
    assert repr(decode(json.loads(json.dumps(encode(value))))) == repr(value)


def depth(value):
    return 1 + max(map(depth, value), default=0) if isinstance(value, tuple) else 0


REFUSED_PARAMETERS = {
    "'callbacks' has <keras": {"callbacks": [keras.callbacks.EarlyStopping()]},
    "'callbacks' has <keras.*of EarlyStopping": {"callbacks": keras.callbacks.EarlyStopping()},
    "'random_state' has RandomState": {"random_state": np.random.RandomState(3)},
    "'class_weight' has b'x' of bytes": {"class_weight": {b"x": 1}},
    r"'class_weight' has \(1, 2\) of tuple": {"class_weight": {(1, 2): 1}},
    "'class_weight' has nan": {"class_weight": {"x": float("nan")}},
    "'class_weight' has inf": {"class_weight": {float("inf"): 1}},
    "'class_weight' has inf, and a file": {"class_weight": {Fraction(10**400): 1}},
    "'class_weight' has an integer of more than 40": {"class_weight": {10**40: 1}},
    "'class_weight' has the key 18446744073709551616, .* 64 bits": {"class_weight": {2**64: 1}},
    "'class_weight' has .* with a time zone": {
        "class_weight": {datetime(2024, 5, 1, tzinfo=UTC): 1}
    },
    "'class_weight' has .*ud800.*no text": {"class_weight": {"\ud800": 1}},
    "'class_weight' has the key .* twice": {
        "class_weight": {date(2024, 5, 1): 1, np.datetime64("2024-05-01"): 2}
    },
    "'class_weight' has (np|numpy).timedelta64.* of timedelta64": {
        "class_weight": {5: np.timedelta64(1)}
    },
    "'class_weight' has 1001 dates and durations": {
        "class_weight": {np.datetime64(day, "D"): 1 for day in range(1001)}
    },
    "'class_weight' has .* no unit": {"class_weight": {np.datetime64("NaT"): 1}},
}


@pytest.mark.parametrize("message", REFUSED_PARAMETERS)
def test_what_is_no_plain_value_is_refused_by_name(round_trip, tmp_path, message):
    clf = untrained(TWO).set_params(**REFUSED_PARAMETERS[message])
    with pytest.raises((TypeError, ValueError), match=f"parameter {message}") as caught:
        round_trip(clf)
    assert not list(tmp_path.iterdir())
    (remedy,) = re.findall(r"set_params\((\w+)=None\)", str(caught.value))
    round_trip(clf.set_params(**{remedy: None}))


def test_parameters_out_of_range_are_refused(round_trip):
    clf = untrained(TWO).set_params(epochs=0)
    with pytest.raises(ValueError, match=r"'epochs' parameter .* range \[1, inf\)\. Got 0"):
        round_trip(clf)


def test_parameters_may_have_changed_since_the_fit(round_trip):
    clf = untrained(TWO).set_params(conv_stacks=(7,), optimizer="sgd", conv_dropout=0.5)
    other = round_trip(clf)
    assert (other.conv_stacks, other.optimizer, other.conv_dropout) == ((7,), "sgd", 0.5)
    assert_same(clf, other, np.zeros((3, 2, 2)))


@pytest.mark.parametrize("is_routed", [False, True])
def test_requests_of_metadata(round_trip, is_routed):
    clf = untrained(TWO)
    with sklearn.config_context(enable_metadata_routing=True):
        clf.set_fit_request(sample_weight=True, X_val="pictures").set_score_request(
            sample_weight=False
        )
    with sklearn.config_context(enable_metadata_routing=is_routed):
        other = round_trip(clf)
    assert str(get_routing_for_object(other)) == str(get_routing_for_object(clf))
    assert other.get_metadata_routing().fit.requests["X_val"] == "pictures"
    assert "_metadata_request" not in vars(round_trip(untrained(TWO)))


# --- What can't be saved --------------------------------------------------------------------------


def test_unfitted_classifiers(tmp_path):
    with pytest.raises(NotFittedError):
        FashionCNNClassifier().save(tmp_path / "model")


class Named(FashionCNNClassifier):
    pass


def test_subclasses_are_refused(fitted, tmp_path):
    clf = Named()
    vars(clf).update(vars(fitted))
    with pytest.raises(TypeError, match=r"holds a .*subclass Named.*Pickle it"):
        clf.save(tmp_path / "model")
    fitted.save(tmp_path / "model")
    with pytest.raises(TypeError, match=r"subclass Named.*FashionCNNClassifier\.load"):
        Named.load(tmp_path / "model")


def test_other_attributes_are_refused_by_name(fitted, round_trip):
    clf = copy.copy(fitted)
    clf.note = "mine"
    with pytest.raises(TypeError, match="no place for the attribute 'note'"):
        round_trip(clf)
    del clf.note
    round_trip(clf)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("classes_", np.array(["sneaker", "boot"]), "classes has 'sneaker' before 'boot'"),
        ("classes_", np.array([1, 2, 3]), r"'classes' is I64 of shape \[3\], and should"),
        ("feature_names_in_", np.array(["a"], object), "'feature_names_in/offsets' is"),
    ],
)
def test_what_has_been_changed_since_the_fit_is_refused(tmp_path, name, value, message):
    """`load` would refuse it, and the file before would be lost."""
    clf = untrained(TWO)
    clf.save(tmp_path / "model")
    before = (tmp_path / "model").read_bytes()
    setattr(clf, name, value)
    with pytest.raises(ValueError, match=f"can't be saved: .*{message}.*fit anew"):
        clf.save(tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == before


def test_callbacks_that_were_called_are_left_out(images, small, round_trip):
    clf = small(epochs=1, callbacks=[keras.callbacks.TerminateOnNaN()]).fit(*images)
    other = round_trip(clf.set_params(callbacks=None))
    assert vars(clf).keys() - vars(other).keys() == {"callbacks_"}


REFUSED_NETWORKS = {
    r"classes has the dtype \S*128, which .*y\.astype\(float\)": lambda: untrained(
        TWO, np.array([0, 1], np.longdouble)
    ),
    r"classes has '\\ud800'": lambda: untrained(TWO, np.array(["a", "\ud800"])),
    r"feature_names_in has '\\udc01'": lambda: untrained(
        TWO, feature_names_in_=np.array(["a", "b", "c", "\udc01"], object)
    ),
    r"classes has 2 texts of the dtype <U4097.*y\.astype\(object\)": lambda: untrained(
        TWO, np.array(["a", "b"], "U4097")
    ),
    r"classes has 4096 texts of the dtype <U2049.*y\.astype\(object\)": lambda: untrained(
        make((1, 1, 1), 4096, dense_units=()), np.arange(4096).astype("U2049")
    ),
    "the network has 8406 arrays, and a file holds 4096": lambda: untrained(
        make((1, 1, 1), 2, conv_stacks=((1,) * 4200,), dense_units=())
    ),
    r"params\.class_weight makes a header of \d+ bytes, and a file's has 1048576": lambda: (
        untrained(TWO).set_params(class_weight=dict.fromkeys(range(120_000), 1))
    ),
    r"image_shape is \(65536, 32768, 1\)": lambda: untrained(
        make((65536, 32768, 1), 2, global_pooling="avg")
    ),
}


@pytest.mark.parametrize("message", REFUSED_NETWORKS)
def test_what_is_too_much_for_a_file_is_refused_by_name(tmp_path, message):
    clf = REFUSED_NETWORKS[message]()
    with pytest.raises(ValueError, match=f"can't be saved: .*{message}"):
        clf.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["weights/dense1/bias", "raw_weights/dense1/bias", "slots/1/d"])
def test_networks_that_have_diverged_are_refused(round_trip, name):
    clf = untrained(TWO)
    weights = copy.deepcopy(clf._network.weights)
    changed = {"weights": {}, "raw_weights": {"raw_weights": weights}}.get(
        name.partition("/")[0], {"slots": {n: (w, w) for n, w in weights.items()}}
    )
    if "weights" in changed or not changed:
        weights = clf._network.weights
    clf._network = FittedNetwork(
        **vars(clf._network)
        | {"checkpoint": clf._network.checkpoint._replace(update_rule="adam", **changed)}
    )
    weights["dense1/bias"][0] = np.inf
    with pytest.raises(ValueError, match=r"can't be saved: the array .*not finite.*learning_rate"):
        round_trip(clf)


# --- Loading --------------------------------------------------------------------------------------

WITHOUT_TENSORFLOW = """
import sys
from fashioncnn import FashionCNNClassifier
clf = FashionCNNClassifier.load("model.safetensors")
assert clf.predict([[0] * 36]) in ("left", "right", "up")
clf.save("again.safetensors")
assert not {"tensorflow", "keras", "h5py"} & set(sys.modules), set(sys.modules)
"""


def test_loading_predicting_and_saving_need_no_tensorflow(fitted, tmp_path):
    fitted.save(tmp_path / "model.safetensors")
    subprocess.run([sys.executable, "-c", WITHOUT_TENSORFLOW], cwd=tmp_path, check=True)
    one, other = (tmp_path / f"{name}.safetensors" for name in ("model", "again"))
    assert one.read_bytes() == other.read_bytes()


def test_the_size_of_a_file(tmp_path):
    architecture = make((28, 28, 1), 10, conv_stacks=((32, 64),), dense_units=(128,))
    clf = untrained(architecture, np.array([f"class {i}" for i in range(10)]))
    clf.save(tmp_path / "model")
    assert (tmp_path / "model").stat().st_size < 1.01 * 4 * architecture.n_parameters


def test_loading_takes_the_memory_of_the_file_twice(tmp_path):
    architecture = make((28, 28, 1), 10, conv_stacks=((32, 64),), dense_units=(128,))
    untrained(architecture).save(tmp_path / "model")
    size = (tmp_path / "model").stat().st_size
    tracemalloc.start()
    try:
        clf = FashionCNNClassifier.load(tmp_path / "model")
        now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2.2 * size
    assert now < 1.1 * size
    assert all(weight.flags.writeable for weight in clf._network.weights.values())


def test_safetensors_opens_the_file(fitted, tmp_path):
    fitted.save(tmp_path / "model.safetensors")
    arrays = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    for name, weight in fitted._network.weights.items():
        np.testing.assert_array_equal(arrays[f"weights/{name}"], weight)


def test_a_header_of_one_file_with_the_arrays_of_another(fitted, tmp_path):
    """The digest is right, but of what has taken the file's place."""
    fitted.save(tmp_path / "model")
    content = (tmp_path / "model").read_bytes()
    forged = content.replace(rb"\"best_epoch\":8", rb"\"best_epoch\":7")
    assert forged != content
    file = io.BytesIO(forged)
    model = ModelFile(file, len(forged), refuse_to_load("model"))
    file.seek(0)
    file.write(content)
    with pytest.raises(ModelFileError, match="the file was changed while it was read"):
        model.read_fitted()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "twice as much memory, which is not free. Free memory"),
        (safetensors.SafetensorError("odd"), "the header is not what safetensors reads: odd"),
    ],
)
def test_what_safetensors_raises(fitted, tmp_path, monkeypatch, error, message):
    fitted.save(tmp_path / "model")

    def load(content):
        raise error

    monkeypatch.setattr(safetensors.numpy, "load", load)
    with pytest.raises(ModelFileError, match=message):
        FashionCNNClassifier.load(tmp_path / "model")


def test_what_the_network_refuses(fitted, tmp_path, monkeypatch):
    fitted.save(tmp_path / "model")

    def network_from(description):
        raise ValueError("it is odd")

    monkeypatch.setattr(model_file, "network_from", network_from)
    with pytest.raises(ModelFileError, match="the network is not what training leaves: it is odd"):
        FashionCNNClassifier.load(tmp_path / "model")


def test_the_depth_of_json():
    """A deeper one may end the process, where the user has set a high limit of recursion."""
    assert strict_json.parse("[" * 32 + "]" * 32)
    for text in ("[" * 33 + "]" * 33, '{"a":[' * 17 + "[" * 9, "[" * 10**6):
        with pytest.raises(ValueError, match=r"it is nested \d+ deep, and not 32 at most"):
            strict_json.parse(text)
    for value in (["[" * 40], {'"[' * 40: "]" * 40}, ["\\", "[" * 40], ['\\"' + "{" * 40]):
        assert strict_json.parse(json.dumps(value)) == value


@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_kinds_of_paths(fitted, tmp_path, kind):
    path = kind(str(tmp_path / "mödel"))
    fitted.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["mödel"]
    assert FashionCNNClassifier.load(path).n_iter_ == fitted.n_iter_


@pytest.mark.parametrize("path", [None, 5, object(), ["model"]])
def test_what_is_no_path(fitted, path):
    for call in (fitted.save, FashionCNNClassifier.load):
        with pytest.raises(TypeError, match=r"path must be .*[Gg]ot"):
            call(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        FashionCNNClassifier.load(tmp_path / "none")
    assert caught.value.filename == str(tmp_path / "none")


def test_the_digest_that_a_user_expects(fitted, tmp_path):
    import hashlib

    path = tmp_path / "model"
    fitted.save(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for text in (digest, digest.upper()):
        FashionCNNClassifier.load(path, expected_sha256=text)
    with pytest.raises(ModelFileError, match=rf"has the SHA-256 '{digest}', and should have '0"):
        FashionCNNClassifier.load(path, expected_sha256="0" * 64)
    for wrong in ("", digest[1:], digest[:-1] + "g", digest + "\n", 5, b"0" * 64):
        with pytest.raises(ValueError, match="expected_sha256 must be 64 hexadecimal digits"):
            FashionCNNClassifier.load(path, expected_sha256=wrong)


def test_the_largest_size(fitted, tmp_path):
    path = tmp_path / "model"
    fitted.save(path)
    size = path.stat().st_size
    FashionCNNClassifier.load(path, max_bytes=np.int64(size))
    with pytest.raises(ModelFileError, match=rf"has {size} bytes, and max_bytes is {size - 1}"):
        FashionCNNClassifier.load(path, max_bytes=size - 1)
    for wrong in (0, -1, 1.5, None, True, "9"):
        with pytest.raises(ValueError, match="max_bytes must be an int of at least 1"):
            FashionCNNClassifier.load(path, max_bytes=wrong)


def test_errors_say_all_and_can_be_pickled():
    error = ModelFileError("m", "the header", "is 5, and should be 6")
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert isinstance(one, ValueError)
        assert (one.path, one.field, one.problem) == ("m", "the header", "is 5, and should be 6")
        assert str(one) == (
            "The model file 'm' can't be loaded: the header is 5, and should be 6. The file is "
            "damaged or was changed: take another copy, or save the model anew."
        )


# --- Whatever fit accepts -------------------------------------------------------------------------

STRANGERS = st.one_of(
    st.sampled_from([b"x", (1, 2), float("nan"), float("inf"), 10**50, "\ud800", date(2024, 5, 1)]),
    st.text(max_size=3),
    st.integers(),
    st.none(),
)
KINDS = ["<U5", "O", "i1", "u8", "f4", "?", "M8[D]", "m8[h]", ">i2"]


@given(
    kind=st.sampled_from(KINDS),
    params=st.fixed_dictionaries(
        {},
        optional={
            "class_weight": st.dictionaries(STRANGERS, st.floats(0, 9) | st.integers(0, 9)),
            "learning_rate": st.sampled_from([0.01, np.float32(0.02), Fraction(1, 30), None]),
            "augment": st.sampled_from(["flip", {"shift": 1, "erase": np.float16(0.5)}]),
            "batch_size": st.sampled_from([7, 16, 10**25]),
            "scaling": st.sampled_from([None, "unit"]),
            "callbacks": st.sampled_from([[], (), [keras.callbacks.TerminateOnNaN()]]),
            "random_state": st.integers(0, 2**32 - 1) | st.just(np.random.RandomState(0)),
            "weight_averaging": st.sampled_from([0.5, np.float64(0.9)]),
            "warm_start": st.booleans(),
            "validation_fraction": st.sampled_from([0.2, None]),
        },
    ),
)
@pytest.mark.filterwarnings("ignore:class_weight names labels:UserWarning")
def test_whatever_fit_accepts_is_written_or_refused_by_name(tmp_path_factory, kind, params):
    path = tmp_path_factory.getbasetemp() / "any_model"
    X = np.random.default_rng(0).integers(0, 256, (24, 4, 4), dtype=np.uint8)
    y = np.arange(24) % 2
    y = np.array(["no", "yes"])[y].astype(kind) if kind in ("<U5", "O") else y.astype(kind)
    params = copy.deepcopy(params)  # a RandomState draws on
    clf = FashionCNNClassifier((2,), (), epochs=1, **{"batch_size": 16, **params}).fit(X, y)
    try:
        clf.save(path)
    except (TypeError, ValueError) as error:
        (name,) = re.findall(r"can't be saved: the parameter '(\w+)' has", str(error))
        assert name in params
        clf.set_params(class_weight=None, callbacks=None, random_state=None).save(path)
    else:
        assert not isinstance(clf.random_state, np.random.RandomState)
        assert not clf.callbacks
    other = FashionCNNClassifier.load(path)
    assert_same(clf, other, X)
    if clf.warm_start and clf.random_state is not None:
        assert_same(clf.fit(X, y), other.fit(X, y), X)


# --- Tables ---------------------------------------------------------------------------------------


def test_the_moments_of_each_update_rule():
    assert {name: rule.n_slots for name, rule in UPDATE_RULES.items()} == N_SLOTS
    assert N_SLOTS.keys() == {info.update_rule for info in OPTIMIZERS.values()}


@pytest.mark.parametrize(
    "text",
    ["", "O", "|V8", "<U", "<U0", "<U9999999999", "<U99999999", "<U999999999", "<c8", "<f16", "<i3",
     "object", "<M8", "<M8[]",
     "<M8[0D]", "<M8[D]x", "<i8,<i8", "(2,)<i8", "<M8[9999999999s]", "|S5", "<U5\n", "<U٣"],
)  # fmt: skip
def test_names_that_are_no_dtype_of_labels(text):
    assert read_dtype(text) is None
