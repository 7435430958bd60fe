# SPDX-License-Identifier: BSD-3-Clause
"""What augmentation does to the images of each epoch, as a value."""

from typing import Literal, NamedTuple

Flip = Literal["alternating", "random"]
AugmentationName = Literal["flip", "flip_shift", "shift"]


class Augmentation(NamedTuple):
    """How images are changed before the network trains on them."""

    flip: Flip | None = None  # how it is decided which images are mirrored
    shift: int = 0  # by how many pixels an image moves at most, in each direction
    erase: float = 0.0  # the share of images that lose a rectangle

    def of_partial_fit(self) -> "Augmentation":
        """Return the same where a row is another picture in each call, so that none alternates."""
        return self._replace(flip="random") if self.flip else self


NAMED_AUGMENTATIONS: dict[AugmentationName, Augmentation] = {
    "flip": Augmentation(flip="alternating"),
    "flip_shift": Augmentation(flip="alternating", shift=2),
    "shift": Augmentation(shift=2),
}
