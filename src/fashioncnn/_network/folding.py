# SPDX-License-Identifier: BSD-3-Clause
"""The weights with which a network predicts: batch normalisation is part of the layer before."""

import numpy as np

from fashioncnn._network.architecture import Architecture, Layer, Weights


def fold_weights(architecture: Architecture, weights: Weights) -> Weights:
    """Replace each batch normalisation by a shift, and a factor of the convolution before it.

    It may come before max pooling where it is not negative: the largest value stays the largest.
    The factor stays with the normalisation, as "scale", where it is, where the layer before is no
    convolution, or where other layers use its output.
    """
    folded = {name: weights[name] for name in architecture.weights}  # in the table's order
    for layer in architecture.layers:
        if layer.kind != "BatchNormalization":
            continue
        with np.errstate(all="ignore"):  # where weights have diverged, the logits will tell
            gamma, beta, mean, variance = (
                folded.pop(f"{layer.name}/{variable}").astype(np.float64)
                for variable in ("gamma", "beta", "moving_mean", "moving_variance")
            )
            scale = gamma / np.sqrt(variance + layer.config["epsilon"])
            values = {f"{layer.name}/shift": beta - mean * scale}
            convolution = _convolution_before(architecture, layer, scale)
            if convolution is not None:
                kernel = f"{convolution.name}/kernel"
                values[kernel] = folded[kernel] * scale
            else:
                values[f"{layer.name}/scale"] = scale
            folded |= {name: value.astype(np.float32) for name, value in values.items()}
    return folded


def _convolution_before(
    architecture: Architecture, layer: Layer, scale: np.ndarray
) -> Layer | None:
    """Return the convolution whose filters can take a factor of each channel of a layer's input."""
    layers = {each.name: each for each in architecture.layers}
    n_uses = architecture.n_uses
    before = layers[layer.inputs[0]]
    if before.kind == "MaxPooling2D" and n_uses[before.name] == 1 and (scale >= 0).all():
        before = layers[before.inputs[0]]
    return before if before.kind == "Conv2D" and n_uses[before.name] == 1 else None
