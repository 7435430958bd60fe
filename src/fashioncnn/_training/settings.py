# SPDX-License-Identifier: BSD-3-Clause
"""What the training loop is given: what to train, and how."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fashioncnn._network.augmentation import Augmentation
from fashioncnn._network.batches import Batches, divide_into_batches
from fashioncnn._network.checkpoint import Checkpoint
from fashioncnn._network.data import TrainingSplit, network_dtype
from fashioncnn._network.fitted import Network
from fashioncnn._network.optimizers import OPTIMIZERS
from fashioncnn._tensorflow.precision import training_precision

_LARGE_WEIGHT = 10  # of an image, where they are 1 on average
_LARGEST_BATCH = 2**30  # of int32; any larger one is all images, too


class EarlyStopping(NamedTuple):
    """When to stop, and what counts as better."""

    n_iter_no_change: int
    tol: float


class Settings(NamedTuple):
    """How to train, by the parameters of the estimator."""

    optimizer: str
    learning_rate: float
    learning_rate_schedule: str
    weight_decay: float
    label_smoothing: float
    epochs: int
    batch_size: int
    precision: str  # "float32" or "bfloat16"
    weight_averaging: float  # the share of steps
    min_steps: int
    early_stopping: EarlyStopping | None
    keep_slots: bool  # whether training will go on from the result
    verbose: int
    augmentation: Augmentation | None

    def of_partial_fit(self) -> "Settings":
        """Return the same for one pass at a constant rate, from which training will go on."""
        return self._replace(
            epochs=1,
            learning_rate_schedule="constant",
            keep_slots=True,
            augmentation=self.augmentation and self.augmentation.of_partial_fit(),
            weight_averaging=0.0,
            min_steps=0,
        )


class TrainingTask(NamedTuple):
    """What to train, and how."""

    network: Network
    checkpoint: Checkpoint  # initial weights, or what an earlier training left
    split: TrainingSplit
    settings: Settings

    @property
    def update_rule(self) -> str:
        """The update rule of the optimizer."""
        return OPTIMIZERS[self.settings.optimizer].update_rule

    @property
    def batches(self) -> Batches:
        """How an epoch is divided."""
        is_normalized = self.network.architecture.batch_normalization
        return divide_into_batches(
            len(self.split.rows), self.settings.batch_size, is_normalized=is_normalized
        )

    @property
    def n_epochs(self) -> int:
        """How many epochs are planned."""
        return self.batches.n_epochs(self.settings.epochs, self.settings.min_steps)

    @property
    def n_steps(self) -> int:
        """How many steps are planned."""
        return self.n_epochs * self.batches.n_steps

    def count_batches(self, steps: np.ndarray) -> np.ndarray:
        """Return how many batches are behind the moving statistics, before steps of this training.

        They follow from the number of a step, so that a backup that a callback restores has its
        own, whatever is done to the weights or the optimizer meanwhile.
        """
        return self.checkpoint.n_batches + self.batches.counts(steps)


def read_settings(params: Mapping[str, Any], augmentation: Augmentation | None) -> Settings:
    """Read the settings out of the parameters of the estimator; `augment` has been read."""
    optimizer = params["optimizer"]
    stopping = EarlyStopping(int(params["n_iter_no_change"]), float(params["tol"]))
    return Settings(
        optimizer=optimizer,
        learning_rate=float(params["learning_rate"] or OPTIMIZERS[optimizer].learning_rate),
        learning_rate_schedule=params["learning_rate_schedule"],
        weight_decay=float(params["weight_decay"]),
        label_smoothing=float(params["label_smoothing"]),
        epochs=int(params["epochs"]),
        batch_size=min(int(params["batch_size"]), _LARGEST_BATCH),
        precision=training_precision(params["precision"]),
        weight_averaging=float(params["weight_averaging"]),
        min_steps=int(params["min_steps"]),
        early_stopping=stopping if params["early_stopping"] else None,
        keep_slots=bool(params["warm_start"]),
        verbose=int(params["verbose"]),
        augmentation=augmentation,
    )


def advice_on_divergence(task: TrainingTask) -> str:
    """Return what may help that does not hold already."""
    weights, scaling = task.split.images.weights[task.split.rows], task.network.scaling
    remedies = ["a lower learning_rate"]
    if task.settings.weight_decay:
        remedies.append("a lower weight_decay")
    is_standardized = scaling is not None and scaling.kind == "standardize"
    if not is_standardized and not task.checkpoint.n_epochs:  # later the scaling stays
        remedies.append("scaling='standardize'")
    if weights.max() > _LARGE_WEIGHT:
        remedies.append("lower values of the largest weights in sample_weight and class_weight")
    advice = f"Try {' or '.join(remedies)}."
    if network_dtype(task.split.images.pixels.dtype) != np.uint8:
        advice += " Look for pixels that are far larger than the rest."
    return advice
