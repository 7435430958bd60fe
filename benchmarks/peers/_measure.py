# SPDX-License-Identifier: BSD-3-Clause
"""The measurements themselves, as a worker process makes them for one library.

Nothing but the standard library is imported before a measurement needs it, so that imports can be
measured.
"""

import gc
import os
import re
import statistics
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import _flops
from _libraries import BATCH_SIZE, LIBRARIES, Estimator, seconds

Results = dict[str, Any]  # numbers, and a word on them

WARM_UP = 1_000  # images of the fit that predictions are made with


def status_megabytes(name: str) -> float:
    """Read a size from this process' status (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(rf"{name}:\s+(\d+) kB", status)[0]) / 2**10


class Session:
    """One library in this process, with its data and a fitted model.

    Parameters
    ----------
    name : str
        The library's, or "cores".
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.library = LIBRARIES.get(name)
        self.models: dict[int, Any] = {}  # by the images' size

    @cached_property
    def data(self) -> dict[str, tuple[Any, Any]]:
        """Load all images as bytes, with their labels."""
        from fashioncnn import load_fashion_mnist

        return {part: load_fashion_mnist(part) for part in ("train", "test")}

    def images(self, n_images: int, size: int = 28, part: str = "train") -> tuple[Any, Any]:
        """Take the first images, made larger by repeating pixels, as the library wants them."""
        X, y = (array[:n_images] for array in self.data[part])
        X = X.repeat(size // 28, axis=1).repeat(size // 28, axis=2)
        return self.library.convert(X, y)

    def model(self, size: int = 28) -> Any:
        """Return a model fitted to a few images, which warms up the library the first time."""
        if size not in self.models:
            self.library.load()
            n_images = max(WARM_UP * 28**2 // size**2, 2 * BATCH_SIZE)
            self.models[size] = self.library.fit(*self.images(n_images, size))
        return self.models[size]

    def fit(self, n_images: int, size: int = 28) -> Results:
        """Time an epoch, data made and code traced before."""
        precision = getattr(self.model(size), "precision_", "float32")
        fit = self.library.ready_to_fit(*self.images(n_images, size))
        return {"precision": precision, **self.library.times(fit)}

    def repeated_fit(self, n_images: int) -> Results:
        """Time a fit from building the model on, where there was one before."""
        self.model()
        X, y = self.images(n_images)
        self.library.fit(X, y)
        return self.library.times(lambda: self.library.fit(X, y))

    def predict_one(self, n_calls: int) -> Results:
        """Time predictions of one image each, and return their median."""
        model = self.model()
        X, _ = self.images(n_calls + 1, part="test")
        self.library.predict_one(model, X[:1])
        times = [
            self.library.times(lambda x=X[i : i + 1]: self.library.predict_one(model, x))
            for i in range(1, n_calls + 1)
        ]
        return {name: statistics.median(time[name] for time in times) for name in times[0]}

    def predict_many(self, n_images: int) -> Results:
        """Time the prediction of many images, which were predicted before."""
        model = self.model()
        X, _ = self.images(n_images, part="test")
        self.library.predict(model, X)
        return self.library.times(lambda: self.library.predict(model, X))

    def grid_search(self, n_images: int, n_jobs: int) -> Results:
        """Time a search of four candidates with three folds, in processes that are ready."""
        from joblib import Parallel, delayed
        from joblib.externals.loky import get_reusable_executor
        from sklearn.model_selection import GridSearchCV

        library = self.library
        assert isinstance(library, Estimator)
        self.model()
        search = GridSearchCV(
            library.new(), library.grid(), cv=3, n_jobs=n_jobs, error_score="raise"
        )
        X, y = self.images(n_images)
        if n_jobs > 1:
            Parallel(n_jobs)(delayed(load_and_wait)(self.name) for _ in range(n_jobs))
        elapsed = seconds(lambda: search.fit(X, y))
        if n_jobs > 1:
            get_reusable_executor().shutdown(wait=True)
        return {"seconds": elapsed}

    def import_library(self) -> Results:
        """Time the import in this fresh process, and the framework's, and what they hold."""
        before, names = status_megabytes("VmRSS"), ("", " with framework")
        results, elapsed = {}, 0.0
        for name, code in zip(names, (self.library.statement, self.library.framework), strict=True):
            elapsed += seconds(lambda code=code: exec(code, {}))
            results |= {
                f"seconds{name}": elapsed,
                f"megabytes{name}": status_megabytes("VmRSS") - before,
            }
        return results

    def peak_memory(self, n_images: int) -> Results:
        """Measure the most that converting the bytes and fitting hold, above what is there before.

        Before are the imports and the bytes themselves.
        """
        self.library.load()
        X, y = (array[:n_images] for array in self.data["train"])
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the peak so far
        before = status_megabytes("VmRSS")
        self.library.fit(*self.library.convert(X, y))
        return {"megabytes": status_megabytes("VmHWM") - before}

    def peak_speed(self) -> Results:
        """Measure the most GFLOP/s that the cores reach, on what TensorFlow does fastest."""
        import tensorflow as tf

        from fashioncnn._tensorflow.precision import training_precision

        precisions = dict.fromkeys(("float32", training_precision("auto")))
        n = 2048
        results = {}
        for precision in precisions:
            a, b = random_tensor(precision, n, n), random_tensor(precision, n, n)
            images, kernel, result = second_convolution(precision)
            cost = len(result) * _flops.convolution(*_flops.FILTERS, result.shape[1])
            product = fastest(lambda a=a, b=b: tf.matmul(a, b))
            convolution = fastest(lambda x=images, k=kernel: tf.nn.conv2d(x, k, 1, "VALID"))
            results |= {
                f"{precision}, matrix product": 2 * n**3 / product / 1e9,
                f"{precision}, second convolution": cost / convolution / 1e9,
            }
        return results


def random_tensor(dtype: str, *shape: int) -> Any:
    """Draw a tensor from the normal distribution."""
    import tensorflow as tf

    return tf.cast(tf.random.stateless_normal(shape, (0, 0)), dtype)


def second_convolution(dtype: str) -> tuple[Any, Any, Any]:
    """Draw a batch that goes into the second convolution, its kernel, and what comes out."""
    n_in, n_out = _flops.FILTERS
    return (
        random_tensor(dtype, BATCH_SIZE, 26, 26, n_in),
        random_tensor(dtype, _flops.KERNEL, _flops.KERNEL, n_in, n_out),
        random_tensor(dtype, BATCH_SIZE, 24, 24, n_out),
    )


def fastest(call: Callable[[], object], n_calls: int = 20) -> float:
    """Return the least time of some calls."""
    return min(seconds(call) for _ in range(n_calls))


def load_and_wait(library: str) -> int:
    """Import a library, and wait so long that each process of a pool is given one such call."""
    LIBRARIES[library].load()
    time.sleep(1)
    return os.getpid()
