# SPDX-License-Identifier: BSD-3-Clause
"""The compiled steps of one training, with its images, variables and settings."""

import numpy as np

from fashioncnn._network.batches import batch_weights
from fashioncnn._network.scaling import scaling_arrays
from fashioncnn._tensorflow.backend import Function, Tensor, call_concrete_function, tf
from fashioncnn._tensorflow.steps import StepInputs, TrainingVariables, padded_batch_size
from fashioncnn._training.averaging import WeightAverage
from fashioncnn._training.feed import ImageFeed
from fashioncnn._training.progress import OptimizerProgress
from fashioncnn._training.settings import TrainingTask


class CompiledSteps:
    """Takes the steps of one training.

    Parameters
    ----------
    task : TrainingTask
        What is trained, and how.
    function : concrete function
        See `trace_training`.
    variables : TrainingVariables
        What the steps change.
    progress : OptimizerProgress
        Knows the learning rates, and counts the steps.
    average : WeightAverage
        Knows the steps whose weights are averaged, and is told how many there were.
    """

    def __init__(
        self,
        task: TrainingTask,
        function: Function,
        variables: TrainingVariables,
        progress: OptimizerProgress,
        average: WeightAverage,
    ) -> None:
        self._function = function
        self._handles = variables.handles()
        self._progress = progress
        augmentation, seed = task.settings.augmentation, task.checkpoint.seeds.augmentation
        self._feed = ImageFeed(task.split.images, augmentation, seed)
        self._average = average
        self._task = task
        self._constants = _constant_inputs(task)

    def begin_epoch(self, epoch: int) -> None:
        """Prepare the images of an epoch, which is counted from 0 since the initial weights."""
        self._feed.begin_epoch(epoch)

    def take(
        self, rows: np.ndarray, steps: np.ndarray, loss: float, n_correct: int
    ) -> tuple[float, int]:
        """Take some steps, one for each batch of the rows.

        Parameters
        ----------
        rows : ndarray of int
            The rows of the batches, one batch after the other.
        steps : ndarray of int
            The numbers of the steps in this training, counted from 0.
        loss, n_correct : float, int
            The sums over the steps of the epoch before: of weight times loss, and of rows that were
            classified right.

        Returns
        -------
        loss, n_correct : float, int
            The sums with those of these steps added.
        """
        (pixels, codes, row_weights), positions = self._feed.take(rows)
        rates = self._progress.rates(steps)
        weights = batch_weights(self._task.count_batches(np.append(steps, steps[-1] + 1)))
        is_averaged = self._average.includes(steps)
        dropout_step = self._task.checkpoint.n_steps + steps[0]
        inputs = StepInputs(
            pixels=pixels,
            codes=codes,
            row_weights=row_weights,
            rows=tf.constant(positions, tf.int32),
            learning_rates=tf.constant(rates, tf.float32),
            batch_weights=tf.constant(weights, tf.float32),
            is_averaged=tf.constant(is_averaged),
            dropout_step=tf.constant(dropout_step, tf.int32),
            optimizer_step=tf.constant(self._progress.iterations, tf.int32),
            loss=tf.constant(loss, tf.float64),
            n_correct=tf.constant(n_correct, tf.int32),
            **self._constants,
        )
        sums = call_concrete_function(self._function, *self._handles, *inputs)
        self._progress.count(rates)
        self._average.n_steps += int(is_averaged.sum())
        return float(sums[0]), int(sums[1])


def _constant_inputs(task: TrainingTask) -> dict[str, Tensor]:
    """Return those of `StepInputs` that stay the same from call to call."""
    settings, batches = task.settings, task.batches
    n_channels = task.network.architecture.image_shape[-1]
    scale, offset = scaling_arrays(task.network.scaling, n_channels)
    last = batches.size_of_last
    most = batches.size + (batches.largest_rest if last > batches.size else 0)
    return {
        "batch_size": tf.constant(batches.size, tf.int32),
        "padded_size": tf.constant(padded_batch_size(last, most), tf.int32),
        "scale": tf.constant(scale),
        "offset": tf.constant(offset),
        "label_smoothing": tf.constant(settings.label_smoothing, tf.float32),
        "weight_decay": tf.constant(settings.weight_decay, tf.float32),
        "dropout_seed": tf.constant(task.checkpoint.seeds.dropout, tf.int32),
    }
