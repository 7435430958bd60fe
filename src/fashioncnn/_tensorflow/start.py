# SPDX-License-Identifier: BSD-3-Clause
"""When TensorFlow starts: when it is first needed, and not in a process forked after it ran."""

import importlib
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import TypeVar

from fashioncnn._tensorflow.interpreter_exit import within_tensorflow

T = TypeVar("T")
Key = TypeVar("Key")
Value = TypeVar("Value")

_BACKEND = "fashioncnn._tensorflow.backend"  # imported by its name, since it imports this module
_SECONDS_TO_BEGIN = 1.0  # more than a new thread ever takes

_has_lost_tensorflow = False


def has_lost_tensorflow() -> bool:
    """Say whether this process was forked from one where TensorFlow ran, or was being imported.

    A fork does not copy TensorFlow's threads, so every computation would wait for them for ever.
    """
    return _has_lost_tensorflow


@contextmanager
def tensorflow_started() -> Iterator[None]:
    """Import TensorFlow unless it is imported; the exit of the interpreter waits for this thread.

    Raises
    ------
    RuntimeError
        If this process has lost TensorFlow.
    """
    if has_lost_tensorflow():
        raise RuntimeError(
            "TensorFlow ran before this process was forked, and can't run here: predictions work, "
            "but not fit, partial_fit and model_. Use joblib's default backend (loky) or threads "
            "in place of 'multiprocessing', or the start method 'spawn' or 'forkserver' of "
            "Python's multiprocessing; or fork before the first fit, model_ and prediction of many "
            "images."
        )
    if _BACKEND not in sys.modules or _is_being_imported():
        # Half an import could not be finished later, and Ctrl-C reaches the main thread only. What
        # TensorFlow writes to stderr meanwhile stays: to hide it would hide why a process crashes.
        call_in_thread(lambda: importlib.import_module(_BACKEND))
    with within_tensorflow():
        yield


class Lock:
    """A lock that is free in a forked process, even if another thread held it at the fork.

    Attributes
    ----------
    mutex : threading.Lock
        The lock itself, for ``with lock.mutex:``. Ctrl-C in a method of ours that acquires it could
        leave it held.
    """

    def __init__(self) -> None:
        self.mutex = threading.Lock()
        _locks.add(self)


_locks: weakref.WeakSet[Lock] = weakref.WeakSet()


def get_or_make(
    values: MutableMapping[Key, Value], key: Key, make: Callable[[], Value], lock: Lock
) -> Value:
    """Return the value of a key; it is made once, by the first thread that asks for it."""
    value = values.get(key)
    if value is None:
        with lock.mutex:
            value = values.get(key)
            if value is None:
                value = values[key] = make()
    return value


def call_in_thread(function: Callable[[], T]) -> T:
    """Call a function in a new thread, and wait for it even if a signal ends the waiting.

    Its handler raises KeyboardInterrupt after Ctrl-C, and whatever its author likes after others.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    began, ended = threading.Event(), threading.Event()

    def run() -> None:
        began.set()
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)
        finally:
            ended.set()

    try:
        threading.Thread(target=run, name="fashioncnn", daemon=True).start()
        _wait(ended)  # Thread.join would wait no more after an interrupt
    except BaseException:
        if began.wait(_SECONDS_TO_BEGIN):  # else the signal was there before the thread
            _wait(ended)
        raise
    if errors:
        raise errors[0]
    return results[0]


def _wait(event: threading.Event) -> None:
    try:
        event.wait()
    except BaseException:
        _wait(event)
        raise


def _is_running() -> bool:
    """Say whether TensorFlow has started its threads: then it refuses another number of them."""
    tf = sys.modules.get("tensorflow")
    if tf is None:
        return False
    threads = tf.config.threading
    number = threads.get_inter_op_parallelism_threads()
    try:
        threads.set_inter_op_parallelism_threads(number + 1)
    except RuntimeError:
        return True
    threads.set_inter_op_parallelism_threads(number)
    return False


def _is_being_imported() -> bool:
    """Say whether another thread is importing TensorFlow, whose locks a fork copies as they are."""
    modules = (sys.modules.get(name) for name in ("tensorflow", "keras", _BACKEND))
    specs = (getattr(module, "__spec__", None) for module in modules)
    return any(getattr(spec, "_initializing", False) for spec in specs)


def _begin_forked_process() -> None:
    global _has_lost_tensorflow
    _has_lost_tensorflow = _has_lost_tensorflow or _is_being_imported() or _is_running()
    for lock in _locks:
        lock.mutex = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_forked_process)
