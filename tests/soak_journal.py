# SPDX-License-Identifier: BSD-3-Clause
"""What a soak has done so far, and how the memory of its process has grown meanwhile (Linux)."""

import os
import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

N_BLOCKS = 10


COUNTED = ("fits", "predictions", "traces")  # by which memory may grow


class Reading(NamedTuple):
    """What the process held after so many of each."""

    counts: tuple[int, ...]
    megabytes: float
    n_threads: int
    n_files: int


def read(counts: tuple[int, ...]) -> Reading:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    n_threads, n_files = (len(os.listdir(f"/proc/self/{name}")) for name in ("task", "fd"))
    return Reading(counts, pages * resource.getpagesize() / 2**20, n_threads, n_files)


class Journal:
    """Counts of what was done, and readings between the sequences of steps."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.networks: set[str] = set()
        self.readings: list[Reading] = []
        self.sequence: list[str] = []  # the steps of now
        self.failed: list[str] = []  # those that failed first

    @contextmanager
    def noting_failure(self) -> Iterator[None]:
        """Keep the steps that led to an exception, as the same may not lead there again."""
        try:
            yield
        except Exception:
            self.failed = self.failed or list(self.sequence)
            raise

    def read(self) -> None:
        self.readings.append(read(tuple(self.counts[name] for name in COUNTED)))


def growth(readings: list[Reading]) -> dict[str, tuple[float, float]]:
    """Return by how many MB memory grew with one of each that is counted, and the errors.

    Each is the slope of a straight line, by least squares, as if all growth were of that kind: so
    it is a limit. The errors are those of the jackknife: how the slopes change where each tenth of
    the readings is left out, since neighbours among them err alike.
    """
    counts = np.array([reading.counts for reading in readings], float)
    megabytes = np.array([reading.megabytes for reading in readings])
    blocks = np.array_split(np.arange(len(readings)), N_BLOCKS)
    others = np.array(
        [_slopes(np.delete(counts, block, axis=0), np.delete(megabytes, block)) for block in blocks]
    )
    errors = np.sqrt((N_BLOCKS - 1) * others.var(axis=0))
    pairs = zip(_slopes(counts, megabytes).tolist(), errors.tolist(), strict=True)
    return dict(zip(COUNTED, pairs, strict=True))


def _slopes(counts: np.ndarray, megabytes: np.ndarray) -> np.ndarray:
    return np.array([np.polyfit(column, megabytes, 1)[0] for column in counts.T])
