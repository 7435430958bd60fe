# SPDX-License-Identifier: BSD-3-Clause
"""One function for each kind of layer: what Keras' stock layer computes, as TensorFlow operations.

A function takes the run, the layer and its inputs, and returns the output before bias and
activation, which `layers` adds. In training the weights are the layer's own; in prediction they are
those of `fold`, and so are the layers.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from fashioncnn._network.architecture import Architecture, Layer
from fashioncnn._tensorflow.backend import Tensor, keras, tf

Tensors = Mapping[str, Tensor]  # each weight's value by its name


class TrainingMode(NamedTuple):
    """How a network runs in a training step."""

    dropout_seed: Tensor
    dropout_step: Tensor  # for each step, every dropout layer has other random bits
    n_real: Tensor  # the rows that count; what comes after them is padding
    batch_weight: Tensor  # of this batch in the moving statistics
    precision: str  # of feature maps, and of the products of dense layers


class TapeCut(NamedTuple):
    """A bias, at which the tape is cut: we compute the gradients there ourselves.

    `tf.custom_gradient` would do the same, but TensorFlow registers its function for ever, which
    keeps every trace alive.
    """

    bias: str
    before: Tensor  # what the bias is added to
    after: Tensor  # what the network goes on with
    # Takes the gradient of `after`. Returns the gradient of the sum with the bias, and that of
    # `before`; they differ where pooling comes before the bias is added, or the reverse.
    back: Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass
class Run:
    """One run through the network, and what its layers leave for later."""

    architecture: Architecture
    weights: Tensors
    training: TrainingMode | None = None
    tape: Any = None
    statistics: dict[str, Tensor] = field(default_factory=dict)  # new moving means and variances
    cuts: list[TapeCut] = field(default_factory=list)  # in the order of the layers
    # The factor by which a layer's output must still be multiplied, because of dropout before it.
    factors: dict[str, float] = field(default_factory=dict)

    def weight(self, layer: Layer, variable: str) -> Tensor:
        """Return the value of a layer's weight."""
        return self.weights[f"{layer.name}/{variable}"]

    def factor(self, layer: Layer) -> float:
        """Return the factor by which the first input of a layer must still be multiplied."""
        return self.factors.get(layer.inputs[0], 1.0)


def run_layer(run: Run, layer: Layer, *inputs: Tensor) -> Tensor:
    """Compute the output of a layer, but for its bias and activation.

    Dropout leaves its factor to the next layer with a kernel, which is smaller than a feature map.
    Layers in between pass the factor on if they may; before all others it is applied.
    """
    if layer.kind in _PASS_FACTOR:
        run.factors[layer.name] = run.factor(layer)
    elif layer.kind not in _APPLY_FACTOR:
        factors = (run.factors.get(name, 1.0) for name in layer.inputs)
        inputs = tuple(map(_scale, inputs, factors))
    return _OPERATIONS[layer.kind](run, layer, *inputs)


def _scale(values: Tensor, factor: float) -> Tensor:
    return values if factor == 1 else values * factor


def _convolve(run: Run, layer: Layer, tensor: Tensor) -> Tensor:
    kernel = _scale(run.weight(layer, "kernel"), run.factor(layer))
    padding = layer.config["padding"].upper()
    return tf.nn.conv2d(tensor, tf.cast(kernel, tensor.dtype), strides=1, padding=padding)


def _max_pool(run: Run, layer: Layer, tensor: Tensor) -> Tensor:
    window = layer.config["pool_size"]
    return tf.nn.max_pool2d(tensor, window, strides=window, padding="VALID")


def activate(run: Run, layer: Layer, tensor: Tensor) -> Tensor:
    """Apply the activation of a layer."""
    return keras.activations.get(layer.config["activation"])(tensor)


def _normalize(run: Run, layer: Layer, tensor: Tensor) -> Tensor:
    if run.training is None:
        return tensor * run.weight(layer, "scale") + run.weight(layer, "shift")
    n_rows, n_real = tf.shape(tensor)[0], run.training.n_real
    normalized, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        # The gradient of this slice, unlike that of an index, does not copy a full batch.
        x=tf.slice(tensor, (0, 0, 0, 0), (n_real, *layer.output_shape)),
        scale=run.weight(layer, "gamma"),
        offset=run.weight(layer, "beta"),
        mean=tf.zeros_like(run.weight(layer, "beta")),  # which only prediction would take
        variance=tf.zeros_like(run.weight(layer, "beta")),
        epsilon=layer.config["epsilon"],
    )
    n_values = tf.cast(n_real * math.prod(layer.output_shape[:2]), tf.float32)
    values = {"moving_mean": mean, "moving_variance": variance * (1 - 1 / n_values)}
    weight = run.training.batch_weight
    for variable, value in values.items():
        moving = run.weight(layer, variable)
        run.statistics[f"{layer.name}/{variable}"] = moving * (1 - weight) + value * weight
    return tf.pad(normalized, [(0, n_rows - n_real), (0, 0), (0, 0), (0, 0)])


def _drop(run: Run, layer: Layer, tensor: Tensor) -> Tensor:
    """Set values to zero at random.

    The others stay as they are: by what dropout multiplies them is left to `run.factors`. Each
    value takes as few random bits as the rate needs, 16 at most: then the rate is rounded to a
    multiple of 1/65,536.
    """
    if run.training is None:
        return tensor
    rate = layer.config["rate"]
    n_bits = next((n for n in (1, 2, 4, 8) if rate * 2**n % 1 == 0), 16)
    n_levels = 2**n_bits
    n_dropped = min(round(rate * n_levels), n_levels - 1)
    run.factors[layer.name] *= n_levels / (n_levels - n_dropped)
    words = tf.random.stateless_uniform(
        (-(-tf.size(tensor) // (32 // n_bits)),),  # rounded up, and no larger number on the way
        _dropout_seed(run, layer),
        minval=None,
        maxval=None,
        dtype=tf.uint32,
        alg="philox",
    )
    dtype = tf.uint16 if n_bits == 16 else tf.uint8
    draws = tf.reshape(tf.bitcast(words, dtype), (1, -1))
    shifts = np.arange(0, 8 * dtype.size, n_bits)[:, None]  # of the draws within a byte
    if len(shifts) > 1:
        draws = tf.bitwise.bitwise_and(draws, tf.constant((n_levels - 1) << shifts, dtype))
    is_kept = draws >= tf.constant(n_dropped << shifts, dtype)
    is_kept = tf.reshape(tf.reshape(is_kept, [-1])[: tf.size(tensor)], tf.shape(tensor))
    return tensor * tf.cast(is_kept, tensor.dtype)


def _dropout_seed(run: Run, layer: Layer) -> Tensor:
    assert run.training is not None
    names = [each.name for each in run.architecture.layers if each.kind == "Dropout"]
    number = run.training.dropout_step * len(names) + names.index(layer.name)
    return tf.stack([run.training.dropout_seed, number])


def _flatten(run: Run, layer: Layer, tensor: Tensor) -> Tensor:
    return tf.reshape(tensor, (-1, *layer.output_shape))


def _global_average_pool(run: Run, layer: Layer, tensor: Tensor) -> Tensor:
    return tf.reduce_mean(tf.cast(tensor, tf.float32), axis=(1, 2))


def _global_max_pool(run: Run, layer: Layer, tensor: Tensor) -> Tensor:
    return tf.reduce_max(tensor, axis=(1, 2))


def _dense_product(run: Run, layer: Layer, tensor: Tensor) -> Tensor:
    """Multiply by the kernel, in the precision of training but for the logits."""
    is_last = layer is run.architecture.layers[-1]
    precision = "float32" if is_last or run.training is None else run.training.precision
    kernel = tf.cast(run.weight(layer, "kernel"), precision)
    product = tf.cast(tf.matmul(tf.cast(tensor, precision), kernel), tf.float32)
    return _scale(product, run.factor(layer))


def _add(run: Run, layer: Layer, *tensors: Tensor) -> Tensor:
    return tf.add_n(tensors)


_OPERATIONS: Mapping[str, Callable[..., Tensor]] = {
    "Activation": activate,
    "Add": _add,
    "BatchNormalization": _normalize,
    "Conv2D": _convolve,
    "Dense": _dense_product,
    "Dropout": _drop,
    "Flatten": _flatten,
    "GlobalAveragePooling2D": _global_average_pool,
    "GlobalMaxPooling2D": _global_max_pool,
    "MaxPooling2D": _max_pool,
}

# What these compute of c * x is c times what they compute of x, for every c > 0.
_PASS_FACTOR = frozenset(
    {"Dropout", "Flatten", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "MaxPooling2D"}
)
_APPLY_FACTOR = frozenset({"Conv2D", "Dense"})
