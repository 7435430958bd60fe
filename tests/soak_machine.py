# SPDX-License-Identifier: BSD-3-Clause
"""Many classifiers in one process, on which hypothesis does anything in any order.

After each step all classifiers predict the bits that they predicted when they were fitted, and
nothing that belongs to the process has changed. What was done is noted in `Soak.journal`.
"""

import copy
import functools
import gc
import itertools
import os
import signal
import tempfile
import traceback
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from copies import COPIES
from cut_fits import CutOffError, cut_off_after
from global_state import global_state
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)
from label_kinds import LABELS
from sklearn.base import clone
from soak_calls import SEEDS, EndAfter, Failed, Fit, Interrupted, fits, settings, tasks
from soak_journal import Journal

from fashioncnn import FashionCNNClassifier
from fashioncnn._files import checkpoint_file

NUMBERS = st.one_of(st.integers(1, 12), st.integers(1, 600))
METHODS = ["predict", "predict_proba", "predict_log_proba", "decision_function"]
MOST_MORE_THREADS, MOST_MORE_FILES = 16, 16  # than at the first reading
TOLERANCE = {"rtol": 1e-3, "atol": 1e-4}  # between engines


class Member:
    """A classifier, how it came about, and what it predicts."""

    _numbers = itertools.count()

    def __init__(self, clf: FashionCNNClassifier, history: list[Fit]) -> None:
        self._number = next(self._numbers)
        self.clf, self.history = clf, history
        self.params = clf.get_params()
        self.remember()

    def __repr__(self):
        return f"member {self._number}"

    @property
    def task(self):
        return self.history[-1].task

    def predict_few(self):
        """Let NumPy predict."""
        return self.clf.predict_proba(self.task.pictures(3, 1))

    def predict_many(self):
        """Let TensorFlow predict, unless it runs in the parent of this process."""
        return self.clf.predict_proba(self.task.pictures(30, 2))

    def go_on(self, fit):
        self.history = [*self.history, fit] if fit.goes_on else [fit]
        self.remember()

    def forget(self):
        """Leave nothing for those who still refer to it, as hypothesis does to all that it made."""
        del self.clf, self.few, self.many

    def remember(self):
        self.few, self.many = self.predict_few(), self.predict_many()
        self.metrics = repr(self.clf.history_)  # which may have NaN


def without_numbers(X):
    return np.full(X.shape, np.nan)


# What fails: what is changed of the arguments, and of the parameters.
FAULTS = {
    "NaN": ({"X": without_numbers}, {}),
    "short labels": ({"y": lambda y: y[1:]}, {}),
    "one class": ({"y": lambda y: np.repeat(y[:1], len(y))}, {}),
    "no weight": ({"sample_weight": lambda _: np.zeros(24)}, {}),
    "no epoch": ({}, {"epochs": 0}),
    "a callback": ({}, {"callbacks": EndAfter(0, Failed)}),
}


@contextmanager
def interrupt_after(seconds):
    """Raise an exception within, after so many seconds."""

    def interrupt(_, frame):
        if frame.f_code.co_name == "gc_callback":  # of hypothesis, where it would be lost
            signal.setitimer(signal.ITIMER_REAL, 0.001)
        else:
            raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    # NumPy leaves its error state changed if its own errstate is interrupted as it begins.
    with np.errstate():
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            try:
                yield
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt as error:
            is_of_user = error.__cause__ is None  # else TensorFlow had made another error of it
            if is_of_user and not isinstance(error, Interrupted):
                raise
        finally:
            signal.signal(signal.SIGALRM, before)


def said_by_child(function):
    """Call in a forked process, and return the traceback of what failed there."""
    receiving, sending = os.pipe()
    with warnings.catch_warnings(action="ignore"):  # of threads that the child lacks
        child = os.fork()
    if child == 0:
        try:
            signal.alarm(60)
            function()
        except BaseException:
            os.write(sending, traceback.format_exc()[-4000:].encode())
        finally:
            os._exit(0)
    os.close(sending)
    with os.fdopen(receiving) as pipe:
        text = pipe.read()
    status = os.waitpid(child, 0)[1]
    return text or (f"status {status}" if status else "")


def zombies():
    """List the children of this process that have ended, and that nobody waited for."""
    pid = os.getpid()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    states = {
        child: Path(f"/proc/{child}/stat").read_text().rpartition(")")[2] for child in children
    }
    return [child for child, state in states.items() if state.split()[0] == "Z"]


def counted(step):
    """Note in the journal that a step is taken."""

    @functools.wraps(step)
    def take(self, **arguments):
        self.journal.counts[step.__name__] += 1
        said = {name: value for name, value in arguments.items() if name != "data"}
        self.journal.sequence.append(f"{step.__name__} {said}")
        with self.journal.noting_failure():
            return step(self, **arguments)

    return take


class Soak(RuleBasedStateMachine):
    """Steps that end well, and what holds after each."""

    journal = Journal()
    most_calls = 100
    members = Bundle("members")

    def __init__(self):
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.files = Path(self._folder.name) / "files"
        self.working = Path(self._folder.name) / "working"
        self.files.mkdir()
        self.working.mkdir()
        self._outside = os.getcwd()
        os.chdir(self.working)
        self.journal.sequence.clear()
        self.alive: list[Member] = []
        self.saved: dict[str, Member] = {}
        self._global_state = global_state(self.working)

    # --- Steps ------------------------------------------------------------------------------------

    @precondition(lambda self: self.alive)
    @rule()
    @counted
    def let_all_predict(self):
        """Take those too whose programs are no longer compiled."""
        for member in self.alive:
            np.testing.assert_array_equal(member.predict_many(), member.many)
        self.journal.counts["predictions"] += len(self.alive)

    @rule(target=members, data=st.data())
    @counted
    def fit_another(self, data):
        task = data.draw(tasks())
        params = data.draw(settings(task))
        fit = data.draw(fits(task, params))
        self.journal.networks.add(task.network)
        clf = FashionCNNClassifier(**params)
        self._train(clf, fit)
        return self._add(clf, [fit])

    @rule(member=members, data=st.data(), goes_on=st.booleans())
    @counted
    def fit_again(self, member, data, goes_on):
        fit = data.draw(fits(member.task, member.params, may_go_on=goes_on))
        if not fit.goes_on:
            labels = data.draw(st.sampled_from(list(LABELS)))
            fit = fit._replace(task=member.task._replace(labels=labels))
        self._train(member.clf, fit)
        member.go_on(fit)

    @rule(
        member=members,
        data=st.data(),
        milliseconds=st.integers(1, 60),
        goes_on=st.booleans(),
    )
    @counted
    def fit_interrupted(self, member, data, milliseconds, goes_on):
        """Interrupt at any moment. The result is as if the call had been cut at an epoch."""
        clf = member.clf
        fit = data.draw(fits(member.task, member.params, may_go_on=goes_on))
        before, n_before = clf._network, clf.n_iter_ if fit.goes_on else 0
        with interrupt_after(milliseconds / 1000):
            self._train(clf, fit)
        clf.set_params(warm_start=False, callbacks=None)
        if clf._network is before:
            return
        self.journal.counts["interrupts"] += 1
        member.go_on(fit._replace(n_epochs=clf.n_iter_ - n_before))

    @rule(
        target=members,
        member=members,
        data=st.data(),
        cuts=st.lists(st.one_of(st.integers(0, 4), st.floats(0.001, 0.06)), max_size=3),
    )
    @counted
    def resume(self, member, data, cuts):
        """Cut a fit off some times, after epochs or at any moment, and let clones go on."""
        fit = data.draw(fits(member.task, member.params, in_pieces=False))
        straight = clone(member.clf)
        self._train(straight, fit)
        path = self.files / "run.checkpoint"
        path.unlink(missing_ok=True)
        clf = clone(member.clf).set_params(checkpoint=path)
        with mock.patch.object(checkpoint_file, "SECONDS_BETWEEN_WRITES", 0):
            for cut in cuts:
                if isinstance(cut, float):
                    with interrupt_after(cut):
                        self._train(clone(clf), fit)
                else:
                    with suppress(CutOffError), cut_off_after(cut):
                        self._train(clone(clf), fit)
            self._train(clf, fit)
            again = clone(clf)
            self._train(again, fit)
        expected = Member(straight, [fit])
        for resumed in (clf, again):
            resumed.set_params(checkpoint=None)
            self._assert_same(Member(resumed, [fit]), expected)
        return self._add(clf, [fit])

    @rule(member=members, fault=st.sampled_from(list(FAULTS)), seed=SEEDS, goes_on=st.booleans())
    @counted
    def fit_in_vain(self, member, fault, seed, goes_on):
        clf, (changes, params) = member.clf, FAULTS[fault]
        arguments = Fit(member.task, "fit", 24, seed).arguments()
        for name, change in changes.items():
            arguments[name] = change(arguments.get(name))
        clf.set_params(warm_start=goes_on, **params)
        before = dict(vars(clf))
        self.journal.counts["fits"] += 1
        with pytest.raises((ValueError, Failed)):
            clf.fit(**arguments)
        assert vars(clf).keys() == before.keys()
        assert all(vars(clf)[name] is value for name, value in before.items())
        clf.set_params(**member.params)

    @rule(member=members)
    @counted
    def fit_a_clone(self, member):
        """Do all that led to a classifier again."""
        clf = clone(member.clf)
        for fit in member.history:
            self._train(clf, fit)
        self._assert_same(Member(clf, member.history), member)

    @rule(
        member=members,
        method=st.sampled_from(METHODS),
        n=NUMBERS,
        seed=SEEDS,
        is_flat=st.booleans(),
        share=st.floats(0, 1),
    )
    @counted
    def predict(self, member, method, n, seed, is_flat, share):
        X = member.task.pictures(n, seed, is_flat=is_flat)
        predict = getattr(member.clf, method)
        first = predict(X)
        n_calls = 1 + int(share * self.most_calls)
        for _ in range(n_calls):
            np.testing.assert_array_equal(predict(X), first)
        probabilities = member.clf.predict_proba(X)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
        labels = member.clf.classes_[probabilities.argmax(axis=1)]
        assert member.clf.score(X, labels) == 1
        self.journal.counts["predictions"] += n_calls + 3

    @rule(target=members, member=members, way=st.sampled_from(list(COPIES)))
    @counted
    def copy(self, member, way):
        return self._add(COPIES[way](member.clf, self.files), member.history, like=member)

    @rule(member=members, name=st.sampled_from("ab"))
    @counted
    def save(self, member, name):
        member.clf.save(self.files / name)
        self.saved[name] = copy.copy(member)

    @precondition(lambda self: self.saved)
    @rule(target=members, name=st.sampled_from("ab"))
    @counted
    def load(self, name):
        if name not in self.saved:
            return multiple()
        member = self.saved[name]
        clf = FashionCNNClassifier.load(self.files / name)
        return self._add(clf, member.history, like=member)

    @rule(member=members)
    @counted
    def fork(self, member):
        def check():
            np.testing.assert_array_equal(member.predict_few(), member.few)
            np.testing.assert_allclose(member.predict_many(), member.many, **TOLERANCE)
            with pytest.raises(RuntimeError, match="before this process was forked"):
                member.history[0].run(copy.copy(member.clf))

        assert said_by_child(check) == ""

    @rule(member=members)
    @counted
    def ask_for_the_model(self, member):
        images = member.task.pictures(30, 2).astype(np.float32)
        probabilities = member.clf.model_(images, training=False)
        np.testing.assert_allclose(probabilities, member.many, **TOLERANCE)

    @rule(member=members)
    @counted
    def export(self, member):
        contents = []
        for name in ("one.onnx", "two.onnx"):
            member.clf.export_onnx(self.files / name)
            contents.append((self.files / name).read_bytes())
        assert contents[0] == contents[1]

    @rule(member=consumes(members))
    @counted
    def forget(self, member):
        self.alive.remove(member)
        member.forget()

    # --- What holds -------------------------------------------------------------------------------

    @invariant()
    def nothing_has_changed(self):
        with self.journal.noting_failure():
            self._check_members()
            self._check_process()

    def _check_members(self):
        counts = self.journal.counts
        counts["steps"] += 1
        for member in self.alive:
            np.testing.assert_array_equal(member.predict_few(), member.few)
            assert member.clf.get_params() == member.params
        if self.alive:  # by turns: what is no longer compiled takes time
            member = self.alive[counts["steps"] % len(self.alive)]
            np.testing.assert_array_equal(member.predict_many(), member.many)
        counts["predictions"] += len(self.alive) + 1

    def _check_process(self):
        assert Path.cwd() == self.working
        state, before = global_state(self.working), self._global_state
        assert [name for name, value in before.items() if state[name] != value] == []
        known = {"a", "b", "model", "classifier", "one.onnx", "two.onnx", "run.checkpoint"}
        assert {path.name for path in self.files.iterdir()} <= known
        assert zombies() == []

    def teardown(self):
        os.chdir(self._outside)
        for member in [*self.alive, *self.saved.values()]:
            member.forget()
        self._folder.cleanup()
        gc.collect()
        self.journal.read()
        first, last = self.journal.readings[0], self.journal.readings[-1]
        assert last.n_threads <= first.n_threads + MOST_MORE_THREADS
        assert last.n_files <= first.n_files + MOST_MORE_FILES

    # --- Parts of steps ---------------------------------------------------------------------------

    def _train(self, clf, fit):
        self.journal.counts["fits"] += 1
        self.journal.sequence.append(f"    {clf} {fit}")
        fit.run(clf)

    def _add(self, clf, history, like=None):
        member = Member(clf, history)
        if like is not None:
            self._assert_same(member, like)
        self.alive.append(member)
        return member

    def _assert_same(self, member, other):
        np.testing.assert_array_equal(member.few, other.few)
        np.testing.assert_array_equal(member.many, other.many)
        assert member.metrics == other.metrics
