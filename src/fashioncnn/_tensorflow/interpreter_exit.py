# SPDX-License-Identifier: BSD-3-Clause
"""The exit of the interpreter waits until no daemon thread is within TensorFlow.

Before Python 3.14, the exit ends a daemon thread as soon as that asks for the global interpreter
lock, and aborts the process if the thread is within C++:
https://github.com/python/cpython/issues/87135.

It does not wait for the import of TensorFlow. Functions that TensorFlow registers with `atexit`
during the exit would not be called, and the process would crash. An import that is cut off does not
crash it, unless other functions that are called at the exit give it the time to get so far.
"""

import atexit
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_SECONDS_TO_WAIT = 10.0  # at most, since a callback may itself wait for the exiting thread
_SECONDS_BETWEEN_LOOKS = 0.005

# They need no lock, which a fork or Ctrl-C could leave held: each change is one step under the GIL.
_within: set[int] = set()  # the threads within TensorFlow
_exiting_thread: int | None = None
_this_thread = threading.local()  # says `was_stopped`; a later thread may have the same number


@contextmanager
def within_tensorflow() -> Iterator[None]:
    """Let the exit of the interpreter wait for this thread.

    Raises
    ------
    SystemExit
        In a thread that comes here, or to `stop_at_exit`, after another one has begun the exit.
    """
    thread = threading.get_ident()
    if thread in _within:
        yield
        return
    try:
        _within.add(thread)
        stop_at_exit()
        yield
    except Exception:
        stop_at_exit()  # from Python 3.12 on no thread starts then, which is an error
        raise
    finally:
        _within.discard(thread)


def stop_at_exit() -> None:
    """Stop this thread if another one has begun the exit of the interpreter.

    SystemExit ends the thread without a word, and gives back the locks of its user, for which the
    exiting thread may wait. If the user catches it and comes again, the thread stops here for ever.
    """
    thread = threading.get_ident()
    if _exiting_thread in (None, thread):
        return
    if hasattr(_this_thread, "was_stopped"):
        _within.discard(thread)
        threading.Event().wait()
    _this_thread.was_stopped = True
    raise SystemExit


def _wait_for_other_threads() -> None:
    global _exiting_thread
    _exiting_thread = threading.get_ident()
    latest = time.monotonic() + _SECONDS_TO_WAIT
    with suppress(KeyboardInterrupt):
        while _within - {_exiting_thread} and time.monotonic() < latest:
            time.sleep(_SECONDS_BETWEEN_LOOKS)


def _begin_forked_process() -> None:
    global _exiting_thread
    _exiting_thread = None
    _within.intersection_update({threading.get_ident()})  # the one thread of this process


atexit.register(_wait_for_other_threads)
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_forked_process)
