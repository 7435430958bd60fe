# SPDX-License-Identifier: BSD-3-Clause
"""Convolution by NumPy, by windows and by tiles: what its definition says, for every size."""

import itertools

import numpy as np
import pytest
from networks import make

from fashioncnn._network import convolution
from fashioncnn._network.convolution import convolve, prepared_kernel


def layer_of(image_shape, filters, **params):
    return make(image_shape, conv_stacks=(filters,), **params).layers[0]


def by_definition(layer, kernel, values):
    """Sum over the kernel's pixels, in float64, of maps that are shifted against each other."""
    height, width, _ = layer.output_shape
    rows, columns = kernel.shape[:2]
    top, left = (rows - 1) // 2, (columns - 1) // 2
    is_same = layer.config["padding"] == "same"
    edges = (top, rows - 1 - top), (left, columns - 1 - left), (0, 0)
    padded = np.pad(values.astype(np.float64), edges if is_same else 0)
    return sum(
        padded[i : i + height, j : j + width] @ kernel[i, j]
        for i, j in itertools.product(range(rows), range(columns))
    )


@pytest.mark.parametrize("way", ["windows", "tiles"])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("most_values", [1, 400, 2**20])
def test_both_ways_are_convolution(way, padding, most_values, monkeypatch):
    monkeypatch.setattr(convolution, "_LEAST_CHANNELS", 1 if way == "tiles" else 1000)
    monkeypatch.setattr(convolution, "_MAX_COPIED_VALUES", most_values)
    random = np.random.default_rng(0)
    for height, width in itertools.product((3, 4, 5, 8, 11), (3, 4, 7, 10)):
        for channels, filters in ((1, 1), (3, 2), (2, 70), (17, 5)):
            layer = layer_of((height, width, channels), filters, padding=padding)
            kernel = random.normal(size=(3, 3, channels, filters)).astype(np.float32)
            values = random.normal(size=(height, width, channels)).astype(np.float32)
            prepared = prepared_kernel(kernel)
            assert prepared.ndim == (3 if way == "tiles" else 2)
            output = convolve(layer, prepared, values)
            assert output.dtype == np.float32
            expected = by_definition(layer, kernel, values)
            np.testing.assert_allclose(output, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 2), (2, 1), (1, 9), (2, 2)])
def test_tiles_of_maps_smaller_than_they_are(height, width, monkeypatch):
    """Such a map has a kernel of its own size, unless a deeper stack makes it smaller."""
    monkeypatch.setattr(convolution, "_LEAST_CHANNELS", 1)
    random = np.random.default_rng(0)
    layer = layer_of((5, 12, 2), 4, padding="same")._replace(output_shape=(height, width, 4))
    kernel = random.normal(size=(3, 3, 2, 4)).astype(np.float32)
    values = random.normal(size=(height, width, 2)).astype(np.float32)
    output = convolve(layer, prepared_kernel(kernel), values)
    expected = by_definition(layer, kernel, values)
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "has_tiles"),
    [
        ((3, 3, 16, 16), True),
        ((3, 3, 32, 64), True),
        ((3, 3, 1, 32), False),
        ((3, 3, 32, 15), False),
        ((5, 5, 32, 64), False),
        ((3, 1, 32, 64), False),
    ],
)
def test_tiles_are_for_square_kernels_of_many_channels(shape, has_tiles):
    assert (prepared_kernel(np.ones(shape, np.float32)).ndim == 3) == has_tiles


@pytest.mark.parametrize(("channels", "filters"), [(32, 64), (128, 128)])
def test_tiles_round_about_as_windows(channels, filters, monkeypatch):
    random = np.random.default_rng(0)
    layer = layer_of((26, 26, channels), filters)
    kernel = random.normal(0, 0.05, size=(3, 3, channels, filters)).astype(np.float32)
    values = np.maximum(random.normal(-1, 1, (26, 26, channels)), 0).astype(np.float32)
    exact = by_definition(layer, kernel, values)
    errors = []
    for least in (1, 1000):
        monkeypatch.setattr(convolution, "_LEAST_CHANNELS", least)
        errors.append(np.abs(convolve(layer, prepared_kernel(kernel), values) - exact).max())
    assert errors[0] < 3 * errors[1]
