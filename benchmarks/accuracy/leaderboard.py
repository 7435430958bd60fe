# SPDX-License-Identifier: BSD-3-Clause
"""All that was tested on Fashion-MNIST in one table: accuracy, time and size."""

import math
from collections.abc import Callable
from typing import Any

import pandas as pd
from accuracy_tables import Report, groups, percent
from data_sets import N_CLASSES
from other_libraries import KERAS, OTHER_LIBRARIES
from report import amount, markdown
from variants import DEFAULT
from writing import three_digits

from fashioncnn import FashionCNNClassifier
from fashioncnn._inputs.architecture import build_architecture

IMAGE_SHAPE = (28, 28, 1)
NAMES = {DEFAULT: "the default: the article's network"}


def table(report: Report) -> str:
    """Write a row for each variant, the most accurate first.

    Its time is the median of the runs that had the machine for themselves.
    """
    variants = {label: runs for (label, _), runs in groups(report)}
    settings = {label: report["settings"][digest] for (label, digest), _ in groups(report)}
    seconds = {label: runs["seconds"][runs["alone"]].median() for label, runs in variants.items()}
    keras = next((seconds[label] for label in variants if KERAS in settings[label]), math.nan)
    rows = [
        {
            "": NAMES.get(label, label),
            "test accuracy": percent(runs["accuracy"]),
            "seeds": len(runs),
            "time": write_unless_nan(seconds[label], lambda value: amount(value, "seconds")),
            "speed beside Keras": write_unless_nan(keras / seconds[label], three_digits),
            "parameters": f"{runs['n_parameters'].iloc[0]:,}",
            "MFLOP per image": three_digits(count_flops(settings[label], runs) / 1e6),
        }
        for label, runs in variants.items()
    ]
    means = [runs["accuracy"].mean() for runs in variants.values()]
    order = pd.Series(means).sort_values(ascending=False, kind="stable").index
    return markdown(pd.DataFrame(rows).loc[order])


def write_unless_nan(value: float, write: Callable[[float], str]) -> str:
    """Write a number, or nothing where it is not known."""
    return "" if math.isnan(value) else write(value)


def count_flops(settings: dict[str, Any], runs: pd.DataFrame) -> int:
    """Count additions and multiplications to predict an image."""
    if "mlp" in settings:  # each of its parameters but biases
        n_multiplications = int(runs["n_parameters"].iloc[0])
    else:
        ours = FashionCNNClassifier()  # whose network is the article's
        if not OTHER_LIBRARIES.keys() & settings.keys():
            ours.set_params(**settings)
        architecture = build_architecture(ours.get_params(), IMAGE_SHAPE, N_CLASSES)
        n_multiplications = architecture.n_multiplications * (1 + ours.test_time_flip)
    return 2 * n_multiplications
