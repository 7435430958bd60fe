# SPDX-License-Identifier: BSD-3-Clause
"""The images of compiled steps as tensors: all at once, or those of a few steps."""

import numpy as np

from fashioncnn._network.augmentation import Augmentation
from fashioncnn._network.data import LabelledImages, as_network_input, network_dtype
from fashioncnn._tensorflow.backend import Tensor, as_tensor, copied_as_tensor
from fashioncnn._training.augmentation import Changes, change_images, draw_changes

_RESIDENT_BYTES = 2**26  # pixels up to this size become one tensor, larger ones a block per call


class ImageFeed:
    """Gives images, codes and weights to compiled steps.

    Small images are copied once, so that no one else can change them, and become tensors. Of large
    ones, and of those that change from epoch to epoch, the rows asked for do so in each call.

    Parameters
    ----------
    images : LabelledImages
        All images.
    augmentation : Augmentation or None, default=None
        How they change.
    seed : int, default=0
        Decides what happens to each.
    """

    _changes: Changes  # in this epoch

    def __init__(
        self, images: LabelledImages, augmentation: Augmentation | None = None, seed: int = 0
    ) -> None:
        self._images, self._augmentation, self._seed = images, augmentation, seed
        self._tensors: tuple[Tensor, ...] | None = None
        dtype = network_dtype(images.pixels.dtype)
        if images.pixels.size * dtype.itemsize > _RESIDENT_BYTES:
            return
        dtypes = dtype, images.codes.dtype, images.weights.dtype
        if augmentation:
            with np.errstate(under="ignore"):
                copies = (np.array(*pair, order="C") for pair in zip(images, dtypes, strict=True))
                self._images = LabelledImages(*copies)
        else:
            self._tensors = tuple(map(copied_as_tensor, images, dtypes))

    def begin_epoch(self, epoch: int) -> None:
        """Decide what happens to the images in an epoch, counted from 0 since the initial weights.

        A row has the same changes in whatever call it is taken.
        """
        if self._augmentation:
            n_images, *image_shape = self._images.pixels.shape
            self._changes = draw_changes(
                self._augmentation, n_images, tuple(image_shape), self._seed, epoch
            )

    def take(self, rows: np.ndarray) -> tuple[tuple[Tensor, ...], np.ndarray]:
        """Return tensors that hold these rows, and the positions of the rows in them."""
        if self._tensors is not None:
            return self._tensors, rows
        pixels, codes, weights = (array[rows] for array in self._images)
        pixels = as_network_input(pixels)
        if self._augmentation:
            change_images(pixels, self._changes.of(rows))
        return tuple(map(as_tensor, (pixels, codes, weights))), np.arange(len(rows))
