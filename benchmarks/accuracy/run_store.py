# SPDX-License-Identifier: BSD-3-Clause
"""Runs and their results in a file in ``build``: what is there is not run again."""

import itertools
import multiprocessing
import subprocess
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import machine
from accuracy_tables import read_results
from fitting import Run, begin, fit_and_test
from resumption import CODE, forget
from variants import Variant, digest

Record = dict[str, Any]
IDENTITY = ("variant", "data", "n_images", "seed", "settings")


class Conditions(NamedTuple):
    """How all runs of a comparison are made."""

    name: str  # of the file
    n_images: int | None = None  # None: all
    alone: bool = False  # on the machine
    fresh: bool = False  # each run in a process of its own
    keeps_labels: bool = False  # that are predicted in the test
    notes: tuple[tuple[str, Any], ...] = ()  # names and values that each run gets, too


def identity(run: Run, n_images: int | None) -> Record:
    """Return what tells a run from others; settings by their digest."""
    settings = digest(run.variant.settings)
    values = (run.variant.label, run.data, n_images, run.seed, settings)
    return dict(zip(IDENTITY, values, strict=True))


def identity_of(record: Record) -> Record:
    """Return the same of a run that was made."""
    return {name: record[name] for name in IDENTITY}


def read_report(name: str) -> Record:
    """Read what has been run of a comparison, if anything."""
    path = machine.CHECKOUT / "build" / f"{name}.json"
    if not path.exists():
        return {"settings": {}, "runs": []}
    return read_results(path)


def checkpoint_path(run: Record) -> Path:
    """Return where a fit by this code writes how far it is, by what tells it from others."""
    name = digest({**run, "code": CODE})
    return machine.CHECKOUT / "build" / "fits" / f"{name}.checkpoint"


def complete(runs: list[Run], conditions: Conditions, records: Iterable[Record] = ()) -> Record:
    """Run what is not in the file yet, writing it after each run, and return what it holds.

    `records` are of other comparisons: what they have run is taken over.
    """
    earlier = read_report(conditions.name)
    asked_for = {digest(run.variant.settings): run.variant.settings for run in runs}
    others = {name: each for name, each in earlier["settings"].items() if name not in asked_for}
    # Tables show the last settings of a variant.
    report = {"settings": others | asked_for, "runs": earlier["runs"]}
    identities = [(run, identity(run, conditions.n_images)) for run in runs]
    take_over(report["runs"], records, [known for _, known in identities])
    machine.write(f"{conditions.name}.json", report)
    done = list(map(identity_of, report["runs"]))
    missing = [(run, known) for run, known in identities if known not in done]
    print(f"{len(missing)} of {len(runs)} runs are to do.", flush=True)
    circumstances = {"alone": conditions.alone, "commit": commit(), **dict(conditions.notes)}
    failed = []
    for (run, known), worker in zip(missing, workers(conditions.fresh), strict=False):
        checkpoint = checkpoint_path(known)
        arguments = (run, conditions.n_images, checkpoint)
        kept = {"keeps_labels": conditions.keeps_labels}
        try:
            figures = worker.submit(fit_and_test, *arguments, **kept).result()
        except ValueError as error:  # such as that training diverged
            failed.append(f"{name_of(known)}: {error}")
            print(failed[-1], flush=True)
            continue
        report["runs"].append({**known, **circumstances, **figures})
        machine.write(f"{conditions.name}.json", report)
        forget(checkpoint)
        print(f"{name_of(known)}: {describe(figures)}", flush=True)
    if failed:
        verb = "run has failed, and is" if len(failed) == 1 else "runs have failed, and are"
        print(len(failed), verb, "missing:", "\n".join(failed))
    return report


def take_over(runs: list[Record], records: Iterable[Record], wanted: list[Record]) -> None:
    """Add those records to the runs that are wanted and not among them yet."""
    done = list(map(identity_of, runs))
    runs += [
        each for each in records if identity_of(each) in wanted and identity_of(each) not in done
    ]


def workers(fresh: bool) -> Iterator[ProcessPoolExecutor]:
    """Yield the process for each run: a new one, or always the same."""
    spawn = multiprocessing.get_context("spawn")
    if not fresh:
        with ProcessPoolExecutor(1, spawn, begin) as worker:
            yield from itertools.repeat(worker)
    while True:
        with ProcessPoolExecutor(1, spawn, begin) as worker:
            yield worker


def name_of(known: Record) -> str:
    """Name a run in messages."""
    return f"{known['variant']}, {known['data']}, seed {known['seed']}"


def describe(figures: Record) -> str:
    """Write the result of a run in a line."""
    accuracy, loss, seconds = (figures[name] for name in ("accuracy", "log_loss", "seconds"))
    return f"{100 * accuracy:.2f} %, log loss {loss:.4f}, {seconds:.1f} s"


def commit(path: str = "src") -> str:
    """Return the last commit of a file or folder, with "+" if it has changed since."""
    hash_ = _git("log", "-1", "--format=%H", "--", path)
    return hash_ + "+" * bool(_git("status", "--porcelain", "--", path))


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parents[2]), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def all_runs(variants: list[Variant], data: str, seeds: int) -> list[Run]:
    """List runs by seed, so that a comparison that is cut off has all variants alike."""
    return [Run(variant, data, seed) for seed in range(seeds) for variant in variants]
