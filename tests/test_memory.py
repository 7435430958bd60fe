# SPDX-License-Identifier: BSD-3-Clause
"""Memory: many fits and predictions hold no more than a few, and the dead hold nothing."""

import gc
import json
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "memory.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_flat(tmp_path):
    path = tmp_path / "memory.json"
    sizes = ["--fits", "200", "--architectures", "60", "--predictions", "10000"]
    subprocess.run([sys.executable, SCRIPT, *sizes, "--output", path], check=True)
    results = json.loads(path.read_text(encoding="utf-8"))
    assert results["MB per fit, one architecture"] < 0.2
    assert results["MB per fit, one architecture each"] < 0.2
    assert results["MB over all predictions"] < 2  # 0.2 kB each: none that a call leaves behind


def weak_references(clf):
    network = clf._network
    tensors = network._served[1].values()
    return list(map(weakref.ref, [*network.weights.values(), *tensors, network.keras_model()]))


@pytest.mark.parametrize("refit", [False, True])
def test_a_dead_estimator_frees_its_weights(images, small, refit):
    clf = small(epochs=1).fit(*images)
    clf.predict(images[0])
    references = weak_references(clf)
    if refit:
        clf.fit(*images)
    else:
        del clf
    gc.collect()  # a Keras model refers to itself
    assert [reference() for reference in references] == [None] * len(references)
