# SPDX-License-Identifier: BSD-3-Clause
"""How resident memory grows over many fits and many predictions.

python benchmarks/memory.py --fits 200 --architectures 200 --predictions 10000 --output memory.json

fits small networks one after the other: of one architecture, to data of ever other lengths of some
hundreds; of another one, which shares no shape with it, to less than a batch; and of one
architecture each. Then it predicts one to ten images over and over. Prints the slope of a straight
line through the process's resident memory, in MB per fit after the first 20, and in MB for all
predictions after the first 1,000. Programs of TensorFlow refer to themselves, so that Python frees
them when it next collects garbage: before each reading of architectures it is made to.

Then a small network is fitted to 60,000 images of bytes, and the script prints how far memory
rises above theirs. The default network predicts images of 224 x 224 pixels in colour, 100 and four
times as many, as bytes and as float64, which tells how far memory rises above images and network:
each in a fresh process, for predictions may take what TensorFlow has kept of a fit. Last, the small
network is fitted to a memory map, while the process may allocate some hundred MB more only.
"""

import argparse
import gc
import json
import multiprocessing
import os
import pickle
import re
import resource
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # silences TensorFlow's notes on the processor

import numpy as np

from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample

PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_megabytes() -> float:
    """Return the memory that this process holds now (Linux)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE / 2**20


def readings(call: Callable[[int], object], n_calls: int, *, collect: bool = False) -> np.ndarray:
    """Call with 0, 1, ..., and return the memory after each call."""
    values = np.full(n_calls, np.nan)  # that are there from the start, and do not grow
    for number in range(n_calls):
        call(number)
        if collect:
            gc.collect()
        values[number] = resident_megabytes()
    return values


def slope(values: np.ndarray) -> float:
    """Fit a straight line, and return by how much it rises from one value to the next."""
    return float(np.polyfit(np.arange(len(values)), values, 1)[0])


def peak_megabytes(call: Callable[[], object]) -> float:
    """Return the most memory that this process holds while a function runs (Linux)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the peak so far
    call()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(peak) / 2**10


def small_network() -> FashionCNNClassifier:
    """Return a classifier that trains fast on many images."""
    return FashionCNNClassifier(
        (2,), (), kernel_size=1, pool_size=7, epochs=1, batch_size=1024, validation_fraction=0.2
    )


def rise_in_fit(X: np.ndarray, y: np.ndarray) -> float:
    """Return how far memory rises in a fit above what holds the images."""
    clf = small_network()
    X, y = np.tile(X, (20, 1, 1)), np.tile(y, 20)
    clf.fit(X[:2048], y[:2048])
    before = resident_megabytes()
    return peak_megabytes(lambda: clf.fit(X, y)) - before


def fit_under_a_limit(
    X: np.ndarray, y: np.ndarray, n_megabytes: int, n_more: int
) -> dict[str, float]:
    """Fit to a memory map where no more than some MB may be allocated; return its epochs.

    What reads it by pages counts neither as allocated, nor as memory that could not be given back.
    """
    with tempfile.TemporaryDirectory() as folder:
        n_copies = n_megabytes * 2**20 // X.nbytes
        path = Path(folder) / "images.npy"
        mapped = np.lib.format.open_memmap(path, "w+", X.dtype, (n_copies * len(X), *X.shape[1:]))
        for start in range(0, len(mapped), len(X)):
            mapped[start : start + len(X)] = X
        mapped.flush()
        mapped, labels = np.load(path, mmap_mode="r"), np.tile(y, n_copies)
        clf = small_network().fit(mapped[:2048], labels[:2048])
        (allocated,) = re.findall(
            r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii")
        )
        limit = int(allocated) * 2**10 + n_more * 2**20
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        clf.fit(mapped, labels)
        name = f"epochs on a map of {n_megabytes} MB with {n_more} MB more"
        return {name: len(clf.history_["loss"])}


def large_images(n_images: int) -> np.ndarray:
    """Draw images of 224 x 224 pixels in colour."""
    return np.random.default_rng(0).integers(0, 256, (n_images, 224, 224, 3), dtype=np.uint8)


def rise_in_prediction(path: Path, n_images: int, dtype: str) -> float:
    """Return how far memory rises above images and classifier, in a process that had no fit."""
    clf, X = pickle.loads(path.read_bytes()), large_images(n_images).astype(dtype)
    clf.predict(X[:1])
    before = resident_megabytes()
    return peak_megabytes(lambda: clf.predict(X)) - before


def rises_with_large_images(n_images: int) -> dict[str, float]:
    """Predict some large images, and four times as many; leave out what the images take."""
    X = large_images(8)
    with warnings.catch_warnings(action="ignore"):  # of 99 million parameters
        clf = FashionCNNClassifier(epochs=1, batch_size=8).fit(X, np.arange(8) % 2)
    fresh = multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1)
    with tempfile.TemporaryDirectory() as folder, fresh:
        path = Path(folder) / "classifier.pickle"
        path.write_bytes(pickle.dumps(clf))
        return {
            f"MB at most for {n} large {dtype}": fresh.apply(rise_in_prediction, (path, n, dtype))
            for dtype in ("uint8", "float64")
            for n in (n_images, 4 * n_images)
        }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fits", type=int, default=200)
    parser.add_argument("--architectures", type=int, default=200)
    parser.add_argument("--predictions", type=int, default=10_000)
    parser.add_argument("--large-images", type=int, default=100)
    parser.add_argument("--mapped", type=int, default=1000, help="MB of a memory map")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()

    X, y = load_fashion_mnist_sample("train")
    whole, X = X, X[:, ::2, ::2]

    def fit(n_images: int, units: int, conv_stacks: object = (8, 16)) -> FashionCNNClassifier:
        clf = FashionCNNClassifier(conv_stacks, (units,), epochs=1, random_state=0)
        return clf.fit(X[:n_images], y[:n_images])

    same = readings(lambda i: fit(256 + i, 16).predict(X[:256]), args.fits)
    few = readings(lambda i: fit(20 + i % 108, 15, (7, 14)).predict(X[:256]), args.fits)
    others = readings(
        lambda i: fit(256 + i, 17 + i).predict(X[:256]), args.architectures, collect=True
    )
    clf = fit(256, 16)
    predictions = readings(lambda i: clf.predict(X[: i % 10 + 1]), args.predictions)

    results = {
        "MB per fit": slope(same[20:]),
        "MB per fit of less than a batch": slope(few[20:]),
        "MB per fit of another architecture": slope(others[20:]),
        "MB over all predictions": slope(predictions[1000:]) * len(predictions[1000:]),
        "MB at the end": resident_megabytes(),
        "MB in a fit of 60,000 x 784 bytes": rise_in_fit(whole, y),
        **rises_with_large_images(args.large_images),
        **fit_under_a_limit(whole, y, args.mapped, 300),
    }
    for name, value in results.items():
        print(f"{name:52}{value:10.4f}")
    if args.output:
        args.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
