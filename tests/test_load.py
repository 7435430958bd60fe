# SPDX-License-Identifier: BSD-3-Clause
"""Many threads of several processes predict from one file, and whether a fault would be found."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "load.py"
pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="reads memory as Linux tells it"),
]


def run(*arguments):
    few = "--seconds", "3600", "--calls", "25", "--threads", "4"
    return subprocess.run([sys.executable, TOOL, *few, *arguments], capture_output=True, text=True)


@pytest.mark.parametrize("recipe", ["default", "fast"])
def test_answers_under_load_are_those_of_calls_made_alone(recipe):
    result = run("--processes", "2", "--recipe", recipe)
    assert result.returncode == 0, result.stdout + result.stderr
    counts = re.match(
        "2 processes x 4 threads: 200 calls of .* pictures compared bit for bit, "
        r"(\d+) fits, (\d+) loads, (\d+) saves, 0 faults\n",
        result.stdout,
    )
    fits, loads, saves = map(int, counts.groups())
    assert fits >= 10  # one in each round of each process
    assert loads == 10
    assert saves >= 1


def test_a_wrong_answer_is_found():
    result = run("--processes", "1", "--recipe", "fast", "--plant")
    assert result.returncode == 1
    assert re.search(r"FAULT process \d: \w+ of Case\(.*\) differs from the call", result.stdout)
