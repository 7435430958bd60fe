# SPDX-License-Identifier: BSD-3-Clause
"""The average of the weights over the last part of a training."""

import numpy as np

from fashioncnn._network.architecture import Weights
from fashioncnn._tensorflow.steps import TrainingVariables


class WeightAverage:
    """The mean of the weights after each of the last steps, as in P. Izmailov et al. (2018).

    "Averaging weights leads to wider optima" (arXiv:1803.05407), algorithm 1, with a cycle of one
    step. Moving means and variances are averaged as the other weights are, where the paper computes
    them anew.

    Parameters
    ----------
    share : float
        The share of the planned steps whose weights are averaged, in [0, 1).
    n_planned : int
        The number of steps that are planned. At least the last is averaged, unless the share is 0.
    variables : TrainingVariables
        The weights and, unless the share is 0, their sums.

    Attributes
    ----------
    n_steps : int
        The number of steps in the average so far. 0: the weights themselves take its place.
    """

    def __init__(self, share: float, n_planned: int, variables: TrainingVariables) -> None:
        n_last = max(1, round(share * n_planned)) if share else 0
        self._first_step = n_planned - n_last
        self._variables = variables
        self.n_steps = 0

    def includes(self, steps: np.ndarray) -> np.ndarray:
        """Say of some steps, counted from 0, whether the weights after them are averaged."""
        return steps >= self._first_step

    def weights_as_numpy(self) -> Weights:
        """Return the average, or the weights as they are as long as no step is averaged."""
        if not self.n_steps:
            return self._variables.weights_as_numpy()
        sums = self._variables.sums_as_numpy()
        return {name: (total / self.n_steps).astype(np.float32) for name, total in sums.items()}
