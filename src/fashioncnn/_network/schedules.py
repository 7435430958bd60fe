# SPDX-License-Identifier: BSD-3-Clause
"""The learning rate of each step: a pure function of its number, unless a callback sets it."""

import numpy as np

SCHEDULES = frozenset({"constant", "cosine", "one_cycle"})

_WARM_UP = 0.3  # the share of steps in which one_cycle rises
_LOWEST_START = 1 / 25  # of the peak
_LOWEST_END = 1e-4 / 25


def learning_rates(schedule: str, peak: float, steps: np.ndarray, n_steps: int) -> np.ndarray:
    """Return the learning rates of some of the steps of a training.

    Parameters
    ----------
    schedule : {"constant", "cosine", "one_cycle"}
        "cosine" falls from the peak to zero along half a cosine, as in I. Loshchilov and F. Hutter,
        "SGDR" (arXiv:1608.03983), equation 5, without restarts; each step has the rate of its
        start, as in Keras' CosineDecay. "one_cycle" rises from a 25th of the peak in the first
        30 % of steps and falls to nearly zero in the rest, both along half a cosine, as in L. N.
        Smith and N. Topin, "Super-convergence" (arXiv:1708.07120), with the constants of PyTorch's
        OneCycleLR; each step has the rate of its middle, so that also one of few steps learns.
    peak : float
        The largest rate, which a constant schedule keeps.
    steps : ndarray of int
        The steps asked for, counted from 0.
    n_steps : int
        The number of steps in the whole training.

    Returns
    -------
    rates : ndarray of float64, one for each of `steps`
    """
    if schedule == "constant":
        return np.full(len(steps), peak)
    if schedule == "cosine":
        return _half_cosine(peak, 0, steps / n_steps)
    progress = (steps + 0.5) / n_steps
    return np.where(
        progress < _WARM_UP,
        _half_cosine(_LOWEST_START * peak, peak, progress / _WARM_UP),
        _half_cosine(peak, _LOWEST_END * peak, (progress - _WARM_UP) / (1 - _WARM_UP)),
    )


def _half_cosine(start: float, end: float, progress: np.ndarray) -> np.ndarray:
    rates: np.ndarray = end + (start - end) * (1 + np.cos(np.pi * progress)) / 2
    return rates


class Pace:
    """The learning rates of one training, and how far it has come.

    Parameters
    ----------
    schedule : {"constant", "cosine", "one_cycle"}
        See `learning_rates`.
    peak : float
        The largest rate of the schedule.
    n_steps : int
        The number of steps in the whole training.
    iterations : int
        The number of steps behind the optimizer's moments when it begins.

    Attributes
    ----------
    iterations : int
        The same now.
    learning_rate : float
        The rate of the last step; before the first one, of that.
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

    def take(self, rates: np.ndarray) -> None:
        """Note that steps of these rates have been taken."""
        self.iterations += len(rates)
        self.learning_rate = float(rates[-1])
