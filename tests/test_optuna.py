# SPDX-License-Identifier: BSD-3-Clause
"""Optuna's callback reports to the trial that its user has, and prunes it."""

import numpy as np
import optuna
import pytest
from optuna_integration import KerasPruningCallback
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import cross_val_score

optuna.logging.set_verbosity(optuna.logging.ERROR)

# In all folds but the first.
reported_again = pytest.mark.filterwarnings("ignore:The reported value is ignored because this")


class PruneLater(optuna.pruners.BasePruner):
    """Lets so many epochs pass, over all trials, and prunes from then on."""

    def __init__(self, n_epochs):
        self.n_epochs = n_epochs

    def prune(self, study, trial):
        self.n_epochs -= 1
        return self.n_epochs < 0


def optimize(objective, pruner, n_trials):
    study = optuna.create_study(direction="maximize", pruner=pruner)
    study.optimize(objective, n_trials=n_trials)
    return study.trials, [trial.state.name for trial in study.trials]


def with_callback(clf, trial):
    callback = KerasPruningCallback(trial, "val_accuracy")
    return clf.set_params(epochs=3, validation_fraction=0.2, callbacks=[callback])


def test_fit(images, small):
    clf, found = small(), []

    def objective(trial):
        with_callback(clf, trial).fit(*images)
        found.append((clf.history_["val_accuracy"], clf.predict_proba(images[0])))
        return clf.score(*images)

    trials, states = optimize(objective, PruneLater(4), n_trials=2)
    assert states == ["COMPLETE", "PRUNED"]
    (accuracies, probabilities), *others = found
    assert trials[0].intermediate_values == dict(enumerate(accuracies))
    assert trials[1].intermediate_values == dict(enumerate(accuracies[:2]))  # the same fit
    assert not others
    np.testing.assert_array_equal(clf.predict_proba(images[0]), probabilities)  # as it was


@reported_again
def test_cross_validation(images, small):
    def objective(trial):
        clf = with_callback(small(), trial)
        return cross_val_score(clf, *images, cv=2, error_score="raise").mean()

    trials, states = optimize(objective, PruneLater(7), n_trials=2)
    assert states == ["COMPLETE", "PRUNED"]
    assert [list(trial.intermediate_values) for trial in trials] == [[0, 1, 2], [0, 1]]


@reported_again
def test_cross_validation_that_does_not_raise(images, small):
    """For scikit-learn, pruning is an error like others: the docs say what to pass."""

    def objective(trial):
        return cross_val_score(with_callback(small(), trial), *images, cv=2).mean()

    with pytest.warns(FitFailedWarning, match="TrialPruned: Trial was pruned at epoch 0"):
        _, states = optimize(objective, PruneLater(3), n_trials=1)
    assert states == ["FAIL"]  # the mean is NaN
    with pytest.raises(ValueError, match="TrialPruned: Trial was pruned at epoch 0"):
        optimize(objective, PruneLater(0), n_trials=1)
