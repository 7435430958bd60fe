# SPDX-License-Identifier: BSD-3-Clause
"""A network before and after training, as a value: arrays and plain constants."""

import math
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NamedTuple

import numpy as np

from fashioncnn._messages import TRAIN_ANEW
from fashioncnn._network.architecture import Architecture, Weights
from fashioncnn._network.checkpoint import Checkpoint
from fashioncnn._network.pixel_range import PixelRange, pixel_range
from fashioncnn._network.scaling import Scaling

Loss = Literal["categorical_crossentropy", "sparse_categorical_crossentropy"]

_PARAMETERS = {"kernel_sizes": "kernel_size", "pool_sizes": "pool_size"}  # by field
_CHANGEABLE = ("conv_dropouts", "dense_dropout")  # they change no weight
_FAR = 1000  # times as large: pixels that alone may drive the output beyond float32


class Compilation(NamedTuple):
    """What the Keras model is compiled with."""

    optimizer: str
    learning_rate: float
    weight_decay: float
    loss: str


@dataclass(frozen=True, eq=False)
class Network:
    """What is known of a network before training.

    Attributes
    ----------
    architecture : Architecture
        Its layers.
    scaling : Scaling or None
        The constants of the scaling.
    compilation : Compilation
        Optimizer and loss of the Keras model.
    test_time_flip : bool
        Whether it predicts the mean of the logits of a picture and of its mirror image.
    """

    architecture: Architecture
    scaling: Scaling | None
    compilation: Compilation
    test_time_flip: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, eq=False)
class FittedNetwork(Network):
    """What training leaves behind. It never changes; a new training makes a new one.

    Equality and hash are those of the object, so that what is made of it can be kept in weak maps.

    Attributes
    ----------
    pixel_range : PixelRange
        The pixel values of all images that were passed for training.
    checkpoint : Checkpoint
        The weights, and what a continued training needs.
    """

    pixel_range: PixelRange
    checkpoint: Checkpoint

    @property
    def weights(self) -> Weights:
        """The values of the weights by their names."""
        return self.checkpoint.weights

    def refuse_changes(self, architecture: Architecture, scaling: str | None) -> None:
        """Let training go on with this network only; dropout rates may change.

        Raises
        ------
        ValueError
            If the parameters ask for another network.
        """
        ours = {**vars(self.architecture), "scaling": self.scaling and self.scaling.kind}
        theirs = {**vars(architecture), "scaling": scaling}
        changes = [
            f"{_PARAMETERS.get(name, name)} was {ours[name]!r} and is {theirs[name]!r}"
            for name in [*(each.name for each in fields(Architecture)), "scaling"]
            if name not in _CHANGEABLE and ours[name] != theirs[name]
        ]
        if changes:
            raise ValueError(
                "Training goes on with the network of the fit before, but parameters have changed: "
                f"{'; '.join(changes)}. Set them back. {TRAIN_ANEW}"
            )

    def refuse_non_finite(self, logits: np.ndarray, pixels: np.ndarray) -> None:
        """Check the logits that this network has computed of some pixels.

        Raises
        ------
        ValueError
            If a logit is not finite, which takes pixels far beyond those of training, or weights
            that the last steps of training have driven there.
        """
        if not np.isfinite(logits).all():
            raise ValueError(
                f"The network's output is not finite for some images in X. {self._cause(pixels)}"
            )

    def _cause(self, pixels: np.ndarray) -> str:
        values, ours = pixel_range(pixels, pixels.dtype), self.pixel_range
        if max(-values.low, values.high) > _FAR * max(-ours.low, ours.high):
            return (
                f"They have values within {values.low:g}..{values.high:g}, which is far beyond "
                f"those of training, {ours.low:g}..{ours.high:g}. Pass pixels on the same "
                "scale."
            )
        largest = max(float(np.abs(weight).max()) for weight in self.weights.values())
        return (
            f"Training has diverged: weights are as large as {largest:g}. Fit again with a lower "
            f"learning_rate{' or weight_decay' if self.compilation.weight_decay else ''}."
        )


def fitted_attributes(
    network: FittedNetwork, classes: np.ndarray, precision: str
) -> dict[str, Any]:
    """Return the attributes of a classifier that has trained a network.

    Parameters
    ----------
    network : FittedNetwork
        What training has left behind.
    classes : ndarray of shape (n_classes,)
        The labels, sorted.
    precision : {"float32", "bfloat16"}
        The arithmetic of training.
    """
    checkpoint, image_shape = network.checkpoint, network.architecture.image_shape
    return {
        "best_epoch_": checkpoint.best_epoch,
        "classes_": classes,
        "history_": {name: list(values) for name, values in checkpoint.history.items()},
        "image_shape_": image_shape,
        "n_features_in_": math.prod(image_shape),
        "n_iter_": checkpoint.n_epochs,
        "precision_": precision,
        "_network": network,
    }
