# SPDX-License-Identifier: BSD-3-Clause
"""The training loop: epochs of compiled steps, validation after each, and when to stop."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np

from fashioncnn._inputs.fit_data import Images, Parts
from fashioncnn._inputs.images import as_network_input, network_dtype
from fashioncnn._network.checkpoint import Checkpoint, History, joined
from fashioncnn._network.scaling import Scaling, scaling_arrays
from fashioncnn._network.schedules import Pace
from fashioncnn._tensorflow.backend import as_tensor, copied_as_tensor, keras, tf
from fashioncnn._tensorflow.optimizers import OPTIMIZERS
from fashioncnn._tensorflow.precision import training_precision
from fashioncnn._tensorflow.program import Program
from fashioncnn._tensorflow.steps import TrainingState, partial_batch_size
from fashioncnn._training.callbacks import Callbacks
from fashioncnn._training.evaluation import Evaluation, evaluation, validate

_SECONDS_PER_CALL = 0.25  # aimed at: a compiled call can't be interrupted
_LARGEST_BATCH = 2**30  # of int32; any larger one is all images, too
_RESIDENT_BYTES = 2**26  # pixels up to this size become one tensor, larger ones a block per call

Totals = tuple[float, int]  # the sum of weight times loss, and the number of hits
TakeSteps = Callable[[np.ndarray, int, Totals], Totals]  # rows, first step, totals so far


class EarlyStopping(NamedTuple):
    """When to stop, and what counts as better."""

    n_iter_no_change: int
    tol: float


class Settings(NamedTuple):
    """The parameters of the estimator that the loop needs."""

    optimizer: str
    learning_rate: float
    learning_rate_schedule: str
    weight_decay: float
    label_smoothing: float
    epochs: int
    batch_size: int
    precision: str  # "float32" or "bfloat16"
    early_stopping: EarlyStopping | None
    keep_slots: bool  # whether training will go on from the result
    verbose: int


def read_settings(params: Mapping[str, Any]) -> Settings:
    """Read the settings out of the parameters of the estimator."""
    optimizer = params["optimizer"]
    stopping = EarlyStopping(int(params["n_iter_no_change"]), float(params["tol"]))
    return Settings(
        optimizer=optimizer,
        learning_rate=float(params["learning_rate"] or OPTIMIZERS[optimizer].learning_rate),
        learning_rate_schedule=params["learning_rate_schedule"],
        weight_decay=float(params["weight_decay"]),
        label_smoothing=float(params["label_smoothing"]),
        epochs=int(params["epochs"]),
        batch_size=min(int(params["batch_size"]), _LARGEST_BATCH),
        precision=training_precision(params["precision"]),
        early_stopping=stopping if params["early_stopping"] else None,
        keep_slots=bool(params["warm_start"]),
        verbose=int(params["verbose"]),
    )


def train(
    program: Program,
    scaling: Scaling | None,
    start: Checkpoint,
    parts: Parts,
    settings: Settings,
    callbacks: Callbacks,
) -> Iterator[Checkpoint]:
    """Train a network from where it stands.

    Parameters
    ----------
    program : Program
        The compiled network.
    scaling : Scaling or None
        The constants of the scaling.
    start : Checkpoint
        Initial weights, or what an earlier training left.
    parts : Parts
        The images to train on, and those to evaluate on after each epoch.
    settings : Settings
        How to train.
    callbacks : Callbacks
        What Keras callbacks there are.

    Yields
    ------
    end : Checkpoint
        After each epoch, what training leaves if it ends there: the weights, with early stopping
        those of the best epoch so far. The history has one value per epoch for each of ``loss``,
        ``accuracy`` and ``learning_rate`` (of the epoch's last step), with validation also
        ``val_loss`` and ``val_accuracy``.

    Raises
    ------
    ValueError
        If the loss or the weights do not stay finite.
    """
    start = start.with_rule(OPTIMIZERS[settings.optimizer].rule)
    stopping, n_steps = settings.early_stopping, _steps_per_epoch(parts, settings)
    pace = _pace(start, parts, settings)
    with program.training_state(settings.optimizer) as lent, closing(callbacks):
        take_steps, state = _compiled_steps(
            program, scaling, parts, settings, lent, callbacks.state, start, pace
        )
        evaluate = evaluation(program, scaling, state, parts.validation, settings.label_smoothing)
        loss_at_start = evaluate().means()["loss"] if stopping and start.n_epochs else math.nan
        callbacks.begin(
            {"verbose": settings.verbose, "epochs": settings.epochs, "steps": n_steps}, pace
        )
        epoch = best = callbacks.first_epoch
        kept = start._replace(n_steps=start.n_steps + epoch * n_steps)
        history: History = {"loss": [math.nan] * epoch}
        for epoch, n_taken, metrics in _epochs(
            take_steps, evaluate, parts, settings, start, pace, callbacks
        ):
            history = joined(history, metrics)
            losses = [loss_at_start, *history.get("val_loss", [])]
            best = best_epoch(losses, stopping.tol) if stopping else epoch
            if best == epoch:
                kept = _checkpoint(start, state, pace, epoch, settings)
            kept = kept._replace(n_steps=start.n_steps + n_taken)
            yield _with_history(kept, start, history, best)
            if stopping and epoch - best >= stopping.n_iter_no_change:
                break
        callbacks.end()
        if callbacks.state is not None and best == epoch:
            kept = _checkpoint(kept, state, pace, epoch, settings)
            yield _with_history(kept, start, history, best)


def _pace(start: Checkpoint, parts: Parts, settings: Settings) -> Pace:
    n_steps = settings.epochs * _steps_per_epoch(parts, settings)
    schedule, peak = settings.learning_rate_schedule, settings.learning_rate
    return Pace(schedule, peak, n_steps, start.iterations)


def _with_history(kept: Checkpoint, start: Checkpoint, history: History, best: int) -> Checkpoint:
    return kept._replace(
        history=joined(start.history, history),
        best_epoch=start.n_epochs + best if best else start.best_epoch,
    )


def _epochs(
    take_steps: TakeSteps,
    evaluate: Callable[[], Evaluation],
    parts: Parts,
    settings: Settings,
    start: Checkpoint,
    pace: Pace,
    callbacks: Callbacks,
) -> Iterator[tuple[int, int, History]]:
    """Run epoch after epoch; yield its number, from 1, the steps so far, and entries for history.

    The order of rows is decided by the number of the epoch since the initial weights.
    """
    n_steps = _steps_per_epoch(parts, settings)
    verbose = 0 if callbacks.show_progress else settings.verbose
    for epoch in range(callbacks.first_epoch, settings.epochs):
        callbacks.call("on_epoch_begin", epoch, {})
        order = np.random.default_rng((start.seeds.order, start.n_epochs + epoch))
        progress = _Progress(verbose, epoch + 1, settings.epochs, n_steps)
        n_taken, metrics = _run_epoch(
            take_steps,
            order.permutation(parts.rows),
            epoch * n_steps,
            settings.batch_size,
            progress,
            callbacks,
        )
        _refuse_non_finite("training loss", metrics["loss"], epoch + 1, pace, settings)
        if parts.validation is not None:
            metrics |= validate(evaluate, settings.batch_size, callbacks)
            _refuse_non_finite("validation loss", metrics["val_loss"], epoch + 1, pace, settings)
        progress.finish(metrics)
        history = {**metrics, "learning_rate": pace.learning_rate}
        callbacks.end_epoch(epoch, metrics)
        yield epoch + 1, n_taken, {name: [value] for name, value in history.items()}
        if callbacks.stop_training:
            return


def best_epoch(losses: Sequence[float], tol: float) -> int:
    """Return the last index whose loss is lower by more than `tol` than the best before it.

    Any loss is better than NaN.
    """
    best = 0
    for epoch, loss in enumerate(losses):
        if math.isnan(losses[best]) or loss < losses[best] - tol:
            best = epoch
    return best


def _checkpoint(
    start: Checkpoint, state: TrainingState, pace: Pace, epoch: int, settings: Settings
) -> Checkpoint:
    """Copy what the variables hold; weights that are not finite are refused."""
    weights = state.weights_as_numpy()
    largest = np.max([(value.max(), -value.min()) for value in weights.values()])
    _refuse_non_finite("largest weight", float(largest), epoch, pace, settings)
    slots = state.slots_as_numpy() if settings.keep_slots else None
    return start._replace(weights=weights, slots=slots, iterations=pace.iterations)


def _steps_per_epoch(parts: Parts, settings: Settings) -> int:
    return math.ceil(len(parts.rows) / settings.batch_size)


def _compiled_steps(
    program: Program,
    scaling: Scaling | None,
    parts: Parts,
    settings: Settings,
    lent: TrainingState,
    own: TrainingState | None,
    start: Checkpoint,
    pace: Pace,
) -> tuple[TakeSteps, TrainingState]:
    """Bind the compiled training steps to all that stays the same from call to call.

    Return the steps and the variables that they change: those of the callbacks' model, if there is
    one, or else those that are lent.
    """
    dtype = network_dtype(parts.images.pixels.dtype).name
    function = program.training_function(settings.optimizer, lent, dtype, settings.precision)
    state = own or lent
    state.reset(start.weights, start.slots)
    inputs = _inputs(scaling, parts, settings, start)
    feed = _feed(parts.images)

    def take_steps(rows: np.ndarray, first_step: int, totals: Totals) -> Totals:
        data, positions = feed(rows)
        steps = first_step + np.arange(math.ceil(len(rows) / settings.batch_size))
        rates = pace.rates(steps)
        counts = start.n_steps + first_step, pace.iterations
        loss, hits = function(
            state.weights,
            state.slots,
            data,
            tf.constant(positions, tf.int32),
            inputs,
            tf.constant(rates, tf.float32),
            tuple(tf.constant(count, tf.int32) for count in counts),
            (tf.constant(totals[0], tf.float64), tf.constant(totals[1], tf.int32)),
        )
        pace.take(rates)
        return float(loss), int(hits)

    return take_steps, state


def _inputs(
    scaling: Scaling | None, parts: Parts, settings: Settings, start: Checkpoint
) -> dict[str, Any]:
    """Make tensors of the settings that the steps take; see `trace_training`."""
    scale, offset = scaling_arrays(scaling, parts.images.pixels.shape[-1])
    n_partial = len(parts.rows) % settings.batch_size
    partial_size = partial_batch_size(n_partial, settings.batch_size)
    return {
        "batch_size": tf.constant(settings.batch_size, tf.int32),
        "dropout_seed": tf.constant(start.seeds.dropout, tf.int32),
        "label_smoothing": tf.constant(settings.label_smoothing, tf.float32),
        "offset": tf.constant(offset),
        "partial_size": tf.constant(partial_size, tf.int32),
        "scale": tf.constant(scale),
        "weight_decay": tf.constant(settings.weight_decay, tf.float32),
    }


def _feed(images: Images) -> Callable[[np.ndarray], tuple[Sequence[Any], np.ndarray]]:
    """Turn row numbers into tensors and the positions of the rows in them."""
    dtypes = network_dtype(images.pixels.dtype), images.codes.dtype, images.weights.dtype
    if images.pixels.size * dtypes[0].itemsize <= _RESIDENT_BYTES:
        tensors = tuple(map(copied_as_tensor, images, dtypes))  # which no one else can change
        return lambda rows: (tensors, rows)

    def block(rows: np.ndarray) -> tuple[Sequence[Any], np.ndarray]:
        pixels, *others = (array[rows] for array in images)
        arrays = as_network_input(pixels), *others
        return tuple(map(as_tensor, arrays)), np.arange(len(rows))

    return block


def _run_epoch(
    take_steps: TakeSteps,
    order: np.ndarray,
    first_step: int,
    batch_size: int,
    progress: "_Progress",
    callbacks: Callbacks,
) -> tuple[int, dict[str, float]]:
    """Take the steps of one epoch, as many in a call as fit into a short time.

    Return the number of steps since the first epoch, and the metrics.
    """
    steps_per_call, done, totals = 1, 0, (0.0, 0)
    while done < len(order):
        step = done // batch_size
        callbacks.begin_batch(step)
        rows = order[done : done + steps_per_call * batch_size]
        started = time.perf_counter()
        totals = take_steps(rows, first_step + step, totals)
        seconds = max(time.perf_counter() - started, 1e-6)
        if not callbacks.has_batch_hooks:
            limit = int(steps_per_call * _SECONDS_PER_CALL / seconds)
            steps_per_call = max(1, min(2 * steps_per_call, limit))
        done += len(rows)
        metrics = {"accuracy": totals[1] / done, "loss": totals[0] / done}
        callbacks.end_batch(step, metrics)
        if callbacks.stop_training or not math.isfinite(totals[0]):
            break
        progress.update(math.ceil(done / batch_size), metrics)
    return first_step + math.ceil(done / batch_size), metrics


def _refuse_non_finite(what: str, value: float, epoch: int, pace: Pace, settings: Settings) -> None:
    if not math.isfinite(value):
        rate = pace.peak if pace.chosen_rate is None else pace.chosen_rate
        raise ValueError(
            f"Training diverged: the {what} is {value} in epoch {epoch} of {settings.epochs}, "
            f"with optimizer={settings.optimizer!r} and learning_rate={rate:g}. "
            "Try a lower learning_rate or weight_decay, scaling='standardize', or smaller weights "
            "of classes and samples, and look for pixels that are far larger than the rest."
        )


class _Progress:
    """Keras' own progress bar: silent, a bar, or a line per epoch, as `verbose` is 0, 1 or 2."""

    def __init__(self, verbose: int, epoch: int, n_epochs: int, n_steps: int) -> None:
        self._n_steps = n_steps
        self._bar = None
        if verbose:
            names = ("accuracy", "loss", "val_accuracy", "val_loss")
            sys.stdout.write(f"Epoch {epoch}/{n_epochs}\n")
            self._bar = keras.utils.Progbar(n_steps, verbose=verbose, stateful_metrics=names)

    def update(self, step: int, metrics: dict[str, float]) -> None:
        """Show the metrics so far."""
        if self._bar is not None:
            self._bar.update(step, list(metrics.items()), finalize=False)

    def finish(self, metrics: dict[str, float]) -> None:
        """Show the metrics of the whole epoch."""
        if self._bar is not None:
            self._bar.update(self._n_steps, list(metrics.items()), finalize=True)
