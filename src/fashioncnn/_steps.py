# SPDX-License-Identifier: BSD-3-Clause
"""The graph of a forward pass and of training steps, as functions of weights that are arguments.

The network is a Keras model used as a description: its layers are called one by one, within a scope
that gives them any values of its weights. Only functions of this module are traced.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fashioncnn._architecture import Weights
from fashioncnn._backend import keras, tf
from fashioncnn._checkpoint import Slots
from fashioncnn._network import weight_name
from fashioncnn._optimizers import Optimizer, decay_kernel

Tensors = Mapping[str, Any]  # each weight's value by its name


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

    def values(self) -> Tensors:
        """Return the weights' values as tensors."""
        return {name: tf.convert_to_tensor(weight) for name, weight in self.weights.items()}

    def weights_as_numpy(self) -> Weights:
        """Return copies of the weights' values."""
        return {name: variable.numpy() for name, variable in self.weights.items()}

    def slots_as_numpy(self) -> Slots:
        """Return copies of the moments."""
        return {
            name: tuple(variable.numpy() for variable in variables)
            for name, variables in self.slots.items()
        }


def new_training_state(network: keras.Model, optimizer: Optimizer) -> TrainingState:
    """Create the variables for one training of the network at a time."""

    def zeros(variable: keras.Variable) -> Any:
        # TensorFlow keeps a kernel of each eager operation on a variable for each shape, for ever.
        return tf.Variable(tf.zeros(variable.shape), trainable=False, shape=tf.TensorShape(None))

    return TrainingState(
        weights={weight_name(variable): zeros(variable) for variable in network.weights},
        slots={
            weight_name(variable): tuple(zeros(variable) for _ in range(optimizer.n_slots))
            for variable in network.trainable_weights
        },
    )


def trace_forward(network: keras.Model, dtype: str) -> Any:
    """Compile ``(weights, scale, offset, pixels) -> logits`` for any number of images."""
    _, *image_shape = network.input_shape

    def forward(weights: Tensors, scale: Any, offset: Any, pixels: Any) -> Any:
        logits, _ = _call(network, weights, _scaled(pixels, scale, offset))
        return logits

    weights = {
        weight_name(variable): tf.TensorSpec(variable.shape, tf.float32)
        for variable in network.weights
    }
    per_channel = tf.TensorSpec((image_shape[-1],), tf.float32)
    pixels = tf.TensorSpec((None, *image_shape), dtype)
    return _compile(forward, weights, per_channel, per_channel, pixels)


def trace_training(
    network: keras.Model, optimizer: Optimizer, state: TrainingState, dtype: str
) -> Any:
    """Compile one step per batch of the given rows.

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
                network,
                optimizer,
                TrainingState(weights, slots),
                (*batch, is_real),
                {**settings, "learning_rate": rates[index]},
                (counts[0] + index, counts[1] + index),
            )
            return index + 1, loss + batch_loss, n_correct + batch_correct

        _, *totals = tf.while_loop(
            lambda index, *_: index < n_steps, body, (0, *totals), parallel_iterations=1
        )
        return tuple(totals)

    return _compile(
        train, state.weights, state.slots, *_specs(tuple(network.input_shape[1:]), dtype)
    )


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
    compiled = tf.function(function, autograph=False).get_concrete_function(*signature)
    # All variables are arguments. TensorFlow remembers those of the trace and, within the user's
    # GradientTape, would look for them when they are long gone.
    compiled.graph.variables = ()
    return compiled


def _training_step(
    network: keras.Model,
    optimizer: Optimizer,
    state: TrainingState,
    batch: Sequence[Any],
    settings: Mapping[str, Any],
    counts: tuple[Any, Any],
) -> tuple[Any, Any]:
    """Take one step; return the batch's sum of weight times loss, and its number of hits."""
    pixels, codes, row_weights, is_real = batch
    shares = is_real / tf.reduce_sum(is_real)
    dropout_step, optimizer_step = counts
    images = _scaled(pixels, settings["scale"], settings["offset"])
    values = state.values()
    for variable in network.weights:
        values[weight_name(variable)].set_shape(variable.shape)
    trainable = [values[name] for name in state.slots]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(trainable)
        logits, statistics = _call(
            network, values, images, Training(settings["dropout_seed"], dropout_step, shares)
        )
        losses = row_weights * cross_entropy(logits, codes, settings["label_smoothing"])
        loss = tf.reduce_sum(losses * shares)
    gradients = tape.gradient(loss, trainable)
    rate, weight_decay = settings["learning_rate"], settings["weight_decay"]
    for (name, slots), gradient in zip(state.slots.items(), gradients, strict=True):
        weight = state.weights[name]
        if name.endswith("/kernel"):
            decay_kernel(weight, rate, weight_decay)
        optimizer.apply(weight, slots, gradient, rate, optimizer_step)
    for name, value in statistics.items():
        state.weights[name].assign(value)
    hits = is_real * tf.cast(tf.argmax(logits, axis=1, output_type=tf.int32) == codes, tf.float32)
    total = tf.cast(tf.reduce_sum(losses * is_real), tf.float64)
    return total, tf.cast(tf.reduce_sum(hits), tf.int32)


def cross_entropy(logits: Any, codes: Any, label_smoothing: Any) -> Any:
    """Compute each row's cross-entropy with its label, smoothed as Keras does.

    Keras' categorical loss of one-hot labels and its sparse loss of integers are this same
    function of the logits; codes become one-hot one batch at a time, for either.
    """
    n_classes = logits.shape[-1]
    targets = tf.one_hot(codes, n_classes) * (1 - label_smoothing) + label_smoothing / n_classes
    return tf.nn.softmax_cross_entropy_with_logits(targets, logits)


def _scaled(pixels: Any, scale: Any, offset: Any) -> Any:
    return tf.cast(pixels, tf.float32) * scale + offset


class Training(NamedTuple):
    """How a network runs in training."""

    dropout_seed: Any
    dropout_step: Any  # of each, every dropout layer has a random state of its own
    shares: Any  # (n,): of each row in the statistics of batch normalisation


def _call(
    network: keras.Model, weights: Tensors, images: Any, training: Training | None = None
) -> tuple[Any, Tensors]:
    """Run the network on given weights; return logits, and the new values of moving statistics."""
    values = {**weights, **_random_states(network, training)}
    mapping = [(variable, values[variable.path]) for variable in network.variables]
    with keras.StatelessScope(mapping) as scope:
        tensor = images
        for layer in network.layers[1:]:
            tensor = _call_layer(layer, tensor, training)
    statistics = {
        weight_name(variable): scope.get_current_value(variable)
        for variable in network.non_trainable_variables
        if not _is_random_state(variable)
    }
    return tensor, statistics


def _random_states(network: keras.Model, training: Training | None) -> Tensors:
    paths = [variable.path for variable in network.variables if _is_random_state(variable)]
    seed, step = (training.dropout_seed, training.dropout_step) if training else (0, 0)
    return {
        path: tf.cast(tf.stack([seed, step * len(paths) + number]), tf.uint32)
        for number, path in enumerate(paths)
    }


def _is_random_state(variable: keras.Variable) -> bool:
    return str(variable.path).endswith("seed_generator_state")


def _call_layer(layer: keras.layers.Layer, inputs: Any, training: Training | None) -> Any:
    if isinstance(layer, keras.layers.Dropout):
        return layer(inputs, training=training is not None)
    if isinstance(layer, keras.layers.BatchNormalization) and training:
        return _normalize(layer, inputs, training.shares)
    return layer(inputs)


def _normalize(layer: keras.layers.BatchNormalization, inputs: Any, shares: Any) -> Any:
    """Do what the layer does in training, with statistics in which rows have shares."""

    def mean_of(values: Any) -> Any:
        of_pixels = tf.linalg.matvec(
            tf.reshape(values, (tf.shape(values)[0], -1)), shares, transpose_a=True
        )
        return tf.reduce_mean(tf.reshape(of_pixels, (-1, values.shape[-1])), axis=0)

    mean = mean_of(inputs)
    variance = mean_of(tf.square(inputs - mean))
    for moving, value in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(moving * layer.momentum + value * (1 - layer.momentum))
    gamma, beta = layer.gamma.value, layer.beta.value
    return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, layer.epsilon)
