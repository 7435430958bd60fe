# SPDX-License-Identifier: BSD-3-Clause
"""The names of the optimizers, and what is known of each without TensorFlow."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

OptimizerName = Literal["adam", "adamw", "muon", "rmsprop", "sgd"]


class OptimizerInfo(NamedTuple):
    """What a name stands for."""

    # Optimizers of one update rule share compiled steps, and go on with each other's moments.
    # Weight decay is decoupled with every rule, so "adamw" is "adam".
    update_rule: str
    learning_rate: float  # where the user names none


OPTIMIZERS: Mapping[str, OptimizerInfo] = {
    "adam": OptimizerInfo("adam", 1e-3),
    "adamw": OptimizerInfo("adam", 1e-3),
    "muon": OptimizerInfo("muon", 1e-2),
    "rmsprop": OptimizerInfo("rmsprop", 1e-3),
    "sgd": OptimizerInfo("sgd", 1e-2),
}

# The moments that an update rule keeps of each trainable weight.
N_SLOTS: Mapping[str, int] = {"adam": 2, "muon": 2, "rmsprop": 2, "sgd": 1}
