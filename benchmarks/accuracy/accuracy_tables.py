# SPDX-License-Identifier: BSD-3-Clause
"""Tables of what was reached: means and deviations over seeds, and differences by seed."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from report import markdown

Report = dict[str, Any]


def read_results(path: Path) -> Report:
    """Read what a comparison has written."""
    report: Report = json.loads(path.read_text(encoding="utf-8"))
    return report


def without_labels(run: dict[str, Any]) -> dict[str, Any]:
    """Return a run without the labels that it has predicted, which take much room."""
    return {name: value for name, value in run.items() if name != "labels"}


def page(comparison: str, text: str) -> str:
    """Return what is written to a file of a comparison's tables."""
    return f"<!-- Written by python benchmarks/accuracy {comparison}. -->\n\n{text}\n"


def percent(values: pd.Series, digits: int = 2) -> str:
    """Write mean and standard deviation of shares, in per cent."""
    return spread(100 * values, digits, " %")


def spread(values: pd.Series, digits: int, unit: str = "") -> str:
    """Write mean and, of several values, standard deviation."""
    mean = f"{values.mean():.{digits}f}{unit}"
    return mean if len(values) == 1 else f"{mean} ± {values.std():.{digits}f}"


def only(values: pd.Series) -> str:
    """Write what all have, or each of what they have."""
    return ", ".join(
        value if isinstance(value, str) else f"{value:,}" for value in values.unique().tolist()
    )


def groups(report: Report) -> Any:
    """Group runs by variant and settings, for a label may have been given to others before."""
    runs = pd.DataFrame(report["runs"])
    return runs.groupby(["variant", "settings"], sort=False)


def with_last_settings(report: Report) -> Report:
    """Keep of each variant and data set the runs by the settings that were asked for last."""
    order, runs = list(report["settings"]), report["runs"]
    in_order = sorted(runs, key=lambda run: order.index(run["settings"]))
    last = {(run["variant"], run["data"]): run["settings"] for run in in_order}
    kept = [run for run in runs if run["settings"] == last[run["variant"], run["data"]]]
    return {**report, "runs": kept}


def summary(report: Report) -> str:
    """Write a row for each variant."""
    rows = [
        {
            "": label,
            "seeds": len(runs),
            "accuracy": percent(runs["accuracy"]),
            "log loss": spread(runs["log_loss"], 4),
            "seconds": spread(runs["seconds"], 1) + "*" * (not runs["alone"].all()),
            "parameters": only(runs["n_parameters"]),
            "epochs": only(runs["n_iter_"]),
            "precision": only(runs["precision_"]),
        }
        for (label, _), runs in groups(report)
    ]
    note = "\n\n\\* Something else ran on the machine."
    return markdown(pd.DataFrame(rows)) + note * any("*" in row["seconds"] for row in rows)


def best_first(report: Report) -> str:
    """Write the same, the variants of the highest mean accuracy first."""
    runs = pd.DataFrame(report["runs"])
    means = runs.groupby(["variant", "settings"])["accuracy"].transform("mean")
    order = means.sort_values(ascending=False, kind="stable").index
    return summary({**report, "runs": runs.loc[order].to_dict("records")})
