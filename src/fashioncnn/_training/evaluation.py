# SPDX-License-Identifier: BSD-3-Clause
"""How well the weights do on images that they are not trained on."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fashioncnn._inputs.fit_data import ValidationImages
from fashioncnn._network.probabilities import log_softmax
from fashioncnn._network.scaling import Scaling
from fashioncnn._tensorflow.prediction import Predictor
from fashioncnn._tensorflow.program import Program
from fashioncnn._tensorflow.steps import TrainingState
from fashioncnn._training.callbacks import Callbacks


class Evaluation(NamedTuple):
    """What the network makes of each validation image; NaN where its output is not finite."""

    losses: np.ndarray
    hits: np.ndarray
    weights: np.ndarray  # of mean 1

    def means(self, n: int | None = None) -> dict[str, float]:
        """Return accuracy, and mean of weight times loss, of the first n images or of all."""
        losses = self.weights[:n] * self.losses[:n]
        return {"accuracy": float(self.hits[:n].mean()), "loss": float(losses.mean())}


def evaluation(
    program: Program,
    scaling: Scaling | None,
    state: TrainingState,
    images: ValidationImages | None,
    label_smoothing: float,
) -> Callable[[], Evaluation]:
    """Return what evaluates the weights as they are; it is not called without images."""

    def evaluate() -> Evaluation:
        assert images is not None
        logits = Predictor(program, state.weights_as_numpy(), scaling).logits(images.pixels)
        if not np.isfinite(logits).all():
            nothing = np.full(len(logits), math.nan)
            return Evaluation(nothing, nothing, images.weights)
        log_probabilities = log_softmax(logits)
        of_label = log_probabilities[np.arange(len(logits)), images.codes]
        of_all = log_probabilities.mean(axis=1)
        losses = -(1 - label_smoothing) * of_label - label_smoothing * of_all
        return Evaluation(losses, logits.argmax(axis=1) == images.codes, images.weights)

    return evaluate


def validate(
    evaluate: Callable[[], Evaluation], batch_size: int, callbacks: Callbacks
) -> dict[str, float]:
    """Evaluate the weights; callbacks that want batches hear of them afterwards."""
    callbacks.call("on_test_begin", {})
    evaluation = evaluate()
    if callbacks.has_test_batch_hooks:
        for step in range(math.ceil(len(evaluation.losses) / batch_size)):
            callbacks.call("on_test_batch_begin", step, {})
            callbacks.call("on_test_batch_end", step, evaluation.means((step + 1) * batch_size))
    means = evaluation.means()
    callbacks.call("on_test_end", dict(means))
    return {f"val_{name}": value for name, value in means.items()}
