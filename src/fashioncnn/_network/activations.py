# SPDX-License-Identifier: BSD-3-Clause
"""The activations of Keras as NumPy functions, on float32 arrays, which they leave as they are."""

import math
from collections.abc import Callable, Mapping

import numpy as np
from scipy import special

_ELU_SCALE, _ELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # of SELU, as in Keras


def _elu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0) + np.expm1(np.minimum(x, 0))


def _gelu(x: np.ndarray) -> np.ndarray:
    return x * (special.erf(x * math.sqrt(0.5)) + 1) * 0.5


def _hard_sigmoid(x: np.ndarray) -> np.ndarray:
    return np.clip(x + 3, 0, 6) / 6


def _leaky_relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, x * 0.2)


def _relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def _selu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0) * _ELU_SCALE + np.expm1(np.minimum(x, 0)) * (_ELU_SCALE * _ELU_ALPHA)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (np.exp(-x) + 1)


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


ACTIVATIONS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "celu": _elu,  # with Keras' alpha of 1
    "elu": _elu,
    "gelu": _gelu,
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": lambda x: x * _hard_sigmoid(x),
    "leaky_relu": _leaky_relu,
    "linear": lambda x: x,
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "relu": _relu,
    "relu6": lambda x: np.clip(x, 0, 6),
    "selu": _selu,
    "sigmoid": _sigmoid,
    "silu": lambda x: x * _sigmoid(x),
    "softplus": _softplus,
    "softsign": lambda x: x / (np.abs(x) + 1),
    "tanh": np.tanh,
}

# These never fall, so max pooling may come before them.
MONOTONE = frozenset(
    {
        "celu",
        "elu",
        "hard_sigmoid",
        "leaky_relu",
        "linear",
        "relu",
        "relu6",
        "selu",
        "sigmoid",
        "softplus",
        "softsign",
        "tanh",
    }
)
