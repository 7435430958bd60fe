# SPDX-License-Identifier: BSD-3-Clause
"""A network as a Keras model of stock layers."""

import weakref
from collections.abc import Mapping
from typing import Any

from fashioncnn._network.architecture import IMAGE, Architecture, Layer, Weights
from fashioncnn._network.fitted import FittedNetwork, Network
from fashioncnn._network.scaling import Scaling
from fashioncnn._tensorflow.backend import call_in_clean_thread, keras
from fashioncnn._tensorflow.optimizers import new_keras_optimizer
from fashioncnn._tensorflow.start import Lock, get_or_make

_models: weakref.WeakKeyDictionary[FittedNetwork, keras.Model] = weakref.WeakKeyDictionary()
_models_lock = Lock()


def keras_model_for(network: FittedNetwork) -> keras.Model:
    """Return the network as a compiled model, built when it is first asked for."""

    def build() -> keras.Model:
        model = build_compiled_network(network)
        set_weights(model, network.weights)
        return model

    return get_or_make(_models, network, lambda: call_in_clean_thread(build), _models_lock)


def build_network(
    architecture: Architecture,
    scaling: Scaling | None = None,
    *,
    softmax: bool = False,
    test_time_flip: bool = False,
) -> keras.Model:
    """Build the Functional model from images to logits, or to probabilities.

    Parameters
    ----------
    architecture : Architecture
        Its layers, each after its inputs.
    scaling : Scaling, optional
        Becomes a Rescaling layer, so that raw pixels go in.
    softmax : bool, default=False
        Whether the last layer ends in a softmax.
    test_time_flip : bool, default=False
        Whether the layers see the mirror image, too, and the mean of both logits is the output. A
        softmax is then a layer of its own.

    Returns
    -------
    model : keras.Model
        Not compiled. Every setting that Keras would read from its global configuration is given.
    """
    image = keras.Input(architecture.image_shape, dtype="float32", name="image")
    pixels = image if scaling is None else _rescaling(scaling)(image)
    last = architecture.layers[-1]
    stock = {layer.name: _stock_layer(layer) for layer in architecture.layers[:-1]}
    activation = {"activation": "softmax"} if softmax and not test_time_flip else {}
    stock[last.name] = _stock_layer(last, **activation)
    output = _apply(architecture, stock, pixels)
    if test_time_flip:
        mirrored = _apply(architecture, stock, keras.ops.flip(pixels, axis=2))
        output = keras.layers.Average(name="average", dtype="float32")([output, mirrored])
        if softmax:
            output = keras.layers.Softmax(name="softmax", dtype="float32")(output)
    return keras.Model(image, output, name="fashioncnn")


def _apply(architecture: Architecture, stock: Mapping[str, keras.layers.Layer], pixels: Any) -> Any:
    """Connect the layers to scaled pixels; return the output of the last."""
    outputs = {IMAGE: pixels}
    for layer in architecture.layers:
        inputs = [outputs[name] for name in layer.inputs]
        outputs[layer.name] = stock[layer.name](inputs if len(inputs) > 1 else inputs[0])
    return outputs[architecture.layers[-1].name]


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


def build_compiled_network(network: Network) -> keras.Model:
    """Build the compiled model from images to probabilities, with initial weights of Keras.

    Its optimizer has moments, which are zero: Keras warns of a saved model that has none.
    """
    flip = network.test_time_flip
    model = build_network(network.architecture, network.scaling, softmax=True, test_time_flip=flip)
    optimizer = new_keras_optimizer(network.compilation)
    model.compile(optimizer, network.compilation.loss, metrics=["accuracy"])
    optimizer.build(model.trainable_variables)
    # Keras exports to ONNX only what has been called. Another Input leaves the model's own alone.
    model(keras.Input(network.architecture.image_shape, dtype="float32", name="image"))
    return model


def weight_name(variable: keras.Variable) -> str:
    """Return the name that `Architecture.weights` has for a variable of the model."""
    return str(variable.path)


def set_weights(model: keras.Model, weights: Weights) -> None:
    """Give a model the values of its weights."""
    for variable in model.weights:
        variable.assign(weights[weight_name(variable)])
