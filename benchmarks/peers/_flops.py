# SPDX-License-Identifier: BSD-3-Clause
"""How many floating-point operations the article's network takes for an image, by arithmetic.

A multiplication and an addition count as two. Only convolutions and dense layers are counted: the
rest is less than a hundredth.
"""

KERNEL = 3
FILTERS = (32, 64)
UNITS = (128, 10)


def convolution(channels_in: int, channels_out: int, size: int) -> int:
    """Count a convolution whose square output is `size` pixels wide."""
    return 2 * KERNEL**2 * channels_in * channels_out * size**2


def layers(size: int) -> list[int]:
    """Count each layer of a forward pass of one image of `size` x `size` grey pixels."""
    first, second = size - (KERNEL - 1), size - 2 * (KERNEL - 1)
    pooled = second // 2
    inputs = (FILTERS[1] * pooled**2, UNITS[0])
    return [
        convolution(1, FILTERS[0], first),
        convolution(*FILTERS, second),
        *(2 * n * units for n, units in zip(inputs, UNITS, strict=True)),
    ]


def prediction(size: int = 28) -> int:
    """Count what the prediction of one image takes."""
    return sum(layers(size))


def training(size: int = 28) -> int:
    """Count what one image takes in training, forward and backward.

    A layer's two gradients, of its weights and of its input, take what it takes forward each. The
    first layer's input needs none.
    """
    return 3 * sum(layers(size)) - layers(size)[0]
