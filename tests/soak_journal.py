# SPDX-License-Identifier: BSD-3-Clause
"""What a soak has done so far, and how the memory of its process has grown meanwhile (Linux)."""

import os
import resource
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

N_BLOCKS = 10


class Reading(NamedTuple):
    """What the process held after so many fits and predictions."""

    n_fits: int
    n_predictions: int
    megabytes: float
    n_threads: int
    n_files: int


def read(n_fits: int, n_predictions: int) -> Reading:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    n_threads, n_files = (len(os.listdir(f"/proc/self/{name}")) for name in ("task", "fd"))
    megabytes = pages * resource.getpagesize() / 2**20
    return Reading(n_fits, n_predictions, megabytes, n_threads, n_files)


class Journal:
    """Counts of what was done, and readings between the sequences of steps."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.networks: set[str] = set()
        self.readings: list[Reading] = []

    def read(self) -> None:
        self.readings.append(read(self.counts["fits"], self.counts["predictions"]))


class Growth(NamedTuple):
    """By how many MB memory grew with each fit and each prediction, and the errors of both."""

    per_fit: float
    per_prediction: float
    error_per_fit: float
    error_per_prediction: float
    megabytes: float  # over all readings
    n_fits: int
    n_predictions: int


def growth(readings: list[Reading]) -> Growth:
    """Fit a plane to the memory over both counts.

    The errors are those of the jackknife: how the slopes change where each tenth of the readings is
    left out, since neighbours among them err alike.
    """
    table = np.array([reading[:3] for reading in readings], float)
    blocks = np.array_split(np.arange(len(table)), N_BLOCKS)
    slopes = _slopes(table)
    others = np.array([_slopes(np.delete(table, block, axis=0)) for block in blocks])
    errors = np.sqrt((N_BLOCKS - 1) * others.var(axis=0))
    n_fits, n_predictions = (table[-1] - table[0])[:2].astype(int)
    both = _slopes(table) @ [n_fits, n_predictions]
    return Growth(*slopes, *errors, both, n_fits, n_predictions)


def _slopes(table: np.ndarray) -> np.ndarray:
    """Return the growth with each fit and each prediction, by least squares."""
    counts = np.column_stack([np.ones(len(table)), table[:, :2]])
    return np.linalg.lstsq(counts, table[:, 2])[0][1:]
