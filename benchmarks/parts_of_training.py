# SPDX-License-Identifier: BSD-3-Clause
"""What augmentation, an average of the weights and Muon cost in time.

    python benchmarks/parts_of_training.py --rounds 7

Fits the recipe "fast" for two epochs to all of Fashion-MNIST, as it is but without mirror images,
and with one part changed each, one after the other in each round. All programs have been compiled
before. A part's cost is the median over rounds of its time divided by that of the plain fit.
Results go to a file in ``build``; copy it to ``benchmarks/results`` to publish it.
"""

import argparse
import os
import statistics
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on CPU and GPU

from peers.machine import write
from peers.runs import in_turn

from fashioncnn import FashionCNNClassifier, load_fashion_mnist

PLAIN = "plain"
PARTS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "flip": {"augment": "flip"},
    "shift": {"augment": "shift"},
    "flip and shift": {"augment": "flip_shift"},
    "erase": {"augment": {"erase": 0.25}},
    "average over all steps": {"weight_averaging": 0.999},
    "AdamW in place of Muon": {"optimizer": "adamw", "learning_rate": 0.02},
}


def main() -> None:
    """Fit in turn, and print the cost of each part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    X, y = load_fashion_mnist("train")
    common = {"augment": None, "test_time_flip": False, "epochs": 2, "random_state": 0}
    seconds: dict[str, list[float]] = {name: [] for name in PARTS}
    for number in range(-1, args.rounds):  # the first compiles
        for name in in_turn(PARTS, PARTS, number):
            clf = FashionCNNClassifier.from_recipe("fast", **{**common, **PARTS[name]})
            started = time.perf_counter()
            clf.fit(X, y)
            if number >= 0:
                seconds[name].append(time.perf_counter() - started)
    write("parts_of_training.json", {"seconds": seconds})
    for name, times in seconds.items():
        ratios = [mine / plain for mine, plain in zip(times, seconds[PLAIN], strict=True)]
        print(f"{name:24} {statistics.median(times):.2f} s, {statistics.median(ratios):.3f} times")


if __name__ == "__main__":
    main()
