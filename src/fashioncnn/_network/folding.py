# SPDX-License-Identifier: BSD-3-Clause
"""The weights with which a network predicts: batch normalisation is part of the layer before."""

import numpy as np

from fashioncnn._network.architecture import Architecture, Weights


def fold_weights(architecture: Architecture, weights: Weights) -> Weights:
    """Replace each batch normalisation by a shift, and a factor of the convolution before it.

    The factor stays with the normalisation, as "scale", where the layer before is no convolution
    (max pooling of negative values would be another value), or where other layers use its output.
    """
    folded = {name: weights[name] for name in architecture.weights}  # in the table's order
    layers = {layer.name: layer for layer in architecture.layers}
    n_uses = architecture.n_uses
    for layer in architecture.layers:
        if layer.kind != "BatchNormalization":
            continue
        before = layers[layer.inputs[0]]
        with np.errstate(all="ignore"):  # where weights have diverged, the logits will tell
            gamma, beta, mean, variance = (
                folded.pop(f"{layer.name}/{variable}").astype(np.float64)
                for variable in ("gamma", "beta", "moving_mean", "moving_variance")
            )
            scale = gamma / np.sqrt(variance + layer.config["epsilon"])
            values = {f"{layer.name}/shift": beta - mean * scale}
            if before.kind == "Conv2D" and n_uses[before.name] == 1:
                kernel = f"{before.name}/kernel"
                values[kernel] = folded[kernel] * scale
            else:
                values[f"{layer.name}/scale"] = scale
            folded |= {name: value.astype(np.float32) for name, value in values.items()}
    return folded
