# SPDX-License-Identifier: BSD-3-Clause
"""All that was tested on Fashion-MNIST in one table: accuracy, time and size."""

import math
from typing import NamedTuple

import pandas as pd
from accuracy_tables import Report, groups, percent, with_last_settings
from data_sets import N_CLASSES
from libraries import MLP
from other_libraries import KERAS, OTHER_LIBRARIES
from report import markdown
from variants import DEFAULT, Settings
from writing import median_and_limits, three_digits

from fashioncnn import FashionCNNClassifier
from fashioncnn._inputs.architecture import build_architecture

IMAGE_SHAPE = (28, 28, 1)
LONG = 600  # seconds
NAMES = {DEFAULT: "the default: the article's network"}


def table(report: Report) -> str:
    """Write a row for each variant, the most accurate first.

    Its time is the median of the runs that had the machine for themselves, the least and the most.
    """
    variants = [
        Tested(label, report["settings"][digest], runs)
        for (label, digest), runs in groups(with_last_settings(report))
    ]
    keras = next((each.seconds for each in variants if KERAS in each.settings), math.nan)
    rows = [
        {
            "": NAMES.get(each.label, each.label),
            "test accuracy": percent(each.runs["accuracy"]),
            "seeds": len(each.runs),
            "time": write_times(each.times),
            "speed beside Keras": write_unless_nan(keras / each.seconds),
            "parameters": f"{each.n_parameters:,}",
            "MFLOP per image": three_digits(each.n_flops / 1e6),
        }
        for each in sorted(variants, key=lambda each: -each.runs["accuracy"].mean())
    ]
    return markdown(pd.DataFrame(rows))


class Tested(NamedTuple):
    """A variant, and the runs that have tested it."""

    label: str
    settings: Settings
    runs: pd.DataFrame

    @property
    def times(self) -> pd.Series:
        """The seconds of the runs that had the machine for themselves."""
        return self.runs["seconds"][self.runs["alone"]]

    @property
    def seconds(self) -> float:
        """Their median, NaN of none."""
        return float(self.times.median())

    @property
    def n_parameters(self) -> int:
        """The number of weights."""
        return int(self.runs["n_parameters"].iloc[0])

    @property
    def n_flops(self) -> int:
        """How many operations convolutions and dense layers take to predict an image."""
        if "mlp" in self.settings:  # a multiplication for each parameter but biases
            return 2 * (self.n_parameters - sum(MLP["hidden_layer_sizes"]) - N_CLASSES)
        ours = FashionCNNClassifier()  # whose network is the article's
        if not OTHER_LIBRARIES.keys() & self.settings.keys():
            ours.set_params(**self.settings)
        architecture = build_architecture(ours.get_params(), IMAGE_SHAPE, N_CLASSES)
        return 2 * architecture.n_multiplications * (1 + ours.test_time_flip)


def write_times(seconds: pd.Series) -> str:
    """Write the median, and the least and the most of several; if they are long, in minutes."""
    if seconds.empty:
        return ""
    unit, length = ("min", 60) if seconds.median() >= LONG else ("s", 1)
    first, *others = (seconds / length).tolist()
    return median_and_limits([first, *others], unit) if others else f"{three_digits(first)} {unit}"


def write_unless_nan(value: float) -> str:
    """Write a number, or nothing where it is not known."""
    return "" if math.isnan(value) else three_digits(value)
