# SPDX-License-Identifier: BSD-3-Clause
"""Convolution of one image by NumPy, in one of two ways, piece by piece to bound the memory."""

from collections.abc import Iterator

import numpy as np

from fashioncnn._network.architecture import Layer
from fashioncnn._network.products import multiply

_MAX_COPIED_VALUES = 2**20  # of windows or tiles at a time

# By which a tile of 4 x 4 pixels, a kernel of 3 x 3 and the products of both are mixed.
_OF_TILE = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], np.float32)
_OF_KERNEL = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
_OF_PRODUCTS = np.array([[1, 1, 1, 0], [0, 1, -1, -1]], np.float32)
_MIX_TILES, _MIX_PRODUCTS = np.kron(_OF_TILE, _OF_TILE), np.kron(_OF_PRODUCTS, _OF_PRODUCTS)
_LEAST_CHANNELS = 16  # on either side, for which mixing pays


def prepared_kernel(kernel: np.ndarray) -> np.ndarray:
    """Prepare a kernel of shape (h, w, c, filters) for `convolve`.

    It becomes a matrix for the windows of a map, or where that takes less time 16 for its tiles.
    """
    if kernel.shape[:2] == (3, 3) and min(kernel.shape[2:]) >= _LEAST_CHANNELS:
        mixed = np.einsum("ip,pqcf->iqcf", _OF_KERNEL, kernel)  # without BLAS
        mixed = np.einsum("jq,iqcf->ijcf", _OF_KERNEL, mixed)
        return mixed.reshape(16, *kernel.shape[2:]).astype(np.float32)
    return kernel.reshape(-1, kernel.shape[-1])


def convolve(layer: Layer, kernel: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Turn a map of shape (h, w, c) into the layer's output, but for bias and activation."""
    return (_convolve_tiles if kernel.ndim == 3 else _convolve_windows)(layer, kernel, values)


def _convolve_windows(layer: Layer, kernel: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Multiply all windows, as the rows of a matrix, by the kernel."""
    height, width, filters = layer.output_shape
    kernel_height, kernel_width = layer.config["kernel_size"]
    values = _padded(layer, values, height + kernel_height - 1, width + kernel_width - 1)
    shape = height, width, kernel_height, kernel_width * values.shape[-1]
    row, pixel, value = values.strides
    windows = np.lib.stride_tricks.as_strided(values, shape, (row, pixel, row, value))
    products = np.empty((height * width, filters), np.float32)
    start = 0
    for piece in _pieces(height, width, len(kernel)):
        rows = windows[piece].reshape(-1, len(kernel))
        multiply(rows, kernel, products[start : start + len(rows)])
        start += len(rows)
    return products.reshape(layer.output_shape)


def _convolve_tiles(layer: Layer, kernel: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Multiply tiles by a kernel of 3 x 3, both mixed: 4 multiplications per pixel, and not 9.

    A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks" (arXiv:1509.09308),
    section 4.1. A tile of 4 x 4 pixels gives 2 x 2 of the output. Errors of rounding are about
    those of windows, and for many channels twice as large.
    """
    height, width, filters = layer.output_shape
    n_rows, n_columns = -(-height // 2), -(-width // 2)
    values = _padded(layer, values, 2 * n_rows + 2, 2 * n_columns + 2)
    channels = values.shape[-1]
    row, pixel, value = values.strides
    shape = 4, 4, n_rows, n_columns, channels
    strides = row, pixel, 2 * row, 2 * pixel, value
    tiles = np.lib.stride_tricks.as_strided(values, shape, strides)
    output = np.empty((n_rows, 2, n_columns, 2, filters), np.float32)
    for rows, columns in _pieces(n_rows, n_columns, 16 * max(channels, filters)):
        piece = output[rows, :, columns].transpose(1, 3, 0, 2, 4)
        mixed = _mix(_MIX_TILES, tiles[:, :, rows, columns].reshape(16, -1))
        mixed = mixed.reshape(16, -1, channels)
        products = np.empty((*mixed.shape[:2], filters), np.float32)
        multiply(mixed, kernel, products)
        piece[...] = _mix(_MIX_PRODUCTS, products.reshape(16, -1)).reshape(piece.shape)
    return output.reshape(2 * n_rows, 2 * n_columns, filters)[:height, :width]


def _mix(matrix: np.ndarray, values: np.ndarray) -> np.ndarray:
    mixed = np.empty((len(matrix), values.shape[1]), np.float32)
    multiply(values.T, matrix.T, mixed.T)
    return mixed


def _padded(layer: Layer, values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Put a map into zeros of this size, so that a window's middle comes to its pixel if "same"."""
    if values.shape[:2] == (height, width):
        return values
    is_same = layer.config["padding"] == "same"
    top, left = ((size - 1) // 2 if is_same else 0 for size in layer.config["kernel_size"])
    padded = np.zeros((height, width, values.shape[-1]), np.float32)
    padded[top : top + values.shape[0], left : left + values.shape[1]] = values
    return padded


def _pieces(height: int, width: int, n_values: int) -> Iterator[tuple[slice, slice]]:
    """Divide a map, for whose every pixel so many values are copied, in the order of pixels."""
    rows = max(1, _MAX_COPIED_VALUES // (width * n_values))
    columns = width if rows > 1 else max(1, _MAX_COPIED_VALUES // n_values)
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            yield slice(top, top + rows), slice(left, left + columns)
