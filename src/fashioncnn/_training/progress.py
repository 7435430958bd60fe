# SPDX-License-Identifier: BSD-3-Clause
"""How far training has come: what the user is shown, and what the optimizer counts."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fashioncnn._messages import warn_user
from fashioncnn._network.schedules import learning_rates
from fashioncnn._tensorflow.backend import keras


class ProgressBar:
    """Keras' own progress bar: silent, a bar, or a line per epoch, as `verbose` is 0, 1 or 2.

    Training goes on where stdout takes no more, since its reader has ended or its disk is full: a
    warning says so, once. Without a stdout, as in Python for windows, nothing is shown.
    """

    _bar: Any  # of the epoch

    def __init__(self, verbose: int, n_epochs: int, n_steps: int) -> None:
        self._verbose, self._n_epochs, self._n_steps = verbose, n_epochs, n_steps
        self._is_shown = verbose > 0 and sys.stdout is not None

    def begin(self, epoch: int) -> None:
        """Show that an epoch begins, counted from 1."""
        self._show(self._begin, epoch)

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        """Show the metrics so far."""
        self._show(self._update, step, metrics, is_last=False)

    def finish(self, metrics: Mapping[str, float]) -> None:
        """Show the metrics of the whole epoch."""
        self._show(self._update, self._n_steps, metrics, is_last=True)

    def _begin(self, epoch: int) -> None:
        sys.stdout.write(f"Epoch {epoch}/{self._n_epochs}\n")
        names = ("accuracy", "loss", "val_accuracy", "val_loss")
        self._bar = keras.utils.Progbar(
            self._n_steps, verbose=self._verbose, stateful_metrics=names
        )

    def _update(self, step: int, metrics: Mapping[str, float], *, is_last: bool) -> None:
        self._bar.update(step, list(metrics.items()), finalize=is_last)

    def _show(self, show: Callable[..., None], *arguments: Any, **options: Any) -> None:
        if not self._is_shown:
            return
        try:
            show(*arguments, **options)
        except (OSError, ValueError) as error:  # a ValueError, where it is closed
            self._is_shown = False
            warn_user(
                f"verbose={self._verbose} can't show progress any more: stdout takes no text "
                f"({type(error).__name__}: {error}). Training goes on. Next time set verbose=0, or "
                "let stdout go to a file with space or to a program that reads until the end."
            )


class OptimizerProgress:
    """The number of steps that the optimizer has taken, and the learning rates of the next.

    Parameters
    ----------
    schedule : {"constant", "cosine", "one_cycle"}
        See `learning_rates`.
    peak : float
        The largest rate of the schedule.
    n_steps : int
        The number of steps in the whole training.
    iterations : int
        The number of steps behind the optimizer's moments when training begins.

    Attributes
    ----------
    iterations : int
        The same now.
    learning_rate : float
        The rate of the last step; before the first step, the rate of that.
    chosen_rate : float or None
        The rate that a callback has set for all further steps.
    """

    def __init__(self, schedule: str, peak: float, n_steps: int, iterations: int) -> None:
        self.schedule = schedule
        self.peak = peak
        self.n_steps = n_steps
        self.iterations = iterations
        self.chosen_rate: float | None = None
        self.learning_rate = float(self.rates(np.zeros(1))[0])

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Return the learning rates of some of the steps, counted from 0."""
        if self.chosen_rate is not None:
            return np.full(len(steps), self.chosen_rate)
        return learning_rates(self.schedule, self.peak, steps, self.n_steps)

    def count(self, rates: np.ndarray) -> None:
        """Count steps that were taken at these rates."""
        self.iterations += len(rates)
        self.learning_rate = float(rates[-1])
