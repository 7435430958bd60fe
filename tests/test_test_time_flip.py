# SPDX-License-Identifier: BSD-3-Clause
"""Predictions that average the logits of an image and of its mirror image, in every room."""

import copy
import pickle
import warnings
from dataclasses import replace

import keras
import numpy as np
import pytest
from networks import (
    BRANCHES,
    CONFIGURATIONS,
    assert_rows_agree,
    batch,
    branched,
    make,
    stock_logits,
    weights_of,
)
from sklearn.metrics import log_loss
from test_keras_model import modules_in

from fashioncnn import FashionCNNClassifier
from fashioncnn._network.numpy_forward import NumpyPredictor
from fashioncnn._network.probabilities import log_softmax, softmax
from fashioncnn._network.scaling import Scaling
from fashioncnn._tensorflow.keras_model import build_network, weight_name
from fashioncnn._tensorflow.prediction import Predictor
from fashioncnn._tensorflow.program import Program

# That training sees no mirror images, which these tests don't need.
pytestmark = pytest.mark.filterwarnings("ignore:test_time_flip=True:UserWarning")

NUMBERS = (1, 2, 90)  # images that NumPy answers, and that TensorFlow does


def mirrored(X):
    return X[:, :, ::-1]


def with_flip(clf, flip=True):
    """Return a copy with the same weights that averages, or does not."""
    other = copy.copy(clf)
    other._network = replace(clf._network, test_time_flip=flip)
    return other


@pytest.fixture(scope="module")
def flipped(fitted):
    """Give the fitted classifier as one that averages. Do not change it."""
    return with_flip(fitted)


# --- What it is -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n_images", NUMBERS)
def test_logits_are_the_mean_of_both(images, fitted, flipped, n_images):
    X = images[0][:n_images]
    of_both = fitted.decision_function(X), fitted.decision_function(mirrored(X))
    mean = (of_both[0] + of_both[1]) / 2
    assert np.abs(of_both[0] - of_both[1]).max() > 0.1
    assert_rows_agree(flipped.decision_function(X), mean)
    assert_rows_agree(flipped.decision_function(X), flipped.decision_function(mirrored(X)))


@pytest.mark.parametrize("n_images", NUMBERS)
def test_every_method_has_the_same_logits(images, flipped, n_images):
    X = images[0][:n_images]
    logits = flipped.decision_function(X)
    np.testing.assert_array_equal(flipped.predict_proba(X), softmax(logits))
    np.testing.assert_array_equal(flipped.predict_log_proba(X), np.float32(log_softmax(logits)))
    labels = flipped.classes_[logits.argmax(axis=1)]
    np.testing.assert_array_equal(flipped.predict(X), labels)
    assert flipped.score(X, labels) == 1


def test_of_two_classes_the_difference_is_averaged(images, small):
    X, y = images
    clf = small(epochs=2).fit(X, y == "left")
    mean = (clf.decision_function(X) + clf.decision_function(mirrored(X))) / 2
    np.testing.assert_allclose(with_flip(clf).decision_function(X), mean, rtol=1e-4, atol=1e-5)


# --- The engines, and stock layers ----------------------------------------------------------------

NETWORKS = {
    **{name: params for name, params in CONFIGURATIONS.items() if name not in {"article", "tiles"}},
    "one pixel wide": {"image_shape": (9, 1, 2)},
    "one channel": {"image_shape": (6, 7, 1)},
    "four channels": {"image_shape": (6, 7, 4), "batch_normalization": True},
}
SLOW = [name for name, params in CONFIGURATIONS.items() if params.get("activation") == name]


def assert_agree(architecture):
    """Compare both engines and stock layers; images are scaled before they are mirrored."""
    weights, channels = weights_of(architecture), architecture.image_shape[-1]
    scaling = Scaling("standardize", (0.5,) * channels, tuple(np.linspace(-0.5, 0.5, channels)))
    images, _ = batch(architecture, 30)
    stock = stock_logits(architecture, weights, images, scaling, test_time_flip=True)
    args, flip = (weights, scaling), {"test_time_flip": True}
    assert_rows_agree(NumpyPredictor(architecture, *args, **flip).logits(images), stock)
    assert_rows_agree(Predictor(Program(architecture), *args, **flip).logits(images), stock)
    both = [stock_logits(architecture, weights, X, scaling) for X in (images, mirrored(images))]
    assert_rows_agree(stock, (both[0] + both[1]) / 2)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in NETWORKS]
)
def test_engines_agree_with_stock_layers(name):
    assert_agree(make(**NETWORKS[name]))


@pytest.mark.parametrize("name", BRANCHES)
def test_a_branch_is_taken_in_both_passes(name):
    architecture = branched(name)
    weights, flip = weights_of(architecture), {"test_time_flip": True}
    images, _ = batch(architecture, 3)
    logits = NumpyPredictor(architecture, weights, None, **flip).logits(images)
    assert_rows_agree(logits, stock_logits(architecture, weights, images, **flip))


def test_an_image_one_pixel_wide_is_its_own_mirror_image():
    architecture = make((9, 1, 2))
    weights, (images, _) = weights_of(architecture), batch(architecture, 30)
    predictors = [
        Predictor(Program(architecture), weights, None, test_time_flip=flip)
        for flip in (False, True)
    ]
    assert_rows_agree(*(predictor.logits(images) for predictor in predictors))


@pytest.mark.parametrize("n_images", [7, 24, 90])
def test_neighbours_and_place_change_no_bit(images, flipped, n_images):
    X = images[0][:n_images]
    order = np.random.default_rng(0).permutation(n_images)
    logits = flipped.decision_function(X)
    np.testing.assert_array_equal(flipped.decision_function(X[order]), logits[order])


def test_every_place_of_a_batch_gives_the_same_bits():
    architecture = make((28, 28, 1), conv_stacks=((8, 16),), dense_units=(128,))
    predictor = Predictor(
        Program(architecture), weights_of(architecture), None, test_time_flip=True
    )
    (image, _) = batch(architecture, 1)
    for size in predictor._batch_sizes:
        logits = predictor.logits(np.repeat(image, size, axis=0))
        np.testing.assert_array_equal(logits, logits[[0] * size])


def test_batches_leave_room_for_both_passes():
    architecture = make((224, 224, 3), conv_stacks=(32,), dense_units=())
    weights = weights_of(architecture)
    largest = [
        Predictor(Program(architecture), weights, None, test_time_flip=flip)._batch_sizes[-1]
        for flip in (False, True)
    ]
    assert largest[1] * 2 * 4 * architecture.largest_activation <= 256 * 2**20
    assert largest[1] < largest[0]


def test_one_program_has_both(images, fitted, flipped):
    """A function each for one dtype of pixels, whichever is asked for first."""
    architecture = fitted._network.architecture
    pixels = images[0][..., np.newaxis]
    for order in ((False, True), (True, False)):
        program = Program(architecture)
        for flip in order:
            clf = flipped if flip else fitted
            args = clf._network.weights, clf._network.scaling
            logits = Predictor(program, *args, test_time_flip=flip).logits(pixels)
            np.testing.assert_array_equal(logits, clf.decision_function(images[0]))
        assert program.n_traces == 2


# --- Training -------------------------------------------------------------------------------------


def weights_and_moments(clf):
    checkpoint = clf._network.checkpoint
    return checkpoint.weights, checkpoint.slots


def test_training_is_not_changed(images, small):
    params = {"epochs": 2, "validation_fraction": 0.2, "warm_start": True}
    plain, flipped = (small(test_time_flip=flip, **params).fit(*images) for flip in (False, True))
    np.testing.assert_equal(weights_and_moments(flipped), weights_and_moments(plain))
    for name in ("loss", "accuracy"):
        assert flipped.history_[name] == plain.history_[name]
        assert flipped.history_[f"val_{name}"] != plain.history_[f"val_{name}"]


@pytest.mark.parametrize("early_stopping", [False, True])
def test_validation_is_of_the_average(images, small, early_stopping):
    X, y = images
    params = {"early_stopping": early_stopping, "n_iter_no_change": 1, "learning_rate": 0.05}
    clf = small(epochs=6, test_time_flip=True, **params)
    clf.fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
    best = clf.best_epoch_ - 1
    expected = log_loss(y[60:], clf.predict_proba(X[60:]))
    assert clf.history_["val_loss"][best] == pytest.approx(expected, rel=1e-5)
    assert clf.history_["val_accuracy"][best] == clf.score(X[60:], y[60:])
    without = log_loss(y[60:], with_flip(clf, False).predict_proba(X[60:]))
    assert without != pytest.approx(expected, rel=1e-2)


def test_it_may_change_between_fits(images, small):
    X, y = images
    clf = small(epochs=1, warm_start=True).fit(X, y)
    clf.set_params(test_time_flip=True)
    assert not clf._network.test_time_flip  # it counts from the next fit on
    flipped = clf.fit(X, y).decision_function(X)
    plain = small(epochs=2).fit(X, y)
    np.testing.assert_array_equal(flipped, with_flip(plain).decision_function(X))
    assert clf.model_.layers[-1].name == "softmax"
    clf.set_params(test_time_flip=False).partial_fit(X, y)
    np.testing.assert_array_equal(
        clf.decision_function(X), small(epochs=3).fit(X, y).decision_function(X)
    )
    assert clf.model_.layers[-1].name == "predictions"


def test_a_warm_start_compares_with_the_average_at_its_start(images, small):
    """A fit that changes no weight is no better, though the fit before had another loss."""
    X, y = images
    wrong = np.select([y == "left", y == "right"], ["right", "left"], y)
    params = {"early_stopping": True, "warm_start": True, "tol": 0.0, "epochs": 2}
    clf = small(**params).fit(X, y, X_val=X, y_val=wrong)
    best, loss = clf.best_epoch_, log_loss(wrong, clf.predict_proba(X))
    clf.set_params(test_time_flip=True, learning_rate=1e-30).fit(X, y, X_val=X, y_val=wrong)
    assert max(clf.history_["val_loss"][2:]) < loss - 0.01
    assert clf.best_epoch_ == best


@pytest.mark.parametrize("hook", ["on_epoch_end", "on_train_end"])
def test_callbacks_see_the_average(images, small, hook):
    X, y = images
    seen = []

    class Predict(keras.callbacks.Callback):
        def predict(self, *args, **kwargs):
            seen.append(self.model.predict(X, verbose=0))

    setattr(Predict, hook, Predict.predict)
    params = {"epochs": 2, "batch_normalization": True, "test_time_flip": True}
    clf = small(callbacks=Predict(), **params).fit(X, y)
    np.testing.assert_allclose(seen[-1], clf.predict_proba(X), rtol=1e-4, atol=1e-6)
    # The variables of that model are trained as without callbacks.
    plain = small(**params).fit(X, y)
    np.testing.assert_equal(weights_and_moments(clf), weights_and_moments(plain))
    np.testing.assert_array_equal(clf.predict_proba(X), plain.predict_proba(X))


# --- The Keras model ------------------------------------------------------------------------------


def test_rows_of_the_model(images, small):
    params = {"epochs": 1, "conv_dropout": 0, "test_time_flip": True}
    model = small(**params).fit(*images).model_
    assert [(type(row).__name__, row.name) for row in model.operations] == [
        ("InputLayer", "image"),
        ("Rescaling", "rescaling"),
        ("Flip", "flip"),
        ("Conv2D", "stack1_conv1"),
        ("MaxPooling2D", "stack1_pool"),
        ("Flatten", "flatten"),
        ("Dense", "dense1"),
        ("Dropout", "dense1_dropout"),
        ("Dense", "predictions"),
        ("Average", "average"),
        ("Softmax", "softmax"),
    ]
    lines = []
    model.summary(print_fn=lines.append)
    assert "average" in "\n".join(lines)
    unscaled = small(scaling=None, **params).fit(*images).model_
    assert [type(row).__name__ for row in unscaled.operations][:2] == ["InputLayer", "Flip"]


@pytest.mark.parametrize("name", ["normalized", "same", "strip"])
def test_weights_are_those_of_the_table(name):
    architecture = make(**CONFIGURATIONS[name])
    model = build_network(architecture, softmax=True, test_time_flip=True)
    shapes = [(weight_name(weight), tuple(weight.shape)) for weight in model.weights]
    assert shapes == list(architecture.weight_shapes.items())


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_the_model_agrees_with_the_classifier(images, small, loss):
    X, y = images
    clf = small(epochs=2, batch_normalization=True, loss=loss, test_time_flip=True).fit(X, y)
    probabilities = clf.predict_proba(X)
    codes = np.searchsorted(clf.classes_, y)
    labels = np.eye(3)[codes] if loss == "categorical_crossentropy" else codes
    np.testing.assert_allclose(
        clf.model_.predict(X, verbose=0), probabilities, rtol=1e-4, atol=1e-6
    )
    value, accuracy = clf.model_.evaluate(X, labels, verbose=0)
    assert value == pytest.approx(log_loss(y, probabilities), rel=1e-4)
    assert accuracy == pytest.approx(clf.score(X, y))


def test_the_saved_model_needs_nothing_of_ours(images, flipped, tmp_path):
    X, path = images[0], tmp_path / "model.keras"
    flipped.model_.save(path)
    model = keras.saving.load_model(path)
    np.testing.assert_allclose(
        model.predict(X, verbose=0), flipped.predict_proba(X), rtol=1e-4, atol=1e-6
    )
    modules = {module.partition(".")[0] for module in modules_in(model.get_config())}
    assert modules == {"keras"}


# --- What is stored -------------------------------------------------------------------------------


def test_pickles_from_before_the_parameter_predict_as_they_did(images, fitted):
    state = fitted.__getstate__()
    del state["test_time_flip"], state["_network"]["test_time_flip"]
    state["_fashioncnn_version"] = "0.0.1"
    clf = FashionCNNClassifier.__new__(FashionCNNClassifier)
    with pytest.warns(UserWarning, match=r"fashioncnn 0\.0\.1"):
        clf.__setstate__(state)
    assert clf.test_time_flip is False
    np.testing.assert_array_equal(clf.predict_proba(images[0]), fitted.predict_proba(images[0]))


def test_a_pickle_averages_whatever_the_parameter_says_now(images, small):
    X, y = images
    clf = small(epochs=1, test_time_flip=np.True_).fit(X, y)
    again = pickle.loads(pickle.dumps(clf.set_params(test_time_flip=False)))
    assert again.test_time_flip is False
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))
    assert_rows_agree(again.decision_function(X), again.decision_function(mirrored(X)))


# --- The warning ----------------------------------------------------------------------------------


@pytest.mark.parametrize("augment", [None, "shift", {"erase": 0.1}, {"flip": None}])
def test_it_warns_where_training_sees_no_mirror_images(images, small, augment):
    with pytest.warns(UserWarning, match="augment has no flip.*use augment='flip' or"):
        small(epochs=1, test_time_flip=True, augment=augment).fit(*images)


@pytest.mark.parametrize(
    "params",
    [
        {"test_time_flip": True, "augment": "flip_shift"},
        {"test_time_flip": True, "augment": {"flip": "random"}},
        {"test_time_flip": False},
    ],
)
def test_it_warns_nowhere_else(images, small, params):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small(epochs=1, **params).fit(*images)
