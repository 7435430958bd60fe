# SPDX-License-Identifier: BSD-3-Clause
"""The chart of what was measured: bars for tasks, lines for growth."""

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _libraries import LIBRARIES
from _report import Report, amount

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which colour-blind people tell apart.
COLOURS = {
    "fashioncnn": "#0072B2",
    "fashioncnn-auto": "#56B4E9",
    "keras": "#D55E00",
    "scikeras": "#E69F00",
    "skorch": "#009E73",
}
MARKERS = dict(zip(COLOURS, "osD^v", strict=True))
BARS = {  # task: title, measure, whether the axis is logarithmic
    "fit": ("Training: one epoch of {n_images:,} images", "seconds", False),
    "predict_one": ("Prediction of one image", "seconds", True),
    "predict_many": ("Prediction of {n_images:,} images", "seconds", False),
    "repeated_fit": ("Another fit, of {n_images} images", "seconds", False),
    "grid_search": ("Grid search, {n_images} images, better n_jobs", "seconds", False),
    "memory": ("Peak memory of fit, {n_images:,} images", "megabytes", False),
}
LINES = {  # task: title, label of x, argument, whether the axes are logarithmic
    "growth_images": ("Training by the number of images", "images", "n_images", "x"),
    "growth_size": ("Training by the size of images", "pixels in height and width", "size", "xy"),
    "growth_threads": ("Training by the number of threads", "threads", "threads", ""),
}
SETTINGS = {
    "svg.hashsalt": "peers",  # the same file from the same results
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def plain(value: float, _: object = None) -> str:
    """Label an axis without powers of ten."""
    return f"{value:,g}"


def draw_bars(axes: "Axes", report: Report, task: str) -> None:
    """Draw medians, with lines from the least to the most, each library in its best case."""
    title, measure, logarithmic = BARS[task]
    names = [name for name in COLOURS if report.best(task, name, measure)]
    values = [report.best(task, name, measure) for name in names]
    medians = [statistics.median(some) for some in values]
    pairs = list(zip(medians, values, strict=True))
    errors = [[m - min(some) for m, some in pairs], [max(some) - m for m, some in pairs]]
    labels = [LIBRARIES[name].label for name in names]
    bars = axes.barh(labels, medians, xerr=errors, color=[COLOURS[name] for name in names])
    for bar, (median, some) in zip(bars, pairs, strict=True):
        place = (max(some), bar.get_y() + bar.get_height() / 2)
        text = amount(median, measure)
        axes.annotate(text, place, (4, 0), textcoords="offset points", va="center")
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    if logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(min(medians) / 3, max(medians) * 6)
    else:
        axes.set_xlim(0, 1.3 * max(map(max, values)))
    axes.xaxis.set_major_formatter(plain)
    unit = "MB" if measure == "megabytes" else "seconds"
    axes.set_xlabel(f"{unit}, logarithmic" if logarithmic else unit)
    axes.set_title(title.format(**report.cases(task)[0]), loc="left")


def draw_lines(axes: "Axes", report: Report, task: str) -> None:
    """Draw the time for an image over what grows."""
    title, label, argument, logarithmic = LINES[task]
    cases = report.cases(task)
    x = [case[argument] for case in cases]
    for name in COLOURS:
        times = [report.values(task, name, case) for case in cases]
        if all(times):
            y = [
                1000 * statistics.median(some) / case["n_images"]
                for some, case in zip(times, cases, strict=True)
            ]
            axes.plot(x, y, color=COLOURS[name], marker=MARKERS[name], label=LIBRARIES[name].label)
    if "x" in logarithmic:
        axes.set_xscale("log")
    if "y" in logarithmic:
        axes.set_yscale("log")
        axes.yaxis.get_major_locator().set_params(subs=(1, 2, 5))
    else:
        axes.set_ylim(0, 1.5 * axes.get_ylim()[1])  # room for the legend
    axes.set_xticks(x, [plain(value) for value in x])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(plain)
    axes.set_xlabel(label)
    axes.set_ylabel("ms for an image" + (", logarithmic" if "y" in logarithmic else ""))
    axes.grid(alpha=0.3)
    axes.legend(
        fontsize=8, frameon=False, loc="upper left" if "y" in logarithmic else "upper right"
    )
    axes.set_title(title, loc="left")


def draw(report: Report, path: Path) -> None:
    """Draw a panel for each task that was measured, and write the chart."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    panels: list[tuple[Any, str]] = [
        *((draw_bars, task) for task in BARS if report.cases(task)),
        *((draw_lines, task) for task in LINES if report.cases(task)),
    ]
    if not panels:
        return
    with mpl.rc_context(SETTINGS):
        rows = -(-len(panels) // 3)
        figure = Figure(figsize=(13, 3 * rows), layout="constrained", facecolor="white")
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
        for number, (draw_panel, task) in enumerate(panels, start=1):
            draw_panel(figure.add_subplot(rows, 3, number), report, task)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
