# SPDX-License-Identifier: BSD-3-Clause
"""The part of the training data that is held out for validation."""

import math
from typing import Any

import numpy as np

from fashioncnn._messages import shortened, warn_user


def split_rows(
    codes: np.ndarray, classes: np.ndarray, validation_fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Divide row numbers into a training and a validation part, stratified and shuffled.

    The validation part has ``max(ceil(validation_fraction * n), n_classes)`` rows, and at most half
    of them all: one of each class, the rest in proportion to the classes' members. Every class has
    a member in the training part too, where the only one of a class stays.

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
    members = np.bincount(codes, minlength=len(classes))
    lonely = members == 1
    splittable = np.flatnonzero(~lonely[codes])
    if splittable.size == 0:
        raise ValueError(
            f"There is nothing to hold out for validation: each of the {len(classes)} classes has "
            "one member only. Pass more data, X_val and y_val, or validation_fraction=None and "
            "early_stopping=False."
        )
    if lonely.any():
        _warn_lonely(classes[lonely].tolist())
    n_classes = int(np.count_nonzero(members > 1))
    wanted = max(math.ceil(validation_fraction * len(codes)), n_classes)
    held_out = _members_to_hold_out(members, min(wanted, splittable.size // 2))
    order = np.random.RandomState(seed).permutation(splittable)
    order = order[np.argsort(codes[order], kind="stable")]  # class by class, shuffled in each
    rank = np.arange(len(order)) - np.searchsorted(codes[order], codes[order])
    validation = np.sort(order[rank < held_out[codes[order]]])
    training = np.setdiff1d(np.arange(len(codes)), validation, assume_unique=True)
    return training, validation


def _members_to_hold_out(members: np.ndarray, n_rows: int) -> np.ndarray:
    """Divide rows among the classes of two or more: one each, the rest by largest remainders."""
    gives = members > 1
    others = np.maximum(members - 2, 0)  # beside one for each part
    n_others = n_rows - np.count_nonzero(gives)
    shares = n_others * others / max(others.sum(), 1)
    taken = np.floor(shares).astype(int)
    taken[np.argsort(taken - shares, kind="stable")[: n_others - taken.sum()]] += 1
    return gives + taken


def _warn_lonely(labels: list[Any]) -> None:
    warn_user(
        "These classes have one member only, which stays in the training part: "
        f"{shortened(labels)}. The validation part says nothing about them.",
    )
