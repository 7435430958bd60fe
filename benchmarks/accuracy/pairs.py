# SPDX-License-Identifier: BSD-3-Clause
"""Comparisons of few variants: beside Keras, in bfloat16, with more threads, with cut schedules.

``article`` trains the article's network on the full Fashion-MNIST: by ``from_recipe("article")``,
which holds out a stratified, shuffled 30 %, and in plain Keras, which holds out the last 30 % and
shuffles without a seed. ``precision`` trains the recipe in float32 and in bfloat16, on one 70 %,
where a seed gives both the same initial weights, order and dropout. ``threads`` trains the default
network on the packaged sample with one and with two threads, which sum in another order.
``schedules`` plans that number of epochs there, or three times as many that early stopping ends.
"""

import itertools
import multiprocessing
import os
import random
from functools import partial
from typing import Any, get_args

import machine
import numpy as np
import pandas as pd
from accuracy_tables import percent, spread
from run_store import commit, read_report
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split

from fashioncnn import FashionCNNClassifier, load_fashion_mnist, load_fashion_mnist_sample
from fashioncnn._network.schedules import Schedule

Figures = dict[str, float]
IDENTITY = ("variant", "epochs", "seed")


def figures(history: dict[str, list[float]], accuracy: float, loss: float) -> Figures:
    """Name what was reached at the end, in validation and in the test."""
    return {
        "val_accuracy": history["val_accuracy"][-1],
        "val_log_loss": history["val_loss"][-1],
        "test_accuracy": accuracy,
        "test_log_loss": loss,
    }


def in_recipe(seed: int, epochs: int, *, split: bool, precision: str = "float32") -> Figures:
    """Train and test the recipe, with a validation part of its own or with the same for all."""
    settings = {"epochs": epochs, "precision": precision, "random_state": seed}
    clf = FashionCNNClassifier.from_recipe("article", **settings)
    X, y = load_fashion_mnist("train")
    if split:
        X, X_val, y, y_val = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
        clf.set_params(validation_fraction=None).fit(X, y, X_val=X_val, y_val=y_val)
    else:
        clf.fit(X, y)
    X, y = load_fashion_mnist("test")
    return figures(clf.history_, clf.score(X, y), log_loss(y, clf.predict_proba(X)))


def in_keras(seed: int, epochs: int) -> Figures:
    """Train and test the same network as the article writes it."""
    import keras
    from network import keras_network

    (X, y), (X_test, y_test) = (
        (X.astype("float32")[..., None] / 255, keras.utils.to_categorical(y))
        for X, y in map(load_fashion_mnist, ("train", "test"))
    )
    random.seed(seed)  # Keras draws the seeds of its layers from here
    model = keras_network((28, 28, 1))
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    options = {"batch_size": 128, "epochs": epochs, "validation_split": 0.3, "verbose": 0}
    history = model.fit(X, y, **options).history
    loss, accuracy = model.evaluate(X_test, y_test, verbose=0)
    return figures(history, accuracy, loss)


def predict_sample(n_threads: int, seed: int, epochs: int) -> np.ndarray:
    """Train the default network on the packaged sample, in a fresh process, and predict."""
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(n_threads)
    clf = FashionCNNClassifier(epochs=epochs, random_state=seed)
    clf.fit(*load_fashion_mnist_sample("train"))
    return clf.predict_proba(load_fashion_mnist_sample("test")[0])


def on_threads(seed: int, epochs: int) -> Figures:
    """Return how predictions differ between one thread and two."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as fresh:
        one, two = (fresh.apply(predict_sample, (n, seed, epochs)) for n in (1, 2))
    _, y = load_fashion_mnist_sample("test")
    differences = np.abs(one - two)
    accuracies = [accuracy_score(y, each.argmax(axis=1)) for each in (one, two)]
    return {
        "mean_probability": float(differences.mean()),
        "largest_probability": float(differences.max()),
        "accuracy": abs(accuracies[0] - accuracies[1]),
    }


def on_schedule(seed: int, epochs: int, *, schedule: Schedule, early_stopping: bool) -> Figures:
    """Train a small network on nine tenths of the sample, and say where training ended."""
    clf = FashionCNNClassifier(
        (16, 32),
        learning_rate=0.01,
        learning_rate_schedule=schedule,
        epochs=3 * epochs if early_stopping else epochs,
        early_stopping=early_stopping,
        validation_fraction=0.1,
        random_state=seed,
    ).fit(*load_fashion_mnist_sample("train"))
    return {
        "last_epoch": clf.n_iter_,
        "last_rate": clf.history_["learning_rate"][-1],
        "test_accuracy": clf.score(*load_fashion_mnist_sample("test")),
    }


VARIANTS = {
    "article": {"fashioncnn": partial(in_recipe, split=False), "keras": in_keras},
    "precision": {
        name: partial(in_recipe, split=True, precision=name) for name in ("float32", "bfloat16")
    },
    "threads": {"1 thread to 2": on_threads},
    "schedules": {
        f"{schedule}{', early stopping' if stops else ''}": partial(
            on_schedule, schedule=schedule, early_stopping=stops
        )
        for schedule in get_args(Schedule)
        for stops in (False, True)
    },
}


def run(comparison: str, seeds: int, epochs: list[int]) -> dict[str, Any]:
    """Train and test all variants that are not in the file yet, and return what it holds."""
    report = {"runs": read_report(comparison)["runs"]}
    done = [{name: record[name] for name in IDENTITY} for record in report["runs"]]
    for n_epochs, seed in itertools.product(epochs, range(seeds)):
        for variant, train in VARIANTS[comparison].items():
            identity = {"variant": variant, "epochs": n_epochs, "seed": seed}
            if identity in done:
                continue
            record = {**identity, "commit": commit(), **train(seed, n_epochs)}
            report["runs"].append(record)
            machine.write(f"{comparison}.json", report)
            print(record, flush=True)
    return report


def write_values(name: str, values: pd.Series) -> str:
    """Write mean and standard deviation."""
    if name.endswith("accuracy"):
        return percent(values)
    return spread(values, 3 if name.endswith("log_loss") else 4)


def table(report: dict[str, Any]) -> str:
    """Write a Markdown table over seeds; where they have something in common, differences, too."""
    frame = pd.DataFrame(report["runs"]).set_index([*IDENTITY])
    frame = frame.drop(columns="commit", errors="ignore")
    if "bfloat16" in frame.index:
        difference = frame.loc["bfloat16"] - frame.loc["float32"]
        frame = pd.concat([frame, pd.concat({"difference": difference}, names=["variant"])])
    lines = [f"| | epochs | {' | '.join(frame)} |", "|---" * (len(frame.columns) + 2) + "|"]
    for (variant, epochs), group in frame.groupby(level=["variant", "epochs"], sort=False):
        cells = " | ".join(write_values(name, values) for name, values in group.items())
        lines.append(f"| {variant} | {epochs} | {cells} |")
    return "\n".join(lines)
