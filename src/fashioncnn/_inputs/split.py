# SPDX-License-Identifier: BSD-3-Clause
"""Split the training data into a training and a validation part."""

import math

import numpy as np

from fashioncnn._inputs.labels import labels_to_list
from fashioncnn._inputs.parameters import Float
from fashioncnn._messages import WITH_WEIGHT, shortened, warn_user


def split_rows(
    codes: np.ndarray, weights: np.ndarray, classes: np.ndarray, fraction: Float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Split row numbers into a training and a validation part, stratified and shuffled.

    The validation part has ``max(ceil(fraction * n), n_classes)`` rows, but at most half of all
    rows. It has one row of each class; its other rows are in proportion to the sizes of the
    classes. Every class has a row in the training part too: the only row of a class stays there.
    Rows of no weight say nothing in either part: they stay in training, and count nowhere.

    Parameters
    ----------
    codes : ndarray of shape (n,)
        The class of each row, an index into `classes`.
    weights : ndarray of shape (n,)
        The weight of each row.
    classes : ndarray of shape (n_classes,)
        The labels, for messages.
    fraction : float
        The share of rows to hold out.
    seed : int
        The seed of the shuffle.

    Returns
    -------
    training, validation : ndarray of int
        Row numbers in ascending order.

    Raises
    ------
    ValueError
        If no class has two members, so that nothing can be held out.

    Warns
    -----
    UserWarning
        If a class has one member.
    """
    counted = np.flatnonzero(weights)
    members = np.bincount(codes[counted], minlength=len(classes))
    of_weight = "" if counted.size == codes.size else f" {WITH_WEIGHT}"
    splittable = counted[members[codes[counted]] > 1]
    if splittable.size == 0:
        raise ValueError(
            "There is nothing to hold out for validation: no class has more than one "
            f"member{of_weight}. Pass more data{' and positive weights' if of_weight else ''}, "
            "X_val and y_val, or validation_fraction=None and early_stopping=False."
        )
    if (members == 1).any():
        warn_user(
            f"These classes have one member only{of_weight}, which stays in the training part: "
            f"{shortened(labels_to_list(classes[members == 1]))}. The validation part says "
            "nothing about them.",
        )
    n_classes = int(np.count_nonzero(members > 1))
    wanted = max(math.ceil(fraction * counted.size), n_classes)
    held_out = _members_to_hold_out(members, min(wanted, splittable.size // 2))
    order = np.random.RandomState(seed).permutation(splittable)
    order = order[np.argsort(codes[order], kind="stable")]  # class by class, shuffled in each
    rank = np.arange(len(order)) - np.searchsorted(codes[order], codes[order])
    validation = np.sort(order[rank < held_out[codes[order]]])
    training = np.setdiff1d(np.arange(len(codes)), validation, assume_unique=True)
    return training, validation


def _members_to_hold_out(members: np.ndarray, n_rows: int) -> np.ndarray:
    """Return how many members of each class to hold out, `n_rows` in all.

    A class of two or more gives one. The others are divided in proportion to what remains, and
    rounded by the method of the largest remainder.
    """
    is_splittable = members > 1
    others = np.maximum(members - 2, 0)  # beside one for each part
    n_others = n_rows - np.count_nonzero(is_splittable)
    shares = n_others * others / max(others.sum(), 1)
    taken = np.floor(shares).astype(int)
    taken[np.argsort(taken - shares, kind="stable")[: n_others - taken.sum()]] += 1
    return is_splittable + taken
