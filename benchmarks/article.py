# SPDX-License-Identifier: BSD-3-Clause
"""The source article on the full Fashion-MNIST: this library beside plain Keras, over seeds.

Both train the article's network for 12 epochs on 42,000 images and validate on 18,000: the library
by ``from_recipe("article")``, which holds out a stratified, shuffled part, plain Keras by
``Model.fit(validation_split=0.3)``, which holds out the last rows, as the article does. Keras
shuffles without a seed here, so its figures differ a little from run to run.

    python benchmarks/article.py --seeds 0 1 2

writes ``benchmarks/results/article.json``, one seed after the other, and prints the table.
"""

import argparse
import json
import os
import platform
import random
import re
import statistics
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on CPU and GPU

import numpy as np
from sklearn.metrics import accuracy_score, log_loss

from fashioncnn import FashionCNNClassifier, load_fashion_mnist

RESULTS = Path(__file__).parent / "results" / "article.json"


def run_fashioncnn(data: dict[str, np.ndarray], seed: int, epochs: int) -> dict[str, float]:
    """Train and test the recipe."""
    clf = FashionCNNClassifier.from_recipe("article", epochs=epochs, random_state=seed, verbose=2)
    clf.fit(data["X"], data["y"])
    probabilities = clf.predict_proba(data["X_test"])
    return {
        "val_accuracy": clf.history_["val_accuracy"][-1],
        "test_accuracy": accuracy_score(data["y_test"], probabilities.argmax(axis=1)),
        "test_log_loss": log_loss(data["y_test"], probabilities),
    }


def run_keras(data: dict[str, np.ndarray], seed: int, epochs: int) -> dict[str, float]:
    """Train and test the same network in plain Keras, as the article writes it."""
    import keras
    from keras import layers

    random.seed(seed)  # Keras draws the seeds of its layers from here
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    one_hot = keras.utils.to_categorical
    history = model.fit(
        data["X"].astype("float32")[..., np.newaxis] / 255,
        one_hot(data["y"]),
        batch_size=128,
        epochs=epochs,
        validation_split=0.3,
        verbose=2,
    )
    X_test = data["X_test"].astype("float32")[..., np.newaxis] / 255
    loss, accuracy = model.evaluate(X_test, one_hot(data["y_test"]), verbose=0)
    return {
        "val_accuracy": history.history["val_accuracy"][-1],
        "test_accuracy": accuracy,
        "test_log_loss": loss,
    }


RUNNERS = {"fashioncnn": run_fashioncnn, "keras": run_keras}


def processor() -> str:
    """Return the processor's name, as far as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else []
    return names[0] if names else platform.processor()


def environment() -> dict[str, Any]:
    """Describe what the figures were measured with."""
    import keras
    import tensorflow as tf

    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "processor": processor(),
        "cpu_count": os.cpu_count(),
    }


def summarize(runs: list[dict[str, Any]]) -> str:
    """Write mean and standard deviation over seeds as a Markdown table."""
    names = ["val_accuracy", "test_accuracy", "test_log_loss"]
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for library in RUNNERS:
        cells = []
        for name in names:
            values = [run[name] for run in runs if run["library"] == library]
            deviation = statistics.stdev(values) if len(values) > 1 else float("nan")
            cells.append(f"{statistics.mean(values):.4f} ± {deviation:.4f}")
        lines.append(f"| {library} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Run all seeds, writing the results after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--output", type=Path, default=RESULTS)
    args = parser.parse_args()

    X, y = load_fashion_mnist("train")
    X_test, y_test = load_fashion_mnist("test")
    data = {"X": X, "y": y, "X_test": X_test, "y_test": y_test}
    runs: list[dict[str, Any]] = []
    for seed in args.seeds:
        for library, run in RUNNERS.items():
            runs.append({"library": library, "seed": seed, **run(data, seed, args.epochs)})
            report = {"environment": environment(), "epochs": args.epochs, "runs": runs}
            args.output.parent.mkdir(parents=True, exist_ok=True)
            args.output.write_text(json.dumps(report, indent=2) + "\n")
    print(summarize(runs))


if __name__ == "__main__":
    main()
