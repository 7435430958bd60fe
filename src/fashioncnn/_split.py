# SPDX-License-Identifier: BSD-3-Clause
"""The part of the training data that is held out for validation."""

import math
from typing import Any

import numpy as np

from fashioncnn._warnings import warn_user


def split_rows(
    codes: np.ndarray, classes: np.ndarray, validation_fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Divide row numbers into a training and a validation part, stratified and shuffled.

    The validation part has ``max(ceil(validation_fraction * n), n_classes)`` rows, and at most half
    of them all. A class with one member stays in the training part.

    Parameters
    ----------
    codes : ndarray of shape (n,)
        The class of each row, an index into `classes`.
    classes : ndarray of shape (n_classes,)
        The labels, for messages.
    validation_fraction : float
        The share of rows to hold out.
    seed : int
        Decides which rows.

    Returns
    -------
    training, validation : ndarray of int
        Row numbers in ascending order.

    Raises
    ------
    ValueError
        If every class has one member, so that nothing can be held out.

    Warns
    -----
    UserWarning
        If a class has one member.
    """
    from sklearn.model_selection import train_test_split  # imported late: it takes long

    members = np.bincount(codes, minlength=len(classes))
    lonely = members == 1
    splittable = np.flatnonzero(~lonely[codes])
    if splittable.size == 0:
        raise ValueError(
            f"validation_fraction={validation_fraction!r} leaves nothing to validate on: each of "
            f"the {len(classes)} classes has one member only. Pass more data, X_val and y_val, or "
            "validation_fraction=None."
        )
    if lonely.any():
        _warn_lonely(classes[lonely].tolist())
    n_classes = np.count_nonzero(members > 1)
    wanted = max(math.ceil(validation_fraction * len(codes)), n_classes)
    _, validation = train_test_split(
        splittable,
        test_size=min(wanted, splittable.size // 2),
        stratify=codes[splittable],
        random_state=seed,
    )
    validation = np.sort(validation)
    training = np.setdiff1d(np.arange(len(codes)), validation, assume_unique=True)
    return training, validation


def _warn_lonely(labels: list[Any]) -> None:
    warn_user(
        f"These classes have one member only, which stays in the training part: {labels}. "
        "The validation part says nothing about them.",
    )
