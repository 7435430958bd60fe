# SPDX-License-Identifier: BSD-3-Clause
"""Where the training of a network stands, as a value that more training can go on from."""

import math
from typing import NamedTuple

import numpy as np

from fashioncnn._network.architecture import Architecture, Weights, initial_weights

History = dict[str, list[float]]  # lists of one value per epoch
Slots = dict[str, tuple[np.ndarray, ...]]  # an optimizer's moments of each trainable weight


class Seeds(NamedTuple):
    """What decides each kind of chance."""

    split: int
    initial: np.random.SeedSequence
    order: int
    dropout: int


class Checkpoint(NamedTuple):
    """The weights of a network, and what else a continued training needs to know.

    ``history`` and ``n_steps`` tell of all training since the initial weights, so that chance goes
    on where it was. ``iterations`` counts the steps behind the moments: fewer, where early stopping
    restored an earlier epoch, or where another optimizer started.
    """

    weights: Weights
    seed: int
    history: History
    best_epoch: int = 0  # whose weights these are, counted from 1
    n_steps: int = 0
    rule: str | None = None  # of the optimizer
    iterations: int = 0
    slots: Slots | None = None  # None: moments of zero

    @property
    def n_epochs(self) -> int:
        """The number of epochs since the initial weights."""
        return len(self.history["loss"])

    @property
    def seeds(self) -> Seeds:
        """The seeds that the one seed spawns."""
        return spawn_seeds(self.seed)

    def with_rule(self, rule: str) -> "Checkpoint":
        """Return the same for an optimizer's rule; moments of another rule become zero."""
        if self.rule == rule and self.slots is not None:
            return self
        return self._replace(rule=rule, iterations=0, slots=None)


def spawn_seeds(seed: int) -> Seeds:
    """Derive independent seeds from one."""
    split, training = np.random.SeedSequence(seed).spawn(2)
    initial, order, dropout = training.spawn(3)
    order_key, dropout_key = (int(child.generate_state(1)[0] >> 1) for child in (order, dropout))
    return Seeds(int(split.generate_state(1)[0]), initial, order_key, dropout_key)


def new_checkpoint(architecture: Architecture, seed: int) -> Checkpoint:
    """Return the initial weights of a network."""
    weights = initial_weights(architecture, spawn_seeds(seed).initial)
    return Checkpoint(weights, seed, new_history())


def new_history() -> History:
    """Return the history of no epoch."""
    return {"loss": []}


def joined(before: History, after: History) -> History:
    """Append a history to an earlier one; what one of them lacks is NaN there."""
    gaps = [[math.nan] * len(history["loss"]) for history in (before, after)]
    return {
        name: before.get(name, gaps[0]) + after.get(name, gaps[1]) for name in {**after, **before}
    }
