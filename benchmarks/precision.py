# SPDX-License-Identifier: BSD-3-Clause
"""Accuracy of training in bfloat16 beside float32, on the full Fashion-MNIST, over seeds.

Both train the article's network for 12 epochs on the same 42,000 images, and are compared on the
18,000 that are left and on the test images. In both, a seed has the same initial weights, order of
images and dropout.

    python benchmarks/precision.py --seeds 0 1 2 3 4 5 6 7

writes ``benchmarks/results/precision.json``, one seed after the other, and prints the table. Where
the processor does not compute in bfloat16, that takes long.
"""

import argparse
import json
import os
import statistics
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on CPU and GPU

import numpy as np
from article import environment
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from fashioncnn import FashionCNNClassifier, load_fashion_mnist

RESULTS = Path(__file__).parent / "results" / "precision.json"
FIGURES = ("val_accuracy", "val_log_loss", "test_accuracy", "test_log_loss")


def run(parts: dict[str, Any], precision: str, seed: int, epochs: int) -> dict[str, Any]:
    """Train and test the recipe, without validation on the way."""
    clf = FashionCNNClassifier.from_recipe(
        "article", epochs=epochs, validation_fraction=None, precision=precision, random_state=seed
    )
    clf.fit(*parts["train"])
    figures = {"precision": clf.precision_, "seed": seed}
    for name in ("val", "test"):
        X, y = parts[name]
        probabilities = clf.predict_proba(X)
        figures[f"{name}_accuracy"] = float((probabilities.argmax(axis=1) == y).mean())
        figures[f"{name}_log_loss"] = log_loss(y, probabilities)
    return figures


def summarize(runs: list[dict[str, Any]]) -> str:
    """Write mean and standard deviation over seeds, and of their differences, as a table."""
    lines = [f"| | {' | '.join(FIGURES)} |", "|---" * (len(FIGURES) + 1) + "|"]
    by_precision = {
        precision: np.array(
            [[each[name] for name in FIGURES] for each in runs if each["precision"] == precision]
        )
        for precision in ("float32", "bfloat16")
    }
    by_precision["difference"] = by_precision["bfloat16"] - by_precision["float32"]
    for precision, values in by_precision.items():
        cells = [
            f"{statistics.mean(column):.4f} ± {statistics.stdev(column):.4f}"
            for column in values.T.tolist()
        ]
        lines.append(f"| {precision} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Run all seeds, writing the results after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(8)))
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--output", type=Path, default=RESULTS)
    args = parser.parse_args()

    X, y = load_fashion_mnist("train")
    X_train, X_val, y_train, y_val = train_test_split(
        X, y, test_size=0.3, stratify=y, random_state=0
    )
    parts = {
        "train": (X_train, y_train),
        "val": (X_val, y_val),
        "test": load_fashion_mnist("test"),
    }
    runs: list[dict[str, Any]] = []
    for seed in args.seeds:
        for precision in ("float32", "bfloat16"):
            runs.append(run(parts, precision, seed, args.epochs))
            print(runs[-1], flush=True)
            report = {"environment": environment(), "epochs": args.epochs, "runs": runs}
            args.output.parent.mkdir(parents=True, exist_ok=True)
            args.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if len(args.seeds) > 1:
        print(summarize(runs))


if __name__ == "__main__":
    main()
