# SPDX-License-Identifier: BSD-3-Clause
"""Pictures to start with: Fashion-MNIST, and a sample of it that ships with the library."""

from fashioncnn.datasets.fashion_mnist import (
    FASHION_MNIST_CLASSES,
    load_fashion_mnist,
    load_fashion_mnist_sample,
)

__all__ = ["FASHION_MNIST_CLASSES", "load_fashion_mnist", "load_fashion_mnist_sample"]
