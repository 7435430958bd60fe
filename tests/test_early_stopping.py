# SPDX-License-Identifier: BSD-3-Clause
"""Early stopping: when it ends training, and what it restores."""

import math
import sys
import warnings

import numpy as np
import pytest

from fashioncnn import FashionCNNClassifier
from fashioncnn._training.loop import best_epoch


@pytest.mark.parametrize(
    ("losses", "tol", "best"),
    [
        ([math.inf], 0, 0),
        ([math.inf, 3], 0, 1),
        ([math.inf, 3, 2, 1], 0, 3),
        ([math.inf, 3, 2, 2], 0, 2),  # as good is not better
        ([math.inf, 3, 2, 2.5, 1.9], 0.2, 2),
        ([math.inf, 3, 2.9, 2.8, 2.7], 0.25, 4),  # small steps add up
        ([2, 3, 2.5], 0, 0),  # the start was better
        ([math.nan, 3, 2, 2.5], 0, 2),  # there was no start, or an infinite one
    ],
)
def test_best_epoch(losses, tol, best):
    assert best_epoch(losses, tol) == best


@pytest.fixture
def noisy(images):
    """Give the images with a third of the labels at random, which invites overfitting."""
    X, y = images
    random = np.random.default_rng(0)
    return X, np.where(random.random(90) < 0.35, random.permutation(y), y)


def test_it_stops_and_restores_the_best_epoch(noisy, small):
    settings = {"learning_rate": 0.03, "conv_dropout": 0, "dense_dropout": 0}
    clf = small(early_stopping=True, epochs=60, n_iter_no_change=4, tol=0.0, **settings)
    clf.fit(*noisy)
    losses = clf.history_["val_loss"]
    assert 1 < clf.best_epoch_ < clf.n_iter_ < 60
    assert clf.n_iter_ == clf.best_epoch_ + 4 == len(losses)
    assert clf.best_epoch_ == np.argmin(losses) + 1
    # the weights are those of a training that ends there
    shorter = small(epochs=clf.best_epoch_, validation_fraction=0.1, **settings).fit(*noisy)
    assert shorter.best_epoch_ == shorter.n_iter_ == clf.best_epoch_
    np.testing.assert_array_equal(clf.predict_proba(noisy[0]), shorter.predict_proba(noisy[0]))


@pytest.mark.parametrize("fraction", [None, 0.3])
def test_a_tenth_is_held_out_unless_said_otherwise(images, small, fraction):
    X, y = images
    clf = small(early_stopping=True, epochs=2, validation_fraction=fraction).fit(X, y)
    same = small(epochs=2, validation_fraction=fraction or 0.1).fit(X, y)
    assert clf.history_ == same.history_


@pytest.mark.parametrize(
    "params", [{"early_stopping": True}, {"validation_fraction": 0.2}], ids=str
)
def test_validation_data_take_the_place_of_a_part(images, small, params):
    X, y = images
    clf = small(epochs=2, **params).fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
    assert clf.history_["val_accuracy"][clf.best_epoch_ - 1] == clf.score(X[60:], y[60:])
    same = small(epochs=2).fit(X[:60], y[:60])
    np.testing.assert_array_equal(clf.predict_proba(X), same.predict_proba(X))


def test_progress_below_the_tolerance_is_none(images, small):
    clf = small(early_stopping=True, tol=100.0, n_iter_no_change=3, epochs=20).fit(*images)
    assert (clf.best_epoch_, clf.n_iter_) == (1, 4)


def test_all_epochs_run_where_each_is_better(images, small):
    clf = small(early_stopping=True, tol=0.0, n_iter_no_change=1, epochs=4).fit(*images)
    assert (clf.best_epoch_, clf.n_iter_) == (4, 4)


def test_its_parameters_do_nothing_without_it(images, small):
    settings = {"epochs": 4, "validation_fraction": 0.2}
    one = small(**settings, tol=100.0, n_iter_no_change=1).fit(*images)
    other = small(**settings).fit(*images)
    assert one.history_ == other.history_
    assert one.best_epoch_ == one.n_iter_ == 4
    np.testing.assert_array_equal(one.predict_proba(images[0]), other.predict_proba(images[0]))


def test_a_schedule_spans_the_epochs_that_were_asked_for(images, small):
    settings = {"learning_rate_schedule": "cosine", "epochs": 10}
    with pytest.warns(
        UserWarning, match="learning_rate_schedule='cosine' falls over all 10 epochs"
    ):
        stopped = small(early_stopping=True, tol=100.0, n_iter_no_change=2, **settings).fit(*images)
    rates = small(**settings, validation_fraction=0.1).fit(*images).history_["learning_rate"]
    assert stopped.history_["learning_rate"] == rates[:3]


@pytest.mark.parametrize(("min_steps", "warns"), [(5 * 6, False), (7 * 6, True)])
def test_a_schedule_over_a_least_number_of_steps_warns_where_it_may_be_cut(
    images, small, min_steps, warns
):
    X, y = images
    settings = {"learning_rate_schedule": "cosine", "epochs": 2, "batch_size": 16}
    clf = small(early_stopping=True, min_steps=min_steps, n_iter_no_change=5, **settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clf.fit(X, y)
    messages = [str(each.message) for each in caught]
    assert [("all 7 epochs" in m and "a lower min_steps" in m) for m in messages] == [True] * warns


def test_nothing_to_hold_out_says_what_to_do():
    clf = FashionCNNClassifier((2,), early_stopping=True)
    with pytest.raises(ValueError, match=r"more than one member\..*early_stopping=False"):
        clf.fit(np.zeros((3, 4, 4)), ["a", "b", "c"])


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_a_schedule_that_is_cut_off_warns(images, small, monkeypatch, schedule):
    monkeypatch.setitem(sys.modules, "fashioncnn._tensorflow.backend", None)  # it warns before
    clf = small(learning_rate_schedule=schedule, early_stopping=True, n_iter_no_change=6)
    message = rf"schedule='{schedule}' .* all 8 epochs, but early_stopping=True may end .* Use "
    with (
        pytest.warns(UserWarning, match=rf"{message}early_stopping=False .*schedule='constant'\.$"),
        pytest.raises(ImportError),
    ):
        clf.fit(*images)


@pytest.mark.parametrize(
    "params",
    [
        {"early_stopping": False, "learning_rate_schedule": "one_cycle", "n_iter_no_change": 1},
        {"early_stopping": True, "learning_rate_schedule": "constant", "n_iter_no_change": 1},
        {"early_stopping": True, "learning_rate_schedule": "one_cycle", "n_iter_no_change": 2},
    ],
    ids=["no stopping", "constant rate", "no time to stop"],
)
def test_a_schedule_that_runs_to_its_end_does_not_warn(images, small, params):
    small(epochs=2, **params).fit(*images)
