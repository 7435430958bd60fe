# SPDX-License-Identifier: BSD-3-Clause
"""Prediction: the weights of one network as tensors, folded, and batches of few sizes."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from fashioncnn._inputs.fit_data import Selection
from fashioncnn._inputs.images import as_network_input, network_dtype
from fashioncnn._network.architecture import Architecture, Weights
from fashioncnn._network.scaling import Scaling, scaling_arrays
from fashioncnn._tensorflow.backend import as_tensor, tf
from fashioncnn._tensorflow.program import Program

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
    """

    def __init__(self, program: Program, weights: Weights, scaling: Scaling | None) -> None:
        self._program = program
        architecture = program.architecture
        constants = scaling_arrays(scaling, architecture.image_shape[-1])
        folded = folded_weights(architecture, weights)
        self._shapes = {name: value.shape for name, value in folded.items()}
        self._tensors = [tf.constant(array) for array in (*constants, *folded.values())]
        self._batch_sizes = batch_sizes(architecture.largest_activation)

    def logits(self, pixels: np.ndarray | Selection) -> np.ndarray:
        """Compute the logits of images.

        All images of a call go through batches of one size, padded at the end, so that an image's
        result depends neither on its neighbours nor on its place.

        Parameters
        ----------
        pixels : ndarray or Selection of shape (n, h, w, c)
            The images, copied and cast batch by batch.

        Returns
        -------
        logits : ndarray of shape (n, n_classes), float32
            The values that softmax turns into probabilities.
        """
        forward = self._program.forward_function(self._shapes, network_dtype(pixels.dtype).name)
        size = choose_batch_size(len(pixels), self._batch_sizes)
        logits = np.empty((len(pixels), self._program.architecture.n_classes), np.float32)
        for start in range(0, len(pixels), size):
            batch = as_network_input(pixels[start : start + size])
            n_images = len(batch)
            if n_images < size:
                batch = np.pad(batch, [(0, size - n_images)] + [(0, 0)] * 3)
            # The function itself would spend as long again on the structure of its arguments, and
            # an operation that calls it, PartitionedCall, would keep it for ever.
            (result,) = forward.inference_fn.call_flat(*self._tensors, as_tensor(batch))
            logits[start : start + size] = result.numpy()[:n_images]
        return logits


def folded_weights(architecture: Architecture, weights: Weights) -> Weights:
    """Make of each batch normalisation a shift, and a factor of the convolution before it.

    With pooling between the two, which a negative factor would turn around, it stays a factor of
    its own: "scale".
    """
    folded = {name: weights[name] for name in architecture.weight_shapes}  # in the program's order
    for before, layer in pairwise(architecture.layers):
        if layer.kind != "BatchNormalization":
            continue
        with np.errstate(all="ignore"):  # of weights that have diverged, as their logits tell
            gamma, beta, mean, variance = (
                folded.pop(f"{layer.name}/{variable}").astype(np.float64)
                for variable in ("gamma", "beta", "moving_mean", "moving_variance")
            )
            scale = gamma / np.sqrt(variance + layer.config["epsilon"])
            values = {f"{layer.name}/shift": beta - mean * scale}
            if before.kind == "Conv2D":
                kernel = f"{before.name}/kernel"
                values[kernel] = folded[kernel] * scale
            else:
                values[f"{layer.name}/scale"] = scale
            folded |= {name: value.astype(np.float32) for name, value in values.items()}
    return folded


def batch_sizes(largest_activation: int) -> list[int]:
    """Return the sizes of batches for a network, by the number of values in its largest map."""
    most = _MAX_ACTIVATION_BYTES // (4 * largest_activation)
    most = max(1, most - most % _KERNEL_ROWS if most > _KERNEL_ROWS else most)
    return sorted({min(size, most) for size in _BATCH_SIZES})


def choose_batch_size(n_images: int, sizes: Sequence[int]) -> int:
    """Return the size with the least work for n images, padding and calls included."""
    return min(sizes, key=lambda size: math.ceil(n_images / size) * (size + _CALL_COST))
