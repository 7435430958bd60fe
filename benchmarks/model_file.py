# SPDX-License-Identifier: BSD-3-Clause
"""Size and speed of model files, beside joblib's and Keras' files of the same network.

    python benchmarks/model_file.py

The default network is trained a little. Each way of saving writes it and reads it again many times
in one process, then once in each of several fresh processes, which answer for one picture: these
read the file after all imports, and for the first time. The disk's cache has the files.
Results and tables go to files in ``build``; copy both to ``benchmarks/results`` to publish them.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes on CPU and GPU

import joblib
import numpy as np
from peers.machine import CHECKOUT, write
from peers.runs import in_turn, write_tables
from peers.writing import milliseconds, table

from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample

RESULTS = CHECKOUT / "benchmarks" / "results" / "model_file.json"
PACKAGES = "fashioncnn numpy scikit-learn safetensors joblib keras tensorflow"
MOST_OVERHEAD = 1.01  # a file's goal, in sizes of the weights
MOST_SECONDS = 0.02  # of loading, after imports
TASKS_OF_A_FRESH_PROCESS = ("load after imports", "start to answer")

# What a fresh process does, with what it imports, how it loads and how it answers.
FRESH = """
import sys, time
import numpy
{imports}
X = numpy.load(sys.argv[2])
started = time.perf_counter()
loaded = {load}
seconds = time.perf_counter() - started
{answer}
print(seconds)
"""


class Way(NamedTuple):
    """A way of saving a classifier to a file and loading it."""

    label: str
    save: Callable[[Any, Path], object]
    load: Callable[[Path], object]
    imports: str
    fresh_load: str
    answer: str = "loaded.predict(X)"


def save_by_keras(clf: Any, path: Path) -> None:
    """Let Keras write the compiled model, with the moments of the optimizer."""
    clf.model_.save(path)


def load_by_keras(path: Path) -> object:
    """Import Keras, and let it read the file."""
    import keras

    return keras.saving.load_model(path)


WAYS = {
    "model.safetensors": Way(
        "model file (`save`, `load`)",
        FashionCNNClassifier.save,
        FashionCNNClassifier.load,
        "from fashioncnn import FashionCNNClassifier",
        "FashionCNNClassifier.load(sys.argv[1])",
    ),
    "model.joblib": Way(
        "`joblib.dump`, `joblib.load`",
        joblib.dump,
        joblib.load,
        "import joblib, fashioncnn.classifier",
        "joblib.load(sys.argv[1])",
    ),
    "model.keras": Way(
        "Keras' file of `model_`, `load_model`",
        save_by_keras,
        load_by_keras,
        "import keras",
        "keras.saving.load_model(sys.argv[1])",
        "loaded(X)",
    ),
}


def seconds_of(call: Callable[..., object], *args: Any) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    call(*args)
    return time.perf_counter() - started


def fresh_process(way: Way, path: Path, picture: Path) -> dict[str, float]:
    """Load and answer in a process of its own."""
    code = FRESH.format(imports=way.imports, load=way.fresh_load, answer=way.answer)
    started = time.perf_counter()
    result = subprocess.run(
        [sys.executable, "-c", code, path, picture], check=True, stdout=subprocess.PIPE, text=True
    )
    whole = time.perf_counter() - started
    return dict(zip(TASKS_OF_A_FRESH_PROCESS, (float(result.stdout), whole), strict=True))


def measure(n_calls: int, n_processes: int, folder: Path) -> dict[str, Any]:
    """Measure all ways, each in its turn."""
    X, y = load_fashion_mnist_sample("train", as_names=True)
    clf = FashionCNNClassifier(epochs=1, random_state=0).fit(X, y)
    np.save(folder / "picture.npy", X[:1])
    sizes = {"weights": sum(weight.nbytes for weight in clf._network.weights.values())}
    seconds: dict[str, dict[str, list[float]]] = {
        name: {task: [] for task in ("save", "load", *TASKS_OF_A_FRESH_PROCESS)} for name in WAYS
    }
    for number in range(-1, n_calls):  # the first makes ready
        for name in in_turn(WAYS, WAYS, number):
            times = {
                "save": seconds_of(WAYS[name].save, clf, folder / name),
                "load": seconds_of(WAYS[name].load, folder / name),
            }
            for task, value in times.items() if number >= 0 else ():
                seconds[name][task].append(value)
    for number in range(n_processes):
        for name in in_turn(WAYS, WAYS, number):
            measured = fresh_process(WAYS[name], folder / name, folder / "picture.npy")
            for task, value in measured.items():
                seconds[name][task].append(value)
    sizes |= {name: (folder / name).stat().st_size for name in WAYS}
    return {"bytes": sizes, "seconds": seconds}


def tables(results: dict[str, Any]) -> str:
    """Write what was measured, and how far the goals are reached."""
    environment, sizes, seconds = results["environment"], results["bytes"], results["seconds"]
    share = {name: size / sizes["weights"] for name, size in sizes.items()}
    load = statistics.median(seconds["model.safetensors"]["load after imports"])
    versions = [f"{name} {environment[name]}" for name in PACKAGES.split() if name in environment]
    in_one_process = [
        [
            WAYS[name].label,
            f"{sizes[name]:,}",
            f"{share[name]:.4f}",
            milliseconds(seconds[name]["save"]),
            milliseconds(seconds[name]["load"]),
        ]
        for name in WAYS
    ]
    fresh = [
        [way.label, *(milliseconds(seconds[name][task]) for task in TASKS_OF_A_FRESH_PROCESS)]
        for name, way in WAYS.items()
    ]
    of_file = share["model.safetensors"]
    goals = [
        ["size beside the weights", f"at most {MOST_OVERHEAD}", f"{of_file:.4f}"],
        ["load after imports", f"at most {1000 * MOST_SECONDS:.0f} ms", f"{1000 * load:.1f} ms"],
    ]
    return (
        f"Medians, and between which values all lie. {environment['processor']}, "
        f"{environment['cores']} cores; Python {environment['python']}, {', '.join(versions)}. "
        f"The default network has {sizes['weights']:,} bytes of weights.\n\n"
        "## In one process\n\n"
        + table(" | bytes | beside the weights | save | load", in_one_process)
        + "\nKeras' file also has the optimizer's moments, twice the size of the weights.\n\n"
        "## A fresh process that loads and answers once\n\n"
        + table(" | load, after imports | start to answer", fresh)
        + "\n## Goals\n\n"
        + table(" | goal | measured", goals)
    )


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=50, help="in one process")
    parser.add_argument("--processes", type=int, default=11)
    parser.add_argument(
        "--render", nargs="?", type=Path, const=RESULTS, help="only show what a file holds"
    )
    args = parser.parse_args()
    path = args.render
    if path is None:
        with tempfile.TemporaryDirectory() as folder:
            results = measure(args.calls, args.processes, Path(folder))
        path = write("model_file.json", results, PACKAGES)
    write_tables(path, tables)


if __name__ == "__main__":
    main()
