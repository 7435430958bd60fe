# SPDX-License-Identifier: BSD-3-Clause
"""Forged and damaged model files: each is refused by its field, quickly, and does nothing."""

import itertools
import json
import os
import random
import re
import subprocess
import sys

import numpy as np
import pytest
import safetensors
from fuzzed_model_files import untrained
from model_file_attacks import ATTACKS
from model_files import DIGEST, MAGIC, take_apart

from fashioncnn import FashionCNNClassifier
from fashioncnn.exceptions import ModelFileError

MOST_BYTES = 50 * 2**20
LONGEST_MESSAGE = 1000


@pytest.fixture(scope="module")
def saved():
    """Give a classifier of which a file has every kind of part."""
    classes = ["coat", "shoe", "été"]
    params = {"batch_normalization": True, "warm_start": True, "class_weight": {"coat": 2.0}}
    return untrained(classes, names=True, **params)


@pytest.fixture(scope="module")
def content(saved, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model"
    saved.save(path)
    return path.read_bytes()


def refuse(path):
    """Return the error by which a file is refused."""
    with pytest.raises(ModelFileError) as caught:
        FashionCNNClassifier.load(path)
    error, message = caught.value, str(caught.value)
    assert type(error) is ModelFileError
    assert error.path == str(path)
    assert message.startswith(f"The model file {str(path)!r} can't be loaded: {error.field} ")
    assert message.isprintable()
    assert len(message) < LONGEST_MESSAGE
    return error


def test_a_valid_file_is_loaded(saved, content, tmp_path):
    parts = take_apart(content)
    assert parts.seal() == content
    assert content.startswith(MAGIC, 8)
    (tmp_path / "model").write_bytes(content)
    loaded = FashionCNNClassifier.load(tmp_path / "model")
    assert loaded.get_params() == saved.get_params()
    image = np.full((1, 3, 4, 2), 3)
    np.testing.assert_array_equal(loaded.predict_proba(image), saved.predict_proba(image))


@pytest.mark.parametrize("name", ATTACKS)
def test_a_forged_file_is_refused(content, tmp_path, name):
    forge, text = ATTACKS[name]
    path = tmp_path / "forged"
    path.write_bytes(forge(take_apart(content)))
    error = refuse(path)
    assert re.search(text, f"{error.field} {error.problem}"), f"{error.field} {error.problem}"


def test_a_file_cut_off_anywhere_is_refused(content, tmp_path):
    path, header = tmp_path / "cut off", len(content) - len(take_apart(content).buffer)
    path.write_bytes(content)
    places = random.Random(0).sample(range(header, len(content)), k=50)
    for end in [*sorted(places, reverse=True), *range(header, -1, -1)]:
        os.truncate(path, end)
        refuse(path)


def refuse_flipped(path, content, places):
    """Let a file be refused with each of some bits flipped, the places of which are given."""
    path.write_bytes(content)
    with open(path, "r+b", buffering=0) as file:
        for byte, bit in places:
            for value in (content[byte] ^ 1 << bit, content[byte]):  # and back
                if value == content[byte]:
                    refuse(path)
                file.seek(byte)
                file.write(bytes([value]))
    assert path.read_bytes() == content


def test_any_flipped_bit_is_found(content, tmp_path):
    rng = random.Random(0)
    header = len(content) - len(take_apart(content).buffer)
    places = rng.sample(range(header), 1000) + rng.sample(range(header, len(content)), 300)
    refuse_flipped(tmp_path / "flipped", content, [(place, rng.randrange(8)) for place in places])


@pytest.mark.slow
def test_each_flipped_bit_is_found(content, tmp_path):
    places = itertools.product(range(len(content)), range(8))
    refuse_flipped(tmp_path / "flipped", content, places)


def test_capital_digits_of_the_digest_are_refused(content, tmp_path):
    digits = content[DIGEST].upper()
    assert digits != content[DIGEST]
    (tmp_path / "model").write_bytes(content[: DIGEST.start] + digits + content[DIGEST.stop :])
    assert refuse(tmp_path / "model").field == "sha256"


def test_safetensors_reads_what_is_written(content):
    tensors = dict(safetensors.deserialize(content))
    parts = take_apart(content)
    assert tensors.keys() == parts.tensors.keys()
    for name, tensor in tensors.items():
        begin, end = parts.tensors[name]["data_offsets"]
        assert tensor["data"] == parts.buffer[begin:end]
        assert tensor["shape"] == parts.tensors[name]["shape"]


# Loads each file in a process that tells what it did, how long it took, and how much memory. The
# first, a valid one, imports what is needed.
LOAD_ALL = r"""
import json, pathlib, re, sys, warnings

from fashioncnn import FashionCNNClassifier

warnings.simplefilter("error")
folder = pathlib.Path(sys.argv[1])
FashionCNNClassifier.load(folder / "valid")
paths, reports, events = sorted(folder.glob("forged*")), {}, []
modules = set(sys.modules)
is_watching = False


def peak():
    status = pathlib.Path("/proc/self/status")
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) if status.exists() else 0


def hook(event, arguments):
    if is_watching:
        events.append((event, repr(arguments)[:200]))


sys.addaudithook(hook)
for path in paths:
    if pathlib.Path("/proc/self/clear_refs").exists():
        pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak is what is used now
    before = peak()
    outcome = "loaded"
    is_watching = True
    try:
        FashionCNNClassifier.load(path)
    except Exception as error:
        outcome = type(error).__name__
    is_watching = False
    reports[path.name] = [outcome, events[:], peak() - before]
    events.clear()
assert set(sys.modules) == modules, set(sys.modules) - modules
print(json.dumps(reports))
"""
HARMLESS = {"builtins.id", "object.__getattr__"}  # events of the audit


@pytest.fixture(scope="module")
def reports(content, tmp_path_factory):
    """Give what a process of its own did when it loaded all forged files."""
    folder = tmp_path_factory.mktemp("forged")
    (folder / "valid").write_bytes(content)
    for number, (forge, _) in enumerate(ATTACKS.values()):
        (folder / f"forged{number:03}").write_bytes(forge(take_apart(content)))
    result = subprocess.run(
        [sys.executable, "-I", "-c", LOAD_ALL, str(folder)],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    assert result.stderr == ""
    return folder, json.loads(result.stdout)


@pytest.mark.slow
def test_refusing_does_nothing_but_read(reports):
    folder, by_name = reports
    for name, (outcome, events, *_) in by_name.items():
        assert outcome == "ModelFileError", name
        assert {event for event, _ in events} <= {"open", *HARMLESS}, (name, events)
        opened = [arguments for event, arguments in events if event == "open"]
        assert all(arguments.startswith(f"({str(folder / name)!r}, ") for arguments in opened)


@pytest.mark.slow
def test_refusing_takes_little_memory(reports):
    for name, (*_, growth) in reports[1].items():
        assert growth < MOST_BYTES, name
