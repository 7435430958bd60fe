# SPDX-License-Identifier: BSD-3-Clause
"""What is measured, with which libraries, on how much."""

from dataclasses import dataclass
from typing import Any

Cases = tuple[dict[str, Any], ...]

CORES = "cores"  # in a task's libraries: measure what the cores reach, too
SLOW = ("trees",)  # left out of a short run

_OURS = ("fashioncnn", "fashioncnn-auto")
_NETWORKS = ("fashioncnn", "keras", "scikeras", "skorch")
_OTHERS = ("mlp", "trees")


@dataclass(frozen=True)
class Task:
    """One measurement, to be repeated for each of its cases and libraries.

    Attributes
    ----------
    title : str
        What is done, with the case's arguments to fill in.
    function : str
        The method of `_measure.Session` that does it.
    libraries : tuple of str
        Who does it.
    full, short : tuple of dict
        The arguments of each case. "threads" are for the process, the others for the method.
    fresh : bool
        Whether each measurement has a process of its own.
    most : int
        How often it is repeated at most.
    measures : tuple of (str, str)
        The names of its results that are compared, and what to add to the title.
    """

    title: str
    function: str
    libraries: tuple[str, ...]
    full: Cases
    short: Cases
    fresh: bool = False
    most: int = 100
    measures: tuple[tuple[str, str], ...] = (("seconds", ""),)


_WORK_AND_CALL = (("seconds", ""), ("call seconds", ", to the end of the call"))

TASKS: dict[str, Task] = {
    "fit": Task(
        "one epoch of {n_images:,} images",
        "fit",
        (*_OURS, "keras", "scikeras", "skorch", *_OTHERS, CORES),
        full=({"n_images": 42_000},),
        short=({"n_images": 2_000},),
        measures=_WORK_AND_CALL,
    ),
    "predict_one": Task(
        "predict one image",
        "predict_one",
        (*_NETWORKS, *_OTHERS),
        full=({"n_calls": 300},),
        short=({"n_calls": 30},),
        measures=_WORK_AND_CALL,
    ),
    "predict_many": Task(
        "predict {n_images:,} images",
        "predict_many",
        (*_NETWORKS, *_OTHERS, CORES),
        full=({"n_images": 10_000},),
        short=({"n_images": 2_000},),
        measures=_WORK_AND_CALL,
    ),
    "repeated_fit": Task(
        "another fit of {n_images} images",
        "repeated_fit",
        _NETWORKS,
        full=({"n_images": 256},),
        short=({"n_images": 256},),
        measures=_WORK_AND_CALL,
    ),
    "grid_search": Task(
        "grid search, {n_images} images, n_jobs={n_jobs}",
        "grid_search",
        ("fashioncnn", "scikeras", "skorch"),
        full=({"n_images": 600, "n_jobs": 1}, {"n_images": 600, "n_jobs": 2}),
        short=({"n_images": 64, "n_jobs": 1},),
    ),
    "growth_images": Task(
        "{n_images:,} images",
        "fit",
        (*_OURS, "keras", "skorch"),
        full=tuple({"n_images": n} for n in (1_000, 5_000, 20_000, 60_000)),
        short=tuple({"n_images": n} for n in (500, 1_000)),
        most=3,
    ),
    "growth_size": Task(
        "{size} x {size} pixels",
        "fit",
        (*_OURS, "keras", "skorch"),
        full=tuple({"size": s, "n_images": n} for s, n in ((28, 8_000), (56, 2_000), (112, 512))),
        short=(),
        most=3,
    ),
    "growth_threads": Task(
        "threads: {threads}",
        "fit",
        (*_OURS, "keras", "skorch"),
        full=tuple({"threads": n, "n_images": 5_000} for n in (1, 2)),
        short=(),
        most=3,
    ),
    "import": Task(
        "import",
        "import_library",
        _NETWORKS,
        full=({},),
        short=(),
        fresh=True,
        measures=(
            ("seconds", ""),
            ("megabytes", ", memory"),
            ("seconds with framework", ", with the framework that `fit` loads"),
            ("megabytes with framework", ", with it, memory"),
        ),
    ),
    "memory": Task(
        "peak memory of `fit`, {n_images:,} images",
        "peak_memory",
        (*_OURS, "keras", "scikeras", "skorch"),
        full=({"n_images": 60_000},),
        short=({"n_images": 2_000},),
        fresh=True,
        measures=(("megabytes", ""),),
    ),
}
