# SPDX-License-Identifier: BSD-3-Clause
"""The constants of the scaling, and images that fix useless ones."""

import numpy as np
import pytest
from sklearn.base import clone

from fashioncnn import PixelRangeWarning
from fashioncnn._network.scaling import fit_scaling


def scaled(pixels, scaling):
    return pixels * np.array(scaling.scale) + np.array(scaling.offset)


def fit(kind, pixels, rows=None, source_dtype=None):
    rows = np.arange(len(pixels)) if rows is None else rows
    return fit_scaling(kind, pixels, rows, source_dtype or pixels.dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_standardize_uses_each_channel_of_the_training_part(dtype, monkeypatch):
    monkeypatch.setattr("fashioncnn._network.data._BLOCK", 7 * 60)  # seven images
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
    monkeypatch.setattr("fashioncnn._network.data._BLOCK", 3 * 18)  # three images
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


@pytest.mark.parametrize("values", [[0, 0.5, 2.1], [-3, 9], [255]])
def test_unit_warns_of_floats_that_are_not_scaled(values, small):
    X = np.resize(np.array(values, np.float32), (6, 2, 2))
    y = [0, 1] * 3
    message = r"X has values within .* Divide X .* or use scaling='standardize'.* scaling=None does"
    with pytest.warns(PixelRangeWarning, match=message):
        clf = small(epochs=1, scaling="unit", warm_start=True).fit(X, y)
    clf.fit(X, y)  # says it once
    with pytest.warns(PixelRangeWarning, match=message):
        small(epochs=1, scaling="unit").partial_fit(X, y, [0, 1])


@pytest.mark.parametrize(
    ("X", "params"),
    [
        (np.float32([[0, 2], [1, 0]]), {"scaling": "unit"}),
        (np.float64([[-9, 1], [1, 0]]), {"scaling": "unit"}),
        (np.uint8([[0, 255], [1, 0]]), {"scaling": "unit"}),
        (np.int64([[0, 255], [1, 0]]), {"scaling": "unit"}),
        (np.array([[False, True], [True, False]]), {"scaling": "unit"}),
        # what the message advises
        (np.float32([[0, 255], [1, 0]]) / 255, {"scaling": "unit"}),
        (np.float32([[0, 255], [1, 0]]), {"scaling": "standardize"}),
        (np.float32([[0, 255], [1, 0]]), {"scaling": None}),
    ],
)
def test_other_images_are_no_reason_to_warn(X, params, small):
    small(epochs=1, **params).fit(X, [0, 1])  # where warnings are errors


ONE_VALUE = r"first call of partial_fit fixes the scaling.* have one value only"


@pytest.mark.parametrize("value", [0, 200, 0.1])
def test_a_first_piece_of_one_value_fixes_a_useless_scaling(value, images, small):
    _, y = images
    blank = np.full((3, 6, 6), value)
    with pytest.warns(UserWarning, match=ONE_VALUE + ", which does not tell"):
        small().partial_fit(blank, y[:3], classes=np.unique(y))


def test_a_channel_of_one_value_in_a_first_piece(images, small):
    X, y = images
    colour = np.stack([X, np.full_like(X, 255), X, np.full_like(X, 255)], axis=-1)
    colour[0, 0, 0, 3] = 254
    with pytest.warns(UserWarning, match=ONE_VALUE + r" in channels \[1\], which"):
        small().partial_fit(colour, y, classes=np.unique(y))


def test_a_first_piece_whose_values_differ_by_rounding(images, small):
    _, y = images
    piece = np.full((6, 6, 6), 0.1, np.float32)
    piece[:3] = np.nextafter(np.float32(0.1), np.float32(1))
    with pytest.warns(UserWarning, match=ONE_VALUE):
        small().partial_fit(piece, y[:6], classes=np.unique(y))


def test_what_is_advised_for_a_first_piece_of_one_value(images, small):
    X, y = images
    blank = np.full_like(X, 7)
    with pytest.warns(UserWarning, match="begin anew, by partial_fit of a clone, with typical"):
        clf = small().partial_fit(blank, y, classes=np.unique(y))
    clf.partial_fit(blank, y)  # says it once
    clone(clf).partial_fit(X, y, classes=np.unique(y)).partial_fit(blank, y)
    for scaling in ("unit", None):
        clone(clf).set_params(scaling=scaling).partial_fit(blank, y, np.unique(y)).partial_fit(X, y)
    small(epochs=1).fit(blank, y)  # this is all that it trains on
