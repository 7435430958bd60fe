# SPDX-License-Identifier: BSD-3-Clause
"""What the logits of a network say."""

import numpy as np


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return the logarithm of each row's probabilities, float64 of shape (n, n_classes)."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    with np.errstate(under="ignore"):  # of improbable classes, which become 0
        shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return each row's probabilities, float32 of shape (n, n_classes)."""
    with np.errstate(under="ignore"):
        return np.exp(log_softmax(logits)).astype(np.float32)
