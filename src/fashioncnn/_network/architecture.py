# SPDX-License-Identifier: BSD-3-Clause
"""The architecture of a network as plain data: its layers, their shapes, names and weights.

Everything here is arithmetic on the estimator's parameters, without TensorFlow, so that a network
can be counted, named and initialised before TensorFlow is imported.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

ACTIVATIONS = frozenset(
    {
        "celu",
        "elu",
        "gelu",
        "hard_sigmoid",
        "hard_silu",
        "leaky_relu",
        "mish",
        "relu",
        "relu6",
        "selu",
        "sigmoid",
        "silu",
        "softplus",
        "softsign",
        "tanh",
    }
)

Shape = tuple[int, ...]
Window = tuple[int, int]
Weights = dict[str, np.ndarray]


class Layer(NamedTuple):
    """One row of the network: a stock Keras layer and the weights it owns."""

    kind: str  # the name of the class in keras.layers
    name: str
    config: Mapping[str, Any]
    output_shape: Shape  # without the batch axis
    weights: Mapping[str, Shape]


@dataclass(frozen=True)
class Architecture:
    """What decides the graph of a network; hashable, and written out in full stack by stack.

    ``kernel_sizes``, ``pool_sizes`` and ``conv_dropouts`` have one entry per stack.
    """

    image_shape: tuple[int, int, int]
    n_classes: int
    conv_stacks: tuple[tuple[int, ...], ...]
    dense_units: tuple[int, ...]
    kernel_sizes: tuple[Window, ...]
    padding: str
    activation: str
    pool_sizes: tuple[Window, ...]
    batch_normalization: bool
    global_pooling: str | None
    conv_dropouts: tuple[float, ...]
    dense_dropout: float

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The layers from the first convolution to the logits, in order."""
        return tuple(_layers(self))

    @property
    def weight_shapes(self) -> dict[str, Shape]:
        """The shape of every weight by its name, ``"layer/variable"``, in Keras' order."""
        return {
            f"{layer.name}/{variable}": shape
            for layer in self.layers
            for variable, shape in layer.weights.items()
        }

    @property
    def n_parameters(self) -> int:
        """The number of parameters, as ``keras.Model.count_params`` counts them."""
        return sum(math.prod(shape) for shape in self.weight_shapes.values())

    @property
    def largest_activation(self) -> int:
        """The number of values in the largest feature map of one image."""
        shapes = [self.image_shape, *(layer.output_shape for layer in self.layers)]
        return max(math.prod(shape) for shape in shapes)


def _layers(architecture: Architecture) -> Iterator[Layer]:
    shape: Shape = architecture.image_shape
    for index in range(len(architecture.conv_stacks)):
        for layer in _conv_stack(architecture, index, shape):
            yield layer
            shape = layer.output_shape
    for layer in _head(architecture, shape):
        yield layer


def _conv_stack(architecture: Architecture, index: int, shape: Shape) -> Iterator[Layer]:
    """One stack: the article's rows, or with batch normalisation pooling before it.

    Pooling first leaves a quarter of the pixels to normalise and activate, as in
    K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (arXiv:2404.00498), section 3.
    """
    stack = f"stack{index + 1}"
    filters_of_stack = architecture.conv_stacks[index]
    normalized = architecture.batch_normalization
    for number, filters in enumerate(filters_of_stack, start=1):
        convolution = _convolution(architecture, index, filters, f"{stack}_conv{number}", shape)
        yield convolution
        shape = convolution.output_shape
        if number == len(filters_of_stack):
            pooling = _pooling(architecture.pool_sizes[index], f"{stack}_pool", shape)
            yield pooling
            shape = pooling.output_shape
        if normalized:
            yield _normalization(f"{stack}_norm{number}", shape)
            config = {"activation": architecture.activation}
            yield Layer(
                "Activation", f"{stack}_{architecture.activation}{number}", config, shape, {}
            )
    if architecture.conv_dropouts[index]:
        yield _dropout(architecture.conv_dropouts[index], f"{stack}_dropout", shape)


def _head(architecture: Architecture, shape: Shape) -> Iterator[Layer]:
    height, width, channels = shape
    if architecture.global_pooling is None:
        features = height * width * channels
        config = {"data_format": "channels_last"}
        yield Layer("Flatten", "flatten", config, (features,), {})
    else:
        features = channels
        kind = {"avg": "GlobalAveragePooling2D", "max": "GlobalMaxPooling2D"}[
            architecture.global_pooling
        ]
        config = {"data_format": "channels_last"}
        yield Layer(kind, "global_pool", config, (features,), {})
    for number, units in enumerate(architecture.dense_units, start=1):
        yield _dense(units, f"dense{number}", features, architecture.activation)
        features = units
        if architecture.dense_dropout:
            yield _dropout(architecture.dense_dropout, f"dense{number}_dropout", (features,))
    yield _dense(architecture.n_classes, "predictions", features, "linear")


def _clip(window: Window, shape: Shape) -> Window:
    """Return the window, no larger than the feature map it slides over."""
    return min(window[0], shape[0]), min(window[1], shape[1])


def _convolution(
    architecture: Architecture, index: int, filters: int, name: str, shape: Shape
) -> Layer:
    height, width, channels = shape
    kernel = _clip(architecture.kernel_sizes[index], shape)
    if architecture.padding == "valid":
        height, width = height - kernel[0] + 1, width - kernel[1] + 1
    normalized = architecture.batch_normalization
    config = {
        "filters": filters,
        "kernel_size": kernel,
        "padding": architecture.padding,
        "activation": "linear" if normalized else architecture.activation,
        "use_bias": not normalized,
        "data_format": "channels_last",
    }
    weights: dict[str, Shape] = {"kernel": (*kernel, channels, filters)}
    if not normalized:
        weights["bias"] = (filters,)
    return Layer("Conv2D", name, config, (height, width, filters), weights)


def _pooling(window: Window, name: str, shape: Shape) -> Layer:
    window = _clip(window, shape)
    config = {"pool_size": window, "data_format": "channels_last"}
    output_shape = (shape[0] // window[0], shape[1] // window[1], shape[2])
    return Layer("MaxPooling2D", name, config, output_shape, {})


def _normalization(name: str, shape: Shape) -> Layer:
    variables = ("gamma", "beta", "moving_mean", "moving_variance")
    weights = {variable: (shape[-1],) for variable in variables}
    config = {"axis": -1, "epsilon": 1e-3, "momentum": 0.99}  # of Keras
    return Layer("BatchNormalization", name, config, shape, weights)


def _dropout(rate: float, name: str, shape: Shape) -> Layer:
    # Without a seed of its own, Keras draws one from Python's global random state.
    return Layer("Dropout", name, {"rate": rate, "seed": 0}, shape, {})


def _dense(units: int, name: str, features: int, activation: str) -> Layer:
    config = {"units": units, "activation": activation}
    weights = {"kernel": (features, units), "bias": (units,)}
    return Layer("Dense", name, config, (units,), weights)


def initial_weights(architecture: Architecture, seed: np.random.SeedSequence) -> Weights:
    """Draw the weights that training starts from, as Keras' layers do by default.

    Kernels are uniform within the limits of X. Glorot and Y. Bengio, "Understanding the difficulty
    of training deep feedforward neural networks" (2010), equation 16; the rest are zeros and ones.
    """
    random = np.random.default_rng(seed)
    return {
        name: _initial_value(name.rpartition("/")[2], shape, random)
        for name, shape in architecture.weight_shapes.items()
    }


def _initial_value(variable: str, shape: Shape, random: np.random.Generator) -> np.ndarray:
    if variable == "kernel":
        window = math.prod(shape[:-2])
        limit = math.sqrt(6 / (window * (shape[-2] + shape[-1])))
        values: np.ndarray = random.random(shape, dtype=np.float32)
        values -= 0.5
        values *= 2 * limit
        return values
    value = 1 if variable in ("gamma", "moving_variance") else 0
    return np.full(shape, value, dtype=np.float32)
