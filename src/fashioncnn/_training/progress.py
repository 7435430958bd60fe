# SPDX-License-Identifier: BSD-3-Clause
"""How far training has come: what the user is shown, and what the optimizer counts."""

import sys
from collections.abc import Mapping

import numpy as np

from fashioncnn._network.schedules import learning_rates
from fashioncnn._tensorflow.backend import keras


class ProgressBar:
    """Keras' own progress bar: silent, a bar, or a line per epoch, as `verbose` is 0, 1 or 2."""

    def __init__(self, verbose: int, epoch: int, n_epochs: int, n_steps: int) -> None:
        self._n_steps = n_steps
        self._bar = None
        if verbose:
            names = ("accuracy", "loss", "val_accuracy", "val_loss")
            sys.stdout.write(f"Epoch {epoch}/{n_epochs}\n")
            self._bar = keras.utils.Progbar(n_steps, verbose=verbose, stateful_metrics=names)

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        """Show the metrics so far."""
        if self._bar is not None:
            self._bar.update(step, list(metrics.items()), finalize=False)

    def finish(self, metrics: Mapping[str, float]) -> None:
        """Show the metrics of the whole epoch."""
        if self._bar is not None:
            self._bar.update(self._n_steps, list(metrics.items()), finalize=True)


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
