# SPDX-License-Identifier: BSD-3-Clause
"""The graph of training steps, as a function of variables that are arguments."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fashioncnn._network.architecture import Architecture, Shape, Weights
from fashioncnn._network.checkpoint import Slots
from fashioncnn._tensorflow.backend import Function, Tensor, tf
from fashioncnn._tensorflow.layers import apply_network, train_network
from fashioncnn._tensorflow.operations import TrainingMode
from fashioncnn._tensorflow.optimizers import UpdateRule, Variable, decay_kernels


@dataclass(frozen=True)
class TrainingVariables:
    """The variables that training changes: the weights, and each trainable weight's moments.

    Where weights are averaged, there are also the sums of their values after some of the steps, in
    float64.
    """

    weights: Mapping[str, Variable]
    slots: Mapping[str, Sequence[Variable]]
    sums: Mapping[str, Variable] = field(default_factory=dict)

    def assign(self, weights: Weights, slots: Slots | None, sums: Weights | None = None) -> None:
        """Set the weights to the given values, and moments and sums too or to zero."""
        for name, value in weights.items():
            self.weights[name].assign(value)
        for name, variables in self.slots.items():
            values = map(tf.zeros_like, variables) if slots is None else slots[name]
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        for name, variable in self.sums.items():
            variable.assign(tf.zeros_like(variable) if sums is None else sums[name])

    def flat(self) -> list[Variable]:
        """Return the variables in the order in which compiled steps take them."""
        return tf.nest.flatten((dict(self.weights), dict(self.slots), dict(self.sums)))

    def pack(self, flat: Sequence[Variable]) -> "TrainingVariables":
        """Return other variables, in the order of `flat`, by the same names."""
        structure = dict(self.weights), dict(self.slots), dict(self.sums)
        return TrainingVariables(*tf.nest.pack_sequence_as(structure, list(flat)))

    def handles(self) -> list[Tensor]:
        """Return the tensors by which compiled steps are given the variables."""
        return [variable.handle for variable in self.flat()]

    def weights_as_numpy(self) -> Weights:
        """Return copies of the weights' values."""
        return {name: variable.numpy() for name, variable in self.weights.items()}

    def slots_as_numpy(self) -> Slots:
        """Return copies of the moments."""
        return {
            name: tuple(variable.numpy() for variable in variables)
            for name, variables in self.slots.items()
        }

    def sums_as_numpy(self) -> Weights:
        """Return copies of the sums."""
        return {name: variable.numpy() for name, variable in self.sums.items()}


class StepGraph(NamedTuple):
    """What decides the graph of a training step."""

    architecture: Architecture
    update_rule: UpdateRule
    precision: str  # "float32" or "bfloat16"


class StepInputs(NamedTuple):
    """The arguments of compiled training steps, after the variables."""

    pixels: Tensor  # (n, h, w, c)
    codes: Tensor  # (n,)
    row_weights: Tensor  # (n,)
    rows: Tensor  # of the batches, one after the other; the last has what the others leave
    batch_size: Tensor
    padded_size: Tensor  # of a last batch of another size: see `padded_batch_size`
    scale: Tensor  # (c,), of the pixels
    offset: Tensor  # (c,)
    label_smoothing: Tensor
    learning_rates: Tensor  # of each step
    batch_weights: Tensor  # of each step: see `batch_weights`
    is_averaged: Tensor  # of each step: whether the weights after it enter the sums
    weight_decay: Tensor
    dropout_seed: Tensor
    dropout_step: Tensor  # the number of steps that dropout has seen before
    optimizer_step: Tensor  # the same of the optimizer
    # Sums over the steps before, of weight times loss and of rows that were classified right.
    # They go in, so that sums have one order however an epoch is divided into calls.
    loss: Tensor
    n_correct: Tensor


def _step_specs(image_shape: Shape, dtype: str) -> StepInputs:
    """Return the shape and dtype of each argument, for pixels of a dtype."""
    number, integer = tf.TensorSpec((), tf.float32), tf.TensorSpec((), tf.int32)
    numbers, integers = tf.TensorSpec((None,), tf.float32), tf.TensorSpec((None,), tf.int32)
    per_channel = tf.TensorSpec((image_shape[-1],), tf.float32)
    return StepInputs(
        pixels=tf.TensorSpec((None, *image_shape), dtype),
        codes=integers,
        row_weights=numbers,
        rows=integers,
        batch_size=integer,
        padded_size=integer,
        scale=per_channel,
        offset=per_channel,
        label_smoothing=number,
        learning_rates=numbers,
        batch_weights=numbers,
        is_averaged=tf.TensorSpec((None,), tf.bool),
        weight_decay=number,
        dropout_seed=integer,
        dropout_step=integer,
        optimizer_step=integer,
        loss=tf.TensorSpec((), tf.float64),
        n_correct=integer,
    )


def new_training_variables(
    architecture: Architecture, update_rule: UpdateRule, *, with_sums: bool
) -> TrainingVariables:
    """Create the variables for one training of the network at a time."""

    def zeros(shape: Shape, dtype: str = "float32") -> Variable:
        # TensorFlow keeps a kernel of each eager operation on a variable for each shape, for ever.
        return tf.Variable(tf.zeros(shape, dtype), trainable=False, shape=tf.TensorShape(None))

    weights = architecture.weights
    return TrainingVariables(
        weights={name: zeros(weight.shape) for name, weight in weights.items()},
        slots={
            name: tuple(zeros(weight.shape) for _ in range(update_rule.n_slots))
            for name, weight in weights.items()
            if weight.is_trainable
        },
        sums={
            name: zeros(weight.shape, "float64") for name, weight in weights.items() if with_sums
        },
    )


def trace_forward(architecture: Architecture, dtype: str, *, test_time_flip: bool) -> Function:
    """Compile ``(scale, offset, *weights, pixels) -> logits`` for any number of images.

    The architecture and its weights are those of `fold`. With `test_time_flip` the logits are the
    mean of those of an image and of its mirror image.
    """

    def forward(scale: Tensor, offset: Tensor, *arguments: Tensor) -> Tensor:
        *values, pixels = arguments
        weights = dict(zip(architecture.weights, values, strict=True))
        images = _scaled(pixels, scale, offset)
        logits = apply_network(architecture, weights, images)
        if not test_time_flip:
            return logits
        # As fast as one batch of both, and an image's bits are those of a batch of this size.
        mirrored = apply_network(architecture, weights, tf.reverse(images, axis=(2,)))
        return tf.reduce_mean((logits, mirrored), axis=0)

    per_channel = tf.TensorSpec((architecture.image_shape[-1],), tf.float32)
    weights = [tf.TensorSpec(shape, tf.float32) for shape in architecture.weight_shapes.values()]
    pixels = tf.TensorSpec((None, *architecture.image_shape), dtype)
    return _compile(forward, per_channel, per_channel, *weights, pixels)


def trace_training(graph: StepGraph, variables: TrainingVariables, dtype: str) -> Function:
    """Compile ``(*variables, *inputs) -> (loss, n_correct)``, for pixels of a dtype.

    It takes one step for each batch of the rows. It changes the variables, which are those of
    `TrainingVariables.flat`; the inputs are `StepInputs`. It returns the sums of the inputs with
    those of its steps added, each counted before the step.
    """
    flat = variables.flat()

    def train(*arguments: Any) -> tuple[Tensor, Tensor]:
        variables_of_call = variables.pack(arguments[: len(flat)])
        inputs = StepInputs(*arguments[len(flat) :])
        n_steps = tf.size(inputs.learning_rates)

        def body(index: Tensor, loss: Tensor, n_correct: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            step_loss, step_correct = _take_step(graph, variables_of_call, inputs, index)
            return index + 1, loss + step_loss, n_correct + step_correct

        _, loss, n_correct = tf.while_loop(
            lambda index, *_: index < n_steps,
            body,
            (0, inputs.loss, inputs.n_correct),
            parallel_iterations=1,
        )
        return loss, n_correct

    specs = _step_specs(graph.architecture.image_shape, dtype)
    return _compile(train, *flat, *specs)


def padded_batch_size(n_rows: int, most: int) -> int:
    """Return the size to which a last batch is padded: of four in every octave, or the most.

    For every size of batch oneDNN compiles kernels, and TensorFlow keeps them.
    """
    step = max(1, 2 ** (n_rows.bit_length() - 1) // 4)
    return min(most, math.ceil(n_rows / step) * step)


def _compile(function: Any, *signature: Any) -> Function:
    """Trace a function once; unlike its tf.function, the result ignores the eager setting."""
    return tf.function(function, autograph=False).get_concrete_function(*signature)


def _take_step(
    graph: StepGraph, variables: TrainingVariables, inputs: StepInputs, index: Tensor
) -> tuple[Tensor, Tensor]:
    """Take one step; return the batch's sum of weight times loss, and its number of hits."""
    rows, is_real = _batch_rows(inputs, index)
    pixels, codes, row_weights = (
        tf.gather(array, rows) for array in (inputs.pixels, inputs.codes, inputs.row_weights)
    )
    n_real = tf.cast(tf.reduce_sum(is_real), tf.int32)
    training = TrainingMode(
        dropout_seed=inputs.dropout_seed,
        dropout_step=inputs.dropout_step + index,
        n_real=n_real,
        batch_weight=inputs.batch_weights[index],
        precision=graph.precision,
    )
    images = _scaled(pixels, inputs.scale, inputs.offset)
    table = graph.architecture.weights
    values = {name: tf.convert_to_tensor(variables.weights[name]) for name in table}
    for name, weight in table.items():
        values[name].set_shape(weight.shape)

    def loss_of(logits: Tensor) -> Tensor:
        losses = cross_entropy(logits, codes, inputs.label_smoothing)
        return tf.reduce_sum(losses * row_weights * is_real)

    result = train_network(graph.architecture, values, images, training, loss_of)
    rate, optimizer_step = inputs.learning_rates[index], inputs.optimizer_step + index
    kernels = [variables.weights[name] for name in table if table[name].kind == "kernel"]
    decay_kernels(kernels, rate * inputs.weight_decay)
    for name, slots in variables.slots.items():
        graph.update_rule.apply(
            variables.weights[name], slots, result.gradients[name], rate, optimizer_step
        )
    for name, value in result.statistics.items():
        variables.weights[name].assign(value)
    if variables.sums:
        _add_to_sums(variables, inputs.is_averaged[index])
    predicted = tf.argmax(result.logits, axis=1, output_type=tf.int32)
    hits = is_real * tf.cast(predicted == codes, tf.float32)
    return tf.cast(result.loss, tf.float64), tf.cast(tf.reduce_sum(hits), tf.int32)


def _add_to_sums(variables: TrainingVariables, is_averaged: Tensor) -> None:
    """Add the weights to their sums, or do not.

    A sum takes less time than a mean that each step moves. In float32 it would drift in long fits.
    """

    def add() -> Any:
        for name, total in variables.sums.items():
            total.assign_add(tf.cast(variables.weights[name], tf.float64))
        return tf.no_op()

    tf.cond(is_averaged, add, tf.no_op)


def _batch_rows(inputs: StepInputs, index: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows of a batch, repeated where it is padded; say by 1 and 0 which are real."""
    size, is_last = inputs.batch_size, index == tf.size(inputs.learning_rates) - 1
    rows = inputs.rows[index * size : tf.where(is_last, tf.size(inputs.rows), (index + 1) * size)]
    n_real = tf.size(rows)
    places = tf.range(tf.where(n_real == size, size, inputs.padded_size))
    return tf.gather(rows, places % n_real), tf.cast(places < n_real, tf.float32)


def cross_entropy(logits: Tensor, codes: Tensor, label_smoothing: Tensor) -> Tensor:
    """Compute each row's cross-entropy with its label, smoothed as Keras does.

    Keras' categorical loss of one-hot labels and its sparse loss of integers are this same
    function of the logits; codes become one-hot one batch at a time, for either.
    """
    n_classes = logits.shape[-1]
    targets = tf.one_hot(codes, n_classes) * (1 - label_smoothing) + label_smoothing / n_classes
    return tf.nn.softmax_cross_entropy_with_logits(targets, logits)


def _scaled(pixels: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    """Cast pixels to float32 and scale them."""
    return tf.cast(pixels, tf.float32) * scale + offset
