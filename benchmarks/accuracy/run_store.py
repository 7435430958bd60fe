# SPDX-License-Identifier: BSD-3-Clause
"""Runs and their results in a file in ``build``: what is there is not run again."""

import itertools
import json
import multiprocessing
import subprocess
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import machine
from fitting import Figures, Run, begin, fit_and_test
from variants import Variant, digest

Record = dict[str, Any]
IDENTITY = ("variant", "data", "seed", "settings")


class Conditions(NamedTuple):
    """How all runs of a comparison are made."""

    name: str  # of the file
    n_images: int | None = None  # None: all
    alone: bool = False  # on the machine
    fresh: bool = False  # each run in a process of its own
    resumes: bool = True  # within a fit, too


def identity(run: Run) -> Record:
    """Return what tells a run from others; settings by their digest."""
    values = (run.variant.label, run.data, run.seed, digest(run.variant.settings))
    return dict(zip(IDENTITY, values, strict=True))


def read_report(path: Path) -> dict[str, Any]:
    """Read what has been run, if anything."""
    if not path.exists():
        return {"settings": {}, "runs": []}
    return json.loads(path.read_text(encoding="utf-8"))


def complete(runs: list[Run], conditions: Conditions, **notes: Any) -> dict[str, Any]:
    """Run what is not in the file yet, writing it after each run, and return what it holds."""
    folder = machine.CHECKOUT / "build"
    report = read_report(folder / f"{conditions.name}.json") | notes
    report["settings"] |= {digest(run.variant.settings): run.variant.settings for run in runs}
    done = [{name: record[name] for name in IDENTITY} for record in report["runs"]]
    missing = [run for run in runs if identity(run) not in done]
    print(f"{len(missing)} of {len(runs)} runs are to do.", flush=True)
    for run, worker in zip(missing, workers(conditions.fresh), strict=False):
        # The same state serves all comparisons of the same fit.
        of_fit = {**identity(run), "variant": "", "n_images": conditions.n_images}
        state = folder / "fits" / f"{digest(of_fit)}.pickle" if conditions.resumes else None
        figures = worker.submit(fit_and_test, run, conditions.n_images, state).result()
        circumstances = {"alone": conditions.alone, "commit": commit()}
        report["runs"].append({**identity(run), **circumstances, **figures})
        machine.write(f"{conditions.name}.json", report)
        if state:
            state.unlink(missing_ok=True)
        print(describe(report["runs"][-1]), flush=True)
    return report


def workers(fresh: bool) -> Iterator[ProcessPoolExecutor]:
    """Yield the process for each run: a new one, or always the same."""
    spawn = multiprocessing.get_context("spawn")
    if not fresh:
        with ProcessPoolExecutor(1, spawn, begin) as worker:
            yield from itertools.repeat(worker)
    while True:
        with ProcessPoolExecutor(1, spawn, begin) as worker:
            yield worker


def describe(record: Figures) -> str:
    """Write the result of a run in a line."""
    accuracy, seconds = 100 * record["accuracy"], record["seconds"]
    where = f"{record['variant']}, {record['data']}, seed {record['seed']}"
    return f"{where}: {accuracy:.2f} %, log loss {record['log_loss']:.4f}, {seconds:.1f} s"


def commit(*paths: str) -> str:
    """Return the last commit, of some files or of all, with "+" if they have changed since."""
    hash_ = _git("log", "-1", "--format=%H", "--", *paths)
    return hash_ + "+" * bool(_git("status", "--porcelain", "--", *(paths or ["src"])))


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parents[2]), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def all_runs(variants: list[Variant], data: str, seeds: int) -> list[Run]:
    """List runs by seed, so that a comparison that is cut off has all variants alike."""
    return [Run(variant, data, seed) for seed in range(seeds) for variant in variants]
