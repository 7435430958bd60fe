# SPDX-License-Identifier: BSD-3-Clause
"""Networks of every kind of layer, on which each engine is compared with Keras' stock layers."""

from typing import get_args

import numpy as np

from fashioncnn import FashionCNNClassifier
from fashioncnn._inputs.architecture import build_architecture
from fashioncnn._network.architecture import Activation, Layer, initial_weights
from fashioncnn._network.checkpoint import new_checkpoint
from fashioncnn._network.fitted import Compilation, FittedNetwork, fitted_attributes
from fashioncnn._network.pixel_range import PixelRange
from fashioncnn._network.scaling import Scaling
from fashioncnn._tensorflow.keras_model import build_network, set_weights
from fashioncnn.recipes import RECIPES

N_CLASSES = 3
SMALL = {"conv_stacks": ((4, 5), 6), "dense_units": (8,), "conv_dropout": 0, "dense_dropout": 0}


def make(image_shape=(7, 6, 2), n_classes=N_CLASSES, **params):
    clf = FashionCNNClassifier(**(SMALL | params))
    return build_architecture(clf.get_params(), image_shape, n_classes)


def weights_of(architecture, seed=0):
    """Draw weights of which none is zero, gammas of either sign among them."""
    random = np.random.default_rng(seed)
    weights = initial_weights(architecture, np.random.SeedSequence(seed))
    for name, value in weights.items():
        value += random.normal(0, 0.3, value.shape).astype(np.float32)
        if name.endswith("gamma"):
            value *= np.where(np.arange(len(value)) % 2, 1, -1)
        if name.endswith("variance"):
            np.abs(value, out=value)
    return weights


def untrained(
    architecture, classes=None, *, scaling="standardize", test_time_flip=False, **attributes
):
    """Make a classifier that is fitted without training, by random weights."""
    classes = np.arange(architecture.n_classes) if classes is None else classes
    n_channels = architecture.image_shape[-1]
    constants = scaling and Scaling(scaling, (0.5,) * n_channels, (1 / 3,) * n_channels)
    checkpoint = new_checkpoint(architecture, 3)._replace(
        weights=weights_of(architecture), history={"loss": [0.25]}, best_epoch=1
    )
    network = FittedNetwork(
        architecture,
        constants,
        Compilation("adam", 0.001, 0.0, "categorical_crossentropy"),
        pixel_range=PixelRange(-4.0, 4.0, None, None),
        checkpoint=checkpoint,
        test_time_flip=test_time_flip,
    )
    clf = FashionCNNClassifier()
    vars(clf).update(fitted_attributes(network, classes, "float32") | attributes)
    return clf


def batch(architecture, n, seed=1):
    random = np.random.default_rng(seed)
    images = random.normal(size=(n, *architecture.image_shape)).astype(np.float32)
    return images, np.eye(N_CLASSES, dtype=np.float32)[random.integers(0, N_CLASSES, n)]


def stock_logits(architecture, weights, images, scaling=None, **options):
    """Return the logits that Keras' layers compute of images."""
    model = build_network(architecture, scaling, **options)
    set_weights(model, weights)
    return model(images, training=False).numpy()


def assert_equal(ours, stock, tolerance=1e-5):
    """Compare two dicts of arrays, each by the size of its largest value."""
    assert ours.keys() == stock.keys()
    for name, value in stock.items():
        size = np.abs(value).max() + 1e-3
        np.testing.assert_allclose(ours[name] / size, value / size, atol=tolerance, err_msg=name)


def assert_rows_agree(ours, others):
    """Compare the logits of two engines, each row by the size of its largest, which is at least 1.

    Where the two best of a row differ by more than engines may, both say the same label.
    """
    assert ours.dtype == others.dtype == np.float32
    assert ours.shape == others.shape
    tolerances = 1e-5 * np.abs(others).max(axis=1, initial=1, keepdims=True)
    np.testing.assert_array_less(np.abs(ours - others), tolerances * np.ones_like(others))
    second, best = np.sort(others, axis=1).T[-2:]
    is_clear = best - second > tolerances[:, 0]
    np.testing.assert_array_equal(ours.argmax(axis=1)[is_clear], others.argmax(axis=1)[is_clear])


ACTIVATIONS = sorted(get_args(Activation))
# Of a map of one pixel the average is the maximum, so global pooling needs a larger one.
NINE_PIXELS = {"image_shape": (11, 10, 2), "conv_stacks": ((4, 5),)}
CONFIGURATIONS = {
    "default": {},
    "article": {"conv_stacks": ((32, 64),), "image_shape": (28, 28, 1), "dense_units": (128,)},
    "same": {"padding": "same", "kernel_size": ((5, 3), (2, 2)), "pool_size": ((2, 1), (1, 3))},
    "tiles": {"conv_stacks": ((16, 17), 18), "padding": "same"},
    "tiles, normalized": {"conv_stacks": ((16, 17),), "batch_normalization": True},
    "unpooled": {"pool_size": 1, "activation": "gelu"},
    "global average": {"global_pooling": "avg", "dense_units": (), **NINE_PIXELS},
    "global maximum": {"global_pooling": "max", "dense_units": (4, 5), **NINE_PIXELS},
    "normalized": {"batch_normalization": True},
    "normalized, same": {"batch_normalization": True, "padding": "same", "global_pooling": "avg"},
    "normalized pixel": {"batch_normalization": True, "image_shape": (1, 1, 2)},
    "residual": {
        "conv_stacks": ((4, 4), (4, 5, 5)),  # no shortcut in the second
        "padding": "same",
        "residual": True,
    },
    "residual, normalized": {
        "conv_stacks": ((4, 4, 4, 4), (5, 5, 5)),
        "padding": "same",
        "residual": True,
        "batch_normalization": True,
    },
    "strip": {"image_shape": (1, 9, 1)},
    **{
        activation: {"activation": activation, "conv_stacks": ((4, 5),)}
        for activation in ACTIVATIONS
    },
}

WITH_DROPOUT = {"conv_dropout": 0.25, "dense_dropout": 0.2}

# What a window may do at the edges of a feature map.
EDGES = {
    "dropout": {**WITH_DROPOUT},
    "one dense layer": {"dense_units": ()},
    "three dense layers": {"dense_units": (5, 4, 3)},
    "one pixel": {"image_shape": (1, 1, 1)},
    "one column": {"image_shape": (9, 1, 3), "padding": "same"},
    "strip, same": {"image_shape": (1, 9, 2), "padding": "same", "kernel_size": (5, 4)},
    "long strip": {"image_shape": (1, 3000, 1), "conv_stacks": ((4, 4),), "padding": "same"},
    "kernel of one pixel": {"kernel_size": 1, "pool_size": 1},
    "kernel as large as the image": {"kernel_size": (7, 6), "conv_stacks": (4,)},
    "the same with padding": {"kernel_size": (7, 6), "padding": "same", "conv_stacks": ((4, 3),)},
    "kernel larger than the image": {"kernel_size": 40, "padding": "same"},
    "even kernel, same": {"kernel_size": (4, 2), "padding": "same"},
    "pool as large as the map": {"pool_size": (5, 4), "conv_stacks": (4,)},
    "pool larger than the map": {"pool_size": 40},
    "pool of one row": {"pool_size": (1, 3)},
    "normalized, gelu": {"batch_normalization": True, "activation": "gelu"},
    "normalized, unpooled": {"batch_normalization": True, "pool_size": 1, "padding": "same"},
    "normalized, global maximum": {
        "batch_normalization": True,
        "global_pooling": "max",
        **NINE_PIXELS,
    },
}


# What each recipe makes for Fashion-MNIST.
RECIPE_NETWORKS = {
    name: {
        **FashionCNNClassifier.from_recipe(name).get_params(),
        "image_shape": (28, 28, 1),
        "n_classes": 10,
    }
    for name in RECIPES
}

# Of activations, of which some overflow where a form is not the right one.
TINY = [1e-45, 1e-38, 1e-20, 1e-7, 1e-4]
EXTREME = [0, *TINY, 0.5, 1, 3, 5.999, 6.001, 20, 88, 89, 100, 104, 1000, 1e10, 1e30]
VALUES = np.float32([*EXTREME, *np.negative(EXTREME), *np.linspace(-12, 12, 402)])


TANH = {"activation": "tanh"}
HALF = {"rate": 0.5, "seed": 0}
# Parameters, what is added to the output of which layers, and rows that are inserted after others.
BRANCHES = {
    "around a convolution": ({"conv_stacks": ((4, 4), 3)}, {"stack1_conv2": "stack1_conv1"}),
    "around two": ({"conv_stacks": ((4, 4, 4),)}, {"stack1_conv3": "stack1_conv1"}),
    "one in another": (
        {"conv_stacks": ((4, 4, 4),), "activation": "tanh"},
        {"stack1_conv2": "stack1_conv1", "stack1_conv3": "stack1_conv1"},
    ),
    "from dropout": (
        {"conv_stacks": (4, 4), "pool_size": ((2, 2), (1, 1))},
        {"stack2_conv1": "stack1_dropout"},
    ),
    "from pooling": (
        {"conv_stacks": (4, 4), "pool_size": ((2, 2), (1, 1)), "activation": "gelu"},
        {"stack2_conv1": "stack1_pool"},
    ),
    "from before normalisation": (
        {"conv_stacks": ((4, 4),), "batch_normalization": True},
        {"stack1_conv2": "stack1_conv1", "stack1_norm1": "stack1_conv1"},
    ),
    "activation after dropout": (
        {"conv_stacks": (4, 4)},
        {},
        {"stack1_dropout": Layer("Activation", "extra", ("stack1_dropout",), TANH, (4, 3, 4), {})},
    ),
    "dropout of what was before": (
        {"conv_stacks": ((4, 4),)},
        {"extra": "stack1_conv2"},
        {"stack1_conv2": Layer("Dropout", "extra", ("stack1_conv1",), HALF, (8, 7, 4), {})},
    ),
    "in the head": ({"conv_stacks": (4,), "dense_units": (6, 6)}, {"dense2": "dense1_dropout"}),
}


def branched(name):
    """Give an architecture where to the output of some layers that of others is added."""
    params, sums, *inserted = BRANCHES[name]
    rates = {"conv_dropout": 0.25, "dense_dropout": 0.5}
    architecture = make((8, 7, 2), padding="same", **rates, **params)
    rows, latest = [], {}

    def add(row):
        rows.append(row)
        if row.name in sums:
            inputs = row.name, sums[row.name]
            rows.append(Layer("Add", f"{row.name}_sum", inputs, {}, row.output_shape, {}))

    for row in architecture.layers:
        add(row._replace(inputs=tuple(latest.get(name, name) for name in row.inputs)))
        for extra in inserted:
            if row.name in extra:
                add(extra[row.name])
        latest[row.name] = rows[-1].name
    return architecture.with_layers(tuple(rows))
