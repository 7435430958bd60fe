# SPDX-License-Identifier: BSD-3-Clause
"""A trained network as a value: arrays and plain constants, which pickle without TensorFlow."""

import threading
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from fashioncnn._architecture import Architecture, Weights
from fashioncnn._scaling import PixelRange, Scaling

_model_lock = threading.Lock()


@dataclass(eq=False)
class FittedNetwork:
    """What training leaves behind. It never changes; a new training makes a new one.

    Attributes
    ----------
    architecture : Architecture
        The network.
    scaling : Scaling or None
        The constants of the scaling.
    pixel_range : PixelRange
        The smallest and the largest pixel value in training.
    weights : dict of ndarray
        The values of the weights by their names.
    compilation : tuple of str, float and str
        Optimizer, learning rate and loss for the Keras model.
    """

    architecture: Architecture
    scaling: Scaling | None
    pixel_range: PixelRange
    weights: Weights
    compilation: tuple[str, float, str]
    # What TensorFlow makes of the arrays, when it is first needed; never copied or pickled.
    _served: ClassVar[Any] = None  # the program, and the weights as tensors
    _model: ClassVar[Any] = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what TensorFlow made of the arrays."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """Compute the logits of images, float32 of shape (n, n_classes).

        Raises
        ------
        ValueError
            If a logit is not finite, which takes pixels far beyond those of training.
        """
        from fashioncnn._backend import undisturbed

        logits: np.ndarray = undisturbed(lambda: self._logits(pixels))
        if not np.isfinite(logits).all():
            raise ValueError(
                "The network's output is not finite for some images in X: their values, up to "
                f"{np.abs(pixels).max():g}, are far beyond those of training, "
                f"{self.pixel_range.low:g}..{self.pixel_range.high:g}."
            )
        return logits

    def _logits(self, pixels: np.ndarray) -> np.ndarray:
        from fashioncnn._backend import tf
        from fashioncnn._program import program_for

        if self._served is None:
            tensors = {name: tf.constant(value) for name, value in self.weights.items()}
            self._served = program_for(self.architecture), tensors  # type: ignore[misc]
        program, tensors = self._served
        return program.logits(tensors, self.scaling, pixels)

    def keras_model(self) -> Any:
        """Return the network as a compiled keras.Model, built when it is first asked for."""
        from fashioncnn._backend import untouched

        with _model_lock:
            if self._model is None:
                self._model = untouched(self._build_model)  # type: ignore[misc]
            return self._model

    def _build_model(self) -> Any:
        from fashioncnn._network import build_network, set_weights
        from fashioncnn._optimizers import OPTIMIZERS

        optimizer, learning_rate, loss = self.compilation
        model = build_network(self.architecture, self.scaling, softmax=True)
        set_weights(model, self.weights)
        model.compile(OPTIMIZERS[optimizer].to_keras(learning_rate), loss, metrics=["accuracy"])
        return model
