# SPDX-License-Identifier: BSD-3-Clause
"""What the shape of X says: how flat rows are seen, and what makes another shape fit."""

import math
from collections.abc import Sequence, Set
from typing import Any

import numpy as np

from fashioncnn._inputs.frames import column_names, is_frame
from fashioncnn._inputs.pictures import is_picture
from fashioncnn._messages import shortened, warn_user
from fashioncnn._network.data import ImageShape

_LARGEST_IMAGE = 10**9  # values


def check_image_size(X: np.ndarray, name: str) -> None:
    """Check the shape before the values: an array that repeats one value may be very large."""
    if math.prod(X.shape[1:]) > _LARGEST_IMAGE:
        raise ValueError(
            f"{name} has shape {X.shape}, images of more than {_LARGEST_IMAGE:,} values, which no "
            "network takes. Resize or crop them first."
        )


def check_channels_last(X: np.ndarray, name: str, is_first: bool) -> None:
    """Refuse images whose channels seem to come first; the first fit may say otherwise."""
    colours = (1, 3, 4)
    if X.ndim == 4 and X.size and X.shape[1] in colours and X.shape[3] not in colours:
        otherwise = f", or say image_shape={X.shape[1:]} if that is the images' real shape"
        raise ValueError(
            f"{name} of shape {X.shape} looks channels-first; expected (n, h, w, c). "
            f"Use np.moveaxis({name}, 1, -1){otherwise if is_first else ''}."
        )


def unequal_sizes(images: Sequence[Any], name: str) -> str:
    """Return an error message that names the sizes of the images, or "" if they are equal."""
    sizes = set()
    for i, image in enumerate(images):
        try:
            sizes.add(tuple(np.shape(image)))
        except ValueError:
            return (
                f"{name}[{i}] is no image, but a {type(image).__name__} of parts that differ in "
                "shape. Pass images of one size, without their labels."
            )
    if len(sizes) < 2:
        return ""
    return (
        f"All images in {name} must have the same size; got sizes {shortened(sorted(sizes))}. "
        f"{_equal_sizes(images, sizes)}."
    )


def _equal_sizes(images: Sequence[Any], sizes: Set[tuple[int, ...]]) -> str:
    """Say what gives images of these sizes, each (h, w) or (h, w, c), the size of the first."""
    size, channels = tuple(np.shape(images[0]))[:2], {size[2:] for size in sizes}
    if len({size[:2] for size in sizes}) == 1 and channels == {(), (3,)}:
        return "Make grey images of those in colour, as by np.mean(image, axis=-1)"
    if len(channels) > 1:
        return "Make them all grey, of shape (h, w), or all colour, of shape (h, w, 3)"
    if all(is_picture(type(image)) for image in images):
        return f"Resize them first, as by image.resize({size[::-1]})"
    image = "image" if channels != {()} else "np.expand_dims(image, -1)"
    return f"Resize them first, as by {_resized(image, size)}"


def _resized(images: str, size: tuple[int, ...]) -> str:
    """Return the expression that resizes images which have channels.

    It makes floats of them: Keras resizes few dtypes, and rounds integers down.
    """
    return f"keras.ops.image.resize(np.asarray({images}, np.float32), {size}, antialias=True)"


def guess_image_shape(X: Any, n_features: int) -> ImageShape:
    """Return the shape of the image in a flat row: a square, or a strip one pixel high.

    Warns
    -----
    UserWarning
        If a strip has as many values as a square in colour, or as one in grey or in colour and one
        more.
    """
    square, strip = _square(n_features, least_colour=4), (1, n_features, 1)
    if square and square[2] == 1:
        return square
    if square:
        warn_user(
            f"Rows of {n_features} values look like flat images of shape {square}, but are taken "
            f"as strips one pixel high. Pass image_shape={square}, or {strip} if they are strips."
        )
    elif without_one := _square(n_features - 1, least_grey=8, least_colour=16):
        warn_user(
            f"Rows of {n_features} values look like flat images of shape {without_one} with a "
            "column too many, but are taken as strips one pixel high."
            f"{spare_column(X, 'X', n_features, n_features - 1)} Pass image_shape={strip} if they "
            "are strips."
        )
    return strip


def _square(n_values: int, *, least_grey: int = 1, least_colour: int) -> ImageShape | None:
    """Return the square image, grey or in colour, of so many values and of at least these sides."""
    for channels, least in ((1, least_grey), (3, least_colour)):
        side = math.isqrt(n_values // channels)
        if side >= least and channels * side**2 == n_values:
            return side, side, channels
    return None


def spare_column(X: Any, name: str, n_features: int, n_expected: int) -> str:
    """Return a hint at a label or row number left in X, or "" if there is not one value more."""
    if n_features != n_expected + 1:
        return ""
    hint = " If one column holds labels or row numbers, drop it"
    if not is_frame(X):
        return f"{hint}: np.delete({name}, 0, axis=1) drops the first."
    names = column_names(X)
    return f"{hint}: the first is named {names[0]!r}, the last {names[-1]!r}."


def single_image(name: str) -> str:
    """Return a hint at how to pass one image."""
    return f" To pass a single image, pass {name}[None]."


def other_shape(name: str, shape: tuple[int, ...], expected: ImageShape) -> str:
    """Return a hint at the calls that make images of the expected shape, or "" if there are none.

    Parameters
    ----------
    name : str
        The name of the images.
    shape : tuple (n, h, w) or (n, h, w, c)
        The shape that they have.
    expected : tuple (h, w, c)
        The shape of an image in training.
    """
    if _may_be_one_image(shape, expected):
        return single_image(name)
    if 0 in shape:
        return ""
    size, channels = shape[1:3], shape[3] if len(shape) == 4 else 1
    steps, images = [], name if len(shape) == 4 else f"np.expand_dims({name}, -1)"
    if channels != expected[2]:
        first_three = name if channels == 3 else f"np.asarray({name})[..., :3]"
        remedies = {
            (1, 3): f"np.repeat({images}, 3, axis=-1)",
            (3, 1): f"np.mean({first_three}, axis=-1, keepdims=True)",
            (4, 1): f"np.mean({first_three}, axis=-1, keepdims=True)",
            (4, 3): first_three,
        }
        if (channels, expected[2]) not in remedies:
            return ""
        steps.append(remedies[channels, expected[2]])
        images = name
    if size != expected[:2]:
        steps.append(_resized(images, expected[:2]))
    return f" To make them fit: {'; '.join(f'{name} = {step}' for step in steps)}."


def _may_be_one_image(shape: tuple[int, ...], expected: ImageShape) -> bool:
    """Say whether images look like the rows of one image, of which the last axis is colour."""
    is_colour = len(shape) == 3 and shape[2] in (1, 3, 4) and shape[2] != expected[1]
    return is_colour or shape in (expected, expected[:2])
