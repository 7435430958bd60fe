# SPDX-License-Identifier: BSD-3-Clause
"""What holds for all inputs: images and labels of any kind, copies, weights, names and failures.

How many examples are tried is set in conftest.py; many more by ``--hypothesis-profile=thorough``.
"""

import copy
import pickle
import traceback
import warnings
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorflow as tf
from copies import COPIES
from hypothesis import example, given
from hypothesis import strategies as st
from label_kinds import LABELS
from ml_dtypes import bfloat16
from networks import assert_rows_agree, weights_of
from networks import make as make_architecture
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, NotFittedError

from fashioncnn import FashionCNNClassifier, PixelRangeWarning
from fashioncnn._inputs.architecture import build_architecture
from fashioncnn._network.architecture import Activation, initial_weights
from fashioncnn._network.numpy_forward import NumpyPredictor, most_images
from fashioncnn._network.scaling import fit_scaling
from fashioncnn._tensorflow.layers import train_network
from fashioncnn._tensorflow.operations import TrainingMode
from fashioncnn._tensorflow.prediction import Predictor, batch_sizes, choose_batch_size
from fashioncnn._tensorflow.program import Program
from fashioncnn._tensorflow.steps import cross_entropy

# Shapes and networks go together and are few, so that few programs are compiled.
# Each: the shape of an image, the number of classes, parameters.
NETWORKS = {
    "plain": ((4, 4), 3, {}),
    "normalized": ((3, 5), 2, {"batch_normalization": True, "optimizer": "sgd"}),
    "pooled": ((5, 4, 3), 3, {"global_pooling": "avg", "optimizer": "rmsprop"}),
    "square": ((9,), 2, {"padding": "same", "global_pooling": "max"}),
    "strip": ((7,), 3, {"dense_units": (), "conv_stacks": (2, (2, 2))}),
    "pixel": ((1, 1, 2), 2, {"batch_normalization": True}),
    # wide enough for sums that round differently in batches of different sizes
    "wide": ((8, 8), 3, {"conv_stacks": (8,), "dense_units": (128,)}),
}
IMPOSSIBLE_SHAPES = [None, (), (2, 2, 2, 2), (0,), (3, 0), (3, 2, 2)]  # None is 0-D: no rows


def make(network, **params):
    settings = {"conv_stacks": (3,), "dense_units": (4,), "epochs": 2, "batch_size": 8}
    settings |= {"learning_rate": 0.01, "random_state": 0}
    return FashionCNNClassifier(**(settings | NETWORKS[network][2] | params))


def shapes_of(network):
    """List the shapes that an image of the network may have."""
    shape = NETWORKS[network][0]
    return [shape, (int(np.prod(shape)),)] + [(*shape, 1)] * (len(shape) == 2)


# --- Arrays ---------------------------------------------------------------------------------------

INTEGERS = [code + size for code in "iu" for size in "1248"]
FLOATS = ["f2", "f4", "f8", ">f4", ">f8", "g", bfloat16]
RANGES = {"unit": (0, 1), "pixels": (0, 255), "signed": (-1, 1), "huge": (-3.4e38, 3.4e38)}
OTHERS = ["c8", "M8[D]", "m8[s]", "U4", "S4", "V3", [("red", "f4")]]
DTYPES = ["?", *INTEGERS, ">i4", ">u2", *FLOATS, "O", *OTHERS]


def seeds():
    return st.integers(0, 2**32 - 1)


def one_in(draw, n):
    return draw(st.integers(1, n)) == 2  # the ends are drawn more often


@st.composite
def arrays(draw, shape, dtypes=DTYPES):
    """Draw an array of any dtype, magnitude and layout; NaN and the like in one place at most."""
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    random = np.random.default_rng(draw(seeds()))
    values = random.random(shape)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        low, high = draw(
            st.sampled_from([(0, 1), (0, 100), (7, 7), (limits.min, limits.max), (limits.max,) * 2])
        )
        values = random.integers(low, high, shape, dtype.newbyteorder("="), endpoint=True)
    elif dtype.kind in "fcO" or dtype == bfloat16:
        kind = draw(st.sampled_from([*RANGES, "constant", "magnitudes"]))
        if kind == "constant":
            values = np.full(shape, draw(st.floats(allow_nan=False, allow_infinity=False)))
        elif kind == "magnitudes":
            exponents = draw(st.sampled_from([(-50, -30), (-3, 3), (0, 20), (30, 38), (-300, 300)]))
            values = random.normal(size=shape) * 10 ** random.uniform(*exponents, shape)
        else:
            values = random.uniform(*RANGES[kind], shape)
    with np.errstate(over="ignore", under="ignore"):  # of float16
        array = np.asarray(values).astype(dtype)
    special = [np.nan, np.inf, -np.inf] + [None, "1", {}, 10**400] * (dtype.kind == "O")
    if (dtype.kind in "fO" or dtype == bfloat16) and array.size and one_in(draw, 8):
        array.reshape(-1)[random.integers(array.size)] = draw(st.sampled_from(special))
    return array


def _strided(array):
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def _unaligned(array):
    buffer = bytearray(1) + array.tobytes()
    return np.frombuffer(buffer, array.dtype, offset=1).reshape(array.shape)


def _read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def _memmap(array, folder):
    path = folder / "memmap"
    path.unlink(missing_ok=True)  # an older map keeps its file
    path.write_bytes(array.tobytes())
    return np.memmap(path, array.dtype, "r", shape=array.shape)


# Ways to hold the values of an array.
LAYOUTS = {
    "C": lambda array, _: array.copy(),
    "Fortran": lambda array, _: np.asfortranarray(array),
    "strided": lambda array, _: _strided(array),
    "reversed": lambda array, _: array[::-1].copy()[::-1],
    "mirrored": lambda array, _: array[..., ::-1].copy()[..., ::-1],
    "read-only": lambda array, _: _read_only(array),
    "unaligned": lambda array, _: _unaligned(array),
    "memmap": _memmap,
    "list": lambda array, _: list(array),
}


def held(draw, array, folder, layouts=tuple(LAYOUTS)):
    """Return the array's values in a drawn layout, as far as it can have it."""
    layout = draw(st.sampled_from(layouts))
    if array.ndim == 0 or (
        layout in ("memmap", "unaligned") and (array.dtype.hasobject or not array.size)
    ):
        return array
    return LAYOUTS[layout](array, folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("arrays")


# --- Labels, weights, parameters ------------------------------------------------------------------

BAD_LABELS = {
    "huge": np.array([-1, 0, 1e300]),
    "continuous": np.array([0.5, 1.5, 2.5]),
    "NaN": np.array([0, 1, np.nan]),
    "None": np.array([0, 1, None]),
    "mixed": np.array([0, "b", 1], dtype=object),
    "bytes": np.array([b"a", b"b", b"c"]),
    "complex": np.array([0, 1j, 1]),
    "one class": np.array([1, 1, 1]),
    "one-hot": np.eye(3),
    "scalars": np.zeros((3, 1, 1)),
}


@st.composite
def targets(draw, n_rows, n_classes):
    """Draw labels in which all classes occur, or now and then what is no target."""
    random = np.random.default_rng(draw(seeds()))
    codes = np.r_[np.arange(n_classes), random.integers(0, n_classes, n_rows)][:n_rows]
    codes = random.permutation(codes)
    if one_in(draw, 12):
        y = BAD_LABELS[draw(st.sampled_from(list(BAD_LABELS)))][codes]
    else:
        kinds = [kind for kind, labels in LABELS.items() if len(labels) >= n_classes]
        y = LABELS[draw(st.sampled_from(kinds))][codes]
    form = draw(st.sampled_from(["as it is"] * 8 + ["column", "short"]))
    return {"as it is": y, "column": y[:, np.newaxis], "short": y[1:]}[form]


@st.composite
def row_weights(draw, n_rows):
    """Draw weights for rows, of any magnitude, some zero; now and then what is no weight."""
    random = np.random.default_rng(draw(seeds()))
    weights = random.random(n_rows)
    if draw(st.booleans()):
        return None
    if one_in(draw, 4):
        return random.integers(0, 4, n_rows)
    largest = draw(st.sampled_from([0, 1, 30, 300]))
    weights *= 10.0 ** random.uniform(-largest, largest, n_rows)
    weights[random.random(n_rows) < draw(st.sampled_from([0, 0.3]))] = 0
    if n_rows and one_in(draw, 8):
        weights[random.integers(n_rows)] = draw(st.sampled_from([-1, np.nan, np.inf]))
    dtype = draw(st.sampled_from([np.float64, np.float32, np.int64, bool, object]))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return weights.astype(dtype)


def parameters():
    """Draw parameters that need no program of their own."""
    return st.fixed_dictionaries(
        {},
        optional={
            "scaling": st.sampled_from([None, "unit", "standardize"]),
            "loss": st.just("sparse_categorical_crossentropy"),
            "label_smoothing": st.sampled_from([0.1, 0.9]),
            "class_weight": st.sampled_from(["balanced", {0: 3, 1: 0}, {"a": 1e-300, "b": 1e300}]),
            "learning_rate": st.sampled_from([None, 1e-30, 10.0, 1e30]),
            "learning_rate_schedule": st.sampled_from(["cosine", "one_cycle"]),
            "weight_decay": st.sampled_from([0.01, 10.0]),
            "batch_size": st.sampled_from([1, 3, 10**30]),
            "augment": st.sampled_from(["flip_shift", {"shift": 10**30, "erase": 1.0}]),
            "early_stopping": st.just(True),
            "validation_fraction": st.sampled_from([1e-9, 0.3, 0.999]),
            "random_state": st.integers(0, 2**32 - 1),
        },
    )


# --- Any input ------------------------------------------------------------------------------------

DOCUMENTED_WARNINGS = [
    (PixelRangeWarning, "trained on values within"),
    (PixelRangeWarning, "scaling='unit' leaves floats as they are"),
    (UserWarning, "first call of partial_fit fixes the scaling, but its images have one value"),
    (UserWarning, "look like flat images"),
    (UserWarning, "class_weight names labels that y lacks"),
    (UserWarning, "These classes have one member only"),
    (UserWarning, "The number of unique classes is greater than 50%"),  # scikit-learn's
    (DataConversionWarning, "A column-vector y was passed"),
]


def content(*arrays):
    return [
        (array.dtype, array.shape, array.strides, array.tobytes())
        for array in map(np.asarray, arrays)
    ]


def attempt(function, *args, **kwargs):
    """Call; return the result, or None after an error that is one of validation."""
    before = content(*args, *kwargs.values())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = function(*args, **kwargs)
        except (TypeError, ValueError) as error:
            result = None
            *_, (frame, _) = traceback.walk_tb(error.__traceback__)
            origin, message = frame.f_globals["__name__"].partition(".")[0], str(error)
            assert origin in ("fashioncnn", "sklearn"), traceback.format_exc()
            assert message
    for warning in caught:
        documented = any(
            warning.category is category and part in str(warning.message)
            for category, part in DOCUMENTED_WARNINGS
        )
        assert documented, str(warning)
    assert content(*args, *kwargs.values()) == before
    return result


def image_arrays(draw, network, n_rows, folder):
    """Draw images for a network, mostly of the right shape, in any layout."""
    impossible = one_in(draw, 10)
    shape = draw(st.sampled_from(IMPOSSIBLE_SHAPES if impossible else shapes_of(network)))
    dtypes = DTYPES if one_in(draw, 3) else ["u1", "f4", "f8", "i8"]
    X = draw(arrays(() if shape is None else (n_rows, *shape), dtypes))
    return held(draw, X, folder)


def assert_takes(network, X):
    """Check that an array which was not refused is one of images."""
    X = np.asarray(X)
    assert X.shape[1:] in shapes_of(network)
    assert X.dtype.kind in "biufO" or X.dtype == bfloat16


def assert_answers(clf, network, X):
    """Check what a fitted classifier says to images that it takes."""
    n_classes = len(clf.classes_)
    probabilities = attempt(clf.predict_proba, X)
    if probabilities is None:
        for method in (clf.predict, clf.decision_function, clf.predict_log_proba):
            assert attempt(method, X) is None
        return
    assert_takes(network, X)
    assert probabilities.shape == (len(X), n_classes)
    assert probabilities.dtype == np.float32
    assert (probabilities >= 0).all()  # which NaN is not
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    labels = attempt(clf.predict, X)
    assert labels.dtype == clf.classes_.dtype
    np.testing.assert_array_equal(labels, clf.classes_[probabilities.argmax(axis=1)])
    log_probabilities = attempt(clf.predict_log_proba, X)
    assert np.isfinite(log_probabilities).all()
    decision = attempt(clf.decision_function, X)
    assert decision.shape == ((len(X),) if n_classes == 2 else (len(X), n_classes))
    assert np.isfinite(decision).all()
    assert attempt(clf.score, X, labels) == 1


@pytest.mark.parametrize("network", NETWORKS)
@given(data=st.data())
def test_any_input_gives_probabilities_or_an_error_of_validation(network, folder, data):
    draw = data.draw
    shape, n_classes, _ = NETWORKS[network]
    clf = make(network, image_shape=shape if len(shape) > 1 else None, **draw(parameters()))
    n_rows = draw(st.sampled_from([0, 1, *range(n_classes, 13), *range(n_classes, 13)]))
    X = image_arrays(draw, network, n_rows, folder)
    y = held(draw, draw(targets(n_rows, n_classes)), folder, ["C", "reversed", "read-only", "list"])
    fit, others = clf.fit, {}
    if not clf.early_stopping and one_in(draw, 4):
        fit, others = clf.partial_fit, {"classes": y}
    elif one_in(draw, 4):
        others = {"X_val": image_arrays(draw, network, n_rows, folder), "y_val": y}
    before = dict(vars(clf))
    if attempt(fit, X, y, sample_weight=draw(row_weights(n_rows)), **others) is None:
        assert vars(clf) == before
        return
    assert_takes(network, X)
    np.testing.assert_array_equal(clf.classes_, np.unique(np.asarray(y)))
    assert all(np.isfinite(value).all() for value in clf._network.weights.values())
    assert np.isfinite(clf.history_["loss"]).all()
    assert_answers(clf, network, X)
    fitted = dict(vars(clf))
    assert_answers(clf, network, image_arrays(draw, network, draw(st.integers(0, 12)), folder))
    assert vars(clf).keys() == fitted.keys()
    assert all(vars(clf)[name] is value for name, value in fitted.items())


# --- Prediction -----------------------------------------------------------------------------------

# Kinds of values, and dtypes that hold them exactly.
EXACT = {
    "pixels": ["i1", "u1", "i2", ">i4", "u8", "f2", "f4", ">f8", "g", "O", bfloat16],
    "integers": ["i4", ">i4", "u4", "i8", "u8", "f4", ">f4", "f8", "g", "O"],  # up to 2**24
    "fractions": ["f4", ">f4", "f8", ">f8", "g", "O"],  # of float32
}


def pixels_for(network, n_rows, seed):
    """Give images of a network's shape with values from 0 to 127."""
    shape = NETWORKS[network][0]
    return np.random.default_rng(seed).integers(0, 128, (n_rows, *shape), np.uint8)


def labels_for(network, n_rows):
    n_classes = NETWORKS[network][1]
    return np.array(["no", "so", "yes"])[np.arange(n_rows) % n_classes]


@pytest.fixture(scope="module")
def classifiers():
    """Give a fitted classifier of every network. Do not refit or change them."""
    return {
        network: make(network, image_shape=shape if len(shape) > 1 else None).fit(
            pixels_for(network, 40, 0), labels_for(network, 40)
        )
        for network, (shape, *_) in NETWORKS.items()
    }


@pytest.mark.filterwarnings("ignore::fashioncnn.PixelRangeWarning")  # it takes any values
@given(data=st.data(), network=st.sampled_from(list(NETWORKS)), seed=seeds())
def test_neither_layout_nor_dtype_of_equal_values_matters(classifiers, folder, data, network, seed):
    draw = data.draw
    clf = classifiers[network]
    X = pixels_for(network, draw(st.integers(2, 40)), seed)
    kind = draw(st.sampled_from(list(EXACT)))
    if kind != "pixels":
        random = np.random.default_rng(seed)
        X = (
            random.normal(0, 99, X.shape)
            if kind == "fractions"
            else random.integers(0, 2**24, X.shape)
        )
        X = X.astype(np.float32)
    if draw(st.booleans()):  # all rows are one
        X = np.broadcast_to(X[:1], X.shape)
    other = X.astype(draw(st.sampled_from(EXACT[kind])))
    other = other.reshape(len(X), *draw(st.sampled_from(shapes_of(network))))
    other = held(draw, other, folder)
    np.testing.assert_array_equal(clf.predict_proba(other), clf.predict_proba(X))
    y = labels_for(network, len(X))
    one, another = (clone(clf).fit(images, y).predict_proba(X) for images in (X, other))
    np.testing.assert_array_equal(one, another)


def way_of_prediction(clf, n_rows):
    """Return the engine that answers a call of so many images, and the size of its batches."""
    architecture = clf._network.architecture
    if n_rows <= most_images(architecture):
        return "NumPy", 1
    return "TensorFlow", choose_batch_size(n_rows, batch_sizes(architecture.largest_activation))


@given(
    network=st.sampled_from(list(NETWORKS)),
    seed=seeds(),
    n_rows=st.one_of(st.integers(1, 12), st.integers(1, 700)),
    n_others=st.one_of(st.integers(1, 12), st.integers(1, 700)),
    dtype=st.sampled_from([np.uint8, np.float32]),
)
@example("wide", 0, 25, 27, np.uint8)  # more rows than fill the batches
@example("wide", 0, 481, 700, np.float32)
@example("wide", 0, 1, 5, np.uint8)
@example("wide", 0, 2, 20, np.uint8)
def test_rows_are_predicted_one_by_one(classifiers, network, seed, n_rows, n_others, dtype):
    clf, random = classifiers[network], np.random.default_rng(seed)
    X = pixels_for(network, n_rows, seed).astype(dtype)
    chosen = random.integers(0, n_rows, n_others)
    whole, part = clf.predict_proba(X), clf.predict_proba(X[chosen])
    # A row's bits may depend on the engine and the size of its batches, and on nothing else.
    if way_of_prediction(clf, n_rows) == way_of_prediction(clf, n_others):
        np.testing.assert_array_equal(part, whole[chosen])
    np.testing.assert_allclose(part, whole[chosen], rtol=1e-4, atol=1e-6)
    order = random.permutation(n_rows)
    np.testing.assert_array_equal(clf.predict_proba(X[order]), whole[order])


@st.composite
def architectures(draw):
    """Draw any network on small images: windows may be larger than what they slide over.

    Many have the kernels and numbers of filters that NumPy convolves by tiles.
    """
    sizes, has_tiles = st.integers(1, 6), draw(st.booleans())
    filters = st.sampled_from([5, 16, 17]) if has_tiles else st.integers(1, 9)
    stacks = draw(st.lists(st.lists(filters, min_size=1, max_size=3), min_size=1, max_size=3))
    windows = st.lists(st.tuples(sizes, sizes), min_size=len(stacks), max_size=len(stacks))
    side = st.one_of(st.just(1), st.integers(1, 12))
    padding = draw(st.sampled_from(["same", "valid"]))
    return make_architecture(
        (draw(side), draw(side), draw(st.integers(1, 3))),
        draw(st.integers(2, 5)),
        conv_stacks=stacks,
        kernel_size=3 if has_tiles else draw(windows),
        pool_size=draw(windows),
        padding=padding,
        residual=padding == "same" and draw(st.booleans()),
        activation=draw(st.sampled_from(sorted(get_args(Activation)))),
        batch_normalization=draw(st.booleans()),
        global_pooling=draw(st.sampled_from([None, "avg", "max"])),
        conv_dropout=draw(st.sampled_from([0, 0.25])),
        dense_units=draw(st.lists(st.integers(1, 9), max_size=2)),
        dense_dropout=draw(st.sampled_from([0, 0.2])),
    )


@given(data=st.data(), architecture=architectures(), seed=seeds())
def test_both_engines_say_the_same_of_any_network(folder, data, architecture, seed):
    draw, random = data.draw, np.random.default_rng(seed)
    dtype = np.dtype(draw(st.sampled_from(["u1", "u2", "f4", "f8"])))
    pixels = random.random((draw(st.integers(1, 4)), *architecture.image_shape))
    if draw(st.booleans()):  # a picture on a blank ground
        pixels[random.random(pixels.shape) < 0.7] = 0
    pixels = (pixels * (np.iinfo(dtype).max if dtype.kind == "u" else 1)).astype(dtype)
    kind = draw(st.sampled_from(["standardize", "unit"]))
    scaling = fit_scaling(kind, pixels, np.arange(len(pixels)), dtype)
    weights = weights_of(architecture, seed)
    flip = {"test_time_flip": draw(st.booleans())}
    by_numpy = NumpyPredictor(architecture, weights, scaling, **flip)
    logits = by_numpy.logits(pixels)
    by_tensorflow = Predictor(Program(architecture), weights, scaling, **flip)
    assert_rows_agree(logits, by_tensorflow.logits(pixels))
    layouts = sorted(LAYOUTS.keys() - {"list"})  # what `check_images` gives
    np.testing.assert_array_equal(by_numpy.logits(held(draw, pixels, folder, layouts)), logits)
    rows = random.integers(0, len(pixels), 3)
    np.testing.assert_array_equal(by_numpy.logits(pixels[rows]), logits[rows])


# --- Weights --------------------------------------------------------------------------------------


# Batch normalisation takes its statistics from all rows alike.
UNNORMALIZED = [name for name in NETWORKS if "batch_normalization" not in NETWORKS[name][2]]


def architecture_of(network):
    """Give the architecture of a network, without dropout."""
    shape, n_classes, _ = NETWORKS[network]
    params = make(network, conv_dropout=0.0, dense_dropout=0.0).get_params()
    image_shape = (*shape, 1)[:3] if len(shape) > 1 else (1, *shape, 1)
    return build_architecture(params, image_shape, n_classes)


def counts(draw, n_rows):
    """Draw how many copies there are of each row; of the first few rows at least one."""
    numbers = np.array(draw(st.lists(st.integers(0, 5), min_size=n_rows, max_size=n_rows)))
    numbers[:3] += numbers[:3] == 0
    return numbers


@given(
    data=st.data(),
    network=st.sampled_from(UNNORMALIZED),
    seed=seeds(),
    n_rows=st.integers(3, 12),
    label_smoothing=st.sampled_from([0.0, 0.1, 0.9]),
)
def test_weight_k_is_k_copies_in_loss_and_gradient(data, network, seed, n_rows, label_smoothing):
    architecture, random = architecture_of(network), np.random.default_rng(seed)
    weights = initial_weights(architecture, np.random.SeedSequence(seed))
    for name, value in weights.items():
        if not name.endswith("kernel"):
            value += random.random(value.shape, np.float32)
    images = random.normal(size=(n_rows, *architecture.image_shape)).astype(np.float32)
    codes = random.integers(0, architecture.n_classes, n_rows).astype(np.int32)
    copies = counts(data.draw, n_rows)

    def loss_and_gradients(rows, shares):
        values = {name: tf.constant(value) for name, value in weights.items()}

        def loss_of(logits):
            losses = cross_entropy(logits, codes[rows], label_smoothing)
            return tf.reduce_sum(losses * shares * len(rows))

        training = TrainingMode(0, 0, len(rows), 1.0, "float32")
        trained = train_network(architecture, values, images[rows], training, loss_of)
        return [trained.loss / len(rows), *trained.gradients.values()]

    weighted = loss_and_gradients(np.arange(n_rows), (copies / copies.sum()).astype(np.float32))
    rows = np.repeat(np.arange(n_rows), copies)
    copied = loss_and_gradients(rows, np.full(len(rows), 1 / len(rows), np.float32))
    np.testing.assert_allclose(weighted[0], copied[0], rtol=1e-6)
    for one, other in zip(weighted, copied, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@given(
    data=st.data(), network=st.sampled_from(["plain", "pooled", "square", "strip"]), seed=seeds()
)
def test_weight_k_is_k_copies_in_a_step_of_the_estimator(data, network, seed):
    """Without dropout and batch normalisation, whose statistics count all rows alike."""
    X = pixels_for(network, 12, seed)
    y = labels_for(network, 12)
    copies = counts(data.draw, 12)
    clf = make(
        network,
        epochs=1,
        batch_size=100,
        optimizer="sgd",  # with a rate of 1 the step is the gradient, and the momentum
        learning_rate=1.0,
        conv_dropout=0.0,
        dense_dropout=0.0,
        scaling="unit",  # "standardize" takes its constants from all rows alike
        label_smoothing=data.draw(st.sampled_from([0.0, 0.1])),
        image_shape=X.shape[1:] if X.ndim > 2 else None,
    )
    rows = np.repeat(np.arange(12), copies)
    weighted = clone(clf).fit(X, y, sample_weight=copies)
    copied = clone(clf).fit(X[rows], y[rows])
    assert weighted.history_["loss"] == pytest.approx(copied.history_["loss"], rel=1e-5)
    for name, value in weighted._network.weights.items():
        np.testing.assert_allclose(value, copied._network.weights[name], rtol=1e-3, atol=1e-5)


# --- Names of labels ------------------------------------------------------------------------------

NAMES = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3, unique=True),
    st.lists(st.integers(-100, 100).map(float), min_size=3, max_size=3, unique=True),
    # NumPy's strings end before a NUL.
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0")),
        min_size=3,
        max_size=3,
        unique=True,
    ),
    st.sampled_from([[False, True], [True, False]]),
)


@given(
    names=NAMES,
    seed=seeds(),
    as_object=st.booleans(),
    way=st.sampled_from(["fit", "early stopping", "validation data", "partial_fit"]),
)
def test_of_labels_only_the_order_matters(names, seed, as_object, way):
    """Names in the same order train the same bits, whatever their type.

    In another order they do not: initial weights and the sums over classes follow the order.
    """
    network = "plain" if len(names) == 3 else "square"
    X = pixels_for(network, 20, seed)
    random = np.random.default_rng(seed)
    codes = np.r_[np.arange(len(names)), random.integers(0, len(names), 20)][:20]
    ranks = np.argsort(np.argsort(names))

    def fitted(labels):
        clf, y = make(network, early_stopping=way == "early stopping"), labels[codes]
        if way == "partial_fit":
            return clf.partial_fit(X, y, classes=labels)
        return clf.fit(X, y, **({"X_val": X, "y_val": y} if way == "validation data" else {}))

    named, ranked = fitted(np.array(names, dtype=object if as_object else None)), fitted(ranks)
    assert named.classes_.tolist() == sorted(names)
    np.testing.assert_array_equal(named.predict_proba(X), ranked.predict_proba(X))
    assert named.predict(X).tolist() == [sorted(names)[rank] for rank in ranked.predict(X)]
    assert named.history_ == ranked.history_


# --- Failures -------------------------------------------------------------------------------------

SHAPE, N_ROWS = (4, 4), 12
GOOD_X, GOOD_Y = pixels_for("plain", N_ROWS, 0), labels_for("plain", N_ROWS)
BAD_X = {
    "None": None,
    "str": "images.npy",
    "NaN": np.full((N_ROWS, *SHAPE), np.nan),
    "too large": np.full((N_ROWS, *SHAPE), 1e300),
    "one image": GOOD_X[0, 0],
    "no images": GOOD_X[:0],
    "other shape": GOOD_X[:, :3],
    "five dimensions": GOOD_X[..., np.newaxis, np.newaxis],
    "complex": GOOD_X + 1j,
    "strings": GOOD_X.astype(str),
    "dates": GOOD_X.astype("M8[s]"),
    "sparse": scipy.sparse.csr_matrix(GOOD_X.reshape(N_ROWS, -1)),
    "generator": (image for image in GOOD_X),
    "ragged": [GOOD_X[0], GOOD_X[1, :2]],
    "dict inside": np.array([[{}] * 16] * N_ROWS),
    "names, and NaN": pd.DataFrame(np.full((N_ROWS, 16), np.nan)).add_prefix("pixel"),
}
BAD_Y = {
    "None": None,
    "short": GOOD_Y[1:],
    "one-hot": np.eye(3)[np.arange(N_ROWS) % 3],
    "continuous": np.arange(N_ROWS) / 7,
    "NaN": np.where(np.arange(N_ROWS) == 3, np.nan, 1),
    "mixed": np.array(["no", 1, 2] * 4, dtype=object),
    "one class": np.zeros(N_ROWS),
    "sparse": scipy.sparse.csr_matrix(np.arange(N_ROWS)),
}
BAD_WEIGHTS = {
    "short": np.ones(N_ROWS - 1),
    "table": np.ones((N_ROWS, 2)),
    "str": ["heavy"] * N_ROWS,
    "NaN": np.full(N_ROWS, np.nan),
    "negative": np.arange(N_ROWS) - 1,
    "zero": np.zeros(N_ROWS),
}
NO_WEIGHT = {"class_weight": {"no": 0, "so": 0, "yes": 0}}
BAD_PARAMS = [
    {"epochs": 0},
    {"batch_size": 1.5},
    {"augment": {"shift": -1}},
    {"conv_stacks": ()},
    {"conv_stacks": (4, 4), "kernel_size": ((3, 3),) * 3},
    {"conv_stacks": (4, 4), "pool_size": ((2, 2),) * 3},
    {"dense_units": "many"},
    {"optimizer": "adamm"},
    {"learning_rate": np.nan},
    {"learning_rate": 1e38, "scaling": None},  # diverges, if it may start
    {"learning_rate": 1e30},
    {"class_weight": {"no": -1}},
    {"class_weight": "heavy"},
    NO_WEIGHT,
    {"image_shape": (2, 8)},
    {"tol": -1},
    {"random_state": "chance"},
]
BAD_VALIDATION = [
    {"X_val": GOOD_X},
    {"X_val": GOOD_X[:, 1:], "y_val": GOOD_Y},
    {"X_val": GOOD_X, "y_val": GOOD_Y[1:]},
    {"X_val": GOOD_X, "y_val": ["never"] * N_ROWS},
    {"X_val": GOOD_X, "y_val": GOOD_Y, "sample_weight_val": np.zeros(N_ROWS)},
]
OTHER_NETWORKS = [
    {"dense_units": 5},
    {"kernel_size": 2},
    {"batch_normalization": True},
    {"scaling": "unit"},
]
OTHER_LABELS = np.array(["no", "other", "so"] * 4)


@st.composite
def failing_calls(draw):
    """Draw parameters to set, a method, and arguments for it, of which at least one is wrong."""
    params, args, kwargs = {"warm_start": draw(st.booleans())}, {"X": GOOD_X, "y": GOOD_Y}, {}
    method = draw(
        st.sampled_from(
            ["fit", "partial_fit", "score", "predict", "predict_proba", "decision_function"]
        )
    )
    trains = method in ("fit", "partial_fit")
    goes_on = method == "partial_fit" or (method == "fit" and params["warm_start"])
    faults = ["X"]
    if trains or method == "score":
        faults += ["y", "weights"]
    if trains:
        faults += ["params", "scale", "classes" if method == "partial_fit" else "validation"]
    if goes_on:
        faults += ["network", "labels"]
    for fault in sorted(draw(st.sets(st.sampled_from(faults), min_size=1, max_size=2))):
        if fault == "X":
            kinds = sorted(BAD_X.keys() - (set() if goes_on or not trains else {"other shape"}))
            args["X"] = BAD_X[draw(st.sampled_from(kinds))]
        elif fault == "y":
            args["y"] = BAD_Y[draw(st.sampled_from(list(BAD_Y)))]
        elif fault == "weights":
            # scikit-learn's score takes more than training does.
            kinds = list(BAD_WEIGHTS) if trains else ["short"]
            kwargs["sample_weight"] = BAD_WEIGHTS[draw(st.sampled_from(kinds))]
        elif fault == "params":
            # To partial_fit, a piece of classes without weight is no mistake.
            pieces = [bad for bad in BAD_PARAMS if method == "fit" or bad != NO_WEIGHT]
            params |= draw(st.sampled_from(pieces))
        elif fault == "scale":
            params["scaling"], args["X"] = "unit", GOOD_X.astype(np.int32) - 9
        elif fault == "classes":
            kwargs["classes"] = draw(st.sampled_from([["no", "so"], OTHER_LABELS, 3, [[1], [2]]]))
        elif fault == "validation":
            kwargs |= draw(st.sampled_from(BAD_VALIDATION))
        elif fault == "network":
            params |= draw(st.sampled_from(OTHER_NETWORKS))
        else:
            args["y"] = OTHER_LABELS
    if method.startswith(("predict", "decision")):
        del args["y"]
    return params, method, list(args.values()), kwargs


FAILING_FITS = {
    "short y": (GOOD_X, BAD_Y["short"], {}),
    "NaN": (BAD_X["NaN"], GOOD_Y, {}),
    "one class": (GOOD_X, BAD_Y["one class"], {}),
    "names, and short y": (
        pd.DataFrame(GOOD_X.reshape(N_ROWS, -1)).add_prefix("pixel"),
        BAD_Y["short"],
        {},
    ),
    "integers of no scale": (GOOD_X.astype(np.int32) - 9, GOOD_Y, {"scaling": "unit"}),
    "no epoch": (GOOD_X, GOOD_Y, {"epochs": 0}),
    "pools": (GOOD_X, GOOD_Y, {"conv_stacks": (4, 4), "pool_size": ((2, 2),) * 3}),
    "image shape": (GOOD_X, GOOD_Y, {"image_shape": (2, 8)}),
    "divergence": (GOOD_X, GOOD_Y, {"learning_rate": 1e30}),
    "divergence of raw pixels": (GOOD_X, GOOD_Y, {"learning_rate": 1e38, "scaling": None}),
}


@pytest.mark.filterwarnings("ignore:X has feature names:UserWarning")  # where training had none
@pytest.mark.parametrize("case", FAILING_FITS)
@pytest.mark.parametrize("warm_start", [False, True])
def test_a_failed_refit_leaves_everything_as_it_was(classifiers, case, warm_start):
    X, y, params = FAILING_FITS[case]
    assert_fails_and_changes_nothing(
        classifiers, {"warm_start": warm_start, **params}, "fit", [X, y], {}
    )


@pytest.mark.filterwarnings("ignore")  # some calls fail after they have warned
@given(call=failing_calls())
def test_a_failed_call_leaves_everything_as_it_was(classifiers, call):
    assert_fails_and_changes_nothing(classifiers, *call)


def assert_fails_and_changes_nothing(classifiers, params, method, args, kwargs):
    clf = copy.copy(classifiers["plain"]).set_params(image_shape=None)
    before = clf.predict_proba(GOOD_X)
    clf.set_params(**params)
    attributes, history = dict(vars(clf)), copy.deepcopy(clf.history_)
    with pytest.raises((TypeError, ValueError)):
        getattr(clf, method)(*args, **kwargs)
    assert list(vars(clf)) == list(attributes)
    assert all(vars(clf)[name] is value for name, value in attributes.items())
    assert clf.history_ == history
    np.testing.assert_array_equal(clf.predict_proba(GOOD_X), before)


# --- Copies ---------------------------------------------------------------------------------------


def assert_same(one, other, X):
    assert vars(one).keys() == vars(other).keys()
    assert one.get_params() == other.get_params()
    for name in ("n_iter_", "best_epoch_", "image_shape_", "n_features_in_"):
        assert getattr(one, name) == getattr(other, name)
    assert repr(one.history_) == repr(other.history_)  # which may have NaN
    np.testing.assert_array_equal(one.classes_, other.classes_)
    assert one.classes_.dtype == other.classes_.dtype
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


@given(
    network=st.sampled_from(list(NETWORKS)),
    params=st.fixed_dictionaries(
        {"warm_start": st.booleans()},
        optional={
            "scaling": st.sampled_from([None, "unit"]),
            "class_weight": st.just({"no": 2.5}),
            "learning_rate_schedule": st.sampled_from(["cosine", "one_cycle"]),
            "validation_fraction": st.just(0.3),
            "random_state": st.integers(0, 2**32 - 1),
        },
    ),
    early_stopping=st.booleans(),
    ways=st.lists(st.sampled_from(list(COPIES)), min_size=1, max_size=3),
    going_on=st.lists(st.sampled_from(["fit", "partial_fit"]), max_size=2),
)
@example(
    network="plain",
    params={"warm_start": True},
    early_stopping=False,
    ways=["pickle 5"],
    going_on=["fit"],
)
@example(
    network="plain",
    params={"warm_start": True},
    early_stopping=False,
    ways=["joblib, read-only map"],
    going_on=["fit"],
)
def test_copies_are_the_same_and_go_on_alike(
    folder, network, params, early_stopping, ways, going_on
):
    X, y = pixels_for(network, 20, 1), labels_for(network, 20)
    shape = X.shape[1:] if X.ndim > 2 else None
    clf = make(network, image_shape=shape, early_stopping=early_stopping, **params).fit(X, y)
    if early_stopping:
        going_on = [method for method in going_on if method == "fit"]
    elif "partial_fit" in going_on:
        clf.partial_fit(X, y)  # which keeps the moments of the optimizer
    before, history = clf.predict_proba(X), repr(clf.history_)
    other = clf
    for way in ways:
        other = COPIES[way](other, folder)
    assert other is not clf
    assert_same(clf, other, X)
    one = copy.copy(clf)
    for method in going_on:
        getattr(one, method)(X, y)
        getattr(other, method)(X, y)
        assert_same(one, other, X)
    np.testing.assert_array_equal(clf.predict_proba(X), before)
    assert repr(clf.history_) == history


@pytest.mark.parametrize(
    "way", ["pickle 5", "joblib, read-only map", "copy", "deepcopy", "model file"]
)
def test_copies_have_a_model(classifiers, folder, way):
    clf = classifiers["plain"]
    assert clf.model_ is not None  # what has been built stays out of the copy
    other = COPIES[way](clf, folder)
    assert_same(clf, other, GOOD_X)
    np.testing.assert_allclose(
        other.model_.predict(GOOD_X, verbose=0), clf.predict_proba(GOOD_X), rtol=1e-4, atol=1e-6
    )


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: (
        st.lists(values) | st.lists(values).map(tuple) | st.dictionaries(st.text(), values)
    ),
    max_leaves=5,
)


@given(
    data=st.data(),
    params=st.dictionaries(
        st.sampled_from(sorted(FashionCNNClassifier().get_params())), ANYTHING, max_size=6
    ),
)
def test_parameters_are_kept_as_they_are(classifiers, data, params):
    """Whatever they are: they are checked in `fit` only."""
    made = FashionCNNClassifier(**params)
    assert all(made.get_params()[name] is value for name, value in params.items())
    fitted = copy.copy(classifiers["plain"])
    assert all(fitted.set_params(**params).get_params()[name] is params[name] for name in params)
    for one in (made, fitted):
        # NaN, which is not equal to itself, has the same repr.
        assert repr(clone(one).get_params()) == repr(one.get_params())
        with pytest.raises(NotFittedError):
            clone(one).predict(GOOD_X)
    assert repr(pickle.loads(pickle.dumps(made)).get_params()) == repr(made.get_params())
