# SPDX-License-Identifier: BSD-3-Clause
"""What methods of the estimator request where scikit-learn routes metadata, as plain values."""

from collections.abc import Mapping
from typing import Any

from sklearn import config_context
from sklearn.utils.metadata_routing import get_routing_for_object

_METHODS = ("fit", "partial_fit", "score")  # that take metadata


def requests_of(estimator: Any) -> dict[str, dict[str, Any]]:
    """Return what each method requests, as `set_..._request` takes it; nothing if none was set."""
    if "_metadata_request" not in vars(estimator):
        return {}
    routing = get_routing_for_object(estimator)
    return {method: dict(getattr(routing, method).requests) for method in _METHODS}


def set_requests(estimator: Any, requests: Mapping[str, Any]) -> None:
    """Set what each method requests.

    Raises
    ------
    TypeError, ValueError
        If there is no such method, or it has no such metadata, or a request is no bool, None or
        name.
    """
    for method, values in requests.items():
        if method not in _METHODS or not isinstance(values, dict):
            raise ValueError(f"{method!r} is no method that requests metadata")
        for value in values.values():
            if not (value is None or isinstance(value, (bool, str))):
                raise ValueError(f"a request of {method!r} is no bool, null or text")
        with config_context(enable_metadata_routing=True):
            getattr(estimator, f"set_{method}_request")(**values)
