# SPDX-License-Identifier: BSD-3-Clause
"""Ideas that the library has not taken, put in its place for the time of a fit to measure them.

All are from K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (arXiv:2404.00498),
sections 3.2 to 3.4.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from unittest import mock

import numpy as np

Weights = dict[str, np.ndarray]
Idea = Callable[[np.ndarray], AbstractContextManager[Any]]  # of the images

FIRST = "stack1_conv1/kernel"
N_IMAGES = 5_000  # to whiten by
BIAS_FACTOR = 8


def initial_weights_changed(change: Callable[[Weights], None]) -> AbstractContextManager[Any]:
    """Let trainings start from other weights."""
    from fashioncnn._network import checkpoint

    draw = checkpoint.initial_weights

    def initial_weights(*args: Any) -> Weights:
        weights = draw(*args)
        change(weights)
        return weights

    return mock.patch.object(checkpoint, "initial_weights", initial_weights)


def whitened_first_layer(X: np.ndarray) -> AbstractContextManager[Any]:
    """Start the first layer from the principal components of patches, scaled to variance 1."""

    def change(weights: Weights) -> None:
        kernel = weights[FIRST]
        height, width, channels, n_filters = kernel.shape
        images = X[:N_IMAGES].reshape(-1, *X.shape[1:3], channels).astype(np.float32)
        images = (images - images.mean((0, 1, 2))) / images.std((0, 1, 2))
        windows = np.lib.stride_tricks.sliding_window_view(images, (height, width), axis=(1, 2))
        patches = np.moveaxis(windows, 3, -1).reshape(-1, height * width * channels)
        variances, components = np.linalg.eigh(patches.T @ patches / len(patches))
        filters = (components / np.sqrt(variances + 5e-4))[:, ::-1]
        half = min(filters.shape[1], n_filters // 2)
        for number, sign in enumerate((1, -1)):
            place = slice(number * half, (number + 1) * half)
            kernel[..., place] = sign * filters[:, :half].reshape(*kernel.shape[:3], half)

    return initial_weights_changed(change)


def partial_identity(X: np.ndarray) -> AbstractContextManager[Any]:
    """Let the first filters of all convolutions but the first start by passing on a channel."""

    def change(weights: Weights) -> None:
        for name, kernel in weights.items():
            if name != FIRST and kernel.ndim == 4:
                height, width, channels, n_filters = kernel.shape
                passed = np.arange(min(channels, n_filters))
                kernel[..., passed] = 0
                kernel[height // 2, width // 2, passed, passed] = 1

    return initial_weights_changed(change)


def higher_bias_rates(X: np.ndarray) -> AbstractContextManager[Any]:
    """Let biases, and what else is no kernel, learn at a higher rate."""
    from fashioncnn._tensorflow import optimizers

    def faster(apply: Callable[..., None]) -> Callable[..., None]:
        def apply_faster(weight: Any, slots: Any, gradient: Any, rate: Any, step: Any) -> None:
            factor = BIAS_FACTOR if gradient.shape.rank == 1 else 1
            apply(weight, slots, gradient, rate * factor, step)

        return apply_faster

    rules = {
        name: rule._replace(apply=faster(rule.apply))
        for name, rule in optimizers.UPDATE_RULES.items()
    }
    return mock.patch.dict(optimizers.UPDATE_RULES, rules)


IDEAS: Mapping[str, Idea] = {
    "whitened first layer": whitened_first_layer,
    "partial-identity kernels": partial_identity,
    "8 times the rate for biases": higher_bias_rates,
}


def tried(idea: str | None, X: np.ndarray) -> AbstractContextManager[Any]:
    """Put an idea in its place, or none."""
    return IDEAS[idea](X) if idea else nullcontext()
