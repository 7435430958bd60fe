# SPDX-License-Identifier: BSD-3-Clause
"""A trained network as a value: arrays and plain constants, which pickle without TensorFlow."""

import threading
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

import numpy as np

from fashioncnn._network.architecture import Architecture, Weights
from fashioncnn._network.checkpoint import Checkpoint
from fashioncnn._network.scaling import PixelRange, Scaling, pixel_range
from fashioncnn._tensorflow.start import start_tensorflow

_model_lock = threading.Lock()
_PARAMETERS = {"kernel_sizes": "kernel_size", "pool_sizes": "pool_size"}  # by field


class Compilation(NamedTuple):
    """What the Keras model is compiled with."""

    optimizer: str
    learning_rate: float
    weight_decay: float
    loss: str


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
    checkpoint : Checkpoint
        The weights, and what a continued training needs.
    compilation : Compilation
        Optimizer and loss for the Keras model.
    """

    architecture: Architecture
    scaling: Scaling | None
    pixel_range: PixelRange
    checkpoint: Checkpoint
    compilation: Compilation
    # What TensorFlow makes of the arrays, when it is first needed; never copied or pickled.
    _predictor: ClassVar[Any] = None
    _model: ClassVar[Any] = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what TensorFlow made of the arrays."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def refuse_changes(self, architecture: Architecture, scaling: str | None) -> None:
        """Let training go on with this network only; rates of dropout may change.

        Raises
        ------
        ValueError
            If the parameters ask for another network.
        """
        ours = {**vars(self.architecture), "scaling": self.scaling and self.scaling.kind}
        theirs = {**vars(architecture), "scaling": scaling}
        changes = [
            f"{_PARAMETERS.get(name, name)} was {ours[name]!r} and is {theirs[name]!r}"
            for name in [*(field.name for field in fields(Architecture)), "scaling"]
            if name not in ("conv_dropouts", "dense_dropout") and ours[name] != theirs[name]
        ]
        if changes:
            raise ValueError(
                "Training goes on with the network of the fit before, but parameters have changed: "
                f"{'; '.join(changes)}. Set them back, or fit with warm_start=False."
            )

    @property
    def weights(self) -> Weights:
        """The values of the weights by their names."""
        return self.checkpoint.weights

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """Compute the logits of images, float32 of shape (n, n_classes).

        Raises
        ------
        ValueError
            If a logit is not finite, which takes pixels far beyond those of training, or weights
            that the last steps of training have driven there.
        """
        start_tensorflow()
        from fashioncnn._tensorflow.backend import undisturbed

        logits: np.ndarray = undisturbed(lambda: self._logits(pixels))
        if not np.isfinite(logits).all():
            raise ValueError(
                f"The network's output is not finite for some images in X. {self._cause(pixels)}"
            )
        return logits

    def _cause(self, pixels: np.ndarray) -> str:
        values = pixel_range(pixels)
        if values.low < self.pixel_range.low or values.high > self.pixel_range.high:
            return (
                f"They have values within {values.low:g}..{values.high:g}, which is far beyond "
                f"those of training, {self.pixel_range.low:g}..{self.pixel_range.high:g}. Pass "
                "pixels on the same scale."
            )
        largest = max(float(np.abs(weight).max()) for weight in self.weights.values())
        return (
            f"Training has diverged: weights are as large as {largest:g}. Fit again with a lower "
            "learning_rate."
        )

    def _logits(self, pixels: np.ndarray) -> np.ndarray:
        if self._predictor is None:
            from fashioncnn._tensorflow.prediction import Predictor
            from fashioncnn._tensorflow.program import program_for

            program = program_for(self.architecture)
            self._predictor = Predictor(program, self.weights, self.scaling)  # type: ignore[misc]
        return self._predictor.logits(pixels)

    def keras_model(self) -> Any:
        """Return the network as a compiled keras.Model, built when it is first asked for."""
        start_tensorflow()
        from fashioncnn._tensorflow.backend import untouched

        with _model_lock:
            if self._model is None:
                self._model = untouched(self._build_model)  # type: ignore[misc]
            return self._model

    def _build_model(self) -> Any:
        from fashioncnn._tensorflow.keras_model import build_compiled_network, set_weights

        model = build_compiled_network(self.architecture, self.scaling, self.compilation)
        set_weights(model, self.weights)
        return model
