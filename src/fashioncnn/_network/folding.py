# SPDX-License-Identifier: BSD-3-Clause
"""The network as it predicts: batch normalisation is part of the convolution before it."""

import numpy as np

from fashioncnn._network.activations import MONOTONE
from fashioncnn._network.architecture import Architecture, Layer, Weight, Weights


def fold(architecture: Architecture, weights: Weights) -> tuple[Architecture, Weights]:
    """Fold each batch normalisation into the convolution before it, as a factor and a bias.

    The activation after it becomes that of the convolution. Both may come before max pooling where
    they never fall, for the largest value stays the largest: the factor must not be negative then.
    A normalisation that can't be folded keeps two weights, "scale" and "shift".

    Parameters
    ----------
    architecture : Architecture
        The layers as they train.
    weights : dict of ndarray
        Their weights, which stay as they are.

    Returns
    -------
    architecture : Architecture
        With the layers as they predict.
    weights : dict of ndarray
        Their weights, in the order of these layers.
    """
    folding = _Folding(architecture, weights)
    for layer in architecture.layers:
        folding.add(layer)
    folded = architecture.with_layers(tuple(folding.layers.values()))
    return folded, {name: folding.weights[name] for name in folded.weights}


class _Folding:
    """The layers so far, as they predict, and all weights."""

    def __init__(self, architecture: Architecture, weights: Weights) -> None:
        self.layers: dict[str, Layer] = {}
        self.weights = dict(weights)
        self._n_uses = architecture.n_uses
        self._outputs: dict[str, str] = {}  # of layers that are gone: who gives their output
        self._convolutions: dict[str, str] = {}  # into which normalisations were folded

    def add(self, layer: Layer) -> None:
        """Take the next layer over, or fold it."""
        inputs = tuple(self._outputs.get(name, name) for name in layer.inputs)
        if layer.kind == "BatchNormalization":
            self._add_normalization(layer._replace(inputs=inputs))
        elif layer.kind == "Activation" and self._can_activate(layer):
            convolution = self._convolutions[layer.inputs[0]]
            self._change(convolution, activation=layer.config["activation"])
            self._outputs[layer.name] = inputs[0]
        else:
            self.layers[layer.name] = layer._replace(inputs=inputs)

    def _add_normalization(self, layer: Layer) -> None:
        with np.errstate(all="ignore"):  # where weights have diverged, the logits will tell
            gamma, beta, mean, variance = (
                self.weights[f"{layer.name}/{variable}"].astype(np.float64)
                for variable in ("gamma", "beta", "moving_mean", "moving_variance")
            )
            scale = gamma / np.sqrt(variance + layer.config["epsilon"])
            shift = beta - mean * scale
            convolution = self._convolution_before(layer, scale)
            if convolution is None:
                self._set_weights(layer, scale=scale, shift=shift)
            else:
                kernel = self.weights[f"{convolution.name}/kernel"] * scale
                self._set_weights(convolution, kernel=kernel, bias=shift)
                self._change(convolution.name, use_bias=True)
                self._convolutions[layer.name] = convolution.name
                self._outputs[layer.name] = layer.inputs[0]

    def _convolution_before(self, layer: Layer, scale: np.ndarray) -> Layer | None:
        """Return the convolution that can take over a factor of each channel of its output."""
        before = self.layers[layer.inputs[0]]
        if before.kind == "MaxPooling2D" and self._n_uses[before.name] == 1 and (scale >= 0).all():
            before = self.layers[before.inputs[0]]
        is_free = before.kind == "Conv2D" and not before.config["use_bias"]
        return before if is_free and self._n_uses[before.name] == 1 else None

    def _can_activate(self, layer: Layer) -> bool:
        """Say whether an activation can be that of the convolution before it."""
        (before,) = layer.inputs
        if before not in self._convolutions or self._n_uses[before] > 1:
            return False
        is_pooled = self._outputs[before] != self._convolutions[before]
        return not is_pooled or layer.config["activation"] in MONOTONE

    def _set_weights(self, layer: Layer, **values: np.ndarray) -> None:
        """Give a layer just these weights, as float32."""
        for name, value in values.items():
            self.weights[f"{layer.name}/{name}"] = value.astype(np.float32)
        table = {
            name: Weight(value.shape, "kernel" if name == "kernel" else "bias")
            for name, value in values.items()
        }
        self.layers[layer.name] = layer._replace(weights=table)

    def _change(self, name: str, **config: object) -> None:
        layer = self.layers[name]
        self.layers[name] = layer._replace(config={**layer.config, **config})
