# SPDX-License-Identifier: BSD-3-Clause
"""The network as a graph of ONNX operators, from raw pixels to logits.

The operators are those of version 17 of ONNX. They take feature maps with the channels first, so
kernels are turned to that order here, and pixels by the graph.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from fashioncnn._network.architecture import IMAGE, Architecture, Layer, Shape, Weights
from fashioncnn._network.scaling import Scaling, scaling_arrays

_COLUMNS = 3  # the axis of feature maps from left to right
_BEFORE_THE_FIRST = np.iinfo(np.int64).min  # where a slice ends that goes back to the beginning


class Graph:
    """Nodes in the order of the computation, and constants. Values are known by their names."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}

    def constant(self, name: str, array: np.ndarray) -> str:
        """Add an array, and return its name."""
        self.constants[name] = numpy_helper.from_array(array, name)
        return name

    def number(self, value: float) -> str:
        """Add a scalar that operators take as an input, once, and return its name."""
        return self.constant(f"{value:g}", np.array(value, np.float32))

    def add(self, operator: str, *inputs: str, output: str, **attributes: Any) -> str:
        """Add a node of one output, which is also its name, and return that."""
        self.nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output


def add_scaling(graph: Graph, pixels: str, scaling: Scaling | None, n_channels: int) -> str:
    """Turn raw pixels into scaled feature maps; return their name."""
    maps = graph.add("Transpose", pixels, output="channels_first", perm=(0, 3, 1, 2))
    maps = graph.add("Cast", maps, output="float32", to=TensorProto.FLOAT)
    if scaling is None:
        return maps
    scale, offset = scaling_arrays(scaling, n_channels)
    maps = _add_per_channel(graph, "Mul", maps, "scaling/scale", scale)
    return _add_per_channel(graph, "Add", maps, "scaling/offset", offset)


def add_mirrored(graph: Graph, maps: str) -> str:
    """Put the mirror images of feature maps behind them; return the name of both."""
    slices = {"start": -1, "end": _BEFORE_THE_FIRST, "axis": _COLUMNS, "step": -1}
    constants = [
        graph.constant(f"mirror/{name}", np.array([value], np.int64))
        for name, value in slices.items()
    ]
    mirrored = graph.add("Slice", maps, *constants, output="mirrored")
    return graph.add("Concat", maps, mirrored, output="both", axis=0)


def add_average(graph: Graph, logits: str) -> str:
    """Average the logits of pictures and of their mirror images; return the name of the mean."""
    halves = ["of_images", "of_mirrored"]
    graph.nodes.append(helper.make_node("Split", [logits], halves, "split", axis=0))
    total = graph.add("Add", *halves, output="sum")
    return graph.add("Mul", total, graph.number(0.5), output="average")


def add_layers(graph: Graph, architecture: Architecture, weights: Weights, maps: str) -> str:
    """Turn scaled feature maps into logits; return their name.

    Parameters
    ----------
    graph : Graph
        What the layers are added to.
    architecture : Architecture
        The layers, as `fold` has made them.
    weights : dict of ndarray
        Their weights.
    maps : str
        The name of the feature maps, which have the shape (n, c, h, w).
    """
    shapes = {layer.name: layer.output_shape for layer in architecture.layers}
    outputs = {IMAGE: maps}
    flattened: dict[str, Shape] = {}  # by the name of the output: what is flattened
    for layer in architecture.layers:
        inputs = [outputs[name] for name in layer.inputs]
        own = {
            name: _channels_first(weights[f"{layer.name}/{name}"], flattened.get(inputs[0]))
            for name in layer.weights
        }
        outputs[layer.name] = _OPERATIONS[layer.kind](graph, layer, own, *inputs)
        if layer.kind == "Flatten":
            flattened[outputs[layer.name]] = shapes[layer.inputs[0]]
    return outputs[layer.name]


def _channels_first(weight: np.ndarray, flattened: Shape | None) -> np.ndarray:
    """Turn the kernel of a convolution, or of a dense layer on maps that were flattened."""
    if weight.ndim == 4:
        return weight.transpose(3, 2, 0, 1)
    if weight.ndim == 2 and flattened is not None:
        return weight.reshape(*flattened, -1).transpose(2, 0, 1, 3).reshape(weight.shape)
    return weight


def _convolve(graph: Graph, layer: Layer, weights: Weights, maps: str) -> str:
    height, width = layer.config["kernel_size"]
    before = (height - 1) // 2, (width - 1) // 2  # as Keras pads: what is odd comes behind
    behind = height - 1 - before[0], width - 1 - before[1]
    pads = (*before, *behind) if layer.config["padding"] == "same" else (0, 0, 0, 0)
    constants = _add_weights(graph, layer, weights)
    output = graph.add("Conv", maps, *constants, output=layer.name, pads=pads)
    return _finish(graph, layer, output)


def _multiply(graph: Graph, layer: Layer, weights: Weights, rows: str) -> str:
    constants = _add_weights(graph, layer, weights)
    output = graph.add("Gemm", rows, *constants, output=layer.name)
    return _finish(graph, layer, output)


def _add_weights(graph: Graph, layer: Layer, weights: Weights) -> list[str]:
    return [graph.constant(f"{layer.name}/{name}", array) for name, array in weights.items()]


def _normalize(graph: Graph, layer: Layer, weights: Weights, maps: str) -> str:
    scaled = _add_per_channel(graph, "Mul", maps, f"{layer.name}/scale", weights["scale"])
    return _add_per_channel(graph, "Add", scaled, f"{layer.name}/shift", weights["shift"])


def _add_per_channel(graph: Graph, operator: str, maps: str, name: str, values: np.ndarray) -> str:
    constant = graph.constant(name, values.reshape(-1, 1, 1))
    return graph.add(operator, maps, constant, output=name.replace("/", "_"))


def _finish(graph: Graph, layer: Layer, values: str) -> str:
    activation = layer.config["activation"]
    return ACTIVATIONS[activation](graph, values, f"{layer.name}_{activation}")


def _activate(graph: Graph, layer: Layer, weights: Weights, values: str) -> str:
    return ACTIVATIONS[layer.config["activation"]](graph, values, layer.name)


def _add(graph: Graph, layer: Layer, weights: Weights, *inputs: str) -> str:
    return graph.add("Add", *inputs, output=layer.name)


def _max_pool(graph: Graph, layer: Layer, weights: Weights, maps: str) -> str:
    window = layer.config["pool_size"]
    return graph.add("MaxPool", maps, output=layer.name, kernel_shape=window, strides=window)


def _global_pool(operator: str, graph: Graph, layer: Layer, weights: Weights, maps: str) -> str:
    pooled = graph.add(operator, maps, output=f"{layer.name}_maps")
    return graph.add("Flatten", pooled, output=layer.name)


def _flatten(graph: Graph, layer: Layer, weights: Weights, maps: str) -> str:
    return graph.add("Flatten", maps, output=layer.name)


def _pass_on(graph: Graph, layer: Layer, weights: Weights, values: str) -> str:
    return values


_OPERATIONS: Mapping[str, Callable[..., str]] = {
    "Activation": _activate,
    "Add": _add,
    "BatchNormalization": _normalize,
    "Conv2D": _convolve,
    "Dense": _multiply,
    "Dropout": _pass_on,
    "Flatten": _flatten,
    "GlobalAveragePooling2D": partial(_global_pool, "GlobalAveragePool"),
    "GlobalMaxPooling2D": partial(_global_pool, "GlobalMaxPool"),
    "MaxPooling2D": _max_pool,
}


# --- Activations ----------------------------------------------------------------------------------


def _operator(operator: str, **attributes: float) -> Callable[[Graph, str, str], str]:
    """Return what adds one operator."""
    return lambda graph, values, name: graph.add(operator, values, output=name, **attributes)


def _relu6(graph: Graph, values: str, name: str) -> str:
    return graph.add("Clip", values, graph.number(0), graph.number(6), output=name)


def _silu(graph: Graph, values: str, name: str) -> str:
    gate = graph.add("Sigmoid", values, output=f"{name}_gate")
    return graph.add("Mul", values, gate, output=name)


def _mish(graph: Graph, values: str, name: str) -> str:
    softplus = graph.add("Softplus", values, output=f"{name}_softplus")
    gate = graph.add("Tanh", softplus, output=f"{name}_gate")
    return graph.add("Mul", values, gate, output=name)


def _gelu(graph: Graph, values: str, name: str) -> str:
    """Add what version 20 of ONNX has an operator for, in the form that runtimes know it by."""
    ratio = graph.add("Div", values, graph.number(math.sqrt(2)), output=f"{name}_ratio")
    erf = graph.add("Erf", ratio, output=f"{name}_erf")
    gate = graph.add("Add", erf, graph.number(1), output=f"{name}_gate")
    double = graph.add("Mul", values, gate, output=f"{name}_double")
    return graph.add("Mul", double, graph.number(0.5), output=name)


ACTIVATIONS: Mapping[str, Callable[[Graph, str, str], str]] = {
    "celu": _operator("Elu"),  # with Keras' alpha of 1
    "elu": _operator("Elu"),
    "gelu": _gelu,
    "hard_sigmoid": _operator("HardSigmoid", alpha=1 / 6),
    "hard_silu": _operator("HardSwish"),
    "leaky_relu": _operator("LeakyRelu", alpha=0.2),
    "linear": lambda graph, values, name: values,
    "mish": _mish,
    "relu": _operator("Relu"),
    "relu6": _relu6,
    "selu": _operator("Selu"),
    "sigmoid": _operator("Sigmoid"),
    "silu": _silu,
    "softplus": _operator("Softplus"),
    "softsign": _operator("Softsign"),
    "tanh": _operator("Tanh"),
}
