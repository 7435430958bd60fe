# SPDX-License-Identifier: BSD-3-Clause
"""Prediction by NumPy: what Keras' stock layers compute, image by image, in bounded memory."""

import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from networks import (
    ACTIVATIONS,
    BRANCHES,
    CONFIGURATIONS,
    EDGES,
    VALUES,
    assert_rows_agree,
    batch,
    branched,
    make,
    stock_logits,
    weights_of,
)

from fashioncnn import FashionCNNClassifier
from fashioncnn._inputs.architecture import build_architecture
from fashioncnn._network import convolution, numpy_forward
from fashioncnn._network.numpy_forward import NumpyPredictor, most_images
from fashioncnn._network.scaling import Scaling


def predictor_of(architecture, weights=None, scaling=None):
    return NumpyPredictor(architecture, weights or weights_of(architecture), scaling)


@pytest.mark.parametrize("name", [*CONFIGURATIONS, *EDGES])
def test_logits_are_those_of_stock_layers(name):
    architecture = make(**{**CONFIGURATIONS, **EDGES}[name])
    weights = weights_of(architecture)
    images, _ = batch(architecture, 4)
    logits = predictor_of(architecture, weights).logits(images)
    assert_rows_agree(logits, stock_logits(architecture, weights, images))


@pytest.mark.parametrize("dtype", ["u1", "u2", "i8", "f2", "f4", ">f4", "f8"])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_pixels_are_scaled_as_stock_layers_do(dtype, padding):
    """Of any dtype; the border that "same" adds is zero after scaling, not before."""
    architecture = make((5, 6, 2), padding=padding)
    weights = weights_of(architecture)
    scaling = Scaling("standardize", (0.02, 0.05), (-1.5, 2.0))
    images = np.random.default_rng(0).integers(0, 120, (4, 5, 6, 2)).astype(dtype)
    logits = predictor_of(architecture, weights, scaling).logits(images)
    expected = stock_logits(architecture, weights, images.astype(np.float32), scaling)
    assert_rows_agree(logits, expected)


@pytest.mark.parametrize("name", BRANCHES)
def test_branches_are_those_of_stock_layers(name):
    """The table of layers can say more branches than `residual` makes."""
    architecture = branched(name)
    weights = weights_of(architecture)
    images, _ = batch(architecture, 4)
    logits = predictor_of(architecture, weights).logits(images)
    assert_rows_agree(logits, stock_logits(architecture, weights, images))


def test_every_kind_of_layer_is_compared():
    architectures = [make(**params) for params in [*CONFIGURATIONS.values(), *EDGES.values()]]
    kinds = {layer.kind for architecture in architectures for layer in architecture.layers}
    assert kinds == set(numpy_forward._OPERATIONS)


# --- Activations ----------------------------------------------------------------------------------


def activated(activation, values, width=1):
    """Return what a network computes that gives each pixel's activation as a logit of its own."""
    shape = (1, len(values) // width, width)
    params = {"conv_stacks": (width,), "kernel_size": 1, "pool_size": 1, "dense_units": ()}
    architecture = make(shape, len(values), activation=activation, **params)
    weights = {name: np.zeros(s, np.float32) for name, s in architecture.weight_shapes.items()}
    weights["stack1_conv1/kernel"][...] = np.eye(width)
    weights["predictions/kernel"][...] = np.eye(len(values))
    return NumpyPredictor(architecture, weights, None).logits(values.reshape(1, *shape))[0]


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_of_extreme_values_are_those_of_keras(activation, width):
    values = VALUES[: len(VALUES) // width * width]
    expected = np.asarray(keras.activations.get(activation)(values))
    assert np.isfinite(expected).all()
    ours = activated(activation, values, width)
    np.testing.assert_allclose(ours, expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_values_beyond_float32_give_no_finite_logits_and_no_warning(activation):
    """Sums that overflow, as after weights have diverged, are for the caller to refuse."""
    architecture = make((4, 4, 1), activation=activation, batch_normalization=True)
    weights = {name: np.full_like(v, 3e38) for name, v in weights_of(architecture).items()}
    logits = predictor_of(architecture, weights).logits(np.full((2, 4, 4, 1), 3e38, np.float32))
    assert not np.isfinite(logits).all()


# --- Neighbours, place, memory layout and threads -------------------------------------------------

SHARED = {
    "article": CONFIGURATIONS["article"],
    "same": CONFIGURATIONS["same"],
    "normalized": CONFIGURATIONS["normalized"],
    "strip": CONFIGURATIONS["strip"],
    "pixel": {"image_shape": (1, 1, 2), "global_pooling": "avg"},
}


@pytest.mark.parametrize("name", SHARED)
def test_neighbours_and_place_change_no_bit(name):
    architecture = make(**SHARED[name])
    predictor = predictor_of(architecture)
    images, _ = batch(architecture, 9)
    whole = predictor.logits(images)
    alone = np.concatenate([predictor.logits(image[np.newaxis]) for image in images])
    np.testing.assert_array_equal(whole, alone)
    rows = np.random.default_rng(0).integers(0, 9, 30)  # in any order, some of them repeated
    np.testing.assert_array_equal(predictor.logits(images[rows]), whole[rows])
    np.testing.assert_array_equal(predictor.logits(images[::-1]), whole[::-1])
    others = np.random.default_rng(1).normal(size=images.shape).astype(np.float32)
    others[4] = images[4]
    np.testing.assert_array_equal(predictor.logits(others)[4], whole[4])


def _shifted(images, n_bytes):
    """Return the images at an address that is that far from one of NumPy's own."""
    buffer = np.zeros(images.nbytes + 64, np.uint8)
    copy = buffer[n_bytes : n_bytes + images.nbytes].view(images.dtype).reshape(images.shape)
    copy[...] = images
    return copy


def _spread(images):
    """Return the images as every second row and column of larger ones."""
    n, height, width, channels = images.shape
    larger = np.zeros((n, 2 * height, 2 * width, channels + 1), images.dtype)
    larger[:, ::2, 1::2, 1:] = images
    return larger[:, ::2, 1::2, 1:]


def _read_only(images):
    copy = images.copy()
    copy.flags.writeable = False
    return copy


def _strange(images):
    """Return the images with another stride where an axis has one place, which is still C order."""
    strides = [s if n > 1 else 4 * s + 3 for n, s in zip(images.shape, images.strides, strict=True)]
    return np.lib.stride_tricks.as_strided(images.copy(), strides=strides)


LAYOUTS = {
    "Fortran": np.asfortranarray,
    "channels first in memory": lambda images: np.moveaxis(np.moveaxis(images, 3, 1).copy(), 1, 3),
    "mirrored": lambda images: images[:, ::-1, ::-1].copy()[:, ::-1, ::-1],
    "spread": _spread,
    "read-only": _read_only,
    "strange strides": _strange,
    "shifted by 1": lambda images: _shifted(images, 1),
    "shifted by 4": lambda images: _shifted(images, 4),
    "shifted by 20": lambda images: _shifted(images, 20),
}


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("name", SHARED)
def test_memory_order_and_alignment_change_no_bit(name, dtype):
    architecture = make(**SHARED[name])
    predictor = predictor_of(architecture)
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (3, *architecture.image_shape)).astype(dtype)
    before, expected = images.copy(), predictor.logits(images)
    for layout, change in LAYOUTS.items():
        changed = change(images)
        np.testing.assert_array_equal(predictor.logits(changed), expected, err_msg=layout)
        np.testing.assert_array_equal(changed, before)  # nothing is written to it


def test_dtypes_that_hold_the_same_values_give_the_same_bits():
    architecture = make()
    predictor = predictor_of(architecture)
    images = np.random.default_rng(0).integers(0, 128, (3, *architecture.image_shape))
    expected = predictor.logits(images.astype(np.uint8))
    for dtype in ("i1", "u2", ">i4", "i8", "f2", "f4", ">f8", "f8", "g"):
        np.testing.assert_array_equal(predictor.logits(images.astype(dtype)), expected)


def test_weights_in_any_layout_serve():
    """Read-only and at any address, as maps of files have them; a change of order may round."""
    architecture = make(batch_normalization=True, padding="same")
    weights = weights_of(architecture)
    images, _ = batch(architecture, 3)
    expected = predictor_of(architecture, weights).logits(images)
    before = {name: value.copy() for name, value in weights.items()}
    for change in (_read_only, lambda value: _shifted(value, 1), lambda value: _shifted(value, 4)):
        changed = {name: change(value) for name, value in weights.items()}
        np.testing.assert_array_equal(predictor_of(architecture, changed).logits(images), expected)
    for change in (np.asfortranarray, lambda value: value[::-1].copy()[::-1]):
        changed = {name: change(value) for name, value in weights.items()}
        assert_rows_agree(predictor_of(architecture, changed).logits(images), expected)
    for name, value in weights.items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("name", ["article", "same", "normalized"])
def test_threads_predict_what_one_predicts(name):
    """Sixteen at once, which all make the first call of a new predictor, as of a new network."""
    architecture = make(**SHARED[name])
    images, _ = batch(architecture, 16)
    expected = predictor_of(architecture).logits(images)
    for predictor in [predictor_of(architecture) for _ in range(3)]:
        barrier = threading.Barrier(16)

        def predict(row, predictor=predictor, barrier=barrier):
            barrier.wait()
            return [predictor.logits(images[row : row + 1])[0] for _ in range(5)]

        with ThreadPoolExecutor(16) as pool:
            for row, results in enumerate(pool.map(predict, range(16))):
                for result in results:
                    np.testing.assert_array_equal(result, expected[row])


def test_a_result_is_the_callers_own():
    """No later call writes to it, nor does writing to it change a later call."""
    architecture = make()
    predictor = predictor_of(architecture)
    images, _ = batch(architecture, 2)
    first = predictor.logits(images[:1])
    kept = first.copy()
    predictor.logits(images[1:])
    np.testing.assert_array_equal(first, kept)
    first[...] = 7
    np.testing.assert_array_equal(predictor.logits(images[:1]), kept)


@pytest.mark.parametrize("n_images", [0, 1, 3])
def test_shape_and_dtype_of_logits(n_images):
    architecture = make()
    images = np.zeros((n_images, *architecture.image_shape), np.uint8)
    logits = predictor_of(architecture).logits(images)
    assert (logits.shape, logits.dtype) == ((n_images, 3), np.float32)


# --- Large images ---------------------------------------------------------------------------------


def peak_of_prediction(architecture, dtype=np.uint8):
    """Return the most bytes that a prediction of one image holds at a time, beside the weights."""
    predictor = predictor_of(architecture)
    image = np.random.default_rng(0).integers(0, 255, (1, *architecture.image_shape)).astype(dtype)
    tracemalloc.start()
    predictor.logits(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


LARGE = {"conv_stacks": ((8, 8),), "pool_size": 4, "dense_units": (), "global_pooling": "avg"}
# The most that is held beside feature maps: a piece of the windows, and small arrays.
PIECE_BYTES = 12 * 2**20


@pytest.mark.parametrize(
    ("shape", "kernel_size"),
    [
        ((400, 400, 3), 3),
        ((400, 400, 3), 9),
        ((1, 160_000, 3), (1, 9)),
        ((160_000, 1, 3), (9, 1)),
        ((3, 60_000, 3), (3, 9)),
        ((40, 40, 3), 40),
        pytest.param((1500, 1500, 3), 3, marks=pytest.mark.slow),
        pytest.param((1500, 1500, 3), 9, marks=pytest.mark.slow),
        pytest.param((1, 2_000_000, 3), (1, 9), marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_memory_is_bounded_by_feature_maps(shape, kernel_size, dtype):
    """Not by the matrix of all windows, which is 9 to 1600 times as large."""
    architecture = make(shape, padding="same", kernel_size=kernel_size, **LARGE)
    largest_map = 4 * architecture.largest_activation
    assert peak_of_prediction(architecture, dtype) < 5 * largest_map + PIECE_BYTES


def test_memory_of_tiles_is_bounded_by_feature_maps():
    architecture = make((300, 300, 3), padding="same", **LARGE | {"conv_stacks": ((16, 16, 16),)})
    largest_map = 4 * architecture.largest_activation
    assert peak_of_prediction(architecture) < 5 * largest_map + PIECE_BYTES


def test_memory_does_not_grow_with_depth():
    """Nothing is kept that no later layer uses."""
    few, many = (
        make((400, 400, 3), padding="same", **LARGE | {"conv_stacks": ((8,) * n,)}) for n in (2, 7)
    )
    assert peak_of_prediction(many) < peak_of_prediction(few) + 2**20


CUT = {
    "article": CONFIGURATIONS["article"],
    **{name: CONFIGURATIONS[name] for name in ("default", "same", "normalized", "strip")},
    **{name: EDGES[name] for name in ("long strip", "one column", "the same with padding")},
}


@pytest.mark.parametrize("n_values", [1, 50, 400, 5000])
@pytest.mark.parametrize("name", CUT)
def test_pieces_agree_with_the_whole(name, n_values, monkeypatch):
    """Whether a piece is some rows of the map, one of them, a part of one, or a pixel."""
    architecture = make(**CUT[name])
    weights = weights_of(architecture)
    images, _ = batch(architecture, 2)
    whole = predictor_of(architecture, weights).logits(images)
    monkeypatch.setattr(convolution, "_MAX_COPIED_VALUES", n_values)
    logits = predictor_of(architecture, weights).logits(images)
    assert_rows_agree(logits, whole)
    alone = predictor_of(architecture, weights).logits(images[1:])
    np.testing.assert_array_equal(alone, logits[1:])


@pytest.mark.parametrize(
    ("shape", "params"),
    [
        ((1, 20_000, 2), {"kernel_size": (1, 7), "global_pooling": "max"}),
        ((20_000, 1, 2), {"kernel_size": (7, 3), "global_pooling": "avg"}),
        ((48, 40, 3), {"kernel_size": (48, 40), "conv_stacks": ((4, 3),)}),
        ((1, 50_000, 2), {"dense_units": ()}),  # a product of many terms
        ((1, 50_000, 2), {"dense_units": (200,), "pool_size": 7}),
        pytest.param((700, 900, 3), {"kernel_size": 5, "pool_size": 7}, marks=pytest.mark.slow),
        pytest.param((1, 1_000_000, 2), {"global_pooling": "avg"}, marks=pytest.mark.slow),
    ],
)
def test_large_images_agree_with_stock_layers(shape, params):
    architecture = make(shape, padding="same", **params)
    weights = weights_of(architecture)
    images, _ = batch(architecture, 1)
    logits = predictor_of(architecture, weights).logits(images)
    assert_rows_agree(logits, stock_logits(architecture, weights, images))


# --- Which calls it is for ------------------------------------------------------------------------


def default_network(shape=(28, 28, 1), n_classes=10, **params):
    return build_architecture(FashionCNNClassifier(**params).get_params(), shape, n_classes)


def test_few_images_of_the_default_network_are_for_numpy():
    assert most_images(default_network()) == 8
    assert most_images(default_network(), test_time_flip=True) == 5  # for twice the arithmetic


@pytest.mark.parametrize(
    "growing",
    [
        [{"shape": (side, side, 1)} for side in (1, 2, 7, 14, 28, 29, 64, 224, 1000)],
        [{"shape": (28, 28, channels)} for channels in (1, 3, 4, 100)],
        [{"shape": (1, width, 1)} for width in (1, 9, 100, 10_000, 1_000_000)],
        [{"conv_stacks": (filters,)} for filters in (1, 8, 32, 64, 512, 4096)],
        [{"conv_stacks": ((16,) * n,), "padding": "same"} for n in range(1, 12)],
        [{"dense_units": (units,)} for units in (1, 128, 1024, 16_384)],
        [{"dense_units": (64,) * n} for n in (0, 1, 2, 5, 50)],
        [{"kernel_size": size, "padding": "same"} for size in (1, 2, 3, 5, 9, 28)],
        [{"n_classes": n} for n in (2, 10, 1000, 100_000)],
    ],
    ids=["side", "channels", "strip", "filters", "depth", "units", "dense", "kernel", "classes"],
)
def test_more_arithmetic_is_for_fewer_images(growing):
    networks = [default_network(**settings) for settings in growing]
    numbers = [most_images(network) for network in networks]
    mirrored = [most_images(network, test_time_flip=True) for network in networks]
    assert all(1 <= m <= n for m, n in zip(mirrored, numbers, strict=True))
    assert all(isinstance(number, int) for number in numbers)
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[-1] >= 1


@pytest.mark.parametrize("name", [*CONFIGURATIONS, *EDGES])
def test_one_image_is_always_for_numpy(name):
    assert most_images(make(**{**CONFIGURATIONS, **EDGES}[name])) >= 1
