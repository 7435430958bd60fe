# SPDX-License-Identifier: BSD-3-Clause
"""Train a small network on the packaged sample, and write the model and a picture to files.

python examples/serve/make_model.py model.safetensors picture.npy
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # silences TensorFlow's notes on the processor

import numpy as np

from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample


def main() -> None:
    """Train, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("picture", type=Path)
    args = parser.parse_args()

    X, y = load_fashion_mnist_sample("train", as_names=True)
    X_test, y_test = load_fashion_mnist_sample("test", as_names=True)
    clf = FashionCNNClassifier((16, 32), epochs=3, learning_rate=0.003, random_state=0).fit(X, y)
    clf.save(args.model)
    np.save(args.picture, X_test[0])
    print(f"accuracy {clf.score(X_test, y_test):.2f}; the picture is of class {y_test[0]}")


if __name__ == "__main__":
    main()
