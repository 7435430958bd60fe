# SPDX-License-Identifier: BSD-3-Clause
"""A fit that is killed at any moment, and run again, ends in the same bits as one that is not."""

import functools
import os

import pytest
from killed_fits import (
    ALL,
    ALL_WITH_CALLBACKS,
    CALL,
    END,
    EPOCH,
    EPOCHS,
    FEATURES,
    FIT,
    MOST_BYTES,
    PLAIN,
    Fit,
    Moment,
    Stage,
    differences,
    finish,
    kill,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="nothing else kills so"),
]

NAME = "run.checkpoint"
SETS = {"plain": PLAIN, "all": ALL, "all with callbacks": ALL_WITH_CALLBACKS}


@functools.cache
def uninterrupted(features):
    """Run a fit without a checkpoint."""
    return finish(Fit(features))


@pytest.fixture
def new_fit(tmp_path):
    """Give a function that returns a fit with a checkpoint in the folder of the test."""
    return lambda features, **settings: Fit(features, str(tmp_path / NAME), **settings)


def assert_same(fit, outcome):
    """Demand all bits of an uninterrupted fit, and that nothing else is left in the folder."""
    assert differences(outcome, uninterrupted(fit.features)) == []
    assert os.listdir(os.path.dirname(fit.checkpoint)) == [NAME]


def after_epochs(n_epochs):
    return Moment(EPOCH, n_epochs + 1) if n_epochs < EPOCHS else Moment(END)


@pytest.mark.parametrize("n_epochs", range(EPOCHS + 1))
@pytest.mark.parametrize("features", ["all", "all with callbacks"])
def test_killed_after_some_epochs(new_fit, features, n_epochs):
    fit = new_fit(SETS[features])
    killed = kill(fit, after_epochs(n_epochs))
    assert (killed.n_epochs, killed.stage) == (n_epochs, Stage.BETWEEN_EPOCHS)
    outcome = finish(fit)
    assert_same(fit, outcome)
    assert outcome.n_epochs == EPOCHS - n_epochs


@pytest.mark.parametrize("feature", FEATURES)
def test_each_feature_alone(new_fit, feature):
    fit = new_fit((feature,))
    kill(fit, after_epochs(3))
    outcome = finish(fit)
    assert_same(fit, outcome)
    assert outcome.n_epochs == outcome.values["n_iter_"] - 3


def test_epochs_of_the_features_are_before_and_after_the_kill():
    def epochs(feature):
        values = uninterrupted((feature,)).values
        return values["best_epoch_"], values["n_iter_"]

    assert epochs("early stopping, the first epoch is best") == (1, EPOCHS)
    assert epochs("early stopping, a late epoch is best") == (EPOCHS, EPOCHS)
    assert epochs("early stopping ends it") == (1, 5)
    assert epochs("a callback stops it") == (5, 5)
    assert epochs("least steps") == (EPOCHS, EPOCHS)


@pytest.mark.parametrize(
    "feature",
    ["early stopping ends it", "a callback stops it", "early stopping, the first epoch is best"],
)
def test_killed_when_it_is_to_end(new_fit, feature):
    fit = new_fit((feature,))
    kill(fit, Moment(END))
    outcome = finish(fit)
    assert_same(fit, outcome)
    assert outcome.n_epochs == 0


@pytest.mark.parametrize("features", SETS)
def test_killed_again_and_again(new_fit, features):
    fit = new_fit(SETS[features])
    moments = [
        Moment(EPOCH),
        Moment(EPOCH, 2),  # one epoch has ended
        Moment(CALL, 2),
        # A process that goes on writes the state again before it trains.
        Moment("os:replace", 2, is_after=True),  # of the write of its first epoch: two epochs
        Moment(CALL),
        Moment("os:replace", 2),
        Moment("os:fsync", 5),  # within the write of its second epoch: three epochs
        Moment(END),
        Moment(FIT, is_after=True),
    ]
    n_epochs = [kill(fit, moment).n_epochs for moment in moments]
    assert n_epochs == [0, 1, 0, 1, 0, 1, 2, 3, 0]
    outcome = finish(fit)
    assert_same(fit, outcome)
    assert (outcome.n_epochs, outcome.n_calls) == (0, 0)


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("features", "n_calls", "n_epochs"),
    [("plain", 2, 0), ("all", 3, 0), ("all with callbacks", 2, 0), ("all with callbacks", 11, 3)],
)
def test_killed_within_an_epoch(new_fit, features, n_calls, n_epochs, is_after):
    fit = new_fit(SETS[features])
    killed = kill(fit, Moment(CALL, n_calls, is_after))
    assert (killed.n_epochs, killed.stage) == (n_epochs, Stage.IN_EPOCH)
    outcome = finish(fit)
    assert_same(fit, outcome)
    assert outcome.n_epochs == EPOCHS - n_epochs


# The calls within the writing of a file, and whether it is the new one then. Each comes once in a
# write, but for fsync, which flushes the folder, too.
_ATOMIC_FILE = "fashioncnn._files.atomic_file"
STEPS = {
    "before it is made": (Moment(f"{_ATOMIC_FILE}:_replace"), False),
    "before its lock": (Moment("fcntl:flock"), False),
    "before its content": (Moment(f"{_ATOMIC_FILE}:_write"), False),
    "before fsync": (Moment("os:fsync"), False),
    "after fsync": (Moment("os:fsync", is_after=True), False),
    "before the new name": (Moment("os:replace"), False),
    "after the new name": (Moment("os:replace", is_after=True), True),
    "before the folder's flush": (Moment(f"{_ATOMIC_FILE}:_flush_folder"), True),
    "after the folder's flush": (Moment(f"{_ATOMIC_FILE}:_flush_folder", is_after=True), True),
}
WRITES = {"first": 1, "fourth": 4, "last": EPOCHS + 2}  # one that it has begun, one at the end


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_each_step_of_a_write(new_fit, tmp_path, step, write):
    fit, number = new_fit(PLAIN), WRITES[write]
    moment, is_new = STEPS[step]
    per_write = 2 if moment.function == "os:fsync" else 1
    kill(fit, moment._replace(n_calls=per_write * (number - 1) + 1))
    n_orphans = 0 if is_new or step == "before it is made" else 1
    assert len(os.listdir(tmp_path)) == (number > 1 or is_new) + n_orphans
    outcome = finish(fit)
    assert_same(fit, outcome)
    n_written = min(max(number - 1 - (not is_new), 0), EPOCHS)
    assert outcome.n_epochs == EPOCHS - n_written


@pytest.mark.parametrize(
    "before", [None, Moment(EPOCH, 3), Moment(END)], ids=["first", "third", "last"]
)
def test_killed_amid_the_content(new_fit, tmp_path, before):
    fit = new_fit(PLAIN)
    if before is not None:
        kill(fit, before)
    killed = kill(fit, Moment("os:write", 2))  # in the first write of this process
    assert killed.stage == Stage.WRITING
    orphan = next(path for path in tmp_path.iterdir() if path.name != NAME)
    assert orphan.stat().st_size == MOST_BYTES
    assert_same(fit, finish(fit))


@pytest.mark.parametrize("features", SETS)
def test_killed_after_the_end(new_fit, features):
    fit = new_fit(SETS[features])
    killed = kill(fit, Moment(FIT, is_after=True))
    assert killed.n_epochs == EPOCHS
    for _ in range(2):
        outcome = finish(fit)
        assert_same(fit, outcome)
        assert (outcome.n_epochs, outcome.n_calls) == (0, 0)


@pytest.mark.parametrize("features", SETS)
def test_epochs_that_were_not_written_are_trained_again(new_fit, features):
    fit = new_fit(SETS[features], seconds_between_writes=1000.0)
    assert kill(fit, after_epochs(4)).n_epochs == 4
    outcome = finish(fit)
    assert_same(fit, outcome)
    assert outcome.n_epochs == EPOCHS


def test_a_new_interpreter_goes_on(new_fit, monkeypatch):
    """Sets have another order there."""
    fit = new_fit(ALL_WITH_CALLBACKS)
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    kill(fit, after_epochs(2), "spawn")
    monkeypatch.setenv("PYTHONHASHSEED", "2")
    outcome = finish(fit, "spawn")
    assert_same(fit, outcome)
    assert outcome.n_epochs == EPOCHS - 2
