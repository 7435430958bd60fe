# SPDX-License-Identifier: BSD-3-Clause
"""Fits that the soak draws: plain values, each of which can be made again to the same bits."""

from contextlib import nullcontext
from typing import Any, Literal, NamedTuple

import numpy as np
from cut_fits import cut_off_after
from hypothesis import strategies as st
from keras.callbacks import Callback
from label_kinds import LABELS
from networks import CONFIGURATIONS, EDGES, SMALL

from fashioncnn import FashionCNNClassifier

NETWORKS = CONFIGURATIONS | EDGES  # many more than stay compiled
OFTEN = ["same", "tiles, normalized", "global average", "strip", "dropout", "one pixel"]
PIXELS = {"uint8": 255, "int16": 255, "float16": 1, "float32": 1, "float64": 1}  # the largest
# Beginnings of warnings of what is drawn, which are right, and no fault.
WARNINGS = ["test_time_flip=True averages", "learning_rate_schedule='(cosine|one_cycle)' falls"]
SEEDS = st.integers(0, 2**32 - 1)


class Task(NamedTuple):
    """What pictures and labels a classifier is for."""

    network: str
    dtype: str
    labels: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return NETWORKS[self.network].get("image_shape", (7, 6, 2))

    @property
    def classes(self) -> np.ndarray:
        return LABELS[self.labels]

    def pictures(self, n: int, seed: int, *, is_flat: bool = False) -> np.ndarray:
        random, largest = np.random.default_rng(seed), PIXELS[self.dtype]
        X = random.random((n, *self.image_shape))
        X[0], X[-1] = 0, 1  # so that all see the same range
        X = (X * largest).astype(self.dtype)
        return X.reshape(n, -1) if is_flat else X

    def targets(self, n: int, seed: int) -> np.ndarray:
        codes = np.arange(n) % len(self.classes)
        return self.classes[np.random.default_rng(seed).permutation(codes)]


class Fit(NamedTuple):
    """A call of `fit` or `partial_fit`; with `n_epochs` it is interrupted after so many."""

    task: Task
    method: Literal["fit", "partial_fit"]
    n: int
    seed: int
    is_flat: bool = False
    has_weights: bool = False
    has_validation: bool = False
    warm_start: bool = False
    n_epochs: int | None = None

    @property
    def goes_on(self) -> bool:
        return self.warm_start or self.method == "partial_fit"

    def arguments(self) -> dict[str, Any]:
        X = self.task.pictures(self.n, self.seed, is_flat=self.is_flat)
        arguments = {"X": X, "y": self.task.targets(self.n, self.seed)}
        if self.has_weights:
            arguments["sample_weight"] = np.random.default_rng(self.seed).uniform(0.5, 2, self.n)
        if self.method == "partial_fit":
            arguments["classes"] = self.task.classes
        elif self.has_validation:
            arguments["X_val"] = self.task.pictures(9, self.seed + 1)
            arguments["y_val"] = self.task.targets(9, self.seed + 1)
        return arguments

    def run(self, clf: FashionCNNClassifier) -> None:
        """Train, with the parameters as they were afterwards."""
        is_whole = self.n_epochs is None
        clf.set_params(warm_start=self.warm_start)
        try:
            with nullcontext() if is_whole else cut_off_after(self.n_epochs, Interrupted):
                getattr(clf, self.method)(**self.arguments())
        except Interrupted:
            pass
        finally:
            clf.set_params(warm_start=False)


class Interrupted(KeyboardInterrupt):
    """An interrupt of ours, and none of the user who ends the soak."""


class Failed(Exception):
    """A fault of ours."""


class EndAfter(Callback):
    """Raise an exception when so many epochs are complete, and there is another."""

    def __init__(self, n_epochs: int, error: type[BaseException]) -> None:
        super().__init__()
        self.n_epochs, self.error = n_epochs, error

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.n_epochs:
            raise self.error


@st.composite
def tasks(draw) -> Task:
    """Draw one of few networks mostly, whose programs stay, and now and then any."""
    is_any = draw(st.integers(0, 3)) == 1
    return Task(
        draw(st.sampled_from(list(NETWORKS) if is_any else OFTEN)),
        draw(st.sampled_from(list(PIXELS))),
        draw(st.sampled_from(list(LABELS))),
    )


@st.composite
def settings(draw, task: Task) -> dict[str, Any]:
    """Draw the parameters of a classifier for a task."""
    scalings = [None, "unit", "standardize"] if PIXELS[task.dtype] == 1 else ["unit", "standardize"]
    optional = {
        "conv_dropout": st.just(0.25),
        "label_smoothing": st.sampled_from([0.1, 0.9]),
        "class_weight": st.just("balanced"),
        "optimizer": st.sampled_from(["sgd", "rmsprop", "muon"]),
        "learning_rate_schedule": st.sampled_from(["cosine", "one_cycle"]),
        "weight_decay": st.just(0.01),
        "augment": st.sampled_from(["flip_shift", {"shift": 2, "erase": 0.5}]),
        "early_stopping": st.just(True),
        "validation_fraction": st.just(0.3),
        "scaling": st.sampled_from(scalings),
        "precision": st.just("bfloat16"),
        "test_time_flip": st.just(True),
        "weight_averaging": st.just(0.5),
        "min_steps": st.just(10),
    }
    names = draw(st.sets(st.sampled_from(list(optional)), max_size=4))
    chosen = draw(st.fixed_dictionaries({name: optional[name] for name in sorted(names)}))
    params = {**SMALL, **NETWORKS[task.network], "image_shape": task.image_shape}
    params |= {"learning_rate": 0.003, "n_iter_no_change": 2, **chosen}
    params["epochs"] = draw(st.integers(1, 4))
    params["batch_size"] = draw(st.sampled_from([8, 16, 128]))
    return params | {"random_state": draw(SEEDS)}


@st.composite
def fits(
    draw, task: Task, params: dict[str, Any], *, may_go_on: bool = False, in_pieces: bool = True
) -> Fit:
    """Draw a fit that a classifier with these parameters can do."""
    in_pieces &= not params.get("early_stopping") and params.get("class_weight") is None
    method = draw(st.sampled_from(["fit", "fit", "partial_fit"])) if in_pieces else "fit"
    return Fit(
        task,
        method,
        n=draw(st.sampled_from([12, 24, 40, 60])),
        seed=draw(SEEDS),
        is_flat=draw(st.booleans()),
        has_weights=draw(st.booleans()),
        has_validation=method == "fit" and draw(st.booleans()),
        warm_start=method == "fit" and may_go_on,
    )
