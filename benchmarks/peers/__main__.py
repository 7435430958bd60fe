# SPDX-License-Identifier: BSD-3-Clause
"""fashioncnn beside plain Keras, SciKeras, skorch and scikit-learn, in one run on the same data.

    pip install -r benchmarks/peers.txt
    python benchmarks/peers

In each repetition every library has a process of its own, and each case is measured with one of
them after the other, beginning with another one each time. A library that is not installed is left
out. Results go to ``build/peers.json`` after each repetition, tables and chart beside it at the
end. Copy the file to ``benchmarks/results`` to publish it, and redraw all by ``--render``.
"""

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from chart import draw
from libraries import LIBRARIES
from machine import CHECKOUT, write
from measure import begin, measure
from report import list_values, summarize, tables
from runs import in_turn, installed, read_options, write_tables
from tasks import TASKS

RESULTS = CHECKOUT / "benchmarks" / "results" / "peers.json"
CHART = CHECKOUT / "docs" / "images" / "peers.svg"


def repeat(args: argparse.Namespace, libraries: list[str], repetition: int) -> list[dict[str, Any]]:
    """Measure each case with one library after the other."""
    spawn = multiprocessing.get_context("spawn")
    workers = {name: ProcessPoolExecutor(1, spawn, begin, (name,)) for name in libraries}
    records = []
    for name in filter(args.tasks.__contains__, TASKS):
        present = in_turn(TASKS[name].libraries, libraries, repetition)
        for case in TASKS[name].short_cases() if args.short else TASKS[name].cases:
            for library in present:
                results = workers[library].submit(measure, name, case).result()
                record = {"task": name, "arguments": case, "library": library}
                records.append({**record, "repetition": repetition, "results": results})
                print(*records[-1].values(), flush=True)
    for worker in workers.values():
        worker.shutdown()
    return records


def run(args: argparse.Namespace) -> Path:
    """Measure, writing the results after each repetition, and return where they are."""
    libraries = installed(args.libraries, LIBRARIES)
    records = []
    for repetition in range(1 if args.short else args.repetitions):
        records += repeat(args, libraries, repetition)
        path = write("peers.json", {"short": args.short, "measurements": records})
    return path


def render(path: Path) -> None:
    """Write the tables and the chart of a file of results, and print the tables."""
    results = write_tables(path, tables)
    chart = CHART if path.resolve() == RESULTS else path.with_suffix(".svg")
    try:
        draw(summarize(list_values(results)), chart)
    except ModuleNotFoundError as error:
        print(f"No chart is drawn: {error}. Install fashioncnn[plot].")


def main() -> None:
    """Measure and render, or only render."""
    args = read_options(__doc__.splitlines()[0], TASKS, LIBRARIES, 5, RESULTS)
    render(args.render or run(args))


if __name__ == "__main__":
    main()
