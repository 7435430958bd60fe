# SPDX-License-Identifier: BSD-3-Clause
"""Draw the sample of Fashion-MNIST that ships with the library, and check what was written.

Run ``python tools/make_sample.py``; it needs the full data set. The same images are drawn every
time. If they are others than before (another seed, another size), the check at the end fails and
its message has the shape and sha256 to enter in ``fashioncnn.datasets.fashion_mnist``.
"""

import gzip
import struct
from pathlib import Path

import numpy as np

from fashioncnn import load_fashion_mnist, load_fashion_mnist_sample

SEED = 1708_07747  # the number of the data set's article on arXiv
IMAGES_PER_CLASS = {"train": 300, "test": 100}
FILE_PREFIXES = {"train": "sample-train", "test": "sample-t10k"}
DATA_FOLDER = Path(__file__).parents[1] / "src" / "fashioncnn" / "datasets" / "data"


def draw_sample(subset: str) -> tuple[np.ndarray, np.ndarray]:
    """Draw the same number of images of every class without replacement, and shuffle them."""
    X, y = load_fashion_mnist(subset)
    # RandomState, because its stream is the same in every version of NumPy.
    random_state = np.random.RandomState(SEED)
    rows = [
        random_state.choice(np.flatnonzero(y == code), IMAGES_PER_CLASS[subset], replace=False)
        for code in np.unique(y)
    ]
    drawn = random_state.permutation(np.concatenate(rows))
    return X[drawn], y[drawn]


def encode_idx(array: np.ndarray) -> bytes:
    """Return a uint8 array in the IDX format, compressed by gzip without a time stamp."""
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes(), compresslevel=9, mtime=0)


def write_sample(folder: Path) -> None:
    """Write the images and labels of both parts into a folder."""
    for subset, prefix in FILE_PREFIXES.items():
        images, labels = draw_sample(subset)
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(encode_idx(images))
        (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(encode_idx(labels))


if __name__ == "__main__":
    write_sample(DATA_FOLDER)
    load_fashion_mnist_sample("all")
