# SPDX-License-Identifier: BSD-3-Clause
"""Kill fits at random moments, again and again until they end, and compare what they lead to.

``python tools/kill_fits.py --kills 200 --seed 1``. Each fit has features drawn at random and a
checkpoint, which it writes after each epoch or after some. It is run in a process of its own, which
is killed by SIGKILL: at any time from its start to after its end, or while it trains, or when a
temporary file appears. Then the same is run again, until a fit has ended before it was killed.
What a last run returns must have all bits of a fit without a checkpoint, take no step, and leave
nothing but the checkpoint in the folder. Anything else is a fault, which is printed.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.append(str(Path(__file__).parents[1] / "tests"))

from killed_fits import KINDS, Fit, FitProcess, Outcome, Stage, differences, finish
from model_files import take_apart

NAME = "run.checkpoint"
SHARE_OF_FEATURES = 0.4  # of their kinds
LENGTHS = (1, 3, 10)  # times the epochs of the tests
SECONDS_BETWEEN_WRITES = (0.0, 0.03)
MOMENTS = ("any time", "while it trains", "temporary file")
LONGER = 1.1  # than a fit takes, a process lives at most
SECONDS_OF_A_WRITE = 0.003  # or so
TICK = 0.0002

Random = np.random.Generator


class Uninterrupted(NamedTuple):
    """A fit without a checkpoint, and the seconds that it takes."""

    outcome: Outcome
    start: float  # until its first epoch
    training: float


class Counts(NamedTuple):
    """What has been seen of all fits."""

    kills: Counter[tuple[str, str]]  # by where the process and its file stood
    moments: Counter[str]
    numbers: Counter[str]


def draw_fit(random: Random, folder: str) -> Fit:
    """Draw features, and how long and how often written a fit is."""
    features = [
        str(random.choice(list(kind)))
        for kind in KINDS.values()
        if random.random() < SHARE_OF_FEATURES
    ]
    return Fit(
        tuple(features),
        os.path.join(folder, NAME),
        length=int(random.choice(LENGTHS)),
        seconds_between_writes=float(random.choice(SECONDS_BETWEEN_WRITES)),
    )


def run_uninterrupted(fit: Fit) -> Uninterrupted:
    """Run a fit without a checkpoint, and take the time."""
    begin = time.monotonic()
    process = FitProcess(fit._replace(checkpoint=None))
    wait_for_training(process)
    start = time.monotonic() - begin
    while process.stage < Stage.ENDED:
        time.sleep(TICK)
    training = time.monotonic() - begin - start
    outcome = process.outcome()
    assert outcome is not None, "The process was killed from outside."
    return Uninterrupted(outcome, start, training)


def wait_for_training(process: FitProcess) -> None:
    """Wait until a process has traced its network, or has nothing to train."""
    while not process.has_begun and process.stage < Stage.ENDED:
        time.sleep(TICK)


def wait_for_temporary_file(process: FitProcess, folder: str, n_files: int) -> None:
    """Wait until a process has made a number of temporary files, or has ended."""
    seen = set(os.listdir(folder))
    n_files += len(seen | {NAME})
    while len(seen | {NAME}) < n_files and process.stage < Stage.ENDED:
        seen |= set(os.listdir(folder))
        time.sleep(TICK)


def kill_at_random(fit: Fit, expected: Uninterrupted, random: Random) -> tuple[str, FitProcess]:
    """Run a fit, and kill it at a moment of a random kind; return that and the killed process."""
    assert fit.checkpoint is not None
    kind = str(random.choice(MOMENTS))
    process = FitProcess(fit)
    if kind == "any time":
        most_seconds = LONGER * (expected.start + expected.training)
    elif kind == "while it trains":
        wait_for_training(process)
        most_seconds = LONGER * expected.training
    else:
        folder = os.path.dirname(fit.checkpoint)
        wait_for_temporary_file(process, folder, int(random.integers(1, 6)))
        most_seconds = SECONDS_OF_A_WRITE
    time.sleep(random.uniform(0, most_seconds))
    process.kill()
    return kind, process


def content_of(path: str) -> str:
    """Say what the file of a fit holds."""
    if not os.path.exists(path):
        return "no file"
    manifest = take_apart(Path(path).read_bytes()).manifest
    if manifest["best"] is None:
        return "no epoch"
    return "some epochs" if manifest["state"] else "the result"


def others_in(path: str) -> set[str]:
    """Return the names beside the file of a fit."""
    return set(os.listdir(os.path.dirname(path))) - {NAME}


def kill_until_it_ends(
    fit: Fit, expected: Uninterrupted, random: Random, counts: Counts
) -> list[str]:
    """Kill a fit again and again, and return what is wrong about what it leads to."""
    assert fit.checkpoint is not None
    n_epochs, process, temporary = 0, None, set[str]()
    while process is None or process.stage < Stage.ENDED:
        kind, process = kill_at_random(fit, expected, random)
        process.outcome()  # raises what was raised there
        content = content_of(fit.checkpoint)
        n_epochs += process.n_epochs
        counts.kills[process.stage.name.lower().replace("_", " "), content] += 1
        counts.moments[kind] += 1
        temporary |= others_in(fit.checkpoint)
    last = finish(fit)
    counts.numbers["temporary files left, and removed later"] += len(temporary)
    counts.numbers["epochs trained again"] += n_epochs - expected.outcome.n_epochs
    counts.numbers["fits"] += 1
    faults = [f"{name} differs" for name in differences(last, expected.outcome)]
    if last.n_epochs or last.n_calls:
        faults.append(f"a fit that had ended took {last.n_calls} calls")
    if others := others_in(fit.checkpoint):
        faults.append(f"{others} is left in the folder")
    return faults


def main() -> None:
    """Kill fits, and print where they stood, and what was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    counts, n_faults, number = Counts(Counter(), Counter(), Counter()), 0, 0
    while counts.kills.total() < arguments.kills:
        number += 1
        random = np.random.default_rng((arguments.seed, number))
        with tempfile.TemporaryDirectory() as folder:
            fit = draw_fit(random, folder)
            try:
                faults = kill_until_it_ends(fit, run_uninterrupted(fit), random, counts)
            except AssertionError as error:
                faults = [str(error)]
        for fault in faults:
            print(f"\nfit {number}, {fit}: {fault}", flush=True)
        n_faults += len(faults)
    print(f"{'the process was':20}{'its file held':16}kills")
    for (stage, content), n in sorted(counts.kills.items()):
        print(f"{stage:20}{content:16}{n:5,}")
    for name, n in (counts.moments + counts.numbers).items():
        print(f"{name:41}{n:5,}")
    print(f"{counts.kills.total():,} kills, {n_faults} faults")
    sys.exit(1 if n_faults else 0)


if __name__ == "__main__":
    main()
