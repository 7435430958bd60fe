# SPDX-License-Identifier: BSD-3-Clause
"""A recipe beside the default on small and other data, and the rule by which it is judged."""

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from accuracy_tables import Report, percent, spread
from data_sets import SMALL
from fitting import Run
from report import markdown
from variants import DEFAULT, Settings, Variant

MOST_BELOW = 0.02  # that the mean of a data set may lie below the default's
MOST_ERRORS_BELOW = 2  # standard errors
WITHOUT_FLIPS = {"flip": None, "flip_shift": "shift"}  # of `augment`
NO_FLIPS = ", no flips"


class Difference(NamedTuple):
    """A mean difference of accuracies to the default, by pairs of the same seed."""

    mean: float
    error: float  # NaN for one seed

    @property
    def verdict(self) -> str:
        """Judge it by the rule on small data."""
        if math.isnan(self.error):
            return "not judged: one seed"
        if self.mean < -MOST_BELOW or self.mean < -MOST_ERRORS_BELOW * self.error:
            return "worse"
        return "better" if self.mean > MOST_ERRORS_BELOW * self.error else "no worse"

    def __str__(self) -> str:
        """Write it in points."""
        error = "" if math.isnan(self.error) else f" ± {100 * self.error:.2f}"
        return f"{100 * self.mean:+.2f}{error}"


def difference(values: pd.Series, others: pd.Series) -> Difference:
    """Compare values with others of the same index."""
    pairs = (values - others).dropna()
    return Difference(pairs.mean(), pairs.std() / np.sqrt(len(pairs)))


def without_flips(params: Settings) -> Settings:
    """Return what to change where a mirror image means something else."""
    changes: Settings = {}
    augment = params.get("augment")
    if isinstance(augment, dict) and "flip" in augment:
        changes["augment"] = {name: augment[name] for name in augment if name != "flip"} or None
    elif isinstance(augment, str) and augment in WITHOUT_FLIPS:
        changes["augment"] = WITHOUT_FLIPS[augment]
    if params.get("test_time_flip"):
        changes["test_time_flip"] = False
    return changes


def list_runs(recipe: Variant, names: list[str], seeds: int | None) -> list[Run]:
    """List the runs of the default and of a recipe, on digits also of the recipe without flips."""
    default, changes = Variant(DEFAULT, DEFAULT, {}), without_flips(recipe.settings)
    runs = []
    for name in names:
        data_set = SMALL[name]
        variants = [default, recipe]
        if changes and not data_set.flips:
            variants.append(recipe.changed(recipe.label + NO_FLIPS, changes))
        n_seeds = min(seeds or data_set.n_seeds, data_set.n_seeds)
        runs += [Run(variant, name, seed) for seed in range(n_seeds) for variant in variants]
    return runs


def table(report: Report) -> str:
    """Write a row for each data set and variant, and the means over all sets."""
    runs = pd.DataFrame(report["runs"])
    rows = []
    means: dict[str, list[float]] = {}
    for (name, label, _), group in runs.groupby(["data", "variant", "settings"], sort=False):
        here = runs[(runs["data"] == name) & (runs["variant"] == DEFAULT)].set_index("seed")
        to_default = difference(group.set_index("seed")["accuracy"], here["accuracy"])
        if label != DEFAULT:
            means.setdefault(label, []).append(to_default.mean)
        rows.append(row(name, label, group, None if label == DEFAULT else to_default))
    lines = [markdown(pd.DataFrame(rows), n_texts=2), ""]
    for label, values in means.items():
        mean = np.mean(values)
        verdict = "not below 0" if mean >= 0 else "below 0"
        lines.append(f"{label}: {100 * mean:+.2f} points on {len(values)} data sets, {verdict}")
    return "\n".join(lines)


def row(name: str, label: str, runs: pd.DataFrame, to_default: Difference | None) -> dict[str, Any]:
    """Write what a variant has reached on a data set."""
    return {
        "data": name,
        "variant": label,
        "seeds": len(runs),
        "accuracy": percent(runs["accuracy"]),
        "log loss": spread(runs["log_loss"], 3),
        "seconds": spread(runs["seconds"], 1),
        "difference": to_default or "",
        "verdict": to_default.verdict if to_default else "",
    }
