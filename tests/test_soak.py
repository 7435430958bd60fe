# SPDX-License-Identifier: BSD-3-Clause
"""A short soak, and whether it would find that predictions change."""

import sys
from pathlib import Path
from weakref import WeakKeyDictionary

import hypothesis
import numpy as np
import pytest
from hypothesis.stateful import run_state_machine_as_test
from soak_calls import WARNINGS
from soak_journal import Journal, Reading, growth
from soak_machine import Soak

from fashioncnn import FashionCNNClassifier

TOOL = Path(__file__).parents[1] / "tools" / "soak.py"
FEW_STEPS = hypothesis.settings(
    max_examples=2,
    stateful_step_count=5,
    phases=[hypothesis.Phase.generate],
    report_multiple_bugs=False,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.mark.filterwarnings(*(f"ignore:{message}" for message in WARNINGS))
def test_a_prediction_that_changes_is_found(monkeypatch):
    monkeypatch.setattr(Soak, "journal", Journal())
    predict, n_calls = FashionCNNClassifier.predict_proba, WeakKeyDictionary()

    def drift(clf, X):
        n_calls[clf] = 1 + n_calls.get(clf, 0)
        return np.nextafter(predict(clf, X), np.float32(n_calls[clf] > 2))

    monkeypatch.setattr(FashionCNNClassifier, "predict_proba", drift)
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        run_state_machine_as_test(Soak, settings=FEW_STEPS)
    assert Soak.journal.counts["fit_another"]


def test_memory_that_grows_is_told_by_fits_and_predictions():
    random = np.random.default_rng(0)
    counts = random.integers(0, (30, 2000), (300, 2)).cumsum(axis=0)
    noise = random.normal(0, 1, 300)
    readings = [
        Reading(n_fits, n_predictions, 900 + 0.3 * n_fits + 0.002 * n_predictions + more, 9, 9)
        for (n_fits, n_predictions), more in zip(counts.tolist(), noise, strict=True)
    ]
    grown = growth(readings)
    assert 0 < grown.error_per_fit < 0.05
    assert grown.per_fit == pytest.approx(0.3, abs=3 * grown.error_per_fit)
    assert 0 < grown.error_per_prediction < 0.001
    assert grown.per_prediction == pytest.approx(0.002, abs=3 * grown.error_per_prediction)
