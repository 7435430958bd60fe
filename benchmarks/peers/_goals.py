# SPDX-License-Identifier: BSD-3-Clause
"""What the library is meant to reach, beside what it reached."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from _report import AUTO, OURS, Report, markdown, speeds, three_digits
from _tasks import TASKS


@dataclass(frozen=True)
class Goal:
    """A value that is to be reached.

    Attributes
    ----------
    text : str
        What is compared.
    target : float
        The value, at least, unless `at_most`.
    reached : callable
        Takes it from a report; raises KeyError where it was not measured.
    unit : str
        What is written after the value.
    at_most : bool
        Whether less is better.
    """

    text: str
    target: float
    reached: Callable[[Report], float]
    unit: str = " times"
    at_most: bool = False

    def row(self, report: Report) -> list[str]:
        """Write the goal and what was reached."""
        target = f"{'≤' if self.at_most else '≥'} {self.target:g}{self.unit}"
        try:
            value = self.reached(report)
        except KeyError:
            return [self.text, target, "not measured", ""]
        met = value <= self.target if self.at_most else value >= self.target
        return [self.text, target, f"{three_digits(value)}{self.unit}", "yes" if met else "NO"]


def best(report: Report, task: str, library: str) -> float:
    """Return the median of a task, of its best case where there are several."""
    values = report.best(task, library, TASKS[task].measures[0][0])
    if not values:
        raise KeyError(task, library)
    return statistics.median(values)


def times(task: str, peer: str, ours: str = OURS) -> Callable[[Report], float]:
    """Make a function that says how many times as much as we a peer takes, each at its best."""
    return lambda report: best(report, task, peer) / best(report, task, ours)


def share(task: str, library: str) -> Callable[[Report], float]:
    """Make a function that says which share of the cores' speed was reached, in percent."""
    return lambda report: (
        100 * {(s.task, s.library): s.share for s in speeds(report)}[task, library]
    )


GOALS = (
    Goal("epoch, auto: Keras takes", 2.5, times("fit", "keras", AUTO)),
    Goal("epoch, auto: SciKeras takes", 3.5, times("fit", "scikeras", AUTO)),
    Goal("epoch, auto: skorch takes", 4.5, times("fit", "skorch", AUTO)),
    Goal("epoch, float32: Keras takes", 1.4, times("fit", "keras")),
    Goal("epoch, auto: share of the cores' speed", 65, share("fit", AUTO), " %"),
    Goal("epoch, float32: share of the cores' speed", 65, share("fit", OURS), " %"),
    Goal("one prediction: SciKeras takes", 100, times("predict_one", "scikeras")),
    Goal("one prediction: skorch takes", 1, times("predict_one", "skorch")),
    Goal("one prediction", 0.5, lambda r: 1000 * best(r, "predict_one", OURS), " ms", True),
    Goal("many predictions: Keras takes", 2, times("predict_many", "keras")),
    Goal("many predictions: skorch takes", 2.5, times("predict_many", "skorch")),
    Goal("many predictions: share of the cores' speed", 80, share("predict_many", OURS), " %"),
    Goal("another fit: SciKeras takes", 8, times("repeated_fit", "scikeras")),
    Goal("another fit: skorch takes", 2, times("repeated_fit", "skorch")),
    Goal("grid search: SciKeras takes", 5, times("grid_search", "scikeras")),
    Goal("peak memory, float32: Keras takes", 2, times("memory", "keras")),
    Goal("peak memory, auto: Keras takes", 2, times("memory", "keras", AUTO)),
)


def goals(report: Report) -> str:
    """Write all goals as a table."""
    return markdown(["goal", "target", "reached", "met"], [goal.row(report) for goal in GOALS])
