# SPDX-License-Identifier: BSD-3-Clause
"""What a checkpoint costs: in each epoch, and before the first one.

    python benchmarks/checkpoint.py --rounds 3

Fits the default network and the recipe "fast" to all of Fashion-MNIST, and writes a checkpoint
after every epoch, where `fit` would leave out those that come too soon. The cost of an epoch is the
time from the request for the state until it is on the disk, beside that of the epoch. Before the
first epoch the data are read once for their digests. Keras' `BackupAndRestore` writes the default
network after epochs of one step in the same rounds; it does not wait for the disk. Results go to a
file in ``build``; copy it to ``benchmarks/results`` to publish it.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on CPU and GPU

import numpy as np
from peers.machine import write
from peers.writing import milliseconds

from fashioncnn import FashionCNNClassifier, _fitting, load_fashion_mnist
from fashioncnn._files import checkpoint_file
from fashioncnn._files.checkpoint_file import CheckpointFile

NETWORKS: dict[str, Callable[..., FashionCNNClassifier]] = {
    "default": FashionCNNClassifier,
    "fast": lambda **params: FashionCNNClassifier.from_recipe("fast", **params),
}


@contextmanager
def timed(place: Any, name: str, note: Callable[[float], None]) -> Iterator[None]:
    """Note how long each call of a function takes."""
    function = getattr(place, name)

    def call(*arguments: Any) -> Any:
        started = time.perf_counter()
        result = function(*arguments)
        note(time.perf_counter() - started)
        return result

    with mock.patch.object(place, name, call):
        yield


def fit(name: str, epochs: int, path: Path) -> dict[str, list[float]]:
    """Fit, and return the seconds of each epoch and write, of the digests, and the file's bytes."""
    from fashioncnn._training.loop import Training

    X, y = load_fashion_mnist("train")
    clf = NETWORKS[name](epochs=epochs, checkpoint=path, random_state=0)
    noted: dict[str, list[float]] = {"epoch": [], "write": [], "digests": [], "bytes": []}

    def note_write(seconds: float) -> None:
        noted["write"].append(seconds)
        noted["bytes"].append(path.stat().st_size)

    with (
        mock.patch.object(checkpoint_file, "SECONDS_BETWEEN_WRITES", 0.0),
        timed(Training, "run_epoch", noted["epoch"].append),
        timed(CheckpointFile, "write_if_due", note_write),
        timed(_fitting, "identify_fit", noted["digests"].append),
    ):
        clf.fit(X, y)
    return noted


def fit_keras(epochs: int, folder: Path) -> list[float]:
    """Return how long `BackupAndRestore` takes after each epoch."""
    import keras
    from peers.network import keras_network

    seconds: list[float] = []
    model = keras_network((28, 28, 1))
    model.compile("adam", "categorical_crossentropy")
    X, y = np.zeros((128, 28, 28, 1), np.float32), np.eye(10, dtype=np.float32)[np.zeros(128, int)]
    backup = keras.callbacks.BackupAndRestore(folder)
    with timed(keras.callbacks.BackupAndRestore, "on_epoch_end", seconds.append):
        model.fit(X, y, batch_size=128, epochs=epochs, verbose=0, callbacks=[backup])
    return seconds


def report(results: dict[str, Any]) -> str:
    """Say what was measured."""
    lines = []
    for name, noted in results["networks"].items():
        epoch, writing = statistics.median(noted["epoch"]), statistics.median(noted["write"])
        lines.append(
            f"{name}: an epoch {epoch:.2f} s, a write {milliseconds(noted['write'])}, "
            f"{writing / epoch:.2%} of it, {noted['bytes'][-1] / 1e6:.1f} MB; digests "
            f"{milliseconds(noted['digests'])}"
        )
    lines.append(f"BackupAndRestore: {milliseconds(results['keras'])}")
    return "\n".join(lines)


def main() -> None:
    """Fit in turn, and print what writing costs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    args = parser.parse_args()
    networks: dict[str, dict[str, list[float]]] = {name: {} for name in NETWORKS}
    keras: list[float] = []
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as folder:
            for name, noted in networks.items():
                for what, values in fit(name, args.epochs, Path(folder, name)).items():
                    noted.setdefault(what, []).extend(values)
            keras += fit_keras(args.epochs, Path(folder, "keras"))
    results = {"networks": networks, "keras": keras}
    write("checkpoint.json", results)
    print(report(results))


if __name__ == "__main__":
    main()
