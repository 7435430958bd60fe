# SPDX-License-Identifier: BSD-3-Clause
"""Prediction by NumPy, image by image: without TensorFlow, and in forked processes.

An image's result depends on nothing but the image. Nothing here waits for a lock.
"""

import weakref
from collections.abc import Callable, Iterator, Mapping
from functools import partial, reduce
from typing import NamedTuple

import numpy as np

from fashioncnn._network.activations import ACTIVATIONS, MONOTONE
from fashioncnn._network.architecture import IMAGE, Architecture, Layer, Weights
from fashioncnn._network.convolution import convolve, prepared_kernel
from fashioncnn._network.data import as_network_input
from fashioncnn._network.fitted import FittedNetwork
from fashioncnn._network.folding import fold
from fashioncnn._network.products import multiply_vector
from fashioncnn._network.scaling import Scaling, scaling_arrays

# NumPy computes in one thread, and starts at once. TensorFlow computes in all, but a call costs it
# time, and it pads few images to a batch of 24. Measured with two cores: NumPy is faster up to 10
# images of networks of 10**4 to 10**7 multiplications, up to 6 of those of 3 * 10**7, and mostly
# for none of those of 5 * 10**7 and more. A second pass, over mirror images, counts as arithmetic.
_MOST_IMAGES = 8
_MOST_MULTIPLICATIONS = 2**27  # in a call


class _Step(NamedTuple):
    """The computation of one layer."""

    name: str
    inputs: tuple[str, ...]
    compute: Callable[..., np.ndarray]
    finish: Callable[[np.ndarray], np.ndarray] | None  # adds a bias and activates
    spent: tuple[str, ...]  # the inputs that no later layer uses


class NumpyPredictor:
    """What predicts with one network's weights; it never changes, and threads may share it.

    Parameters
    ----------
    architecture : Architecture
        The layers.
    weights : dict of ndarray
        The value of each weight by its name.
    scaling : Scaling or None
        The constants of the scaling.
    test_time_flip : bool, default=False
        Whether to average the logits of an image and of its mirror image.
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: Weights,
        scaling: Scaling | None,
        *,
        test_time_flip: bool = False,
    ) -> None:
        self._scale, self._offset = scaling_arrays(scaling, architecture.image_shape[-1])
        self._steps = list(_steps(*fold(architecture, weights)))
        self._n_classes = architecture.n_classes
        self._test_time_flip = test_time_flip

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """Compute the logits of images.

        Parameters
        ----------
        pixels : ndarray of shape (n, h, w, c)
            The images, of any dtype of numbers.

        Returns
        -------
        logits : ndarray of shape (n, n_classes), float32
            The values that softmax turns into probabilities.
        """
        logits = np.empty((len(pixels), self._n_classes), np.float32)
        with np.errstate(all="ignore"):  # what is not finite is refused later
            for i in range(len(pixels)):
                logits[i] = self._logits_of(as_network_input(pixels[i]))
                if self._test_time_flip:
                    mirrored = as_network_input(pixels[i, :, ::-1])
                    logits[i] = (logits[i] + self._logits_of(mirrored)) / 2
        return logits

    def _logits_of(self, image: np.ndarray) -> np.ndarray:
        outputs = {IMAGE: image * self._scale + self._offset}
        for step in self._steps:
            values = step.compute(*(outputs[name] for name in step.inputs))
            outputs[step.name] = step.finish(values) if step.finish else values
            for name in step.spent:
                del outputs[name]
        return outputs[self._steps[-1].name]


def _steps(architecture: Architecture, folded: Weights) -> Iterator[_Step]:
    """Order the computation, with bias and activation after max pooling where they may be."""
    last_user = {name: layer for layer in architecture.layers for name in layer.inputs}
    n_uses = architecture.n_uses
    postponed: dict[str, Callable[[np.ndarray], np.ndarray]] = {}  # by the layer that does it
    for layer in architecture.layers:
        weights = {name: folded[f"{layer.name}/{name}"] for name in layer.weights}
        if layer.kind == "Conv2D":
            weights["kernel"] = prepared_kernel(weights["kernel"])
        finish = postponed.get(layer.name)
        if "bias" in weights:
            finish = partial(_finish, layer, weights)
            if (
                n_uses[layer.name] == 1
                and last_user[layer.name].kind == "MaxPooling2D"
                and layer.config["activation"] in MONOTONE
            ):
                postponed[last_user[layer.name].name], finish = finish, None
        spent = tuple(name for name in {*layer.inputs} if last_user[name] is layer)
        compute = partial(_OPERATIONS[layer.kind], layer, weights)
        yield _Step(layer.name, layer.inputs, compute, finish, spent)


def _finish(layer: Layer, weights: Weights, values: np.ndarray) -> np.ndarray:
    """Add the bias to an array that nothing else needs, and activate."""
    values += weights["bias"]
    return ACTIVATIONS[layer.config["activation"]](values)


def _convolve(layer: Layer, weights: Weights, values: np.ndarray) -> np.ndarray:
    return convolve(layer, weights["kernel"], values)


def _max_pool(layer: Layer, weights: Weights, values: np.ndarray) -> np.ndarray:
    """Take the larger of rows, then of columns: slices are compared faster than windows."""
    height, width, _ = layer.output_shape
    pool_height, pool_width = layer.config["pool_size"]
    whole = values[: height * pool_height, : width * pool_width]
    of_rows = reduce(np.maximum, (whole[i::pool_height] for i in range(pool_height)))
    return reduce(np.maximum, (of_rows[:, i::pool_width] for i in range(pool_width)))


def _normalize(layer: Layer, weights: Weights, values: np.ndarray) -> np.ndarray:
    return values * weights["scale"] + weights["shift"]


def _multiply(layer: Layer, weights: Weights, values: np.ndarray) -> np.ndarray:
    return multiply_vector(values, weights["kernel"])


def _activate(layer: Layer, weights: Weights, values: np.ndarray) -> np.ndarray:
    return ACTIVATIONS[layer.config["activation"]](values)


def _add(layer: Layer, weights: Weights, *inputs: np.ndarray) -> np.ndarray:
    return reduce(np.add, inputs)


def _global_average_pool(layer: Layer, weights: Weights, values: np.ndarray) -> np.ndarray:
    return values.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)


def _global_max_pool(layer: Layer, weights: Weights, values: np.ndarray) -> np.ndarray:
    largest: np.ndarray = values.max(axis=(0, 1))
    return largest


def _flatten(layer: Layer, weights: Weights, values: np.ndarray) -> np.ndarray:
    return values.reshape(-1)


def _pass_on(layer: Layer, weights: Weights, values: np.ndarray) -> np.ndarray:
    return values


_OPERATIONS: Mapping[str, Callable[..., np.ndarray]] = {
    "Activation": _activate,
    "Add": _add,
    "BatchNormalization": _normalize,
    "Conv2D": _convolve,
    "Dense": _multiply,
    "Dropout": _pass_on,
    "Flatten": _flatten,
    "GlobalAveragePooling2D": _global_average_pool,
    "GlobalMaxPooling2D": _global_max_pool,
    "MaxPooling2D": _max_pool,
}


def most_images(architecture: Architecture, *, test_time_flip: bool = False) -> int:
    """Return up to how many images NumPy predicts sooner than TensorFlow; at least one."""
    n_multiplications = architecture.n_multiplications * (2 if test_time_flip else 1)
    return max(1, min(_MOST_IMAGES, _MOST_MULTIPLICATIONS // n_multiplications))


_predictors: weakref.WeakKeyDictionary[FittedNetwork, NumpyPredictor] = weakref.WeakKeyDictionary()


def predict_logits(network: FittedNetwork, pixels: np.ndarray) -> np.ndarray:
    """Compute the logits of images, float32 of shape (n, n_classes)."""
    predictor = _predictors.get(network)
    if predictor is None:  # two threads may make one each: no lock can be held at a fork
        predictor = NumpyPredictor(
            network.architecture,
            network.weights,
            network.scaling,
            test_time_flip=network.test_time_flip,
        )
        _predictors[network] = predictor
    return predictor.logits(pixels)
