# SPDX-License-Identifier: BSD-3-Clause
"""The learning rate of each step, as a pure function of its number."""

from typing import Literal

import numpy as np

Schedule = Literal["constant", "cosine", "one_cycle"]

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
