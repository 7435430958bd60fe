# SPDX-License-Identifier: BSD-3-Clause
"""Training that goes on: `warm_start` and `partial_fit`."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, learning_curve
from sklearn.utils._param_validation import InvalidParameterError

from fashioncnn import FashionCNNClassifier, PixelRangeWarning, load_fashion_mnist_sample


def assert_same(one, other, X):
    assert one.n_iter_ == other.n_iter_
    assert one.best_epoch_ == other.best_epoch_
    assert one.history_ == other.history_
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"batch_normalization": True, "optimizer": "sgd"},
        {"optimizer": "rmsprop", "validation_fraction": 0.2, "weight_decay": 0.1},
        {"optimizer": "muon", "batch_normalization": True},
        {"optimizer": "adamw", "class_weight": "balanced", "label_smoothing": 0.1},
    ],
    ids=str,
)
def test_a_warm_start_goes_on_as_if_it_had_never_stopped(images, small, params):
    whole = small(epochs=6, **params).fit(*images)
    parts = small(epochs=2, warm_start=True, **params).fit(*images)
    parts.fit(*images).set_params(epochs=1).fit(*images).fit(*images)
    assert_same(parts, whole, images[0])


@pytest.mark.parametrize("is_normalized", [False, True])
def test_partial_fits_go_on_as_epochs_do(images, small, is_normalized):
    X, y = images
    clf = small(batch_normalization=is_normalized)
    for _ in range(3):
        clf.partial_fit(X, y, classes=["up", "right", "left"])
    assert_same(clf, small(epochs=3, batch_normalization=is_normalized).fit(X, y), X)
    # from a fit as well, and after it with the moments that it kept
    other = small(epochs=2, warm_start=True, batch_normalization=is_normalized)
    other.fit(X, y).partial_fit(X, y)
    assert_same(other, clf, X)


def test_moments_are_kept_where_they_are_needed(images, small):
    X, y = images
    clf = small(epochs=1).fit(X, y)
    assert clf._network.checkpoint.slots is None
    without = len(pickle.dumps(clf))
    warm = small(epochs=1, warm_start=True).fit(X, y)
    slots = warm._network.checkpoint.slots
    assert {type(slot) for pair in slots.values() for slot in pair} == {np.ndarray}
    weights = sum(w.nbytes for w in warm._network.weights.values())
    assert len(pickle.dumps(warm)) > without + 2 * weights  # Adam has two moments
    assert clf.partial_fit(X, y)._network.checkpoint.slots is not None
    assert clf.fit(X, y)._network.checkpoint.slots is None


def test_the_schedule_starts_again(images, small):
    clf = small(epochs=3, warm_start=True, learning_rate_schedule="cosine").fit(*images)
    once = list(clf.history_["learning_rate"])
    assert clf.fit(*images).history_["learning_rate"] == once + once
    rate = small(learning_rate_schedule="one_cycle").partial_fit(*images, ["left", "right", "up"])
    assert rate.history_["learning_rate"] == [0.01]


def test_without_warm_start_a_fit_is_new(images, small):
    clf = small(epochs=1).fit(*images)
    assert_same(clf.partial_fit(*images).fit(*images), small(epochs=1).fit(*images), images[0])
    assert clf.n_iter_ == 1


def test_a_clone_is_new(images, small):
    clf = small(epochs=1, warm_start=True).fit(*images).fit(*images)
    assert_same(clone(clf).fit(*images), small(epochs=1).fit(*images), images[0])


def test_another_optimizer_starts_with_moments_of_its_own(images, small):
    X, y = images
    clf = small(epochs=1, warm_start=True).fit(X, y)
    before = pickle.loads(pickle.dumps(clf))
    clf.set_params(optimizer="sgd").fit(X, y)
    assert clf._network.checkpoint.iterations == 6
    assert clf.n_iter_ == 2
    # "adamw" is "adam"
    one, other = before.set_params(optimizer="adamw").fit(X, y), small(epochs=2).fit(X, y)
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_rates_batches_and_dropout_may_change(images, small):
    clf = small(epochs=1, warm_start=True).fit(*images)
    changes = {"learning_rate": 0.002, "batch_size": 30, "weight_decay": 0.1, "epochs": 2}
    clf.set_params(**changes, conv_dropout=0, dense_dropout=0.5, label_smoothing=0.1).fit(*images)
    assert clf.history_["learning_rate"] == [0.01, 0.002, 0.002]
    assert clf.n_iter_ == 3


def test_more_data_of_the_same_kind(images, small):
    X, y = images
    clf = small(epochs=2, warm_start=True).fit(X[:45], y[:45])
    first = log_loss(y, clf.predict_proba(X))
    clf.set_params(epochs=10).fit(X[45:], y[45:])
    assert log_loss(y, clf.predict_proba(X)) < first
    assert clf._network.pixel_range.high == X.max()


@pytest.mark.parametrize("scaling", ["standardize", "unit"])
def test_the_scaling_of_the_first_fit_stays(images, small, scaling):
    X, y = images
    clf = small(epochs=1, warm_start=True, scaling=scaling).fit(X[:45], y[:45])
    first = clf._network.scaling
    darker = X[45:].astype(np.uint16) // 2  # which alone would be scaled otherwise
    assert clf.fit(darker, y[45:])._network.scaling == first
    assert clf.partial_fit(darker, y[45:])._network.scaling == first
    assert clf.set_params(warm_start=False).fit(darker, y[45:])._network.scaling != first


@pytest.mark.parametrize(
    ("params", "data", "message"),
    [
        ({}, {"y": "two classes"}, r"warm_start can only be used where `y` has the same classes"),
        ({}, {"y": "numbers"}, r"Previously got \['left', 'right', 'up'\], `y` has \[0, 1, 2\]"),
        ({}, {"X": "larger"}, r"X has images of shape \(7, 6, 1\), but .* expecting \(6, 6, 1\)"),
        ({}, {"X": "flat"}, "X has 30 features, but FashionCNNClassifier is expecting 36 features"),
        ({"conv_stacks": (5,)}, {}, r"conv_stacks was \(\(4,\),\) and is \(\(5,\),\)"),
        ({"kernel_size": 2, "padding": "same"}, {}, "kernel_size was .*; padding was 'valid' and"),
        ({"scaling": "unit"}, {}, "scaling was 'standardize' and is 'unit'"),
        ({"image_shape": (4, 9)}, {}, r"image_shape=\(4, 9\), but training goes on with images of"),
        ({"learning_rate": 1e30}, {}, "Training diverged"),
    ],
    ids=str,
)
def test_what_does_not_go_on_is_refused_and_changes_nothing(images, small, params, data, message):
    X, y = images
    choices = {
        "two classes": np.where(y == "up", "left", y),
        "numbers": np.arange(90) % 3,
        "larger": np.zeros((90, 7, 6)),
        "flat": np.zeros((90, 30)),
    }
    clf = small(epochs=1, warm_start=True).fit(X, y).set_params(**params)
    attributes = dict(vars(clf))
    with pytest.raises(ValueError, match=message):
        clf.fit(choices.get(data.get("X"), X), choices.get(data.get("y"), y))
    assert vars(clf).keys() == attributes.keys()
    assert all(vars(clf)[name] is value for name, value in attributes.items())


def test_the_remedies_of_what_does_not_go_on_do(images, small):
    X, y = images
    clf = small(epochs=1, warm_start=True).fit(X, y)
    anew = r"call set_params\(warm_start=False\) before fit, or partial_fit of a clone\.$"
    numbers = np.arange(90) % 3
    with pytest.raises(ValueError, match=anew):
        clf.fit(X, numbers)
    for change in ({"dense_units": 5}, {"image_shape": (4, 9)}):
        changed = clone(clf).fit(X, y).set_params(**change)
        for call in (changed.fit, changed.partial_fit):
            with pytest.raises(ValueError, match="[Ss]et (it|them) back. To train .*" + anew):
                call(X, y)
    with pytest.raises(ValueError, match=r"Take a new classifier, as sklearn\.base\.clone"):
        clf.partial_fit(X, numbers)
    assert clone(clf).partial_fit(X, numbers, classes=[0, 1, 2]).classes_.tolist() == [0, 1, 2]
    assert clf.set_params(warm_start=False).fit(X, numbers).classes_.tolist() == [0, 1, 2]


def test_pixels_on_another_scale_are_told(images, small):
    X, y = images
    clf = small(epochs=1, warm_start=True).fit(X, y)
    with pytest.warns(PixelRangeWarning, match="X has values within"):
        clf.fit(X / 255, y)
    with warnings.catch_warnings():  # which are now known
        warnings.simplefilter("error")
        clf.partial_fit(X, y)


def test_names_of_columns_stay(images, small):
    X, y = images
    frame = pd.DataFrame(X.reshape(90, 36)).add_prefix("pixel")
    clf = small(epochs=1, warm_start=True).fit(frame, y).fit(frame, y).partial_fit(frame, y)
    assert clf.feature_names_in_[0] == "pixel0"
    for go_on in (clf.fit, clf.partial_fit):
        with pytest.raises(ValueError, match="feature names should match"):
            go_on(frame[frame.columns[::-1]], y)


def test_histories_are_of_one_length(images, small):
    X, y = images
    clf = small(epochs=1, warm_start=True).fit(X, y)
    clf.set_params(validation_fraction=0.2).fit(X, y).partial_fit(X, y)
    assert {len(values) for values in clf.history_.values()} == {3}
    assert np.isnan(clf.history_["val_loss"]).tolist() == [True, False, True]
    assert not np.isnan(clf.history_["loss"]).any()


def test_an_early_stopped_training_goes_on_from_its_best(images, small):
    X, y = images
    settings = {"early_stopping": True, "n_iter_no_change": 2, "warm_start": True}
    clf = small(epochs=40, learning_rate=0.03, **settings).fit(X, y)
    best, n_iter = clf.best_epoch_, clf.n_iter_
    assert best < n_iter < 40
    checkpoint = clf._network.checkpoint
    assert checkpoint.iterations == best * 6  # 81 images in batches of 16
    assert checkpoint.n_steps == n_iter * 6

    # no step of nothing can be better: the weights and the best epoch stay
    before = clf.predict_proba(X)
    clf.set_params(learning_rate=1e-30, epochs=9).fit(X, y)
    assert (clf.best_epoch_, clf.n_iter_) == (best, n_iter + 2)
    np.testing.assert_array_equal(clf.predict_proba(X), before)
    # and what is better than that best is kept
    clf.set_params(learning_rate=0.003, tol=0.0, n_iter_no_change=9).fit(X, y)
    assert clf.best_epoch_ > n_iter + 2
    assert clf.history_["val_loss"][clf.best_epoch_ - 1] < clf.history_["val_loss"][best - 1]


CLASSES = ["left", "right", "up"]


def test_pieces_teach_what_the_whole_teaches():
    X, y = load_fashion_mnist_sample("train", as_names=True)
    X_test, y_test = load_fashion_mnist_sample("test", as_names=True)
    clf = FashionCNNClassifier((16,), (32,), random_state=0, learning_rate=3e-3)
    for _ in range(4):
        for start in range(0, 3000, 500):
            clf.partial_fit(X[start : start + 500], y[start : start + 500], classes=np.unique(y))
    assert clf.n_iter_ == 24
    assert clf.score(X_test, y_test) > 0.8


def test_a_piece_may_hold_one_class_or_one_image(images, small):
    X, y = images
    clf = small().partial_fit(X[y == "up"], y[y == "up"], classes=CLASSES)
    clf.partial_fit(X[:1], y[:1]).partial_fit(
        X[:1, :, :, np.newaxis], [y[0]], classes=CLASSES[::-1]
    )
    assert clf.classes_.tolist() == CLASSES
    assert clf.predict_proba(X).shape == (90, 3)
    assert clf.n_iter_ == 3


def test_a_learning_curve_by_pieces_equals_a_loop_by_hand(images, small):
    X, y = images
    folds = StratifiedKFold(3)
    _, _, scores = learning_curve(
        small(), X, y, cv=folds, train_sizes=[30, 60], exploit_incremental_learning=True
    )
    for i, (rows, held_out) in enumerate(folds.split(X, y)):
        clf = small()
        for j, piece in enumerate((rows[:30], rows[30:])):
            clf.partial_fit(X[piece], y[piece], classes=CLASSES)
            assert scores[j, i] == clf.score(X[held_out], y[held_out])


def test_weights_are_taken_as_they_are(images, small):
    X, y = images
    half = np.full(90, 0.5)
    settings = {"optimizer": "sgd", "batch_size": 90, "dense_dropout": 0, "conv_dropout": 0}
    light = small(**settings, learning_rate=0.1).partial_fit(X, y, CLASSES, half)
    slow = small(**settings, learning_rate=0.05).partial_fit(X, y, CLASSES)
    np.testing.assert_allclose(light.predict_proba(X), slow.predict_proba(X), rtol=1e-4)
    by_class = small(class_weight={"up": 0.25}).partial_fit(X, y, CLASSES, half)
    by_sample = small().partial_fit(X, y, CLASSES, np.where(y == "up", 0.125, 0.5))
    np.testing.assert_array_equal(by_class.predict_proba(X), by_sample.predict_proba(X))


def test_early_stopping_hides_partial_fit(images, small):
    clf = small(early_stopping=True)
    assert hasattr(small(), "partial_fit")
    assert not hasattr(clf, "partial_fit")
    with pytest.raises(AttributeError) as error:
        clf.partial_fit(*images)
    assert "early_stopping=False" in str(error.value.__cause__)


@pytest.mark.parametrize(
    ("params", "arguments", "message"),
    [
        ({}, {}, "classes must be passed on the first call to partial_fit"),
        ({}, {"classes": ["up"]}, "at least 2 classes in classes; got 1 class"),
        ({}, {"classes": ["left", "up"]}, r"`y` has classes not in `self.classes_`: \['right'\]"),
        ({}, {"classes": [0, 1, 2]}, r"`y` has classes not in `self.classes_`"),
        ({}, {"classes": np.eye(3)}, "classes must be a sequence of labels.*ndarray of 2 dim"),
        pytest.param(
            {},
            {"classes": {"up", "left"}},
            "classes must be a sequence of labels.*Got set of 0",
            id="a set of classes",  # whose text is another in each process
        ),
        ({}, {"classes": ["up", None]}, "Input classes contains NaN: row 1 is None"),
        ({}, {"classes": [0.0, np.nan]}, "Input classes contains NaN"),
        ({}, {"classes": CLASSES, "y": np.arange(90)}, r"26, \.\.\. and 70 more\]"),
        ({"class_weight": "balanced"}, {"classes": CLASSES}, "class_weight='balanced' needs all"),
        ({}, {"classes": CLASSES, "sample_weight": [1e39] * 90}, "too large for dtype.'float32'"),
        ({}, {"classes": CLASSES, "sample_weight": [-1] * 90}, "Negative values in data passed"),
        ({"epochs": 0}, {"classes": CLASSES}, "The 'epochs' parameter"),
        ({}, {"classes": CLASSES, "y": np.eye(90)}, "y should be a 1d array"),
        ({}, {"classes": CLASSES, "X": None}, "X is None"),
    ],
    ids=str,
)
def test_bad_pieces_are_refused_and_change_nothing(images, small, params, arguments, message):
    X, y = images
    clf = small(**params)
    attributes = dict(vars(clf))
    with pytest.raises(ValueError, match=message):
        clf.partial_fit(**{"X": X, "y": y, **arguments})
    assert vars(clf) == attributes


def test_every_piece_is_checked(images, small):
    X, y = images
    clf = small().partial_fit(X, y, CLASSES)
    with pytest.raises(ValueError, match="not the same as on last call to partial_fit"):
        clf.partial_fit(X, y, classes=["left", "up"])
    with pytest.raises(ValueError, match=r"`y` has classes not in `self.classes_`: \['down'\]"):
        clf.partial_fit(X[:2], ["up", "down"])
    with pytest.raises(ValueError, match="is expecting 36 features"):
        clf.partial_fit(X[:, :5].reshape(90, 30), y)
    with pytest.raises(InvalidParameterError, match="'label_smoothing' parameter"):
        clf.set_params(label_smoothing="0.1").partial_fit(X, y)
    assert clf.n_iter_ == 1
