# SPDX-License-Identifier: BSD-3-Clause
"""Weight averaging: what is averaged, what uses the average, and from what training goes on."""

import pickle

import numpy as np
import pytest
from keras.callbacks import Callback

from fashioncnn._network.description import describe, network_from
from fashioncnn._tensorflow.program import program_for
from fashioncnn._training.averaging import WeightAverage

N_STEPS = 6  # of an epoch of the small images


class Collect(Callback):
    """Keeps the weights before training and after each step, and perhaps begins with an epoch."""

    def __init__(self, first_epoch=0):
        super().__init__()
        self.first_epoch = first_epoch

    def on_train_begin(self, logs=None):
        self.model._initial_epoch = self.first_epoch
        self.weights = [self.model.get_weights()]

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append(self.model.get_weights())


class Shift(Callback):
    """Moves the weights away, before an epoch or at the end of training."""

    def __init__(self, before_epoch):
        super().__init__()
        self.before_epoch = before_epoch

    def shift(self):
        self.model.set_weights([-weight for weight in self.model.get_weights()])

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.before_epoch:
            self.shift()

    def on_train_end(self, logs=None):
        if self.before_epoch is None:
            self.shift()


def weights_of(clf):
    return clf.model_.get_weights()


def collected(clf):
    return clf.callbacks_[0].weights


def assert_equal(ones, others):
    for one, other in zip(ones, others, strict=True):
        np.testing.assert_array_equal(one, other)


def assert_mean(clf, steps):
    """Compare the weights with the mean of some that were collected, to rounding."""
    for weight, values in zip(weights_of(clf), zip(*steps, strict=True), strict=True):
        mean = np.mean(values, axis=0, dtype=np.float64)
        np.testing.assert_allclose(weight, mean, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("share", "n_planned", "n_last"),
    [(0, 10, 0), (1e-9, 10, 1), (0.1, 10, 1), (0.29, 100, 29), (0.5, 7, 4), (0.999, 10, 10)],
)
def test_it_spans_the_last_share_of_the_planned_steps(share, n_planned, n_last):
    steps = np.arange(n_planned)
    included = WeightAverage(share, n_planned, None).includes(steps)
    assert included.tolist() == (steps >= n_planned - n_last).tolist()


@pytest.mark.parametrize("batch_normalization", [False, True])
def test_weights_are_the_mean_of_those_of_the_last_steps(images, small, batch_normalization):
    settings = {"epochs": 4, "batch_normalization": batch_normalization}
    clf = small(weight_averaging=0.4, callbacks=Collect(), **settings).fit(*images)
    assert len(collected(clf)) == 1 + 4 * N_STEPS
    assert_mean(clf, collected(clf)[-10:])  # 9.6 of 24 steps
    # Callbacks see the weights that train, which are those of a training without an average.
    plain = small(**settings).fit(*images)
    assert_equal(collected(clf)[-1], weights_of(plain))
    alone = small(weight_averaging=0.4, **settings).fit(*images)
    assert_equal(weights_of(alone), weights_of(clf))
    assert {name: alone.history_[name] for name in plain.history_} == plain.history_


def test_the_average_of_one_step_has_its_bits(images, small):
    one = small(epochs=2, weight_averaging=1e-9).fit(*images)
    assert_equal(weights_of(one), weights_of(small(epochs=2).fit(*images)))


@pytest.mark.parametrize("seconds", [0, 9])
def test_division_into_calls_changes_no_bit(images, small, monkeypatch, seconds):
    clf = small(epochs=3, weight_averaging=0.5).fit(*images)
    monkeypatch.setattr("fashioncnn._training.loop._SECONDS_PER_CALL", seconds)
    again = small(epochs=3, weight_averaging=0.5).fit(*images)
    assert_equal(weights_of(again), weights_of(clf))


def test_nothing_is_left_of_a_fit_before(images, small):
    clf = small(epochs=2, weight_averaging=0.5).fit(*images)
    with pytest.raises(ValueError, match="diverged"):
        small(weight_averaging=0.99, learning_rate=1e30).fit(*images)
    again = small(epochs=2, weight_averaging=0.5).fit(*images)
    assert_equal(weights_of(again), weights_of(clf))


def test_there_are_no_sums_without_it(fitted):
    program = program_for(fitted._network.architecture)
    with program.training_variables("adam") as variables:
        assert not variables.sums
        with program.training_variables("adam", with_sums=True) as others:
            assert others.sums.keys() == others.weights.keys()
            assert others.pack(others.flat()) == others


def test_the_average_is_validated_from_its_begin_on(images, small):
    X, y = images
    data = {"X": X[:60], "y": y[:60], "X_val": X[60:], "y_val": y[60:]}
    plain = small(epochs=4).fit(**data)
    clf = small(epochs=4, weight_averaging=0.5).fit(**data)
    assert clf.history_["loss"] == plain.history_["loss"]
    assert clf.history_["val_loss"][:2] == plain.history_["val_loss"][:2]
    assert not set(clf.history_["val_loss"][2:]) & set(plain.history_["val_loss"])
    of_label = clf.predict_proba(X[60:])[np.arange(30), np.searchsorted(clf.classes_, y[60:])]
    np.testing.assert_allclose(clf.history_["val_loss"][-1], -np.log(of_label).mean(), rtol=1e-5)
    assert clf.history_["val_accuracy"][-1] == clf.score(X[60:], y[60:])


@pytest.mark.parametrize("warm_start", [False, True])
def test_early_stopping_restores_what_was_validated_best(images, small, warm_start):
    X, y = images
    settings = {"epochs": 8, "early_stopping": True, "n_iter_no_change": 2}
    settings |= {"weight_averaging": 0.7, "warm_start": warm_start}
    clf = small(callbacks=[Collect(), Shift(before_epoch=4)], **settings)
    clf.fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
    first, n_steps = 32 - 22, 4
    assert (clf.best_epoch_, clf.n_iter_) == (4, 6)
    assert clf.history_["val_loss"][clf.best_epoch_ - 1] == min(clf.history_["val_loss"])
    assert_mean(clf, collected(clf)[first + 1 : clf.best_epoch_ * n_steps + 1])
    if warm_start:  # from the weights that the moments belong to
        of_best = collected(clf)[clf.best_epoch_ * n_steps]
        clf.set_params(callbacks=Collect()).fit(X, y)
        assert_equal(collected(clf)[0], of_best)


def test_an_early_stop_before_it_begins(images, small):
    settings = {"epochs": 20, "early_stopping": True, "tol": 100.0, "n_iter_no_change": 3}
    clf = small(weight_averaging=0.5, warm_start=True, **settings).fit(*images)
    assert (clf.best_epoch_, clf.n_iter_) == (1, 4)
    assert_equal(weights_of(clf), weights_of(small(**settings).fit(*images)))
    assert clf._network.checkpoint.raw_weights is None


def test_a_warm_start_compares_with_the_average_that_it_may_keep(images, small):
    X, y = images
    settings = {"warm_start": True, "weight_averaging": 0.5, "early_stopping": True, "epochs": 3}
    clf = small(callbacks=Shift(before_epoch=None), **settings).fit(X, y)
    before = weights_of(clf)
    # The raw weights, which were shifted at the end, become better and stay worse than the average.
    clf.set_params(learning_rate=1e-3, weight_averaging=0.0, callbacks=None).fit(X, y)
    losses = clf.history_["val_loss"]
    assert losses[2] < losses[5] < losses[4] < losses[3]
    assert (clf.best_epoch_, clf.n_iter_) == (3, 6)
    assert_equal(weights_of(clf), before)


@pytest.mark.parametrize("is_pickled", [False, True])
@pytest.mark.parametrize(
    "params", [{}, {"batch_normalization": True, "optimizer": "sgd"}], ids=["plain", "normalised"]
)
def test_a_warm_start_goes_on_from_the_raw_weights(images, small, params, is_pickled):
    clf = small(epochs=2, warm_start=True, weight_averaging=0.5, **params).fit(*images)
    if is_pickled:
        clf = pickle.loads(pickle.dumps(clf))
    plain = small(epochs=2, warm_start=True, **params).fit(*images)
    assert clf.n_iter_ == 2
    clf.fit(*images)
    clf.set_params(weight_averaging=0.0).fit(*images)
    assert_equal(weights_of(clf), weights_of(plain.fit(*images).fit(*images)))
    assert clf._network.checkpoint.raw_weights is None


def test_a_warm_start_averages_over_its_own_steps(images, small):
    clf = small(epochs=2, warm_start=True, weight_averaging=0.5).fit(*images)
    clf.set_params(epochs=3, callbacks=Collect()).fit(*images)
    assert_mean(clf, collected(clf)[-9:])


def test_another_optimizer_goes_on_from_the_raw_weights(images, small):
    clf = small(epochs=2, warm_start=True, weight_averaging=0.5, callbacks=Collect()).fit(*images)
    last = collected(clf)[-1]
    assert_equal(collected(clf.set_params(optimizer="sgd").fit(*images))[0], last)


def test_partial_fit_goes_on_from_the_raw_weights_and_has_no_average(images, small):
    clf = small(epochs=2, warm_start=True, weight_averaging=0.5).fit(*images)
    clf.partial_fit(*images).partial_fit(*images)
    assert_equal(weights_of(clf), weights_of(small(epochs=4).fit(*images)))


def test_training_goes_on_from_the_average_where_only_that_was_kept(images, small):
    clf = small(epochs=2, weight_averaging=0.5).fit(*images)
    assert clf._network.checkpoint.raw_weights is None
    average = weights_of(clf)
    clf.set_params(callbacks=Collect()).partial_fit(*images)
    assert_equal(collected(clf)[0], average)
    assert_equal(collected(clf)[-1], weights_of(clf))


def test_it_begins_where_a_callback_has_restored_a_later_epoch(images, small):
    clf = small(epochs=4, weight_averaging=0.9, callbacks=Collect(first_epoch=3)).fit(*images)
    assert len(collected(clf)) == 1 + N_STEPS
    assert_mean(clf, collected(clf)[1:])


def test_raw_weights_that_a_callback_spoils_are_refused_where_they_are_kept(images, small):
    class Spoil(Callback):
        def on_train_end(self, logs=None):
            self.model.set_weights([weight * np.nan for weight in self.model.get_weights()])

    settings = {"epochs": 1, "weight_averaging": 0.5, "callbacks": Spoil()}
    assert np.isfinite(small(**settings).fit(*images).predict_proba(images[0])).all()
    with pytest.raises(ValueError, match=r"diverged: the largest weight is nan"):
        small(warm_start=True, **settings).fit(*images)


def test_descriptions_without_raw_weights_are_read(images, small):
    clf = small(epochs=2, warm_start=True, weight_averaging=0.5).fit(*images)
    description = describe(clf._network)
    del description["raw_weights"]
    assert network_from(description).checkpoint.raw_weights is None


def test_raw_weights_of_another_network_are_refused(images, small):
    clf = small(epochs=2, warm_start=True, weight_averaging=0.5).fit(*images)
    description = describe(clf._network)
    raw_weights = description["raw_weights"]
    description["raw_weights"] = {**raw_weights, "dense1/bias": np.zeros(9, np.float32)}
    with pytest.raises(ValueError, match=r"'dense1/bias' is float32 of shape \(9,\)"):
        network_from(description)
    description["raw_weights"] = {"dense1/bias": raw_weights["dense1/bias"]}
    with pytest.raises(ValueError, match=r"the field 'raw_weights\.[a-z0-9]+/[a-z]+' is missing"):
        network_from(description)
