# SPDX-License-Identifier: BSD-3-Clause
"""The layers arranged for speed compute what Keras' stock layers do, with the same gradients."""

import functools
from collections import Counter
from typing import get_args

import keras
import numpy as np
import pytest
import tensorflow as tf
from networks import (
    BRANCHES,
    CONFIGURATIONS,
    N_CLASSES,
    assert_equal,
    assert_rows_agree,
    batch,
    branched,
    make,
    stock_logits,
    weights_of,
)

from fashioncnn._network.activations import MONOTONE
from fashioncnn._network.architecture import Activation
from fashioncnn._network.batches import MOMENTUM
from fashioncnn._network.folding import fold
from fashioncnn._network.numpy_forward import NumpyPredictor
from fashioncnn._tensorflow.keras_model import build_network, set_weights, weight_name
from fashioncnn._tensorflow.layers import apply_network, train_network
from fashioncnn._tensorflow.operations import Run, TrainingMode, run_layer
from fashioncnn._tensorflow.prediction import Predictor
from fashioncnn._tensorflow.program import Program


def stock_step(architecture, weights, images, targets, masks=None):
    """Return logits, gradients and moving statistics of a step with Keras' layers.

    Dropout multiplies by the given masks, if there are any.
    """
    model = build_network(architecture)
    set_weights(model, weights)
    for name, mask in (masks or {}).items():
        model.get_layer(name).call = lambda values, mask=mask, **_: values * mask
    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))
    gradients = tape.gradient(loss, [v.value for v in model.trainable_weights])
    names = [weight_name(v) for v in model.trainable_weights]
    moving = {weight_name(v): v.numpy() for v in model.non_trainable_weights}
    return logits.numpy(), dict(zip(names, gradients, strict=True)), moving


def our_step(*args, **settings):
    """Return what `stock_step` does."""
    return traced_step(*args, **settings)()


def traced_step(architecture, weights, images, targets, n_real=None, precision="float32", seed=0):
    n_real = len(images) if n_real is None else n_real
    tensors = {name: tf.constant(value) for name, value in weights.items()}

    def loss_of(logits):
        losses = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
        return tf.reduce_sum(losses[:n_real])

    @tf.function(autograph=False)
    def step():
        training = TrainingMode(seed, 0, tf.constant(n_real), 1 - MOMENTUM, precision)
        trained = train_network(architecture, tensors, tf.constant(images), training, loss_of)
        return trained.logits, trained.gradients, trained.statistics

    return step.get_concrete_function()


@functools.cache
def exact_step(name):
    """Do a step of a configuration in float32; return what it takes and what it gives.

    Do not change them.
    """
    architecture = make(**CONFIGURATIONS[name])
    weights = weights_of(architecture)
    inputs = architecture, weights, *batch(architecture, 64)
    return inputs, our_step(*inputs)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_step_is_that_of_stock_layers(name):
    inputs, (logits, gradients, moving) = exact_step(name)
    stock_logits, stock_gradients, stock_moving = stock_step(*inputs)
    assert_equal({"logits": logits}, {"logits": stock_logits})
    assert_equal(gradients, stock_gradients)
    assert_equal(moving, stock_moving)


@pytest.mark.parametrize("name", ["default", "normalized", "normalized pixel"])
@pytest.mark.parametrize("n_real", [1, 5, 11])
def test_padding_counts_in_nothing(name, n_real):
    architecture = make(**CONFIGURATIONS[name])
    weights = weights_of(architecture)
    images, targets = batch(architecture, 12)
    logits, gradients, moving = our_step(architecture, weights, images, targets, n_real)
    alone = our_step(architecture, weights, images[:n_real], targets[:n_real])
    assert_equal({"logits": logits[:n_real]}, {"logits": alone[0].numpy()})
    assert_equal(gradients, {name: value.numpy() for name, value in alone[1].items()})
    assert_equal(moving, {name: value.numpy() for name, value in alone[2].items()})


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_prediction_is_that_of_stock_layers(name):
    architecture = make(**CONFIGURATIONS[name])
    weights = weights_of(architecture)
    images, _ = batch(architecture, 12)
    folded = fold(architecture, weights)
    # Compiled, since TensorFlow then makes bias and activation part of the convolution.
    predict = tf.function(lambda: apply_network(*folded, images), autograph=False)
    logits = predict()
    assert_equal({"logits": logits}, {"logits": stock_logits(architecture, weights, images)})


def test_folding_leaves_the_weights_alone():
    architecture = make(batch_normalization=True)
    weights = weights_of(architecture)
    before = {name: value.copy() for name, value in weights.items()}
    _, folded = fold(architecture, weights)
    assert not any(name.endswith(("gamma", "moving_mean")) for name in folded)
    assert_equal(weights, before, tolerance=0)


# By a network of two convolutions: its parameters, and which normalisations and activations are
# left where factors have either sign, and where none is negative.
FOLDED = {
    "never falls": ({"activation": "tanh"}, ["norm2", "tanh2"], []),
    "falls": ({"activation": "gelu"}, ["norm2", "gelu2"], ["gelu2"]),
    "padded": ({"padding": "same", "kernel_size": (2, 4)}, ["norm2", "relu2"], []),
}


@pytest.mark.parametrize("name", FOLDED)
def test_factors_that_are_not_negative_come_before_pooling(name):
    params, *left = FOLDED[name]
    architecture = make(conv_stacks=((4, 5),), batch_normalization=True, **params)
    mixed = weights_of(architecture)
    positive = {k: np.abs(v) if k.endswith("gamma") else v for k, v in mixed.items()}
    program = Program(architecture)  # which both share
    images, _ = batch(architecture, 20)
    for weights, expected in zip((mixed, positive), left, strict=True):
        folded, _ = fold(architecture, weights)
        kinds = ("BatchNormalization", "Activation")
        rows = [layer.name for layer in folded.layers if layer.kind in kinds]
        assert rows == [f"stack1_{row}" for row in expected]
        logits = stock_logits(architecture, weights, images)
        for engine in (
            Predictor(program, weights, None),
            NumpyPredictor(architecture, weights, None),
        ):
            assert_rows_agree(engine.logits(images), logits)
    assert program.n_traces == 2


@pytest.mark.parametrize("activation", sorted(get_args(Activation)))
def test_pooling_comes_first_where_activations_never_fall(activation):
    values = np.linspace(-20, 20, 100_001).astype(np.float32)
    steps = np.diff(keras.activations.get(activation)(values))
    assert (activation in MONOTONE) == (steps.min() > -1e-6)


@pytest.mark.parametrize(
    "name",
    [
        *("default", "article", "normalized", "normalized, same", "gelu", "tanh"),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in sorted({*get_args(Activation)} - {"gelu", "tanh"})
        ),
    ],
)
def test_bfloat16_is_near(name):
    inputs, exact = exact_step(name)
    near = our_step(*inputs, precision="bfloat16")
    assert near[0].dtype == tf.float32
    assert (near[0].numpy() != exact[0].numpy()).any()
    assert_equal({"logits": near[0]}, {"logits": exact[0].numpy()}, tolerance=0.05)
    for gradient, expected in zip(near[1].values(), exact[1].values(), strict=True):
        assert gradient.dtype == tf.float32
        one, other = gradient.numpy().ravel(), expected.numpy().ravel()
        cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
        assert cosine > 0.97
    assert_equal(near[2], {name: v.numpy() for name, v in exact[2].items()}, tolerance=0.01)


def test_what_takes_long_is_done_in_bfloat16():
    """All convolutions and all products of dense layers but the last, with their gradients."""
    architecture = make(conv_stacks=((4, 5),), dense_units=(8,))
    graph = traced_step(
        architecture, weights_of(architecture), *batch(architecture, 4), precision="bfloat16"
    ).graph
    in_bfloat16, others = Counter(), Counter()
    for operation in graph.get_operations():
        if operation.type.startswith("Conv2D") or operation.type in ("MatMul", "MaxPoolGrad"):
            is_low = operation.get_attr("T") == tf.bfloat16
            (in_bfloat16 if is_low else others)[operation.type] += 1
    # A product of three for each dense layer, and one for each bias of a feature map.
    assert others == {"MatMul": 3 + 2}
    assert in_bfloat16 == {
        "Conv2D": 2,
        "Conv2DBackpropFilter": 2,
        "Conv2DBackpropInput": 2,  # of which nobody asks for that of the images
        "MaxPoolGrad": 1,
        "MatMul": 3 + 2,
    }


@pytest.mark.parametrize("rate", [0.25, 0.2, 0.5, 0.001, 0.9999999])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_dropout_keeps_its_share_and_the_mean(rate, precision):
    """A network whose logits count the values that dropout lets through, in units of their mean."""
    side = 200
    params = {"conv_stacks": (1,), "dense_units": (), "pool_size": 1, "kernel_size": 1}
    architecture = make((side, side, 1), conv_dropout=rate, **params)
    weights = {name: np.zeros(s, np.float32) for name, s in architecture.weight_shapes.items()}
    weights["stack1_conv1/kernel"][:] = 1
    weights["predictions/kernel"][:] = 1
    images, targets = np.ones((8, side, side, 1), np.float32), np.ones((8, N_CLASSES))
    logits, _, _ = our_step(architecture, weights, images, targets, precision=precision)
    means = logits.numpy()[:, 0] / side**2
    deviation = np.sqrt(rate / (1 - rate) / side**2 / 8)
    if rate > 0.99:  # nearly nothing is kept, and nothing is infinite
        assert np.isfinite(means).all()
    else:
        assert means.mean() == pytest.approx(1, abs=5 * deviation + 2e-5)
        assert len(set(means)) > 4 or rate < 0.01


def test_dropout_acts_before_convolutions_too():
    """Where a mask is followed by a convolution, its kernel makes up for it."""
    architecture = make(
        (40, 40, 1),
        conv_stacks=(1, 1),
        conv_dropout=(0.5, 0),
        dense_units=(),
        pool_size=1,
        kernel_size=1,
        global_pooling="avg",
    )
    weights = {name: np.zeros(s, np.float32) for name, s in architecture.weight_shapes.items()}
    for layer in ("stack1_conv1", "stack2_conv1", "predictions"):
        weights[f"{layer}/kernel"][:] = 1
    images, targets = np.ones((64, 40, 40, 1), np.float32), np.ones((64, N_CLASSES))
    logits, _, _ = our_step(architecture, weights, images, targets)
    assert logits.numpy()[:, 0].mean() == pytest.approx(1, abs=5 / np.sqrt(64 * 1600))


def mask_of(architecture, layer, shape, seed=0, step=0):
    """Return which values a dropout layer keeps, and by what they are yet to be multiplied."""
    run = Run(architecture, {}, TrainingMode(seed, step, 1, 1.0, "float32"))
    return run_layer(run, layer, tf.ones(shape)).numpy(), run.factors[layer.name]


def masks_of_step(architecture, n_rows, n_real):
    """Return by what each dropout layer multiplies the rows that count, in a step of our own."""
    masks = {}
    for layer in architecture.layers:
        if layer.kind == "Dropout":
            mask, factor = mask_of(architecture, layer, (n_rows, *layer.output_shape))
            masks[layer.name] = mask[:n_real] * factor
    return masks


def masks_of(rates, shape, seeds=(0,), steps=(0,)):
    """Return which values each dropout layer keeps, by seed, step and layer."""
    architecture = make(conv_stacks=(2,) * len(rates), conv_dropout=tuple(rates))
    layers = [layer for layer in architecture.layers if layer.kind == "Dropout"]
    masks = {}
    for seed in seeds:
        for step in steps:
            for layer in layers:
                masks[seed, step, layer.name], _ = mask_of(architecture, layer, shape, seed, step)
    return masks


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"pool_size": 1},
        {"padding": "same", "pool_size": ((2, 1), (1, 3)), "global_pooling": "max"},
        {"batch_normalization": True},
        {"conv_stacks": ((4, 4), (5, 5, 5)), "padding": "same", "residual": True},
        {"activation": "tanh"},
        {"activation": "gelu"},
    ],
    ids=lambda params: "-".join(map(str, params)) or "default",
)
def test_gradients_pass_dropout_as_in_stock_layers(params):
    architecture = make((14, 13, 2), conv_dropout=(0.25, 0.1), dense_dropout=0.5, **params)
    weights = weights_of(architecture)
    (images, targets), n_real = batch(architecture, 12), 7
    masks = masks_of_step(architecture, 12, n_real)
    assert len(masks) == 3
    _, expected, _ = stock_step(architecture, weights, images[:n_real], targets[:n_real], masks)
    _, gradients, _ = our_step(architecture, weights, images, targets, n_real)
    assert_equal(gradients, expected)
    _, gradients, _ = our_step(architecture, weights, images, targets, n_real, "bfloat16")
    one, other = (
        np.concatenate([np.ravel(each[name]) for name in expected])
        for each in (gradients, expected)
    )
    assert one @ other / np.linalg.norm(one) / np.linalg.norm(other) > 0.97


@pytest.mark.parametrize("name", BRANCHES)
def test_branches_are_those_of_stock_layers(name):
    """The table of layers can say more branches than `residual` makes."""
    architecture = branched(name)
    weights = weights_of(architecture)
    (images, targets), n_real = batch(architecture, 12), 7
    masks = masks_of_step(architecture, 12, n_real)
    stock = stock_step(architecture, weights, images[:n_real], targets[:n_real], masks)
    logits, gradients, moving = our_step(architecture, weights, images, targets, n_real)
    assert_equal({"logits": logits[:n_real]}, {"logits": stock[0]})
    assert_equal(gradients, stock[1])
    assert_equal(moving, stock[2])

    logits = apply_network(*fold(architecture, weights), images)
    assert_equal({"logits": logits}, {"logits": stock_logits(architecture, weights, images)})


@pytest.mark.parametrize(("rate", "n_values"), [(0.5, 33), (0.25, 33), (0.2, 33), (0.2, 2**27 + 3)])
def test_dropout_decides_for_each_of_any_number_of_values(rate, n_values):
    """Also where there are more random bits than an int32 counts."""
    architecture = make(conv_stacks=(2,), conv_dropout=rate)
    (layer,) = (each for each in architecture.layers if each.kind == "Dropout")

    def dropped(step):
        run = Run(architecture, {}, TrainingMode(0, step, 1, 1.0, "float32"))
        return run_layer(run, layer, tf.ones(n_values, tf.uint8)).numpy()

    n_steps = 100 if n_values < 100 else 1
    kept = np.array([dropped(step) for step in range(n_steps)])
    assert kept.shape == (n_steps, n_values)
    for part in (kept, kept[:, -(n_values // 10) :]):
        deviation = np.sqrt(rate * (1 - rate) / part.size)
        assert part.mean() == pytest.approx(1 - rate, abs=5 * deviation)


def test_every_seed_step_and_layer_has_a_mask_of_its_own():
    masks = masks_of((0.5, 0.5, 0.5), (400,), seeds=(0, 1), steps=range(4))
    again = masks_of((0.5, 0.5, 0.5), (400,), seeds=(0, 1), steps=range(4))
    assert len(masks) == len({mask.tobytes() for mask in masks.values()}) == 24
    for key, mask in masks.items():
        np.testing.assert_array_equal(mask, again[key])


@pytest.mark.parametrize("rate", [1 / 512, 0.01, 1 / 3, 0.5])
def test_dropout_drops_its_share(rate):
    ((_, mask),) = masks_of((rate,), (1000, 1000)).items()
    assert set(np.unique(mask)) == {0, 1}
    assert 1 - mask.mean() == pytest.approx(rate, abs=5 * np.sqrt(rate / 1e6))


def test_normalisation_has_the_constants_of_keras():
    layers = make(batch_normalization=True).layers
    layer = next(each for each in layers if each.kind == "BatchNormalization")
    stock = keras.layers.BatchNormalization()
    assert layer.config["momentum"] == stock.momentum
    assert layer.config["epsilon"] == stock.epsilon
