# SPDX-License-Identifier: BSD-3-Clause
"""The range of pixel values in training, and the warning about pixels on another scale."""

from functools import reduce
from typing import NamedTuple

import numpy as np

from fashioncnn._messages import warn_user
from fashioncnn._network.data import ImageSelection, as_network_input, blocks_of
from fashioncnn.exceptions import PixelRangeWarning

_FEW = 0.01  # the share of values that may lie anywhere, such as those of dead pixels
_ADVICE = "Pass pixels on the same scale as in training; the predictions are probably wrong."


class VariedRange(NamedTuple):
    """How far the smallest and the largest values of single images differ."""

    lowest_minimum: float
    highest_minimum: float
    lowest_maximum: float
    highest_maximum: float


class PixelRange(NamedTuple):
    """The range of values in some images, as the network takes them."""

    low: float
    high: float
    varied: VariedRange | None  # of the images that are not all one value; None if there are none
    integer_dtype: str | None  # the name of their dtype; None for floats, and for several dtypes

    def union(self, other: "PixelRange") -> "PixelRange":
        """Return the range of both."""
        return PixelRange(
            min(self.low, other.low),
            max(self.high, other.high),
            _union(self.varied, other.varied),
            self.integer_dtype if self.integer_dtype == other.integer_dtype else None,
        )


def _union(one: VariedRange | None, other: VariedRange | None) -> VariedRange | None:
    if one is None or other is None:
        return one or other
    return VariedRange(
        min(one.lowest_minimum, other.lowest_minimum),
        max(one.highest_minimum, other.highest_minimum),
        min(one.lowest_maximum, other.lowest_maximum),
        max(one.highest_maximum, other.highest_maximum),
    )


def pixel_range(pixels: np.ndarray | ImageSelection, source_dtype: np.dtype) -> PixelRange:
    """Find the range of some images of shape (n, h, w, c), which the user passed in a dtype."""
    integer_dtype = source_dtype.name if source_dtype.kind in "iu" else None
    return reduce(
        PixelRange.union, (_range_of_block(block, integer_dtype) for block in blocks_of(pixels))
    )


def _range_of_block(block: np.ndarray, integer_dtype: str | None) -> PixelRange:
    rows = block.reshape(len(block), -1)
    # Casting keeps the order, so it is enough to cast the extremes.
    minima, maxima = (as_network_input(extremes) for extremes in (rows.min(1), rows.max(1)))
    is_varied = minima < maxima
    varied = None
    if is_varied.any():
        lows, highs = minima[is_varied], maxima[is_varied]
        varied = VariedRange(*map(float, (lows.min(), lows.max(), highs.min(), highs.max())))
    return PixelRange(float(minima.min()), float(maxima.max()), varied, integer_dtype)


def warn_of_other_range(
    pixels: np.ndarray,
    source_dtype: np.dtype,
    training: PixelRange,
    name: str = "X",
    advice: str = _ADVICE,
) -> None:
    """Warn if images are on a scale that training never saw.

    No selection of the training images warns, be it of one or of blank ones. Training images of
    one value only have no scale. Integers of the dtype of training are on its scale, however dark
    or bright they are, unless training reached no further than 1: its images may have been masks,
    or scaled.

    Parameters
    ----------
    pixels : ndarray of shape (n, h, w, c)
        The images.
    source_dtype : dtype
        The dtype in which the user passed them.
    training : PixelRange
        The values in training.
    name, advice : str
        What the message calls the images, and what it says to do.

    Warns
    -----
    PixelRangeWarning
        If many values lie far beyond those of training, or floats and integers of another dtype
        have a small part of their range only.
    """
    is_same_integer = training.integer_dtype == source_dtype.name
    if training.low == training.high:
        return
    if is_same_integer and max(-training.low, training.high) > 1:
        return
    values = pixel_range(pixels, source_dtype)
    if _is_far_beyond(pixels, values, training):
        low, high = values.low, values.high
    elif not is_same_integer and _is_small_part(values, training):
        assert values.varied is not None
        low, high = values.varied.lowest_minimum, values.varied.highest_maximum
    else:
        return
    warn_user(
        f"{name} has values within {low:g}..{high:g}, but this model was trained on values within "
        f"{training.low:g}..{training.high:g}. {advice}",
        PixelRangeWarning,
    )


def _is_far_beyond(pixels: np.ndarray, values: PixelRange, training: PixelRange) -> bool:
    """Say whether more than few values lie beyond training's by more than their whole width."""
    width = training.high - training.low
    # float32 may not hold these sums.
    low, high = np.float64(training.low - width), np.float64(training.high + width)
    if low <= values.low and values.high <= high:
        return False
    blocks = map(as_network_input, blocks_of(pixels))
    n_beyond = sum(np.count_nonzero((block < low) | (block > high)) for block in blocks)
    return bool(n_beyond >= _FEW * pixels.size)


def _is_small_part(values: PixelRange, training: PixelRange) -> bool:
    """Say whether images stay where none in training did.

    All of them are darker than any in training, and of little contrast, as 0..1 is beside 0..255;
    or they are without its low values, as 0..1 is beside -1..1. Blank images say nothing.
    """
    if values.varied is None or training.varied is None:
        return False
    width = training.high - training.low
    low, high = values.varied.lowest_minimum, values.varied.highest_maximum
    is_dark = high < training.varied.lowest_maximum and high - low < width / 10
    return is_dark or low - training.varied.highest_minimum >= width / 3
