# SPDX-License-Identifier: BSD-3-Clause
"""Forked processes, before TensorFlow ran and after: what works there, and what is refused."""

import os
import subprocess
import sys

import joblib
import numpy as np
import pytest

from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork")

COMMON = """
import faulthandler, multiprocessing, os, signal, sys, threading, time
import joblib
import numpy as np
from joblib import Parallel, delayed, parallel_config
from sklearn.model_selection import cross_val_score
from fashioncnn import FashionCNNClassifier
from fashioncnn._tensorflow import start

faulthandler.dump_traceback_later(100, exit=True)  # the end of whoever hangs, and where
trained = joblib.load("trained.joblib")
pictures, labels = np.load("pictures.npy"), np.load("labels.npy")
X, y = np.arange(40.0).reshape(10, 4), np.arange(10) % 2
clf = FashionCNNClassifier((2,), (), epochs=1, random_state=0)

def in_child(function):
    receive, send = multiprocessing.Pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            send.send(function())
        except Exception as error:
            send.send(f"{type(error).__name__}: {error}")
        os._exit(0)
    send.close()
    answer = receive.recv()
    assert os.waitpid(child, 0)[1] == 0
    return answer

def answers(n_images):
    X, y = pictures[:n_images], labels[:n_images]
    methods = (trained.predict_proba, trained.predict_log_proba, trained.decision_function)
    return {
        "label": trained.predict(X), "score": trained.score(X, y),
        **{method.__name__: method(X) for method in methods},
    }

def assert_close(answer, expected):
    assert not isinstance(answer, str), answer
    assert (answer.pop("label") == expected["label"]).all()
    for name, values in answer.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-5, err_msg=name)

def assert_predicts(run=in_child):  # one image, and many
    one, many = (run(lambda: answers(n_images)) for n_images in (1, 100))
    assert_close(one, expected[1])
    assert_close(many, expected[100])

def assert_refused(function, message="RuntimeError: TensorFlow ran before this process was forked"):
    answer = in_child(lambda: repr(function()))
    assert answer.startswith(message), answer
"""
WITH_TENSORFLOW = """
expected = {n_images: answers(n_images) for n_images in (1, 100)}
assert start._is_running()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Give a folder with a trained classifier, pictures and their labels."""
    X, y = load_fashion_mnist_sample("train", as_names=True)
    folder = tmp_path_factory.mktemp("forks")
    clf = FashionCNNClassifier(epochs=1, random_state=0).fit(X[:256], y[:256])
    joblib.dump(clf, folder / "trained.joblib")
    np.save(folder / "pictures.npy", X[-100:])
    np.save(folder / "labels.npy", y[-100:])
    return folder


def run(code, folder):
    """Run a script in a process where TensorFlow has not been imported."""
    result = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert result.returncode == 0, result.stderr


PREDICTIONS = """
assert_predicts()
assert_predicts(lambda function: in_child(lambda: in_child(function)))

# While a thread between predictions holds our locks.
held, ended = threading.Event(), threading.Event()

def hold():
    locks = list(start._locks)
    assert locks
    for lock in locks:
        lock.mutex.acquire()
    held.set()
    ended.wait()
    for lock in locks:
        lock.mutex.release()

thread = threading.Thread(target=hold, daemon=True)
thread.start()
held.wait()
assert_predicts()
ended.set()
thread.join()

# Checked before TensorFlow would be needed; the parent goes on with it.
assert_refused(lambda: trained.predict(pictures[:, 1:]), "ValueError: X has images of shape")
assert_predicts(lambda function: function())
"""


def test_a_process_predicts_that_was_forked_after_tensorflow_ran(folder):
    run(COMMON + WITH_TENSORFLOW + PREDICTIONS, folder)


LOCKED = """
lock, held, ended = start.Lock(), threading.Event(), threading.Event()

def hold():
    with lock.mutex:
        held.set()
        ended.wait()

threading.Thread(target=hold, daemon=True).start()
held.wait()
assert in_child(lambda: lock.mutex.acquire(timeout=5))
assert lock.mutex.locked()
ended.set()
"""


def test_a_lock_is_free_in_a_forked_process(folder):
    run(COMMON + LOCKED, folder)


EXITING = """
from fashioncnn._tensorflow import interpreter_exit

began, ended = threading.Event(), threading.Event()

def stay():
    with interpreter_exit.within_tensorflow():
        began.set()
        ended.wait()

def enter_and_exit():
    with interpreter_exit.within_tensorflow():
        pass
    interpreter_exit._wait_for_other_threads()
    return interpreter_exit._within

threading.Thread(target=stay, daemon=True).start()
began.wait()
interpreter_exit._exiting_thread = -1  # another one
assert in_child(enter_and_exit) == set()
assert len(interpreter_exit._within) == 1
ended.set()
"""


def test_an_exit_waits_for_no_thread_that_a_fork_has_left_behind(folder):
    run(COMMON + EXITING, folder)


TRAINING = """
for ask in (lambda: clf.fit(X, y), lambda: clf.partial_fit(X, y, [0, 1]), lambda: trained.model_):
    assert_refused(ask)
import keras
teacher = keras.Sequential([keras.Input((2000,)), keras.layers.Dense(4000)])
holder = keras.callbacks.Callback()
holder.teacher = teacher  # which to copy takes threads
clf.set_params(callbacks=holder)
assert_refused(lambda: clf.fit(X, y))
clf.set_params(callbacks=None)
assert_refused(lambda: clf.fit(X * np.nan, y), "ValueError: Input X contains NaN")  # first
clf.fit(X, y).predict(X)
"""


@pytest.mark.processes
def test_training_is_refused_there(folder):
    run(COMMON + WITH_TENSORFLOW + TRAINING, folder)


USED_BY_OTHERS = """
import tensorflow
expected = {n_images: answers(n_images) for n_images in (1, 100)}
tensorflow.ones((9, 9)) @ tensorflow.ones((9, 9))
assert_predicts()
assert_refused(lambda: clf.fit(X, y))
"""


@pytest.mark.processes
def test_a_process_forked_after_others_used_tensorflow(folder):
    run(COMMON + USED_BY_OTHERS, folder)


JOBLIB = """
with parallel_config(backend="multiprocessing", n_jobs=2):
    ones = Parallel()(delayed(trained.predict_proba)(picture[None]) for picture in pictures[:9])
    halves = Parallel()(delayed(trained.predict)(half) for half in np.split(pictures, 2))
    try:
        cross_val_score(clf, X, y, cv=2, error_score="raise")
    except RuntimeError as error:
        assert "Use joblib's default backend (loky)" in str(error)
    else:
        raise AssertionError
many = expected[100]
np.testing.assert_allclose(np.concatenate(ones), many["predict_proba"][:9], rtol=1e-4, atol=1e-5)
assert (np.concatenate(halves) == many["label"]).all()
for backend in ("loky", "threading"):  # the remedies
    with parallel_config(backend=backend, n_jobs=2):
        assert len(cross_val_score(clf, X, y, cv=2, error_score="raise")) == 2
"""


@pytest.mark.processes
def test_joblib_forks(folder):
    run(COMMON + WITH_TENSORFLOW + JOBLIB, folder)


BEFORE = """
assert in_child(lambda: clf.fit(X, y).predict(X).shape) == (10,)
with parallel_config(backend="multiprocessing", n_jobs=2):
    assert len(cross_val_score(clf, X, y, cv=2, error_score="raise")) == 2
answer = in_child(lambda: answers(100))  # by TensorFlow, as later here
assert "tensorflow" not in sys.modules
expected = answers(100)
assert (answer["predict_proba"] == expected["predict_proba"]).all()
"""
IMPORTED = """
import tensorflow  # which does not start its threads
assert in_child(lambda: clf.fit(X, y).predict(X).shape) == (10,)
"""
HALF_IMPORTED = """
thread = threading.Thread(target=clf.fit, args=(X, y))
thread.start()
while "tensorflow" not in sys.modules:
    time.sleep(0.01)
assert_refused(lambda: clf.fit(X, y))
answer = in_child(lambda: answers(100))
thread.join()
assert_close(answer, answers(100))
"""


@pytest.mark.slow
@pytest.mark.parametrize("code", [BEFORE, IMPORTED, HALF_IMPORTED], ids=["no", "yes", "half"])
def test_a_process_forked_before_tensorflow_runs(code, folder):
    run(COMMON + code, folder)
