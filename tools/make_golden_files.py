# SPDX-License-Identifier: BSD-3-Clause
"""Write the golden files: model files with what they predict, which every later version must read.

    python tools/make_golden_files.py

Version 1 of the format is frozen with release 0.1.0. Until then this command makes all files anew
where a parameter or a field is added: give it a value other than its default in a configuration
here. From then on such a change raises `format_version`: this command writes the files of the new
version to a folder of their own, and those of older versions stay as they are, for ever.
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import sklearn

from fashioncnn import FashionCNNClassifier
from fashioncnn._files.model_fields import VERSION
from fashioncnn._scikit_learn import requests_of

FOLDER = Path(__file__).parents[1] / "tests" / "golden" / f"version_{VERSION}"
N_IMAGES = 12  # more than NumPy predicts, so that all of them are predicted by TensorFlow
ATTRIBUTES = ["best_epoch_", "history_", "image_shape_", "n_features_in_", "n_iter_", "precision_"]
SMALL = {"epochs": 2, "conv_dropout": 0.0, "dense_dropout": 0.0, "random_state": 0}
# Of a recipe; at this rate logits stay so small that versions round them alike.
SHORT = {"dense_units": (8,), "epochs": 40, "learning_rate": 0.003, "random_state": 1}


class Configuration(NamedTuple):
    """A classifier to make, and what it is trained on."""

    labels: np.ndarray  # of its classes, in any order
    params: Mapping[str, Any]
    image_shape: tuple[int, ...] = (6, 6)
    dtype: str = "uint8"
    train: Callable[..., Any] = FashionCNNClassifier.fit


def fit_with_names(clf: Any, X: np.ndarray, y: np.ndarray) -> None:
    """Fit to flat rows with names of columns."""
    names = [f"pixel-{i}" for i in range(X[0].size - 1)] + ["Größe"]
    clf.fit(pd.DataFrame(X.reshape(len(X), -1), columns=names), y)


def fit_by_pieces(clf: Any, X: np.ndarray, y: np.ndarray) -> None:
    """Keep the optimizer's moments."""
    clf.partial_fit(X, y, classes=np.unique(y)).partial_fit(X, y)


def fit_with_and_without_validation(clf: Any, X: np.ndarray, y: np.ndarray) -> None:
    """Leave NaN in the history."""
    clf.fit(X, y, X_val=X, y_val=y).fit(X, y)


def fit_with_requests(clf: Any, X: np.ndarray, y: np.ndarray) -> None:
    """Set what scikit-learn routes."""
    with sklearn.config_context(enable_metadata_routing=True):
        clf.set_fit_request(sample_weight="weights", X_val=True).set_score_request(
            sample_weight=False
        )
    clf.fit(X, y)


def fit_to_blank_images(clf: Any, X: np.ndarray, y: np.ndarray) -> None:
    """See images of one value each only."""
    X[:] = X.max(axis=(1, 2), keepdims=True)
    clf.fit(X, y)


def recipe(name: str, **overrides: Any) -> dict[str, Any]:
    """Return the parameters of a recipe, with smaller layers."""
    return FashionCNNClassifier.from_recipe(name, **overrides).get_params()


CONFIGURATIONS = {
    "texts": Configuration(
        np.array(["bag", "Ärmel", "シャツ"]),
        SMALL
        | {
            "conv_stacks": (4,),
            "dense_units": 8,
            "loss": "sparse_categorical_crossentropy",
            "label_smoothing": 0.1,
            "validation_fraction": 0.25,
            "verbose": 2,
            "conv_dropout": 0.25,
            "dense_dropout": 0.5,
            "image_shape": (6, 6),
        },
    ),
    "objects_and_names": Configuration(
        np.array(["bag", "a dress of 20 characters", ""], object),
        SMALL
        | {
            "conv_stacks": ((3, 4),),
            "dense_units": (6, 5),
            "class_weight": {"bag": 2.5, "": 0.5},
            "image_shape": (4, 3, 2),
            "activation": "gelu",
        },
        image_shape=(4, 3, 2),
        train=fit_with_names,
    ),
    "integers_and_rmsprop": Configuration(
        np.array([-7, 0, 2**62]),
        SMALL
        | {
            "conv_stacks": ((3, 4), 5),
            "dense_units": (8,),
            "kernel_size": ((5, 3), (2, 2)),
            "pool_size": ((2, 1), (1, 2)),
            "padding": "same",
            "conv_dropout": (0.0, 0.25),
            "optimizer": "rmsprop",
            "warm_start": True,
            "batch_size": 4,
            "learning_rate_schedule": "cosine",
        },
        dtype="uint16",
    ),
    "large_integers_and_sgd": Configuration(
        np.array([3, 2**63 + 5, 2**64 - 1], np.uint64),
        SMALL
        | {
            "conv_stacks": (4,),
            "dense_units": (8,),
            "scaling": None,
            "class_weight": {2**63 + 5: 2},
            "optimizer": "sgd",
            "learning_rate": 0.05,
        },
        dtype="float32",
        train=fit_by_pieces,
    ),
    "booleans_and_blank_strips": Configuration(
        np.array([True, False]),
        SMALL | {"conv_stacks": (4,), "dense_units": (), "global_pooling": "avg"},
        image_shape=(1, 9),
        train=fit_to_blank_images,
    ),
    "floats_and_adamw": Configuration(
        np.array([0.0, -1.0, 2.0**53]),
        SMALL
        | {
            "conv_stacks": (4, 5),
            "dense_units": (8,),
            "scaling": "unit",
            "batch_normalization": True,
            "global_pooling": "max",
            "optimizer": "adamw",
            "weight_decay": 0.01,
        },
        image_shape=(5, 6, 3),
        train=fit_by_pieces,
    ),
    "dates_and_nan": Configuration(
        np.array(["2024-02-29", "1969-07-20", "2038-01-19"], "datetime64[D]"),
        SMALL
        | {
            "conv_stacks": (4,),
            "dense_units": (8,),
            "class_weight": {np.datetime64("1969-07-20", "D"): 3.0},
            "warm_start": True,
            "learning_rate": 0.01,
        },
        image_shape=(6, 5, 3),
        train=fit_with_and_without_validation,
    ),
    "durations_and_early_stopping": Configuration(
        np.array([36, -1, 5], "timedelta64[h]"),
        SMALL
        | {
            "conv_stacks": (4,),
            "dense_units": (8,),
            "early_stopping": True,
            "n_iter_no_change": 2,
            "tol": 0.5,
            "epochs": 9,
            "min_steps": 5,
            "class_weight": {np.timedelta64(5, "h"): 2},
        },
        dtype="float64",
    ),
    "averages_and_muon": Configuration(
        np.arange(4, dtype=np.int16),
        SMALL
        | {
            "conv_stacks": ((4, 5),),
            "dense_units": (8,),
            "batch_normalization": True,
            "test_time_flip": True,
            "weight_averaging": 0.5,
            "augment": {"flip": "random", "shift": 1, "erase": 0.25},
            "optimizer": "muon",
            "warm_start": True,
            "epochs": 4,
        },
    ),
    "bfloat16_and_requests": Configuration(
        np.arange(10),
        SMALL
        | {
            "conv_stacks": (4,),
            "dense_units": (8,),
            "precision": "bfloat16",
            "class_weight": "balanced",
        },
        dtype="int16",
        train=fit_with_requests,
    ),
    "shortcuts": Configuration(
        np.arange(3),
        SMALL
        | {
            "conv_stacks": ((4, 4, 4), (5, 5)),
            "dense_units": (),
            "padding": "same",
            "residual": True,
            "batch_normalization": True,
        },
    ),
    "recipe_article": Configuration(
        np.arange(3), recipe("article", conv_stacks=((4, 6),), dense_units=(8,), random_state=1)
    ),
    "recipe_fast": Configuration(
        np.array(["a", "b", "c"]),
        recipe("fast", conv_stacks=(4, 6, 8), dense_units=(8,), random_state=1),
    ),
    "recipe_balanced": Configuration(
        np.array([5, 3, 4]),
        recipe("balanced", conv_stacks=((4,) * 3, (6,) * 3, (8,) * 3), **SHORT),
    ),
    "recipe_accurate": Configuration(
        np.array(["bag", "coat"]),
        recipe("accurate", conv_stacks=((4,) * 5, (6,) * 5, (8,) * 3), **SHORT),
    ),
    "recipe_tiny": Configuration(
        np.arange(3), recipe("tiny", conv_stacks=((4,) * 4, (6,) * 4, (8,) * 2), **SHORT)
    ),
}


def images_of(configuration: Configuration) -> tuple[np.ndarray, np.ndarray]:
    """Draw images with their labels, which a bright column tells."""
    # RandomState, because its stream is the same in every version of NumPy.
    random, n_classes = np.random.RandomState(0), len(configuration.labels)
    images = random.randint(0, 120, (N_IMAGES, *configuration.image_shape))
    codes = np.arange(N_IMAGES) % n_classes
    for image, code in zip(images, codes, strict=True):
        image[:, code % image.shape[1]] += 120
    if configuration.dtype.startswith("float"):
        images = images / 255
    return images.astype(configuration.dtype), configuration.labels[codes]


def plain(value: Any) -> Any:
    """Return a value as JSON holds it: what it has no word for as text, NaN as null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return None if math.isnan(value) else float(value)


def what_is_kept(clf: FashionCNNClassifier) -> dict[str, Any]:
    """Return what a file keeps of a classifier, but for its weights, as JSON holds it."""
    names = getattr(clf, "feature_names_in_", None)
    return {
        "params": plain(clf.get_params()),
        "requests": requests_of(clf),
        "classes": [clf.classes_.dtype.str, *map(str, clf.classes_)],
        "names": names if names is None else names.tolist(),
        **{name: plain(vars(clf)[name]) for name in ATTRIBUTES},
    }


def train_on(clf: FashionCNNClassifier, X: np.ndarray) -> np.ndarray | None:
    """Go on with training where the moments were kept, and return other probabilities."""
    if clf._network.checkpoint.slots is None:
        return None
    clf.partial_fit(X, clf.classes_[np.arange(len(X)) % len(clf.classes_)])
    return clf.predict_proba(X)


def main() -> None:
    """Train each configuration, and write its file and all predictions."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    expected = {}
    for name, configuration in CONFIGURATIONS.items():
        clf = FashionCNNClassifier(**configuration.params)
        X, y = images_of(configuration)
        configuration.train(clf, X, y)
        clf.save(FOLDER / f"{name}.safetensors")
        expected[name] = {
            "images": {"dtype": X.dtype.str, "shape": X.shape, "bytes": X.tobytes().hex()},
            **what_is_kept(clf),
            "labels": list(map(str, clf.predict(X))),
            "probabilities": clf.predict_proba(X).tolist(),
        }
        after = train_on(clf, X)
        if after is not None:
            expected[name]["probabilities after partial_fit"] = after.tolist()
    text = json.dumps(expected, indent=1, ensure_ascii=False, allow_nan=False)
    (FOLDER / "probabilities.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
