# SPDX-License-Identifier: BSD-3-Clause
"""Files of ONNX: what they compute, take and say, as onnxruntime reads them."""

import enum
import json
import sys
import types
from importlib.machinery import ModuleSpec

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from networks import (
    ACTIVATIONS,
    BRANCHES,
    CONFIGURATIONS,
    EDGES,
    RECIPE_NETWORKS,
    VALUES,
    branched,
    make,
    untrained,
)
from onnx.reference import ReferenceEvaluator
from sklearn.exceptions import NotFittedError

import fashioncnn
from fashioncnn import FashionCNNClassifier
from fashioncnn._files import onnx_graph, onnx_model
from fashioncnn._inputs.architecture import build_architecture


@pytest.fixture
def exported(tmp_path):
    """Give a function that exports a classifier, lets ONNX check the file, and opens it."""

    def export(clf):
        path = tmp_path / "model.onnx"
        clf.export_onnx(path)
        onnx.checker.check_model(onnx.load(path), full_check=True)
        return onnxruntime.InferenceSession(path)

    return export


def answers(session, X):
    """Return labels and probabilities of images of shape (n, h, w, c)."""
    label, probabilities = session.run(["label", "probabilities"], {"image": X})
    assert label.shape == X.shape[:1]
    assert probabilities.dtype == np.float32
    return label, probabilities


def metadata(session):
    return session.get_modelmeta().custom_metadata_map


def assert_agrees(clf, session, n=7):
    X = np.random.default_rng(1).normal(size=(n, *clf.image_shape_)).astype(np.float32)
    label, probabilities = answers(session, X)
    for i in range(n):  # by NumPy, one by one
        np.testing.assert_allclose(probabilities[[i]], clf.predict_proba(X[[i]]), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(label, clf.classes_[probabilities.argmax(axis=1)])


# --- What a file computes -------------------------------------------------------------------------

NETWORKS = {**CONFIGURATIONS, **EDGES}


@pytest.mark.parametrize("test_time_flip", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_configuration(exported, tmp_path, name, test_time_flip):
    clf = untrained(make(**NETWORKS[name]), test_time_flip=test_time_flip)
    session = exported(clf)
    assert_agrees(clf, session)
    if clf._network.architecture.n_multiplications < 10**6:  # the reference is slow
        X = np.random.default_rng(2).normal(size=(3, *clf.image_shape_)).astype(np.float32)
        label, probabilities = answers(session, X)
        reference = ReferenceEvaluator(onnx.load(tmp_path / "model.onnx"))
        by_reference = reference.run(None, {"image": X})
        np.testing.assert_array_equal(by_reference[0], label)
        np.testing.assert_allclose(by_reference[1], probabilities, rtol=0, atol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_normalisation_by_positive_factors(exported, activation):
    """They come before max pooling, where those of either sign may not."""
    clf = untrained(make(batch_normalization=True, activation=activation))
    for name, weight in clf._network.weights.items():
        if name.endswith("gamma"):
            np.abs(weight, out=weight)
    assert_agrees(clf, exported(clf))


@pytest.mark.parametrize("name", RECIPE_NETWORKS)
def test_every_recipe(exported, name):
    params = RECIPE_NETWORKS[name]
    options = {key: params[key] for key in ("scaling", "test_time_flip")}
    clf = untrained(make(**params), **options)
    assert_agrees(clf, exported(clf))


@pytest.mark.parametrize("name", BRANCHES)
def test_branches(exported, name):
    """The table of layers can say more branches than `residual` makes."""
    clf = untrained(branched(name))
    assert_agrees(clf, exported(clf))


def test_every_kind_of_layer_is_compared():
    layers = [layer for params in NETWORKS.values() for layer in make(**params).layers]
    assert {layer.kind for layer in layers} == set(onnx_graph._OPERATIONS)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_of_extreme_values_are_those_of_keras(activation):
    graph = onnx_graph.Graph()
    output = onnx_graph.ACTIVATIONS[activation](graph, "x", "y")
    x, y = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None])
        for name in ("x", output)
    )
    constants = list(graph.constants.values())
    model = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "activation", [x], [y], constants),
        opset_imports=[onnx.helper.make_opsetid("", onnx_model._OPERATORS)],
        ir_version=onnx_model._FORMAT,
    )
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (ours,) = session.run(None, {"x": VALUES})
    expected = np.asarray(keras.activations.get(activation)(VALUES))
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_limits_of_clip_are_scalars(exported, tmp_path):
    """The standard demands it; onnxruntime and the checker take arrays of one value, too."""
    exported(untrained(make(activation="relu6")))
    graph = onnx.load(tmp_path / "model.onnx").graph
    shapes = {constant.name: list(constant.dims) for constant in graph.initializer}
    limits = {name for node in graph.node if node.op_type == "Clip" for name in node.input[1:]}
    assert [shapes[name] for name in sorted(limits)] == [[], []]


def test_equal_probabilities_give_the_first_label(exported):
    clf = untrained(make(), np.array(["a", "b", "c"]))
    for name, weight in clf._network.weights.items():
        if name.startswith("predictions/"):
            weight[...] = 0
    label, probabilities = answers(exported(clf), np.ones((2, *clf.image_shape_), np.float32))
    np.testing.assert_array_equal(probabilities, np.float32([[1 / 3] * 3] * 2))
    assert label.tolist() == ["a", "a"]


def test_normalisation_is_folded_and_nothing_else_is_left_over(exported, tmp_path):
    clf = untrained(make(batch_normalization=True, conv_dropout=0.5, dense_dropout=0.5))
    exported(clf)
    model = onnx.load(tmp_path / "model.onnx")
    kinds = {node.op_type for node in model.graph.node}
    assert not kinds & {"BatchNormalization", "Dropout"}
    used = {name for node in model.graph.node for name in node.input}
    assert used == {
        "image",
        *(constant.name for constant in model.graph.initializer),
        *(name for node in model.graph.node for name in node.output),
    } - {"label"}


# --- What it takes --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, np.int16, bool])
def test_raw_pixels_of_the_dtype_of_training(images, small, exported, dtype):
    X, y = images
    X = (X > 127) if dtype is bool else X.astype(dtype)
    clf = small(epochs=2, augment="flip", test_time_flip=True).fit(X, y)
    session = exported(clf)
    (image,) = session.get_inputs()
    taken = np.uint8 if dtype is np.uint8 else np.float32
    assert image.type == ("tensor(uint8)" if taken is np.uint8 else "tensor(float)")
    assert image.shape == ["batch", 6, 6, 1]
    label, probabilities = answers(session, X[..., np.newaxis].astype(taken))
    np.testing.assert_array_equal(label, clf.predict(X))
    np.testing.assert_allclose(probabilities, clf.predict_proba(X), rtol=0, atol=1e-5)


@pytest.mark.parametrize("scaling", ["standardize", "unit", None])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_scaling_is_inside(small, exported, scaling, padding):
    """By channel; the border that "same" adds is zero after scaling, not before."""
    random = np.random.default_rng(0)
    X = (random.random((20, 5, 6, 3)) * [1, 9, 99] + 20).astype(np.uint8)
    clf = small(epochs=1, scaling=scaling, padding=padding).fit(X, np.arange(20) % 2)
    _, probabilities = answers(exported(clf), X)
    np.testing.assert_allclose(probabilities, clf.predict_proba(X), rtol=0, atol=1e-5)


def test_any_number_of_pictures(fitted, images, exported):
    session = exported(fitted)
    X = images[0][..., np.newaxis]
    _, expected = answers(session, X)
    for n in (1, 2, 17):
        np.testing.assert_allclose(answers(session, X[:n])[1], expected[:n], rtol=0, atol=1e-6)


# --- Labels and metadata --------------------------------------------------------------------------


class Colour(str, enum.Enum):  # noqa: UP042  of which `str` gives "Colour.RED"
    RED, GREEN, BLUE = "red", "green", "blue"


DAYS = np.array(["2024-01-01", "2024-01-02", "2024-02-01"], "M8[D]")
THEMSELVES = {
    "texts": (np.array(["a", "é", "日本"]), ["a", "é", "日本"]),
    "objects": (np.array(["a", "", "c" * 999], object), ["a", "", "c" * 999]),
    "enumeration": (np.array([*Colour], object), ["red", "green", "blue"]),
    "int64": (np.array([-(2**63), 3, 2**63 - 1]), [-(2**63), 3, 2**63 - 1]),
    "int8": (np.array([-3, 3, 5], np.int8), [-3, 3, 5]),
    "uint64": (np.array([0, 3, 2**63 - 1], np.uint64), [0, 3, 2**63 - 1]),
    "bool": (np.array([False, True]), [0, 1]),
}
BY_INDEX = {
    "uint64": (np.array([0, 3, 2**63], np.uint64), ["0", "3", "9223372036854775808"]),
    "floats": (np.array([-1.0, 0.0, 3.0]), ["-1.0", "0.0", "3.0"]),
    "dates": (DAYS, ["2024-01-01", "2024-01-02", "2024-02-01"]),
    "durations": (DAYS - DAYS[0], ["0 days", "1 days", "31 days"]),
}


def by_brightness(classes):
    """Make a classifier of one pixel, which says the first class if it is -1, and so on."""
    n = len(classes)
    params = {"conv_stacks": (2,), "kernel_size": 1, "dense_units": ()}
    clf = untrained(make((1, 1, 1), n, **params), classes, scaling=None)
    weights = clf._network.weights
    weights["stack1_conv1/kernel"][...] = [[[[-1, 1]]]]
    weights["stack1_conv1/bias"][...] = 0
    weights["predictions/kernel"][...] = np.eye(2, n) if n == 2 else [[9, 0, 0], [0, 0, 9]]
    weights["predictions/bias"][...] = [0, 1, 0][:n]
    return clf


def all_labels(session, clf):
    """Return the label of each class, in their order."""
    X = np.float32([-1, 0, 1] if len(clf.classes_) == 3 else [-1, 1])
    label, _ = answers(session, 5 * X[:, np.newaxis, np.newaxis, np.newaxis])
    return label.tolist()


@pytest.mark.parametrize("kind", THEMSELVES)
def test_texts_and_integers_are_labels_themselves(exported, kind):
    classes, labels = THEMSELVES[kind]
    clf = by_brightness(classes)
    session = exported(clf)
    assert session.get_outputs()[0].type == (
        "tensor(string)" if isinstance(labels[0], str) else "tensor(int64)"
    )
    assert all_labels(session, clf) == labels
    assert metadata(session)["label"] == "class"
    names = json.loads(metadata(session)["class_names"])
    assert names == (["False", "True"] if kind == "bool" else [str(label) for label in labels])


@pytest.mark.parametrize("kind", BY_INDEX)
def test_other_labels_are_given_by_their_index(exported, kind):
    classes, names = BY_INDEX[kind]
    clf = by_brightness(classes)
    session = exported(clf)
    assert session.get_outputs()[0].type == "tensor(int64)"
    assert all_labels(session, clf) == [0, 1, 2]
    assert metadata(session)["label"] == "index"
    assert json.loads(metadata(session)["class_names"]) == names


def test_outputs_and_metadata(fitted, exported, tmp_path):
    session = exported(fitted)
    outputs = [(output.name, output.type, output.shape) for output in session.get_outputs()]
    assert outputs == [
        ("label", "tensor(string)", ["batch"]),
        ("probabilities", "tensor(float)", ["batch", 3]),
    ]
    known = metadata(session)
    assert {name: json.loads(known[name]) for name in ("class_names", "image_shape")} == {
        "class_names": ["left", "right", "up"],
        "image_shape": [6, 6, 1],
    }
    assert json.loads(known["pixel_range"]) == [*fitted._network.pixel_range[:2]]
    assert known["fashioncnn_version"] == fashioncnn.__version__
    assert session.get_modelmeta().producer_name == "fashioncnn"
    model = onnx.load(tmp_path / "model.onnx")
    assert model.producer_version == fashioncnn.__version__
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)
    assert len(model.opset_import) == 1


# --- The file -------------------------------------------------------------------------------------


def test_size_is_that_of_the_weights(tmp_path):
    architecture = build_architecture(FashionCNNClassifier().get_params(), (28, 28, 1), 10)
    untrained(architecture).export_onnx(tmp_path / "model.onnx")
    size = (tmp_path / "model.onnx").stat().st_size
    assert 4 * architecture.n_parameters <= size <= 1.01 * 4 * architecture.n_parameters


def test_equal_classifiers_give_equal_bytes(fitted, tmp_path):
    for name in ("one.onnx", "other.onnx"):
        fitted.export_onnx(tmp_path / name)
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "other.onnx").read_bytes()


def test_what_was_saved_and_loaded_exports_the_same(fitted, tmp_path):
    fitted.save(tmp_path / "model.safetensors")
    loaded = FashionCNNClassifier.load(tmp_path / "model.safetensors")
    for clf, name in ((fitted, "one.onnx"), (loaded, "other.onnx")):
        clf.export_onnx(tmp_path / name)
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "other.onnx").read_bytes()


def refused(clf, tmp_path, error, match):
    """Try to export over a file, which must stay."""
    path = tmp_path / "model.onnx"
    path.write_bytes(b"before")
    with pytest.raises(error, match=match):
        clf.export_onnx(path)
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_bytes() == b"before"


def test_what_is_not_fitted(tmp_path):
    refused(FashionCNNClassifier(), tmp_path, NotFittedError, "not fitted")


def forget(monkeypatch):
    """Let the next export import onnx anew."""
    for module in ("onnx_graph", "onnx_model"):
        monkeypatch.delitem(sys.modules, f"fashioncnn._files.{module}")
        monkeypatch.delattr(f"fashioncnn._files.{module}")


@pytest.mark.parametrize("found", [None, types.ModuleType("onnx")], ids=["nothing", "a folder"])
def test_without_the_package_onnx(fitted, tmp_path, monkeypatch, found):
    """A folder named onnx, of which examples have one, is a module without a file."""
    monkeypatch.setitem(sys.modules, "onnx", found)
    forget(monkeypatch)
    message = r"package onnx.* not installed.* pip install 'fashioncnn\[onnx\]'"
    refused(fitted, tmp_path, ImportError, message)


def test_a_package_onnx_that_is_broken(fitted, tmp_path, monkeypatch):
    broken = types.ModuleType("onnx")
    broken.__file__ = "onnx/__init__.py"
    broken.__spec__ = ModuleSpec("onnx", None, origin=broken.__file__)
    broken.__spec__.has_location = True
    monkeypatch.setitem(sys.modules, "onnx", broken)
    forget(monkeypatch)
    refused(fitted, tmp_path, ImportError, "cannot import name .* from 'onnx'")


def test_an_import_that_fails_for_another_reason_is_not_explained(fitted, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fashioncnn._files.onnx_model", None)
    refused(fitted, tmp_path, ModuleNotFoundError, "onnx_model")


def test_weights_that_are_not_finite(tmp_path):
    clf = untrained(make())
    clf._network.weights["dense1/kernel"][0, 0] = np.nan
    refused(clf, tmp_path, ValueError, "'dense1/kernel' has values that are not finite.* lower")


def test_weights_that_are_too_large(tmp_path, monkeypatch):
    clf = untrained(make())
    monkeypatch.setattr(onnx_model, "_MOST_BYTES", 100)
    refused(clf, tmp_path, ValueError, "holds 2 GiB.*tf_saved_model")


def test_a_label_that_is_no_unicode(tmp_path):
    clf = untrained(make(), np.array(["a", "b\ud800", "c"], object))
    refused(clf, tmp_path, ValueError, "classes_ has a text that is no Unicode.* whole characters")


@pytest.mark.parametrize("path", [None, 5, "model\0.onnx"])
def test_what_is_no_path(fitted, path):
    with pytest.raises((TypeError, ValueError), match="path must be"):
        fitted.export_onnx(path)
