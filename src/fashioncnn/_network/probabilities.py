# SPDX-License-Identifier: BSD-3-Clause
"""What the logits of a network say."""

import numpy as np


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return the logarithm of each row's probabilities, float64 of shape (n, n_classes).

    None is below the lowest float32, so that they can be held as float32.
    """
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    with np.errstate(under="ignore"):  # of improbable classes, which become 0
        shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return np.maximum(shifted, np.finfo(np.float32).min)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return each row's probabilities, float32 of shape (n, n_classes)."""
    with np.errstate(under="ignore"):
        return np.exp(log_softmax(logits)).astype(np.float32)


def decision(logits: np.ndarray) -> np.ndarray:
    """Return the logits, or for two classes their difference within float32, of shape (n,)."""
    if logits.shape[1] != 2:
        return logits
    limits = np.finfo(np.float32)
    with np.errstate(over="ignore"):  # of logits that are far apart
        return np.clip(logits[:, 1] - logits[:, 0], limits.min, limits.max)
