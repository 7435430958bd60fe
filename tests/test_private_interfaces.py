# SPDX-License-Identifier: BSD-3-Clause
"""What the library uses of others that is not public: here it breaks first when it goes.

Each is behind one function or class of ours, so that there is one place to mend.
"""

import gc
from numbers import Real

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.callbacks import BackupAndRestore, LambdaCallback
from sklearn.utils._param_validation import InvalidParameterError, validate_parameter_constraints

from fashioncnn._inputs.parameters import Names, Nested, Number
from fashioncnn._network.fitted import Compilation
from fashioncnn._network.optimizers import OPTIMIZERS
from fashioncnn._tensorflow.backend import call_concrete_function, call_in_eager_mode
from fashioncnn._tensorflow.optimizers import UPDATE_RULES, keras_slots, new_keras_optimizer
from fashioncnn._training.callbacks import _restored_epoch


def test_a_concrete_function_is_called_by_its_flat_tensors():
    """`ConcreteFunction.inference_fn.call_flat` of TensorFlow."""

    @tf.function
    def function(x, pair):
        return 2 * x + pair[0], pair[1]

    number = tf.TensorSpec((), tf.float32)
    concrete = function.get_concrete_function(number, (number, number))
    results = call_concrete_function(concrete, *map(tf.constant, (1.0, 10.0, 100.0)))
    assert [float(result) for result in results] == [12, 100]


def test_a_concrete_function_does_not_look_for_the_variables_of_its_trace():
    """The same, within a GradientTape."""

    def count(variable):
        return tf.while_loop(lambda i: i < 3, lambda i: [i + variable], [0.0])

    concrete = tf.function(count).get_concrete_function(tf.Variable(1.0))
    gc.collect()
    variable = tf.Variable(2.0)
    with tf.GradientTape():
        (result,) = call_concrete_function(concrete, variable.handle)
        assert float(result) == 4
        with pytest.raises(AssertionError, match="deleted"):  # why it is not called itself
            concrete(variable)


def test_eager_mode_leaves_a_graph_of_the_caller():
    """`tf.__internal__.eager_context.eager_mode`."""
    with tf.Graph().as_default(), tf.device("/GPU:0"):
        assert not tf.executing_eagerly()
        with tf.init_scope():
            assert not tf.executing_eagerly()  # why the public function does not do
        assert call_in_eager_mode(tf.executing_eagerly)
        assert call_in_eager_mode(lambda: tf.constant(3.0).numpy()) == 3


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_names_of_the_moments_of_keras_optimizers(name):
    """Paths of `optimizer.variables`: the attributes of the moments are private."""
    layer = keras.layers.Dense(2, name="dense1")
    layer.build((None, 3))
    optimizer = new_keras_optimizer(Compilation(name, 0.1, 0.0, "categorical_crossentropy"))
    optimizer.build(layer.trainable_variables)
    rule = UPDATE_RULES[OPTIMIZERS[name].update_rule]
    slots = keras_slots(optimizer, rule, layer.trainable_variables)
    gradients = [tf.fill(weight.shape, 3.0) for weight in layer.trainable_variables]
    optimizer.apply(gradients)
    adam = [0.3, 0.009]
    first = {"adam": adam, "muon": adam, "rmsprop": [0.9, 0], "sgd": [-0.3]}[rule.name]
    for values in slots:
        np.testing.assert_allclose([slot.numpy().mean() for slot in values], first, rtol=1e-5)


def test_the_epoch_that_a_callback_has_restored(tmp_path):
    """`Model._initial_epoch` of Keras."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    assert _restored_epoch(model) == 0
    X = np.zeros((2, 1))
    model.train_on_batch(X, X)
    backup = BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)
    model.fit(X, X, epochs=2, callbacks=[backup], verbose=0)
    again = BackupAndRestore(tmp_path / "backup")
    again.set_model(model)
    again.on_train_begin()
    assert _restored_epoch(model) == 2


def test_a_callback_without_a_model_is_public():
    """The base method does not run what a callback does with a model."""
    seen = []

    class Look(LambdaCallback):
        def set_model(self, model):
            seen.append(model)
            super().set_model(model)

    callback = Look()
    callback.set_model("model")
    keras.callbacks.Callback.set_model(callback, None)
    assert callback.model is None
    assert seen == ["model"]


def test_constraints_of_our_own_among_those_of_scikit_learn():
    """`sklearn.utils._param_validation`: its classes, and that it takes subclasses of them."""

    def parse(value):
        if value != "good":
            raise ValueError

    constraints = {
        "nested": [Nested("a good thing", parse), None],
        "number": [Number(Real, 0, 1, closed="left")],
        "name": [Names({"a"}, "or so")],
    }
    accepted = {"nested": "good", "number": 0.5, "name": "a"}
    validate_parameter_constraints(constraints, accepted, "Mine")
    messages = {
        "nested": (3, "must be a good thing or None. Got 3 instead"),
        "number": (1.0, r"must be a float in the range \[0.0, 1.0\). Got 1.0 instead"),
        "name": ("b", r"must be a str among {'a'} \(or so\). Got 'b' instead"),
    }
    for name, (value, message) in messages.items():
        with pytest.raises(InvalidParameterError, match=f"'{name}' parameter of Mine {message}"):
            validate_parameter_constraints(constraints, accepted | {name: value}, "Mine")
