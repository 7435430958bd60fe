# SPDX-License-Identifier: BSD-3-Clause
"""The tables of what was measured, and how far the goals are reached."""

from typing import Any, NamedTuple

import pandas as pd
from report import amount, markdown
from servables import SERVABLES
from writing import three_digits

N_FEW = (2, 4, 7)  # images
ENGINES = {"numpy": "NumPy's engine", "tensorflow": "TensorFlow's engine"}


class Task(NamedTuple):
    """A table: a row for each library, a column for each measure."""

    title: str
    libraries: tuple[str, ...]
    measures: dict[str, str]  # its results, and the columns' heads


TASKS = {
    "one_image": Task(
        "One image",
        ("fashioncnn", "onnxruntime", "keras", "keras-predict", "skorch", "mlp"),
        {"seconds": "time of a call"},
    ),
    "few_images": Task("Few images", tuple(ENGINES), {"seconds": "time of a call"}),
    "fresh_process": Task(
        "A fresh process that loads and answers once",
        ("fashioncnn", "onnxruntime", "keras", "skorch", "sklearn.base", "fashioncnn.classifier"),
        {
            "seconds": "start to answer",
            "megabytes": "memory after it",
            "peak megabytes": "peak memory",
            "TensorFlow": "imports TensorFlow",
        },
    ),
    "server": Task(
        "A server with two workers",
        ("fashioncnn", "onnxruntime", "keras", "skorch"),
        {
            "seconds": "median",
            "seconds, 95 %": "95 % within",
            "requests": "requests per second",
            "seconds to first answer": "start to first answer",
            "megabytes of its own": "a worker's own memory",
            "megabytes with its share": "with its share of common memory",
        },
    ),
}


class Goal(NamedTuple):
    """A bound on a quotient of two medians, or on a difference of them in a unit."""

    text: str
    bound: float
    first: tuple[str, str, str]  # task with number of images, library, measure
    second: tuple[str, str, str]
    at_least: bool = False
    unit: str = "times"


def times(
    text: str, bound: float, first: str, second: str, task: str = "one_image", **how: bool
) -> Goal:
    """Bound how many times the first library takes the time of the second."""
    return Goal(text, bound, (task, first, "seconds"), (task, second, "seconds"), **how)


def above(module: str, bound: float, measure: str, unit: str) -> Goal:
    """Bound how much more a fresh process of fashioncnn takes than an import."""
    text = f"fresh process: {measure} above `import {module}`"
    values = (("fresh_process", name, measure) for name in ("fashioncnn", module))
    return Goal(text, bound, *values, unit=unit)


GOALS = [
    times("one image: fashioncnn / onnxruntime", 2.5, "fashioncnn", "onnxruntime"),
    times("one image: Keras called / fashioncnn", 10, "keras", "fashioncnn", at_least=True),
    times(
        "one image: Keras' predict / fashioncnn", 80, "keras-predict", "fashioncnn", at_least=True
    ),
    times("one image: skorch / fashioncnn", 2, "skorch", "fashioncnn", at_least=True),
    times("one image: fashioncnn / MLPClassifier", 3, "fashioncnn", "mlp"),
    *(times(f"{n} images: NumPy / TensorFlow", 1, *ENGINES, f"few_images {n}") for n in N_FEW),
    times(
        "fresh process: Keras / fashioncnn",
        2,
        "keras",
        "fashioncnn",
        "fresh_process",
        at_least=True,
    ),
    above("sklearn.base", 0.3, "seconds", "s"),
    above("fashioncnn.classifier", 15, "peak megabytes", "MB"),
]


def list_values(results: dict[str, Any]) -> pd.DataFrame:
    """List each value that was measured."""
    rows = []
    for record in results["measurements"]:
        row = {name: record[name] for name in ("task", "library", "repetition")}
        row["case"] = " ".join(map(str, (record["task"], *record["arguments"].values())))
        rows += [{**row, "measure": name, "value": v} for name, v in record["results"].items()]
    return pd.DataFrame(rows)


def cell(value: float, measure: str) -> str:
    """Write a measure with its unit, or whether it holds."""
    if measure == "TensorFlow":
        return "yes" if value else "no"
    if "megabytes" in measure:
        return f"{value:,.0f} MB"
    return three_digits(value) if measure == "requests" else amount(value, measure)


def label(case: str, library: str) -> str:
    """Name a row."""
    if library in ENGINES:
        return f"{case.split()[-1]} images, {ENGINES[library]}"
    return SERVABLES[library].label


def table(values: pd.DataFrame, task: str) -> str:
    """Write the table of one task."""
    measures = TASKS[task].measures
    rows = []
    for case, of_case in values[values["task"] == task].groupby("case", sort=False):
        of_first: dict[str, float] = {}  # medians of the first measure
        for library in filter(set(of_case["library"]).__contains__, TASKS[task].libraries):
            by_measure = of_case[of_case["library"] == library].groupby("measure")["value"]
            middle, least, most = (
                {name: cell(value, name) for name, value in each.items()}
                for each in (by_measure.median(), by_measure.min(), by_measure.max())
            )
            name, *others = measures
            of_first[library] = by_measure.get_group(name).median()
            ratio = three_digits(of_first[library] / next(iter(of_first.values())))
            first = f"{middle[name]} ({least[name]} to {most[name]})"
            rows.append([label(case, library), first, ratio, *map(middle.get, others)])
    first, *others = measures.values()
    return markdown(pd.DataFrame(rows, columns=["", first, "ratio", *others]))


def goals(values: pd.DataFrame) -> str:
    """Write each goal that can be judged, and what was measured."""
    medians = (
        values.astype({"value": float}).groupby(["case", "library", "measure"])["value"].median()
    )
    rows = []
    for goal in GOALS:
        if goal.first not in medians or goal.second not in medians:
            continue
        first, second = medians[goal.first], medians[goal.second]
        value = first / second if goal.unit == "times" else first - second
        is_reached = value >= goal.bound if goal.at_least else value <= goal.bound
        bound = f"{'at least' if goal.at_least else 'at most'} {goal.bound} {goal.unit}"
        measured = f"{three_digits(value)} {goal.unit}"
        rows.append([goal.text, bound, measured, "yes" if is_reached else "no"])
    return markdown(pd.DataFrame(rows, columns=["", "goal", "measured", "reached"]))


def tables(results: dict[str, Any]) -> str:
    """Write all tables, in Markdown."""
    known = dict(results["environment"])
    machine = f"{known.pop('processor')}, {known.pop('cores')} cores"
    versions = ", ".join(f"{name} {number}" for name, number in known.items())
    values = list_values(results)
    n_repetitions = values["repetition"].nunique()
    short = " A short run: few calls, once, which says little." if results["short"] else ""
    parts = [
        "<!-- Written by python benchmarks/serving. -->",
        f"Measured on: {machine}; {versions}.{short}",
        f"Medians over repetitions ({n_repetitions}); in the first column also the least and the "
        "most. The ratio is of that column: to fashioncnn, or to the engine in the row above.",
    ]
    for name in filter(set(values["task"]).__contains__, TASKS):
        parts += [f"## {TASKS[name].title}", table(values, name)]
        if name == "server":
            parts += [how_served(values)]
    return "\n\n".join([*parts, "## Goals", goals(values)]) + "\n"


def how_served(values: pd.DataFrame) -> str:
    """Say how each library was loaded."""
    present = set(values.loc[values["task"] == "server", "library"])
    served = [SERVABLES[name] for name in TASKS["server"].libraries if name in present]
    return "\n".join(f"- {each.label}: {each.how}." for each in served)
