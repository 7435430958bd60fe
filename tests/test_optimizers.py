# SPDX-License-Identifier: BSD-3-Clause
"""The fused update rules do what the Keras optimizers do."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fashioncnn._optimizers import OPTIMIZERS


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_equal_those_of_keras(name):
    optimizer = OPTIMIZERS[name]
    random = np.random.default_rng(0)
    start = random.normal(size=(4, 3)).astype(np.float32)
    gradients = random.normal(size=(6, 4, 3)).astype(np.float32)

    ours = tf.Variable(start)
    slots = [tf.Variable(tf.zeros_like(start)) for _ in range(optimizer.n_slots)]
    theirs = keras.Variable(start)
    keras_optimizer = optimizer.to_keras(0.02)
    for step, gradient in enumerate(gradients):
        optimizer.apply(ours, slots, tf.constant(gradient), 0.02, tf.constant(step))
        keras_optimizer.apply([tf.constant(gradient)], [theirs])
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)
    assert np.abs(ours.numpy() - start).max() > 0.01


def test_default_rates():
    rates = {name: optimizer.learning_rate for name, optimizer in OPTIMIZERS.items()}
    assert rates == {"adam": 0.001, "adamw": 0.001, "rmsprop": 0.001, "sgd": 0.01}
