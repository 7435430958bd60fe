# SPDX-License-Identifier: BSD-3-Clause
"""The graph of training steps, as a function of variables that are arguments."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fashioncnn._network.architecture import Architecture, Shape, Weights
from fashioncnn._network.checkpoint import Slots
from fashioncnn._tensorflow.backend import tf
from fashioncnn._tensorflow.layers import Training, apply_network, train_network
from fashioncnn._tensorflow.optimizers import Optimizer, decay_kernels


@dataclass(frozen=True)
class TrainingState:
    """The variables that training changes: the weights, and each trainable weight's moments."""

    weights: Mapping[str, Any]
    slots: Mapping[str, Sequence[Any]]

    def reset(self, weights: Weights, slots: Slots | None) -> None:
        """Start from the given weights, and from the given moments or from zero."""
        for name, value in weights.items():
            self.weights[name].assign(value)
        for name, variables in self.slots.items():
            values = map(tf.zeros_like, variables) if slots is None else slots[name]
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def weights_as_numpy(self) -> Weights:
        """Return copies of the weights' values."""
        return {name: variable.numpy() for name, variable in self.weights.items()}

    def slots_as_numpy(self) -> Slots:
        """Return copies of the moments."""
        return {
            name: tuple(variable.numpy() for variable in variables)
            for name, variables in self.slots.items()
        }


def new_training_state(architecture: Architecture, optimizer: Optimizer) -> TrainingState:
    """Create the variables for one training of the network at a time."""

    def zeros(shape: tuple[int, ...]) -> Any:
        # TensorFlow keeps a kernel of each eager operation on a variable for each shape, for ever.
        return tf.Variable(tf.zeros(shape), trainable=False, shape=tf.TensorShape(None))

    shapes = architecture.weight_shapes
    return TrainingState(
        weights={name: zeros(shape) for name, shape in shapes.items()},
        slots={
            name: tuple(zeros(shape) for _ in range(optimizer.n_slots))
            for name, shape in shapes.items()
            if "/moving_" not in name
        },
    )


def trace_forward(architecture: Architecture, shapes: Mapping[str, Shape], dtype: str) -> Any:
    """Compile ``(scale, offset, *weights, pixels) -> logits`` for any number of images.

    The weights are those of `folded_weights`, of the given shapes.
    """

    def forward(scale: Any, offset: Any, *arguments: Any) -> Any:
        *values, pixels = arguments
        weights = dict(zip(shapes, values, strict=True))
        return apply_network(architecture, weights, _scaled(pixels, scale, offset))

    per_channel = tf.TensorSpec((architecture.image_shape[-1],), tf.float32)
    weights = [tf.TensorSpec(shape, tf.float32) for shape in shapes.values()]
    pixels = tf.TensorSpec((None, *architecture.image_shape), dtype)
    return _compile(forward, per_channel, per_channel, *weights, pixels)


def trace_training(
    architecture: Architecture,
    optimizer: Optimizer,
    state: TrainingState,
    dtype: str,
    precision: str,
) -> Any:
    """Compile one step per batch of the given rows, for pixels of a dtype.

    The function is ``(weights, slots, data, rows, settings, rates, counts, totals) -> totals``:

    - ``weights`` and ``slots`` of a TrainingState, which it changes;
    - ``data``: pixels, codes and weights that rows point into;
    - ``rows``: int32, the batches one after the other, of which the last may be smaller. It is
      padded, which counts in nothing, to the setting "partial_size": see `partial_batch_size`;
    - ``settings``: see `_SETTINGS`; ``rates``: the learning rate of each step;
    - ``counts``: how many steps dropout has seen before, and how many the optimizer;
    - ``totals``: the sum of weight times loss, float64, and how many rows the network classified
      right, each before its step. The totals so far go in, so that the sums have one order however
      an epoch is divided into calls.
    """

    def train(
        weights: Mapping[str, Any],
        slots: Mapping[str, Sequence[Any]],
        data: Sequence[Any],
        rows: Any,
        settings: Mapping[str, Any],
        rates: Any,
        counts: tuple[Any, Any],
        totals: tuple[Any, Any],
    ) -> tuple[Any, Any]:
        size = settings["batch_size"]
        n_steps = (tf.size(rows) + size - 1) // size

        def body(index: Any, loss: Any, n_correct: Any) -> tuple[Any, Any, Any]:
            batch_rows = rows[index * size : (index + 1) * size]
            n_rows = tf.where(tf.size(batch_rows) < size, settings["partial_size"], size)
            batch_rows, is_real = _padded(batch_rows, n_rows)
            batch = [tf.gather(array, batch_rows) for array in data]
            batch_loss, batch_correct = _training_step(
                architecture,
                optimizer,
                TrainingState(weights, slots),
                (*batch, is_real),
                {**settings, "learning_rate": rates[index]},
                (counts[0] + index, counts[1] + index),
                precision,
            )
            return index + 1, loss + batch_loss, n_correct + batch_correct

        _, *totals = tf.while_loop(
            lambda index, *_: index < n_steps, body, (0, *totals), parallel_iterations=1
        )
        return tuple(totals)

    return _compile(train, state.weights, state.slots, *_specs(architecture.image_shape, dtype))


def _specs(image_shape: tuple[int, ...], dtype: str) -> tuple[Any, ...]:
    """Specify the arguments of training steps beside the state: from ``data`` to ``totals``."""
    data = (
        tf.TensorSpec((None, *image_shape), dtype),
        tf.TensorSpec((None,), tf.int32),
        tf.TensorSpec((None,), tf.float32),
    )
    settings = {name: tf.TensorSpec((), setting) for name, setting in _SETTINGS.items()}
    per_channel = tf.TensorSpec((image_shape[-1],), tf.float32)
    settings.update(scale=per_channel, offset=per_channel)
    rows, rates = tf.TensorSpec((None,), tf.int32), tf.TensorSpec((None,), tf.float32)
    counts = tf.TensorSpec((), tf.int32), tf.TensorSpec((), tf.int32)
    totals = tf.TensorSpec((), tf.float64), tf.TensorSpec((), tf.int32)
    return data, rows, settings, rates, counts, totals


def partial_batch_size(n_rows: int, batch_size: int) -> int:
    """Return the size to which a batch that is not full is padded, of four in every octave.

    For every size of batch oneDNN compiles kernels, and TensorFlow keeps them.
    """
    step = max(1, 2 ** (n_rows.bit_length() - 1) // 4)
    return min(batch_size, math.ceil(n_rows / step) * step)


def _padded(rows: Any, n_rows: Any) -> tuple[Any, Any]:
    """Repeat rows until there are as many; say by 1 and 0 which are real."""
    n_real, places = tf.size(rows), tf.range(n_rows)
    return tf.gather(rows, places % n_real), tf.cast(places < n_real, tf.float32)


# Beside scale and offset, of one value per channel each.
_SETTINGS = {
    "batch_size": tf.int32,
    "dropout_seed": tf.int32,
    "label_smoothing": tf.float32,
    "partial_size": tf.int32,
    "weight_decay": tf.float32,
}


def _compile(function: Any, *signature: Any) -> Any:
    """Trace a function once; unlike its tf.function, the result heeds no eager setting."""
    concrete = tf.function(function, autograph=False).get_concrete_function(*signature)
    # All variables are arguments. TensorFlow remembers those of the trace and, within the user's
    # GradientTape, would look for them when they are long gone.
    concrete.graph.variables = ()
    return concrete


def _training_step(
    architecture: Architecture,
    optimizer: Optimizer,
    state: TrainingState,
    batch: Sequence[Any],
    settings: Mapping[str, Any],
    counts: tuple[Any, Any],
    precision: str,
) -> tuple[Any, Any]:
    """Take one step; return the batch's sum of weight times loss, and its number of hits."""
    pixels, codes, row_weights, is_real = batch
    n_real = tf.cast(tf.reduce_sum(is_real), tf.int32)
    dropout_step, optimizer_step = counts
    training = Training(settings["dropout_seed"], dropout_step, n_real, precision)
    images = _scaled(pixels, settings["scale"], settings["offset"])
    values = {name: tf.convert_to_tensor(weight) for name, weight in state.weights.items()}
    for name, shape in architecture.weight_shapes.items():
        values[name].set_shape(shape)

    def loss_of(logits: Any) -> Any:
        losses = cross_entropy(logits, codes, settings["label_smoothing"])
        return tf.reduce_sum(losses * row_weights * is_real)

    logits, loss, gradients, statistics = train_network(
        architecture, values, images, training, loss_of
    )
    rate = settings["learning_rate"]
    decay_kernels(state.weights, rate * settings["weight_decay"])
    for name, slots in state.slots.items():
        optimizer.apply(state.weights[name], slots, gradients[name], rate, optimizer_step)
    for name, value in statistics.items():
        state.weights[name].assign(value)
    hits = is_real * tf.cast(tf.argmax(logits, axis=1, output_type=tf.int32) == codes, tf.float32)
    return tf.cast(loss, tf.float64), tf.cast(tf.reduce_sum(hits), tf.int32)


def cross_entropy(logits: Any, codes: Any, label_smoothing: Any) -> Any:
    """Compute each row's cross-entropy with its label, smoothed as Keras does.

    Keras' categorical loss of one-hot labels and its sparse loss of integers are this same
    function of the logits; codes become one-hot one batch at a time, for either.
    """
    n_classes = logits.shape[-1]
    targets = tf.one_hot(codes, n_classes) * (1 - label_smoothing) + label_smoothing / n_classes
    return tf.nn.softmax_cross_entropy_with_logits(targets, logits)


def _scaled(pixels: Any, scale: Any, offset: Any) -> Any:
    """Cast pixels to float32 and scale them."""
    return tf.cast(pixels, tf.float32) * scale + offset
