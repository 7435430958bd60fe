# SPDX-License-Identifier: BSD-3-Clause
"""How well a network classifies images that it is not trained on."""

import math
from typing import NamedTuple

import numpy as np

from fashioncnn._network.data import ValidationImages
from fashioncnn._network.probabilities import log_softmax


class Evaluation(NamedTuple):
    """The loss of each validation image, and whether it is classified right.

    Both are NaN where the network's output is not finite.
    """

    losses: np.ndarray
    hits: np.ndarray
    weights: np.ndarray  # of mean 1

    def means(self, n: int | None = None) -> dict[str, float]:
        """Return accuracy, and mean of weight times loss, of the first n images or of all."""
        losses = self.weights[:n] * self.losses[:n]
        return {"accuracy": float(self.hits[:n].mean()), "loss": float(losses.mean())}


def evaluate(logits: np.ndarray, images: ValidationImages, label_smoothing: float) -> Evaluation:
    """Compare the logits of images with their labels.

    Parameters
    ----------
    logits : ndarray of shape (n, n_classes)
        What the network computes of the images.
    images : ValidationImages
        The n images.
    label_smoothing : float
        As in the loss of training.

    Returns
    -------
    evaluation : Evaluation
        One value per image.
    """
    if not np.isfinite(logits).all():
        unknown = np.full(len(logits), math.nan)
        return Evaluation(unknown, unknown, images.weights)
    log_probabilities = log_softmax(logits)
    of_label = log_probabilities[np.arange(len(logits)), images.codes]
    of_all = log_probabilities.mean(axis=1)
    losses = -(1 - label_smoothing) * of_label - label_smoothing * of_all
    return Evaluation(losses, logits.argmax(axis=1) == images.codes, images.weights)
