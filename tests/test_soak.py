# SPDX-License-Identifier: BSD-3-Clause
"""A short soak, and whether it would find that predictions change."""

import json
import subprocess
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_short_soak_finds_nothing(tmp_path, user_environment):
    command = [sys.executable, TOOL, "--minutes", "1", "--output", tmp_path / "soak.json"]
    result = subprocess.run(command, env=user_environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    told = json.loads((tmp_path / "soak.json").read_text(encoding="utf-8"))
    assert told["faults"] == 0
    assert told["steps"] > 100
    assert {rule.function.__name__ for rule in Soak.setup_state().rules} <= told.keys()
    # Programs that stay compiled take some 10 MB each; how flat memory is, a longer soak tells.
    most = 0.2 * told["fits meanwhile"] + 12 * told["traces meanwhile"]
    assert told["MB more from first to last"] <= most


def test_memory_that_grows_is_told_by_what_is_done():
    random = np.random.default_rng(0)
    counts = random.integers(0, (30, 2000, 9), (300, 3)).cumsum(axis=0)
    megabytes = 900 + 0.3 * counts[:, 0] + random.normal(0, 1, 300)
    pairs = zip(counts.tolist(), megabytes.tolist(), strict=True)
    found = growth([Reading(tuple(row), value, 9, 9) for row, value in pairs])
    slope, error = found["fits"]
    assert 0 < error < 0.001
    assert slope == pytest.approx(0.3, abs=3 * error)
    assert found["predictions"][0] == pytest.approx(0.3 * 15 / 1000, rel=0.2)  # all as theirs
