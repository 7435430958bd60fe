# SPDX-License-Identifier: BSD-3-Clause
"""The scaling of raw pixels."""

from typing import Literal, NamedTuple

import numpy as np

from fashioncnn._messages import shortened, warn_user
from fashioncnn._network.data import ImageSelection, as_network_input, blocks_of
from fashioncnn._network.pixel_range import PixelRange, pixel_range
from fashioncnn.exceptions import PixelRangeWarning

ScalingKind = Literal["standardize", "unit"]


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


def warn_of_unscaled(values: PixelRange) -> None:
    """Warn of floats that ``scaling="unit"`` leaves as they are, although they are large."""
    if values.integer_dtype is None and values.high > 2:
        warn_user(
            f"scaling='unit' leaves floats as they are, but X has values within {values.low:g}.."
            f"{values.high:g}. Divide X by the value of white, such as 255, for training and "
            "prediction alike, or use scaling='standardize'. If X is scaled already, scaling=None "
            "does the same and does not warn.",
            PixelRangeWarning,
        )


def fit_scaling(
    scaling: ScalingKind | None,
    pixels: np.ndarray,
    rows: np.ndarray,
    source_dtype: np.dtype,
    *,
    is_piece: bool = False,
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
    is_piece : bool, default=False
        Whether other images will be scaled by the same constants, so that a channel which has one
        value only is worth a warning. What `fit` is given is all that it trains on.

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
    images, channels = ImageSelection(pixels, rows), pixels.shape[-1]
    if scaling == "unit":
        scale = 1 / _full_scale(images, source_dtype)
        return Scaling(scaling, (scale,) * channels, (0.0,) * channels)
    mean, deviation = _moments(images)
    # A deviation below float32's resolution is rounding: such a channel is constant.
    is_constant = deviation <= np.maximum(np.abs(mean) * 1e-7, 1e-30)
    if is_piece and is_constant.any():
        _warn_of_constant(is_constant)
    deviation[is_constant] = 1
    return Scaling(scaling, tuple((1 / deviation).tolist()), tuple((-mean / deviation).tolist()))


def _warn_of_constant(is_constant: np.ndarray) -> None:
    channels = np.flatnonzero(is_constant).tolist()
    where = "" if is_constant.all() else f" in channels {shortened(channels)}"
    warn_user(
        f"The first call of partial_fit fixes the scaling, but its images have one value only"
        f"{where}, which does not tell by how much to divide others. Unless all images are like "
        "that, begin anew, by partial_fit of a clone, with typical images, or with scaling='unit' "
        "or None."
    )


def _full_scale(images: ImageSelection, source_dtype: np.dtype) -> float:
    """Return the value that "unit" maps to one."""
    if source_dtype == np.uint8:
        return 255
    if source_dtype == np.uint16:
        return 65535
    if source_dtype.kind not in "iu":
        return 1
    low, high, *_ = pixel_range(images, source_dtype)
    for full_scale in (255, 65535):
        if low >= 0 and high <= full_scale:
            return full_scale
    raise ValueError(
        f"scaling='unit' takes integers within 0..255 or 0..65535. Got {source_dtype} values "
        f"within {low:g}..{high:g}. Use scaling='standardize', or pass floats scaled by yourself."
    )


def _moments(images: ImageSelection) -> tuple[np.ndarray, np.ndarray]:
    """Return each channel's mean and standard deviation, float64, block by block.

    Blocks are merged as in T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating formulae and a
    pairwise algorithm for computing sample variances" (1982), equation 2.1.
    """
    channels = images.shape[-1]
    count, mean, squares = 0, np.zeros(channels), np.zeros(channels)
    for block in map(as_network_input, blocks_of(images)):
        values = block.reshape(-1, channels).astype(np.float64)
        n, block_mean = len(values), values.mean(axis=0)
        values -= block_mean
        step = block_mean - mean
        squares += np.square(values, out=values).sum(axis=0) + step**2 * count * n / (count + n)
        mean += step * n / (count + n)
        count += n
    return mean, np.sqrt(squares / count)
