# SPDX-License-Identifier: BSD-3-Clause
"""The command line."""

import argparse
from pathlib import Path

from comparisons import COMPARISONS
from data_sets import SMALL
from machine import CHECKOUT
from variants import Variant, parse_variant

RESULTS = CHECKOUT / "benchmarks" / "results"


def read_options(description: str) -> argparse.Namespace:
    """Read which comparison is to run, on what, or whether results are only to be shown."""
    parser = argparse.ArgumentParser(
        "python benchmarks/accuracy", description=description.splitlines()[0]
    )
    subparsers = parser.add_subparsers(dest="comparison", required=True)
    for name, comparison in COMPARISONS.items():
        subparser = subparsers.add_parser(name, description=comparison.description)
        add_options(subparser, name)
    args = parser.parse_args()
    if not (args.show or getattr(args, "variants", True)):
        parser.error(f"{args.comparison} needs a variant to run, or --show")
    if not args.name:
        args.name = f"{args.comparison}-{args.images}" if args.images else args.comparison
    return args


def add_options(parser: argparse.ArgumentParser, name: str) -> None:
    """Add the options of a comparison."""
    comparison = COMPARISONS[name]
    parser.set_defaults(name=None, images=None, show=None)
    if comparison.only_shows:
        help_ = "the folder of results, by default of those that are committed"
        parser.add_argument("--results", type=Path, default=RESULTS, help=help_)
        return
    parser.add_argument(
        "--show",
        nargs="?",
        type=Path,
        const=RESULTS / f"{name}.json",
        help="only print what a file holds, by default that of the committed results",
    )
    if comparison.seeds:
        parser.add_argument("--seeds", type=positive, default=comparison.seeds, help="how many")
    if comparison.is_pair:
        parser.add_argument("--epochs", type=positive, nargs="+", default=[12])
        return
    parser.add_argument("--name", help="of the file in build")
    parser.add_argument("--images", type=positive, help="train on few, to try it")
    if name != "labels":
        parser.add_argument("--alone", action="store_true", help="nothing else runs here")
    if name == "search":
        parser.add_argument("variants", nargs="?", type=Path, help="a JSON or Python file")
        parser.add_argument("--recipe", default="article", help="where a variant names none")
    else:
        one = "?" if name in ("ablation", "small", "labels") else "*"
        parser.add_argument("variants", nargs=one, type=variant, metavar="VARIANT")
    if name == "small":
        parser.add_argument("--seeds", type=positive, help="at most; by default 10, or 5 of large")
        parser.add_argument("--data", nargs="+", choices=SMALL, default=list(SMALL))
    if name == "curve":
        parser.add_argument("--epochs", type=positive, nargs="+", default=[2, 4, 8, 16])


def positive(text: str) -> int:
    """Read a number of at least 1."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return int(text)


def variant(text: str) -> Variant:
    """Read a variant, and check its parameters."""
    try:
        parsed = parse_variant(text)
        _ = parsed.settings
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return parsed
