# SPDX-License-Identifier: BSD-3-Clause
"""The network as operations of TensorFlow, arranged for speed, forward and backward.

Tests compare it with the stock layers of `build_network`, for every kind of layer.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from fashioncnn._network.activations import MONOTONE
from fashioncnn._network.architecture import IMAGE, Architecture, Layer
from fashioncnn._tensorflow.backend import Tensor, tf
from fashioncnn._tensorflow.operations import (
    Run,
    TapeCut,
    Tensors,
    TrainingMode,
    activate,
    run_layer,
)

# What may follow a layer in its block; `_rectify` depends on this order.
_FOLLOWERS = {
    "Conv2D": ("MaxPooling2D", "Dropout"),
    "Dense": ("Dropout",),
    "MaxPooling2D": ("Dropout",),
}


class StepResult(NamedTuple):
    """What a network computes in a training step."""

    logits: Tensor  # (n, n_classes), float32
    loss: Tensor  # the sum over the rows that count
    gradients: Tensors  # of the mean loss, for each trainable weight, float32
    statistics: Tensors  # the new values of moving means and variances, by their names


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
    table = architecture.weights
    trainable = {name: weights[name] for name, weight in table.items() if weight.is_trainable}
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(trainable)
        run = Run(architecture, weights, training, tape)
        logits = _logits(run, tf.cast(images, training.precision))
        loss = loss_of(logits)
        mean = loss / tf.cast(training.n_real, tf.float32)
    return StepResult(logits, loss, _gradients(run, mean, trainable), run.statistics)


def _gradients(run: Run, loss: Tensor, trainable: Tensors) -> Tensors:
    """Go back from each cut of the tape to those before it, the last one first.

    The gradient of a bias is the product of ones with the gradient of its sum. Left to the tape,
    TensorFlow would fuse it with the gradient of the kernel before it, to one operation that takes
    longer than both.
    """
    # By the name of a bias: the gradient of the tensor after its cut, until that is reached.
    totals: dict[str, Tensor] = {}
    target, upstream = loss, None
    for n_before in reversed(range(len(run.cuts) + 1)):
        sources = {**trainable, **{cut.bias: cut.after for cut in run.cuts[:n_before]}}
        for name, value in run.tape.gradient(target, sources, upstream).items():
            if value is not None:
                totals[name] = totals[name] + value if name in totals else value
        if n_before:
            cut = run.cuts[n_before - 1]
            gradient_of_sum, upstream = cut.back(totals[cut.bias])
            totals[cut.bias] = _sum_of_pixels(gradient_of_sum)
            target = cut.before
    return {name: totals[name] for name in trainable}


def _sum_of_pixels(values: Tensor) -> Tensor:
    rows = tf.reshape(values, (tf.shape(values)[0], -1))
    sums = tf.matmul(tf.ones((1, tf.shape(rows)[0]), rows.dtype), rows)
    return tf.reduce_sum(tf.reshape(tf.cast(sums, tf.float32), (-1, values.shape[-1])), axis=0)


def apply_network(architecture: Architecture, weights: Tensors, images: Tensor) -> Tensor:
    """Run a network in prediction, as `fold` has made it; return the logits."""
    return _logits(Run(architecture, weights), images)


def _logits(run: Run, images: Tensor) -> Tensor:
    outputs = {IMAGE: images}
    for block in _blocks(run.architecture):
        layer, *followers = block
        tensor = run_layer(run, layer, *(outputs[name] for name in layer.inputs))
        if "bias" in layer.weights:
            is_rectified = run.training is not None and layer.config["activation"] == "relu"
            finish = _rectify if is_rectified else _finish
            tensor = finish(run, layer, followers, tensor)
        outputs[block[-1].name] = tensor
    return outputs[run.architecture.layers[-1].name]


def _blocks(architecture: Architecture) -> Iterator[list[Layer]]:
    """Divide the layers: one that has a bias takes along max pooling, then dropout.

    A layer is taken along only where it alone needs what comes before it.
    """
    n_uses = architecture.n_uses
    block: list[Layer] = []
    for layer in architecture.layers:
        before = block[-1] if block else None
        if (
            before is not None
            and "bias" in block[0].weights
            and layer.kind in _FOLLOWERS.get(before.kind, ())
            and layer.inputs == (before.name,)
            and n_uses[before.name] == 1
        ):
            block.append(layer)
        else:
            if block:
                yield block
            block = [layer]
    yield block


def _finish(run: Run, layer: Layer, followers: list[Layer], tensor: Tensor) -> Tensor:
    """Add the bias, activate, and run the layers that follow in the block.

    In training, bias and activation come after max pooling where they may, which leaves them, and
    their gradients, a quarter of the pixels. In prediction TensorFlow makes them part of the
    convolution.
    """
    n_before = 0
    if run.training is not None and layer.config["activation"] in MONOTONE:
        n_before = sum(follower.kind == "MaxPooling2D" for follower in followers)
    for pooling in followers[:n_before]:
        tensor = run_layer(run, pooling, tensor)
    tensor = activate(run, layer, _add_bias(run, layer, tensor))
    for follower in followers[n_before:]:
        tensor = run_layer(run, follower, tensor)
    return tensor


def _add_bias(run: Run, layer: Layer, tensor: Tensor) -> Tensor:
    bias = tf.cast(run.weight(layer, "bias"), tensor.dtype)
    if run.training is None:
        return tf.nn.bias_add(tensor, bias)
    with run.tape.stop_recording():
        total = tf.nn.bias_add(tensor, bias)
    return _cut_tape(run, layer, tensor, total, lambda gradient: (gradient, gradient))


def _rectify(run: Run, layer: Layer, followers: list[Layer], tensor: Tensor) -> Tensor:
    """Do what `_finish` does for ReLU in training, with the gradient in another order.

    TensorFlow makes bias and ReLU part of the convolution. After max pooling and dropout, a value
    is above 0 only where a positive sum was kept, and both let it through unchanged. So the output
    of the block tells where a gradient passes dropout and ReLU, both at once. Pooling, which comes
    before dropout, then spreads what is left.
    """
    with run.tape.stop_recording():
        bias = tf.cast(run.weight(layer, "bias"), tensor.dtype)
        tensors = [tf.nn.relu(tf.nn.bias_add(tensor, bias))]
        for follower in followers:
            tensors.append(run_layer(run, follower, tensors[-1]))

    def back(gradient: Tensor) -> tuple[Tensor, Tensor]:
        of_sum = tf.raw_ops.ReluGrad(gradients=gradient, features=tensors[-1])
        if not followers or followers[0].kind != "MaxPooling2D":
            return of_sum, of_sum
        window = [1, *followers[0].config["pool_size"], 1]
        of_pixels = tf.raw_ops.MaxPoolGrad(
            orig_input=tensors[0],
            orig_output=tensors[1],
            grad=of_sum,
            ksize=window,
            strides=window,
            padding="VALID",
        )
        return of_sum, of_pixels

    return _cut_tape(run, layer, tensor, tensors[-1], back)


def _cut_tape(
    run: Run,
    layer: Layer,
    before: Tensor,
    after: Tensor,
    back: Callable[[Tensor], tuple[Tensor, Tensor]],
) -> Tensor:
    """Let the tape go on after a layer's bias."""
    run.tape.watch(after)
    run.cuts.append(TapeCut(f"{layer.name}/bias", before, after, back))
    return after
