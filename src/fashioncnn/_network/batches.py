# SPDX-License-Identifier: BSD-3-Clause
"""How an epoch is divided into batches, and how much each counts in batch normalisation.

Its moving means and variances are decayed by `MOMENTUM` a batch and corrected for their bias, as in
D. P. Kingma and J. Ba, "Adam" (arXiv:1412.6980), section 3. Those of Keras are not: they start at 0
and 1, and a hundred steps take them two thirds of the way. A network that was trained for fewer
would predict by statistics of no images. After many steps both are the same.
"""

import math
from typing import NamedTuple

import numpy as np

MOMENTUM = 0.99  # of Keras
_JOINED_SHARE = 1 / 8  # of a batch: larger rests measure better alone, smaller ones joined


class Batches(NamedTuple):
    """The batches of an epoch: as many whole ones as there are, and a rest.

    A rest of no more than `largest_rest` rows is part of the batch before it. Statistics of few
    images, by which batch normalisation would train on them alone, are poor.
    """

    n_rows: int  # of an epoch
    size: int  # of a whole batch
    largest_rest: int  # that is joined

    @property
    def n_steps(self) -> int:
        """The number of batches."""
        return max(1, math.ceil((self.n_rows - self.largest_rest) / self.size))

    @property
    def size_of_last(self) -> int:
        """The number of rows in the last batch."""
        return self.n_rows - self.first_row(self.n_steps - 1)

    def first_row(self, step: int) -> int:
        """Return where a batch begins, or after the last one the number of rows."""
        return step * self.size if step < self.n_steps else self.n_rows

    def n_epochs(self, epochs: int, min_steps: int) -> int:
        """Return how many epochs to plan: those asked for, or more for a least number of steps."""
        return max(epochs, math.ceil(min_steps / self.n_steps))

    def counts(self, steps: np.ndarray) -> np.ndarray:
        """Return how many batches there are before some steps, counted over epochs from 0.

        One of more or fewer rows counts in proportion; but the only one of an epoch that has fewer
        rows than a batch is a whole one.
        """
        epochs, steps_of_epoch = np.divmod(steps, self.n_steps)
        counts: np.ndarray = epochs * max(self.n_rows / self.size, 1) + steps_of_epoch
        return counts


def divide_into_batches(n_rows: int, size: int, *, is_normalized: bool) -> Batches:
    """Return the batches of an epoch; only batch normalisation needs rests to be joined."""
    return Batches(n_rows, size, int(size * _JOINED_SHARE) if is_normalized else 0)


def batch_weights(counts: np.ndarray) -> np.ndarray:
    """Return the weight with which each batch enters the moving means and variances.

    Parameters
    ----------
    counts : ndarray of shape (n + 1,)
        How many batches there are before each of n steps, and after the last, since the initial
        weights.

    Returns
    -------
    weights : ndarray of shape (n,), float64
        1 for the first batch, which replaces the initial values.
    """
    decay = math.log(MOMENTUM)
    weights: np.ndarray = np.expm1(decay * np.diff(counts)) / np.expm1(decay * counts[1:])
    return weights
