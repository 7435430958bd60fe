# SPDX-License-Identifier: BSD-3-Clause
"""What is measured, with which libraries, on how much."""

from typing import Any, NamedTuple

NETWORKS = ("fashioncnn", "fashioncnn-auto", "keras", "scikeras", "skorch")  # all the same network
PLAIN = ("fashioncnn", "keras", "scikeras", "skorch")
SEARCHED = ("fashioncnn", "scikeras", "skorch")
GROWN = ("fashioncnn", "fashioncnn-auto", "keras", "skorch")
OTHERS = ("mlp", "trees")

SEARCHES = [{"n_images": 600, "n_jobs": n} for n in (1, 2)]
GROWTH = [{"n_images": n} for n in (1_000, 5_000, 20_000, 60_000)]
MOST_IN_SHORT = {"n_images": 256, "n_calls": 30}

TIME = {"seconds": ""}
WORK_AND_CALL = {"seconds": "", "call seconds": ", to the end of the call"}
IMPORT = {
    "seconds": "",
    "megabytes": ", memory",
    "seconds with framework": ", with the framework that `fit` loads",
    "megabytes with framework": ", with it, memory",
}
MEMORY = {"megabytes": ""}


class Task(NamedTuple):
    """One measurement, to be repeated for each of its cases and libraries."""

    title: str  # with arguments to fill in
    libraries: tuple[str, ...]
    cases: list[dict[str, Any]]  # arguments
    measures: dict[str, str] = WORK_AND_CALL  # its results, and what each adds to the title

    def short_cases(self) -> list[dict[str, Any]]:
        """Make little of the first case."""
        case = self.cases[0]
        return [{name: min(value, MOST_IN_SHORT.get(name, value)) for name, value in case.items()}]


TASKS = {  # by the methods of `measure.Session`, those of new processes first
    "import_library": Task("import", PLAIN, [{}], IMPORT),
    "peak_memory": Task(
        "peak memory of `fit`, {n_images:,} images", NETWORKS, [{"n_images": 60_000}], MEMORY
    ),
    "fit": Task("one epoch of {n_images:,} images", (*NETWORKS, *OTHERS), [{"n_images": 42_000}]),
    "predict_one": Task("predict one image", (*PLAIN, *OTHERS), [{"n_calls": 300}]),
    "predict_many": Task("predict {n_images:,} images", (*PLAIN, *OTHERS), [{"n_images": 10_000}]),
    "repeated_fit": Task("another fit of {n_images} images", PLAIN, [{"n_images": 256}]),
    "grid_search": Task(
        "grid search, {n_images} images, n_jobs={n_jobs}", SEARCHED, SEARCHES, TIME
    ),
    "growth": Task("growth: an epoch of {n_images:,} images", GROWN, GROWTH, TIME),
}
