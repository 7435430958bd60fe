# SPDX-License-Identifier: BSD-3-Clause
"""Memory: many fits and predictions hold no more than a few, and the dead hold nothing."""

import gc
import json
import subprocess
import sys
import tracemalloc
import weakref
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from fashioncnn import FashionCNNClassifier

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "memory.py"


def measured(tmp_path, environment, fits, architectures, predictions):
    path = tmp_path / "memory.json"
    sizes = f"--fits {fits} --architectures {architectures} --predictions {predictions}".split()
    sizes += ["--large-images", "20", "--mapped", "600"]
    subprocess.run([sys.executable, SCRIPT, *sizes, "--output", path], env=environment, check=True)
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_flat_over_fits_and_predictions(tmp_path, user_environment):
    results = measured(tmp_path, user_environment, fits=200, architectures=22, predictions=10_000)
    assert results["MB per fit"] < 0.2
    assert results["MB per fit of less than a batch"] < 0.2
    assert results["MB over all predictions"] < 0.5  # 50 bytes each: none that a call leaves behind

    n_megabytes = 60_000 * 784 / 2**20
    assert results["MB in a fit of 60,000 x 784 bytes"] < n_megabytes + 25  # one copy, and batches
    assert results["epochs on a map of 600 MB with 300 MB more"] == 1

    few, many = (f"MB at most for {n} large {{}}" for n in (20, 80))
    for dtype, n_bytes in (("uint8", 1), ("float64", 8)):
        assert results[many.format(dtype)] < 800  # with their largest feature map below 256
        more = results[many.format(dtype)] - results[few.format(dtype)]
        assert more < 60 * 224 * 224 * 3 * n_bytes / 2**20 / 4 + 30  # no copy of all images


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_flat_over_architectures(tmp_path, user_environment):
    # oneDNN compiles kernels for each new shape, which TensorFlow keeps
    environment = {**user_environment, "TF_ENABLE_ONEDNN_OPTS": "0"}
    results = measured(tmp_path, environment, fits=22, architectures=80, predictions=1002)
    assert results["MB per fit of another architecture"] < 1  # of some 10 for one that stays


@pytest.mark.parametrize("most", [0, 2**30])
def test_python_copies_no_more_than_a_few_images(monkeypatch, most):
    monkeypatch.setattr("fashioncnn._training.feed._RESIDENT_BYTES", most)
    random = np.random.default_rng(0)
    X, y = random.integers(0, 256, (40_000, 28, 28), dtype=np.uint8), np.arange(40_000) % 2
    settings = {"kernel_size": 1, "pool_size": 14, "batch_size": 512, "epochs": 1}
    clf = FashionCNNClassifier((1,), (), validation_fraction=0.4, **settings)
    clf.fit(X[:1024], y[:1024])
    tracemalloc.start()
    clf.fit(X, y).predict(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    copy = X.nbytes if most else 0
    assert peak < copy + 0.7 * X.nbytes  # two blocks for "standardize"; held out are 40 %


def n_living():
    """Count the tensors and variables that are alive."""
    for _ in range(3):  # a Keras model refers to itself, and what it frees may, too
        gc.collect()
    kinds = {type(tf.constant(0)), type(tf.Variable(0))}
    return sum(type(each) in kinds for each in gc.get_objects())


def test_a_dead_estimator_frees_its_weights(images, small):
    def used(clf):
        clf.predict(images[0])
        clf.predict(images[0][:1])  # by the other engine
        return list(map(weakref.ref, (clf.model_, clf._network, *clf._network.weights.values())))

    clf = small(epochs=1).fit(*images)
    used(clf)
    clf.fit(*images)
    before = n_living()
    assert before > 0
    dead = used(clf)
    clf.fit(*images)  # in place of what has been used
    other = small(epochs=1).fit(*images)
    dead += used(other)
    del other
    assert n_living() <= before  # fewer, where what other tests have left dies meanwhile
    assert [reference() for reference in dead] == [None] * len(dead)
