# SPDX-License-Identifier: BSD-3-Clause
"""`min_steps`: passes over few images are repeated, and what counts epochs counts them."""

import keras
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV


@pytest.mark.parametrize(
    ("epochs", "min_steps", "n_epochs"), [(2, 0, 2), (2, 12, 2), (2, 13, 3), (2, 20, 4), (5, 20, 5)]
)
def test_passes_are_repeated_for_the_least_steps(images, small, epochs, min_steps, n_epochs):
    settings = {"learning_rate_schedule": "one_cycle", "weight_averaging": 0.5}
    clf = small(epochs=epochs, min_steps=min_steps, **settings)  # 6 steps an epoch
    probabilities = clf.fit(*images).predict_proba(images[0])
    assert clf.n_iter_ == clf.best_epoch_ == len(clf.history_["loss"]) == n_epochs
    same = small(epochs=n_epochs, **settings).fit(*images)
    np.testing.assert_array_equal(same.predict_proba(images[0]), probabilities)
    assert clf.history_ == same.history_


def test_least_steps_are_those_of_the_training_part(images, small):
    clf = small(epochs=1, min_steps=20, validation_fraction=0.3)  # 63 images: 4 steps an epoch
    assert clf.fit(*images).n_iter_ == 5
    assert clf.set_params(batch_size=8).fit(*images).n_iter_ == 3
    # Batch normalisation joins the last image to the batch before.
    counts = {
        is_normalized: small(
            epochs=1, batch_size=89, min_steps=4, batch_normalization=is_normalized
        ).fit(*images)
        for is_normalized in (False, True)
    }
    assert {name: clf.n_iter_ for name, clf in counts.items()} == {False: 2, True: 4}


def test_early_stopping_counts_repeated_passes(images, small):
    stopping = {"early_stopping": True, "tol": 100.0, "n_iter_no_change": 3}
    clf = small(epochs=1, min_steps=600, **stopping).fit(*images)
    assert (clf.best_epoch_, clf.n_iter_) == (1, 4)


def test_a_partial_fit_has_neither_least_steps_nor_an_average(images, small):
    one = small(min_steps=100, weight_averaging=0.9).partial_fit(*images, ["left", "right", "up"])
    assert one.n_iter_ == 1
    other = small().partial_fit(*images, ["left", "right", "up"])
    np.testing.assert_array_equal(one.predict_proba(images[0]), other.predict_proba(images[0]))


def test_repeated_passes_are_shown(images, small, capsys):
    told = keras.callbacks.Callback()
    clf = small(epochs=2, min_steps=20, verbose=2, callbacks=told).fit(*images)
    lines = capsys.readouterr().out.splitlines()
    assert lines[::2] == [f"Epoch {epoch}/4" for epoch in (1, 2, 3, 4)]
    assert clf.callbacks_[0].params == {"verbose": 2, "epochs": 4, "steps": 6}


def test_least_steps_and_averages_in_a_grid(images, small):
    grid = {"min_steps": [0, 12], "weight_averaging": [0.0, 0.5]}
    search = GridSearchCV(small(epochs=1), grid, cv=2, error_score="raise").fit(*images)
    best = search.best_estimator_
    assert best.n_iter_ == (2 if best.min_steps else 1)
