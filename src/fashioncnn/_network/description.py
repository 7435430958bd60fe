# SPDX-License-Identifier: BSD-3-Clause
"""What is fitted, described by plain values and arrays, for pickles and files.

A description holds dicts, lists, tuples, texts, numbers, bools, None and arrays. No class of this
package is in it, so that private modules may be renamed, and who reads it need trust none. Its
fields have the names of those of the classes: a change of these needs a default or a new format.
"""

import inspect
from collections.abc import Mapping, Set
from dataclasses import fields, is_dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from fashioncnn._network.activations import ACTIVATIONS
from fashioncnn._network.architecture import Architecture
from fashioncnn._network.checkpoint import Checkpoint
from fashioncnn._network.fitted import Compilation, FittedNetwork
from fashioncnn._network.pixel_range import PixelRange, VariedRange
from fashioncnn._network.scaling import Scaling

Description = dict[str, Any]

_SMALL = ("architecture", "scaling", "compilation", "pixel_range", "checkpoint")
_ARRAYS = ("weights", "slots", "raw_weights")  # of the checkpoint; apart from what is small
_ADDED = ("test_time_flip",)  # to the network since the first version; they have defaults

Record = TypeVar("Record")


def describe(network: FittedNetwork) -> Description:
    """Describe a network by plain values and arrays.

    Parameters
    ----------
    network : FittedNetwork
        What training has left behind.

    Returns
    -------
    description : dict
        The small values are in "architecture", "scaling", "compilation", "pixel_range",
        "checkpoint" and "test_time_flip". Arrays are in "weights", by the names of the weights,
        "slots", a tuple of an optimizer's moments by the same names, or None, and "raw_weights",
        like the weights, or None. They share the network's memory.
    """
    description: Description = plain(network)
    return description | {name: description["checkpoint"].pop(name) for name in _ARRAYS}


def network_from(description: Description) -> FittedNetwork:
    """Make the network of a description.

    Parameters
    ----------
    description : dict
        As `describe` has made it; its tuples may have become lists. Memory maps become base arrays
        that share their memory.

    Returns
    -------
    network : FittedNetwork
        A new one, whatever is made of the same description besides.

    Raises
    ------
    ValueError
        If a field is missing or unknown or of another kind, or an array has another shape than the
        architecture says.
    """
    try:
        network = _read(plain(description))
        _check_values(network)
        _check_arrays(network)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f"a field has a value of another kind than it should: {error}") from error
    return network


def _read(parts: Description) -> FittedNetwork:
    known = {*_SMALL, *_ARRAYS, *_ADDED}
    _check_fields(parts, known - {*_ADDED, "raw_weights"}, known)
    arrays = {
        "weights": parts["weights"],
        "slots": _with_tuples(parts["slots"]),
        "raw_weights": parts.get("raw_weights"),
    }
    pixel_range = _record(PixelRange, parts["pixel_range"], "pixel_range")
    return FittedNetwork(
        _record(Architecture, _with_tuples(parts["architecture"]), "architecture"),
        _record_or_none(Scaling, _with_tuples(parts["scaling"]), "scaling"),
        _record(Compilation, parts["compilation"], "compilation"),
        pixel_range._replace(
            varied=_record_or_none(VariedRange, pixel_range.varied, "pixel_range.varied")
        ),
        _record(Checkpoint, parts["checkpoint"], "checkpoint", arrays),
        **{name: parts[name] for name in _ADDED if name in parts},
    )


def plain(value: Any) -> Any:
    """Return a value with records as dicts, texts and numbers of Python, and base arrays.

    Containers are copies; arrays share their memory. What is of another kind stays what it is.
    """
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = map(plain, value)
        return list(items) if isinstance(value, list) else tuple(items)
    if isinstance(value, str):  # an enumeration, too, whose `str` would be its name
        return str.__str__(value)
    return value.item() if isinstance(value, np.generic) else value


def _with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_tuples(item) for name, item in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, (list, tuple)) else value


def _record(
    kind: type[Record], values: Any, name: str, others: Mapping[str, Any] = MappingProxyType({})
) -> Record:
    """Make a record of what is described, and of others of its fields.

    A field that has a default may be missing, as in descriptions that are older than the field.
    """
    parameters = inspect.signature(kind).parameters.values()
    names = {parameter.name for parameter in parameters} - others.keys()
    required = {parameter.name for parameter in parameters if parameter.default is parameter.empty}
    _check_fields(values, names & required, names, f"{name}.")
    return kind(**values, **others)


def _record_or_none(kind: type[Record], values: Any, name: str) -> Record | None:
    return None if values is None else _record(kind, values, name)


def _check_fields(
    values: Any, required: Set[str], known: Set[str] | None = None, prefix: str = ""
) -> None:
    if not isinstance(values, dict):
        where = f"the field {prefix[:-1]!r}" if prefix else "what is fitted"
        raise ValueError(f"{where} should be a dict, and is not")
    missing = sorted(required - values.keys())
    unknown = sorted(map(str, values.keys() - (known or required)))
    for names, what in ((missing, "missing"), (unknown, "not known")):
        if names:
            raise ValueError(f"the field {prefix + names[0]!r} is {what}")


def _check_values(network: FittedNetwork) -> None:
    """Check what would be found out by the first prediction, or the next training, only."""
    activation, scaling = network.architecture.activation, network.scaling
    n_channels = network.architecture.image_shape[-1]
    if activation not in ACTIVATIONS:
        raise ValueError(f"the activation {activation!r} is not known")
    if scaling is not None and {len(scaling.scale), len(scaling.offset)} != {n_channels}:
        raise ValueError(f"the scaling should have one value for each of {n_channels} channels")
    if not isinstance(network.test_time_flip, bool):
        raise ValueError("the field 'test_time_flip' is neither True nor False")
    if not isinstance(network.checkpoint.history["loss"], list):
        raise ValueError("the field 'checkpoint.history' has no list of losses")


def _check_arrays(network: FittedNetwork) -> None:
    """Check that weights and moments are those of the architecture."""
    expected, checkpoint = network.architecture.weights, network.checkpoint
    slots, raw_weights = checkpoint.slots, checkpoint.raw_weights
    _check_fields(network.weights, expected.keys(), prefix="weights.")
    if slots is not None:
        trainable = {name for name, weight in expected.items() if weight.is_trainable}
        _check_fields(slots, trainable, prefix="slots.")
    if raw_weights is not None:
        _check_fields(raw_weights, expected.keys(), prefix="raw_weights.")
    for name, weight in expected.items():
        moments = (slots or {}).get(name, ())
        values = network.weights[name], checkpoint.weights_to_train[name], *moments
        for array in map(np.asarray, values):
            if array.shape != weight.shape or array.dtype != np.float32:
                raise ValueError(
                    f"an array of {name!r} is {array.dtype} of shape {array.shape}, and should be "
                    f"float32 of shape {weight.shape}"
                )
