# SPDX-License-Identifier: BSD-3-Clause
"""An architecture as a Keras model of stock layers."""

from typing import Any

from fashioncnn._network.architecture import Architecture, Layer, Weights
from fashioncnn._network.fitted import Compilation
from fashioncnn._network.scaling import Scaling
from fashioncnn._tensorflow.backend import keras
from fashioncnn._tensorflow.optimizers import OPTIMIZERS


def build_network(
    architecture: Architecture, scaling: Scaling | None = None, *, softmax: bool = False
) -> keras.Model:
    """Build the Functional model from images to logits, or to probabilities.

    Parameters
    ----------
    architecture : Architecture
        Its layers, in order.
    scaling : Scaling, optional
        Becomes a Rescaling layer, so that raw pixels go in.
    softmax : bool, default=False
        Whether the last layer ends in a softmax.

    Returns
    -------
    model : keras.Model
        Not compiled. Every setting that Keras would read from its global configuration is given.
    """
    image = keras.Input(architecture.image_shape, dtype="float32", name="image")
    tensor = image if scaling is None else _rescaling(scaling)(image)
    for layer in architecture.layers[:-1]:
        tensor = _stock_layer(layer)(tensor)
    activation = {"activation": "softmax"} if softmax else {}
    tensor = _stock_layer(architecture.layers[-1], **activation)(tensor)
    return keras.Model(image, tensor, name="fashioncnn")


def _stock_layer(layer: Layer, **changes: Any) -> keras.layers.Layer:
    config = {**layer.config, **changes, "name": layer.name, "dtype": "float32"}
    if "kernel" in layer.weights:
        # Without a seed of its own, an initializer draws one from Python's global random state.
        config["kernel_initializer"] = keras.initializers.GlorotUniform(seed=0)
    return getattr(keras.layers, layer.kind)(**config)


def _rescaling(scaling: Scaling) -> keras.layers.Layer:
    per_channel = len(scaling.scale) > 1
    return keras.layers.Rescaling(
        list(scaling.scale) if per_channel else scaling.scale[0],
        offset=list(scaling.offset) if per_channel else scaling.offset[0],
        name="rescaling",
        dtype="float32",
    )


def build_compiled_network(
    architecture: Architecture, scaling: Scaling | None, compilation: Compilation
) -> keras.Model:
    """Build the compiled model from images to probabilities.

    Parameters
    ----------
    architecture : Architecture
        Its layers.
    scaling : Scaling or None
        Becomes a Rescaling layer.
    compilation : Compilation
        Optimizer and loss.

    Returns
    -------
    model : keras.Model
        With initial weights of Keras.
    """
    name, learning_rate, weight_decay, loss = compilation
    model = build_network(architecture, scaling, softmax=True)
    optimizer = OPTIMIZERS[name].to_keras(learning_rate, weight_decay)
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


def weight_name(variable: keras.Variable) -> str:
    """Return the name that `Architecture.weight_shapes` has for a variable of the model."""
    return str(variable.path)


def set_weights(model: keras.Model, weights: Weights) -> None:
    """Give a model the values of its weights."""
    for variable in model.weights:
        variable.assign(weights[weight_name(variable)])
