# SPDX-License-Identifier: BSD-3-Clause
"""The architecture of a network as plain data: a table of its layers, their inputs and weights.

Everything here is arithmetic on the estimator's parameters, without TensorFlow, so that a network
can be counted, named and initialised before TensorFlow is imported. TensorFlow's operations and
Keras' stock layers are made from this one table.
"""

import copy
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from fashioncnn._network.batches import MOMENTUM
from fashioncnn._network.data import ImageShape

Activation = Literal[
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
]
Padding = Literal["same", "valid"]
GlobalPooling = Literal["avg", "max"]

Shape = tuple[int, ...]
Window = tuple[int, int]
Weights = dict[str, np.ndarray]

IMAGE = "image"  # the name of the network's input among the inputs of layers


class Weight(NamedTuple):
    """A weight of a layer.

    Gradients change kernels and biases. Only kernels decay and start at random values; every other
    trainable weight counts as a bias. A layer itself changes what is moving: means and variances of
    the batches.
    """

    shape: Shape
    kind: Literal["kernel", "bias", "moving"]
    initial_value: float = 0.0  # of all but kernels

    @property
    def is_trainable(self) -> bool:
        """Whether gradients change it, so that the optimizer has moments of it."""
        return self.kind != "moving"


class Layer(NamedTuple):
    """One row of the table: a stock Keras layer and the weights it owns."""

    kind: str  # the name of the class in keras.layers
    name: str
    inputs: tuple[str, ...]  # the names of layers, or IMAGE
    config: Mapping[str, Any]
    output_shape: Shape  # without the batch axis
    weights: Mapping[str, Weight]  # only a layer with a bias has an activation of its own


@dataclass(frozen=True)
class Architecture:
    """What decides the graph of a network; hashable, and written out in full stack by stack.

    ``kernel_sizes``, ``pool_sizes`` and ``conv_dropouts`` have one entry per stack.
    """

    image_shape: ImageShape
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
    residual: bool = False

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The layers from the first convolution to the logits, each after its inputs."""
        table = _Table(self.image_shape)
        for index in range(len(self.conv_stacks)):
            _add_stack(table, self, index)
        _add_head(table, self)
        return tuple(table.rows)

    def with_layers(self, layers: tuple[Layer, ...]) -> "Architecture":
        """Return a copy that has other layers; as a key it is equal to this one."""
        copied = copy.copy(self)
        vars(copied)["layers"] = layers
        return copied

    @property
    def n_uses(self) -> Counter[str]:
        """By how many layers each layer's output is used."""
        return Counter(name for layer in self.layers for name in layer.inputs)

    @property
    def weights(self) -> dict[str, Weight]:
        """Every weight by its name, ``"layer/variable"``, in Keras' order."""
        return {
            f"{layer.name}/{variable}": weight
            for layer in self.layers
            for variable, weight in layer.weights.items()
        }

    @property
    def weight_shapes(self) -> dict[str, Shape]:
        """The shape of every weight by its name."""
        return {name: weight.shape for name, weight in self.weights.items()}

    @property
    def n_parameters(self) -> int:
        """The number of parameters, as ``keras.Model.count_params`` counts them."""
        return sum(math.prod(shape) for shape in self.weight_shapes.values())

    @property
    def n_multiplications(self) -> int:
        """How many multiplications the kernels take for one image: once per output pixel."""
        return sum(
            math.prod(layer.weights["kernel"].shape) * math.prod(layer.output_shape[:-1])
            for layer in self.layers
            if "kernel" in layer.weights
        )

    @property
    def largest_activation(self) -> int:
        """The number of values in the largest feature map of one image."""
        shapes = [self.image_shape, *(layer.output_shape for layer in self.layers)]
        return max(math.prod(shape) for shape in shapes)


class _Table:
    """The rows so far, the last of which is the input of the next."""

    def __init__(self, image_shape: ImageShape) -> None:
        self.rows: list[Layer] = []
        self.shape: Shape = image_shape

    def add(
        self,
        kind: str,
        name: str,
        output_shape: Shape,
        config: Mapping[str, Any],
        weights: Mapping[str, Weight] | None = None,
        inputs: tuple[str, ...] = (),
    ) -> None:
        inputs = inputs or (self.last,)
        self.rows.append(Layer(kind, name, inputs, config, output_shape, weights or {}))
        self.shape = output_shape

    @property
    def last(self) -> str:
        return self.rows[-1].name if self.rows else IMAGE


def _add_stack(table: _Table, architecture: Architecture, index: int) -> None:
    """Add a stack in the article's order, but pool before the last batch normalisation.

    Pooling first leaves a quarter of the pixels to normalise and activate, as in
    K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (arXiv:2404.00498), section 3.
    """
    stack = f"stack{index + 1}"
    filters_of_stack = architecture.conv_stacks[index]
    activation = architecture.activation
    outputs: list[str] = []  # of the convolutions so far, activated
    for number in range(1, len(filters_of_stack) + 1):
        start = _start_of_block(filters_of_stack, number) if architecture.residual else None
        activates = not architecture.batch_normalization and start is None
        _add_convolution(table, architecture, index, number, activates=activates)
        pool = None
        if number == len(filters_of_stack):
            _add_pooling(table, architecture.pool_sizes[index], f"{stack}_pool")
            pool = table.rows[-1]
        if architecture.batch_normalization:
            _add_normalization(table, f"{stack}_norm{number}")
        if start is not None:
            _add_shortcut(table, outputs[start - 1], f"{stack}_sum{number}", pool)
        if not activates:
            name = f"{stack}_{activation}{number}"
            table.add("Activation", name, table.shape, {"activation": activation})
        outputs.append(table.last)
    if architecture.conv_dropouts[index]:
        _add_dropout(table, architecture.conv_dropouts[index], f"{stack}_dropout")


def _start_of_block(filters_of_stack: tuple[int, ...], number: int) -> int | None:
    """Return after which convolution a block starts that ends with this one, if one does.

    Convolutions of a stack are counted from 1. After the first, every two form a block, and a
    single one that is left over forms one, too. Where a block changes the number of channels,
    nothing can be added.
    """
    if number == 1 or (number % 2 == 0 and number < len(filters_of_stack)):
        return None
    start = number - 2 if number % 2 else number - 1
    return start if filters_of_stack[start - 1] == filters_of_stack[number - 1] else None


def _add_shortcut(table: _Table, start: str, name: str, pool: Layer | None) -> None:
    """Add the input of a block to its output, as in K. He et al. (arXiv:1512.03385), section 3.2.

    Where the output was pooled, the input is pooled alike.
    """
    end = table.last
    if pool is not None:
        table.add(pool.kind, f"{name}_pool", table.shape, pool.config, inputs=(start,))
        start = table.last
    table.add("Add", name, table.shape, {}, inputs=(end, start))


def _add_head(table: _Table, architecture: Architecture) -> None:
    config = {"data_format": "channels_last"}
    if architecture.global_pooling is None:
        table.add("Flatten", "flatten", (math.prod(table.shape),), config)
    else:
        kinds = {"avg": "GlobalAveragePooling2D", "max": "GlobalMaxPooling2D"}
        kind = kinds[architecture.global_pooling]
        table.add(kind, "global_pool", table.shape[-1:], config)
    for number, units in enumerate(architecture.dense_units, start=1):
        _add_dense(table, units, f"dense{number}", architecture.activation)
        if architecture.dense_dropout:
            _add_dropout(table, architecture.dense_dropout, f"dense{number}_dropout")
    _add_dense(table, architecture.n_classes, "predictions", "linear")


def _clip(window: Window, shape: Shape) -> Window:
    """Return the window, no larger than the feature map it slides over."""
    return min(window[0], shape[0]), min(window[1], shape[1])


def _add_convolution(
    table: _Table, architecture: Architecture, index: int, number: int, *, activates: bool
) -> None:
    filters = architecture.conv_stacks[index][number - 1]
    height, width, channels = table.shape
    kernel_size = _clip(architecture.kernel_sizes[index], table.shape)
    if architecture.padding == "valid":
        height, width = height - kernel_size[0] + 1, width - kernel_size[1] + 1
    has_bias = not architecture.batch_normalization
    config = {
        "filters": filters,
        "kernel_size": kernel_size,
        "padding": architecture.padding,
        "activation": architecture.activation if activates else "linear",
        "use_bias": has_bias,
        "data_format": "channels_last",
    }
    weights = {"kernel": Weight((*kernel_size, channels, filters), "kernel")}
    if has_bias:
        weights["bias"] = Weight((filters,), "bias")
    table.add("Conv2D", f"stack{index + 1}_conv{number}", (height, width, filters), config, weights)


def _add_pooling(table: _Table, window: Window, name: str) -> None:
    height, width, channels = table.shape
    window = _clip(window, table.shape)
    config = {"pool_size": window, "data_format": "channels_last"}
    table.add("MaxPooling2D", name, (height // window[0], width // window[1], channels), config)


def _add_normalization(table: _Table, name: str) -> None:
    shape = table.shape[-1:]
    weights = {
        "gamma": Weight(shape, "bias", initial_value=1),
        "beta": Weight(shape, "bias"),
        "moving_mean": Weight(shape, "moving"),
        "moving_variance": Weight(shape, "moving", initial_value=1),
    }
    config = {"axis": -1, "epsilon": 1e-3, "momentum": MOMENTUM}  # of Keras
    table.add("BatchNormalization", name, table.shape, config, weights)


def _add_dropout(table: _Table, rate: float, name: str) -> None:
    # Without a seed of its own, Keras draws one from Python's global random state.
    table.add("Dropout", name, table.shape, {"rate": rate, "seed": 0})


def _add_dense(table: _Table, units: int, name: str, activation: str) -> None:
    (features,) = table.shape
    weights = {"kernel": Weight((features, units), "kernel"), "bias": Weight((units,), "bias")}
    table.add("Dense", name, (units,), {"units": units, "activation": activation}, weights)


def initial_weights(architecture: Architecture, seed: np.random.SeedSequence) -> Weights:
    """Draw the weights that training starts from, as Keras' layers do by default.

    Kernels are uniform within the limits of X. Glorot and Y. Bengio, "Understanding the difficulty
    of training deep feedforward neural networks" (2010), equation 16.
    """
    random = np.random.default_rng(seed)
    return {
        name: _draw_kernel(weight.shape, random)
        if weight.kind == "kernel"
        else np.full(weight.shape, weight.initial_value, dtype=np.float32)
        for name, weight in architecture.weights.items()
    }


def _draw_kernel(shape: Shape, random: np.random.Generator) -> np.ndarray:
    window = math.prod(shape[:-2])
    limit = math.sqrt(6 / (window * (shape[-2] + shape[-1])))
    values: np.ndarray = random.random(shape, dtype=np.float32)
    values -= 0.5
    values *= 2 * limit
    return values
