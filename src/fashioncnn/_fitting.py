# SPDX-License-Identifier: BSD-3-Clause
"""One fit of checked data: from parameters and data to what training leaves behind."""

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_random_state

from fashioncnn._files.checkpoint_content import Conditions, Plan
from fashioncnn._files.checkpoint_file import CheckpointFile
from fashioncnn._inputs.architecture import build_architecture, warn_of_architecture
from fashioncnn._inputs.fit_data import (
    TrainingData,
    split_data,
    train_on_all,
    warn_of_cut_schedule,
)
from fashioncnn._inputs.identity import identify_fit
from fashioncnn._inputs.nested import parse_augment, parse_callbacks
from fashioncnn._network.architecture import Architecture
from fashioncnn._network.checkpoint import Checkpoint, new_checkpoint
from fashioncnn._network.data import TrainingSplit
from fashioncnn._network.fitted import Compilation, FittedNetwork, Network, fitted_attributes
from fashioncnn._network.scaling import fit_scaling
from fashioncnn._tensorflow.start import tensorflow_started

if TYPE_CHECKING:
    from fashioncnn._training.loop import Training
    from fashioncnn._training.settings import TrainingTask

_EARLY_STOPPING_FRACTION = 0.1  # held out where the user names no share


class Fit:
    """One fit, ready to run: all that can be wrong with data and parameters has been said.

    Parameters
    ----------
    estimator : FashionCNNClassifier
        Has the parameters. It is not changed.
    data : TrainingData
        The user's data, checked.
    previous : FittedNetwork or None
        What training goes on from.
    is_partial : bool
        Whether this is a call of `partial_fit`.

    Attributes
    ----------
    callbacks : list of keras.callbacks.Callback
        The copies that are called.
    """

    callbacks: list[Any]  # set by `run`

    def __init__(
        self,
        estimator: Any,
        data: TrainingData,
        previous: FittedNetwork | None,
        *,
        is_partial: bool,
    ) -> None:
        params = vars(estimator)
        self._architecture, self._before = _initial_network(estimator, data, previous)
        if is_partial:
            self._split = train_on_all(data)
        else:
            self._split = _split(estimator, data, self._before)
        if previous is not None:
            self._scaling = previous.scaling
        else:
            pixels, rows, dtype = data.images.pixels, self._split.rows, data.source_dtype
            self._scaling = fit_scaling(params["scaling"], pixels, rows, dtype, is_piece=is_partial)
        self._file: CheckpointFile | None = None
        if params["checkpoint"] is not None and not is_partial:
            self._file = CheckpointFile(params["checkpoint"], identify_fit(estimator, data))
        self._params, self._data, self._is_partial = params, data, is_partial
        self._training: Training | None = None

    def run(self) -> None:
        """Train; what is interrupted leaves the epochs that were complete in `result`."""
        with nullcontext() if self._file is None else self._file.claimed(), tensorflow_started():
            from fashioncnn._tensorflow.backend import call_in_eager_mode

            self._training = self._new_training()
            call_in_eager_mode(self._train)

    @property
    def result(self) -> Checkpoint | None:
        """What training has left so far, None before the end of the first epoch."""
        return None if self._training is None else self._training.result

    def attributes(self) -> dict[str, Any]:
        """Return the fitted attributes that follow from the result."""
        assert self._training is not None
        assert self._training.result is not None
        task, result = self._training.task, self._training.result
        fitted = FittedNetwork(
            **vars(task.network), pixel_range=self._data.pixel_range, checkpoint=result
        )
        return fitted_attributes(fitted, self._data.classes, task.settings.precision)

    def _new_training(self) -> "Training":
        from fashioncnn._training.callback_copies import copy_callbacks
        from fashioncnn._training.loop import Training
        from fashioncnn._training.settings import TrainingTask, read_settings

        params = self._params
        self.callbacks = copy_callbacks(parse_callbacks(params["callbacks"]))
        settings = read_settings(params, parse_augment(params["augment"]))
        if self._is_partial:
            settings = settings.of_partial_fit()
        network = Network(
            self._architecture,
            self._scaling,
            Compilation(
                settings.optimizer, settings.learning_rate, settings.weight_decay, params["loss"]
            ),
            test_time_flip=bool(params["test_time_flip"]),
        )
        task = TrainingTask(network, self._before, self._split, settings)
        return Training(task, self.callbacks)

    def _train(self) -> None:
        """Train, from where the file says that this fit stands, if there is one."""
        training, file = self._training, self._file
        assert training is not None
        if file is None:
            training.run()
            return
        progress = file.read(_plan(training.task))
        if isinstance(progress, Checkpoint):
            training.result = progress
            return
        training.run(progress, lambda: file.write_if_due(training.state))
        if training.result is not None:
            file.write_result(training.result)


def _plan(task: "TrainingTask") -> Plan:
    """Return what decides what the file of a fit holds."""
    from fashioncnn._tensorflow.backend import n_threads

    settings = task.settings
    return Plan(
        task.network.architecture,
        task.checkpoint,
        task.n_epochs,
        has_sums=settings.weight_averaging > 0,
        has_validation=task.split.validation is not None,
        conditions=Conditions(settings.precision, n_threads()),
    )


def _initial_network(
    estimator: Any, data: TrainingData, previous: FittedNetwork | None
) -> tuple[Architecture, Checkpoint]:
    """Return the architecture, and its initial weights or where training has left it."""
    image_shape = data.images.pixels.shape[1:]
    architecture = build_architecture(vars(estimator), image_shape, len(data.classes))
    if previous is not None:
        previous.refuse_changes(architecture, estimator.scaling)
        return architecture, previous.checkpoint
    warn_of_architecture(architecture)
    seed = check_random_state(estimator.random_state).randint(np.iinfo(np.int32).max)
    return architecture, new_checkpoint(architecture, seed)


def _split(estimator: Any, data: TrainingData, checkpoint: Checkpoint) -> TrainingSplit:
    """Hold out a part, and warn if early stopping may cut off the schedule over the rest."""
    fraction = estimator.validation_fraction
    if fraction is None and estimator.early_stopping:
        fraction = _EARLY_STOPPING_FRACTION
    split = split_data(data, fraction, checkpoint.seeds.split)
    warn_of_cut_schedule(estimator, len(split.rows))
    return split
