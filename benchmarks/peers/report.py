# SPDX-License-Identifier: BSD-3-Clause
"""Medians, spread and ratios of what was measured, and the tables that show them."""

import itertools
import math
from typing import Any

import pandas as pd
from libraries import LIBRARIES
from tasks import NETWORKS, TASKS
from writing import three_digits

OURS = "fashioncnn"
NONE = "-"


def list_values(results: dict[str, Any]) -> pd.DataFrame:
    """List each value that was measured, in the order of the tasks."""
    rows = []
    for name, task in TASKS.items():
        records = [each for each in results["measurements"] if each["task"] == name]
        for (measure, addition), record in itertools.product(task.measures.items(), records):
            row = {key: record[key] for key in ("task", "library", "repetition")}
            row["title"] = task.title.format(**record["arguments"]) + addition
            rows.append({**row, "measure": measure, "value": record["results"][measure]})
    return pd.DataFrame(rows)


def summarize(values: pd.DataFrame) -> pd.DataFrame:
    """Give each title and library a row with median, limits, and both ratios to this library.

    `ratio` divides the medians, `paired` is the median of each repetition's ratio.
    """
    keys = ["task", "title", "measure"]
    own = values[values["library"] == OURS].drop(columns="library")
    both = values.merge(own, "left", [*keys, "repetition"], suffixes=("", "_of_ours"))
    both["paired"] = both["value"] / both["value_of_ours"]
    summary = both.groupby([*keys, "library"], sort=False, as_index=False).agg(
        median=("value", "median"),
        least=("value", "min"),
        most=("value", "max"),
        repetitions=("value", "size"),
        ours=("value_of_ours", "median"),
        paired=("paired", "median"),
    )
    return summary.assign(ratio=summary["median"] / summary["ours"])


def amount(value: float, measure: str) -> str:
    """Write a time or a size with its unit."""
    if measure.startswith("megabytes"):
        return f"{value:,.0f} MB"
    if value >= 1:
        return f"{three_digits(value)} s"
    return f"{three_digits(1000 * value)} ms"


def spread(summary: pd.DataFrame) -> pd.DataFrame:
    """Write each median with its limits, and the ratio in both ways."""
    rows = []
    for row in summary.itertuples():
        middle, least, most = (amount(x, row.measure) for x in (row.median, row.least, row.most))
        has_ratio = row.library != OURS and not math.isnan(row.ratio)
        ratios = map(three_digits, (row.ratio, row.paired)) if has_ratio else (NONE, NONE)
        label = LIBRARIES[row.library].label
        rows.append([row.title, label, middle, f"{least} to {most}", row.repetitions, *ratios])
    header = ["", "library", "median", "least to most", "repetitions", "ratio", "paired ratio"]
    return pd.DataFrame(rows, columns=header)


def comparison(summary: pd.DataFrame) -> pd.DataFrame:
    """Write medians and ratios, one column for each library with this network."""
    texts = spread(summary[summary["library"].isin(NETWORKS)])
    ratios = texts["ratio"].map(lambda ratio: "" if ratio == NONE else f" ({ratio})")
    texts["cell"] = texts["median"] + ratios
    table = texts.pivot(index="", columns="library", values="cell")
    labels = [LIBRARIES[name].label for name in NETWORKS]
    table = table.loc[texts[""].unique(), [label for label in labels if label in table]]
    return table.fillna(NONE).reset_index()


def markdown(table: pd.DataFrame, n_texts: int = 1) -> str:
    """Write a table whose first columns are text, the others numbers."""
    rule = ["---"] * n_texts + ["--:"] * (table.shape[1] - n_texts)
    rows = [table.columns, rule, *table.to_numpy()]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def tables(results: dict[str, Any]) -> str:
    """Write all tables, in Markdown."""
    known = dict(results["environment"])
    machine = f"{known.pop('processor')}, {known.pop('cores')} cores"
    versions = ", ".join(f"{name} {number}" for name, number in known.items())
    summary = summarize(list_values(results))
    limits = ["median", "least", "most"]  # where a call ends with its work, they are the same
    short = " A short run: few images, once, which says little." if results["short"] else ""
    parts = [
        "<!-- Written by python benchmarks/peers. -->",
        f"Measured on: {machine}; {versions}.{short}",
        "## Times and memory",
        "Medians, and in parentheses how many times that of fashioncnn in float32 each is.",
        markdown(comparison(summary)),
        "## Spread",
        "All libraries; values that are the same as in a row above are left out.",
        markdown(spread(summary.drop_duplicates(["task", "library", *limits])), n_texts=2),
    ]
    return "\n\n".join(parts) + "\n"
