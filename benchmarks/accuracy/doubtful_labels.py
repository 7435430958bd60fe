# SPDX-License-Identifier: BSD-3-Clause
"""Labels of the training set that are probably wrong: what networks that did not see them say."""

from pathlib import Path

import numpy as np
import pandas as pd
from accuracy_tables import Report
from data_sets import fashion
from mistakes import draw_images
from report import markdown
from sklearn.model_selection import cross_val_predict
from variants import Variant

from fashioncnn.datasets import FASHION_MNIST_CLASSES

N_FOLDS = 5
N_LISTED = 200  # in the file
SURE = 0.8  # a probability; labels that are smoothed by 0.1 aim at 0.91


def find(variant: Variant, n_images: int | None = None) -> Report:
    """Predict each training image by a network that was trained on others, and list doubts.

    `n_images` takes the first only, to try it.

    Those come first whose label has the least probability beside the class that was predicted.
    """
    X, y = (array[:n_images] for array in fashion("train"))
    clf = variant.new(random_state=0)
    probabilities = cross_val_predict(clf, X, y, cv=N_FOLDS, method="predict_proba")
    rows = np.arange(len(y))
    predicted = probabilities.argmax(axis=1)
    of_label, most = probabilities[rows, y], probabilities.max(axis=1)
    order = np.argsort(of_label - most, kind="stable")
    order = order[predicted[order] != y[order]][:N_LISTED]
    doubts = [
        {
            "row": int(row),
            "label": int(y[row]),
            "predicted": int(predicted[row]),
            "probability of the label": round(float(of_label[row]), 4),
            "of the predicted class": round(float(most[row]), 4),
        }
        for row in order
    ]
    return {
        "variant": variant.label,
        "settings": variant.settings,
        "accuracy": float(np.mean(predicted == y)),
        "n_sure": int(np.sum((predicted != y) & (most >= SURE))),
        "doubts": doubts,
    }


def table(report: Report) -> str:
    """Write how many there are, and between which classes the surest lie."""
    doubts = pd.DataFrame(report["doubts"])
    names = np.array(FASHION_MNIST_CLASSES)
    pairs = pd.Series(names[doubts["label"]]) + " → " + names[doubts["predicted"]]
    counts = pairs.value_counts().rename_axis("label → predicted").reset_index(name="images")
    intro = (
        f"{report['variant']} predicts the labels of {100 * report['accuracy']:.2f} % of the "
        f"training images, in {N_FOLDS} folds, and misses {report['n_sure']} with a probability "
        f"of at least {SURE}. "
        f"Of the {len(doubts)} surest, these are the commonest pairs:"
    )
    return f"{intro}\n\n{markdown(counts.head(10))}"


def draw(report: Report, path: Path) -> None:
    """Draw the images whose labels are most in doubt."""
    X, _ = fashion("train")
    doubts = pd.DataFrame(report["doubts"])
    draw_images(X[doubts["row"]], doubts["label"], doubts["predicted"], "says", path)
