# SPDX-License-Identifier: BSD-3-Clause
"""Fits that go on where they were cut off, to the same bits."""

import contextlib
import hashlib
import os
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import fashioncnn
from fashioncnn._network.checkpoint import ResumableState

SECONDS_BETWEEN_WRITES = 10.0


def code_digest() -> str:
    """Return a short name for the code of the library."""
    digest: Any = hashlib.sha256()
    for source in sorted(Path(fashioncnn.__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


CODE = code_digest()  # which this process runs, whatever is changed later


class Interrupted(NamedTuple):
    """What is on disk of a fit: where it stands, by which code, and what it has taken."""

    state: ResumableState
    code: str
    seconds: float
    n_parts: int


class Clock:
    """The seconds of a fit, over all of its parts, and their number."""

    def __init__(self, before: Interrupted | None) -> None:
        self.seconds_before = before.seconds if before else 0.0
        self.n_parts = before.n_parts + 1 if before else 1
        self.started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """What the fit has taken so far; what was lost when it was cut off does not count."""
        return self.seconds_before + time.perf_counter() - self.started


@contextlib.contextmanager
def resumable(path: Path | None) -> Iterator[Clock]:
    """Let the fit within write where it stands to a file, and go on from there; None does not.

    The file is not deleted: do that when the results are written.
    """
    from fashioncnn._training import loop

    before = read(path) if path else None
    clock = Clock(before)
    if path is None:
        yield clock
        return

    class ResumableTraining(loop.Training):
        def run(self) -> None:
            with self:
                if before:
                    self.resume(before.state)
                written = time.monotonic()
                while self.goes_on:
                    self.run_epoch()
                    if time.monotonic() - written >= SECONDS_BETWEEN_WRITES:
                        replace(path, self.state(), clock)
                        written = time.monotonic()
                self.end()

    with mock.patch.object(loop, "Training", ResumableTraining):
        yield clock


def replace(path: Path, state: ResumableState, clock: Clock) -> None:
    """Write a state in place of the one before, so that the file is always a whole one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    interrupted = Interrupted(state, CODE, clock.seconds, clock.n_parts)
    part = path.with_suffix(f".{os.getpid()}")
    part.write_bytes(pickle.dumps(tuple(interrupted)))
    part.replace(path)


def read(path: Path) -> Interrupted | None:
    """Read what is there of a fit; what other code has written is of no use."""
    if not path.exists():
        return None
    interrupted = Interrupted(*pickle.loads(path.read_bytes()))
    return interrupted if interrupted.code == CODE else None
