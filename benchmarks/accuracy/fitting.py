# SPDX-License-Identifier: BSD-3-Clause
"""One run, in a worker process: fit a variant to a data set, time that, and test."""

import gc
import multiprocessing
import os
import threading
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from data_sets import DATA_SETS, N_CLASSES, Data
from ideas import tried
from other_libraries import OTHER_LIBRARIES, train
from resumption import Clock
from sklearn.metrics import accuracy_score, log_loss
from variants import Variant

Figures = dict[str, Any]
FITTED = ("n_iter_", "precision_")


class Run(NamedTuple):
    """A variant on a data set, with the seed of both."""

    variant: Variant
    data: str
    seed: int


def begin() -> None:
    """Prepare a worker: it ends with the process that has started it."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def fit_and_test(
    run: Run, n_images: int | None, checkpoint: Path, *, keeps_labels: bool = False
) -> Figures:
    """Fit, time and test; the fit includes tracing, as if there had been none before.

    Labels are kept as one text, with a digit for each test image.
    """
    data = DATA_SETS[run.data].load(run.seed).first(n_images)
    if run.variant.recipe in OTHER_LIBRARIES:
        figures, classes, probabilities = fit_other(run, data)
    else:
        figures, classes, probabilities = fit(run, data, checkpoint)
    labels = classes[probabilities.argmax(axis=1)]
    return {
        "accuracy": float(accuracy_score(data.y_test, labels)),
        "log_loss": float(log_loss(data.y_test, probabilities, labels=classes)),
        **figures,
        **({"labels": "".join(map(str, labels))} if keeps_labels else {}),
    }


def fit(run: Run, data: Data, checkpoint: Path) -> tuple[Figures, Any, Any]:
    """Fit a variant, and return figures, the classes, and the probabilities of the test images."""
    clf = run.variant.new(random_state=run.seed, checkpoint=checkpoint)
    forget_programs()
    with tried(run.variant.idea, data.X):
        clock = Clock(checkpoint)
        clf.fit(data.X, data.y)
        seconds = clock.seconds
    figures = {
        "seconds": seconds,
        "n_parts": clock.n_parts,
        "n_parameters": clf.model_.count_params(),
        **{name: getattr(clf, name) for name in FITTED},
    }
    return figures, clf.classes_, clf.predict_proba(data.X_test)


def forget_programs() -> None:
    """Import TensorFlow, whose time does not count, and forget what it has compiled for us."""
    from fashioncnn._tensorflow.start import tensorflow_started

    with tensorflow_started():
        import fashioncnn._training.loop  # noqa: F401
        from fashioncnn._tensorflow import program

        program._programs.clear()
        program._idle_variables.clear()
    gc.collect()


def fit_other(run: Run, data: Data) -> tuple[Figures, Any, Any]:
    """Do the same with another library."""
    trained, clock = train(run.variant.recipe, data, run.seed, **run.variant.overrides)
    figures = {
        "seconds": trained.seconds,
        "n_parameters": trained.n_parameters,
        "n_iter_": run.variant.settings["epochs"],
        "precision_": "float32",
        **({"points": clock.points} if clock.points else {}),
    }
    return figures, np.arange(N_CLASSES), trained.probabilities
