# SPDX-License-Identifier: BSD-3-Clause
"""A network with batch normalisation predicts as well as it trained, however few its steps were."""

import keras
import numpy as np
import pytest
from keras.callbacks import Callback, EarlyStopping

from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample


def n_batches(clf):
    return clf._network.checkpoint.n_batches


@pytest.fixture
def normalized(small):
    """Give a function that makes an unfitted classifier with batch normalisation."""

    def make(**params):
        return small(**{"batch_normalization": True, "epochs": 4} | params)

    return make


@pytest.mark.parametrize("seed", range(3))
def test_few_steps_predict_as_they_trained(images, seed):
    X, y = images
    clf = FashionCNNClassifier(
        ((8, 8), 16),
        (8,),
        batch_normalization=True,
        global_pooling="avg",
        conv_dropout=0,
        dense_dropout=0,
        epochs=6,
        batch_size=32,
        learning_rate=0.01,
        random_state=seed,
    ).fit(X, y, X_val=X, y_val=y)
    assert clf.history_["accuracy"][-1] > 0.9
    assert clf.score(X, y) > 0.9
    assert clf.history_["val_accuracy"][-1] == clf.score(X, y)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "params", "least"),
    [
        (300, {"conv_stacks": (16, 32, 64), "padding": "same"}, 0.6),  # .70; with Keras' .45
        (129, {"conv_stacks": (16, 32, 64), "padding": "same"}, 0.5),  # .60 and .40
        (513, {"conv_stacks": (16, 32), "global_pooling": "avg"}, 0.4),  # .48 and .29
    ],
)
def test_small_data_of_real_images(n, params, least):
    X, y = load_fashion_mnist_sample("train")
    X_test, y_test = load_fashion_mnist_sample("test")
    scores = [
        FashionCNNClassifier(
            batch_normalization=True, learning_rate=0.003, random_state=seed, **params
        )
        .fit(X[:n], y[:n])
        .score(X_test, y_test)
        for seed in range(4)
    ]
    assert np.mean(scores) > least


def test_one_batch_gives_its_own_statistics(images, normalized):
    """Where weights hardly change, the moving averages are those of the images."""
    X, y = images
    settings = {"epochs": 5, "batch_size": 30, "learning_rate": 1e-30}
    whole = normalized(**settings | {"batch_size": 90}).fit(X, y)
    parts = normalized(**settings).fit(X, y)
    pooled = keras.Model(parts.model_.input, parts.model_.get_layer("stack1_pool").output)
    values = np.asarray(pooled(X[..., np.newaxis]))
    mean, variance = values.mean(axis=(0, 1, 2)), values.var(axis=(0, 1, 2))
    for clf, tolerance in ((whole, 1e-4), (parts, 0.05)):
        ours = clf._network.weights
        np.testing.assert_allclose(ours["stack1_norm1/moving_mean"], mean, atol=tolerance)
        np.testing.assert_allclose(ours["stack1_norm1/moving_variance"], variance, rtol=tolerance)


@pytest.mark.parametrize(("rows", "n_steps"), [(90, 6), (83, 6), (82, 5), (7, 1)])
def test_a_small_rest_is_no_step(images, normalized, rows, n_steps):
    class Count(Callback):
        def on_train_begin(self, logs=None):
            self.steps = []

        def on_train_batch_end(self, batch, logs=None):
            self.steps.append(batch)

    X, y = images
    clf = normalized(epochs=2, callbacks=Count()).fit(X[:rows], y[:rows])
    assert clf.callbacks_[0].steps == [*range(n_steps)] * 2
    assert clf.callbacks_[0].params["steps"] == n_steps
    assert clf._network.checkpoint.n_steps == 2 * n_steps
    assert n_batches(clf) == pytest.approx(2 * max(rows / 16, 1))
    plain = normalized(epochs=2).fit(X[:rows], y[:rows])  # several steps in a call
    assert plain.history_ == clf.history_
    np.testing.assert_array_equal(plain.predict_proba(X), clf.predict_proba(X))


def test_restored_weights_have_their_own_number_of_batches(images, normalized):
    settings = {"early_stopping": True, "tol": 99.0, "n_iter_no_change": 2, "warm_start": True}
    clf = normalized(**settings).fit(*images)  # the first epoch stays the best
    assert (clf.n_iter_, clf.best_epoch_) == (3, 1)
    assert n_batches(clf) == pytest.approx(81 / 16)
    clf.set_params(tol=0.0, early_stopping=False, validation_fraction=0.1, epochs=2).fit(*images)
    assert n_batches(clf) == pytest.approx(3 * 81 / 16)


def test_another_optimizer_keeps_the_number_of_batches(images, normalized):
    clf = normalized(warm_start=True).fit(*images)
    clf.set_params(optimizer="sgd").fit(*images)
    assert clf._network.checkpoint.iterations == 4 * 6
    assert n_batches(clf) == pytest.approx(8 * 90 / 16)
    clf.set_params(warm_start=False).fit(*images)
    assert n_batches(clf) == pytest.approx(4 * 90 / 16)


def test_a_callback_that_sets_weights_leaves_the_number_of_batches(images, normalized):
    stopping = EarlyStopping("loss", patience=1, min_delta=99.0, restore_best_weights=True)
    clf = normalized(callbacks=stopping).fit(*images)
    assert clf.n_iter_ == 2
    assert clf.callbacks_[0].best_epoch == 0
    assert n_batches(clf) == pytest.approx(2 * 90 / 16)


@pytest.mark.parametrize("iterations", [-5, 0, 1000])
def test_the_optimizers_count_does_not_matter(images, normalized, iterations):
    class Set(Callback):
        def on_train_begin(self, logs=None):
            self.model.optimizer.iterations.assign(iterations)

    settings = {"warm_start": True, "optimizer": "sgd"}  # whose steps are all alike
    clf, plain = normalized(**settings).fit(*images), normalized(**settings).fit(*images)
    clf.set_params(callbacks=Set()).fit(*images)
    plain.fit(*images)
    assert clf._network.checkpoint.iterations == iterations + 4 * 6
    assert n_batches(clf) == n_batches(plain)
    assert clf.history_ == plain.history_
    np.testing.assert_array_equal(clf.predict_proba(images[0]), plain.predict_proba(images[0]))


def test_pieces_count_as_batches(images, normalized):
    X, y = images
    clf = normalized()
    for rows in (slice(0, 7), slice(7, 27), slice(27, 60), slice(60, 90)):
        clf.partial_fit(X[rows], y[rows], classes=np.unique(y))
    assert n_batches(clf) == pytest.approx(1 + 20 / 16 + 33 / 16 + 30 / 16)
