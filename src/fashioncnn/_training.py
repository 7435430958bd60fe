# SPDX-License-Identifier: BSD-3-Clause
"""The training loop: epochs of compiled steps, validation after each, and what it reports."""

import math
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fashioncnn._architecture import Weights, initial_weights
from fashioncnn._backend import keras, tf
from fashioncnn._outputs import log_softmax
from fashioncnn._program import Program
from fashioncnn._scaling import Scaling
from fashioncnn._steps import TrainingState

_SECONDS_PER_CALL = 0.25  # aimed at: a compiled call can't be interrupted
_RESIDENT_BYTES = 2**30  # pixels up to this size become one tensor, larger ones a block per call

History = dict[str, list[float]]
Totals = tuple[float, int]  # the sum of weight times loss, and the number of hits
TakeSteps = Callable[[np.ndarray, int, Totals], Totals]  # rows, first step, totals so far


class Images(NamedTuple):
    """Images with their labels and weights, all of the same length."""

    pixels: np.ndarray  # (n, h, w, c), uint8 or float32
    codes: np.ndarray  # (n,), int32
    weights: np.ndarray  # (n,), float32


class Settings(NamedTuple):
    """The parameters of the estimator that the loop needs, and its seed."""

    optimizer: str
    learning_rate: float
    label_smoothing: float
    epochs: int
    batch_size: int
    verbose: int
    seed: np.random.SeedSequence


def train(
    program: Program,
    scaling: Scaling | None,
    images: Images,
    rows: np.ndarray,
    validation: Images | None,
    settings: Settings,
) -> tuple[Weights, History]:
    """Train a network from its initial weights.

    Parameters
    ----------
    program : Program
        The compiled network.
    scaling : Scaling or None
        The constants of the scaling.
    images : Images
        All images that were passed for training.
    rows : ndarray of int
        The training part of them; over it weights have mean 1.
    validation : Images or None
        What to evaluate on after each epoch.
    settings : Settings
        How to train.

    Returns
    -------
    weights : dict of ndarray
        The weights after the last epoch.
    history : dict of lists of float
        One value per epoch for each of ``loss``, ``accuracy`` and ``learning_rate``, with
        validation also ``val_loss`` and ``val_accuracy``.

    Raises
    ------
    ValueError
        If the loss or the weights do not stay finite.
    """
    initial_seed, order_seed, dropout_seed = settings.seed.spawn(3)
    order_key, dropout_key = (int(s.generate_state(1)[0] >> 1) for s in (order_seed, dropout_seed))
    initial = initial_weights(program.architecture, initial_seed)
    n_steps = math.ceil(len(rows) / settings.batch_size)
    history: History = {}
    with program.training_state(settings.optimizer, initial) as state:
        take_steps = _compiled_steps(program, scaling, images, settings, state, dropout_key)
        for epoch in range(settings.epochs):
            order = np.random.default_rng([order_key, epoch]).permutation(rows)
            progress = _Progress(settings, epoch, n_steps)
            metrics = _run_epoch(take_steps, order, epoch * n_steps, settings.batch_size, progress)
            _refuse_non_finite("training loss", metrics["loss"], epoch, settings)
            if validation is not None:
                logits = program.logits(state.values(), scaling, validation.pixels)
                metrics |= _evaluate(logits, validation, settings.label_smoothing)
                _refuse_non_finite("validation loss", metrics["val_loss"], epoch, settings)
            progress.finish(metrics)
            metrics["learning_rate"] = settings.learning_rate
            for name, value in metrics.items():
                history.setdefault(name, []).append(value)
        weights = state.weights_as_numpy()
    largest = np.max([np.abs(value).max() for value in weights.values()])
    _refuse_non_finite("largest weight", float(largest), settings.epochs - 1, settings)
    return weights, history


def _compiled_steps(
    program: Program,
    scaling: Scaling | None,
    images: Images,
    settings: Settings,
    state: TrainingState,
    dropout_key: int,
) -> TakeSteps:
    """Bind the compiled training steps to all that stays the same from call to call."""
    dtype = images.pixels.dtype.name
    function = program.training_function(settings.optimizer, state, dtype)
    scale, offset = program.scaling_arrays(scaling)
    inputs = {
        "batch_size": tf.constant(settings.batch_size, tf.int32),
        "dropout_seed": tf.constant(dropout_key, tf.int32),
        "label_smoothing": tf.constant(settings.label_smoothing, tf.float32),
        "learning_rate": tf.constant(settings.learning_rate, tf.float32),
        "offset": tf.constant(offset),
        "scale": tf.constant(scale),
    }
    feed = _feed(images)

    def take_steps(rows: np.ndarray, first_step: int, totals: Totals) -> Totals:
        data, positions = feed(rows)
        loss, hits = function(
            state.weights,
            state.slots,
            data,
            tf.constant(positions, tf.int32),
            inputs,
            tf.constant(first_step, tf.int32),
            (tf.constant(totals[0], tf.float64), tf.constant(totals[1], tf.int32)),
        )
        return float(loss), int(hits)

    return take_steps


def _feed(images: Images) -> Callable[[np.ndarray], tuple[Sequence[Any], np.ndarray]]:
    """Turn row numbers into tensors and the positions of the rows in them."""
    if images.pixels.nbytes > _RESIDENT_BYTES:
        return lambda rows: (_tensors(array[rows] for array in images), np.arange(len(rows)))
    tensors = _tensors(images)
    return lambda rows: (tensors, rows)


def _tensors(arrays: Iterable[np.ndarray]) -> tuple[Any, ...]:
    return tuple(tf.constant(array) for array in arrays)


def _run_epoch(
    take_steps: TakeSteps,
    order: np.ndarray,
    first_step: int,
    batch_size: int,
    progress: "_Progress",
) -> dict[str, float]:
    """Take the steps of one epoch, as many in a call as fit into a short time."""
    steps_per_call, done, totals = 1, 0, (0.0, 0)
    while done < len(order):
        rows = order[done : done + steps_per_call * batch_size]
        started = time.perf_counter()
        totals = take_steps(rows, first_step + done // batch_size, totals)
        seconds = max(time.perf_counter() - started, 1e-6)
        limit = int(steps_per_call * _SECONDS_PER_CALL / seconds)
        steps_per_call = max(1, min(2 * steps_per_call, limit))
        done += len(rows)
        metrics = {"accuracy": totals[1] / done, "loss": totals[0] / done}
        if not math.isfinite(totals[0]):
            break
        progress.update(math.ceil(done / batch_size), metrics)
    return metrics


def _evaluate(logits: np.ndarray, images: Images, label_smoothing: float) -> dict[str, float]:
    """Return the weighted mean loss and the accuracy; the loss of infinite logits is NaN."""
    if not np.isfinite(logits).all():
        return {"val_accuracy": math.nan, "val_loss": math.nan}
    log_probabilities = log_softmax(logits)
    of_label = log_probabilities[np.arange(len(logits)), images.codes]
    losses = -(1 - label_smoothing) * of_label - label_smoothing * log_probabilities.mean(axis=1)
    hits = logits.argmax(axis=1) == images.codes
    loss = np.average(losses, weights=images.weights)
    return {"val_accuracy": float(hits.mean()), "val_loss": float(loss)}


def _refuse_non_finite(what: str, value: float, epoch: int, settings: Settings) -> None:
    if not math.isfinite(value):
        raise ValueError(
            f"Training diverged: the {what} is {value} in epoch {epoch + 1} of {settings.epochs}, "
            f"with optimizer={settings.optimizer!r} and learning_rate={settings.learning_rate:g}. "
            "Try a lower learning_rate, scaling='standardize', or smaller weights of classes and "
            "samples, and look for pixels that are far larger than the rest."
        )


class _Progress:
    """Keras' own progress bar: silent, a bar, or a line per epoch, as `verbose` is 0, 1 or 2."""

    def __init__(self, settings: Settings, epoch: int, n_steps: int) -> None:
        self._n_steps = n_steps
        self._bar = None
        if settings.verbose:
            names = ("accuracy", "loss", "val_accuracy", "val_loss")
            sys.stdout.write(f"Epoch {epoch + 1}/{settings.epochs}\n")
            self._bar = keras.utils.Progbar(
                n_steps, verbose=settings.verbose, stateful_metrics=names
            )

    def update(self, step: int, metrics: dict[str, float]) -> None:
        """Show the metrics so far."""
        if self._bar is not None:
            self._bar.update(step, list(metrics.items()), finalize=False)

    def finish(self, metrics: dict[str, float]) -> None:
        """Show the metrics of the whole epoch."""
        if self._bar is not None:
            self._bar.update(self._n_steps, list(metrics.items()), finalize=True)
