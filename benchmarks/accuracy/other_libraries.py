# SPDX-License-Identifier: BSD-3-Clause
"""What is compared with: the article's code in plain Keras, its network in skorch, MLPClassifier.

Each takes images as its users have to convert them, which is not timed. Keras holds out 30 %, as
the article does; the others train on all images.
"""

import random
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from data_sets import N_CLASSES, Data
from libraries import BATCH_SIZE, LARGE_BATCH_SIZE, LIBRARIES
from network import keras_network

KERAS = "keras"
VALIDATION = 0.3  # of the article

Predict = Callable[[], np.ndarray]  # returns the probabilities of the test images


class TrainingClock:
    """The seconds of training since it was made; those of tests after epochs do not count.

    `points` has seconds and test accuracy for each epoch that was noted.
    """

    def __init__(self, codes: np.ndarray, *, notes: bool) -> None:
        self.points: list[tuple[float, float]] = []
        self._codes, self._notes = codes, notes
        self._own_seconds, self._started = 0.0, time.perf_counter()

    @property
    def seconds(self) -> float:
        """How long training has taken so far."""
        return time.perf_counter() - self._started - self._own_seconds

    def end_epoch(self, predict: Predict) -> None:
        """Test, if epochs are noted."""
        if self._notes:
            seconds, began = self.seconds, time.perf_counter()
            accuracy = np.mean(predict().argmax(axis=1) == self._codes)
            self.points.append((seconds, float(accuracy)))
            self._own_seconds += time.perf_counter() - began


class Task(NamedTuple):
    """What to train on, and how; images and labels as the library takes them."""

    X: Any
    y: Any
    X_test: Any
    seed: int
    epochs: int
    clock: TrainingClock


class Trained(NamedTuple):
    """What training has made."""

    probabilities: np.ndarray
    seconds: float
    n_parameters: int


def train_keras(task: Task, validation: float = VALIDATION) -> Trained:
    """Run the article's code."""
    import keras

    random.seed(task.seed)  # Keras draws the seeds of its layers from here
    model = keras_network(task.X.shape[1:])
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])

    def predict() -> Any:
        return model.predict(task.X_test, batch_size=LARGE_BATCH_SIZE, verbose=0)

    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: task.clock.end_epoch(predict))
    options: dict[str, Any] = {"batch_size": BATCH_SIZE, "validation_split": validation}
    model.fit(task.X, task.y, epochs=task.epochs, verbose=0, callbacks=[callback], **options)
    seconds = task.clock.seconds
    return Trained(predict(), seconds, model.count_params())


def train_skorch(task: Task) -> Trained:
    """Train the article's network by skorch."""
    import torch

    torch.manual_seed(task.seed)
    model = LIBRARIES["skorch"].new()
    return train_in_passes(
        model, task, lambda: [each.numel() for each in model.module_.parameters()]
    )


def train_mlp(task: Task) -> Trained:
    """Train scikit-learn's network of one dense layer of 128."""
    random_state = np.random.RandomState(task.seed)  # by an int, each pass has the same batches
    model = LIBRARIES["mlp"].new().set_params(random_state=random_state)
    return train_in_passes(
        model, task, lambda: [each.size for each in model.coefs_ + model.intercepts_]
    )


def train_in_passes(model: Any, task: Task, sizes: Callable[[], list[int]]) -> Trained:
    """Train by a call for each epoch; `sizes` then tells how large the arrays of weights are."""
    for _ in range(task.epochs):
        model.partial_fit(task.X, task.y, classes=np.arange(N_CLASSES))
        task.clock.end_epoch(lambda: model.predict_proba(task.X_test))
    seconds = task.clock.seconds
    return Trained(model.predict_proba(task.X_test), seconds, sum(sizes()))


class OtherLibrary(NamedTuple):
    """A library by its label in results, and how it trains."""

    label: str
    train: Callable[..., Trained]


OTHER_LIBRARIES: Mapping[str, OtherLibrary] = {  # by their names in `LIBRARIES`
    KERAS: OtherLibrary("the article's code", train_keras),
    "skorch": OtherLibrary("the article's network", train_skorch),
    "mlp": OtherLibrary("one dense layer of 128", train_mlp),
}


def train(
    name: str, data: Data, seed: int, *, epochs: int = 12, points: bool = False, **options: Any
) -> tuple[Trained, TrainingClock]:
    """Train a library's network; `points` notes seconds and accuracy after each epoch."""
    library = LIBRARIES[name]
    library.load()  # whose time does not count
    X, y = library.convert(data.X, data.y)
    X_test, _ = library.convert(data.X_test, data.y_test)
    clock = TrainingClock(data.y_test, notes=points)
    task = Task(X, y, X_test, seed, epochs, clock)
    return OTHER_LIBRARIES[name].train(task, **options), clock
