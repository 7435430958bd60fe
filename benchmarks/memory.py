# SPDX-License-Identifier: BSD-3-Clause
"""How memory grows over many fits and predictions, and how far it rises in large ones (Linux).

    python benchmarks/memory.py --output benchmarks/results/memory.json

A straight line through the memory that the process holds after each of many fits of small
networks, but for the first 20, says how it grows with each; so do many predictions, but for the
first 1,000. The latest 16 architectures stay compiled: a line through the first fits says what
one takes, and those through later ones what stays. How far memory rises in a fit to 60,000 images
and in predictions of large images is what it holds at most beside images and network. Last, a
network is fitted to a memory map while the process may allocate 300 MB more.
"""

import argparse
import gc
import json
import multiprocessing
import os
import pickle
import resource
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on CPU and GPU

import numpy as np
from peers.machine import rise_in_megabytes, status_megabytes

from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample

Results = dict[str, float]


def memory_after(call: Callable[[int], object], n_calls: int) -> np.ndarray:
    """Call with 0, 1, ..., and return how many MB the process holds after each call."""
    readings = np.full(n_calls, np.nan)  # that are there from the start, and do not grow
    for number in range(n_calls):
        call(number)
        readings[number] = status_megabytes()
    return readings


def slope(readings: np.ndarray) -> float:
    """Return by how many MB memory grows with each call."""
    return float(np.polyfit(np.arange(len(readings)), readings, 1)[0])


def growth(n_fits: int, n_architectures: int, n_predictions: int) -> Results:
    """Measure how memory grows over fits and over predictions of ever other numbers of images."""
    large, y = load_fashion_mnist_sample("train")
    X = large[:, ::2, ::2]

    def fit(n_images: int, units: int, stacks: tuple[int, ...] = (8, 16)) -> FashionCNNClassifier:
        clf = FashionCNNClassifier(stacks, (units,), epochs=1, random_state=0)
        clf.fit(X[:n_images], y[:n_images]).predict(X[:256])
        return clf

    def fit_another(number: int) -> None:
        stacks = 8 + number % 20, 16 + number // 20
        clf = FashionCNNClassifier(stacks, (17 + number,), epochs=1, random_state=0)
        clf.fit(large[:256], y[:256]).predict(large[:256])
        gc.collect()  # TensorFlow's programs, which refer to themselves

    fits = memory_after(lambda i: fit(256 + i, 16), n_fits)
    partial_fits = memory_after(lambda i: fit(20 + i % 108, 15, (7, 14)), n_fits)
    architectures = memory_after(fit_another, n_architectures)
    clf = fit(256, 16)
    predictions = memory_after(lambda i: clf.predict(X[: i % 10 + 1]), n_predictions)
    return {
        "MB per fit": slope(fits[20:]),
        "MB per fit of less than a batch": slope(partial_fits[20:]),
        "MB per architecture that stays compiled": slope(architectures[:14]),
        "MB per fit of another architecture": slope(architectures[20:100]),
        "MB per fit of the last 60 architectures": slope(architectures[-60:]),
        "MB over all predictions": slope(predictions[1000:]) * (n_predictions - 1000),
    }


def small_network(X: np.ndarray, y: np.ndarray) -> FashionCNNClassifier:
    """Return a classifier that trains fast, and has trained on some images."""
    settings = {"kernel_size": 1, "pool_size": 7, "epochs": 1, "batch_size": 1024}
    clf = FashionCNNClassifier((2,), (), validation_fraction=0.2, **settings)
    return clf.fit(X[:2048], y[:2048])


def rise_in_fit(X: np.ndarray, y: np.ndarray) -> Results:
    """Fit to 20 times the images."""
    X, y = np.tile(X, (20, 1, 1)), np.tile(y, 20)
    clf = small_network(X, y)
    return {f"MB in a fit of {len(X):,} x 784 bytes": rise_in_megabytes(lambda: clf.fit(X, y))}


def large_images(n_images: int) -> np.ndarray:
    """Draw images of 224 x 224 pixels in colour."""
    return np.random.default_rng(0).integers(0, 256, (n_images, 224, 224, 3), dtype=np.uint8)


def rise_in_prediction(pickled: bytes, n_images: int, dtype: str) -> float:
    """Predict large images, in a process that had no fit, whose memory they could take.

    Two have been predicted before, so TensorFlow, which predicts them, has its copy of the network.
    """
    clf, X = pickle.loads(pickled), large_images(n_images).astype(dtype)
    clf.predict(X[:2])
    return rise_in_megabytes(lambda: clf.predict(X))


def rises_in_prediction(n_images: int) -> Results:
    """Predict large images and four times as many, each in a fresh process."""
    with warnings.catch_warnings(action="ignore"):  # of 99 million parameters
        clf = FashionCNNClassifier(epochs=1, batch_size=8).fit(large_images(8), np.arange(8) % 2)
    cases = [(n, dtype) for dtype in ("uint8", "float64") for n in (n_images, 4 * n_images)]
    pickled = pickle.dumps(clf)
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as fresh:
        return {
            f"MB at most for {n} large {dtype}": fresh.apply(
                rise_in_prediction, (pickled, n, dtype)
            )
            for n, dtype in cases
        }


def fit_to_map(X: np.ndarray, y: np.ndarray, n_megabytes: int, n_more: int) -> Results:
    """Fit to a memory map where no more than some MB may be allocated, and count the epochs.

    What reads it by pages counts neither as allocated, nor as memory that could not be given back.
    """
    n_copies = n_megabytes * 2**20 // X.nbytes
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npy"
        np.lib.format.open_memmap(path, "w+", X.dtype, (n_copies, *X.shape))[:] = X
        mapped, labels = np.load(path, mmap_mode="r").reshape(-1, 28, 28), np.tile(y, n_copies)
        clf = small_network(mapped, labels)
        limit = int((status_megabytes("VmData") + n_more) * 2**20)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        clf.fit(mapped, labels)
    return {f"epochs on a map of {n_megabytes} MB with {n_more} MB more": len(clf.history_["loss"])}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    defaults = {"fits": 200, "architectures": 300, "predictions": 10_000, "large-images": 100}
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--mapped", type=int, default=1000, help="MB of a memory map")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()

    sample = load_fashion_mnist_sample("train")
    results = growth(args.fits, args.architectures, args.predictions)
    results |= rise_in_fit(*sample) | rises_in_prediction(args.large_images)
    results |= fit_to_map(*sample, args.mapped, 300)
    for name, value in results.items():
        print(f"{name:52}{value:10.4f}")
    if args.output:
        args.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
