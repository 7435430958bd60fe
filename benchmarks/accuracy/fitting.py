# SPDX-License-Identifier: BSD-3-Clause
"""One run, in a worker process: fit a variant to a data set, time that, and test."""

import gc
import multiprocessing
import os
import random
import threading
import time
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from data_sets import DATA_SETS, Data
from ideas import tried
from resumption import Clock
from sklearn.metrics import accuracy_score, log_loss
from variants import KERAS, Settings, Variant

Figures = dict[str, Any]
FITTED = ("n_iter_", "precision_")


class Run(NamedTuple):
    """A variant on a data set, with the seed of both."""

    variant: Variant
    data: str
    seed: int


def begin() -> None:
    """Prepare a worker: it ends with the process that has started it."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def fit_and_test(run: Run, n_images: int | None, checkpoint: Path | None) -> Figures:
    """Fit, time and test; the fit includes tracing, as if there had been none before."""
    data = DATA_SETS[run.data].load(run.seed).first(n_images)
    if run.variant.recipe == KERAS:
        return fit_and_test_keras(data, run.seed, **run.variant.overrides)
    clf = run.variant.new(random_state=run.seed, checkpoint=checkpoint)
    forget_programs()
    with tried(run.variant.idea, data.X):
        clock = Clock(checkpoint)
        clf.fit(data.X, data.y)
        seconds = clock.seconds
    return {
        **errors(data, clf.classes_, clf.predict_proba(data.X_test)),
        "seconds": seconds,
        "n_parts": clock.n_parts,
        "n_parameters": clf.model_.count_params(),
        **{name: getattr(clf, name) for name in FITTED},
    }


def errors(data: Data, classes: Any, probabilities: Any) -> Figures:
    """Return accuracy and log loss in the test."""
    labels = classes[probabilities.argmax(axis=1)]
    return {
        "accuracy": float(accuracy_score(data.y_test, labels)),
        "log_loss": float(log_loss(data.y_test, probabilities, labels=classes)),
    }


def forget_programs() -> None:
    """Import TensorFlow, whose time does not count, and forget what it has compiled for us."""
    from fashioncnn._tensorflow.start import start_tensorflow

    start_tensorflow()
    import fashioncnn._training.loop  # noqa: F401
    from fashioncnn._tensorflow import program

    program._programs.clear()
    program._idle_variables.clear()
    gc.collect()


def fit_and_test_keras(
    data: Data, seed: int, epochs: int = 12, points: bool = False, validation: float = 0.3
) -> Figures:
    """Do the same with the article's code; `points` notes time and accuracy of each epoch.

    What turns bytes into floats is not counted.
    """
    import keras
    from network import keras_network

    (X, y), (X_test, y_test) = (
        (X.astype("float32")[..., None] / 255, keras.utils.to_categorical(y, 10))
        for X, y in ((data.X, data.y), (data.X_test, data.y_test))
    )
    random.seed(seed)  # Keras draws the seeds of its layers from here
    started = time.perf_counter()
    model = keras_network(X.shape[1:])
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    noted = note_points(started, X_test, y_test) if points else None
    options: Settings = {"batch_size": 128, "epochs": epochs, "validation_split": validation}
    model.fit(X, y, verbose=0, callbacks=[noted] if noted else [], **options)
    seconds = noted.points[-1][0] if noted else time.perf_counter() - started
    return {
        **errors(data, np.arange(10), model.predict(X_test, verbose=0)),
        "seconds": seconds,
        "n_parameters": model.count_params(),
        "n_iter_": epochs,
        "precision_": "float32",
        **({"points": noted.points} if noted else {}),
    }


def note_points(started: float, X_test: Any, y_test: Any) -> Any:
    """Return a Keras callback whose `points` are seconds, without its own, and accuracies."""
    import keras

    class NotePoints(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.points: list[tuple[float, float]] = []
            self.own_seconds = 0.0

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            now = time.perf_counter()
            _, accuracy = self.model.evaluate(X_test, y_test, batch_size=1000, verbose=0)
            self.points.append((now - started - self.own_seconds, float(accuracy)))
            self.own_seconds += time.perf_counter() - now

    return NotePoints()
