# SPDX-License-Identifier: BSD-3-Clause
"""The fused update rules do what the Keras optimizers do."""

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
    assert np.abs(ours.numpy() - start).max() > 0.01


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
    assert rates == {"adam": 0.001, "adamw": 0.001, "rmsprop": 0.001, "sgd": 0.01}
