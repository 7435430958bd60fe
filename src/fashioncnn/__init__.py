# SPDX-License-Identifier: BSD-3-Clause
"""A convolutional network for images that is a scikit-learn classifier."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fashioncnn.classifier import FashionCNNClassifier
    from fashioncnn.datasets import (
        FASHION_MNIST_CLASSES,
        load_fashion_mnist,
        load_fashion_mnist_sample,
    )
    from fashioncnn.exceptions import PixelRangeWarning

__version__ = "0.1.0"

__all__ = [
    "FASHION_MNIST_CLASSES",
    "FashionCNNClassifier",
    "PixelRangeWarning",
    "load_fashion_mnist",
    "load_fashion_mnist_sample",
]

_HOMES = {
    "FASHION_MNIST_CLASSES": "fashioncnn.datasets",
    "FashionCNNClassifier": "fashioncnn.classifier",
    "PixelRangeWarning": "fashioncnn.exceptions",
    "load_fashion_mnist": "fashioncnn.datasets",
    "load_fashion_mnist_sample": "fashioncnn.datasets",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
