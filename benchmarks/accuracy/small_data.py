# SPDX-License-Identifier: BSD-3-Clause
"""A recipe beside the default on small and other data, and the rule by which it is judged."""

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from accuracy_tables import Report, with_last_settings, without_labels
from data_sets import SMALL
from fitting import Run
from report import markdown
from variants import DEFAULT, Settings, Variant, augment_with

MOST_BELOW = 0.02  # that the mean of a data set may lie below the default's
MOST_ERRORS_BELOW = 2  # standard errors
NO_FLIPS = ", no flips"
NOT_JUDGED, WORSE = "not judged: one seed", "worse"
ALL = "Fashion-MNIST, 60,000"
ORDER = [name for data in SMALL for name in (data, data + NO_FLIPS)]


class Difference(NamedTuple):
    """A mean difference of accuracies to the default, by pairs of the same seed."""

    mean: float
    error: float  # NaN for one seed

    @property
    def verdict(self) -> str:
        """Judge it by the rule on small data."""
        if math.isnan(self.error):
            return NOT_JUDGED
        if self.mean < -MOST_BELOW or self.mean < -MOST_ERRORS_BELOW * self.error:
            return WORSE
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
    without = {"augment": augment_with(params["augment"], flip=None), "test_time_flip": False}
    return {name: value for name, value in without.items() if params[name] != value}


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


def take_from_recipes(report: Report) -> list[dict[str, Any]]:
    """Return the runs of ``recipes``, as those of the data set that has all images."""
    return [without_labels(run) | {"data": ALL} for run in report["runs"]]


def table(report: Report) -> str:
    """Write accuracies and log losses, a row for each data set, and how the rule judges."""
    runs = pd.DataFrame(with_last_settings(report)["runs"])
    cells = pd.DataFrame(
        compare(group, runs) for _, group in runs.groupby(["data", "variant"], sort=False)
    )
    texts = [
        "Accuracy in per cent, and in parentheses the mean difference to the default with its "
        "standard error, in points:",
        markdown(across(cells, "accuracy")),
        "Log loss:",
        markdown(across(cells, "log loss")),
        "By the rule on small data:",
        markdown(pd.DataFrame(judge(label, group) for label, group in judged(cells)), n_texts=2),
    ]
    return "\n\n".join(texts)


def compare(group: pd.DataFrame, runs: pd.DataFrame) -> dict[str, Any]:
    """Compare the runs of a variant on a data set with the default's."""
    name, label = group[["data", "variant"]].iloc[0]
    default = runs[(runs["data"] == name) & (runs["variant"] == DEFAULT)].set_index("seed")
    to_default = difference(group.set_index("seed")["accuracy"], default["accuracy"])
    mean = f"{100 * group['accuracy'].mean():.2f}"
    return {
        "data": name + NO_FLIPS if label.endswith(NO_FLIPS) else name,
        "variant": label,
        "seeds": len(group),
        "accuracy": mean if label == DEFAULT else f"{mean} ({to_default})",
        "log loss": f"{group['log_loss'].mean():.3f}",
        "difference": to_default,
    }


def across(cells: pd.DataFrame, figure: str) -> pd.DataFrame:
    """Put the variants side by side."""
    columns = cells["variant"].str.removesuffix(NO_FLIPS)
    table = cells.assign(column=columns).pivot(index="data", columns="column", values=figure)
    names = [name for name in ORDER if name in table.index]
    return table.loc[names, columns.unique()].fillna("").reset_index()


def judged(cells: pd.DataFrame) -> Any:
    """Group by variant; the default is not judged."""
    return cells[cells["variant"] != DEFAULT].groupby("variant", sort=False)


def judge(label: str, cells: pd.DataFrame) -> dict[str, Any]:
    """Judge a variant by the rule, on each data set and on the mean over all."""
    verdicts = cells["difference"].map(lambda each: each.verdict)
    worse, is_judged = [*cells["data"][verdicts == WORSE]], verdicts != NOT_JUDGED
    mean = cells["difference"][is_judged].map(lambda each: each.mean).mean()  # NaN of none
    if mean < 0:
        worse.append("their mean")
    return {
        "variant": label,
        "worse than the default": "; ".join(worse) or ("never" if any(is_judged) else NOT_JUDGED),
        "data sets that were judged": sum(is_judged),
        "seeds": " or ".join(map(str, sorted(cells["seeds"].unique(), reverse=True))),
        "their mean difference": f"{100 * mean:+.2f}" if any(is_judged) else "",
    }
