# SPDX-License-Identifier: BSD-3-Clause
"""The images of compiled steps as tensors: all at once, or those of a few steps."""

import numpy as np

from fashioncnn._network.data import LabelledImages, as_network_input, network_dtype
from fashioncnn._tensorflow.backend import Tensor, as_tensor, copied_as_tensor

_RESIDENT_BYTES = 2**26  # pixels up to this size become one tensor, larger ones a block per call


class ImageFeed:
    """Gives images, codes and weights to compiled steps.

    Small images are copied to tensors once, which no one else can change. Of large ones, those of
    the rows asked for are copied in each call.
    """

    def __init__(self, images: LabelledImages) -> None:
        self._images = images
        self._tensors: tuple[Tensor, ...] | None = None
        dtype = network_dtype(images.pixels.dtype)
        if images.pixels.size * dtype.itemsize <= _RESIDENT_BYTES:
            dtypes = dtype, images.codes.dtype, images.weights.dtype
            self._tensors = tuple(map(copied_as_tensor, images, dtypes))

    def take(self, rows: np.ndarray) -> tuple[tuple[Tensor, ...], np.ndarray]:
        """Return tensors that hold these rows, and the positions of the rows in them."""
        if self._tensors is not None:
            return self._tensors, rows
        pixels, codes, weights = (array[rows] for array in self._images)
        arrays = as_network_input(pixels), codes, weights
        return tuple(map(as_tensor, arrays)), np.arange(len(rows))
