# SPDX-License-Identifier: BSD-3-Clause
"""All that was tested on Fashion-MNIST in one table: accuracy, time and size."""

from typing import Any

import pandas as pd
from accuracy_tables import Report, groups, percent
from data_sets import N_CLASSES
from other_libraries import OTHER_LIBRARIES
from report import amount, markdown
from timing import ARTICLE
from writing import three_digits

from fashioncnn import FashionCNNClassifier
from fashioncnn._inputs.architecture import build_architecture

SOURCES = ("recipes", "time")  # the comparisons whose results it shows
IMAGE_SHAPE = (28, 28, 1)
NOT_TIMED = "not timed alone"


def table(report: Report) -> str:
    """Write a row for each variant, the most accurate first, from accuracies and times.

    A time is the median of the fits that were timed, or of those that were tested, if each had the
    machine for itself.
    """
    recipes, times = (report[name] for name in SOURCES)
    alone = [run for run in recipes["runs"] if run["alone"]]
    seconds = {**medians(alone), **medians(times["runs"])}
    article = seconds[ARTICLE.label]
    rows = [
        {
            "": label,
            "test accuracy": percent(runs["accuracy"]),
            "seeds": len(runs),
            **time_cells(seconds.get(label), article),
            "parameters": f"{runs['n_parameters'].iloc[0]:,}",
            "MFLOP per image": flops(recipes["settings"][settings], runs),
            "mean": runs["accuracy"].mean(),
        }
        for (label, settings), runs in groups(recipes)
    ]
    frame = pd.DataFrame(rows).sort_values("mean", ascending=False, kind="stable")
    return markdown(frame.drop(columns="mean"))


def medians(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Return the median time of each variant."""
    if not runs:
        return {}
    return {label: one["seconds"].median() for (label, _), one in groups({"runs": runs})}


def time_cells(seconds: float | None, article: float) -> dict[str, str]:
    """Write the time of a fit, and how many times as long the article's code takes."""
    if seconds is None:
        return {"time": NOT_TIMED, "article / time": ""}
    return {
        "time": amount(seconds, "seconds"),
        "article / time": three_digits(article / seconds),
    }


def flops(settings: dict[str, Any], runs: pd.DataFrame) -> str:
    """Count additions and multiplications to predict an image, in millions."""
    if "mlp" in settings:  # each of its parameters but biases
        n_multiplications = int(runs["n_parameters"].iloc[0])
    else:
        ours = FashionCNNClassifier()  # whose network is the article's
        if not OTHER_LIBRARIES.keys() & settings.keys():
            ours.set_params(**settings)
        architecture = build_architecture(ours.get_params(), IMAGE_SHAPE, N_CLASSES)
        n_multiplications = architecture.n_multiplications * (1 + ours.test_time_flip)
    return three_digits(2 * n_multiplications / 1e6)
