# SPDX-License-Identifier: BSD-3-Clause
"""The architecture as data: rows, counts, names, clipped windows and initial weights."""

import itertools
import math

import numpy as np
import pytest

from fashioncnn import FashionCNNClassifier
from fashioncnn._inputs.architecture import build_architecture
from fashioncnn._network.architecture import initial_weights


def architecture(image_shape=(28, 28, 1), n_classes=10, **params):
    params = FashionCNNClassifier(**params).get_params()
    return build_architecture(params, image_shape, n_classes)


def test_default_is_the_articles_network():
    rows = [
        (layer.kind, layer.output_shape, sum(math.prod(w.shape) for w in layer.weights.values()))
        for layer in architecture().layers
    ]
    assert rows == [
        ("Conv2D", (26, 26, 32), 320),
        ("Conv2D", (24, 24, 64), 18_496),
        ("MaxPooling2D", (12, 12, 64), 0),
        ("Dropout", (12, 12, 64), 0),
        ("Flatten", (9216,), 0),
        ("Dense", (128,), 1_179_776),
        ("Dropout", (128,), 0),
        ("Dense", (10,), 1_290),
    ]
    assert architecture().n_parameters == 1_199_882


# Each count is worked out layer by layer: window * channels * filters + biases.
COUNTS = [
    ({}, (28, 28, 1), 10, 320 + 18_496 + 1_179_776 + 1_290),
    ({"conv_stacks": (8,)}, (28, 28, 1), 10, 80 + (13 * 13 * 8 * 128 + 128) + 1_290),
    ({"dense_units": ()}, (28, 28, 1), 10, 320 + 18_496 + 9216 * 10 + 10),
    (
        {"conv_stacks": ((16,), (32,)), "dense_units": (64, 32), "padding": "same"},
        (28, 28, 1),
        10,
        160 + 4_640 + (7 * 7 * 32 * 64 + 64) + (64 * 32 + 32) + 330,
    ),
    (
        {"batch_normalization": True, "global_pooling": "avg"},
        (28, 28, 1),
        10,
        # no biases of convolutions; four values per channel, two of them moving statistics
        288 + 4 * 32 + 18_432 + 4 * 64 + (64 * 128 + 128) + 1_290,
    ),
    (
        {"conv_stacks": ((4, 4, 4),), "padding": "same", "residual": True, "dense_units": ()},
        (28, 28, 1),
        10,
        40 + 2 * 148 + (14 * 14 * 4 * 10 + 10),  # shortcuts have no parameters
    ),
    (
        {"global_pooling": "max", "dense_units": 16},
        (32, 32, 3),
        100,
        896 + 18_496 + (64 * 16 + 16) + 1_700,
    ),
    (
        {"conv_stacks": (4, 6), "kernel_size": ((5, 5), (3, 1)), "dense_units": ()},
        (28, 28, 1),
        10,
        # 28 -> 24 -> 12; 12 x 12 by (3, 1) -> 10 x 12 -> 5 x 6
        (25 * 4 + 4) + (3 * 4 * 6 + 6) + (5 * 6 * 6 * 10 + 10),
    ),
    (
        {"conv_stacks": (4, 6), "pool_size": ((2, 3), (1, 1)), "dense_units": ()},
        (28, 28, 1),
        10,
        # 28 -> 26 -> 13 x 8; by 3 -> 11 x 6
        40 + (9 * 4 * 6 + 6) + (11 * 6 * 6 * 10 + 10),
    ),
    # a strip one pixel high: the window is (1, 3), and 30 -> 28 -> 26 -> 13
    ({}, (1, 30, 1), 3, (3 * 32 + 32) + (3 * 32 * 64 + 64) + (13 * 64 * 128 + 128) + 387),
    # one pixel: every window is (1, 1)
    ({}, (1, 1, 1), 2, 64 + (32 * 64 + 64) + (64 * 128 + 128) + 258),
]


@pytest.mark.parametrize(("params", "image_shape", "n_classes", "count"), COUNTS)
def test_parameter_counts(params, image_shape, n_classes, count):
    assert architecture(image_shape, n_classes, **params).n_parameters == count


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_every_image_size_builds(padding):
    for height, width in itertools.product(range(1, 8), repeat=2):
        layers = architecture(
            (height, width, 1), conv_stacks=((2, 3), 4), kernel_size=5, pool_size=3, padding=padding
        ).layers
        assert all(side >= 1 for layer in layers for side in layer.output_shape)


def test_dropout_of_zero_has_no_layer():
    layers = architecture(conv_stacks=(4, 8), conv_dropout=(0.0, 0.5), dense_dropout=0).layers
    assert [layer.name for layer in layers if layer.kind == "Dropout"] == ["stack2_dropout"]


def test_pooling_comes_before_the_last_normalisation():
    layers = architecture(conv_stacks=((4, 8),), batch_normalization=True).layers
    assert [layer.kind for layer in layers][:8] == [
        "Conv2D",
        "BatchNormalization",
        "Activation",
        "Conv2D",
        "MaxPooling2D",
        "BatchNormalization",
        "Activation",
        "Dropout",
    ]


RESIDUAL = {"padding": "same", "residual": True}


@pytest.mark.parametrize(
    ("filters", "sums"),
    [
        ((4,), {}),
        ((4, 4), {2: 1}),
        ((4, 4, 4), {3: 1}),
        ((4, 4, 4, 4), {3: 1, 4: 3}),
        ((4, 4, 4, 4, 4), {3: 1, 5: 3}),
        ((4, 8), {}),
        ((4, 8, 4), {3: 1}),
        ((4, 8, 8), {}),
        ((4, 8, 8, 8), {4: 3}),
    ],
)
@pytest.mark.parametrize("is_normalized", [False, True])
def test_shortcuts_lead_around_two_convolutions_or_what_is_left(filters, sums, is_normalized):
    table = architecture(conv_stacks=(filters,), batch_normalization=is_normalized, **RESIDUAL)
    layers = {layer.name: layer for layer in table.layers}
    added = {name: layer.inputs for name, layer in layers.items() if layer.kind == "Add"}
    assert set(added) == {f"stack1_sum{number}" for number in sums}
    for number, start in sums.items():
        end, shortcut = added[f"stack1_sum{number}"]
        activated = f"stack1_relu{start}"
        if activated not in layers:
            activated = f"stack1_conv{start}"  # which has its activation in it
        is_last = number == len(filters)
        if is_last:
            assert layers[shortcut]._replace(name="", inputs=()) == layers["stack1_pool"]._replace(
                name="", inputs=()
            )
            shortcut = layers[shortcut].inputs[0]
        assert shortcut == activated
        before = "pool" if is_last else f"conv{number}"
        assert end == f"stack1_{f'norm{number}' if is_normalized else before}"
        assert layers[f"stack1_conv{number}"].config["activation"] == "linear"
        assert layers[f"stack1_relu{number}"].inputs == (f"stack1_sum{number}",)


def test_names_are_unique():
    layers = architecture(
        conv_stacks=((4, 4, 4, 4), (8, 8)),
        batch_normalization=True,
        dense_units=(8, 8),
        **RESIDUAL,
    ).layers
    assert len({layer.name for layer in layers}) == len(layers)


def test_equal_parameters_make_equal_architectures():
    lists = architecture(conv_stacks=[[32, np.int64(64)]], dense_units=[128], kernel_size=[3, 3])
    assert lists == architecture()
    assert hash(lists) == hash(architecture())
    assert lists != architecture(activation="tanh")


def test_initial_weights_are_glorot_uniform():
    weights = initial_weights(architecture(), np.random.SeedSequence(0))
    assert {name: value.shape for name, value in weights.items()} == architecture().weight_shapes
    assert all(value.dtype == np.float32 for value in weights.values())
    kernel = weights["dense1/kernel"]
    limit = math.sqrt(6 / (9216 + 128))
    assert 0.99 * limit < np.abs(kernel).max() <= limit
    assert abs(kernel.mean()) < 0.01 * limit
    assert kernel.std() == pytest.approx(limit / math.sqrt(3), rel=0.01)
    limit = math.sqrt(6 / (9 * 32 + 9 * 64))
    assert 0.99 * limit < np.abs(weights["stack1_conv2/kernel"]).max() <= limit
    assert not weights["dense1/bias"].any()


def test_normalisation_starts_as_identity():
    with_normalization = architecture(batch_normalization=True)
    weights = initial_weights(with_normalization, np.random.SeedSequence(0))
    for variable, value in {"gamma": 1, "beta": 0, "moving_mean": 0, "moving_variance": 1}.items():
        assert (weights[f"stack1_norm1/{variable}"] == value).all()


def test_seed_decides_initial_weights():
    one, same, other = (
        initial_weights(architecture(), np.random.SeedSequence(seed)) for seed in (0, 0, 1)
    )
    for name in architecture().weight_shapes:
        np.testing.assert_array_equal(one[name], same[name])
    assert (one["dense1/kernel"] != other["dense1/kernel"]).any()
