# SPDX-License-Identifier: BSD-3-Clause
"""Do anything with many classifiers in one process, for some time, and watch what they predict.

``python tools/soak.py --minutes 60 --seed 1``. Hypothesis runs ``tests/soak_machine.py`` again and
again: it fits, predicts, saves, loads, copies, forks, interrupts and resumes in any order, and
after each step all classifiers must predict the bits that they predicted when they were fitted. A
line a minute says what was done; Ctrl-C ends it sooner. At the end it says how memory has grown.
What was wrong is printed, in as few steps as hypothesis finds in some minutes, and the exit code is
1. The steps of a run follow from the seed and the number of the run alone: ``--run 17`` repeats it.

Memory is read after each sequence of steps, when its classifiers are gone. The first third of the
readings is left out: programs are compiled then, which stay. A straight line through the others
over the number of fits says what a fit holds at most, since it counts all growth as theirs; so do
lines over the numbers of predictions and of functions that were compiled.
"""

import argparse
import faulthandler
import itertools
import json
import os
import sys
import time
import traceback
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on CPU and GPU
sys.path.append(str(Path(__file__).parents[1] / "tests"))

import hypothesis
import numpy as np
from hypothesis.stateful import run_state_machine_as_test
from soak_calls import WARNINGS
from soak_journal import COUNTED, N_BLOCKS, Journal, growth
from soak_machine import Soak

from fashioncnn._tensorflow import program

N_SEQUENCES = 5  # in a run
SETTINGS = hypothesis.settings(
    max_examples=N_SEQUENCES,
    stateful_step_count=40,
    deadline=None,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
    phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
    print_blob=False,
    report_multiple_bugs=False,
)
MOST_FAULTS = 10


def count_traces(journal: Journal) -> None:
    """Count in the journal what is compiled."""

    def counted(trace):
        def count_and_trace(*arguments, **options):
            journal.counts["traces"] += 1
            return trace(*arguments, **options)

        return count_and_trace

    for name in ("trace_training", "trace_forward"):
        setattr(program, name, counted(getattr(program, name)))


def line(journal: Journal) -> str:
    """Say in a line what was done so far."""
    names = ("steps", "fits", "predictions", "fork", "resume", "interrupts", "traces")
    counts = ", ".join(f"{journal.counts[name]:,} {name}" for name in names)
    return f"{counts}; {journal.readings[-1].megabytes:.0f} MB"


class Told(Soak):
    """A machine that prints a line when a minute is over."""

    started = told = time.monotonic()

    def teardown(self) -> None:
        """End a sequence of steps."""
        super().teardown()
        if time.monotonic() > Told.told + 60:
            Told.told = time.monotonic()
            minutes = (Told.told - self.started) / 60
            print(f"{minutes:5.1f} min: {line(self.journal)}", flush=True)


def run(seed: int, number: int) -> str:
    """Take the steps of a run, and return what is wrong, if anything."""
    machine = hypothesis.seed(10**6 * seed + number)(type("Soak", (Told,), {}))
    Soak.journal.failed.clear()
    try:
        run_state_machine_as_test(machine, settings=SETTINGS)
    except Exception:
        steps = "\n".join(Soak.journal.failed)
        return f"{traceback.format_exc()}\nThe steps that failed first:\n{steps}\n"
    return ""


def summary(journal: Journal) -> dict[str, float]:
    """Say in numbers what was done, and how memory grew."""
    later = journal.readings[len(journal.readings) // 3 :]
    results = {**dict(sorted(journal.counts.items())), "networks": len(journal.networks)}
    if not later:
        return results
    first, last = later[0], later[-1]
    results["readings of memory"] = len(later)
    results["MB more from first to last"] = last.megabytes - first.megabytes
    differences = np.subtract(last.counts, first.counts).tolist()
    results |= {f"{name} meanwhile": n for name, n in zip(COUNTED, differences, strict=True)}
    for name, (slope, error) in growth(later).items() if len(later) > N_BLOCKS else ():
        results |= {f"MB per {name[:-1]}": slope, f"error of MB per {name[:-1]}": error}
    results["MB at the end"] = last.megabytes
    results["threads at most"] = max(reading.n_threads for reading in journal.readings)
    results["open files at most"] = max(reading.n_files for reading in journal.readings)
    return results


def soak(seed: int, minutes: float, faults: list[str]) -> None:
    """Do one run after the other until the time is over, and append what was wrong."""
    ends = Told.started + 60 * minutes
    for number in itertools.count():
        if time.monotonic() > ends or len(faults) == MOST_FAULTS:
            break
        if fault := run(seed, number):
            faults.append(f"run {number}: {fault}")
            print(faults[-1], flush=True)


def main() -> None:
    """Soak, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", type=int, help="repeat this run only")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    faulthandler.enable()
    warnings.simplefilter("error")
    for message in WARNINGS:
        warnings.filterwarnings("ignore", message)
    journal = Soak.journal
    count_traces(journal)
    faults: list[str] = []
    try:
        if arguments.run is None:
            soak(arguments.seed, arguments.minutes, faults)
        elif fault := run(arguments.seed, arguments.run):
            faults = [fault]
            print(fault)
    except KeyboardInterrupt:
        print("Ended early:", traceback.format_exc(limit=-3))
    results = summary(journal) | {"faults": len(faults)}
    for name, value in results.items():
        print(f"{name:40}{value:16,.6f}" if isinstance(value, float) else f"{name:40}{value:9,}")
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
