# SPDX-License-Identifier: BSD-3-Clause
"""One fit of checked data: from parameters and data to what training leaves behind."""

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from fashioncnn._inputs.architecture import build_architecture, warn_of_many_parameters
from fashioncnn._inputs.fit_data import (
    TrainingData,
    split_data,
    train_on_all,
    warn_of_cut_schedule,
)
from fashioncnn._inputs.nested import parse_augment, parse_callbacks
from fashioncnn._network.architecture import Architecture
from fashioncnn._network.checkpoint import Checkpoint, new_checkpoint
from fashioncnn._network.data import TrainingSplit
from fashioncnn._network.fitted import Compilation, FittedNetwork, Network, fitted_attributes
from fashioncnn._network.scaling import fit_scaling
from fashioncnn._tensorflow.start import start_tensorflow

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

    def __init__(
        self,
        estimator: Any,
        data: TrainingData,
        previous: FittedNetwork | None,
        *,
        is_partial: bool,
    ) -> None:
        params = vars(estimator)
        architecture, checkpoint = _initial_network(estimator, data, previous)
        split = train_on_all(data) if is_partial else _split(estimator, data, checkpoint)
        if previous is not None:
            scaling = previous.scaling
        else:
            pixels, dtype = data.images.pixels, data.source_dtype
            scaling = fit_scaling(params["scaling"], pixels, split.rows, dtype, is_piece=is_partial)

        start_tensorflow()
        from fashioncnn._training.callback_copies import copy_callbacks
        from fashioncnn._training.loop import Training
        from fashioncnn._training.settings import TrainingTask, read_settings

        self.callbacks = copy_callbacks(parse_callbacks(estimator.callbacks))
        settings = read_settings(params, parse_augment(estimator.augment))
        if is_partial:
            settings = settings.of_partial_fit()
        compilation = Compilation(
            settings.optimizer, settings.learning_rate, settings.weight_decay, estimator.loss
        )
        network = Network(
            architecture, scaling, compilation, test_time_flip=bool(estimator.test_time_flip)
        )
        task = TrainingTask(network, checkpoint, split, settings)
        self._training = Training(task, self.callbacks)
        self._data = data

    def run(self) -> None:
        """Train; what is interrupted leaves the epochs that were complete in `result`."""
        from fashioncnn._tensorflow.backend import call_in_eager_mode

        call_in_eager_mode(self._training.run)

    @property
    def result(self) -> Checkpoint | None:
        """What training has left so far, None before the end of the first epoch."""
        return self._training.result

    def attributes(self) -> dict[str, Any]:
        """Return the fitted attributes that follow from the result."""
        task, result = self._training.task, self.result
        assert result is not None
        fitted = FittedNetwork(
            **vars(task.network), pixel_range=self._data.pixel_range, checkpoint=result
        )
        return fitted_attributes(fitted, self._data.classes, task.settings.precision)


def _initial_network(
    estimator: Any, data: TrainingData, previous: FittedNetwork | None
) -> tuple[Architecture, Checkpoint]:
    """Return the architecture, and its initial weights or where training has left it."""
    image_shape = data.images.pixels.shape[1:]
    architecture = build_architecture(vars(estimator), image_shape, len(data.classes))
    if previous is not None:
        previous.refuse_changes(architecture, estimator.scaling)
        return architecture, previous.checkpoint
    warn_of_many_parameters(architecture)
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
