# SPDX-License-Identifier: BSD-3-Clause
"""Keras callbacks in a training loop that is not Keras' own."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fashioncnn._network.fitted import Network
from fashioncnn._network.optimizers import OPTIMIZERS
from fashioncnn._tensorflow.backend import call_in_clean_thread, keras, tf
from fashioncnn._tensorflow.keras_model import build_compiled_network, weight_name
from fashioncnn._tensorflow.optimizers import UPDATE_RULES, keras_slots
from fashioncnn._tensorflow.steps import TrainingVariables
from fashioncnn._training.progress import OptimizerProgress

_TRAIN_BATCH_HOOKS = (  # the last two are what the first two call unless they are overridden
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_batch_begin",
    "on_batch_end",
)
_TEST_BATCH_HOOKS = ("on_test_batch_begin", "on_test_batch_end")


class Callbacks:
    """The callbacks of one training, and the compiled Keras model that they see.

    The variables of the model and of its optimizer are the ones that training changes. So callbacks
    see the weights as they are, and what they do to them holds. Without callbacks there is no
    model, and hooks do nothing.

    Parameters
    ----------
    callbacks : sequence of keras.callbacks.Callback
        They are called in this order.
    model : keras.Model or None
        The compiled model.
    variables : TrainingVariables or None
        The variables of the model and of its optimizer.

    Attributes
    ----------
    variables : TrainingVariables or None
        Those given; None without callbacks.
    has_batch_hooks, has_test_batch_hooks : bool
        Whether a callback wants to be called for each batch.
    first_epoch : int
        The epoch to start with: 0, unless a callback has restored a later one.
    show_progress : bool
        Whether a callback shows how far an epoch has come.
    stop_training : bool
        Whether a callback wants training to end.
    """

    _progress: OptimizerProgress  # set by `begin`

    def __init__(
        self,
        callbacks: Sequence[Any] = (),
        model: keras.Model | None = None,
        variables: TrainingVariables | None = None,
    ) -> None:
        self._callbacks = list(callbacks)
        self._model: Any = model
        self._optimizer: Any = None if model is None else model.optimizer
        self._settings = {} if model is None else _settings_of(model.optimizer)
        self.variables = variables
        self.has_batch_hooks = any(_overrides(each, _TRAIN_BATCH_HOOKS) for each in callbacks)
        self.has_test_batch_hooks = any(_overrides(each, _TEST_BATCH_HOOKS) for each in callbacks)
        self.show_progress = any(
            isinstance(each, keras.callbacks.ProgbarLogger) for each in callbacks
        )
        self.first_epoch = 0
        self.stop_training = False

    def begin(self, params: Mapping[str, Any], progress: OptimizerProgress) -> None:
        """Show callbacks the model, as it is before the first step, and call `on_train_begin`.

        Parameters
        ----------
        params : dict
            What callbacks find in their `params`: "verbose", "epochs" and "steps".
        progress : OptimizerProgress
            Tells the model's optimizer how far training has come, and is told the rates that
            callbacks set. Only a constant schedule lets them.
        """
        self._progress = progress
        if self._model is None:
            return
        self._model.stop_training = False
        if not any(isinstance(callback, keras.callbacks.History) for callback in self._callbacks):
            self._callbacks.append(keras.callbacks.History())
        for callback in self._callbacks:
            if isinstance(callback, keras.callbacks.History):
                self._model.history = callback  # others look for it, from the first hook on
        self._update_optimizer()
        for callback in self._callbacks:
            callback.set_params(dict(params))
            callback.set_model(self._model)
            if isinstance(callback, keras.callbacks.OrbaxCheckpoint):
                _refuse_saved_steps(callback, progress.iterations)
        self.call("on_train_begin", {})
        self.first_epoch = _restored_epoch(self._model)

    def call(self, hook: str, *args: Any) -> None:
        """Call a hook of every callback.

        Raises
        ------
        ValueError
            If a callback changes what does not follow callbacks here.
        """
        if self._model is None:
            return
        self._update_optimizer()
        for callback in self._callbacks:
            getattr(callback, hook)(*args)
            self._take_over_changes(type(callback).__name__)
            if "batch" not in hook:
                self._refuse_changes(type(callback).__name__)
        self.stop_training = bool(self._model.stop_training)

    def _update_optimizer(self) -> None:
        """Tell the model's optimizer how far training has come."""
        self._optimizer.iterations.assign(self._progress.iterations)
        self._optimizer.learning_rate.assign(self._progress.learning_rate)

    def _take_over_changes(self, name: str) -> None:
        """Take over the learning rate and the number of steps that a callback has set."""
        rate = self._optimizer.learning_rate
        if self._model.optimizer is not self._optimizer or not isinstance(rate, keras.Variable):
            raise ValueError(
                f"The callback {name} has changed the model's optimizer, which does not change the "
                "training here. A callback may set optimizer.learning_rate to a number; what else "
                "belongs to the optimizer are parameters of the classifier."
            )
        progress, iterations = self._progress, int(self._optimizer.iterations)
        is_restored, progress.iterations = iterations != progress.iterations, iterations
        if float(rate) == np.float32(progress.learning_rate):
            return
        if progress.schedule == "constant":
            progress.learning_rate = progress.chosen_rate = float(rate)
        elif is_restored:  # from a file, with the rate that its last step had
            rate.assign(progress.learning_rate)
        else:
            raise ValueError(
                f"The callback {name} has set the learning rate to {float(rate):g}, but "
                f"learning_rate_schedule={progress.schedule!r} decides it. Use "
                "learning_rate_schedule='constant', or leave the callback out."
            )

    def _refuse_changes(self, name: str) -> None:
        """Refuse changes that Keras would follow before its first step, and compiled steps do not.

        Hooks for batches are not checked, since there are many.
        """
        if not all(layer.trainable for layer in self._model.layers):
            raise ValueError(
                f"The callback {name} has frozen layers, but training here changes all of them. "
                "Let it set their weights back after each step, or leave it out."
            )
        changes = [
            key
            for key, value in _settings_of(self._optimizer).items()
            if value != self._settings[key]
        ]
        if changes:
            raise ValueError(
                f"The callback {name} has set {' and '.join(changes)} of the model's optimizer, "
                "which does not change the training here. A callback may set its learning_rate; "
                "weight_decay is a parameter of the classifier."
            )

    def begin_batch(self, step: int) -> None:
        """Call the hook before a step, where a callback has one for steps."""
        if self.has_batch_hooks:
            self.call("on_train_batch_begin", step, {})

    def end_batch(self, step: int, logs: Mapping[str, float]) -> None:
        """Call the hook after a step, with the epoch's metrics so far."""
        if self.has_batch_hooks:
            self.call("on_train_batch_end", step, dict(logs))

    def end_epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Call the hook after an epoch, counted from 0; callbacks add to the logs for others."""
        self.call("on_epoch_end", epoch, dict(sorted(logs.items())))

    def close(self) -> None:
        """Take the model away from the callbacks."""
        for callback in self._callbacks:
            _detach(callback)


def new_callbacks(callbacks: Sequence[Any], network: Network) -> Callbacks:
    """Give callbacks a model of their own; see `build_compiled_network`."""
    if not callbacks:
        return Callbacks()
    return Callbacks(callbacks, *call_in_clean_thread(lambda: _build_model(network)))


def _restored_epoch(model: keras.Model) -> int:
    """Return the epoch that a callback such as `BackupAndRestore` wants training to start with.

    Keras has no public name for it.
    """
    return model._initial_epoch or 0


def _build_model(network: Network) -> tuple[keras.Model, TrainingVariables]:
    """Build the model and its metrics, as Keras does in the first step of training."""
    model = build_compiled_network(network)
    probabilities = tf.one_hot([0], network.architecture.n_classes)
    is_sparse = network.compilation.loss == "sparse_categorical_crossentropy"
    model.compute_metrics(None, tf.constant([0]) if is_sparse else probabilities, probabilities)
    model.reset_metrics()
    rule = UPDATE_RULES[OPTIMIZERS[network.compilation.optimizer].update_rule]
    slots = keras_slots(model.optimizer, rule, model.trainable_weights)
    variables = TrainingVariables(
        weights={weight_name(weight): weight.value for weight in model.weights},
        slots=dict(zip(map(weight_name, model.trainable_weights), slots, strict=True)),
    )
    return model, variables


def _refuse_saved_steps(callback: Any, iterations: int) -> None:
    """Refuse a folder in which Orbax would not save: one whose last step is not before this fit's.

    Epochs count from 0 in each fit, batches go on.
    """
    first = 0 if callback.save_freq == "epoch" else iterations + 1
    latest = callback.checkpointer.latest
    if latest is not None and latest.step >= first:
        raise ValueError(
            f"The callback {type(callback).__name__} starts to save at step {first}, but "
            f"{callback.directory} has step {latest.step} already, and Orbax saves later steps "
            "only. Give each fit a new callback with a folder of its own; for several fits, as in "
            "a search, use ModelCheckpoint, which overwrites its file."
        )


def _detach(callback: Any) -> None:
    """Take the model away from a callback, and from those that it passes calls on to."""
    # Not the callback's own method, which may do much with a model.
    keras.callbacks.Callback.set_model(callback, None)
    for inner in vars(callback).values():
        is_callback = isinstance(inner, keras.callbacks.Callback)
        if is_callback and getattr(inner, "model", None) is not None:
            _detach(inner)


def _settings_of(optimizer: keras.optimizers.Optimizer) -> dict[str, Any]:
    return {
        name: value for name, value in optimizer.get_config().items() if name != "learning_rate"
    }


def _overrides(callback: Any, hooks: Sequence[str]) -> bool:
    """Say whether a callback has one of these hooks, in its class or, as some do, of its own."""
    return any(
        getattr(getattr(callback, hook), "__func__", None)
        is not getattr(keras.callbacks.Callback, hook)
        for hook in hooks
    )
