# SPDX-License-Identifier: BSD-3-Clause
"""ONNX models: a network from raw pixels to labels and probabilities, and what is known of it."""

import json

import numpy as np
from onnx import GraphProto, TensorProto, ValueInfoProto, helper

from fashioncnn._files.onnx_graph import (
    Graph,
    add_average,
    add_layers,
    add_mirrored,
    add_scaling,
)
from fashioncnn._network.architecture import Weights
from fashioncnn._network.fitted import FittedNetwork
from fashioncnn._network.folding import fold

# Of the year 2022: old enough for most runtimes, and new enough for all that is used.
_OPERATORS, _FORMAT = 17, 8
_MOST_BYTES = 2**31 - 2**24  # of weights; protocol buffers take 2 GiB in all
_IMAGE, _LABEL, _PROBABILITIES = "image", "label", "probabilities"
_REFUSAL = "This FashionCNNClassifier can't be exported to ONNX:"
_BATCH = "batch"  # the axis of pictures, of any length


def write_onnx(network: FittedNetwork, classes: np.ndarray, version: str) -> bytes:
    """Return the bytes of an ONNX model.

    Parameters
    ----------
    network : FittedNetwork
        What predicts.
    classes : ndarray of shape (n_classes,)
        The labels, sorted.
    version : str
        The version of this library.

    Raises
    ------
    ValueError
        If weights are not finite, or larger than a file may be, or a label is no Unicode.
    """
    _check_weights(network.weights)
    names = _names_of(classes)
    values = _values_of(classes, names)
    graph = Graph()
    logits = _add_network(graph, network)
    graph.add("Softmax", logits, output=_PROBABILITIES, axis=1)
    index = _LABEL if values is None else "index"
    # By the probabilities, as `predict` has it; the first of equal ones.
    graph.add("ArgMax", _PROBABILITIES, output=index, axis=1, keepdims=0)
    if values is not None:
        graph.add("Gather", graph.constant("classes", values), index, output=_LABEL)
    model = helper.make_model(
        _graph_of(graph, network, values),
        opset_imports=[helper.make_opsetid("", _OPERATORS)],
        ir_version=_FORMAT,
        producer_name="fashioncnn",
        producer_version=version,
    )
    helper.set_model_props(model, _metadata(network, names, values, version))
    content: bytes = model.SerializeToString()
    return content


def _check_weights(weights: Weights) -> None:
    for name, weight in weights.items():
        if not np.isfinite(weight).all():
            raise ValueError(
                f"{_REFUSAL} the weight {name!r} has values that are not finite. Training has "
                "diverged: fit again with a lower learning_rate."
            )
    n_bytes = sum(weight.nbytes for weight in weights.values())
    if n_bytes > _MOST_BYTES:
        raise ValueError(
            f"{_REFUSAL} its weights take {n_bytes:,} bytes, and a file of ONNX holds 2 GiB. "
            "Export by model_.export(folder, format='tf_saved_model')."
        )


def _names_of(classes: np.ndarray) -> list[str]:
    """Return the texts of classes."""
    names: list[str] = [
        str.__str__(label) if isinstance(label, str) else str(label) for label in classes
    ]
    try:
        "".join(names).encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{_REFUSAL} classes_ has a text that is no Unicode: {error}. Fit with names of whole "
            "characters."
        ) from error
    return names


def _values_of(classes: np.ndarray, names: list[str]) -> np.ndarray | None:
    """Return the labels as ONNX has them, which are texts and integers of 64 bits; else None."""
    kind = classes.dtype.kind
    if kind in "OU":
        return np.array(names, object)
    is_held = kind in "bi" or (kind == "u" and classes.max() <= np.iinfo(np.int64).max)
    return classes.astype(np.int64) if is_held else None


def _add_network(graph: Graph, network: FittedNetwork) -> str:
    """Add all from raw pixels to logits, and return the name of these."""
    architecture, weights = fold(network.architecture, network.weights)
    maps = add_scaling(graph, _IMAGE, network.scaling, architecture.image_shape[-1])
    if not network.test_time_flip:
        return add_layers(graph, architecture, weights, maps)
    both = add_mirrored(graph, maps)
    return add_average(graph, add_layers(graph, architecture, weights, both))


def _graph_of(graph: Graph, network: FittedNetwork, values: np.ndarray | None) -> GraphProto:
    architecture = network.architecture
    takes_bytes = network.pixel_range.integer_dtype == "uint8"
    pixels = TensorProto.UINT8 if takes_bytes else TensorProto.FLOAT
    label = (
        TensorProto.STRING if values is not None and values.dtype == object else TensorProto.INT64
    )
    return helper.make_graph(
        graph.nodes,
        "fashioncnn",
        [_value(_IMAGE, pixels, *architecture.image_shape)],
        [
            _value(_LABEL, label),
            _value(_PROBABILITIES, TensorProto.FLOAT, architecture.n_classes),
        ],
        list(graph.constants.values()),
    )


def _value(name: str, kind: int, *shape: int) -> ValueInfoProto:
    """Describe an input or output by its name, dtype and shape, but for the batch axis."""
    return helper.make_tensor_value_info(name, kind, [_BATCH, *shape])


def _metadata(
    network: FittedNetwork, names: list[str], values: np.ndarray | None, version: str
) -> dict[str, str]:
    """Say what a program needs to know that answers by the file."""
    low, high, *_ = network.pixel_range
    return {
        "class_names": json.dumps(names),
        "label": "index" if values is None else "class",
        "image_shape": json.dumps(network.architecture.image_shape),
        "pixel_range": json.dumps([low, high]),
        "fashioncnn_version": version,
    }
