# SPDX-License-Identifier: BSD-3-Clause
"""Train a small network on the packaged sample, and write what the examples of ONNX need.

    python examples/onnx/make_model.py examples/onnx/web

The folder gets `model.onnx`, `pictures.json` for the page, and `picture.npy`, the first of these.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # silences TensorFlow's notes on the processor

import numpy as np

from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample


def write(clf: FashionCNNClassifier, X: Any, y: Any, folder: Path) -> None:
    """Write the network, and pictures with the names of what they show."""
    clf.export_onnx(folder / "model.onnx")
    np.save(folder / "picture.npy", X[0])
    pictures = [
        {"name": name, "pixels": picture.ravel().tolist()}
        for name, picture in zip(y.tolist(), X, strict=True)
    ]
    (folder / "pictures.json").write_text(json.dumps(pictures), encoding="utf-8")


def main() -> None:
    """Train, write, and print what the network says of the first picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)

    X, y = load_fashion_mnist_sample("train", as_names=True)
    X_test, y_test = load_fashion_mnist_sample("test", as_names=True)
    clf = FashionCNNClassifier((16, 32), epochs=3, learning_rate=0.003, random_state=0).fit(X, y)
    write(clf, X_test[:24], y_test[:24], args.folder)

    (probabilities,) = clf.predict_proba(X_test[:1])
    print(f"accuracy {clf.score(X_test, y_test):.2f}; the picture is of class {y_test[0]}:")
    print(f"{clf.classes_[probabilities.argmax()]}, probability {probabilities.max():.2f}")


if __name__ == "__main__":
    main()
