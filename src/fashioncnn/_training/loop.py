# SPDX-License-Identifier: BSD-3-Clause
"""The training loop: epochs of compiled steps, validation after each, and when to stop."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Self

import numpy as np

from fashioncnn._network.architecture import Weights
from fashioncnn._network.checkpoint import (
    Checkpoint,
    History,
    ResumableState,
    append_history,
    empty_history,
)
from fashioncnn._network.data import network_dtype
from fashioncnn._tensorflow.prediction import Predictor
from fashioncnn._tensorflow.program import Program, program_for
from fashioncnn._tensorflow.steps import TrainingVariables
from fashioncnn._training.averaging import WeightAverage
from fashioncnn._training.callbacks import Callbacks, new_callbacks
from fashioncnn._training.compiled_steps import CompiledSteps
from fashioncnn._training.evaluation import Evaluation, evaluate
from fashioncnn._training.progress import OptimizerProgress, ProgressBar
from fashioncnn._training.settings import TrainingTask, advice_on_divergence

_SECONDS_PER_CALL = 0.25  # aimed at: a compiled call can't be interrupted


class Training:
    """One training of a network, from a checkpoint on.

    `run` does all of it. In parts: within ``with training:``, which lends it TensorFlow's
    variables, `run_epoch` as long as `goes_on`, then `end`. If anything interrupts it, `result` is
    what the epochs so far have led to.

    Parameters
    ----------
    task : TrainingTask
        What to train, and how.
    callbacks : sequence of keras.callbacks.Callback
        They get a model of their own.

    Attributes
    ----------
    result : Checkpoint or None
        What training leaves if it ends now, None before the end of the first epoch: the weights,
        with early stopping those of the best epoch so far. The history has one value per epoch for
        each of ``loss``, ``accuracy`` and ``learning_rate`` (of the epoch's last step), with
        validation also ``val_loss`` and ``val_accuracy``.
    epoch : int
        The number of the epoch that runs or ran last, counted from 1.
    """

    # Set by `__enter__` and `_begin`. The first five are there only within ``with training:``.
    _resources: ExitStack
    _callbacks: Callbacks
    _variables: TrainingVariables
    _average: WeightAverage
    _steps: CompiledSteps
    _program: Program
    _optimizer: OptimizerProgress
    _bar: ProgressBar
    _history: History  # of this training
    _loss_at_start: float
    _best_epoch: int
    _best: Checkpoint  # the weights to keep, without the history
    _n_steps: int  # of this training
    _must_stop: bool
    _steps_per_call: int  # that the last call has found to take a short time

    def __init__(self, task: TrainingTask, callbacks: Sequence[Any]) -> None:
        before = task.checkpoint.with_update_rule(task.update_rule)
        self.task = task._replace(checkpoint=before)
        self.callbacks = callbacks
        self.result: Checkpoint | None = None
        self.epoch = 0
        self._steps_per_call = 1

    def run(
        self,
        state: ResumableState | None = None,
        after_epoch: Callable[[], None] | None = None,
    ) -> None:
        """Train until the last epoch, or until training is to stop.

        Parameters
        ----------
        state : ResumableState, default=None
            Where the same training stood; None starts from the checkpoint.
        after_epoch : callable, default=None
            Is called after each epoch, when `state` can be asked for.

        Raises
        ------
        ValueError
            If the loss or the weights do not stay finite.
        """
        with self:
            if state is not None:
                self.resume(state)
            while self.goes_on:
                self.run_epoch()
                if after_epoch is not None:
                    after_epoch()
            self.end()

    def __enter__(self) -> Self:
        task = self.task
        with ExitStack() as resources:
            self._callbacks = new_callbacks(self.callbacks, task.network)
            resources.callback(self._callbacks.close)
            self._program = program_for(task.network.architecture)
            variables = self._program.training_variables(
                task.update_rule, with_sums=task.settings.weight_averaging > 0
            )
            self._begin(resources.enter_context(variables))
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._resources.close()
        # Others may have them.
        del self._callbacks, self._variables, self._average, self._steps, self._resources

    def _begin(self, lent: TrainingVariables) -> None:
        """Start from the checkpoint, on the variables of the callbacks' model or on lent ones.

        Sums of weights are always lent: they belong to no model.
        """
        task, before = self.task, self.task.checkpoint
        settings = task.settings
        self._optimizer = OptimizerProgress(
            settings.learning_rate_schedule,
            settings.learning_rate,
            task.n_steps,
            before.iterations,
        )
        dtype = network_dtype(task.split.images.pixels.dtype).name
        function = self._program.training_function(
            task.update_rule, lent, dtype, settings.precision
        )
        self._variables = replace(self._callbacks.variables or lent, sums=lent.sums)
        self._variables.assign(before.weights_to_train, before.slots)
        self._average = WeightAverage(settings.weight_averaging, task.n_steps, self._variables)
        self._steps = CompiledSteps(task, function, self._variables, self._optimizer, self._average)
        self._loss_at_start = math.nan
        if settings.early_stopping and before.n_epochs:
            self._loss_at_start = self._evaluate(before.weights).means()["loss"]
        n_steps = task.batches.n_steps
        params = {"verbose": settings.verbose, "epochs": task.n_epochs, "steps": n_steps}
        self._callbacks.begin(params, self._optimizer)
        verbose = 0 if self._callbacks.show_progress else settings.verbose
        self._bar = ProgressBar(verbose, task.n_epochs, n_steps)
        self.epoch = self._best_epoch = self._callbacks.first_epoch
        self._history = empty_history(self.epoch)
        self._n_steps = self.epoch * n_steps
        self._best = before._replace(n_steps=before.n_steps + self._n_steps)
        self._must_stop = False

    def resume(self, state: ResumableState) -> None:
        """Go on from where the same training stood, instead of from its checkpoint."""
        self._variables.assign(state.weights, state.slots, state.sums)
        self._average.n_steps = state.n_averaged
        self._optimizer.iterations = state.iterations
        self._optimizer.learning_rate = state.learning_rate
        self._optimizer.chosen_rate = state.chosen_rate
        self.epoch, self._best_epoch = state.epoch, state.best_epoch
        self._history, self._must_stop = state.history, state.must_stop
        if state.best is not None:
            self._best = state.best
            self._n_steps = state.best.n_steps - self.task.checkpoint.n_steps
            self.result = self._result()

    def state(self) -> ResumableState:
        """Return where training stands, within ``with training:`` and between two epochs.

        Raises
        ------
        RuntimeError
            If the last epoch has been interrupted.
        """
        if len(self._history["loss"]) != self.epoch:
            raise RuntimeError(f"Epoch {self.epoch} has not ended; nothing can go on from it.")
        return ResumableState(
            epoch=self.epoch,
            weights=self._variables.weights_as_numpy(),
            slots=self._variables.slots_as_numpy(),
            sums=self._variables.sums_as_numpy(),
            n_averaged=self._average.n_steps,
            iterations=self._optimizer.iterations,
            learning_rate=self._optimizer.learning_rate,
            chosen_rate=self._optimizer.chosen_rate,
            history=self._history,
            best_epoch=self._best_epoch,
            best=None if self.result is None else self._best,
            must_stop=self._must_stop,
        )

    @property
    def goes_on(self) -> bool:
        """Whether there is another epoch to run."""
        return self.epoch < self.task.n_epochs and not self._must_stop

    def run_epoch(self) -> None:
        """Take the steps of the next epoch, validate, and note what came of it."""
        callbacks, task = self._callbacks, self.task
        self.epoch += 1
        callbacks.call("on_epoch_begin", self.epoch - 1, {})
        self._bar.begin(self.epoch)
        metrics = self._take_steps()
        self._refuse_non_finite("training loss", metrics["loss"])
        if task.split.validation is not None:
            metrics |= self._validate()
            self._refuse_non_finite("validation loss", metrics["val_loss"])
        self._bar.finish(metrics)
        noted = {**metrics, "learning_rate": self._optimizer.learning_rate}
        callbacks.end_epoch(self.epoch - 1, metrics)
        self._note({name: [value] for name, value in noted.items()})

    def end(self) -> None:
        """Call the hook after the last epoch, with its logs; it may change the weights."""
        names = sorted(self._history.keys() - {"learning_rate"}) if self.result else ()
        self._callbacks.call("on_train_end", {name: self._history[name][-1] for name in names})
        if self._callbacks.variables is not None and self._best_epoch == self.epoch:
            self._best = self._checkpoint()
            self.result = self._result()

    def _take_steps(self) -> dict[str, float]:
        """Take the steps of an epoch, as many in a call as fit into a short time; return metrics.

        The order of rows is decided by the number of the epoch since the initial weights, and so is
        what augmentation does.
        """
        before, batches = self.task.checkpoint, self.task.batches
        epoch = before.n_epochs + self.epoch - 1
        order = np.random.default_rng((before.seeds.order, epoch)).permutation(self.task.split.rows)
        self._steps.begin_epoch(epoch)
        first_step = (self.epoch - 1) * batches.n_steps
        n_taken, loss, n_correct = 0, 0.0, 0
        while n_taken < batches.n_steps:
            step, n_taken = n_taken, min(n_taken + self._steps_per_call, batches.n_steps)
            n_done = batches.first_row(n_taken)
            self._callbacks.begin_batch(step)
            rows, steps = order[batches.first_row(step) : n_done], np.arange(step, n_taken)
            started = time.perf_counter()
            loss, n_correct = self._steps.take(rows, first_step + steps, loss, n_correct)
            seconds = max(time.perf_counter() - started, 1e-6)
            if not self._callbacks.has_batch_hooks:
                limit = int(len(steps) * _SECONDS_PER_CALL / seconds)
                self._steps_per_call = max(1, min(2 * self._steps_per_call, limit))
            metrics = {"accuracy": n_correct / n_done, "loss": loss / n_done}
            self._callbacks.end_batch(step, metrics)
            if self._callbacks.stop_training or not math.isfinite(loss):
                break
            self._bar.update(n_taken, metrics)
        self._n_steps = first_step + n_taken
        return metrics

    def _validate(self) -> dict[str, float]:
        """Evaluate what would be kept; callbacks that want batches hear of them afterwards."""
        callbacks, batch_size = self._callbacks, self.task.settings.batch_size
        callbacks.call("on_test_begin", {})
        evaluation = self._evaluate(self._average.weights_as_numpy())
        if callbacks.has_test_batch_hooks:
            for step in range(math.ceil(len(evaluation.losses) / batch_size)):
                callbacks.call("on_test_batch_begin", step, {})
                means = evaluation.means((step + 1) * batch_size)
                callbacks.call("on_test_batch_end", step, means)
        means = evaluation.means()
        callbacks.call("on_test_end", dict(means))
        return {f"val_{name}": value for name, value in means.items()}

    def _evaluate(self, weights: Weights) -> Evaluation:
        images = self.task.split.validation
        assert images is not None
        network = self.task.network
        predictor = Predictor(
            self._program, weights, network.scaling, test_time_flip=network.test_time_flip
        )
        return evaluate(predictor.logits(images.pixels), images, self.task.settings.label_smoothing)

    def _note(self, metrics: History) -> None:
        """Note the metrics of an epoch, the weights if they are the best, and whether to stop."""
        self._history = append_history(self._history, metrics)
        self._best_epoch, self._must_stop = self.epoch, self._callbacks.stop_training
        stopping = self.task.settings.early_stopping
        if stopping:
            losses = [self._loss_at_start, *self._history.get("val_loss", [])]
            self._best_epoch = best_epoch(losses, stopping.tol)
            self._must_stop |= self.epoch - self._best_epoch >= stopping.n_iter_no_change
        if self._best_epoch == self.epoch:
            self._best = self._checkpoint()
        n_steps = self.task.checkpoint.n_steps + self._n_steps
        self._best = self._best._replace(n_steps=n_steps)
        self.result = self._result()

    def _checkpoint(self) -> Checkpoint:
        """Copy what the variables hold; weights that are not finite are refused."""
        variables, average = self._variables, self._average
        weights, goes_on = average.weights_as_numpy(), self.task.settings.keep_slots
        raw_weights = variables.weights_as_numpy() if goes_on and average.n_steps else None
        values = [*weights.values(), *(raw_weights or {}).values()]
        largest = np.max([(value.max(), -value.min()) for value in values])
        self._refuse_non_finite("largest weight", float(largest))
        return self._best._replace(
            weights=weights,
            raw_weights=raw_weights,
            slots=variables.slots_as_numpy() if goes_on else None,
            iterations=self._optimizer.iterations,
            n_batches=float(self.task.count_batches(np.array(self._n_steps))),
        )

    def _result(self) -> Checkpoint:
        before, best = self.task.checkpoint, self._best_epoch
        return self._best._replace(
            history=append_history(before.history, self._history),
            best_epoch=before.n_epochs + best if best else before.best_epoch,
        )

    def _refuse_non_finite(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            progress, settings = self._optimizer, self.task.settings
            rate = progress.peak if progress.chosen_rate is None else progress.chosen_rate
            raise ValueError(
                f"Training diverged: the {what} is {value} in epoch {self.epoch} of "
                f"{self.task.n_epochs}, with optimizer={settings.optimizer!r} and "
                f"learning_rate={rate:g}. {advice_on_divergence(self.task)}"
            )


def best_epoch(losses: Sequence[float], tol: float) -> int:
    """Return the last index whose loss is lower by more than `tol` than the best before it.

    Any loss is better than NaN.
    """
    best = 0
    for epoch, loss in enumerate(losses):
        if math.isnan(losses[best]) or loss < losses[best] - tol:
            best = epoch
    return best
