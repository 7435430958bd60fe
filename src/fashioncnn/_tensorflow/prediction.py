# SPDX-License-Identifier: BSD-3-Clause
"""Prediction: the weights of one network as tensors, folded, and batches of few sizes."""

import math
import weakref
from collections.abc import Sequence

import numpy as np

from fashioncnn._network.architecture import Weights
from fashioncnn._network.data import ImageSelection, as_network_input, network_dtype
from fashioncnn._network.fitted import FittedNetwork
from fashioncnn._network.folding import fold
from fashioncnn._network.scaling import Scaling, scaling_arrays
from fashioncnn._tensorflow.backend import (
    as_tensor,
    call_concrete_function,
    call_in_eager_mode,
    tf,
)
from fashioncnn._tensorflow.program import Program, program_for
from fashioncnn._tensorflow.start import Lock, get_or_make

_MAX_ACTIVATION_BYTES = 256 * 2**20  # of the largest feature map in a batch
# All places of a batch are computed by the same instructions only if the matrix product's inner
# kernel, of 6 rows on AVX2 and 8 on AVX-512, leaves no remainder; else they may round differently.
_BATCH_SIZES = (1, 24, 96, 480)
_KERNEL_ROWS = 24
_CALL_COST = 4  # beside its arithmetic, in images; measured with the default network


class Predictor:
    """What predicts with one network's weights; it never changes, and threads may share it.

    Parameters
    ----------
    program : Program
        The compiled network.
    weights : dict of ndarray
        The value of each weight by its name.
    scaling : Scaling or None
        The constants of the scaling.
    test_time_flip : bool, default=False
        Whether to average the logits of an image and of its mirror image.
    """

    def __init__(
        self,
        program: Program,
        weights: Weights,
        scaling: Scaling | None,
        *,
        test_time_flip: bool = False,
    ) -> None:
        self._program = program
        self._test_time_flip = test_time_flip
        architecture = program.architecture
        constants = scaling_arrays(scaling, architecture.image_shape[-1])
        self._folded, folded = fold(architecture, weights)
        self._tensors = [tf.constant(array) for array in (*constants, *folded.values())]
        n_passes = 2 if test_time_flip else 1  # TensorFlow may compute both at once
        self._batch_sizes = batch_sizes(architecture.largest_activation * n_passes)

    def logits(self, pixels: np.ndarray | ImageSelection) -> np.ndarray:
        """Compute the logits of images.

        All images of a call go through batches of one size, padded at the end, so that an image's
        result depends neither on its neighbours nor on its place.

        Parameters
        ----------
        pixels : ndarray or ImageSelection of shape (n, h, w, c)
            The images, copied and cast batch by batch.

        Returns
        -------
        logits : ndarray of shape (n, n_classes), float32
            The values that softmax turns into probabilities.
        """
        forward = self._program.forward_function(
            self._folded, network_dtype(pixels.dtype).name, test_time_flip=self._test_time_flip
        )
        size = choose_batch_size(len(pixels), self._batch_sizes)
        logits = np.empty((len(pixels), self._program.architecture.n_classes), np.float32)
        for start in range(0, len(pixels), size):
            batch = as_network_input(pixels[start : start + size])
            n_images = len(batch)
            if n_images < size:
                batch = np.pad(batch, [(0, size - n_images)] + [(0, 0)] * 3)
            (result,) = call_concrete_function(forward, *self._tensors, as_tensor(batch))
            logits[start : start + size] = result.numpy()[:n_images]
        return logits


_predictors: weakref.WeakKeyDictionary[FittedNetwork, Predictor] = weakref.WeakKeyDictionary()
_predictors_lock = Lock()


def predict_logits(network: FittedNetwork, pixels: np.ndarray) -> np.ndarray:
    """Compute the logits of images, float32 of shape (n, n_classes)."""
    logits: np.ndarray = call_in_eager_mode(lambda: _predictor_for(network).logits(pixels))
    return logits


def _predictor_for(network: FittedNetwork) -> Predictor:
    """Return the one predictor of a network, made when it is first asked for."""

    def make() -> Predictor:
        return Predictor(
            program_for(network.architecture),
            network.weights,
            network.scaling,
            test_time_flip=network.test_time_flip,
        )

    return get_or_make(_predictors, network, make, _predictors_lock)


def batch_sizes(largest_activation: int) -> list[int]:
    """Return the sizes of batches for a network, by the number of values in its largest map."""
    most = _MAX_ACTIVATION_BYTES // (4 * largest_activation)
    most = max(1, most - most % _KERNEL_ROWS if most > _KERNEL_ROWS else most)
    return sorted({min(size, most) for size in _BATCH_SIZES})


def choose_batch_size(n_images: int, sizes: Sequence[int]) -> int:
    """Return the size with the least work for n images, padding and calls included."""
    return min(sizes, key=lambda size: math.ceil(n_images / size) * (size + _CALL_COST))
