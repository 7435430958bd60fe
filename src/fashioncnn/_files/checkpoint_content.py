# SPDX-License-Identifier: BSD-3-Clause
"""What the file of a fit holds: which fit it is, and where training stands.

It has the layout of model files. The manifest says which fit it is, by texts and digests. The
arrays are those of the state or, when the fit has ended, of what it has left; there are none until
an epoch is written.
"""

import math
import reprlib
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from fashioncnn._files.fields import (
    BOOLEAN,
    Kind,
    OptionalTable,
    Refuse,
    Table,
    check_fields,
    integer,
    list_of,
    number,
    one_of,
)
from fashioncnn._files.model_fields import CHECKPOINT_FORMAT, HISTORY, MOST_ITERATIONS, MOST_STEPS
from fashioncnn._files.safetensors_file import MOST_TENSORS, SafetensorsFile, TensorInfo, pack
from fashioncnn._network.architecture import Architecture
from fashioncnn._network.checkpoint import LONGEST_TEXT, Checkpoint, ResumableState
from fashioncnn._network.description import plain
from fashioncnn._network.optimizers import N_SLOTS

Identity = Mapping[str, Mapping[str, str]]  # of a fit
Progress = ResumableState | Checkpoint | None  # within a fit, after it, before its first epoch

_COUNT, _STEPS, _ITERATIONS = integer(), integer(0, MOST_STEPS), integer(0, MOST_ITERATIONS)
_MOST_TEXTS = 100  # so that messages, which have all that differ, stay readable
_TEXTS = Kind(
    f"an object of {_MOST_TEXTS} texts at most, printable and of at most {LONGEST_TEXT} characters",
    lambda value: (
        type(value) is dict
        and len(value) <= _MOST_TEXTS
        and all(map(_is_short, [*value.keys(), *value.values()]))
    ),
)
_STATE = {"n_averaged": _STEPS, "iterations": _ITERATIONS, "must_stop": BOOLEAN}
_BEST = {"n_steps": _STEPS, "n_batches": number(0), "iterations": _ITERATIONS}
_FIELDS: Table = {
    "format": one_of(CHECKPOINT_FORMAT),
    "format_version": integer(1, 1),
    "fit": {"parameters": _TEXTS, "data": _TEXTS, "versions": _TEXTS},
    "conditions": OptionalTable(
        {"precision": one_of("bfloat16", "float32"), "n_threads": integer(1)}
    ),
    "history": list_of(one_of(*HISTORY), 0, len(HISTORY)),
    "n_epochs": _COUNT,
    "best_epoch": _COUNT,
    "state": OptionalTable(_STATE),
    "best": OptionalTable(_BEST),
}
TAKE_ANOTHER = "Set checkpoint to the path of a file that fit has written, or of none yet."


class Conditions(NamedTuple):
    """What decides the bits of a result beside the fit itself."""

    precision: str
    n_threads: int  # of TensorFlow, within an operation


class Plan(NamedTuple):
    """What training is to do, as far as it decides what a file holds."""

    architecture: Architecture
    before: Checkpoint  # from which training starts, with the optimizer's update rule
    n_epochs: int  # at most
    has_sums: bool  # whether weights are averaged
    has_validation: bool
    conditions: Conditions

    @property
    def history(self) -> set[str]:
        """The names of what is noted of each epoch."""
        return {name for name in HISTORY if self.has_validation or not name.startswith("val_")}

    @property
    def arrays_of_state(self) -> dict[str, TensorInfo]:
        """What the arrays of a state are, but for those that `arrays_of_best` names, too."""
        assert self.before.update_rule is not None
        infos = {"learning_rates": TensorInfo("F64", (2,))}
        for name, weight in self.architecture.weights.items():
            infos[f"weights/{name}"] = TensorInfo("F32", weight.shape)
            if self.has_sums:
                infos[f"sums/{name}"] = TensorInfo("F64", weight.shape)
            for index in range(N_SLOTS[self.before.update_rule] if weight.is_trainable else 0):
                infos[f"slots/{index}/{name}"] = TensorInfo("F32", weight.shape)
        return infos

    @property
    def arrays_of_best(self) -> dict[str, TensorInfo]:
        """What the arrays of the weights to keep are."""
        weights = self.architecture.weights
        return {f"best/{name}": TensorInfo("F32", weights[name].shape) for name in weights}

    def refuse_many(self, refuse: Refuse) -> None:
        """Refuse a network of more arrays than a file holds."""
        n_arrays = len(self.arrays_of_state) + len(self.arrays_of_best) + len(HISTORY)
        if n_arrays > MOST_TENSORS:
            refuse(
                "the network",
                f"makes {n_arrays} arrays, and a file holds {MOST_TENSORS}",
                "Fit one of fewer layers, or set checkpoint=None.",
            )


def write_content(
    identity: Identity, plan: Plan | None, progress: Progress, refuse: Refuse
) -> bytes:
    """Return the bytes of the file of a fit.

    Parameters
    ----------
    identity : dict of dict of str
        What tells the fit from others.
    plan : Plan or None
        What training is to do; None before that is known.
    progress : ResumableState, Checkpoint or None
        Where it stands, what it has left, or None before the first epoch.
    refuse : callable
        Raises the error where there is too much for a file.
    """
    state = progress if isinstance(progress, ResumableState) else None
    best = state.best if state else progress
    history = progress.history if progress else {}
    manifest = {
        "format": CHECKPOINT_FORMAT,
        "format_version": 1,
        "fit": identity,
        "conditions": plan.conditions._asdict() if plan and progress else None,
        "history": list(history),
        "n_epochs": len(history.get("loss", ())),
        "best_epoch": progress.best_epoch if progress else 0,
        "state": state and {name: getattr(state, name) for name in _STATE},
        "best": best and {name: getattr(best, name) for name in _BEST},
    }
    arrays = {f"history/{name}": np.array(values) for name, values in history.items()}
    if best:
        arrays |= {f"best/{name}": array for name, array in best.weights.items()}
    return pack(plain(manifest), arrays | _arrays_of(state), refuse)


def _arrays_of(state: ResumableState | None) -> dict[str, np.ndarray]:
    if state is None:
        return {}
    chosen_rate = math.nan if state.chosen_rate is None else state.chosen_rate
    arrays = {"learning_rates": np.array([state.learning_rate, chosen_rate])}
    for group in ("weights", "sums"):
        arrays |= {f"{group}/{name}": array for name, array in getattr(state, group).items()}
    for name, moments in state.slots.items():
        arrays |= {f"slots/{index}/{name}": array for index, array in enumerate(moments)}
    return arrays


class Content:
    """The content of a file, whose manifest has been read and checked, but not its arrays.

    Parameters
    ----------
    file : binary file
        At its beginning.
    size : int
        How many bytes it has.
    refuse : callable
        Raises the error where it is not what a fit has written.

    Attributes
    ----------
    identity : dict of dict of str
        What tells its fit from others.
    conditions : Conditions or None
        Those of the last part of the fit; None before an epoch was written.
    is_empty : bool
        Whether no epoch was written.
    """

    def __init__(self, file: BinaryIO, size: int, refuse: Refuse) -> None:
        self._file = SafetensorsFile(file, size, refuse, TAKE_ANOTHER)
        self._manifest = self._file.manifest
        if self._manifest.get("format") != CHECKPOINT_FORMAT:
            found = reprlib.repr(self._manifest.get("format"))
            refuse("format", f"is {found}, and should be {CHECKPOINT_FORMAT!r}", TAKE_ANOTHER)
        check_fields(self._manifest, _FIELDS, refuse)
        conditions = self._manifest["conditions"]
        self.identity: Identity = self._manifest["fit"]
        self.conditions = conditions and Conditions(**conditions)
        self.is_empty = self._manifest["best"] is None
        self._refuse = refuse

    def read(self, plan: Plan) -> Progress:
        """Read the arrays, which are just those of the plan, and return where the fit stands."""
        state, best = self._manifest["state"], self._manifest["best"]
        if not self.is_empty:
            self._check_history(plan)
        arrays = self._file.read(self._expected(plan), None)
        if self.is_empty:
            return None
        self._check_arrays(arrays)
        history = {name: arrays[f"history/{name}"].tolist() for name in self._manifest["history"]}
        kept = plan.before._replace(weights=_group(arrays, "best", plan), **best)
        best_epoch = self._manifest["best_epoch"]
        if state is None:
            return kept._replace(history=history, best_epoch=best_epoch)
        learning_rate, chosen_rate = arrays["learning_rates"].tolist()
        return ResumableState(
            epoch=self._manifest["n_epochs"],
            weights=_group(arrays, "weights", plan),
            slots=_slots(arrays, plan),
            sums=_group(arrays, "sums", plan),
            learning_rate=learning_rate,
            chosen_rate=None if math.isnan(chosen_rate) else chosen_rate,
            history=history,
            best_epoch=best_epoch,
            best=kept,
            **state,
        )

    def _check_history(self, plan: Plan) -> None:
        names, expected = (sorted(each) for each in (self._manifest["history"], plan.history))
        if names != expected:
            self._refuse("history", f"is {names}, and should be {expected}")
        n_epochs = self._manifest["n_epochs"]
        for name, most in (("n_epochs", plan.n_epochs), ("best_epoch", n_epochs)):
            if not 1 <= self._manifest[name] <= most:
                self._refuse(name, f"is {self._manifest[name]}, and should be within 1..{most}")
        if self.conditions is None:
            self._refuse("conditions", "is None, and should say how the fit was trained")

    def _check_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Check what training has checked of the weights to keep, and that no variance is below 0.

        Moments may be infinite.
        """
        for name, array in arrays.items():
            if name.startswith("best/") and not np.isfinite(array).all():
                self._refuse(f"the array {name!r}", "has values that are not finite")
            if name.endswith("/moving_variance") and array.min() < 0:
                self._refuse(
                    f"the array {name!r}", f"has {array.min()}, and a variance is at least 0"
                )

    def _expected(self, plan: Plan) -> dict[str, TensorInfo]:
        n_epochs = self._manifest["n_epochs"]
        infos = {
            f"history/{name}": TensorInfo("F64", (n_epochs,)) for name in self._manifest["history"]
        }
        if not self.is_empty:
            infos |= plan.arrays_of_best
        if self._manifest["state"] is not None:
            infos |= plan.arrays_of_state
        return infos


def _is_short(text: Any) -> bool:
    return type(text) is str and len(text) <= LONGEST_TEXT and text.isprintable()


def _group(arrays: Mapping[str, np.ndarray], group: str, plan: Plan) -> dict[str, np.ndarray]:
    """Return the arrays of a group by the names of their weights, in the network's order.

    Not every weight has one. A file has no order.
    """
    names = {name: f"{group}/{name}" for name in plan.architecture.weights}
    return {name: arrays[path] for name, path in names.items() if path in arrays}


def _slots(arrays: Mapping[str, np.ndarray], plan: Plan) -> dict[str, tuple[np.ndarray, ...]]:
    assert plan.before.update_rule is not None
    moments = [_group(arrays, f"slots/{i}", plan) for i in range(N_SLOTS[plan.before.update_rule])]
    return {name: tuple(each[name] for each in moments) for name in moments[0]}
