# SPDX-License-Identifier: BSD-3-Clause
"""What the runs of all comparisons have in common: options, which library has its turn, tables."""

import argparse
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

Name = TypeVar("Name")


def read_options(
    description: str,
    tasks: Collection[str],
    libraries: Collection[str],
    repetitions: int,
    results: Path,
) -> argparse.Namespace:
    """Read the command line of a comparison, whose published results are in a file."""
    parser = argparse.ArgumentParser(f"python benchmarks/{results.stem}", description=description)
    parser.add_argument("--tasks", nargs="+", choices=tasks, default=tasks)
    parser.add_argument("--libraries", nargs="+", choices=libraries, default=libraries)
    parser.add_argument("--repetitions", type=int, default=repetitions)
    parser.add_argument("--short", action="store_true", help="little of everything, once")
    parser.add_argument(
        "--render", nargs="?", type=Path, const=results, help="only show what a file holds"
    )
    return parser.parse_args()


def installed(names: Iterable[str], libraries: Mapping[str, Any]) -> list[str]:
    """Return those libraries that can be measured, and print which can't."""
    present = [name for name in names if all(map(find_spec, libraries[name].needs))]
    print("Left out, for it is not installed:", set(names).difference(present) or "none")
    return present


def in_turn(names: Iterable[Name], present: Collection[Name], repetition: int) -> list[Name]:
    """List those of the libraries that are present, another one first in each repetition."""
    measured = [name for name in names if name in present]
    first = repetition % max(1, len(measured))
    return measured[first:] + measured[:first]


def write_tables(path: Path, tables: Callable[[dict[str, Any]], str]) -> dict[str, Any]:
    """Write the tables of a file of results beside it, print them, and return the results."""
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    text = tables(results)
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    print(f"\n{text}")
    return results
