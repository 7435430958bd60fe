# SPDX-License-Identifier: BSD-3-Clause
"""Serving by fashioncnn, onnxruntime, Keras and skorch: one image, a fresh process, a server.

    pip install -r benchmarks/peers.txt
    python benchmarks/serving

Each round measures all libraries, one after the other, beginning with another one each time. A
library that is not installed is left out. Results go to ``build/serving.json`` after each round,
and the tables beside it at the end. Copy both to ``benchmarks/results`` to publish them.
"""

import argparse
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # its thread would be missed by forked workers
sys.path.append(str(Path(__file__).parents[1] / "peers"))  # whose parts are used here, too

from machine import CHECKOUT, write
from measure_serving import few_images, fresh_process, one_image, server, write_models
from runs import in_turn, installed, read_options, write_tables
from servables import SERVABLES
from serving_tables import N_FEW, TASKS, tables

RESULTS = CHECKOUT / "benchmarks" / "results" / "serving.json"
PACKAGES = "fashioncnn numpy scikit-learn keras tensorflow skorch torch onnxruntime gunicorn"


class Measurements:
    """All measurements of a run, with the files that they need."""

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self.args, self.folder = args, folder
        self.names = installed(args.libraries, SERVABLES)
        self.n_calls = 20 if args.short else 300
        answering = [name for name in self.names if hasattr(SERVABLES[name], "peer")]
        write_models(answering, folder)
        loaded = answering if "one_image" in args.tasks else []
        self.answers = {name: SERVABLES[name].load(folder) for name in loaded}

    def in_turn(self, task: str, repetition: int) -> list[str]:
        """List the libraries of a task, another one first in each repetition."""
        return in_turn(TASKS[task].libraries, self.names, repetition)

    def one_image(self, repetition: int) -> Iterator[Any]:
        """Measure predictions of one image in this process."""
        for name in self.in_turn("one_image", repetition):
            yield name, {}, one_image(self.answers[name], self.folder, self.n_calls)

    def few_images(self, repetition: int) -> Iterator[Any]:
        """Measure both engines."""
        for n_images in N_FEW if "fashioncnn" in self.names else ():
            results = few_images(self.folder, n_images, self.n_calls)
            for engine, values in results.items():
                yield engine, {"n_images": n_images}, values

    def fresh_process(self, repetition: int) -> Iterator[Any]:
        """Measure processes that load and answer once."""
        for name in self.in_turn("fresh_process", repetition):
            if repetition == 0:
                fresh_process(name, self.folder)  # files come from the disk
            yield name, {}, fresh_process(name, self.folder)

    def server(self, repetition: int) -> Iterator[Any]:
        """Measure servers."""
        for name in self.in_turn("server", repetition):
            yield name, {}, server(name, self.folder, 5 * self.n_calls)


def run(args: argparse.Namespace) -> Path:
    """Measure, writing the results after each repetition, and return where they are."""
    warnings.filterwarnings("ignore")  # of exports, and of models that are trained too little
    records = []
    with tempfile.TemporaryDirectory() as folder:
        measurements = Measurements(args, Path(folder))
        for repetition in range(1 if args.short else args.repetitions):
            for task in filter(args.tasks.__contains__, TASKS):
                for library, arguments, results in getattr(measurements, task)(repetition):
                    record = {"task": task, "arguments": arguments, "library": library}
                    records.append({**record, "repetition": repetition, "results": results})
                    print(*records[-1].values(), flush=True)
            report = {"short": args.short, "measurements": records}
            path = write("serving.json", report, PACKAGES)
    return path


def main() -> None:
    """Measure and write the tables, or only write them."""
    args = read_options(__doc__.splitlines()[0], TASKS, SERVABLES, 7, RESULTS)
    write_tables(args.render or run(args), tables)


if __name__ == "__main__":
    main()
