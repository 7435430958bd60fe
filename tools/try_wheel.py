# SPDX-License-Identifier: BSD-3-Clause
"""Train on the packaged images with what is installed, which must not be the checkout.

python tools/try_wheel.py
"""

from pathlib import Path

import fashioncnn
from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample


def main() -> None:
    """Print the accuracy that two epochs reach."""
    checkout = Path(__file__).parent.parent / "src"
    assert checkout not in Path(fashioncnn.__file__).parents, fashioncnn.__file__
    X, y = load_fashion_mnist_sample("train", as_names=True)
    clf = FashionCNNClassifier((8,), epochs=2, random_state=0).fit(X, y)
    accuracy = clf.score(*load_fashion_mnist_sample("test", as_names=True))
    print(f"accuracy on the sample: {accuracy:.2f}")
    assert accuracy > 0.6, accuracy


if __name__ == "__main__":
    main()
