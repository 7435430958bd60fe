# SPDX-License-Identifier: BSD-3-Clause
"""Medians, spread and ratios of what was measured, and the tables that show them."""

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import _flops
from _libraries import LIBRARIES
from _tasks import CORES, TASKS

OURS, AUTO = "fashioncnn", "fashioncnn-auto"
NETWORKS = (OURS, AUTO, "keras", "scikeras", "skorch")  # the same network
GROWTH = tuple(name for name in TASKS if name.startswith("growth"))
_NONE = "-"


class Report:
    """Access to the measurements of a run.

    Parameters
    ----------
    results : dict
        The content of the JSON file.
    """

    def __init__(self, results: dict[str, Any]) -> None:
        self.environment: dict[str, Any] = results["environment"]
        self.is_short: bool = results["short"]
        self.measurements: list[dict[str, Any]] = results["measurements"]

    def cases(self, task: str) -> list[dict[str, Any]]:
        """List the arguments that a task was measured with."""
        cases: list[dict[str, Any]] = []
        for record in self.measurements:
            if record["task"] == task and record["arguments"] not in cases:
                cases.append(record["arguments"])
        return cases

    def libraries(self, task: str | None = None) -> list[str]:
        """List who was measured, at all or at a task."""
        names = {r["library"] for r in self.measurements if task in (None, r["task"])}
        return [name for name in LIBRARIES if name in names]

    def records(self, task: str, library: str, case: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the results of all repetitions, in order."""
        return [
            record["results"]
            for record in self.measurements
            if (record["task"], record["library"], record["arguments"]) == (task, library, case)
        ]

    def values(
        self, task: str, library: str, case: dict[str, Any], measure: str = "seconds"
    ) -> list[float]:
        """Return one of the results, of all repetitions."""
        return [results[measure] for results in self.records(task, library, case)]

    def best(self, task: str, library: str, measure: str = "seconds") -> list[float]:
        """Return the values of the case with the least median, none if there are none."""
        values = [self.values(task, library, case, measure) for case in self.cases(task)]
        return min(filter(None, values), key=statistics.median, default=[])

    def peaks(self, task: str, library: str, case: dict[str, Any]) -> tuple[list[float], str]:
        """Return what the cores reached in each repetition, in GFLOP/s, and mostly with what.

        It is their speed in the precision that the library took.
        """
        records = self.records(task, CORES, case)
        if not records:
            return [], ""
        precision = self.records(task, library, case)[0].get("precision", "float32")
        names = [name for name in records[0] if name.startswith(precision)]
        best = max(names, key=lambda name: statistics.median(r[name] for r in records))
        return [max(r[name] for name in names) for r in records], best


def ratio(values: list[float], ours: list[float]) -> float:
    """Divide the medians."""
    return statistics.median(values) / statistics.median(ours)


def paired_ratio(values: list[float], ours: list[float]) -> float:
    """Return the median of each repetition's ratio."""
    return statistics.median(a / b for a, b in zip(values, ours, strict=True))


def three_digits(value: float) -> str:
    """Write a number with three significant digits, or all before the point."""
    rounded = abs(float(f"{value:.3g}"))  # which may have one digit more before the point
    digits = max(0, 2 - math.floor(math.log10(rounded))) if rounded else 2
    return f"{value:,.{digits}f}"


def amount(value: float, measure: str) -> str:
    """Write a time or a size with its unit."""
    if measure.startswith("megabytes"):
        return f"{value:,.0f} MB"
    if value >= 1:
        return f"{three_digits(value)} s"
    return f"{three_digits(1000 * value)} ms"


def quantities(report: Report) -> Iterator[tuple[str, str, dict[str, Any], str]]:
    """Go through what is compared, but for growth: title, task, case and measure."""
    for name, task in TASKS.items():
        for case in report.cases(name) if name not in GROWTH else []:
            for measure, addition in task.measures:
                yield task.title.format(**case) + addition, name, case, measure


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """Write a table whose first column is text, the others numbers."""
    rule = ["---", *["--:"] * (len(header) - 1)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (header, rule, *rows))


def comparison(report: Report) -> str:
    """Write medians and ratios, one column for each library with this network."""
    libraries = [name for name in report.libraries() if name in NETWORKS]
    rows = []
    for title, task, case, measure in quantities(report):
        row = [title]
        ours = report.values(task, OURS, case, measure)
        for library in libraries:
            values = report.values(task, library, case, measure)
            cell = amount(statistics.median(values), measure) if values else _NONE
            if values and ours and library != OURS:
                cell += f" ({three_digits(ratio(values, ours))})"
            row.append(cell)
        rows.append(row)
    return markdown(["", *(LIBRARIES[name].label for name in libraries)], rows)


@dataclass(frozen=True)
class Speed:
    """What a library reached in one case, in GFLOP/s and as a share of what the cores reach."""

    task: str
    title: str
    library: str
    reached: float
    share: float
    peak: float
    peak_of: str


def speeds(report: Report) -> Iterator[Speed]:
    """Go through what was reached with this network: medians over the repetitions."""
    for task, flops in (("fit", _flops.training()), ("predict_many", _flops.prediction())):
        for case in report.cases(task):
            for library in filter(NETWORKS.__contains__, report.libraries(task)):
                peaks, peak_of = report.peaks(task, library, case)
                if not peaks:
                    continue
                times = report.values(task, library, case)
                reached = [case["n_images"] * flops / seconds / 1e9 for seconds in times]
                share = statistics.median(r / p for r, p in zip(reached, peaks, strict=True))
                title = TASKS[task].title.format(**case)
                medians = statistics.median(reached), share, statistics.median(peaks)
                yield Speed(task, title, library, *medians, peak_of)


def speed(report: Report) -> str:
    """Write which part of the cores' own speed each library reaches."""
    rows = [
        [
            s.title,
            LIBRARIES[s.library].label,
            f"{s.reached:,.0f}",
            f"{s.peak:,.0f} ({s.peak_of})",
            f"{s.share:.0%}",
        ]
        for s in speeds(report)
    ]
    return markdown(["", "library", "GFLOP/s", "the cores' own", "share"], rows)


def growth(report: Report) -> str:
    """Write how the time for an image changes with number, size and threads."""
    libraries = [
        name for name in report.libraries() if any(name in report.libraries(t) for t in GROWTH)
    ]
    rows = []
    for task in GROWTH:
        for case in report.cases(task):
            row = [TASKS[task].title.format(**case)]
            for library in libraries:
                values = report.values(task, library, case)
                per_image = statistics.median(values) / case["n_images"] if values else 0
                row.append(amount(per_image, "seconds") if values else _NONE)
            rows.append(row)
    return markdown(["", *(LIBRARIES[name].label for name in libraries)], rows)


def spread(report: Report) -> str:
    """Write each median with its range, and the ratio in both ways."""
    rows = []
    for title, task, case, measure in quantities(report):
        ours = report.values(task, OURS, case, measure)
        for library in report.libraries(task):
            values = report.values(task, library, case, measure)
            ratios = [_NONE] * 2
            if ours and library != OURS:
                ratios = [three_digits(f(values, ours)) for f in (ratio, paired_ratio)]
            limits = f"{amount(min(values), measure)} to {amount(max(values), measure)}"
            middle = amount(statistics.median(values), measure)
            label = LIBRARIES[library].label
            rows.append([title, label, middle, limits, str(len(values)), *ratios])
    header = ["", "library", "median", "least to most", "repetitions", "ratio", "paired ratio"]
    return markdown(header, rows)


SHORT = " A short run: few images and repetitions, which say little."


def tables(report: Report) -> str:
    """Write all tables, in Markdown."""
    known = dict(report.environment)
    machine = f"{known.pop('processor')}, {known.pop('cores')} cores"
    versions = ", ".join(f"{name} {number}" for name, number in known.items())
    parts = [
        "<!-- Written by python benchmarks/peers. -->",
        f"Measured on: {machine}; {versions}.{SHORT if report.is_short else ''}",
        "## Times and memory",
        "Medians, and in parentheses how many times that of fashioncnn in float32 each is.",
        comparison(report),
    ]
    if any(True for _ in speeds(report)):
        parts += ["## Arithmetic", speed(report)]
    if any(report.cases(task) for task in GROWTH):
        parts += ["## Growth", "The time of an epoch, for each of its images.", growth(report)]
    parts += ["## Spread", spread(report)]
    return "\n\n".join(part.strip() for part in parts) + "\n"
