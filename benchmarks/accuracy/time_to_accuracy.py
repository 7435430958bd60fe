# SPDX-License-Identifier: BSD-3-Clause
"""Which accuracy is reached in which time: the points of the curve, and its chart."""

from pathlib import Path
from typing import Any

import pandas as pd
from accuracy_tables import Report, with_last_settings, without_labels
from fitting import Run
from other_libraries import OTHER_LIBRARIES
from report import markdown
from run_store import all_runs
from variants import Variant

# Okabe and Ito's, and grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
MARKERS = "oxD^vsP*"
SEPARATOR = ", epochs: "
TICKS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)  # seconds
LEAST_SHOWN = 80  # per cent; what is below is in the table
SETTINGS = {"svg.hashsalt": "curve", "font.size": 10}  # the same file again


def list_runs(variants: list[Variant], epochs: list[int], seeds: int) -> list[Run]:
    """List a fit for each number of epochs, which the schedule spans, and one of a library.

    A variant's own number of epochs is among them.
    """
    fits = []
    for variant in variants:
        if variant.recipe in OTHER_LIBRARIES:
            fits.append(variant.changed(variant.label, {"points": True}))
            continue
        own = variant.settings["epochs"]
        fits += [
            variant.changed(labelled(variant.label, n), {} if n == own else {"epochs": n})
            for n in sorted({own, *epochs})
        ]
    return all_runs(fits, "test", seeds)


def labelled(label: str, epochs: int) -> str:
    """Return the label of a point."""
    return f"{label}{SEPARATOR}{epochs}"


def take_from_recipes(report: Report) -> list[dict[str, Any]]:
    """Return those runs of ``recipes`` that had the machine for themselves, as points."""
    return [
        without_labels(run) | {"variant": labelled(run["variant"], run["n_iter_"])}
        for run in report["runs"]
        if run["alone"]
    ]


def points(report: Report) -> pd.DataFrame:
    """Return mean seconds and accuracy for each number of epochs of each curve."""
    rows = []
    for run in with_last_settings(report)["runs"]:
        label, epochs, _ = run["variant"].partition(SEPARATOR)
        reached = run.get("points") or [(run["seconds"], run["accuracy"])]
        for number, (seconds, accuracy) in enumerate(reached, start=1):
            row = {"curve": label, "epochs": run["n_iter_"] if epochs else number}
            rows.append({**row, "seconds": seconds, "accuracy": accuracy})
    frame = pd.DataFrame(rows)
    frame["curve"] = pd.Categorical(frame["curve"], frame["curve"].unique())  # in this order
    grouped = frame.groupby(["curve", "epochs"], as_index=False, observed=True)
    return grouped.agg(
        seeds=("seconds", "size"), seconds=("seconds", "mean"), accuracy=("accuracy", "mean")
    )


def table(report: Report) -> str:
    """Write a row for each point."""
    rows = points(report)
    rows["seconds"] = rows["seconds"].map("{:.1f}".format)
    rows["accuracy"] = rows["accuracy"].map("{:.2%}".format).str.replace("%", " %")
    return markdown(rows)


def draw(report: Report, path: Path) -> None:
    """Draw accuracy over time, and write the chart."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rows = points(report)
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(7.65, 4.2), layout="constrained", facecolor="white")
        axes = figure.add_subplot()
        curves = {label: curve for label, curve in rows.groupby("curve", observed=True)}
        for number, (label, curve) in enumerate(curves.items()):
            style = {
                "color": COLOURS[number % len(COLOURS)],
                "marker": MARKERS[number % len(MARKERS)],
            }
            draw_curve(axes, label, curve, **style)
        label_axes(axes, rows["seconds"])
        axes.set_ylim(bottom=max(LEAST_SHOWN, axes.get_ylim()[0]))
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})


def draw_curve(axes: Any, label: str, curve: pd.DataFrame, **style: str) -> None:
    """Draw one line, with a mark at each point."""
    axes.plot(curve["seconds"], 100 * curve["accuracy"], label=label, **style)


def label_axes(axes: Any, seconds: pd.Series) -> None:
    """Say what is drawn, with plain numbers on a logarithmic axis."""
    least, most = 0.8 * seconds.min(), 1.25 * seconds.max()
    axes.set_xscale("log")
    axes.set_xlim(least, most)
    ticks = [tick for tick in TICKS if least <= tick <= most]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("seconds of training, with compilation")
    axes.set_ylabel("test accuracy, %")
    axes.grid(color="#DDDDDD")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
