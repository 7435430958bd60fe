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
from fashioncnn._network.data import as_network_input
from fashioncnn._network.fitted import FittedNetwork
from fashioncnn._network.folding import fold_weights
from fashioncnn._network.products import multiply, multiply_vector
from fashioncnn._network.scaling import Scaling, scaling_arrays

_MAX_WINDOW_VALUES = 2**20  # that are copied at a time for a convolution

# NumPy computes in one thread, and starts at once. TensorFlow computes in all, but a call costs it
# time, and it pads few images to a batch of 24. Measured: NumPy is faster up to 8 to 12 images of
# networks of 10**4 to 4 * 10**7 multiplications, and up to one or none of those of 10**8 and more.
_MOST_IMAGES = 8
_MOST_MULTIPLICATIONS = 2**28  # in a call


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
    """

    def __init__(
        self, architecture: Architecture, weights: Weights, scaling: Scaling | None
    ) -> None:
        self._scale, self._offset = scaling_arrays(scaling, architecture.image_shape[-1])
        self._steps = list(_steps(architecture, fold_weights(architecture, weights)))
        self._n_classes = architecture.n_classes

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
        prefix = f"{layer.name}/"
        weights = {
            name.removeprefix(prefix): value
            for name, value in folded.items()
            if name.startswith(prefix)
        }
        finish = postponed.get(layer.name)
        if "bias" in weights:
            finish = partial(_finish, layer, weights)
            user = last_user.get(layer.name)
            if (
                user is not None
                and user.kind == "MaxPooling2D"
                and n_uses[layer.name] == 1
                and layer.config["activation"] in MONOTONE
            ):
                postponed[user.name], finish = finish, None
        spent = tuple(name for name in {*layer.inputs} if last_user[name] is layer)
        compute = partial(_OPERATIONS[layer.kind], layer, weights)
        yield _Step(layer.name, layer.inputs, compute, finish, spent)


def _finish(layer: Layer, weights: Weights, values: np.ndarray) -> np.ndarray:
    """Add the bias to an array that nothing else needs, and activate."""
    values += weights["bias"]
    return ACTIVATIONS[layer.config["activation"]](values)


def _convolve(layer: Layer, weights: Weights, values: np.ndarray) -> np.ndarray:
    """Multiply all windows by the kernel, which takes a copy of the windows, piece by piece."""
    height, width, filters = layer.output_shape
    kernel = weights["kernel"].reshape(-1, filters)
    if layer.config["padding"] == "same":
        values = _padded(values, layer.config["kernel_size"])
    windows = _windows(values, layer)
    products = np.empty(layer.output_shape, np.float32)
    flat = products.reshape(-1, filters)
    start = 0
    for piece in _pieces(height, width, len(kernel)):
        rows = windows[piece].reshape(-1, len(kernel))
        multiply(rows, kernel, flat[start : start + len(rows)])
        start += len(rows)
    return products


def _windows(values: np.ndarray, layer: Layer) -> np.ndarray:
    """View the map as windows: (output height, output width, kernel height, kernel width * c)."""
    height, width, _ = layer.output_shape
    kernel_height, kernel_width = layer.config["kernel_size"]
    row, pixel, value = values.strides
    shape = height, width, kernel_height, kernel_width * values.shape[-1]
    return np.lib.stride_tricks.as_strided(values, shape, (row, pixel, row, value))


def _pieces(height: int, width: int, n_values: int) -> Iterator[tuple[slice, slice]]:
    """Divide a map whose every pixel has a window of so many values, in the order of pixels."""
    rows = max(1, _MAX_WINDOW_VALUES // (width * n_values))
    columns = width if rows > 1 else max(1, _MAX_WINDOW_VALUES // n_values)
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            yield slice(top, top + rows), slice(left, left + columns)


def _padded(values: np.ndarray, kernel_size: tuple[int, int]) -> np.ndarray:
    """Add zeros around a map, so that a convolution leaves its size; the odd ones come last."""
    height, width, channels = values.shape
    kernel_height, kernel_width = kernel_size
    padded = np.zeros((height + kernel_height - 1, width + kernel_width - 1, channels), np.float32)
    top, left = (kernel_height - 1) // 2, (kernel_width - 1) // 2
    padded[top : top + height, left : left + width] = values
    return padded


def _max_pool(layer: Layer, weights: Weights, values: np.ndarray) -> np.ndarray:
    """Take the larger of rows, then of columns: slices are compared faster than windows."""
    height, width, _ = layer.output_shape
    pool_height, pool_width = layer.config["pool_size"]
    whole = values[: height * pool_height, : width * pool_width]
    of_rows = reduce(np.maximum, (whole[i::pool_height] for i in range(pool_height)))
    return reduce(np.maximum, (of_rows[:, i::pool_width] for i in range(pool_width)))


def _normalize(layer: Layer, weights: Weights, values: np.ndarray) -> np.ndarray:
    if "scale" in weights:
        values = values * weights["scale"]
    return values + weights["shift"]


def _multiply(layer: Layer, weights: Weights, values: np.ndarray) -> np.ndarray:
    return multiply_vector(values, weights["kernel"])


def _activate(layer: Layer, weights: Weights, values: np.ndarray) -> np.ndarray:
    return ACTIVATIONS[layer.config["activation"]](values)


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
    "BatchNormalization": _normalize,
    "Conv2D": _convolve,
    "Dense": _multiply,
    "Dropout": _pass_on,
    "Flatten": _flatten,
    "GlobalAveragePooling2D": _global_average_pool,
    "GlobalMaxPooling2D": _global_max_pool,
    "MaxPooling2D": _max_pool,
}


def most_images(architecture: Architecture) -> int:
    """Return up to how many images NumPy predicts sooner than TensorFlow; at least one."""
    return max(1, min(_MOST_IMAGES, _MOST_MULTIPLICATIONS // architecture.n_multiplications))


_predictors: weakref.WeakKeyDictionary[FittedNetwork, NumpyPredictor] = weakref.WeakKeyDictionary()


def predict_logits(network: FittedNetwork, pixels: np.ndarray) -> np.ndarray:
    """Compute the logits of images, float32 of shape (n, n_classes)."""
    predictor = _predictors.get(network)
    if predictor is None:  # two threads may make one each: no lock can be held at a fork
        predictor = NumpyPredictor(network.architecture, network.weights, network.scaling)
        _predictors[network] = predictor
    return predictor.logits(pixels)
