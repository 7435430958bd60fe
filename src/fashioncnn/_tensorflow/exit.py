# SPDX-License-Identifier: BSD-3-Clause
"""The end of the interpreter waits until no other thread is within TensorFlow.

Before Python 3.14, the interpreter ends a daemon thread as soon as that asks for its lock, and
aborts the process if that happens within C++: https://github.com/python/cpython/issues/87135.

It does not wait for the import of TensorFlow: what that registers with `atexit` while functions so
registered are called is never called, and the process crashes as it ends. An import that is ended
halfway does not.
"""

import atexit
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_SECONDS_TO_WAIT = 10.0  # at most, for callbacks that wait for the thread that ends
_SECONDS_BETWEEN_LOOKS = 0.005

# Sets and names need no lock, which a fork or Ctrl-C could leave held.
_within: set[int] = set()  # the threads within TensorFlow
_ends_in: int | None = None  # the thread that ends the interpreter, once it does


@contextmanager
def within_tensorflow() -> Iterator[None]:
    """Let the end of the interpreter wait for this thread.

    Once the interpreter ends, another thread than the one that ends it stops here for ever.
    """
    thread = threading.get_ident()
    if thread in _within:
        yield
        return
    _within.add(thread)
    try:
        stop_at_exit()
        yield
    finally:
        _within.discard(thread)


def stop_at_exit() -> None:
    """Stop this thread for ever if another one ends the interpreter. It must hold no lock."""
    thread = threading.get_ident()
    if _ends_in not in (None, thread):
        _within.discard(thread)
        threading.Event().wait()


def _wait_for_other_threads() -> None:
    global _ends_in
    _ends_in = threading.get_ident()
    latest = time.monotonic() + _SECONDS_TO_WAIT
    while _within - {_ends_in} and time.monotonic() < latest:
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _begin_forked_process() -> None:
    _within.intersection_update({threading.get_ident()})  # it has this thread only


atexit.register(_wait_for_other_threads)
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_forked_process)
