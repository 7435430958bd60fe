# SPDX-License-Identifier: BSD-3-Clause
"""The scaling of raw pixels, and the range of their values in training."""

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from fashioncnn._messages import warn_user
from fashioncnn._network.data import as_network_input
from fashioncnn.exceptions import PixelRangeWarning

ScalingKind = Literal["standardize", "unit"]

_BLOCK = 2**20  # values whose float64 copies are held at a time


class Scaling(NamedTuple):
    """One multiplication and one addition per channel: ``pixels * scale + offset``."""

    kind: ScalingKind
    scale: tuple[float, ...]
    offset: tuple[float, ...]


def scaling_arrays(scaling: Scaling | None, n_channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scale and offset per channel, float32; None leaves pixels as they are."""
    if scaling is None:
        return np.ones(n_channels, np.float32), np.zeros(n_channels, np.float32)
    return np.array(scaling.scale, np.float32), np.array(scaling.offset, np.float32)


class PixelRange(NamedTuple):
    """The smallest and the largest pixel value of the images passed to `fit`."""

    low: float
    high: float
    is_integer: bool = False  # whether integers within 0..1 are dark, where floats are scaled

    def union(self, other: "PixelRange") -> "PixelRange":
        """Return the range of both."""
        return PixelRange(
            min(self.low, other.low),
            max(self.high, other.high),
            self.is_integer and other.is_integer,
        )


def pixel_range(pixels: np.ndarray) -> PixelRange:
    """Return the smallest and the largest value, as the network takes them."""
    low, high = as_network_input(np.array([pixels.min(), pixels.max()])).tolist()
    return PixelRange(float(low), float(high))


def fit_scaling(
    scaling: ScalingKind | None, pixels: np.ndarray, rows: np.ndarray, source_dtype: np.dtype
) -> Scaling | None:
    """Fix the constants of the scaling by the training part.

    Parameters
    ----------
    scaling : {"standardize", "unit"} or None
        The estimator's parameter.
    pixels : ndarray of shape (n, h, w, c)
        All images.
    rows : ndarray of int
        The training part of them.
    source_dtype : dtype
        The dtype in which the user passed them.

    Returns
    -------
    scaling : Scaling or None
        None if pixels are taken as they are by the user's wish.

    Raises
    ------
    ValueError
        If `scaling` is "unit" and the range of integers can't be told.
    """
    if scaling is None:
        return None
    channels = pixels.shape[-1]
    if scaling == "unit":
        scale = 1 / _full_scale(pixels, rows, source_dtype)
        return Scaling(scaling, (scale,) * channels, (0.0,) * channels)
    mean, deviation = _moments(pixels, rows)
    # A deviation below float32's resolution is rounding: such a channel is constant.
    deviation[deviation <= np.maximum(np.abs(mean) * 1e-7, 1e-30)] = 1
    return Scaling(scaling, tuple((1 / deviation).tolist()), tuple((-mean / deviation).tolist()))


def _full_scale(pixels: np.ndarray, rows: np.ndarray, source_dtype: np.dtype) -> float:
    """Return the value that "unit" maps to one."""
    if source_dtype == np.uint8:
        return 255
    if source_dtype == np.uint16:
        return 65535
    if source_dtype.kind not in "iu":
        return 1
    ranges = [pixel_range(block) for block in _blocks(pixels, rows)]
    low, high = min(r.low for r in ranges), max(r.high for r in ranges)
    for full_scale in (255, 65535):
        if low >= 0 and high <= full_scale:
            return full_scale
    raise ValueError(
        f"scaling='unit' takes integers within 0..255 or 0..65535. Got {source_dtype} values "
        f"within {low:g}..{high:g}. Use scaling='standardize', or pass floats scaled by yourself."
    )


def _blocks(pixels: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Copy and cast rows in blocks of few images, so that no copy of them all is held."""
    n_images = max(1, _BLOCK // math.prod(pixels.shape[1:]))
    for start in range(0, len(rows), n_images):
        yield as_network_input(pixels[rows[start : start + n_images]])


def _moments(pixels: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each channel's mean and standard deviation, float64, block by block.

    Blocks are merged as in T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating formulae and a
    pairwise algorithm for computing sample variances" (1982), equation 2.1.
    """
    channels = pixels.shape[-1]
    count, mean, squares = 0, np.zeros(channels), np.zeros(channels)
    for block in _blocks(pixels, rows):
        values = block.reshape(-1, channels).astype(np.float64)
        n, block_mean = len(values), values.mean(axis=0)
        values -= block_mean
        step = block_mean - mean
        squares += np.square(values, out=values).sum(axis=0) + step**2 * count * n / (count + n)
        mean += step * n / (count + n)
        count += n
    return mean, np.sqrt(squares / count)


def warn_of_other_range(
    pixels: np.ndarray, source_dtype: np.dtype, training: PixelRange, name: str = "X"
) -> None:
    """Warn if 0..255 meets a model trained on 0..1, or the reverse.

    Parameters
    ----------
    pixels : ndarray of shape (n, h, w, c)
        The images to predict.
    source_dtype : dtype
        The dtype in which the user passed them; integers within 0..1 are dark, not scaled.
    training : PixelRange
        The values in training.
    name : str, default="X"
        What the message calls the images.

    Warns
    -----
    PixelRangeWarning
        If training values were all >= 0 with a maximum above 2 and these are floats within 0..1,
        or training values were floats within 0..1 and these reach above 2.
    """
    if training.low < 0 or (training.high > 1 and source_dtype.kind != "f"):
        return
    low, high, _ = pixel_range(pixels)
    small_for_large = training.high > 2 and low >= 0 and 0 < high <= 1
    is_scaled = training.high <= 1 and not training.is_integer
    large_for_small = is_scaled and low >= 0 and high > 2
    if small_for_large or large_for_small:
        warn_user(
            f"{name} has values within {low:g}..{high:g}, but this model was trained on values "
            f"within {training.low:g}..{training.high:g}. Pass pixels on the same scale as in "
            "training; the predictions are probably wrong.",
            PixelRangeWarning,
        )
