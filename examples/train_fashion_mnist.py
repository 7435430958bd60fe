# SPDX-License-Identifier: BSD-3-Clause
"""Train the article's network on Fashion-MNIST, evaluate it, and draw its curves.

Takes the full data set where it is found, else the sample that ships with the package.

    python examples/train_fashion_mnist.py --epochs 12 --output fashion_mnist_curves.png
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # silences TensorFlow's notes on the processor

import matplotlib as mpl
import numpy as np
from sklearn.metrics import accuracy_score, classification_report, log_loss

from fashioncnn import FashionCNNClassifier, load_fashion_mnist, load_fashion_mnist_sample

mpl.use("Agg")  # draw into a file, also where there is no screen
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

TRAINING, VALIDATION = "tab:blue", "tab:orange"


def load(subset: str) -> tuple[np.ndarray, np.ndarray]:
    """Load a part of the full data set, or of the packaged sample."""
    try:
        return load_fashion_mnist(subset, as_names=True, download_if_missing=False)
    except OSError:
        return load_fashion_mnist_sample(subset, as_names=True)


def draw_curve(axes: plt.Axes, clf: FashionCNNClassifier, metric: str) -> None:
    """Draw a metric of the training and the validation part over the epochs."""
    epochs = range(1, clf.n_iter_ + 1)
    axes.plot(epochs, clf.history_[metric], color=TRAINING, marker="o", label="training")
    axes.plot(
        epochs, clf.history_[f"val_{metric}"], color=VALIDATION, marker="o", label="validation"
    )
    axes.set(title=metric.capitalize(), xlabel="epoch", ylabel=metric)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.legend()


def draw_image(axes: plt.Axes, image: np.ndarray, label: str, prediction: str) -> None:
    """Draw an image with its predicted class, in red where it is wrong."""
    axes.imshow(image, cmap="gray_r")
    axes.set_axis_off()
    if label == prediction:
        axes.set_title(prediction, fontsize=9)
    else:
        axes.set_title(f"{prediction}\n({label})", fontsize=9, color="tab:red")


def draw(
    clf: FashionCNNClassifier, X: np.ndarray, y: np.ndarray, predictions: np.ndarray
) -> Figure:
    """Draw the curves, and below them the first images with their predicted classes."""
    figure, grid = plt.subplots(
        3, 8, figsize=(10, 7.5), height_ratios=(3.2, 1, 1), layout="constrained"
    )
    for axes in grid[0]:
        axes.remove()
    curves = figure.add_subplot(grid[0, 0].get_gridspec()[0, :4])
    draw_curve(curves, clf, "loss")
    draw_curve(figure.add_subplot(grid[0, 0].get_gridspec()[0, 4:]), clf, "accuracy")
    for axes, *row in zip(grid[1:].ravel(), X, y, predictions, strict=False):
        draw_image(axes, *row)
    return figure


def main() -> None:
    """Train, print the figures, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("fashion_mnist_curves.png"))
    args = parser.parse_args()

    X, y = load("train")
    X_test, y_test = load("test")
    print(f"Training on {len(X):,} images, of which 30 % are held out for validation.")
    clf = FashionCNNClassifier.from_recipe(
        "article", epochs=args.epochs, random_state=args.seed, verbose=2
    )
    clf.fit(X, y)

    probabilities = clf.predict_proba(X_test)
    predictions = clf.classes_[probabilities.argmax(axis=1)]
    print(f"\nvalidation accuracy  {clf.history_['val_accuracy'][-1]:.4f}")
    print(f"test accuracy        {accuracy_score(y_test, predictions):.4f}")
    print(f"test log loss        {log_loss(y_test, probabilities):.4f}\n")
    print(classification_report(y_test, predictions, digits=3))

    draw(clf, X_test, y_test, predictions).savefig(args.output, dpi=120)
    print(f"The curves are in {args.output}.")


if __name__ == "__main__":
    main()
