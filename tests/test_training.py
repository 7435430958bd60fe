# SPDX-License-Identifier: BSD-3-Clause
"""The training loop: the same steps as a loop by hand in Keras, and what it reports."""

import math
import os
import re
from contextlib import suppress
from itertools import chain
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras.callbacks import LambdaCallback
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.utils import compute_class_weight

from fashioncnn import FashionCNNClassifier
from fashioncnn._inputs.architecture import build_architecture
from fashioncnn._inputs.split import split_rows
from fashioncnn._network.batches import MOMENTUM
from fashioncnn._network.checkpoint import new_checkpoint, spawn_seeds
from fashioncnn._network.data import LabelledImages, TrainingSplit
from fashioncnn._network.fitted import Compilation, Network
from fashioncnn._tensorflow.layers import train_network
from fashioncnn._tensorflow.operations import TrainingMode
from fashioncnn._tensorflow.optimizers import new_keras_optimizer
from fashioncnn._tensorflow.prediction import Predictor
from fashioncnn._tensorflow.steps import (
    StepInputs,
    TrainingVariables,
    _batch_rows,
    cross_entropy,
    padded_batch_size,
)
from fashioncnn._training.callbacks import Callbacks
from fashioncnn._training.compiled_steps import CompiledSteps, _constant_inputs
from fashioncnn._training.feed import ImageFeed
from fashioncnn._training.loop import Training
from fashioncnn._training.progress import ProgressBar
from fashioncnn._training.settings import Settings, TrainingTask


@pytest.mark.parametrize("label_smoothing", [0, 0.1])
def test_loss_and_gradient_are_those_of_both_keras_losses(label_smoothing):
    random = np.random.default_rng(0)
    logits = tf.Variable(random.normal(size=(8, 5)).astype(np.float32))
    codes = random.integers(0, 5, 8).astype(np.int32)
    losses = {
        "ours": lambda: tf.reduce_mean(cross_entropy(logits, codes, label_smoothing)),
        "categorical": lambda: keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=label_smoothing
        )(np.eye(5)[codes], logits),
    }
    if not label_smoothing:  # which Keras' sparse loss does not have
        losses["sparse"] = lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True)(
            codes, logits
        )
    results = {}
    for name, loss in losses.items():
        with tf.GradientTape() as tape:
            value = loss()
        results[name] = value, tape.gradient(value, logits)
    for value, gradient in results.values():
        np.testing.assert_allclose(value, results["ours"][0], rtol=1e-6)
        np.testing.assert_allclose(gradient, results["ours"][1], atol=1e-7)


def keras_network(batch_normalization):
    convolution = [layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(2)]
    if batch_normalization:
        convolution = [
            layers.Conv2D(4, 3, use_bias=False),
            layers.MaxPooling2D(2),
            layers.BatchNormalization(),
            layers.Activation("relu"),
        ]
    head = [layers.Flatten(), layers.Dense(8, activation="relu"), layers.Dense(3)]
    return keras.Sequential([keras.Input((6, 6, 1)), *convolution, *head])


SETTINGS = Settings(
    optimizer="adam",
    learning_rate=0.01,
    learning_rate_schedule="constant",
    weight_decay=0.0,
    label_smoothing=0.0,
    epochs=1,
    batch_size=8,
    precision="float32",
    weight_averaging=0.0,
    min_steps=0,
    early_stopping=None,
    keep_slots=False,
    verbose=0,
    augmentation=None,
)


@pytest.mark.parametrize(
    ("optimizer", "batch_normalization", "schedule", "weight_decay", "n_rows"),
    [
        ("adam", False, "constant", 0.0, 35),
        ("adam", True, "cosine", 0.5, 35),
        ("adamw", False, "cosine", 0.5, 35),
        ("rmsprop", False, "constant", 0.5, 33),
        ("rmsprop", True, "constant", 0.0, 34),  # a small rest joins the batch before it
        ("sgd", False, "cosine", 0.5, 35),
        ("sgd", True, "constant", 0.5, 32),
    ],
)
def test_training_is_a_loop_of_keras_steps(
    images, optimizer, batch_normalization, schedule, weight_decay, n_rows
):
    X, y = images
    params = FashionCNNClassifier(
        (4,), (8,), conv_dropout=0, dense_dropout=0, batch_normalization=batch_normalization
    ).get_params()
    architecture = build_architecture(params, (6, 6, 1), 3)
    pixels = (X[:40, ..., np.newaxis] / 255).astype(np.float32)
    codes = np.unique(y[:40], return_inverse=True)[1].astype(np.int32)
    weights = np.random.default_rng(0).random(40).astype(np.float32) + 0.5
    rows = np.arange(3, 3 + n_rows)
    firsts = [0, 16, 32] if n_rows == 35 or not batch_normalization else [0, 16]
    settings = SETTINGS._replace(
        optimizer=optimizer,
        learning_rate_schedule=schedule,
        weight_decay=weight_decay,
        label_smoothing=0.1,
        epochs=2,
        batch_size=16,
    )
    start = new_checkpoint(architecture, 0)
    split = TrainingSplit(LabelledImages(pixels, codes, weights), rows, None)
    compilation = Compilation(optimizer, 0.01, weight_decay, "categorical_crossentropy")
    network = Network(architecture, None, compilation)
    training = Training(TrainingTask(network, start, split, settings), ())
    training.run()
    trained = training.result

    model = keras_network(batch_normalization)
    model.set_weights(list(start.weights.values()))
    normalizations = [layer for layer in model.layers if hasattr(layer, "moving_mean")]
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    n_steps = 2 * len(firsts)
    decay = keras.optimizers.schedules.CosineDecay(0.01, n_steps)
    rate = 0.01 if schedule == "constant" else decay
    keras_optimizer = new_keras_optimizer(compilation._replace(learning_rate=rate))
    # Few steps are sooner done than compiled.
    model.compile(keras_optimizer, loss, metrics=["accuracy"], run_eagerly=True)
    for epoch in range(2):
        order = np.random.default_rng([start.seeds.order, epoch]).permutation(rows)
        totals = np.zeros(2)
        for batch in np.split(order, firsts[1:]):
            for layer in normalizations:
                layer.momentum = MOMENTUM ** (len(batch) / 16)
            model.reset_metrics()
            loss_and_accuracy = model.train_on_batch(
                pixels[batch], np.eye(3)[codes[batch]], sample_weight=weights[batch]
            )
            totals += len(batch) * np.array(loss_and_accuracy)
        of_epoch = [trained.history[name][epoch] for name in ("loss", "accuracy")]
        assert of_epoch == pytest.approx(totals / n_rows, rel=1e-4)
    decay = MOMENTUM ** (2 * n_rows / 16)
    for layer in normalizations:  # ours have no bias towards the start
        layer.moving_mean.assign(layer.moving_mean / (1 - decay))
        layer.moving_variance.assign((layer.moving_variance - decay) / (1 - decay))
    for ours, theirs in zip(trained.weights.values(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_partial_batches_have_few_sizes():
    sizes = [padded_batch_size(n, 10**9) for n in range(1, 129)]
    octaves = [range(8, 16, 2), range(16, 32, 4), range(32, 64, 8), range(64, 129, 16)]
    assert sorted(set(sizes)) == list(chain(range(1, 8), *octaves))
    assert all(n <= size <= 1.25 * n for n, size in enumerate(sizes, start=1))
    assert [padded_batch_size(n, 9) for n in (0, 1, 8, 9)] == [0, 1, 8, 9]


@pytest.mark.parametrize(("n_rows", "padded"), [(98, 100), (198, 100), (105, 112), (212, 112)])
def test_a_last_batch_is_padded_to_a_whole_one_or_to_the_largest_joined_one(n_rows, padded):
    params = FashionCNNClassifier(batch_normalization=True).get_params()
    architecture = build_architecture(params, (6, 6, 1), 3)
    split = TrainingSplit(None, np.arange(n_rows), None)
    settings = SETTINGS._replace(batch_size=100)
    start = new_checkpoint(architecture, 0)
    task = TrainingTask(Network(architecture, None, None), start, split, settings)
    assert _constant_inputs(task)["padded_size"] == padded


@pytest.mark.parametrize(
    ("n", "n_rows", "size"), [(1, 1, 2), (3, 3, 4), (5, 6, 6), (2, 5, 3), (5, 6, 4)]
)
def test_padding_repeats_rows_and_marks_them(n, n_rows, size):
    inputs = StepInputs(*[None] * len(StepInputs._fields))
    inputs = inputs._replace(rows=tf.range(7, 7 + n), batch_size=size, padded_size=n_rows)
    inputs = inputs._replace(learning_rates=tf.zeros(1))
    rows, is_real = (tensor.numpy() for tensor in _batch_rows(inputs, 0))
    assert is_real.tolist() == [1] * n + [0] * (n_rows - n)
    assert rows.tolist() == [7 + place % n for place in range(n_rows)]


def probabilities(clf, images, **fit_params):
    return clf.fit(*images, **fit_params).predict_proba(images[0])


def test_both_losses_train_to_the_same_bits(images, small):
    settings = {"label_smoothing": 0.1, "class_weight": "balanced"}
    one = probabilities(small(loss="categorical_crossentropy", **settings), images)
    other = probabilities(small(loss="sparse_categorical_crossentropy", **settings), images)
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("name", "value"),
    [("feed._RESIDENT_BYTES", 0), ("loop._SECONDS_PER_CALL", 0), ("loop._SECONDS_PER_CALL", 9)],
)
def test_division_into_calls_changes_no_bit(images, small, monkeypatch, name, value):
    clf = small(epochs=3)
    before = probabilities(clf, images)
    history = clf.history_
    monkeypatch.setattr(f"fashioncnn._training.{name}", value)
    np.testing.assert_array_equal(probabilities(clf, images), before)
    assert clf.history_ == history


@pytest.mark.parametrize("dtype", [np.int16, np.float16, np.float64])
@pytest.mark.parametrize("most", [0, 2**30])
def test_casting_by_block_equals_casting_all(images, small, monkeypatch, dtype, most):
    X, y = (images[0] / 7).astype(dtype), images[1]
    expected = probabilities(small(epochs=2), (X.astype(np.float32), y))
    monkeypatch.setattr("fashioncnn._training.feed._RESIDENT_BYTES", most)
    np.testing.assert_array_equal(probabilities(small(epochs=2), (X, y)), expected)


@pytest.mark.parametrize("offset", [0, 1, 16])
def test_what_changes_images_in_a_fit_changes_nothing(images, small, offset):
    memory = np.empty(images[0].nbytes + 128, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    X = memory[start : start + images[0].nbytes].reshape(images[0].shape)
    X[:] = images[0]
    expected = probabilities(small(epochs=3), images)

    def spoil(epoch, logs):
        X[:] = 0

    spoiler = keras.callbacks.LambdaCallback(on_epoch_begin=spoil)
    clf = small(epochs=3, callbacks=spoiler).fit(X, images[1])
    np.testing.assert_array_equal(clf.predict_proba(images[0]), expected)


def test_images_above_64_megabytes_are_fed_by_blocks():
    image = np.zeros((1, 256, 256, 1), np.uint8)
    rows = np.arange(3)
    for n, dtype, is_resident in ((1024, "u1", 1), (1025, "u1", 0), (257, "i8", 0), (256, "f4", 1)):
        pixels = np.broadcast_to(image.astype(dtype), (n, 256, 256, 1))
        labels = np.zeros(n, np.int32)
        (tensor, *_), _ = ImageFeed(LabelledImages(pixels, labels, labels)).take(rows)
        assert len(tensor) == (n if is_resident else 3)


def test_calls_last_half_a_second_at_most(monkeypatch):
    now, calls = [0.0], []
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    def take(rows, steps, loss, n_correct):  # 0.02 s a step
        assert len(steps) == math.ceil(len(rows) / 8)
        calls.append((steps[0], len(rows)))
        now[0] += 0.02 * len(rows) / 8
        return loss + len(rows), n_correct

    n_rows = 8 * 100 + 3
    architecture = build_architecture(FashionCNNClassifier().get_params(), (6, 6, 1), 3)
    start = new_checkpoint(architecture, 0)
    split = TrainingSplit(None, np.arange(n_rows), None)
    training = Training(TrainingTask(Network(architecture, None, None), start, split, SETTINGS), ())
    training.epoch = 1
    training._callbacks = Callbacks()
    training._steps = mock.Mock(take=take)
    training._bar = ProgressBar(0, 1, 101)
    metrics = training._take_steps()
    assert training._n_steps == 101
    assert metrics == {"accuracy": 0, "loss": 1}
    starts, lengths = zip(*calls, strict=True)
    assert sum(lengths) == n_rows
    assert starts == tuple(np.cumsum([0, *lengths[:-1]]) // 8)
    assert lengths[:4] == (8, 16, 32, 64)
    assert max(lengths) == 12 * 8  # 0.24 s


def test_what_is_known_of_the_time_of_a_step_serves_all_epochs(images, small, monkeypatch):
    calls = []
    take = CompiledSteps.take

    def count(self, rows, steps, *sums):
        calls.append(len(steps))
        return take(self, rows, steps, *sums)

    monkeypatch.setattr(CompiledSteps, "take", count)
    monkeypatch.setattr("time.perf_counter", lambda: 0.0)
    small(epochs=4).fit(*images)
    assert calls == [1, 2, 3, 6, 6, 6]


def test_dropout_acts_in_training_only(images, small):
    dropped = probabilities(small(conv_dropout=0.5), images)
    assert (dropped != probabilities(small(conv_dropout=0.0), images)).any()
    clf = small(conv_dropout=0.5).fit(*images)
    np.testing.assert_array_equal(clf.predict_proba(images[0]), clf.predict_proba(images[0]))


def test_dropout_differs_from_step_to_step_and_layer_to_layer():
    clf = FashionCNNClassifier((1,), (), pool_size=1, kernel_size=1, conv_dropout=0.5)
    architecture = build_architecture(clf.get_params(), (40, 40, 1), 2)
    weights = new_checkpoint(architecture, 0).weights
    weights["stack1_conv1/kernel"][:] = 1
    weights["predictions/kernel"][:] = 1
    tensors = {name: tf.constant(value) for name, value in weights.items()}

    def n_kept(seed, step):
        training = TrainingMode(seed, step, 1, 1.0, "float32")
        pixels = tf.ones((1, 40, 40, 1))
        logits, *_ = train_network(architecture, tensors, pixels, training, tf.reduce_sum)
        return round(float(logits[0, 0]) / 2)

    kept = [n_kept(seed, step) for seed in (1, 2) for step in range(20)]
    assert kept[0] == n_kept(1, 0)
    assert len(set(kept)) > 20  # of 40 independent draws around 800 with a deviation of 20
    assert np.mean(kept) == pytest.approx(800, abs=15)


def test_history(images, small):
    X, y = images
    clf = small(epochs=3, label_smoothing=0.1).fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
    assert {name: len(values) for name, values in clf.history_.items()} == dict.fromkeys(
        ["accuracy", "loss", "val_accuracy", "val_loss", "learning_rate"], 3
    )
    assert all(type(value) is float for values in clf.history_.values() for value in values)
    assert clf.n_iter_ == 3
    assert clf.history_["learning_rate"] == [0.01] * 3
    assert clf.history_["val_accuracy"][-1] == clf.score(X[60:], y[60:])
    log_probabilities = clf.predict_log_proba(X[60:])
    targets = np.eye(3)[np.searchsorted(clf.classes_, y[60:])] * 0.9 + 0.1 / 3
    loss = -(targets * log_probabilities).sum(axis=1).mean()
    assert clf.history_["val_loss"][-1] == pytest.approx(loss, rel=1e-5)
    assert "val_loss" not in small(epochs=1).fit(X, y).history_


def test_validation_weights(images, small):
    X, y = images
    weights = np.arange(30.0)
    clf = small(epochs=1, class_weight={"up": 3}).fit(
        X[:60], y[:60], X_val=X[60:], y_val=y[60:], sample_weight_val=weights
    )
    total = weights * np.where(y[60:] == "up", 3, 1)
    expected = log_loss(y[60:], clf.predict_proba(X[60:]), sample_weight=total)
    assert clf.history_["val_loss"][0] == pytest.approx(expected, rel=1e-5)
    assert clf.history_["val_accuracy"][0] == pytest.approx(clf.score(X[60:], y[60:]))


def test_validation_part_takes_no_part_in_training(images, small):
    X, y = images
    clf = small(validation_fraction=0.2, random_state=3)
    before = clf.fit(X, y).predict_proba(X)
    assert len(clf.history_["val_loss"]) == clf.n_iter_
    codes = np.searchsorted(clf.classes_, y)
    seed = np.random.RandomState(3).randint(np.iinfo(np.int32).max)
    _, held_out = split_rows(codes, np.ones(90), clf.classes_, 0.2, spawn_seeds(seed).split)
    pixels, weights = X.copy(), np.ones(90)
    pixels[held_out] = 255 - pixels[held_out]
    weights[held_out] = np.arange(1, 1 + len(held_out))
    after = clf.fit(pixels, y, sample_weight=weights).predict_proba(X)
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize(
    ("fit_params", "message"),
    [
        ({"X_val": "X"}, "X_val and y_val together"),
        ({"y_val": "y"}, "X_val and y_val together"),
        ({"sample_weight_val": "y"}, "sample_weight_val goes with X_val"),
        ({"X_val": "X", "y_val": ["other"] * 90}, r"y_val has labels that y lacks: \['other'\]"),
        (
            {"X_val": "X", "y_val": ["up"] * 5},
            "X_val and y_val have inconsistent numbers.*90 and 5",
        ),
        ({"X_val": "X", "y_val": np.eye(90)}, "y_val should be a 1d array"),
    ],
)
def test_validation_data_is_checked(images, small, fit_params, message):
    data = dict(zip("Xy", images, strict=True))
    fit_params = {
        name: data[value] if isinstance(value, str) else value for name, value in fit_params.items()
    }
    with pytest.raises(ValueError, match=message):
        small().fit(*images, **fit_params)


def test_class_weights_pull(images, small):
    random = np.random.default_rng(0)
    X, y = random.random((200, 4, 4)), random.integers(0, 2, 200)
    heavy = small(class_weight={0: 1000, 1: 1e-3}).fit(X, y)
    assert (heavy.predict(X) == 0).mean() > 0.95
    by_sample = small().fit(X, y, sample_weight=np.where(y == 0, 1000, 1e-3))
    np.testing.assert_array_equal(by_sample.predict_proba(X), heavy.predict_proba(X))


@pytest.mark.parametrize("weight", [1e-300, 1e-6, 1e308])
def test_weights_of_any_scale_train_alike(images, small, weight):
    clf = small(class_weight={"up": 1000})
    one = probabilities(clf, images, sample_weight=np.full(90, weight))
    np.testing.assert_array_equal(one, probabilities(clf, images))


def test_one_class_left_by_weights(images, small):
    X, y = images
    with pytest.raises(
        ValueError, match=r"positive weight \(sample_weight times class_weight\); got 1 class"
    ):
        small().fit(X, y, sample_weight=(y == "up").astype(float))
    with pytest.raises(
        ValueError, match=r"positive weight \(sample_weight times class_weight\); got 1 class"
    ):
        small(class_weight={"left": 0, "right": 0}).fit(X, y)


@pytest.mark.parametrize("seed", range(10))
def test_rows_without_weight_are_not_held_out(images, small, seed):
    X, y = images[0][:10], np.array(list("aaaaabbbbb"))
    weights = np.array([1, 0, 0, 0, 0, 1, 1, 0, 0, 0])
    clf = small(early_stopping=True, epochs=1, random_state=seed)
    with pytest.warns(UserWarning, match=r"one member only.*\['a'\]"):
        clf.fit(X, y, sample_weight=weights)
    losses = -clf.predict_log_proba(X[5:7])[:, 1]  # one of these two rows is held out
    assert np.isclose(clf.history_["val_loss"][0], losses, rtol=1e-5).any()


def test_label_smoothing_tempers(images, small):
    sharp = probabilities(small(conv_dropout=0, dense_dropout=0), images)
    smooth = probabilities(small(conv_dropout=0, dense_dropout=0, label_smoothing=0.5), images)
    assert smooth.max(axis=1).mean() < 0.8 < sharp.max(axis=1).mean()


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
def test_every_optimizer_learns(images, small, optimizer):
    X, y = images
    assert small(optimizer=optimizer, learning_rate=None, epochs=40).fit(X, y).score(X, y) > 0.9


@pytest.mark.parametrize("batch_size", [91, 1000, 10**30])
def test_batches_larger_than_the_data_are_clipped(images, small, batch_size):
    settings = {"batch_normalization": True, "conv_dropout": 0, "dense_dropout": 0}
    one = small(batch_size=90, **settings).fit(*images)
    other = small(batch_size=batch_size, **settings).fit(*images)
    np.testing.assert_allclose(other.history_["loss"], one.history_["loss"], rtol=1e-4)
    assert other._network.checkpoint.n_steps == one._network.checkpoint.n_steps == 8


def test_balanced_weights_come_from_all_labels(images, small):
    X, y = images
    rows = np.r_[np.flatnonzero(y == "up"), np.flatnonzero(y != "up")[:17]]
    labels = np.unique(y)
    weights = compute_class_weight("balanced", classes=labels, y=y[rows])
    settings = {"epochs": 2, "validation_fraction": 0.3}
    balanced = small(class_weight="balanced", **settings).fit(X[rows], y[rows])
    explicit = small(class_weight=dict(zip(labels, weights, strict=True)), **settings)
    assert balanced.history_ == explicit.fit(X[rows], y[rows]).history_


def test_history_has_the_rate_of_each_last_step(images, small):
    settings = {"epochs": 3, "batch_size": 30, "learning_rate": 0.01}  # three steps an epoch
    cosine = small(learning_rate_schedule="cosine", **settings).fit(*images)
    expected = [0.005 * (1 + np.cos(np.pi * step / 9)) for step in (2, 5, 8)]
    assert cosine.history_["learning_rate"] == pytest.approx(expected)


def test_divergence_names_the_epoch_and_changes_nothing(images, small):
    X, y = images
    clf = small().fit(X, y)
    before, attributes = clf.predict_proba(X), dict(vars(clf))
    clf.set_params(learning_rate=1e30, scaling=None)
    with pytest.raises(ValueError, match=r"diverged.*in epoch \d of 8.*learning_rate=1e\+30.*Try"):
        clf.fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), before)
    assert {**attributes, "learning_rate": 1e30, "scaling": None} == vars(clf)

    fresh = small(learning_rate=1e30)
    with pytest.raises(ValueError, match="diverged"):
        fresh.fit(X, y)
    with pytest.raises(NotFittedError):
        fresh.predict(X)


@pytest.mark.parametrize(
    ("params", "dtype", "advice"),
    [
        ({}, np.uint8, "Try a lower learning_rate."),
        ({}, np.float64, "Try a lower learning_rate. Look for pixels that are far larger than the"),
        ({"weight_decay": 0.1}, np.uint8, "Try a lower learning_rate or a lower weight_decay."),
        ({"scaling": None}, np.uint8, "Try a lower learning_rate or scaling='standardize'."),
        ({"scaling": "unit"}, np.uint8, "Try a lower learning_rate or scaling='standardize'."),
        (
            {"class_weight": {"up": 1000, "left": 1}},
            np.uint8,
            "Try a lower learning_rate.",  # the largest is 2.7 times the mean
        ),
    ],
    ids=str,
)
def test_advice_on_divergence_is_what_does_not_hold(images, small, params, dtype, advice):
    X, y = images
    with pytest.raises(ValueError, match=f"diverged: .*{re.escape(advice)}") as error:
        small(learning_rate=1e30, **params).fit(X.astype(dtype), y)
    assert str(error.value).endswith("the rest." if "Look" in advice else advice)


def test_advice_on_divergence_names_large_weights(images, small):
    X, y = images
    clf = small(learning_rate=1e30)
    weights = np.where(np.arange(90) == 7, 50, 1)
    message = (
        "Try a lower learning_rate or lower values of the largest weights in sample_weight and"
    )
    with pytest.raises(ValueError, match=message):
        clf.fit(X, y, sample_weight=weights)
    with pytest.raises(ValueError, match=message):
        clf.partial_fit(X, y, classes=np.unique(y), sample_weight=11)


def test_advice_on_divergence_leaves_the_scaling_of_a_network(images, small):
    clf = small(warm_start=True, scaling=None).fit(*images).set_params(learning_rate=1e30)
    with pytest.raises(ValueError, match=r"Try a lower learning_rate\.$"):
        clf.fit(*images)


def test_validation_that_is_not_finite(images, small, monkeypatch):
    X, y = images
    monkeypatch.setattr(Predictor, "logits", lambda *args: np.full((9, 3), np.inf, np.float32))
    with pytest.raises(ValueError, match=r"diverged: the validation loss is nan in epoch 1 of 8"):
        small().fit(X, y, X_val=X[:9], y_val=y[:9])


def test_weights_that_only_the_last_step_spoils(images, small, monkeypatch):
    spoil = {"dense1/bias": np.array([1.0]), "predictions/bias": np.array([np.nan])}
    monkeypatch.setattr(TrainingVariables, "weights_as_numpy", lambda self: spoil)
    with pytest.raises(ValueError, match=r"diverged.*in epoch 1 of 1"):
        small(epochs=1).fit(*images)


@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_without_stdout_nothing_is_shown(images, small, monkeypatch, verbose):
    monkeypatch.setattr("sys.stdout", None)  # as in Python for windows, pythonw
    small(epochs=2, verbose=verbose).fit(*images)


def closed():
    file = open(os.devnull, "w")  # noqa: SIM115
    file.close()
    return file


def without_reader():
    reader, writer = os.pipe()
    os.close(reader)
    return open(writer, "w")


UNWRITABLE = {
    "closed": closed,
    "without a reader": without_reader,
    "on a full disk": lambda: open("/dev/full", "w"),  # noqa: SIM115
}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="has no disk that is always full")
@pytest.mark.parametrize("verbose", [1, 2])
@pytest.mark.parametrize("kind", UNWRITABLE)
def test_training_is_not_lost_where_stdout_takes_no_text(images, small, monkeypatch, kind, verbose):
    X, y = images
    expected = small(epochs=3).fit(X, y)
    output = UNWRITABLE[kind]()
    monkeypatch.setattr("sys.stdout", output)
    text = f"^verbose={verbose} can't show progress any more: stdout takes no text .*set verbose=0"
    with pytest.warns(UserWarning, match=text) as warned:
        clf = small(epochs=3, verbose=verbose).fit(X, y)
    monkeypatch.undo()
    with suppress(OSError):  # what is left in its buffer
        output.close()
    assert [each.filename for each in warned] == [__file__]
    assert clf.history_ == expected.history_
    np.testing.assert_array_equal(clf.predict_proba(X), expected.predict_proba(X))


@pytest.mark.parametrize("verbose", [1, 2])
def test_training_is_not_lost_where_its_reader_goes_away(images, small, monkeypatch, verbose):
    reader, writer = os.pipe()

    def leave(epoch, logs):
        if epoch == 1:
            shown.append(os.read(reader, 10_000))
            os.close(reader)

    shown, output = [], open(writer, "w")  # noqa: SIM115
    monkeypatch.setattr("sys.stdout", output)
    clf = small(epochs=3, verbose=verbose, callbacks=LambdaCallback(on_epoch_begin=leave))
    with pytest.warns(UserWarning, match="BrokenPipeError.*Training goes on") as warned:
        clf.fit(*images)
    monkeypatch.undo()
    with suppress(OSError):
        output.close()
    assert shown[0].startswith(b"Epoch 1/3")
    assert (clf.n_iter_, len(warned)) == (3, 1)


@pytest.mark.parametrize(("verbose", "n_lines"), [(0, 0), (2, 4)])
def test_verbose_lines(images, small, capsys, verbose, n_lines):
    small(epochs=2, verbose=verbose, validation_fraction=0.2).fit(*images)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == n_lines
    if verbose:
        assert lines[::2] == ["Epoch 1/2", "Epoch 2/2"]
        pattern = r"5/5 - .* - accuracy: [\d.]+ - loss: [\d.]+ - val_accuracy: [\d.]+ - val_loss: "
        assert all(re.match(pattern, line) for line in lines[1::2])


def test_verbose_bar(images, small, capsys):
    small(epochs=2, verbose=1).fit(*images)
    output = capsys.readouterr().out
    assert "Epoch 2/2" in output
    assert "━" in output
    assert output.count("6/6") >= 2
