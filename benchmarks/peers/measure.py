# SPDX-License-Identifier: BSD-3-Clause
"""The measurements themselves, as a worker process makes them for one library.

Nothing but the standard library is imported before a measurement needs it, so that imports can be
measured.
"""

import gc
import os
import statistics
import time
from functools import cached_property
from typing import Any

from libraries import LIBRARIES
from machine import rise_in_megabytes, status_megabytes

Results = dict[str, Any]  # numbers, and a word on them
WARM_UP = 1_000  # images of the fit that predictions are made with

_session: "Session"  # of a worker


def begin(library: str) -> None:
    """Prepare a worker, before it imports any of the libraries."""
    global _session
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # what libraries print
        os.dup2(nothing, stream)
    _session = Session(library)


def measure(task: str, case: dict[str, Any]) -> Results:
    """Measure one case of a task, in a worker."""
    gc.collect()  # what the measurement before left
    return getattr(_session, task)(**case)


class Session:
    """One library in this process, with its data and a fitted model."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.library = LIBRARIES[name]

    @cached_property
    def data(self) -> dict[str, tuple[Any, Any]]:
        """Load all images as bytes, with their labels."""
        from fashioncnn import load_fashion_mnist

        return {part: load_fashion_mnist(part) for part in ("train", "test")}

    def images(self, n_images: int, part: str = "train") -> tuple[Any, Any]:
        """Take the first images, as the library wants them."""
        X, y = self.data[part]
        return self.library.convert(X[:n_images], y[:n_images])

    @cached_property
    def model(self) -> Any:
        """Fit to a few images, which warms up the library."""
        self.library.load()
        return self.library.fit(*self.images(WARM_UP))

    def fit(self, n_images: int) -> Results:
        """Time an epoch, data made and code traced before."""
        precision = getattr(self.model, "precision_", "float32")
        fit = self.library.ready_to_fit(*self.images(n_images))
        return {"precision": precision, **self.library.times(fit)}

    growth = fit

    def repeated_fit(self, n_images: int) -> Results:
        """Time a fit from building the model on, where there was one before."""
        X, y = self.images(n_images)
        self.library.fit(X, y)
        return self.library.times(lambda: self.library.fit(X, y))

    def predict_one(self, n_calls: int) -> Results:
        """Time predictions of one image each, and return their median."""
        model = self.model
        X, _ = self.images(n_calls + 1, part="test")
        self.library.predict_one(model, X[:1])
        times = [
            self.library.times(lambda x=X[i : i + 1]: self.library.predict_one(model, x))
            for i in range(1, n_calls + 1)
        ]
        return {name: statistics.median(time[name] for time in times) for name in times[0]}

    def predict_many(self, n_images: int) -> Results:
        """Time the prediction of many images, which were predicted before."""
        X, _ = self.images(n_images, part="test")
        self.library.predict(self.model, X)
        return self.library.times(lambda: self.library.predict(self.model, X))

    def grid_search(self, n_images: int, n_jobs: int) -> Results:
        """Time a search of four candidates with three folds, in processes that are ready."""
        from joblib import Parallel, delayed
        from joblib.externals.loky import get_reusable_executor
        from sklearn.model_selection import GridSearchCV

        self.library.fit(*self.images(WARM_UP))
        grid = {self.library.learning_rate: [1e-3, 3e-3], "batch_size": [64, 128]}
        search = GridSearchCV(self.library.new(), grid, cv=3, n_jobs=n_jobs, error_score="raise")
        X, y = self.images(n_images)
        if n_jobs > 1:
            Parallel(n_jobs)(delayed(load_and_wait)(self.name) for _ in range(n_jobs))
        times = self.library.times(lambda: search.fit(X, y))
        if n_jobs > 1:
            get_reusable_executor().shutdown(wait=True)
        return times

    def import_library(self) -> Results:
        """Time the import in this fresh process, and the framework's, and what they hold."""
        before, elapsed, results = status_megabytes(), 0.0, {}
        codes = {"": self.library.statement, " with framework": self.library.framework}
        for name, code in codes.items():
            elapsed += self.library.times(lambda code=code: exec(code, {}))["seconds"]
            results[f"seconds{name}"] = elapsed
            results[f"megabytes{name}"] = status_megabytes() - before
        return results

    def peak_memory(self, n_images: int) -> Results:
        """Measure what converting and fitting hold at most, beside imports and bytes."""
        self.library.load()
        _ = self.data
        return {"megabytes": rise_in_megabytes(lambda: self.library.fit(*self.images(n_images)))}


def load_and_wait(library: str) -> None:
    """Import a library, and wait so long that each process of a pool is given one such call."""
    LIBRARIES[library].load()
    time.sleep(1)
