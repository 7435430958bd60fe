# SPDX-License-Identifier: BSD-3-Clause
"""Locks in a process that was forked while another thread held them."""

import subprocess
import sys

import pytest

FORK_WHILE_LOCKED = """
import os, threading
from fashioncnn._tensorflow.start import Lock

lock, held, ended = Lock(), threading.Event(), threading.Event()

def hold():
    with lock.mutex:
        held.set()
        ended.wait()

threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    os._exit(0 if lock.mutex.acquire(timeout=5) else 1)
assert lock.mutex.locked()
ended.set()
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_lock_is_free_in_a_forked_process():
    command = [sys.executable, "-c", FORK_WHILE_LOCKED]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    assert result.stdout == "0\n"
