# SPDX-License-Identifier: BSD-3-Clause
"""Load a model, answer for one picture, and end: TensorFlow is not imported.

The picture is an array of NumPy (`.npy`) or, where Pillow is installed, an image file.

    python examples/serve/answer_once.py model.safetensors picture.npy
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from fashioncnn import FashionCNNClassifier


def read(path: Path) -> Any:
    """Read a picture as it is: the classifier says what it can't take, and how to convert it."""
    if path.suffix == ".npy":
        return np.load(path)
    from PIL import Image

    return Image.open(path)


def main() -> None:
    """Load, predict and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a file that `save` has written")
    parser.add_argument("picture", type=Path)
    args = parser.parse_args()

    clf = FashionCNNClassifier.load(args.model)
    try:
        (probabilities,) = clf.predict_proba([read(args.picture)])
    except (TypeError, ValueError) as error:  # not a picture as the model knows them
        raise SystemExit(f"{args.picture}: {error}") from error
    best = probabilities.argmax()
    print(f"{clf.classes_[best]}, probability {probabilities[best]:.2f}")


if __name__ == "__main__":
    main()
