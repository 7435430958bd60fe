# SPDX-License-Identifier: BSD-3-Clause
"""Whatever ends a fit early, the classifier is whole: as by complete epochs, or as it was."""

import copy
import inspect
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from keras.callbacks import LambdaCallback
from sklearn.model_selection import GridSearchCV

import fashioncnn
from fashioncnn._tensorflow import program, start
from fashioncnn._training import loop

SOURCE = str(Path(fashioncnn.__file__).parent)


@pytest.fixture(autouse=True)
def hears_interrupts():
    """Install Python's handler, which is missing in what a shell has started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Break:
    """Raise an error in the n-th call of the package's functions; 0 for none, to count them."""

    def __init__(self, error, number=0):
        self.error, self.number, self.count, self.is_done = error, number, 0, False

    def __enter__(self):
        sys.setprofile(self.look)
        return self

    def __exit__(self, *exception):
        sys.setprofile(None)

    def look(self, frame, event, argument):
        code = frame.f_code
        is_generator = code.co_flags & inspect.CO_GENERATOR  # which is called to be closed, too
        if event == "call" and code.co_filename.startswith(SOURCE) and not is_generator:
            self.count += 1
            if self.count == self.number:
                self.is_done = True
                sys.setprofile(None)
                raise self.error(f"within {code.co_qualname}")


VARIANTS = {
    "plain": {"epochs": 2},
    "validation": {"epochs": 2, "validation_fraction": 0.2, "class_weight": "balanced"},
    "early stopping": {"epochs": 4, "early_stopping": True, "n_iter_no_change": 1, "tol": 0.2},
    "warm start": {"epochs": 2, "warm_start": True},
    "callbacks": {"epochs": 2, "callbacks": [LambdaCallback(on_batch_end=lambda *_, logs: None)]},
    "partial fit": {"augment": "flip_shift"},
}
# A kind of fit, and which of its steps: every third one of a kind, and if slow every one of all.
STEPS = [
    ("validation", 3),
    *(pytest.param(name, 1, marks=pytest.mark.slow) for name in VARIANTS),
]


def prepared(clf, name, X, y):
    """Give a copy of a classifier, and the call that fits it."""
    clf = copy.copy(clf)
    if name == "partial fit":
        return clf, partial(clf.partial_fit, X, y, np.unique(y))
    return clf, partial(clf.fit, X, y)


def calls_of_a_fit(clf, name, X, y):
    """Count the calls of the package's functions once all is compiled."""
    for _ in range(2):
        _, fit = prepared(clf, name, X, y)
        with Break(RuntimeError) as fault:
            fit()
    assert fault.count > 50
    return fault.count


@pytest.fixture
def few(images):
    """Give as many images as make a whole batch and a part of one."""
    X, y = images
    return X[:36], y[:36]


@pytest.fixture
def a_step_per_call(monkeypatch):
    """Let the number of calls not depend on time."""
    monkeypatch.setattr(loop, "_SECONDS_PER_CALL", 0)


@pytest.mark.usefixtures("a_step_per_call")
@pytest.mark.parametrize(("name", "stride"), STEPS)
def test_a_fault_in_any_step_of_a_refit_leaves_all_as_it_was(few, small, name, stride):
    X, y = few
    fitted, fit = prepared(small(**VARIANTS[name]), name, X, y)
    before = fit().predict_proba(X)
    for number in range(1, calls_of_a_fit(fitted, name, X, y) + 1, stride):
        clf, fit = prepared(fitted, name, X, y)
        attributes = dict(vars(clf))
        # While callbacks are copied, it comes as a TypeError that names the callback.
        raised = pytest.raises((RuntimeError, TypeError), match="within ")
        with Break(RuntimeError, number), raised:
            fit()
        assert vars(clf).keys() == attributes.keys()
        assert all(vars(clf)[key] is value for key, value in attributes.items())
        np.testing.assert_array_equal(clf.predict_proba(X), before)


@pytest.mark.usefixtures("a_step_per_call")
@pytest.mark.parametrize(("name", "stride"), STEPS)
def test_an_interrupt_in_any_step_keeps_the_complete_epochs(few, small, name, stride):
    X, y = few
    start = small(**VARIANTS[name])
    if name == "warm start":
        start.fit(X, y)
    ends = {}
    for epochs in range(1, 1 + start.epochs):
        end, fit = prepared(start, name, X, y)
        end.set_params(epochs=epochs)
        fit()
        ends[end.n_iter_] = end
    seen = set()
    for number in range(1, calls_of_a_fit(start, name, X, y) + 1, stride):
        clf, fit = prepared(start, name, X, y)
        attributes = dict(vars(clf))
        with Break(KeyboardInterrupt, number), pytest.raises(KeyboardInterrupt, match="within "):
            fit()
        if vars(clf).get("_network") is attributes.get("_network"):
            assert vars(clf) == attributes
            seen.add(None)
        else:
            end = ends[clf.n_iter_]
            assert (clf.history_, clf.best_epoch_) == (end.history_, end.best_epoch_)
            np.testing.assert_array_equal(clf.predict_proba(X), end.predict_proba(X))
            seen.add(clf.n_iter_)
    assert seen == {None, *ends}


@pytest.mark.parametrize("name", ["new_training_variables", "trace_training", "trace_forward"])
def test_a_fault_while_a_program_is_compiled(images, small, monkeypatch, name):
    X, y = images
    clf = small(epochs=1, validation_fraction=0.2).fit(X, y)
    before, attributes = clf.predict_proba(X), dict(vars(clf))
    for cache in ("_programs", "_idle_variables"):
        monkeypatch.setattr(program, cache, type(getattr(program, cache))())
    with monkeypatch.context() as broken:
        broken.setattr(program, name, None)
        with pytest.raises(TypeError, match="NoneType"):
            clf.fit(X, y)
    assert vars(clf) == attributes
    np.testing.assert_array_equal(clf.predict_proba(X), before)
    np.testing.assert_array_equal(clf.fit(X, y).predict_proba(X), before)


def interrupt(epoch, logs=None):
    if epoch == 2:
        raise KeyboardInterrupt


@pytest.mark.parametrize("inside_graph", [False, True])
def test_an_interrupt_reaches_training_in_a_graph_of_the_user(images, small, inside_graph):
    X, y = images
    clf = small(callbacks=LambdaCallback(on_epoch_begin=interrupt))
    surroundings = tf.Graph().as_default() if inside_graph else nullcontext()
    with surroundings, pytest.raises(KeyboardInterrupt):
        clf.fit(X, y)
    assert clf.n_iter_ == 2
    expected = small(epochs=2).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(clf.predict_proba(X), expected)


def pending():
    """Return what Python says of a C function that goes on with an interrupt pending."""
    error = SystemError("<built-in method __array__> returned a result with an exception set")
    error.__cause__ = TypeError("another")
    error.__cause__.__cause__ = KeyboardInterrupt()
    return error


def taken_for_a_lack():
    """Return what TensorFlow says where the interrupt strikes while it asks for its context."""
    return TypeError(
        "Expected `context` argument in EagerTensor constructor to have a `_handle` attribute but "
        "it did not. Was eager Context initialized?"
    )


def taken_for_a_lack_and_pending():
    error = SystemError("<built-in method __array__> returned a result with an exception set")
    error.__cause__ = taken_for_a_lack()
    return error


@pytest.mark.parametrize("make", [pending, taken_for_a_lack, taken_for_a_lack_and_pending])
def test_an_interrupt_that_tensorflow_makes_an_error_of_is_one(images, small, make):
    def interrupt_in_c(epoch, logs=None):
        if epoch == 2:
            raise make()

    clf = small(callbacks=LambdaCallback(on_epoch_begin=interrupt_in_c))
    with pytest.raises(KeyboardInterrupt) as caught:
        clf.fit(*images)
    assert isinstance(caught.value.__cause__, (SystemError, TypeError))
    assert clf.n_iter_ == 2


@pytest.mark.parametrize("kind", [SystemError, TypeError])
def test_other_errors_of_these_kinds_are_none(images, small, kind):
    def fail(epoch, logs=None):
        raise kind("of another kind")

    clf = small(callbacks=LambdaCallback(on_epoch_end=fail))
    with pytest.raises(kind, match="of another kind"):
        clf.fit(*images)
    assert not hasattr(clf, "classes_")


def test_a_search_does_not_go_on_after_an_interrupt(images, small):
    clf = small(callbacks=LambdaCallback(on_epoch_begin=interrupt))
    search = GridSearchCV(clf, {"learning_rate": [0.1, 0.01]}, cv=2)
    with pytest.raises(KeyboardInterrupt):
        search.fit(*images)
    assert not hasattr(search, "best_estimator_")


def end_process(number, frame):
    raise SystemExit(128 + number)


@pytest.mark.parametrize(
    ("number", "handler", "error"),
    [
        (signal.SIGINT, signal.default_int_handler, KeyboardInterrupt),
        (signal.SIGTERM, end_process, SystemExit),
    ],
)
def test_what_is_begun_in_a_thread_ends_before_a_signal_is_heard(number, handler, error):
    ended = []

    def run():
        for _ in range(2):
            os.kill(os.getpid(), number)
            time.sleep(0.1)
        ended.append(True)

    before = signal.signal(number, handler)
    try:
        with pytest.raises(error):
            start.call_in_thread(run)
    finally:
        signal.signal(number, before)
    assert ended
    assert "fashioncnn" not in {thread.name for thread in threading.enumerate()}


AT_A_MOMENT = """
import os, signal, sys, threading, time
import numpy as np
from sklearn.exceptions import NotFittedError
from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample

X, y = load_fashion_mnist_sample("train")
settings = {"early_stopping": sys.argv[2] == "early", "n_iter_no_change": 99}
clf = FashionCNNClassifier((8,), (), epochs=12, random_state=0, **settings)

def interrupt(moment):
    if moment == "the import of TensorFlow":
        while "tensorflow" not in sys.modules:
            time.sleep(0.001)
    else:
        time.sleep(float(moment))
    os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # which the shell may have taken away
threading.Thread(target=interrupt, args=sys.argv[1:2], daemon=True).start()
try:
    clf.fit(X, y)
    time.sleep(99)  # for the signal, if the machine was fast
except KeyboardInterrupt:
    pass
try:
    n_epochs = len(clf.predict_proba(X)) and clf.n_iter_
    kept = clf.predict_proba(X)
except NotFittedError:
    n_epochs = 0
if n_epochs:
    again = FashionCNNClassifier(**clf.get_params()).set_params(epochs=n_epochs).fit(X, y)
    assert (again.predict_proba(X) == kept).all()
    assert again.history_ == clf.history_ and again.best_epoch_ == clf.best_epoch_
clf.set_params(epochs=1).fit(X[:300], y[:300]).predict(X)
print("complete epochs:", n_epochs)
"""


def complete_epochs(moment, kind, environment):
    command = [sys.executable, "-c", AT_A_MOMENT, str(moment), kind]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return int(result.stdout.removeprefix("complete epochs: "))


def test_a_signal_while_tensorflow_is_imported(user_environment):
    assert complete_epochs("the import of TensorFlow", "plain", user_environment) == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "early"])
def test_a_signal_at_any_moment(kind, user_environment):
    epochs_at = partial(complete_epochs, kind=kind, environment=user_environment)
    started = time.perf_counter()
    assert epochs_at(0.2) == 0
    longest = 1.5 * (time.perf_counter() - started)  # that was the import and a short fit
    moments = 0.2 + (np.arange(9) + np.random.default_rng().random(9)) / 9 * longest  # ever others
    with ThreadPoolExecutor(2) as pool:
        assert len(set(pool.map(epochs_at, moments))) > 1, moments


TOO_LARGE = """
import numpy as np
from fashioncnn import FashionCNNClassifier
X = np.zeros((2, 3000, 3000), np.uint8)
X[1] = 1
clf = FashionCNNClassifier((60_000,), (), kernel_size=1, pool_size=3000, epochs=1)
try:
    clf.fit(X, [0, 1])
except MemoryError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks for more memory than there is")
def test_too_little_memory():
    result = subprocess.run(
        [sys.executable, "-c", TOO_LARGE],
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"},  # which would end the process
        capture_output=True,
        text=True,
    )
    assert result.stdout.startswith("TensorFlow has too little memory. Make the network's")
