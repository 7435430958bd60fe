# SPDX-License-Identifier: BSD-3-Clause
"""Images that change from epoch to epoch: mirrored, moved, with a rectangle erased.

What happens to each image of an epoch is drawn at once, before its first step. So it does not
depend on how many steps a compiled call takes, which a clock decides.
"""

import math
from typing import NamedTuple

import numpy as np

from fashioncnn._network.augmentation import Augmentation
from fashioncnn._network.data import ImageShape

_SMALLEST_AREA, _LARGEST_AREA = 0.02, 0.33  # of a rectangle, as a share of the image
_FLATTEST, _TALLEST = 0.3, 3.3  # its height divided by its width
_BLOCK_BYTES = 2**20  # changed at a time, so that they stay in the processor's cache


class Changes(NamedTuple):
    """What happens to each of some images; None where nothing happens to any."""

    mirrored: np.ndarray | None  # (n,), bool
    moves: np.ndarray | None  # (n, 2), int32: pixels down and to the right
    erased: np.ndarray | None  # (n, 4), int32: top, bottom, left, right of a rectangle; 0: none

    def of(self, rows: np.ndarray | slice) -> "Changes":
        """Return what happens to some of the images."""
        return Changes(*(None if kind is None else kind[rows] for kind in self))


def draw_changes(
    augmentation: Augmentation, n_images: int, image_shape: ImageShape, seed: int, epoch: int
) -> Changes:
    """Draw what happens to all images in an epoch, which is counted from the initial weights on."""
    random = np.random.default_rng((seed, 1 + epoch))  # 0 is for what all epochs have in common
    height, width, _ = image_shape
    mirrored = moves = erased = None
    if augmentation.flip == "random":
        mirrored = _random_bits(random, n_images)
    elif augmentation.flip == "alternating":
        # Every image is seen once each way in two epochs: K. Jordan, arXiv:2404.00498, section 3.6.
        mirrored = _random_bits(np.random.default_rng((seed, 0)), n_images) ^ bool(epoch % 2)
    if augmentation.shift:
        # No image can move further than until one row or column of it is left.
        furthest = [min(augmentation.shift, side - 1) for side in (height, width)]
        low, high = np.negative(furthest), np.add(furthest, 1)
        moves = random.integers(low, high, (n_images, 2), np.int32)
    if augmentation.erase:
        erased = _draw_rectangles(random, n_images, height, width)
        erased[random.random(n_images) >= augmentation.erase] = 0
    return Changes(mirrored, moves, erased)


def change_images(images: np.ndarray, changes: Changes) -> None:
    """Change images (n, h, w, c) in place, where they are few or many at a time to the same."""
    n_images = max(1, _BLOCK_BYTES // (math.prod(images.shape[1:]) * images.itemsize))
    for start in range(0, len(images), n_images):
        part = slice(start, start + n_images)
        _change_block(images[part], changes.of(part))


def _change_block(images: np.ndarray, changes: Changes) -> None:
    if changes.mirrored is not None:
        images[changes.mirrored] = images[changes.mirrored][:, :, ::-1]
    if changes.moves is not None:
        for axis, distances in enumerate(changes.moves.T, start=1):
            _move(images, axis, distances)
    if changes.erased is not None:
        _erase(images, changes.erased)


def _random_bits(random: np.random.Generator, n_bits: int) -> np.ndarray:
    return random.integers(0, 2, n_bits, np.uint8).astype(bool)


def _draw_rectangles(
    random: np.random.Generator, n_images: int, height: int, width: int
) -> np.ndarray:
    """Draw a rectangle in each image, of at least one pixel.

    By Z. Zhong et al., "Random erasing data augmentation", arXiv:1708.04896, algorithm 1. But one
    that is longer than the image is cut, where they draw another.
    """
    areas = height * width * random.uniform(_SMALLEST_AREA, _LARGEST_AREA, n_images)
    shapes = random.uniform(_FLATTEST, _TALLEST, n_images)
    edges = []
    for side, lengths in ((height, np.sqrt(areas * shapes)), (width, np.sqrt(areas / shapes))):
        lengths = np.clip(np.rint(lengths), 1, side).astype(np.int32)
        starts = random.integers(0, side - lengths + 1, dtype=np.int32)
        edges += [starts, starts + lengths]
    return np.stack(edges, axis=1)


def _move(images: np.ndarray, axis: int, distances: np.ndarray) -> None:
    """Move each image along an axis; what moves in repeats the edge.

    Images that move alike are moved at once: that takes a third of the time of padding all.
    """
    for distance in np.unique(distances[distances != 0]):
        alike = np.flatnonzero(distances == distance)
        before = images[alike]
        after = np.empty_like(before)
        source, target = before.swapaxes(1, axis), after.swapaxes(1, axis)
        if distance > 0:
            target[:, distance:] = source[:, :-distance]
            target[:, :distance] = source[:, :1]
        else:
            target[:, :distance] = source[:, -distance:]
            target[:, distance:] = source[:, -1:]
        images[alike] = after


def _erase(images: np.ndarray, rectangles: np.ndarray) -> None:
    """Fill a rectangle of each image with the image's mean of each channel."""
    chosen = np.flatnonzero(rectangles[:, 1])
    means = _channel_means(images[chosen])
    if images.dtype == np.uint8:
        means = np.rint(means)
    means = means.astype(images.dtype)
    for row, (top, bottom, left, right), mean in zip(
        chosen.tolist(), rectangles[chosen].tolist(), means, strict=True
    ):
        images[row, top:bottom, left:right] = mean


def _channel_means(images: np.ndarray) -> np.ndarray:
    """Return the mean (n, c) of each channel of each image, in float64.

    In float64 from the start: sums that NumPy casts as it goes depend on how many images there are.
    """
    n_images, height, width, n_channels = images.shape
    lines = images.astype(np.float64).reshape(n_images, height, width * n_channels).sum(axis=1)
    sums = lines.reshape(n_images, width, n_channels).sum(axis=1)
    means: np.ndarray = sums / (height * width)
    return means
