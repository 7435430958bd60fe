# SPDX-License-Identifier: BSD-3-Clause
"""The network as operations of TensorFlow: what Keras' stock layers compute, arranged for speed.

In training the network runs on the weights as they are, in prediction on weights in which batch
normalisation is folded. The stock layers of `build_network` are what both must agree with.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, NamedTuple

from fashioncnn._architecture import Architecture, Layer
from fashioncnn._backend import keras, tf

Tensors = Mapping[str, Any]  # each weight's value by its name

# They never fall, so the maximum of their values is the value of the maximum.
_MONOTONE = frozenset(
    {
        "celu",
        "elu",
        "hard_sigmoid",
        "leaky_relu",
        "relu",
        "relu6",
        "selu",
        "sigmoid",
        "softplus",
        "softsign",
        "tanh",
    }
)


class Training(NamedTuple):
    """How a network runs in training."""

    dropout_seed: Any
    dropout_step: Any  # of each, every dropout layer has bits of its own
    n_real: Any  # the rows that count; what comes after them is padding
    precision: str  # of feature maps, and of the products of dense layers


class Trained(NamedTuple):
    """What a network gives that runs in training."""

    logits: Any  # (n, n_classes), float32
    statistics: Tensors  # the new values of moving means and variances, by their names
    sums: Tensors  # by the name of each bias, what it has been added to, with the bias


@dataclass
class _Run:
    """One run through the network, and what it gathers on its way."""

    architecture: Architecture
    weights: Tensors
    training: Training | None
    statistics: dict[str, Any] = field(default_factory=dict)
    sums: dict[str, Any] = field(default_factory=dict)
    scale: float = 1.0  # by which the values so far are yet to be multiplied

    def weight(self, layer: Layer, variable: str) -> Any:
        return self.weights[f"{layer.name}/{variable}"]

    def scaled(self, values: Any) -> Any:
        """Multiply values by what is due."""
        scale, self.scale = self.scale, 1.0
        return values if scale == 1 else values * scale


def train_network(
    architecture: Architecture, weights: Tensors, images: Any, training: Training
) -> Trained:
    """Run a network as it is trained; `gradients_of` has the gradients.

    Parameters
    ----------
    architecture : Architecture
        Its layers.
    weights : dict of tensors
        The value of each weight by its name, float32.
    images : tensor of shape (n, h, w, c), float32
        Scaled pixels.
    training : Training
        What decides dropout, the rows that count, and the precision.

    Returns
    -------
    trained : Trained
        Logits, and what else there is to know.
    """
    run = _Run(architecture, weights, training)
    logits = _logits(run, tf.cast(images, training.precision))
    return Trained(logits, run.statistics, run.sums)


def gradients_of(loss: Any, tape: Any, weights: Tensors, sums: Tensors) -> Tensors:
    """Return the gradient of each trainable weight, float32.

    That of a bias is a product of ones with the gradient of its sum. Left to the tape, TensorFlow
    would fuse it with the gradient of the kernel before it, to one that takes nearly twice as long.
    """
    others = {name: value for name, value in weights.items() if name not in sums}
    of_others, of_sums = tape.gradient(loss, (others, dict(sums)))
    of_biases = {name: _sum_of_pixels(gradient) for name, gradient in of_sums.items()}
    return {name: of_biases[name] if name in sums else of_others[name] for name in weights}


def _sum_of_pixels(values: Any) -> Any:
    rows = tf.reshape(values, (tf.shape(values)[0], -1))
    sums = tf.matmul(tf.ones((1, tf.shape(rows)[0]), rows.dtype), rows)
    return tf.reduce_sum(tf.reshape(tf.cast(sums, tf.float32), (-1, values.shape[-1])), axis=0)


def apply_network(architecture: Architecture, weights: Tensors, images: Any) -> Any:
    """Run a network as it predicts, on weights of `folded_weights`; return the logits."""
    return _logits(_Run(architecture, weights, None), images)


def _logits(run: _Run, tensor: Any) -> Any:
    for operation, layer in _arranged(run.architecture.layers, run.training is not None):
        tensor = operation(run, layer, tensor)
    return tensor


_Operation = Callable[[_Run, Layer, Any], Any]


def _arranged(layers: tuple[Layer, ...], in_training: bool) -> Iterator[tuple[_Operation, Layer]]:
    """Yield the operations in order, each with the layer that it belongs to.

    In training, bias and activation of a convolution come after max pooling where they may, which
    leaves them, and their gradients, a quarter of the pixels. In prediction TensorFlow makes them
    part of the convolution.
    """
    waiting: list[tuple[_Operation, Layer]] = []
    for layer, after in zip_longest(layers, layers[1:]):
        yield _OPERATIONS[layer.kind], layer
        if layer.kind == "Conv2D" and "bias" in layer.weights:
            waiting = [(_add_bias, layer), (_activate, layer)]
            is_monotone = layer.config["activation"] in _MONOTONE
            if in_training and is_monotone and after.kind == "MaxPooling2D":
                continue
        yield from waiting
        waiting = []


def _convolve(run: _Run, layer: Layer, tensor: Any) -> Any:
    kernel = run.scaled(run.weight(layer, "kernel"))
    padding = layer.config["padding"].upper()
    return tf.nn.conv2d(tensor, tf.cast(kernel, tensor.dtype), strides=1, padding=padding)


def _pool(run: _Run, layer: Layer, tensor: Any) -> Any:
    window = layer.config["pool_size"]
    return tf.nn.max_pool2d(tensor, window, strides=window, padding="VALID")


def _add_bias(run: _Run, layer: Layer, tensor: Any) -> Any:
    bias = tf.stop_gradient(tf.cast(run.weight(layer, "bias"), tensor.dtype))
    run.sums[f"{layer.name}/bias"] = total = tf.nn.bias_add(tensor, bias)
    return total


def _activate(run: _Run, layer: Layer, tensor: Any) -> Any:
    return keras.activations.get(layer.config["activation"])(tensor)


def _normalize(run: _Run, layer: Layer, tensor: Any) -> Any:
    if run.training is None:
        if f"{layer.name}/scale" in run.weights:
            tensor *= run.weight(layer, "scale")
        return tf.nn.bias_add(tensor, run.weight(layer, "shift"))
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
    momentum = layer.config["momentum"]
    for variable, value in values.items():
        moving = run.weight(layer, variable)
        run.statistics[f"{layer.name}/{variable}"] = moving * momentum + value * (1 - momentum)
    return tf.pad(normalized, [(0, n_rows - n_real), (0, 0), (0, 0), (0, 0)])


def _drop(run: _Run, layer: Layer, tensor: Any) -> Any:
    """Drop values at random; the next convolution or dense layer makes up for it.

    A byte for each value decides where the rate is a multiple of 1/256, else two bytes, which keep
    the rate to 1/131,072.
    """
    if run.training is None:
        return tensor
    rate, dtype = layer.config["rate"], tf.uint8
    if rate * 256 % 1:
        dtype = tf.uint16
    n_levels = 256**dtype.size
    n_dropped = min(round(rate * n_levels), n_levels - 1)
    run.scale *= n_levels / (n_levels - n_dropped)
    n_words = (tf.size(tensor) * dtype.size + 3) // 4
    words = tf.random.stateless_uniform(
        (n_words,), _seed(run, layer), minval=None, maxval=None, dtype=tf.uint32, alg="philox"
    )
    draws = tf.reshape(tf.bitcast(words, dtype), [-1])[: tf.size(tensor)]
    is_kept = tf.reshape(draws, tf.shape(tensor)) >= tf.constant(n_dropped, dtype)
    return tensor * tf.cast(is_kept, tensor.dtype)


def _seed(run: _Run, layer: Layer) -> Any:
    assert run.training is not None
    names = [each.name for each in run.architecture.layers if each.kind == "Dropout"]
    number = run.training.dropout_step * len(names) + names.index(layer.name)
    return tf.stack([run.training.dropout_seed, number])


def _flatten(run: _Run, layer: Layer, tensor: Any) -> Any:
    return tf.reshape(tensor, (-1, *layer.output_shape))


def _average(run: _Run, layer: Layer, tensor: Any) -> Any:
    return tf.reduce_mean(tf.cast(tensor, tf.float32), axis=(1, 2))


def _maximum(run: _Run, layer: Layer, tensor: Any) -> Any:
    return tf.reduce_max(tensor, axis=(1, 2))


def _multiply(run: _Run, layer: Layer, tensor: Any) -> Any:
    """Do what a dense layer does; of lower precision is its product only, and not the last one."""
    is_last = layer is run.architecture.layers[-1]
    precision = "float32" if is_last or run.training is None else run.training.precision
    kernel = tf.cast(run.weight(layer, "kernel"), precision)
    product = tf.cast(tf.matmul(tf.cast(tensor, precision), kernel), tf.float32)
    return _activate(run, layer, _add_bias(run, layer, run.scaled(product)))


_OPERATIONS: Mapping[str, _Operation] = {
    "Activation": _activate,
    "BatchNormalization": _normalize,
    "Conv2D": _convolve,
    "Dense": _multiply,
    "Dropout": _drop,
    "Flatten": _flatten,
    "GlobalAveragePooling2D": _average,
    "GlobalMaxPooling2D": _maximum,
    "MaxPooling2D": _pool,
}
