# SPDX-License-Identifier: BSD-3-Clause
"""Images of other kinds than Fashion-MNIST's: each is learnt, judged on images held out.

Comments say what the seeds 0 to 4 reached.
"""

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_sample_images
from sklearn.metrics import balanced_accuracy_score, recall_score

from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample


def of_classes(*names):
    """Give the packaged images of some classes: training and test images with their names."""
    parts = []
    for part in ("train", "test"):
        X, y = load_fashion_mnist_sample(part, as_names=True)
        parts += [X[np.isin(y, names)], y[np.isin(y, names)]] if names else [X, y]
    return parts


def enlarged(images, factor):
    return np.kron(images, np.ones((1, factor, factor), np.uint8))


@pytest.mark.parametrize("flat", [False, True])
def test_digits(flat):
    digits = load_digits()
    X, y = digits.data if flat else digits.images, digits.target
    clf = FashionCNNClassifier(random_state=0).fit(X[:1300], y[:1300])
    assert clf.image_shape_ == (8, 8, 1)
    assert clf.score(X[1300:], y[1300:]) > 0.88  # 0.92 to 0.93


def colour_patches(size=16):
    """Cut two photographs into squares; the right thirds are for testing."""
    X, y, is_test = [], [], []
    for name, picture in zip(["china", "flower"], load_sample_images().images, strict=True):
        height, width = picture.shape[0] // size, picture.shape[1] // size
        squares = picture[: height * size, : width * size].reshape(height, size, width, size, 3)
        X.append(squares.swapaxes(1, 2).reshape(-1, size, size, 3))
        y += [name] * (height * width)
        is_test += [column >= width * 2 // 3 for column in range(width)] * height
    X, y, is_test = np.concatenate(X), np.array(y), np.array(is_test)
    return X[~is_test], y[~is_test], X[is_test], y[is_test]


def test_colour_patches_tell_their_picture():
    X, y, X_test, y_test = colour_patches()
    clf = FashionCNNClassifier(epochs=4, random_state=0).fit(X, y)
    assert clf.image_shape_ == (16, 16, 3)
    assert clf.score(X_test, y_test) > 0.9  # 0.96 to 0.99


@pytest.mark.slow
def test_channels_of_colour_differ():
    X, _, X_test, _ = colour_patches()
    swapped = np.concatenate([X, X[..., ::-1]]), np.repeat(["rgb", "bgr"], len(X))
    clf = FashionCNNClassifier((8, 16), epochs=20, random_state=0).fit(*swapped)
    test = np.concatenate([X_test, X_test[..., ::-1]]), np.repeat(["rgb", "bgr"], len(X_test))
    assert clf.score(*test) > 0.8  # 0.88 to 0.95


DEEP = {
    "conv_stacks": (8, 16, 32),
    "dense_units": (),
    "padding": "same",
    "batch_normalization": True,
    "global_pooling": "avg",
    "conv_dropout": 0.0,
    "learning_rate": 0.02,
    "learning_rate_schedule": "one_cycle",
}


@pytest.mark.parametrize(
    ("factor", "n", "params", "least"),  # the last: 0.74 to 0.78
    [
        (2, 1000, {"conv_stacks": (8, 16), "epochs": 5, "batch_size": 32}, 0.7),  # 0.78 to 0.82
        pytest.param(
            *(2, 1000, {**DEEP, "epochs": 8, "batch_size": 16}, 0.7),  # 0.80 to 0.82
            marks=pytest.mark.slow,
        ),
        pytest.param(
            4,
            500,
            {"conv_stacks": (8, 16), "pool_size": 4, "epochs": 6, "batch_size": 32},
            0.65,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["56", "56 deep", "112"],
)
def test_larger_images(factor, n, params, least):
    X, y, X_test, y_test = of_classes()
    clf = FashionCNNClassifier(**params, random_state=0).fit(enlarged(X[:n], factor), y[:n])
    assert clf.image_shape_ == (28 * factor, 28 * factor, 1)
    assert clf.score(enlarged(X_test[:500], factor), y_test[:500]) > least


@pytest.mark.slow
@pytest.mark.parametrize("axis", [1, 2], ids=["one pixel high", "one pixel wide"])
def test_strips(axis):
    X, y, X_test, y_test = of_classes()
    clf = FashionCNNClassifier(random_state=0).fit(X.mean(axis=axis, keepdims=True), y)
    assert clf.image_shape_ == ((1, 28, 1) if axis == 1 else (28, 1, 1))
    assert (
        clf.score(X_test.mean(axis=axis, keepdims=True), y_test) > 0.65
    )  # 0.76 to 0.78, 0.71 to 0.73


def test_flat_strips():
    X, y, X_test, y_test = of_classes()
    rows, rows_test = X.mean(axis=2)[:, 1:], X_test.mean(axis=2)[:, 1:]
    clf = FashionCNNClassifier(random_state=0).fit(rows, y)
    assert clf.image_shape_ == (1, 27, 1)
    assert clf.score(rows_test, y_test) > 0.63  # 0.69 to 0.71


def test_two_classes():
    X, y, X_test, y_test = of_classes("Sandal", "Sneaker")
    clf = FashionCNNClassifier(epochs=5, random_state=0).fit(X, y)
    assert clf.score(X_test, y_test) > 0.9  # 0.95 to 0.97
    decision = clf.decision_function(X_test)
    assert decision.shape == (len(X_test),)
    np.testing.assert_array_equal(clf.predict(X_test), clf.classes_[(decision > 0).astype(int)])


def turned(X, y):
    """Turn each image by one of four angles or invert it: fifty classes of ten."""
    turns = np.arange(len(X)) // 7 % 5
    images = [255 - x if turn == 4 else np.rot90(x, turn) for x, turn in zip(X, turns, strict=True)]
    return np.array(images), np.char.add(y, np.char.mod(" %d", turns))


def test_fifty_classes():
    X, y, X_test, y_test = of_classes()
    clf = FashionCNNClassifier((16, 32), epochs=4, learning_rate=0.003, random_state=0)
    clf.fit(*turned(X, y))
    assert len(clf.classes_) == 50
    assert clf.score(*turned(X_test, y_test)) > 0.6  # 0.65 to 0.70


def test_imbalanced_classes():
    X, y, X_test, y_test = of_classes("Coat", "Shirt")
    rows = np.sort(np.r_[np.flatnonzero(y == "Coat"), np.flatnonzero(y == "Shirt")[:15]])
    recalls, scores = {}, {}
    for class_weight in (None, "balanced"):
        clf = FashionCNNClassifier((16,), class_weight=class_weight, random_state=0)
        predicted = clf.fit(X[rows], y[rows]).predict(X_test)
        recalls[class_weight] = recall_score(y_test, predicted, pos_label="Shirt")
        scores[class_weight] = balanced_accuracy_score(y_test, predicted)
    assert recalls["balanced"] > recalls[None] + 0.2  # 0.45 to 0.67, 0.00 to 0.10
    assert scores["balanced"] > 0.65  # 0.72 to 0.79
