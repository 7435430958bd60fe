# SPDX-License-Identifier: BSD-3-Clause
"""The estimator as its users see it: labels, shapes, outputs, copies, failures, real images."""

import copy
import dataclasses
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import cross_val_score
from sklearn.utils.validation import check_is_fitted

from fashioncnn import FashionCNNClassifier, PixelRangeWarning, load_fashion_mnist_sample

LABELS = {
    "str": ["no", "yes", "maybe"],
    "object": np.array(["no", "yes", "maybe"], dtype=object),
    "negative": [-1, 0, 7],
    "uint64": np.array([2**63 + 1, 2**63 + 2, 3], dtype=np.uint64),
    "int8": np.array([1, 2, 3], dtype=np.int8),
    "float": [0.0, 1.0, 5.0],
    "category": pd.Categorical(["no", "yes", "maybe"], categories=["no", "yes", "maybe", "never"]),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_come_back_as_they_were(images, small, kind):
    X, _ = images
    labels = pd.Series(LABELS[kind]) if kind == "category" else np.asarray(LABELS[kind])
    y = labels[np.arange(90) % 3]
    clf = small(epochs=1).fit(X, y.reset_index(drop=True) if kind == "category" else y)
    np.testing.assert_array_equal(clf.classes_, np.unique(np.asarray(labels)))
    predicted = clf.predict(X)
    assert set(predicted) <= set(labels)
    assert predicted.dtype == clf.classes_.dtype
    if kind != "category":
        assert predicted.dtype == labels.dtype


def test_bool_labels(images, small):
    X, y = images
    clf = small().fit(X, y == "up")
    assert clf.predict(X).dtype == bool
    assert clf.score(X, y == "up") > 0.9


def test_column_vector_of_labels_warns(images, small):
    X, y = images
    with pytest.warns(DataConversionWarning, match="column-vector y"):
        clf = small().fit(X, y.reshape(-1, 1))
    np.testing.assert_array_equal(clf.predict_proba(X), small().fit(X, y).predict_proba(X))


def test_it_learns(images, fitted):
    X, y = images
    assert fitted.score(X, y) > 0.95


def test_outputs_derive_from_the_same_logits(images, fitted):
    X, y = images
    probabilities = fitted.predict_proba(X)
    assert probabilities.shape == (90, 3)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[probabilities.argmax(axis=1)])
    log_probabilities = fitted.predict_log_proba(X)
    assert log_probabilities.dtype == np.float32
    np.testing.assert_allclose(np.exp(log_probabilities), probabilities, rtol=1e-5)
    logits = fitted.decision_function(X)
    assert (logits.shape, logits.dtype) == ((90, 3), np.float32)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, probabilities, rtol=1e-4)
    weights = np.arange(90)
    assert fitted.score(X, y, weights) == accuracy_score(
        y, fitted.predict(X), sample_weight=weights
    )


def test_one_image(images, fitted):
    X, _ = images
    assert fitted.predict_proba(X[:1]).shape == (1, 3)
    assert fitted.predict(X[:1]).shape == (1,)


def test_decision_of_two_classes(images, small):
    X, y = images
    clf = small().fit(X, y == "up")
    decision = clf.decision_function(X)
    assert decision.shape == (90,)
    log_probabilities = clf.predict_log_proba(X)
    np.testing.assert_allclose(
        decision, log_probabilities[:, 1] - log_probabilities[:, 0], rtol=1e-4, atol=1e-5
    )
    np.testing.assert_array_equal(decision > 0, clf.predict(X))


def test_ties_go_to_the_first_class(images, small):
    clf = small(epochs=1).fit(*images)
    network = copy.deepcopy(clf._network)
    for value in network.weights.values():
        value[...] = 0
    clf._network = network
    assert (clf.predict(images[0]) == clf.classes_[0]).all()


def test_fitted_attributes(images, fitted):
    assert fitted.image_shape_ == (6, 6, 1)
    assert fitted.n_features_in_ == 36
    assert fitted.n_iter_ == 8
    assert fitted.classes_.tolist() == ["left", "right", "up"]
    assert not hasattr(fitted, "feature_names_in_")
    check_is_fitted(fitted)


@pytest.mark.parametrize(
    "change",
    [
        lambda X: X.reshape(90, 36),
        lambda X: X[..., np.newaxis],
        lambda X: X.astype(np.float64),
        lambda X: X.astype(np.int16),
        lambda X: np.asfortranarray(X),
        lambda X: X[:, ::-1].copy()[:, ::-1],
        lambda X: X.tolist(),
    ],
    ids=["flat", "channel", "float64", "int16", "fortran", "reversed", "list"],
)
def test_the_same_values_predict_the_same(images, fitted, change):
    X, _ = images
    np.testing.assert_array_equal(fitted.predict_proba(change(X)), fitted.predict_proba(X))


def test_flat_and_shaped_train_alike(images, small):
    X, y = images
    flat = small(image_shape=(6, 6)).fit(X.reshape(90, 36), y)
    np.testing.assert_array_equal(flat.predict_proba(X), small().fit(X, y).predict_proba(X))


@pytest.mark.parametrize(
    ("shape", "params", "image_shape"),
    [
        ((40, 3), {}, (1, 3, 1)),
        ((40, 1), {}, (1, 1, 1)),
        ((40, 1, 1), {}, (1, 1, 1)),
        ((40, 5, 2, 3), {}, (5, 2, 3)),
        ((40, 48), {"image_shape": (4, 4, 3)}, (4, 4, 3)),
        ((40, 2, 7), {"padding": "same", "batch_normalization": True}, (2, 7, 1)),
    ],
)
def test_shapes(small, shape, params, image_shape):
    y = np.arange(40) % 2
    X = np.random.default_rng(0).random(shape) / 5 + y.reshape(-1, *[1] * (len(shape) - 1))
    clf = small(**params, epochs=20).fit(X, y)
    assert clf.image_shape_ == image_shape
    assert clf.n_features_in_ == np.prod(shape[1:])
    assert clf.score(X, y) > 0.9


def test_data_frames(images, small):
    X, y = images
    frame = pd.DataFrame(X.reshape(90, 36), columns=[f"pixel{i}" for i in range(36)])
    clf = small(epochs=1).fit(frame, pd.Series(y))
    assert clf.feature_names_in_[0] == "pixel0"
    np.testing.assert_array_equal(
        clf.predict_proba(frame), small(epochs=1).fit(X, y).predict_proba(X)
    )
    with pytest.raises(ValueError, match="feature names should match"):
        clf.predict(frame[frame.columns[::-1]])
    assert not hasattr(clf.fit(X, y), "feature_names_in_")


def test_clone_keeps_parameters_only(fitted):
    other = clone(fitted)
    assert other.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError, match="This FashionCNNClassifier instance is not fitted"):
        other.predict([[0] * 36])
    assert not hasattr(other, "model_")


class FixedStacks(FashionCNNClassifier):
    """A subclass of fewer parameters, as scikit-learn's own estimators allow."""

    def __init__(self, *, epochs=1, random_state=None):
        super().__init__((4,), (8,), epochs=epochs, random_state=random_state)


def test_subclass_with_parameters_of_its_own(images, small):
    clf = clone(FixedStacks(random_state=0)).fit(*images)
    assert clf.get_params() == {"epochs": 1, "random_state": 0}
    same = FashionCNNClassifier((4,), (8,), epochs=1, random_state=0).fit(*images)
    np.testing.assert_array_equal(clf.predict_proba(images[0]), same.predict_proba(images[0]))


def test_input_is_not_changed(images, small):
    X, y = images[0].astype(np.float64), images[1].copy()
    weights = np.random.default_rng(0).random(90)
    before = [array.tobytes() for array in (X, y, weights)]
    small(epochs=1).fit(X, y, weights).predict(X)
    assert [array.tobytes() for array in (X, y, weights)] == before


def test_warnings_point_at_the_caller(images, small, monkeypatch):
    X, y = images
    monkeypatch.setattr("fashioncnn._inputs.architecture._MANY_PARAMETERS", 10)
    flat_colour = np.zeros((90, 3 * 64))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        small(epochs=1, class_weight={"down": 2}).fit(X, y)
        lonely = np.where(np.arange(90) == 5, "alone", y)
        small(epochs=1, validation_fraction=0.2).fit(X, lonely)
        small(epochs=1).fit(flat_colour, y)
        small(epochs=1).fit(X, y).predict(X / 255)
        small(epochs=1).fit(X, y, X_val=X / 255, y_val=y)
        cross_val_score(small(epochs=1, class_weight={"up": 1, "fold": 2}), X, y, cv=2)
    messages = [str(warning.message) for warning in caught]
    for part in (
        r"class_weight names labels that y lacks: ['down']",
        "parameters on images of shape (6, 6, 1), which take long to train and much memory",
        "dense1/kernel has 128 of them. Use global_pooling='avg'",
        "one member only, which stays in the training part: ['alone']",
        "look like flat images of shape (8, 8, 3)",
        "class_weight names labels that y lacks: ['fold']",
        "X has values within 0..0.9",
        "X_val has values within 0..0.9",
    ):
        assert any(part in message for message in messages), part
    assert {warning.filename for warning in caught} == {__file__}
    assert PixelRangeWarning in {warning.category for warning in caught}


def test_pixels_far_beyond_training_are_refused(images, small):
    X, y = images
    clf = small(epochs=1, scaling=None).fit(X / 255.0 - 0.5, y)
    network = copy.deepcopy(clf._network)
    for value in network.weights.values():
        value[...] = 1
    clf._network = network
    far_beyond = r"output is not finite.*far beyond those of training"
    with pytest.warns(PixelRangeWarning), pytest.raises(ValueError, match=far_beyond):
        clf.predict(np.full((2, 6, 6), 3e38))
    for value in network.weights.values():
        value[...] = 3e38
    clf._network = copy.deepcopy(network)
    with pytest.raises(ValueError, match=r"not finite.*Training has diverged.*as large as 3e\+38"):
        clf.predict(X / 255.0 - 0.5)
    with pytest.raises(ValueError, match=r"Training has diverged.*with a lower learning_rate\.$"):
        clf.predict(X / 255.0 - 1)  # a little beyond those of training
    with (
        pytest.warns(PixelRangeWarning),
        pytest.raises(ValueError, match="Training has diverged"),
    ):
        clf.predict(X / 2.55)  # a hundred times: no pixels that alone could do it
    compilation = network.compilation._replace(weight_decay=0.1)
    clf._network = dataclasses.replace(network, compilation=compilation)
    with pytest.raises(ValueError, match=r"with a lower learning_rate or weight_decay\.$"):
        clf.predict(X / 255.0 - 0.5)


@pytest.mark.slow  # the README's first example is the same on the default network
def test_real_images():
    X, y = load_fashion_mnist_sample("train", as_names=True)
    X_test, y_test = load_fashion_mnist_sample("test", as_names=True)
    clf = FashionCNNClassifier((16, 32), epochs=8, random_state=0).fit(X, y)
    assert clf.score(X_test, y_test) > 0.78  # 0.82 to 0.83 over seeds


def test_article_recipe_on_real_images():
    X, y = load_fashion_mnist_sample("train")
    clf = FashionCNNClassifier.from_recipe("article", epochs=2, random_state=0).fit(X, y)
    assert clf.history_["val_accuracy"][-1] > 0.7  # 0.77 to 0.79 over seeds
    assert clf.model_.count_params() == 1_199_882
