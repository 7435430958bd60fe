# SPDX-License-Identifier: BSD-3-Clause
"""What tells a fit from others, in short texts: of each parameter, and of each part of the data."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from fashioncnn._inputs.fit_data import TrainingData
from fashioncnn._inputs.parameters import PARAMETER_CONSTRAINTS
from fashioncnn._network.checkpoint import LONGEST_TEXT
from fashioncnn._network.data import LabelledImages, blocks_of
from fashioncnn._network.times import TIMES

_OF_NO_EFFECT = {"callbacks", "checkpoint", "verbose"}  # on weights, or, callbacks, not comparable


def identify_fit(estimator: BaseEstimator, data: TrainingData) -> dict[str, dict[str, str]]:
    """Return what is the same in two fits if, and only if, they are given the same.

    Parameters
    ----------
    estimator : estimator
        Has the parameters, and may have others if it is of a subclass.
    data : TrainingData
        The user's data, checked.

    Returns
    -------
    identity : dict of dict of str
        In "parameters" the values, in "data" digests, by the names that users know.
    """
    names = PARAMETER_CONSTRAINTS.keys() | estimator.get_params(deep=False).keys()
    source_dtype = data.source_dtype.str.encode()  # by which pixels may be scaled
    training = _digests(data.images, data.classes, source_dtype)
    validation = _digests(data.validation, data.classes)
    return {
        "parameters": {
            name: _as_text(getattr(estimator, name)) for name in sorted(names - _OF_NO_EFFECT)
        },
        "data": training | {f"{name}_val": digest for name, digest in validation.items()},
    }


def _as_text(value: Any) -> str:
    text = repr(_canonical(value))
    is_short = len(text) <= LONGEST_TEXT and text.isprintable()
    return text if is_short else hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> Any:
    """Return one value for all that mean the same: 1, 1.0 and NumPy's; lists, arrays and tuples."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, Mapping):
        items = [(_canonical(key), _canonical(item)) for key, item in value.items()]
        return dict(sorted(items, key=repr))
    if isinstance(value, (Sequence, np.ndarray)):
        return tuple(map(_canonical, value))
    if isinstance(value, TIMES) or not isinstance(value, Real):  # some of these are Integral
        return value
    if isinstance(value, Integral):
        return int(value)
    return int(float(value)) if float(value).is_integer() else float(value)


def _digests(
    images: LabelledImages | None, classes: np.ndarray, source_dtype: bytes = b""
) -> dict[str, str]:
    """Return digests of images, labels and weights; of none if there are no images."""
    if images is None:
        return dict.fromkeys(("X", "y", "sample_weight"), "")
    labels = repr(classes.tolist()).encode()
    parts = {
        "X": [
            np.frombuffer(source_dtype, np.uint8),
            np.array(images.pixels.shape),
            *blocks_of(images.pixels),
        ],
        "y": [np.frombuffer(labels, np.uint8), images.codes],
        "sample_weight": [images.weights],
    }
    return {name: _digest(arrays) for name, arrays in parts.items()}


def _digest(arrays: Iterable[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(array.dtype.str.encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()
