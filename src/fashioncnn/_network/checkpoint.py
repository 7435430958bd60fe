# SPDX-License-Identifier: BSD-3-Clause
"""Where training stands, as values: between two fits, and within one fit."""

import math
from typing import NamedTuple

import numpy as np

from fashioncnn._network.architecture import Architecture, Weights, initial_weights

History = dict[str, list[float]]  # lists of one value per epoch
Slots = dict[str, tuple[np.ndarray, ...]]  # an optimizer's moments of each trainable weight

LONGEST_TEXT = 80  # characters of what tells a fit from others; a longer value has a digest


class Seeds(NamedTuple):
    """The seed of each random choice."""

    split: int
    initial: np.random.SeedSequence
    order: int
    dropout: int
    augmentation: int


class Checkpoint(NamedTuple):
    """The weights of a network, and what else a continued training needs to know.

    ``history`` and ``n_steps`` count all training since the initial weights, so that random numbers
    go on where they were. ``iterations`` counts the steps behind the moments: fewer, where early
    stopping restored an earlier epoch, or where another optimizer started. ``n_batches`` counts the
    batches behind the moving statistics of the weights: see `Batches.counts`. ``raw_weights`` are
    kept as the moments are, where ``weights`` are an average.
    """

    weights: Weights
    seed: int
    history: History
    best_epoch: int  # whose weights these are, counted from 1
    n_steps: int
    n_batches: float
    update_rule: str | None  # of the optimizer
    iterations: int
    slots: Slots | None  # None: moments of zero
    raw_weights: Weights | None = None  # which the last step left; None: `weights`

    @property
    def n_epochs(self) -> int:
        """The number of epochs since the initial weights."""
        return len(self.history["loss"])

    @property
    def seeds(self) -> Seeds:
        """The seeds that the one seed spawns."""
        return spawn_seeds(self.seed)

    @property
    def weights_to_train(self) -> Weights:
        """The weights from which training goes on."""
        return self.weights if self.raw_weights is None else self.raw_weights

    def with_update_rule(self, update_rule: str) -> "Checkpoint":
        """Return the same for an optimizer's update rule; moments of another rule become zero."""
        if self.update_rule == update_rule and self.slots is not None:
            return self
        return self._replace(update_rule=update_rule, iterations=0, slots=None)


class ResumableState(NamedTuple):
    """Where a fit stands between two epochs, from which the same fit goes on to the same bits.

    The same fit is one with the same data, parameters and checkpoint to begin with. What callbacks
    remember is not part of it: they go on to the same bits if they remember nothing.
    """

    epoch: int  # how many epochs have ended
    weights: Weights  # as they are now
    slots: Slots
    sums: Weights  # of the weights that are averaged; empty without averaging
    n_averaged: int  # how many steps' weights these are
    iterations: int  # of the optimizer
    learning_rate: float  # of the last step
    chosen_rate: float | None  # that a callback has set for all further steps
    history: History  # of this fit
    best_epoch: int  # of this fit
    best: Checkpoint | None  # the weights to keep, with the steps behind them; None before an epoch
    must_stop: bool  # whether early stopping or a callback wants the fit to end


def spawn_seeds(seed: int) -> Seeds:
    """Derive independent seeds from one."""
    split, training = np.random.SeedSequence(seed).spawn(2)
    initial, *others = training.spawn(4)
    keys = (int(child.generate_state(1)[0] >> 1) for child in others)
    return Seeds(int(split.generate_state(1)[0]), initial, *keys)


def new_checkpoint(architecture: Architecture, seed: int) -> Checkpoint:
    """Return the initial weights of a network."""
    weights = initial_weights(architecture, spawn_seeds(seed).initial)
    return Checkpoint(
        weights,
        seed,
        empty_history(),
        best_epoch=0,
        n_steps=0,
        n_batches=0.0,
        update_rule=None,
        iterations=0,
        slots=None,
    )


def empty_history(n_epochs: int = 0) -> History:
    """Return the history of epochs of which nothing is known."""
    return {"loss": [math.nan] * n_epochs}


def append_history(before: History, after: History) -> History:
    """Append a history to an earlier one; what one of them lacks is NaN there."""
    gaps = [[math.nan] * len(history["loss"]) for history in (before, after)]
    return {
        name: before.get(name, gaps[0]) + after.get(name, gaps[1]) for name in {**after, **before}
    }
