# SPDX-License-Identifier: BSD-3-Clause
"""How far one seed's results agree between one and two threads, which sum in another order.

python benchmarks/threads.py --epochs 1 3 12 --seeds 0 1 2

trains the default network on the packaged sample with one and with two threads, each in a process
of its own, and prints how the predictions for its test images differ, as the mean over seeds.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from fashioncnn import load_fashion_mnist_sample

PROGRAM = """
import sys
import numpy as np
from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample
epochs, seed, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
clf = FashionCNNClassifier(epochs=epochs, random_state=seed)
clf.fit(*load_fashion_mnist_sample("train"))
np.save(path, clf.predict_proba(load_fashion_mnist_sample("test")[0]))
"""


def predict(epochs: int, seed: int, n_threads: int) -> np.ndarray:
    """Train in a fresh process with a number of threads, and return its probabilities."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probabilities.npy"
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(epochs), str(seed), str(path)],
            check=True,
            env={**os.environ, "TF_NUM_INTRAOP_THREADS": str(n_threads)},
            stderr=subprocess.DEVNULL,
        )
        return np.load(path)


def compare(epochs: int, seed: int, y: np.ndarray) -> tuple[float, float, float]:
    """Return the mean and largest difference of probabilities, and that of accuracies."""
    one, two = (predict(epochs, seed, n_threads) for n_threads in (1, 2))
    difference = np.abs(one - two)
    accuracies = [(p.argmax(axis=1) == y).mean() for p in (one, two)]
    return difference.mean(), difference.max(), abs(accuracies[0] - accuracies[1])


def main() -> None:
    """Compare for each number of epochs, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 3, 12])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()

    _, y = load_fashion_mnist_sample("test")
    print("| epochs | probabilities, mean | probabilities, largest | accuracy |\n|---|---|---|---|")
    for epochs in args.epochs:
        mean, largest, accuracy = np.mean([compare(epochs, s, y) for s in args.seeds], axis=0)
        print(f"| {epochs} | {mean:.1e} | {largest:.1e} | {accuracy:.4f} |")


if __name__ == "__main__":
    main()
