# SPDX-License-Identifier: BSD-3-Clause
"""Train the article's network and the recipe "fast" on Fashion-MNIST, and compare them.

Takes the full data set where it is found, else the sample that ships with the package.

    python examples/train_fashion_mnist.py --epochs 12 --output fashion_mnist_curves.png
"""

import argparse
import importlib
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # silences TensorFlow's notes on the processor

import matplotlib as mpl
import numpy as np
from sklearn.metrics import accuracy_score, classification_report, log_loss, recall_score

from fashioncnn import FashionCNNClassifier, load_fashion_mnist, load_fashion_mnist_sample

mpl.use("Agg")  # draw into a file, also where there is no screen
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

TRAINING, VALIDATION = "tab:blue", "tab:orange"
ARTICLE, FAST = "article's network", 'recipe "fast"'
COLOURS = {ARTICLE: "tab:purple", FAST: "tab:green"}


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
    axes.set(title=f"{ARTICLE}: {metric}", xlabel="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.legend()


def draw_classes(axes: plt.Axes, y: np.ndarray, predictions: dict[str, np.ndarray]) -> None:
    """Draw the share of each class's images that each classifier recognizes."""
    names = np.unique(y)
    for label, predicted in predictions.items():
        shares = recall_score(y, predicted, average=None, labels=names)
        axes.plot(shares, names, "o", color=COLOURS[label], label=label)
    axes.set(title="test accuracy by class")
    axes.invert_yaxis()
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
    article: FashionCNNClassifier, X: np.ndarray, y: np.ndarray, predictions: dict[str, np.ndarray]
) -> Figure:
    """Draw curves and classes, and below them the first images as "fast" predicts them."""
    figure = plt.figure(figsize=(12, 7.5), layout="constrained")
    charts, images = figure.add_gridspec(2, 1, height_ratios=(3.2, 2.6))
    charts, images = charts.subgridspec(1, 3), images.subgridspec(2, 8)
    draw_curve(figure.add_subplot(charts[0]), article, "loss")
    draw_curve(figure.add_subplot(charts[1]), article, "accuracy")
    draw_classes(figure.add_subplot(charts[2]), y, predictions)
    for place, image in enumerate(zip(X[:16], y, predictions[FAST], strict=False)):
        draw_image(figure.add_subplot(images[place // 8, place % 8]), *image)
    return figure


def fit(label: str, clf: FashionCNNClassifier, X: np.ndarray, y: np.ndarray) -> float:
    """Fit a classifier, and return the seconds that it takes."""
    held_out = clf.validation_fraction
    note = f", of which {held_out:.0%} are held out to validate" if held_out else ""
    print(f"\nTraining the {label} on {len(X):,} images{note}.")
    started = time.perf_counter()
    clf.fit(X, y)
    return time.perf_counter() - started


def main() -> None:
    """Train both, print the figures, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=12, help="of the article's network")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("fashion_mnist_curves.png"))
    args = parser.parse_args()

    X, y = load("train")
    X_test, y_test = load("test")
    # In bfloat16 where the processor has it: half the time of float32, and as accurate.
    article = FashionCNNClassifier.from_recipe(
        "article", epochs=args.epochs, precision="auto", random_state=args.seed, verbose=2
    )
    fast = FashionCNNClassifier.from_recipe("fast", random_state=args.seed)
    classifiers = {ARTICLE: article, FAST: fast}
    importlib.import_module("keras")  # takes seconds, which are not those of the first fit
    seconds = {label: fit(label, clf, X, y) for label, clf in classifiers.items()}

    print(f"\n{'':18}  test accuracy  test log loss  seconds of training")
    predictions = {}
    for label, clf in classifiers.items():
        probabilities = clf.predict_proba(X_test)
        predictions[label] = clf.classes_[probabilities.argmax(axis=1)]
        accuracy = accuracy_score(y_test, predictions[label])
        loss = log_loss(y_test, probabilities)
        print(f"{label:18}{accuracy:15.4f}{loss:15.4f}{seconds[label]:21.0f}")
    print(f"\nThe {FAST}, by class:\n")
    print(classification_report(y_test, predictions[FAST], digits=3))

    draw(article, X_test, y_test, predictions).savefig(args.output, dpi=120)
    print(f"The picture is in {args.output}.")


if __name__ == "__main__":
    main()
