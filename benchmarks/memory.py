# SPDX-License-Identifier: BSD-3-Clause
"""How resident memory grows over many fits and many predictions.

python benchmarks/memory.py --fits 200 --architectures 200 --predictions 10000 --output memory.json

fits small networks one after the other: of one architecture, to data of ever other lengths of some
hundreds; of another one, which shares no shape with it, to less than a batch; and of one
architecture each. Then it predicts one to ten images over and over. Prints the slope of a straight
line through the process's resident memory, in MB per fit after the first 20, and in MB for all
predictions after the first 1,000. Programs of TensorFlow refer to themselves, so that Python frees
them when it next collects garbage: before each reading of architectures it is made to.

Last, the default network predicts images of 224 x 224 pixels in colour, 100 and four times as many,
as bytes and as float64, and the script prints how far memory rises above what fit and images take.
"""

import argparse
import gc
import json
import os
import re
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


def rises_with_large_images(n_images: int) -> dict[str, float]:
    """Predict some large images, and four times as many; leave out what the images take."""
    X = np.random.default_rng(0).integers(0, 256, (4 * n_images, 224, 224, 3), dtype=np.uint8)
    with warnings.catch_warnings(action="ignore"):  # of 99 million parameters
        clf = FashionCNNClassifier(epochs=1, batch_size=8).fit(X[:8], np.arange(8) % 2)
    before, rises = resident_megabytes(), {}
    for dtype in ("uint8", "float64"):
        for n in (n_images, 4 * n_images):
            images = X[:n].astype(dtype, copy=False)
            own = 0 if dtype == "uint8" else images.nbytes / 2**20
            peak = peak_megabytes(lambda images=images: clf.predict(images))
            rises[f"MB at most for {n} large {dtype}"] = peak - before - own
    return rises


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fits", type=int, default=200)
    parser.add_argument("--architectures", type=int, default=200)
    parser.add_argument("--predictions", type=int, default=10_000)
    parser.add_argument("--large-images", type=int, default=100)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()

    X, y = load_fashion_mnist_sample("train")
    X = X[:, ::2, ::2]

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
        **rises_with_large_images(args.large_images),
    }
    for name, value in results.items():
        print(f"{name:36}{value:10.4f}")
    if args.output:
        args.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
