# SPDX-License-Identifier: BSD-3-Clause
"""The state of a classifier in a pickle: parameters, what is fitted, and the version."""

from collections.abc import Callable, Mapping
from typing import Any

from fashioncnn._messages import warn_user
from fashioncnn._network.description import describe, network_from, plain

_VERSION = "_fashioncnn_version"  # as scikit-learn's own classes have theirs
FITTED = (  # the attributes that a fit sets, but for the network and `callbacks_`
    "best_epoch_",
    "classes_",
    "feature_names_in_",
    "history_",
    "image_shape_",
    "n_features_in_",
    "n_iter_",
    "precision_",
)


def without_callbacks(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Copy attributes, but not `callbacks_`: they may hold files, which can't be pickled."""
    return {name: value for name, value in attributes.items() if name != "callbacks_"}


def write_state(attributes: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Return the state of a classifier by its attributes: no class of this package is in it."""
    state = _with_plain_attributes(without_callbacks(attributes))
    if "_network" in state:
        state["_network"] = describe(state["_network"])
    return {**state, _VERSION: version}


def read_state(
    state: Mapping[str, Any],
    version: str,
    class_name: str,
    default_parameters: Callable[[], Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the attributes of a classifier by its state.

    Parameters
    ----------
    state : dict
        As `write_state` has made it, in this version or another. joblib may have made memory maps
        of arrays, which become base arrays.
    version : str
        The version that reads it.
    class_name : str
        What messages call the classifier.
    default_parameters : callable
        Returns what parameters are that another version did not have.

    Returns
    -------
    attributes : dict
        The attributes.

    Raises
    ------
    ValueError
        If a field of what is fitted is missing or unknown.

    Warns
    -----
    UserWarning
        If another version has written the state.
    """
    attributes = _with_plain_attributes(state)
    origin = attributes.pop(_VERSION, "of an unknown version")
    if "_network" in attributes:
        try:
            attributes["_network"] = network_from(attributes["_network"])
        except ValueError as error:
            advice = _advice(origin, version)
            raise ValueError(f"This {class_name} can't be loaded: {error}. {advice}") from error
    if origin == version:
        return attributes
    warn_user(
        f"This {class_name} may predict and train otherwise than where it was saved. "
        f"{_advice(origin, version)}"
    )
    return {**default_parameters(), **attributes}


def _with_plain_attributes(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(value) if name in FITTED else value for name, value in state.items()}


def _advice(origin: str, version: str) -> str:
    """Say which version has saved a classifier, and what to do."""
    if origin == version:
        return f"It was saved by fashioncnn {version}, as this is, and changed since. Fit anew."
    return (
        f"It was saved by fashioncnn {origin}, and this is fashioncnn {version}. Load it with "
        "the version that saved it, or fit anew with this one."
    )
