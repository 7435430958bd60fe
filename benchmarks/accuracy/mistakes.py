# SPDX-License-Identifier: BSD-3-Clause
"""What networks get wrong in the test: which classes, and the images that all of them miss."""

from pathlib import Path

import numpy as np
import pandas as pd
from accuracy_tables import Report, groups, with_last_settings
from data_sets import N_CLASSES, fashion
from other_libraries import OTHER_LIBRARIES
from report import markdown
from sklearn.metrics import confusion_matrix

from fashioncnn.datasets import FASHION_MNIST_CLASSES

TOPS = (0, 2, 3, 4, 6)  # T-shirts, pullovers, dresses, coats and shirts
N_SHOWN = 24

Labels = dict[str, np.ndarray]  # (n_seeds, n_images), by variant


def predicted_labels(report: Report) -> Labels:
    """Return the labels that each variant's runs have predicted; other libraries are left out."""
    others = {
        key for key, params in report["settings"].items() if params.keys() & OTHER_LIBRARIES.keys()
    }
    runs = [
        run
        for run in with_last_settings(report)["runs"]
        if "labels" in run and run["settings"] not in others
    ]
    if not runs:
        raise SystemExit("No run of recipes has kept the labels that it predicts: run them anew.")
    return {
        label: np.array([list(text) for text in runs_of_one["labels"]]).astype(int)
        for (label, _), runs_of_one in groups({"runs": runs})
    }


def table(report: Report) -> str:
    """Write what each variant misses, and which of the upper garments it takes for which.

    The most accurate comes first.
    """
    codes, labels = fashion("test")[1], predicted_labels(report)
    labels = dict(sorted(labels.items(), key=lambda item: np.mean(item[1] != codes)))
    parts = [markdown(pd.DataFrame(list_misses(labels, codes)))]
    for label, predicted in labels.items():
        parts += [f"Images per network: {label}", markdown(confusions(predicted, codes))]
    return "\n\n".join(parts)


def list_misses(labels: Labels, codes: np.ndarray) -> list[dict[str, str | int]]:
    """Count the images that a network misses on average, that any one and that every one misses.

    The share of errors among upper garments comes last, as does the row of all networks together.
    """
    is_top = np.isin(codes, TOPS)
    rows = []
    for label, predicted in {**labels, "all": np.concatenate([*labels.values()])}.items():
        missed = predicted != codes
        among_tops = (missed & is_top & np.isin(predicted, TOPS)).sum() / missed.sum()
        rows.append(
            {
                "": label,
                "networks": len(predicted),
                "missed on average": f"{missed.sum(axis=1).mean():.0f}",
                "by any network": missed.any(axis=0).sum(),
                "by every network": missed.all(axis=0).sum(),
                "an upper garment taken for another": f"{100 * among_tops:.0f} %",
            }
        )
    return rows


def confusions(predicted: np.ndarray, codes: np.ndarray) -> pd.DataFrame:
    """Count which upper garment is taken for which, as means over seeds."""
    counts = np.mean(
        [confusion_matrix(codes, row, labels=range(N_CLASSES)) for row in predicted], axis=0
    )
    names = [FASHION_MNIST_CLASSES[code] for code in TOPS]
    chosen = pd.DataFrame(counts[np.ix_(TOPS, TOPS)], columns=names)
    others = counts[list(TOPS)].sum(axis=1) - chosen.sum(axis=1)
    chosen.insert(0, "", [f"is a {name}" for name in names])
    return chosen.assign(others=others).map(lambda x: f"{x:.1f}" if isinstance(x, float) else x)


def missed_by_all(labels: Labels, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that every network misses, and what most take each for.

    Those on which the networks agree most come first.
    """
    predicted = np.concatenate([*labels.values()])
    rows = np.flatnonzero((predicted != codes).all(axis=0))
    votes = np.array([np.bincount(column, minlength=N_CLASSES) for column in predicted[:, rows].T])
    order = np.argsort(-votes.max(axis=1), kind="stable")
    return rows[order], votes.argmax(axis=1)[order]


def draw(report: Report, path: Path) -> None:
    """Draw the first images that every network misses, with both labels."""
    X, codes = fashion("test")
    rows, predicted = missed_by_all(predicted_labels(report), codes)
    draw_images(X[rows], codes[rows], predicted, "most say", path)


def draw_images(
    images: np.ndarray, codes: np.ndarray, predicted: np.ndarray, says: str, path: Path
) -> None:
    """Draw the first images in rows of eight, each under its label and what is said of it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.2, 1.55 * -(-N_SHOWN // 8)), layout="constrained", facecolor="white")
    grid = figure.subplots(-(-N_SHOWN // 8), 8).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, image, *pair in zip(grid, images, codes, predicted, strict=False):
        label, other = (FASHION_MNIST_CLASSES[code] for code in pair)
        axes.imshow(image, cmap="gray_r")
        axes.set_title(f"label: {label}\n{says}: {other}", fontsize=7.5)
    figure.savefig(path.with_suffix(".png"), dpi=120)
