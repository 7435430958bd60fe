# SPDX-License-Identifier: BSD-3-Clause
"""The network that the parameters ask for, and what is said of large ones."""

import math
from collections.abc import Mapping
from typing import Any

from fashioncnn._inputs.nested import (
    parse_conv_stacks,
    parse_dense_units,
    parse_rates,
    parse_windows,
)
from fashioncnn._messages import warn_user
from fashioncnn._network.architecture import Architecture

_MANY_PARAMETERS = 20_000_000
_MOST_PARAMETERS = 10**12


def build_architecture(
    params: Mapping[str, Any], image_shape: tuple[int, int, int], n_classes: int
) -> Architecture:
    """Write the estimator's parameters out as an architecture.

    Raises
    ------
    ValueError
        If a value given per stack does not have one entry per stack, if shortcuts would add maps of
        two sizes, or no memory could hold the network.
    """
    conv_stacks = parse_conv_stacks(params["conv_stacks"])

    def per_stack(name: str, parsed: Any, is_common: bool) -> Any:
        if is_common:
            return (parsed,) * len(conv_stacks)
        if len(parsed) != len(conv_stacks):
            raise ValueError(
                f"The {name!r} parameter has {len(parsed)} entries, but 'conv_stacks' has "
                f"{len(conv_stacks)} stacks. Give one entry per stack, or one value for all. "
                f"Got {name}={params[name]!r} and conv_stacks={params['conv_stacks']!r}."
            )
        return parsed

    def windows(name: str) -> Any:
        parsed = parse_windows(params[name])
        return per_stack(name, parsed, isinstance(parsed[0], int))

    rates = parse_rates(params["conv_dropout"])
    architecture = Architecture(
        image_shape=image_shape,
        n_classes=n_classes,
        conv_stacks=conv_stacks,
        dense_units=parse_dense_units(params["dense_units"]),
        kernel_sizes=windows("kernel_size"),
        padding=params["padding"],
        activation=params["activation"],
        pool_sizes=windows("pool_size"),
        batch_normalization=bool(params["batch_normalization"]),
        global_pooling=params["global_pooling"],
        conv_dropouts=per_stack("conv_dropout", rates, isinstance(rates, float)),
        dense_dropout=float(params["dense_dropout"]),
        residual=bool(params["residual"]),
    )
    _refuse_what_cannot_be(architecture, params)
    return architecture


def _refuse_what_cannot_be(architecture: Architecture, params: Mapping[str, Any]) -> None:
    if architecture.residual and architecture.padding != "same":
        raise ValueError(
            "The 'residual' parameter adds feature maps of one size, and without padding each "
            "convolution makes them smaller. Set padding='same', or residual=False. Got "
            f"residual={params['residual']!r} and padding={params['padding']!r}."
        )
    if architecture.n_parameters > _MOST_PARAMETERS:
        raise ValueError(
            "The 'conv_stacks' and 'dense_units' parameters ask for a network of more than 10**12 "
            f"parameters on images of shape {architecture.image_shape}. Use fewer filters and "
            f"units. Got conv_stacks={params['conv_stacks']!r} and "
            f"dense_units={params['dense_units']!r}."
        )


def warn_of_architecture(architecture: Architecture) -> None:
    """Warn of a network that may not be what its user wants."""
    _warn_of_missing_shortcuts(architecture)
    _warn_of_many_parameters(architecture)


def _warn_of_missing_shortcuts(architecture: Architecture) -> None:
    if architecture.residual and all(layer.kind != "Add" for layer in architecture.layers):
        warn_user(
            "The 'residual' parameter adds no shortcut to this network, in which no block of "
            "convolutions has as many filters at its end as before it. Give a stack several "
            "convolutions of the same number of filters, as in conv_stacks=((32, 32, 32), (64, 64, "
            f"64)), or set residual=False. Got conv_stacks={architecture.conv_stacks!r}."
        )


def _warn_of_many_parameters(architecture: Architecture) -> None:
    """Say which layer makes a network large that takes long to train."""
    n_parameters = architecture.n_parameters
    if n_parameters > _MANY_PARAMETERS:
        sizes = {name: math.prod(shape) for name, shape in architecture.weight_shapes.items()}
        largest = max(sizes, key=sizes.__getitem__)
        warn_user(
            f"The network has {n_parameters:,} parameters on images of shape "
            f"{architecture.image_shape}, which take long to train and much memory; {largest} has "
            f"{sizes[largest]:,} of them. Use global_pooling='avg', a larger pool_size, or more "
            "stacks in conv_stacks.",
        )
