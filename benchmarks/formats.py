# SPDX-License-Identifier: BSD-3-Clause
"""A network in each format: its size, the first answer, one picture, and 10,000 pictures.

    python benchmarks/formats.py

Two networks are trained a little and written in each format. Each round measures all formats, one
after the other, beginning with another one each time: a fresh process that imports what reads the
file, and answers one picture; then one picture, and 10,000, in one process. Pictures are uint8 and
come from memory; what turns them into what a format takes counts. Ratios are medians of those to
`predict` in the same round. Results and tables go to files in ``build``; copy both to
``benchmarks/results`` to publish them.
"""

import argparse
import inspect
import itertools
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notes on CPU and GPU
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime's thread that reports

import numpy as np
from peers.clocks import first_answer, time_calls
from peers.machine import CHECKOUT, write
from peers.runs import in_turn, installed, write_tables
from peers.writing import milliseconds, table, three_digits

from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample

RESULTS = CHECKOUT / "benchmarks" / "results" / "formats.json"
HERE = Path(__file__).parent
PACKAGES = "fashioncnn numpy scikit-learn keras tensorflow onnx onnxruntime ai-edge-litert"
LEAST_EQUAL = 0.999  # of the answers; rounding may decide between classes that are equally probable

Answer = Callable[[Any], Any]  # from uint8 pictures of shape (n, 28, 28) to their classes

# A fresh process has the source of the function that loads, after the first line.
FRESH = """
from __future__ import annotations
import sys
{source}
answer = {name}(sys.argv[1])
import numpy
answer(numpy.load(sys.argv[2]))
print("answered", flush=True)
import json
sys.path.append(sys.argv[3])
from peers.machine import status_megabytes
print(json.dumps({{"megabytes": status_megabytes("VmHWM")}}))
"""


def load_model_file(path: str) -> Answer:
    """Load it by the library of this project."""
    from fashioncnn import FashionCNNClassifier

    return FashionCNNClassifier.load(path).predict


def load_onnx(path: str) -> Answer:
    """Open a session of onnxruntime, which takes the bytes and answers classes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return lambda X: session.run(["label"], {"image": X[..., None]})[0]


def load_litert(path: str) -> Answer:
    """Let LiteRT's interpreter have a thread for each core; by itself it takes one."""
    import os

    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(path, num_threads=os.cpu_count()).get_signature_runner()
    return lambda X: run(image=X[..., None].astype("float32"))["output_0"].argmax(axis=1)


def load_saved_model(path: str) -> Answer:
    """Load it by TensorFlow alone."""
    import tensorflow as tf

    model = tf.saved_model.load(path)  # `serve` alone would not keep its weights
    return lambda X: model.serve(X[..., None].astype("float32")).numpy().argmax(axis=1)


def load_keras(path: str) -> Answer:
    """Load it by Keras, which is called for one picture, as its documentation advises."""
    import keras

    model = keras.saving.load_model(path)

    def answer(X: Any) -> Any:
        pixels = X[..., None].astype("float32")
        if len(X) == 1:
            return model(pixels, training=False).numpy().argmax(axis=1)
        return model.predict(pixels, batch_size=1000, verbose=0).argmax(axis=1)

    return answer


class Way(NamedTuple):
    """A format, and what reads it."""

    label: str
    how: str  # it is asked
    save: Callable[[Any, Path], object]
    load: Callable[[str], Answer]
    batch_size: int | None = None  # of many pictures, where a user makes batches
    needs: tuple[str, ...] = ()  # modules that may not be installed


OURS = "model.safetensors"
# No other size of batches that was tried, from 50 to 1,000, was clearly faster on two cores.
WAYS = {
    OURS: Way(
        "model file, `predict`",
        "takes the bytes, answers classes",
        lambda clf, path: clf.save(path),
        load_model_file,
    ),
    "model.onnx": Way(
        "ONNX, onnxruntime",
        "takes the bytes, answers classes; batches of 250; its own number of threads",
        lambda clf, path: clf.export_onnx(path),
        load_onnx,
        250,
        ("onnx", "onnxruntime"),
    ),
    "model.tflite": Way(
        "LiteRT, ai-edge-litert",
        "takes float32; batches of 100; `num_threads` is the number of cores",
        lambda clf, path: clf.model_.export(path, format="litert", verbose=False),
        load_litert,
        100,
        ("ai_edge_litert",),
    ),
    "saved_model": Way(
        "SavedModel, TensorFlow",
        "takes float32; `serve`, batches of 1,000",
        lambda clf, path: clf.model_.export(path, format="tf_saved_model", verbose=False),
        load_saved_model,
        1000,
    ),
    "model.keras": Way(
        "`.keras`, Keras",
        "takes float32; the model is called for one picture; `predict`, batches of 1,000, for many",
        lambda clf, path: clf.model_.save(path),
        load_keras,
    ),
}
MEASURES = ("first", "megabytes", "one", "many")
NETWORKS = {
    "The default network": lambda: FashionCNNClassifier(epochs=1, random_state=0),
    'The recipe "fast"': lambda: FashionCNNClassifier.from_recipe(
        "fast", epochs=1, min_steps=0, random_state=0
    ),
}


def n_bytes(path: Path) -> int:
    """Return the size of a file, or of all files in a folder."""
    return sum(each.stat().st_size for each in [path, *path.rglob("*")] if each.is_file())


def fresh_process(way: Way, path: Path) -> dict[str, float]:
    """Load and answer in a process of its own."""
    code = FRESH.format(source=inspect.getsource(way.load), name=way.load.__name__)
    command = [sys.executable, "-c", code, path, path.parent / "picture.npy", HERE]
    return first_answer(command, {})


def in_batches(way: Way, path: Path) -> Answer:
    """Load it here, and let it answer many pictures in batches."""
    answer, size = way.load(str(path)), way.batch_size
    if size is None:
        return answer
    return lambda X: np.concatenate([answer(X[i : i + size]) for i in range(0, len(X), size)])


def measure_once(way: Way, answer: Answer, path: Path, X: Any, n_calls: int) -> dict[str, float]:
    """Measure a format in a fresh process and in this one."""
    fresh = fresh_process(way, path)
    time.sleep(0.2)  # threads that wait for more work of another library fall asleep
    (one,) = time_calls([lambda: answer(X[:1])], n_calls)
    (many,) = time_calls([lambda: answer(X)], 3)
    return {"first": fresh["seconds"], "megabytes": fresh["megabytes"], "one": one, "many": many}


def compare(answers: dict[str, Answer], X: Any) -> None:
    """Demand that all answer the same."""
    expected = answers[OURS](X)
    for name, answer in answers.items():
        share = np.mean(answer(X) == expected)
        if share < LEAST_EQUAL:
            raise RuntimeError(f"{name} answers only {share:.1%} of the pictures as {OURS} does")


def measure(clf: Any, X: Any, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Write a network in all formats, and measure each in its turn."""
    np.save(folder / "picture.npy", X[:1])
    paths = {name: folder / name for name in args.formats}
    for name, path in paths.items():
        WAYS[name].save(clf, path)
    answers = {name: in_batches(WAYS[name], path) for name, path in paths.items()}
    compare(answers, X)
    measured: dict[str, dict[str, list[float]]] = {
        name: {measure: [] for measure in MEASURES} for name in paths
    }
    for number in range(args.repetitions):
        for name in in_turn(WAYS, paths, number):
            if number == 0:
                fresh_process(WAYS[name], paths[name])  # files come from the disk
            once = measure_once(WAYS[name], answers[name], paths[name], X, args.calls)
            for measure, value in once.items():
                measured[name][measure].append(value)
            print(name, once, flush=True)
    return {
        "weights": sum(weight.nbytes for weight in clf._network.weights.values()),
        "bytes": {name: n_bytes(path) for name, path in paths.items()},
        "measured": measured,
    }


def run(args: argparse.Namespace) -> Path:
    """Train both networks, measure them, and return where the results are."""
    warnings.filterwarnings("ignore")  # of exports
    X, y = load_fashion_mnist_sample("train")
    pictures = np.resize(X, (args.pictures, *X.shape[1:]))
    args.formats = installed([name for name in WAYS if name in {OURS, *args.formats}], WAYS)
    networks = {}
    for title, make in NETWORKS.items():
        with tempfile.TemporaryDirectory() as folder:
            networks[title] = measure(make().fit(X, y), pictures, args, Path(folder))
    return write("formats.json", {"pictures": args.pictures, "networks": networks}, PACKAGES)


def with_ratio(own: list[float], ours: list[float]) -> list[str]:
    """Write times, and the median of their ratios to those of `predict` in the same round."""
    ratios = [mine / other for mine, other in zip(own, ours, strict=True)]
    return [milliseconds(own), three_digits(statistics.median(ratios))]


def tables_of_network(title: str, results: dict[str, Any], n_pictures: int) -> str:
    """Write what was measured of one network."""
    measured, files, in_one_process = results["measured"], [], []
    for name, values in measured.items():
        size, ours = results["bytes"][name], measured[OURS]
        files.append(
            [
                WAYS[name].label,
                f"{size:,}",
                f"{size / results['weights']:.3f}",
                *with_ratio(values["first"], ours["first"]),
                f"{statistics.median(values['megabytes']):,.0f} MB",
            ]
        )
        times = (with_ratio(values[measure], ours[measure]) for measure in ("one", "many"))
        in_one_process.append([WAYS[name].label, *itertools.chain(*times)])
    return (
        f"## {title}\n\nIts weights have {results['weights']:,} bytes.\n\n"
        + table(" | bytes | beside the weights | first answer | ratio | peak memory", files)
        + "\n"
        + table(f" | one picture | ratio | {n_pictures:,} pictures | ratio", in_one_process)
    )


def tables(results: dict[str, Any]) -> str:
    """Write what was measured of both networks, and how."""
    environment, networks = results["environment"], results["networks"]
    versions = [f"{name} {environment[name]}" for name in PACKAGES.split() if name in environment]
    present = [name for name in WAYS if any(name in each["bytes"] for each in networks.values())]
    return "\n".join(
        [
            f"Medians, and between which values all lie; ratios to `predict`. "
            f"{environment['processor']}, {environment['cores']} cores; "
            f"Python {environment['python']}, {', '.join(versions)}.\n",
            *(
                tables_of_network(title, network, results["pictures"])
                for title, network in networks.items()
            ),
            "## How each is asked\n",
            *(f"- {WAYS[name].label}: {WAYS[name].how}." for name in present),
            "",
        ]
    )


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--formats", nargs="+", choices=WAYS, default=WAYS, help=f"and {OURS}")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--calls", type=int, default=300, help="of one picture, in one process")
    parser.add_argument("--pictures", type=int, default=10_000, help="that are many")
    parser.add_argument(
        "--render", nargs="?", type=Path, const=RESULTS, help="only show what a file holds"
    )
    args = parser.parse_args()
    write_tables(args.render or run(args), tables)


if __name__ == "__main__":
    main()
