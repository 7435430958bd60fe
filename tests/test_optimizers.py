# SPDX-License-Identifier: BSD-3-Clause
"""The fused update rules do what the Keras optimizers do."""

import math
from typing import get_args

import keras
import numpy as np
import pytest
import tensorflow as tf

from fashioncnn._network.fitted import Compilation
from fashioncnn._network.optimizers import OPTIMIZERS, OptimizerName
from fashioncnn._tensorflow.optimizers import UPDATE_RULES, decay_kernels, new_keras_optimizer

LOSS = "categorical_crossentropy"


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_equal_those_of_keras(name, weight_decay):
    rule = UPDATE_RULES[OPTIMIZERS[name].update_rule]
    random = np.random.default_rng(0)
    start = random.normal(size=(4, 3)).astype(np.float32)
    gradients = random.normal(size=(6, 4, 3)).astype(np.float32)

    ours = tf.Variable(start)
    slots = [tf.Variable(tf.zeros_like(start)) for _ in range(rule.n_slots)]
    theirs = keras.Variable(start, name="kernel")
    keras_optimizer = new_keras_optimizer(Compilation(name, 0.02, weight_decay, LOSS))
    for step, gradient in enumerate(gradients):
        decay_kernels([ours], 0.02 * weight_decay)
        rule.apply(ours, slots, tf.constant(gradient), 0.02, tf.constant(step))
        keras_optimizer.apply([tf.constant(gradient)], [theirs])
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)
    assert np.abs(ours.numpy() - start).max() > 0.005


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_in_keras_too_only_kernels_decay(name):
    optimizer = new_keras_optimizer(Compilation(name, 0.1, 0.5, LOSS))
    variables = [keras.Variable([1.0], name=v) for v in ("kernel", "bias", "gamma", "beta")]
    optimizer.apply([tf.zeros(1)] * 4, variables)
    np.testing.assert_allclose(np.ravel(variables), [0.95, 1, 1, 1])


def test_every_name_stands_for_a_rule():
    assert OPTIMIZERS.keys() == set(get_args(OptimizerName))
    assert {optimizer.update_rule for optimizer in OPTIMIZERS.values()} == UPDATE_RULES.keys()


def test_default_rates():
    rates = {name: optimizer.learning_rate for name, optimizer in OPTIMIZERS.items()}
    assert rates == {"adam": 0.001, "adamw": 0.001, "muon": 0.01, "rmsprop": 0.001, "sgd": 0.01}


def muon_step(kernel, gradients, rate):
    """Take steps of Muon with a convolution's kernel; return it and what Muon has stored."""
    variable = tf.Variable(kernel)
    slots = [tf.Variable(tf.zeros_like(kernel)) for _ in range(2)]
    for step, gradient in enumerate(gradients):
        UPDATE_RULES["muon"].apply(variable, slots, tf.constant(gradient), rate, tf.constant(step))
    return variable.numpy(), [slot.numpy() for slot in slots]


@pytest.mark.parametrize("shape", [(3, 3, 4, 6), (1, 2, 3, 16)], ids=["tall", "wide"])
def test_muon_turns_filters_by_an_orthogonal_step(shape):
    random = np.random.default_rng(0)
    kernel = random.normal(size=shape).astype(np.float32)
    gradients = random.normal(size=(2, *shape)).astype(np.float32)
    after, (momentum, unused) = muon_step(kernel, gradients[:1], 0.1)
    step = (kernel - after).reshape(-1, shape[-1]) / 0.1
    left, singular, right = np.linalg.svd(step, full_matrices=False)
    size = math.sqrt(max(1, step.shape[0] / step.shape[1]))
    assert np.all((singular > 0.6 * size) & (singular < 1.3 * size))
    # The directions are those of the gradient.
    turned = left.T @ gradients[0].reshape(step.shape) @ right.T
    np.testing.assert_allclose(turned, np.diag(np.diag(turned)), atol=1e-3 * turned.max())
    assert np.diag(turned).min() > 0
    np.testing.assert_allclose(momentum, gradients[0], rtol=1e-6)
    assert not unused.any()
    _, (momentum, _) = muon_step(kernel, gradients, 0.1)
    np.testing.assert_allclose(momentum, 0.95 * gradients[0] + gradients[1], rtol=1e-5, atol=1e-6)


def test_muon_does_not_depend_on_the_size_of_the_gradient():
    random = np.random.default_rng(1)
    kernel, gradient = random.normal(size=(2, 3, 3, 2, 4)).astype(np.float32)
    small, large = (muon_step(kernel, [factor * gradient], 0.1)[0] for factor in (1e-3, 1e3))
    np.testing.assert_allclose(small, large, rtol=1e-3, atol=1e-4)
    still, _ = muon_step(kernel, [0 * gradient], 0.1)
    np.testing.assert_array_equal(still, kernel)
