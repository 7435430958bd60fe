# SPDX-License-Identifier: BSD-3-Clause
"""Pickles, model files and other copies give the same bits and train on alike."""

import copy
import datetime
import json
import pickle
import pickletools
import subprocess
import sys
from enum import StrEnum

import cloudpickle
import joblib
import numpy as np
import pytest
import skops.io
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import fashioncnn
from fashioncnn import FashionCNNClassifier
from fashioncnn._network.description import describe, network_from, plain
from fashioncnn._network.pickled_state import FITTED

TRUSTED = "fashioncnn.classifier.FashionCNNClassifier"


def by_joblib(clf, folder, mmap_mode=None, **kwargs):
    path = folder / f"classifier{len(list(folder.iterdir()))}"  # an older map keeps its file
    return joblib.load(joblib.dump(clf, path, **kwargs)[0], mmap_mode=mmap_mode)


def by_skops(clf, _=None):
    content = skops.io.dumps(clf)
    assert skops.io.get_untrusted_types(data=content) == [TRUSTED]
    return skops.io.loads(content, trusted=[TRUSTED])


def by_model_file(clf, folder):
    path = folder / "model.safetensors"
    clf.save(path)
    return FashionCNNClassifier.load(path)


PICKLES = {
    **{
        f"pickle {protocol}": lambda clf, _, protocol=protocol: pickle.loads(
            pickle.dumps(clf, protocol)
        )
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    "joblib": by_joblib,
    "joblib, compressed": lambda clf, folder: by_joblib(clf, folder, compress=3),
    "joblib, read-only map": lambda clf, folder: by_joblib(clf, folder, "r"),
    "joblib, private map": lambda clf, folder: by_joblib(clf, folder, "c"),
    "cloudpickle": lambda clf, _: cloudpickle.loads(cloudpickle.dumps(clf)),
    "skops": by_skops,
}
COPIES = {"deepcopy": lambda clf, _: copy.deepcopy(clf), "copy": lambda clf, _: copy.copy(clf)}
WAYS = PICKLES | COPIES | {"model file": by_model_file}
SOME_WAYS = ("pickle 5", "joblib, read-only map", "skops", "deepcopy", "copy", "model file")


class Padding(StrEnum):
    SAME = "same"


# Parameters, and what the labels are. Few architectures, since each is compiled.
CASES = {
    "plain": ({}, None),
    "strings": ({"scaling": "unit", "class_weight": {"up": 2.5}}, None),
    "objects": ({"scaling": None, "loss": "sparse_categorical_crossentropy"}, object),
    "integers": ({"class_weight": {2: 0.5}, "validation_fraction": 0.2}, ["i", 0, 2, 7]),
    "booleans": ({"early_stopping": True, "n_iter_no_change": 1}, ["?", 0, 0, 1]),
    "dates": ({"optimizer": "rmsprop", "class_weight": "balanced"}, ["M8[D]", 0, 1, 2]),
    "normalised": ({"batch_normalization": True, "optimizer": "sgd", "warm_start": True}, None),
    "mirrored": ({"test_time_flip": np.True_, "augment": "flip"}, None),
    "Muon": ({"optimizer": "muon", "warm_start": True}, None),
    "averaged": ({"weight_averaging": 0.5, "warm_start": True}, None),
    "warm": ({"warm_start": True}, None),
    "RandomState": ({"random_state": np.random.RandomState(5)}, None),
    "NumPy's": (
        {
            "conv_stacks": np.array([4]),
            "dense_units": [np.int16(8)],
            "learning_rate": np.float32(0.01),
            "optimizer": np.str_("adam"),
            "activation": np.str_("relu"),
            "warm_start": np.True_,
        },
        None,
    ),
}


def labels_of(y, kind):
    if kind is None or kind is object:
        return y.astype(kind or y.dtype)
    dtype, *values = kind
    return np.array(values).astype(dtype)[np.unique(y, return_inverse=True)[1]]


@pytest.fixture(scope="module")
def learnt(images):
    """Give a function that returns a fitted classifier of a case. Do not refit or change it."""
    known = {}

    def get(case):
        if case not in known:
            params, kind = CASES[case]
            settings = {"conv_stacks": (4,), "dense_units": (8,), "epochs": 2, "batch_size": 16}
            settings |= {"learning_rate": 0.01, "random_state": 0}
            clf = FashionCNNClassifier(**copy.deepcopy(settings | params))
            known[case] = clf.fit(images[0], labels_of(images[1], kind))
        return known[case]

    return get


def assert_same(one, other, X):
    assert vars(one).keys() == vars(other).keys()
    np.testing.assert_equal(comparable(other.get_params()), comparable(one.get_params()))
    for name, value in vars(one).items():
        if name.endswith("_"):
            np.testing.assert_equal(vars(other)[name], value)
            assert type(vars(other)[name]) is type(value)
    assert other.classes_.dtype == one.classes_.dtype
    np.testing.assert_equal(describe(other._network), describe(one._network))
    predict = one.predict(X)
    np.testing.assert_array_equal(other.predict(X), predict)
    assert type(other.predict(X)) is np.ndarray
    assert other.predict(X).dtype == predict.dtype
    for n in (1, len(X)):  # by NumPy, and by TensorFlow
        np.testing.assert_array_equal(other.predict_proba(X[:n]), one.predict_proba(X[:n]))


def comparable(params):
    state = params.get("random_state")
    if isinstance(state, np.random.RandomState):
        params["random_state"] = state.get_state(legacy=False)
    return params


WAYS_OF_CASES = [
    (case, way) for case in CASES for way in WAYS if (case, way) != ("RandomState", "model file")
]


@pytest.mark.parametrize(("case", "way"), WAYS_OF_CASES)
def test_a_copy_is_the_same(learnt, images, tmp_path, case, way):
    clf = learnt(case)
    assert_same(clf, WAYS[way](clf, tmp_path), images[0])


@pytest.mark.parametrize("case", ["plain", "normalised", "averaged", "warm", "NumPy's"])
@pytest.mark.parametrize("way", SOME_WAYS)
def test_training_goes_on_from_a_copy(learnt, images, tmp_path, case, way):
    X, y = images
    one = WAYS["pickle 5"](learnt(case), tmp_path)
    other = WAYS[way](learnt(case), tmp_path)
    before = learnt(case).predict_proba(X)
    for train in (FashionCNNClassifier.partial_fit, FashionCNNClassifier.fit):
        train(one, X, y)
        train(other, X, y)
        other = WAYS[way](other, tmp_path)
        assert_same(one, other, X)
    np.testing.assert_array_equal(learnt(case).predict_proba(X), before)


@pytest.mark.parametrize("way", PICKLES | COPIES)
def test_unfitted_classifiers(tmp_path, way):
    clf = FashionCNNClassifier((8, 16), class_weight={"up": 2}, random_state=3)
    other = WAYS[way](clf, tmp_path)
    assert vars(other) == vars(clf)
    with pytest.raises(NotFittedError):
        other.predict(np.zeros((2, 6, 6)))


# --- What is in them ------------------------------------------------------------------------------

PLAIN = {dict, list, tuple, str, int, float, bool, type(None), np.ndarray}


def walk(value):
    """Yield all values in a value."""
    yield value
    if type(value) in (dict, list, tuple):
        for item in [*value, *value.values()] if type(value) is dict else value:
            yield from walk(item)


@pytest.mark.parametrize("case", CASES)
def test_pickles_hold_plain_values_and_arrays(learnt, images, case):
    X, y = images[0], labels_of(images[1], CASES[case][1])
    clf = pickle.loads(pickle.dumps(learnt(case)))
    clf.predict(X)
    assert clf.model_ is not None
    clf.fit(X, y)
    if not clf.early_stopping:
        clf.set_params(class_weight=None).partial_fit(X, y)
    state = clf.__getstate__()
    fitted = {name: value for name, value in state.items() if name not in clf.get_params()}
    assert {type(value) for value in walk(fitted)} <= PLAIN
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        content = pickle.dumps(clf, protocol)
        assert b"fashioncnn._" not in content
        texts = [arg for _, arg, _ in pickletools.genops(content) if isinstance(arg, str)]
        assert not [text for text in texts if text.startswith(("tensorflow", "keras"))]


@pytest.mark.parametrize("case", ["plain", "normalised", "warm"])
def test_pickles_are_as_large_as_the_arrays(learnt, case):
    clf = learnt(case)
    arrays = [value for value in walk(clf.__getstate__()) if isinstance(value, np.ndarray)]
    weights = sum(weight.nbytes for weight in clf._network.weights.values())
    moments = {"plain": 0, "normalised": 1, "warm": 2}[case]  # of what is trained
    n_bytes = sum(array.nbytes for array in arrays)
    assert weights * (1 + moments) * 0.9 < n_bytes <= weights * (1 + moments) + 200  # `classes_`
    assert len(pickle.dumps(clf)) < n_bytes + 6000
    for index, array in enumerate(arrays):
        assert not any(np.shares_memory(array, other) for other in arrays[:index])


def test_values_of_numpy_become_those_of_python(images):
    clf = FashionCNNClassifier(
        np.array([4]),
        np.array([8]),
        padding=np.str_("same"),
        learning_rate=np.float32(0.25),
        scaling=np.str_("unit"),
        precision=np.str_("float32"),
        loss=np.str_("categorical_crossentropy"),
        batch_normalization=np.bool_(False),
        global_pooling=np.str_("avg"),
        epochs=np.int8(1),
        random_state=np.int64(3),
    ).fit(*images)
    state = clf.__getstate__()
    values = [value for name, value in state.items() if name not in clf.get_params()]
    assert {type(value) for value in walk(values)} <= PLAIN
    assert state["_network"]["architecture"]["padding"] == "same"
    assert state["_network"]["compilation"]["learning_rate"] == 0.25


def test_a_text_of_an_enumeration_is_its_value(images, small):
    clf = small(epochs=1, padding=Padding.SAME).fit(*images)
    padding = describe(clf._network)["architecture"]["padding"]
    assert (padding, type(padding)) == ("same", str)


def test_fields_of_the_description(learnt):
    """Pickles hold these names. A new field needs a default, so that older ones can be read."""
    description = describe(learnt("warm")._network)
    weights, slots = description.pop("weights"), description.pop("slots")
    assert description.pop("test_time_flip") is False
    assert description.pop("raw_weights") is None
    assert set(weights) == set(slots) == set(learnt("warm")._network.architecture.weights)
    assert {name: sorted(part) for name, part in description.items()} == {
        "architecture": [
            "activation", "batch_normalization", "conv_dropouts", "conv_stacks", "dense_dropout",
            "dense_units", "global_pooling", "image_shape", "kernel_sizes", "n_classes", "padding",
            "pool_sizes", "residual",
        ],
        "scaling": ["kind", "offset", "scale"],
        "compilation": ["learning_rate", "loss", "optimizer", "weight_decay"],
        "pixel_range": ["high", "integer_dtype", "low", "varied"],
        "checkpoint": [
            "best_epoch", "history", "iterations", "n_batches", "n_steps", "seed", "update_rule",
        ],
    }  # fmt: skip
    assert sorted(description["pixel_range"]["varied"]) == [
        "highest_maximum", "highest_minimum", "lowest_maximum", "lowest_minimum"
    ]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_small_values_may_be_written_as_json(learnt, case):
    network = learnt(case)._network
    arrays = {name: describe(network)[name] for name in ("weights", "slots", "raw_weights")}
    small = {name: part for name, part in describe(network).items() if name not in arrays}
    if arrays["slots"] is not None:
        arrays["slots"] = {name: list(values) for name, values in arrays["slots"].items()}
    again = network_from(json.loads(json.dumps(small)) | arrays)
    assert again.architecture == network.architecture
    assert hash(again.architecture) == hash(network.architecture)
    np.testing.assert_equal(describe(again), describe(network))
    assert {type(slots) for slots in (again.checkpoint.slots or {}).values()} <= {tuple}


def test_plain_values():
    values = [np.int64(3), np.float32(0.5), np.True_, np.str_("a"), (1, None), {np.int8(2): [0.1]}]
    result = plain(values)
    assert result == [3, 0.5, True, "a", (1, None), {2: [0.1]}]
    assert {type(value) for value in [*walk(result), *result[-1]]} <= PLAIN


# --- What is shared -------------------------------------------------------------------------------


def arrays_of(clf):
    slots = clf._network.checkpoint.slots or {}
    return [*clf._network.weights.values(), *(array for pair in slots.values() for array in pair)]


def test_a_copy_shares_what_is_fitted(learnt):
    clf = learnt("warm")
    assert copy.copy(clf)._network is clf._network
    assert copy.copy(copy.copy(clf)).classes_ is clf.classes_


@pytest.mark.parametrize("way", [way for way in WAYS if way != "copy"])
def test_other_copies_share_nothing(learnt, tmp_path, way):
    clf = learnt("warm")
    one, other = WAYS[way](clf, tmp_path), WAYS[way](clf, tmp_path)
    assert one._network is not clf._network
    assert one._network is not other._network  # by which is kept what is made of them
    for ours, theirs, others in zip(*map(arrays_of, (clf, one, other)), strict=True):
        assert not np.shares_memory(ours, theirs)
        assert not np.shares_memory(theirs, others)
    assert one.history_ is not clf.history_


@pytest.mark.parametrize("mode", ["r", "c"])
def test_maps_are_base_arrays_on_the_file(learnt, tmp_path, mode):
    clf = by_joblib(learnt("warm"), tmp_path, mode)
    for array in [*arrays_of(clf), clf.classes_]:
        assert type(array) is np.ndarray
        assert isinstance(array.base, np.memmap)


def test_names_of_columns_from_a_map(images, small, tmp_path):
    pandas = pytest.importorskip("pandas")
    X, y = images
    frame = pandas.DataFrame(X.reshape(90, 36)).add_prefix("pixel")
    clf = small(epochs=1).fit(frame, y)
    for way in SOME_WAYS:
        other = WAYS[way](clf, tmp_path)
        assert_same(clf, other, frame)
        assert type(other.feature_names_in_) is np.ndarray


class Named(FashionCNNClassifier):
    """A subclass that has attributes of its own."""

    def __init__(self, name="", *, epochs=1):
        super().__init__((4,), (8,), epochs=epochs, batch_size=16, random_state=0)
        self.name = name

    def fit(self, X, y):
        self.seen_ = {"images": len(X), "when": datetime.date(2024, 5, 1)}
        return super().fit(X, y)


@pytest.mark.parametrize("way", ["pickle 5", "joblib, read-only map", *COPIES])
def test_subclasses_keep_what_is_theirs(images, tmp_path, way):
    clf = Named("mine").fit(*images)
    other = WAYS[way](clf, tmp_path)
    assert type(other) is Named
    assert (other.name, other.seen_) == ("mine", clf.seen_)
    assert clone(other).get_params() == {"name": "mine", "epochs": 1}
    assert_same(clf, other, images[0])


# --- Other versions -------------------------------------------------------------------------------


def damaged(clf, change):
    state = copy.deepcopy(clf.__getstate__())
    change(state)
    return state


def load(state):
    clf = FashionCNNClassifier.__new__(FashionCNNClassifier)
    clf.__setstate__(state)
    return clf


def without(*path):
    def change(state):
        *parents, name = path
        for parent in parents:
            state = state[parent]
        del state[name]

    return change


def with_value(value, *path):
    def change(state):
        *parents, name = path
        for parent in parents:
            state = state[parent]
        state[name] = value

    return change


N = "_network"
DAMAGED = {
    "'weights' is missing": without(N, "weights"),
    "'architecture' is missing": without(N, "architecture"),
    "'colour' is not known": with_value(1, N, "colour"),
    "'architecture.padding' is missing": without(N, "architecture", "padding"),
    "'architecture.colour' is not known": with_value(1, N, "architecture", "colour"),
    "'architecture' should be a dict": with_value([], N, "architecture"),
    "'scaling.offset' is missing": without(N, "scaling", "offset"),
    "'compilation.loss' is missing": without(N, "compilation", "loss"),
    "'compilation' should be a dict": with_value(None, N, "compilation"),
    "'pixel_range.varied' is missing": without(N, "pixel_range", "varied"),
    "'pixel_range.varied.lowest_minimum' is m": without(
        N, "pixel_range", "varied", "lowest_minimum"
    ),
    "'checkpoint.n_steps' is missing": without(N, "checkpoint", "n_steps"),
    "'checkpoint.weights' is not known": with_value({}, N, "checkpoint", "weights"),
    "'weights.dense1/bias' is missing": without(N, "weights", "dense1/bias"),
    "'weights.other' is not known": with_value(np.zeros(2), N, "weights", "other"),
    "'weights' should be a dict": with_value([], N, "weights"),
    "'slots.dense1/bias' is missing": without(N, "slots", "dense1/bias"),
    "'slots' should be a dict": with_value([], N, "slots"),
    "'dense1/bias' is float64 of shape (8,), and should be float32 of shape (8,)": with_value(
        np.zeros(8), N, "weights", "dense1/bias"
    ),
    "'dense1/bias' is float32 of shape (9,), and should be float32 of shape (8,)": with_value(
        (np.zeros(9, np.float32),), N, "slots", "dense1/bias"
    ),
    "what is fitted should be a dict": with_value(None, N),
    "the activation 'swishy' is not known": with_value("swishy", N, "architecture", "activation"),
    "one value for each of 1 channels": with_value((1.0, 1.0), N, "scaling", "scale"),
    "of another kind than it should": with_value(5, N, "architecture", "conv_stacks"),
    "another kind than it should: 'int'": with_value(5, N, "architecture", "dense_units"),
    "Value after * must be an iterable": with_value(5, N, "slots", "dense1/bias"),
    "'test_time_flip' is neither True nor False": with_value("no", N, "test_time_flip"),
    "'checkpoint.history' has no list": with_value({"loss": 1}, N, "checkpoint", "history"),
    "another kind than it should: 'loss'": with_value({}, N, "checkpoint", "history"),
}


@pytest.mark.parametrize("reason", DAMAGED)
def test_what_can_not_be_loaded_says_why(learnt, reason):
    state = damaged(learnt("warm"), DAMAGED[reason])
    with pytest.raises(ValueError, match="FashionCNNClassifier can't be loaded") as caught:
        load(state)
    assert reason in str(caught.value)
    assert str(caught.value).endswith(
        f"{fashioncnn.__version__}, as this is, and changed since. Fit anew."
    )
    state["_fashioncnn_version"] = "0.0.1"
    with pytest.raises(ValueError, match=r"saved by fashioncnn 0\.0\.1, and this is") as caught:
        load(state)  # and does not warn
    assert reason in str(caught.value)
    del state["_fashioncnn_version"]
    with pytest.raises(ValueError, match="saved by fashioncnn of an unknown version, and this is"):
        load(state)


def test_every_attribute_of_a_fit_is_made_plain(learnt):
    clf = learnt("warm")
    of_fit = vars(clf).keys() - clf.get_params().keys() - {"_network", "callbacks_"}
    assert of_fit | {"feature_names_in_"} == set(FITTED)


def test_a_private_class_in_a_pickle_is_refused(learnt):
    clf = learnt("plain")
    with pytest.raises(ValueError, match="can't be loaded"):
        load(vars(clf))


@pytest.mark.parametrize("way", PICKLES)
def test_another_version_warns_once(learnt, images, tmp_path, monkeypatch, way):
    clf = learnt("plain")
    with monkeypatch.context() as patch:
        patch.setattr("fashioncnn.classifier.__version__", "0.0.1")
        content = WAYS[way](clf, tmp_path).__getstate__()
        assert content["_fashioncnn_version"] == "0.0.1"

    def dumps(self):
        return content

    monkeypatch.setattr(FashionCNNClassifier, "__getstate__", dumps)
    message = (
        r"may predict and train otherwise.*saved by fashioncnn 0\.0\.1, and this is fashioncnn"
    )
    with pytest.warns(UserWarning, match=message) as caught:
        other = WAYS[way](clf, tmp_path)
    monkeypatch.undo()
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert "_fashioncnn_version" not in vars(other)
    assert_same(clf, other, images[0])


def test_parameters_that_are_new_have_their_default(learnt, images):
    state = damaged(learnt("plain"), without("label_smoothing"))
    state["_fashioncnn_version"] = "0.0.1"
    with pytest.warns(UserWarning, match=r"fashioncnn 0\.0\.1"):
        clf = load(state)
    assert clf.label_smoothing == 0
    assert clf.get_params() == learnt("plain").get_params()
    clf.fit(*images)


WITHOUT_TENSORFLOW = """
import pickle, sys
clf = pickle.load(open("clf.pkl", "rb"))
clf.classes_, clf.history_, clf.get_params(), repr(clf), pickle.dumps(clf)
assert clf.predict([[0] * 36]) in ("left", "right", "up")
assert not {"tensorflow", "keras"} & set(sys.modules)
"""


def test_pickles_need_no_tensorflow(learnt, tmp_path):
    (tmp_path / "clf.pkl").write_bytes(pickle.dumps(learnt("warm")))
    subprocess.run([sys.executable, "-c", WITHOUT_TENSORFLOW], cwd=tmp_path, check=True)
