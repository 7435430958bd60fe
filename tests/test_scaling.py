# SPDX-License-Identifier: BSD-3-Clause
"""The constants of the scaling, and the warning about another range."""

import warnings

import numpy as np
import pytest

from fashioncnn import PixelRangeWarning
from fashioncnn._network.scaling import PixelRange, fit_scaling, warn_of_other_range


def scaled(pixels, scaling):
    return pixels * np.array(scaling.scale) + np.array(scaling.offset)


def fit(kind, pixels, rows=None, source_dtype=None):
    rows = np.arange(len(pixels)) if rows is None else rows
    return fit_scaling(kind, pixels, rows, source_dtype or pixels.dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_standardize_uses_each_channel_of_the_training_part(dtype, monkeypatch):
    monkeypatch.setattr("fashioncnn._network.scaling._BLOCK", 7 * 60)  # seven images
    random = np.random.default_rng(0)
    pixels = (random.random((50, 4, 5, 3)) * [255, 100, 3]).astype(dtype)
    rows = random.permutation(50)[:31]
    scaling = fit("standardize", pixels, rows)
    training = pixels[rows].astype(np.float64)
    np.testing.assert_allclose(scaling.scale, 1 / training.std(axis=(0, 1, 2)), rtol=1e-12)
    values = scaled(training, scaling)
    np.testing.assert_allclose(values.mean(axis=(0, 1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(values.std(axis=(0, 1, 2)), 1, rtol=1e-12)


@pytest.mark.parametrize("value", [0, 0.1, 255, 1e30, 1e-40])
def test_constant_images_are_not_divided_by_their_deviation(value):
    pixels = np.full((9, 3, 3, 1), value, np.float32)
    scaling = fit("standardize", pixels)
    assert scaling.scale == (1,)
    np.testing.assert_allclose(scaled(pixels.astype(float), scaling), 0, atol=1e-6 * value)


def test_a_channel_that_is_constant_over_many_blocks(monkeypatch):
    monkeypatch.setattr("fashioncnn._network.scaling._BLOCK", 3 * 18)  # three images
    pixels = np.full((1000, 3, 3, 2), 0.1, np.float32)
    pixels[..., 1] = np.random.default_rng(0).random((1000, 3, 3))
    scale = fit("standardize", pixels).scale
    assert scale[0] == 1
    assert scale[1] == pytest.approx(1 / pixels[..., 1].astype(float).std(), rel=1e-9)


def test_large_offset_does_not_cancel():
    pixels = (1e6 + np.random.default_rng(0).random((100, 4, 4, 1))).astype(np.float32)
    scaling = fit("standardize", pixels)
    assert scaling.scale[0] == pytest.approx(1 / pixels.astype(float).std(), rel=1e-9)


@pytest.mark.parametrize(
    ("source", "values", "full_scale"),
    [
        (np.uint8, [0, 9], 255),
        (np.uint16, [0, 9], 65535),
        (np.int64, [0, 255], 255),
        (np.int16, [0, 256], 65535),
        (np.uint32, [0, 65535], 65535),
        (np.float64, [0, 9], 1),
        (np.bool_, [0, 1], 1),
    ],
)
def test_unit(source, values, full_scale):
    pixels = np.array(values, np.float32).reshape(-1, 1, 1, 1)
    scaling = fit("unit", pixels, source_dtype=np.dtype(source))
    assert scaling.scale == (1 / full_scale,)
    assert scaling.offset == (0,)


@pytest.mark.parametrize("values", [[-1, 5], [0, 65536]])
def test_unit_refuses_integers_of_unknown_range(values):
    pixels = np.array(values, np.float32).reshape(-1, 1, 1, 1)
    with pytest.raises(ValueError, match=r"scaling='unit' takes integers within 0\.\.255"):
        fit("unit", pixels, source_dtype=np.dtype(np.int64))


def test_none_takes_values_as_they_are():
    assert fit(None, np.zeros((2, 1, 1, 1), np.uint8)) is None


def array(dtype, *values):
    return np.array(values, dtype).reshape(1, 1, -1, 1)


@pytest.mark.parametrize(
    ("training", "pixels"),
    [
        (PixelRange(0, 255), array(np.float64, 0, 1)),
        (PixelRange(0, 2.1), array(np.float32, 0.5)),
        (PixelRange(0, 1), array(np.uint8, 0, 255)),
        (PixelRange(0, 1), array(np.float32, 0, 2.1)),
        (PixelRange(0, 1, is_integer=True).union(PixelRange(0, 1)), array(np.uint8, 0, 255)),
    ],
)
def test_another_range_warns(training, pixels):
    with pytest.warns(PixelRangeWarning, match="trained on values within"):
        warn_of_other_range(pixels.astype(np.float32), pixels.dtype, training)


@pytest.mark.parametrize(
    ("training", "pixels"),
    [
        (PixelRange(0, 255), array(np.float32, 0, 255)),
        (PixelRange(0, 255), array(np.uint8, 0, 1)),
        (PixelRange(0, 255), array(np.int64, 0, 1)),
        (PixelRange(0, 255), array(np.float32, 0, 0)),
        (PixelRange(0, 255), array(np.float32, -1, 1)),
        (PixelRange(-3, 3), array(np.float32, 0, 1)),
        (PixelRange(0, 1, is_integer=True), array(np.uint8, 0, 255)),  # it was dark
        (PixelRange(0, 1, True).union(PixelRange(0, 1, True)), array(np.float32, 0, 2.1)),
        (PixelRange(0, 255).union(PixelRange(-1, 1)), array(np.float32, 0, 1)),
        (PixelRange(0, 1), array(np.float32, 0, 2)),
        (PixelRange(0, 1), array(np.float32, -5, 5)),
    ],
)
def test_the_same_range_does_not_warn(training, pixels):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_other_range(pixels.astype(np.float32), pixels.dtype, training)


def test_the_range_of_pieces_is_that_of_all():
    joined = PixelRange(0, 255, is_integer=True).union(PixelRange(-1, 1))
    assert joined == PixelRange(-1, 255, is_integer=False)


def test_images_to_validate_on_are_named(images, small):
    X, y = images
    with pytest.warns(PixelRangeWarning, match="^X_val has values within"):
        small(epochs=1).fit(X, y, X_val=X / np.float32(255), y_val=y)
