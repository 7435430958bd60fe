# SPDX-License-Identifier: BSD-3-Clause
"""Check the modes and sizes of PIL images, and say which call makes of them what is needed."""

import sys
from collections.abc import Sequence, Set
from typing import Any

from fashioncnn._messages import shortened
from fashioncnn._network.data import ImageShape

_DEEP = {  # modes whose values exceed 255, which image.convert would clip, by what the values are
    **dict.fromkeys(("I", "I;16", "I;16B", "I;16L", "I;16N"), "integers"),
    "F": "floats",
}
_KINDS = {"L": "grey", "RGB": "colour", **_DEEP}  # what `np.asarray` gives as it is meant
_BY_WAY_OF = {("La", "L"): "LA", ("La", "RGB"): "LA", ("LAB", "L"): "RGB"}  # as PIL demands


def is_picture(kind: type) -> bool:
    """Say whether a type is one of PIL's images."""
    pil = sys.modules.get("PIL.Image")
    return pil is not None and issubclass(kind, pil.Image)


def check_pictures(images: Sequence[Any], name: str, image_shape: ImageShape | None) -> None:
    """Check that all PIL images among the images become arrays of one scale and of the shape.

    Modes of grey and of RGB pixels, of 16 or 32 bits and of floats are taken as `np.asarray` gives
    them; 16 bits may be in any of PIL's modes for integers.

    Raises
    ------
    ValueError
        If modes are others, differ in scale or channels, or, where the shape is known, do not give
        it.
    """
    types = {kind for kind in set(map(type, images)) if is_picture(kind)}
    modes = {image.mode for image in images if type(image) in types}
    sizes = {image.size for image in images if type(image) in types}
    kinds = {_KINDS.get(mode) for mode in modes}
    if None in kinds or len(kinds) > 1:
        raise ValueError(
            f"{name} has images of mode {', '.join(sorted(modes))}; all must be of one kind: L, "
            f"RGB, F, or integers (I;16, I). {_remedy(modes, sizes, image_shape)}"
        )
    if not modes or image_shape is None:
        return
    height, width, channels = image_shape
    if sizes != {(width, height)} or channels != (3 if "RGB" in modes else 1):
        raise ValueError(
            f"{name} has images of mode {', '.join(sorted(modes))}, width and height "
            f"{shortened(sorted(sizes))[1:-1]}, but images of shape {image_shape} are expected. "
            f"{_remedy(modes, sizes, image_shape)}"
        )


def _remedy(modes: Set[str], sizes: Set[tuple[int, int]], image_shape: ImageShape | None) -> str:
    """Say what makes pictures of one kind of these modes, and of the shape if it is known."""
    if modes & _DEEP.keys() and len({_KINDS.get(mode) for mode in modes}) > 1:
        return (
            "They differ in scale, and image.convert clips at 255: pass arrays of one scale, as "
            "np.asarray(image.convert('L'), np.uint16) * 257 is for 8 bits among 16."
        )
    if image_shape is None:
        grey, colour = _converted(modes, "L"), _converted(modes, "RGB")
        remedy = f"For each pass {grey} to have grey images, or {colour} to have colour."
    elif image_shape[2] in (1, 3):
        remedy = f"For each pass {_fitted(modes, sizes, image_shape)}."
    else:
        shape = ", ".join(map(str, image_shape))
        return f"Pass an array of shape (n, {shape}); np.stack joins images of one mode and size."
    if any(mode.endswith(("A", "a")) for mode in modes):
        remedy += (
            " Transparent parts get the colour beneath; PIL.Image.alpha_composite puts an image "
            "on a background before."
        )
    return remedy


def _fitted(modes: Set[str], sizes: Set[tuple[int, int]], image_shape: ImageShape) -> str:
    """Return the expression that makes of a picture one of the shape, grey or in colour."""
    height, width, channels = image_shape
    is_deep = not modes.isdisjoint(_DEEP)
    image = "image" if is_deep else _converted(modes, "L" if channels == 1 else "RGB")
    if sizes != {(width, height)}:
        image += f".resize({(width, height)})"
    return f"np.stack([{image}] * 3, axis=-1)" if is_deep and channels == 3 else image


def _converted(modes: Set[str], target: str) -> str:
    """Return the expression that makes of a picture one of the target's mode."""
    if modes == {target}:
        return "image"
    first = {_BY_WAY_OF[mode, target] for mode in modes if (mode, target) in _BY_WAY_OF}
    return "image" + "".join(f".convert({mode!r})" for mode in [*sorted(first), target])
