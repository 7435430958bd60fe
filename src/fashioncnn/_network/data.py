# SPDX-License-Identifier: BSD-3-Clause
"""Images with labels and weights, and how they are divided for training."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

ImageShape = tuple[int, int, int]  # height, width, channels

_BLOCK = 2**20  # values that are looked at, and may be copied, at a time


def network_dtype(dtype: np.dtype) -> np.dtype:
    """Return the dtype in which the network takes pixels: uint8 stays, all else is float32."""
    return dtype if dtype == np.uint8 else np.dtype(np.float32)


def as_network_input(pixels: np.ndarray) -> np.ndarray:
    """Cast pixels to the dtype that the network takes, in C order."""
    with np.errstate(under="ignore"):
        return np.ascontiguousarray(pixels, network_dtype(pixels.dtype))


class LabelledImages(NamedTuple):
    """Images with their labels and weights, all of the same length."""

    pixels: np.ndarray  # (n, h, w, c), of any numeric dtype
    codes: np.ndarray  # (n,), int32: the index of each label among the classes
    weights: np.ndarray  # (n,), float64 of any scale, or float32 as training takes them


class ImageSelection:
    """Some rows of an array of images, copied only when a slice of them is taken."""

    def __init__(self, pixels: np.ndarray, rows: np.ndarray) -> None:
        self.dtype = pixels.dtype
        self.shape = len(rows), *pixels.shape[1:]
        self._pixels, self._rows = pixels, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, part: slice) -> np.ndarray:
        selected: np.ndarray = self._pixels[self._rows[part]]
        return selected


def blocks_of(images: np.ndarray | ImageSelection) -> Iterator[np.ndarray]:
    """Divide images into blocks of few, so that no copy of them all is held."""
    n_images = max(1, _BLOCK // math.prod(images.shape[1:]))
    for start in range(0, len(images), n_images):
        yield images[start : start + n_images]


class ValidationImages(NamedTuple):
    """Images to evaluate on, with their labels and weights, all of the same length."""

    pixels: np.ndarray | ImageSelection
    codes: np.ndarray  # (n,), int32
    weights: np.ndarray  # (n,), float32 of mean 1


class TrainingSplit(NamedTuple):
    """All images, the rows of them to train on, and the images to evaluate on."""

    images: LabelledImages
    rows: np.ndarray
    validation: ValidationImages | None
