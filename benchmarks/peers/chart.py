# SPDX-License-Identifier: BSD-3-Clause
"""The chart of what was measured: bars of medians, with lines from the least to the most."""

import textwrap
from pathlib import Path
from typing import Any

import pandas as pd
from libraries import LIBRARIES
from report import amount

PANELS = (
    ("fit", "seconds"),
    ("fit", "call seconds"),
    ("predict_one", "seconds"),
    ("predict_many", "seconds"),
    ("repeated_fit", "seconds"),
    ("peak_memory", "megabytes"),
    ("grid_search", "seconds"),
)
COLOURS = {  # Okabe and Ito's, which colour-blind people tell apart
    "fashioncnn": "#0072B2",
    "fashioncnn-auto": "#56B4E9",
    "keras": "#D55E00",
    "scikeras": "#E69F00",
    "skorch": "#009E73",
}
SETTINGS = {"svg.hashsalt": "peers", "font.size": 8.5, "axes.titlesize": 9}  # the same file again


def draw_bars(axes: Any, rows: pd.DataFrame) -> None:
    """Draw one panel."""
    labels = [LIBRARIES[name].label for name in rows["library"]]
    colours = [COLOURS[name] for name in rows["library"]]
    limits = [rows["median"] - rows["least"], rows["most"] - rows["median"]]
    axes.barh(labels, rows["median"], xerr=limits, color=colours, error_kw={"linewidth": 1})
    for place, row in enumerate(rows.itertuples()):
        text = amount(row.median, row.measure)
        axes.annotate(text, (row.most, place), (4, 0), textcoords="offset points", va="center")
    axes.set_xlim(0, 1.3 * rows["most"].max())  # room for the text
    axes.set_xticks([])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    title = textwrap.fill(rows["title"].iloc[0].replace("`", ""), 35)
    axes.set_title(title, loc="left", fontweight="bold")


def draw(summary: pd.DataFrame, path: Path) -> None:
    """Draw a panel for each of the tasks that were measured, and write the chart."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    summary = summary[summary["library"].isin(COLOURS)]
    panels = []
    for task, measure in PANELS:
        rows = summary[(summary["task"] == task) & (summary["measure"] == measure)]
        panels += [group for _, group in rows.groupby("title", sort=False)]
    if not panels:
        return
    n_rows = -(-len(panels) // 2)
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(7.65, 1.5 * n_rows), layout="constrained", facecolor="white")
        for number, rows in enumerate(panels, start=1):
            draw_bars(figure.add_subplot(n_rows, 2, number), rows)
        figure.savefig(path, metadata={"Date": None})
