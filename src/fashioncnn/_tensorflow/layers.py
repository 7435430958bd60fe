# SPDX-License-Identifier: BSD-3-Clause
"""The network as operations of TensorFlow: what Keras' stock layers compute, arranged for speed.

In training the network runs on the weights as they are, in prediction on weights in which batch
normalisation is folded. Tests compare both with the stock layers of `build_network`.

A new kind of layer needs a function in `_OPERATIONS`; where it has a bias, see `_blocks` too.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from fashioncnn._network.architecture import IMAGE, Architecture, Layer
from fashioncnn._tensorflow.backend import Tensor, keras, tf

Tensors = Mapping[str, Tensor]  # each weight's value by its name

# They never fall, so max pooling may come before them. That holds for ReLU too, for which
# `_rectify` has an order of its own.
_MONOTONE = frozenset(
    {
        "celu",
        "elu",
        "hard_sigmoid",
        "leaky_relu",
        "relu6",
        "selu",
        "sigmoid",
        "softplus",
        "softsign",
        "tanh",
    }
)


class TrainingMode(NamedTuple):
    """How a network runs in a training step."""

    dropout_seed: Tensor
    dropout_step: Tensor  # for each step, every dropout layer has other random bits
    n_real: Tensor  # the rows that count; what comes after them is padding
    precision: str  # of feature maps, and of the products of dense layers


class StepResult(NamedTuple):
    """What a network computes in a training step."""

    logits: Tensor  # (n, n_classes), float32
    loss: Tensor  # the sum over the rows that count
    gradients: Tensors  # of the mean loss, for each trainable weight, float32
    statistics: Tensors  # the new values of moving means and variances, by their names


class _TapeCut(NamedTuple):
    """A bias, at which the tape is cut: we compute the gradients there ourselves.

    `tf.custom_gradient` would do the same, but TensorFlow registers its function for ever, which
    keeps every trace alive.
    """

    bias: str
    before: Tensor  # what the bias is added to
    after: Tensor  # what the network goes on with
    # From the gradient of `after`, those of the sum and of `before`.
    back: Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass
class _Run:
    """One run through the network, and what its layers leave for later."""

    architecture: Architecture
    weights: Tensors
    training: TrainingMode | None = None
    tape: Any = None
    statistics: dict[str, Tensor] = field(default_factory=dict)
    cuts: list[_TapeCut] = field(default_factory=list)
    dropout_factor: float = 1.0  # of dropout before, for the next kernel or product to apply

    def weight(self, layer: Layer, variable: str) -> Tensor:
        return self.weights[f"{layer.name}/{variable}"]

    def apply_dropout_factor(self, values: Tensor) -> Tensor:
        """Multiply values by the factor, once."""
        factor, self.dropout_factor = self.dropout_factor, 1.0
        return values if factor == 1 else values * factor

    def cut_tape(self, layer: Layer, before: Tensor, after: Tensor, back: Any) -> Tensor:
        """Let the tape go on after a layer's bias."""
        self.tape.watch(after)
        self.cuts.append(_TapeCut(f"{layer.name}/bias", before, after, back))
        return after


def train_network(
    architecture: Architecture,
    weights: Tensors,
    images: Tensor,
    training: TrainingMode,
    loss_of: Callable[[Tensor], Tensor],
) -> StepResult:
    """Run a network in training, forward and backward.

    Parameters
    ----------
    architecture : Architecture
        Its layers.
    weights : dict of tensors
        The value of each weight by its name, float32.
    images : tensor of shape (n, h, w, c), float32
        Scaled pixels.
    training : TrainingMode
        What decides dropout, the rows that count, and the precision.
    loss_of : callable
        Turns logits into the sum of the losses of the rows that count.

    Returns
    -------
    result : StepResult
        Logits, loss, gradients and new statistics.
    """
    trainable = {n: weights[n] for n, weight in architecture.weights.items() if weight.is_trainable}
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(trainable)
        run = _Run(architecture, weights, training, tape)
        logits = _logits(run, tf.cast(images, training.precision))
        loss = loss_of(logits)
        mean = loss / tf.cast(training.n_real, tf.float32)
    return StepResult(logits, loss, _gradients(run, mean, trainable), run.statistics)


def _gradients(run: _Run, loss: Tensor, trainable: Tensors) -> Tensors:
    """Go back from one bias to the one before it.

    The gradient of a bias is the product of ones with the gradient of its sum. Left to the tape,
    TensorFlow would fuse it with the gradient of the kernel before it, to one operation that takes
    longer than both.
    """
    gradients: dict[str, Tensor] = {}
    target, upstream = loss, None
    for cut in reversed(run.cuts):
        found, of_after = run.tape.gradient(target, (trainable, cut.after), upstream)
        of_sum, upstream = cut.back(of_after)
        gradients |= {name: value for name, value in found.items() if value is not None}
        gradients[cut.bias] = _sum_of_pixels(of_sum)
        target = cut.before
    found = run.tape.gradient(target, trainable, upstream)
    return {name: gradients.get(name, value) for name, value in found.items()}


def _sum_of_pixels(values: Tensor) -> Tensor:
    rows = tf.reshape(values, (tf.shape(values)[0], -1))
    sums = tf.matmul(tf.ones((1, tf.shape(rows)[0]), rows.dtype), rows)
    return tf.reduce_sum(tf.reshape(tf.cast(sums, tf.float32), (-1, values.shape[-1])), axis=0)


def apply_network(architecture: Architecture, weights: Tensors, images: Tensor) -> Tensor:
    """Run a network in prediction, on weights of `fold_weights`; return the logits."""
    return _logits(_Run(architecture, weights), images)


def _logits(run: _Run, images: Tensor) -> Tensor:
    outputs = {IMAGE: images}
    for layer, *others in _blocks(run.architecture.layers):
        tensor = _OPERATIONS[layer.kind](run, layer, *(outputs[name] for name in layer.inputs))
        if "bias" in layer.weights:
            is_rectified = run.training is not None and layer.config["activation"] == "relu"
            finish = _rectify if is_rectified else _finish
            tensor = finish(run, layer, others, tensor)
        outputs[others[-1].name if others else layer.name] = tensor
    return tensor


def _blocks(layers: Sequence[Layer]) -> Iterator[list[Layer]]:
    """Divide the layers: one that has a bias takes along pooling and dropout that follow it.

    A layer is taken along only where no other layer needs what comes before it.
    """
    n_uses = Counter(name for layer in layers for name in layer.inputs)
    block = [layers[0]]
    for layer in layers[1:]:
        before = block[-1].name
        if (
            "bias" in block[0].weights
            and layer.kind in ("MaxPooling2D", "Dropout")
            and layer.inputs == (before,)
            and n_uses[before] == 1
        ):
            block.append(layer)
        else:
            yield block
            block = [layer]
    yield block


def _finish(run: _Run, layer: Layer, others: list[Layer], tensor: Tensor) -> Tensor:
    """Add the bias, activate, and run the other layers of the block.

    In training, bias and activation come after max pooling where they may, which leaves them, and
    their gradients, a quarter of the pixels. In prediction TensorFlow makes them part of the
    convolution.
    """
    is_monotone = layer.config["activation"] in _MONOTONE
    if run.training is not None and is_monotone and others and others[0].kind == "MaxPooling2D":
        pooling, *others = others
        tensor = _pool(run, pooling, tensor)
    tensor = _activate(run, layer, _add_bias(run, layer, tensor))
    for other in others:
        tensor = _OPERATIONS[other.kind](run, other, tensor)
    return tensor


def _rectify(run: _Run, layer: Layer, others: list[Layer], tensor: Tensor) -> Tensor:
    """Do what `_finish` does for ReLU in training, with the gradient in another order.

    TensorFlow makes bias and ReLU part of the convolution. The gradient goes through dropout and
    ReLU at once, as both let it through unchanged where a value is left, and only then through
    pooling, which comes before dropout.
    """
    with run.tape.stop_recording():
        tensors = [tf.nn.relu(tf.nn.bias_add(tensor, _bias(run, layer, tensor)))]
        for other in others:
            tensors.append(_OPERATIONS[other.kind](run, other, tensors[-1]))

    def back(gradient: Tensor) -> tuple[Tensor, Tensor]:
        of_sum = tf.raw_ops.ReluGrad(gradients=gradient, features=tensors[-1])
        if not others or others[0].kind != "MaxPooling2D":
            return of_sum, of_sum
        window = [1, *others[0].config["pool_size"], 1]
        of_pixels = tf.raw_ops.MaxPoolGrad(
            orig_input=tensors[0],
            orig_output=tensors[1],
            grad=of_sum,
            ksize=window,
            strides=window,
            padding="VALID",
        )
        return of_sum, of_pixels

    return run.cut_tape(layer, tensor, tensors[-1], back)


def _convolve(run: _Run, layer: Layer, tensor: Tensor) -> Tensor:
    kernel = run.apply_dropout_factor(run.weight(layer, "kernel"))
    padding = layer.config["padding"].upper()
    return tf.nn.conv2d(tensor, tf.cast(kernel, tensor.dtype), strides=1, padding=padding)


def _pool(run: _Run, layer: Layer, tensor: Tensor) -> Tensor:
    window = layer.config["pool_size"]
    return tf.nn.max_pool2d(tensor, window, strides=window, padding="VALID")


def _bias(run: _Run, layer: Layer, tensor: Tensor) -> Tensor:
    return tf.cast(run.weight(layer, "bias"), tensor.dtype)


def _add_bias(run: _Run, layer: Layer, tensor: Tensor) -> Tensor:
    if run.training is None:
        return tf.nn.bias_add(tensor, _bias(run, layer, tensor))
    with run.tape.stop_recording():
        total = tf.nn.bias_add(tensor, _bias(run, layer, tensor))
    return run.cut_tape(layer, tensor, total, lambda gradient: (gradient, gradient))


def _activate(run: _Run, layer: Layer, tensor: Tensor) -> Tensor:
    return keras.activations.get(layer.config["activation"])(tensor)


def _normalize(run: _Run, layer: Layer, tensor: Tensor) -> Tensor:
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


def _drop(run: _Run, layer: Layer, tensor: Tensor) -> Tensor:
    """Set values to zero at random.

    The next convolution or dense layer multiplies by 1 / (1 - rate). Here the other values stay as
    they are, so that `_rectify` can tell from the result where a gradient passes. Each value takes
    as few random bits as the rate needs, 16 at most: then the rate is rounded to a multiple of
    1/65,536.
    """
    if run.training is None:
        return tensor
    rate = layer.config["rate"]
    n_bits = next((n for n in (1, 2, 4, 8) if rate * 2**n % 1 == 0), 16)
    n_levels = 2**n_bits
    n_dropped = min(round(rate * n_levels), n_levels - 1)
    run.dropout_factor *= n_levels / (n_levels - n_dropped)
    words = tf.random.stateless_uniform(
        (-(-tf.size(tensor) // (32 // n_bits)),),  # rounded up, and no larger number on the way
        _seed(run, layer),
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


def _seed(run: _Run, layer: Layer) -> Tensor:
    assert run.training is not None
    names = [each.name for each in run.architecture.layers if each.kind == "Dropout"]
    number = run.training.dropout_step * len(names) + names.index(layer.name)
    return tf.stack([run.training.dropout_seed, number])


def _flatten(run: _Run, layer: Layer, tensor: Tensor) -> Tensor:
    return tf.reshape(tensor, (-1, *layer.output_shape))


def _average(run: _Run, layer: Layer, tensor: Tensor) -> Tensor:
    return tf.reduce_mean(tf.cast(tensor, tf.float32), axis=(1, 2))


def _maximum(run: _Run, layer: Layer, tensor: Tensor) -> Tensor:
    return tf.reduce_max(tensor, axis=(1, 2))


def _multiply(run: _Run, layer: Layer, tensor: Tensor) -> Tensor:
    """Do what a dense layer does; of lower precision is its product only, and not the last one."""
    is_last = layer is run.architecture.layers[-1]
    precision = "float32" if is_last or run.training is None else run.training.precision
    kernel = tf.cast(run.weight(layer, "kernel"), precision)
    product = tf.cast(tf.matmul(tf.cast(tensor, precision), kernel), tf.float32)
    return run.apply_dropout_factor(product)


_OPERATIONS: Mapping[str, Callable[..., Tensor]] = {
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
