# SPDX-License-Identifier: BSD-3-Clause
"""What the estimator does to live among scikit-learn's: decorators, cloning, routed metadata."""

from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar, cast

from sklearn import config_context
from sklearn.base import _fit_context
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.metaestimators import available_if

_METHODS = ("fit", "partial_fit", "score")  # that take metadata

Method = TypeVar("Method", bound=Callable[..., Any])


def validate_parameters(method: Method) -> Method:
    """Let scikit-learn validate the parameters first; its decorator has no types."""
    return cast(Method, _fit_context(prefer_skip_nested_validation=True)(method))


def without_early_stopping(method: Method) -> Method:
    """Hide a method from classifiers that stop early; scikit-learn's decorator has no types."""
    return cast(Method, available_if(_has_no_early_stopping)(method))


def _has_no_early_stopping(classifier: Any) -> bool:
    if classifier.early_stopping:
        raise AttributeError(
            "partial_fit is not available with early_stopping=True, which needs all data at once. "
            "Set early_stopping=False."
        )
    return True


class Uncloned(list[Any]):
    """Callbacks that scikit-learn passes on; a list, since a subclass's constructor may look."""

    def __init__(self, callbacks: Any) -> None:
        super().__init__(callbacks if isinstance(callbacks, (list, tuple)) else [callbacks])

    def __sklearn_clone__(self) -> Self:
        """Return this, where scikit-learn would make a copy."""
        return self


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
