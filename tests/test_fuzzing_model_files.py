# SPDX-License-Identifier: BSD-3-Clause
"""Ten thousand damaged and forged model files, and whether a fault among them would be found."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from fuzzed_model_files import classifiers

TOOL = Path(__file__).parents[1] / "tools" / "fuzz_model_files.py"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True)


def counts(output):
    """Return how many inputs had each outcome, by kinds."""
    rows = re.findall(r"^(.{14})(.{32}) *([\d,]+)$", output, re.MULTILINE)
    return {(kind.strip(), outcome.strip()): int(n.replace(",", "")) for kind, outcome, n in rows}


@pytest.mark.parametrize("n", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_inputs_have_no_fault(n):
    result = run(TOOL, "--inputs", str(n))
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{n:,} inputs, 0 faults" in result.stdout
    outcomes = counts(result.stdout)
    assert sum(outcomes.values()) == n
    assert {kind for kind, _ in outcomes} == {
        *("random bytes", "damaged file", "forged JSON", "forged arrays")
    }
    for kind in ("forged JSON", "forged arrays"):  # some changes are allowed
        assert outcomes[kind, "loaded, and predicts"] > n // 100
        assert outcomes[kind, "refused"] > n // 100


@pytest.mark.processes
def test_several_processes_find_the_same():
    one, two = (run(TOOL, "--inputs", "3000", "--processes", n).stdout for n in "12")
    assert one == two


@pytest.mark.slow
def test_an_input_can_be_made_again(tmp_path):
    result = run(TOOL, "--write", "17", tmp_path / "input")
    assert result.returncode == 0, result.stderr
    other = run(TOOL, "--write", "17", tmp_path / "same")
    assert (tmp_path / "input").read_bytes() == (tmp_path / "same").read_bytes()
    assert result.stdout == other.stdout


# Puts faults into the reader, and prints for each what the fuzzing says of an input.
FAULTY = """
import sys, time, warnings
sys.path.insert(0, sys.argv[1])
import numpy as np
import fuzz_model_files as fuzz

fuzz.SECONDS = 1
fuzzer = fuzz.fuzzer_of(0)
load = fuzz.FashionCNNClassifier.load


def error(content):
    raise fuzz.ModelFileError("fuzzed", "a field", content)

faults = {
    "KeyError": lambda content: {}["key"],
    "MemoryError": lambda content: bytes(2**30),
    "RecursionError": lambda content: faults["RecursionError"](content),
    "UserWarning": lambda content: warnings.warn("a warning"),
    "Hang": lambda content: time.sleep(60),
    "open ": lambda content: open("/dev/null").close() or load(content),
    "import ": lambda content: __import__("this") and load(content),
    "compile ": lambda content: exec("1") or load(content),
    "AssertionError": lambda content: error("a long text " * 1000),
    "isprintable": lambda content: error("\\x1b[2J"),
}
for name, fault in faults.items():
    fuzz.FashionCNNClassifier.load = fault
    kind, outcome, report = fuzzer.try_input(0)
    print(name, outcome, name in report, file=sys.stderr)
"""


@pytest.mark.slow
def test_each_kind_of_fault_is_found():
    result = run("-c", FAULTY, TOOL.parent)
    assert result.returncode == 0, result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 10
    assert all(line.endswith(" FAULT True") for line in lines), result.stderr


def test_files_to_begin_with_have_all_parts():
    described = [vars(clf)["_network"] for clf in classifiers()]
    for values in (
        [network.checkpoint.slots for network in described],
        [network.checkpoint.raw_weights for network in described],
        [network.scaling for network in described],
        [vars(clf).get("feature_names_in_") for clf in classifiers()],
    ):
        assert any(value is None for value in values)
        assert any(value is not None for value in values)
