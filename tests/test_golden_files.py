# SPDX-License-Identifier: BSD-3-Clause
"""Files of every version of the format: they load for ever, and predict what they did.

`tools/make_golden_files.py` has written them, and says when it may do so again. A new parameter
needs one where its value is not the default: see "To add a parameter" in CONTRIBUTING.md.
"""

import importlib.util
import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from model_files import take_apart
from scipy.special import softmax

from fashioncnn import FashionCNNClassifier
from fashioncnn._files.model_fields import FIELDS
from fashioncnn._files.model_fields import VERSION as NEWEST
from fashioncnn._network.optimizers import OPTIMIZERS

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("version_*/*.safetensors"))
OF_NEWEST = [path for path in FILES if path.parent.name == f"version_{NEWEST}"]
CHECKOUT = Path(__file__).parents[1]
COMMAND = CHECKOUT / "tools" / "make_golden_files.py"
PAGE = (CHECKOUT / "docs" / "model_file.md").read_text(encoding="utf-8")
ADVICE = "give it another value in tools/make_golden_files.py, and run that"
# What is the same in all files of a version, and what no file can hold.
CONSTANT = {"format", "format_version", "class", "versions"}
REFUSED = {"callbacks", "checkpoint"}


@cache
def command():
    spec = importlib.util.spec_from_file_location("make_golden_files", COMMAND)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def expected_of(path):
    return json.loads((path.parent / "probabilities.json").read_text(encoding="utf-8"))[path.stem]


def images_of(expected):
    images = expected["images"]
    content = np.frombuffer(bytes.fromhex(images["bytes"]), images["dtype"])
    return content.reshape(images["shape"])


def manifest_of(path):
    return take_apart(path.read_bytes()).manifest


golden_file = pytest.mark.parametrize(
    "path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}"
)


@golden_file
def test_predicts_what_it_did(path):
    clf, expected = FashionCNNClassifier.load(path), expected_of(path)
    X = images_of(expected)
    by_tensorflow = clf.predict_proba(X)
    by_numpy = np.concatenate([clf.predict_proba(image[np.newaxis]) for image in X])
    for probabilities in (by_tensorflow, by_numpy):
        np.testing.assert_allclose(probabilities, expected["probabilities"], rtol=0, atol=1e-6)
    assert list(map(str, clf.predict(X))) == expected["labels"]
    assert [str(clf.predict(image[np.newaxis])[0]) for image in X] == expected["labels"]


@golden_file
def test_has_what_was_kept(path):
    kept, expected = command().what_is_kept(FashionCNNClassifier.load(path)), expected_of(path)
    older = {name: kept["params"][name] for name in expected["params"]}  # than some parameters
    assert {**kept, "params": older} == {name: expected[name] for name in kept}


AFTER = "probabilities after partial_fit"


@pytest.mark.parametrize(
    "path", [path for path in FILES if AFTER in expected_of(path)], ids=lambda path: path.stem
)
def test_training_goes_on_with_the_moments(path):
    """Where they were lost, probabilities would differ by ten times the tolerance or more."""
    clf, expected = FashionCNNClassifier.load(path), expected_of(path)
    probabilities = command().train_on(clf, images_of(expected))
    np.testing.assert_allclose(probabilities, expected[AFTER], rtol=0, atol=1e-4)
    assert clf.n_iter_ == expected["n_iter_"] + 1


def test_each_configuration_has_a_file():
    configurations = command().CONFIGURATIONS
    assert configurations.keys() == {path.stem for path in OF_NEWEST}
    for path in OF_NEWEST:
        clf = FashionCNNClassifier(**configurations[path.stem].params)
        assert command().plain(clf.get_params()) == expected_of(path)["params"], path


@pytest.mark.parametrize("name", sorted(FashionCNNClassifier().get_params().keys() - REFUSED))
def test_each_parameter_has_another_value_than_its_default_in_some_file(name):
    default = FashionCNNClassifier().get_params()[name]
    values = [FashionCNNClassifier.load(path).get_params()[name] for path in OF_NEWEST]
    assert any(value != default for value in values), ADVICE


def leaves(table, prefix=""):
    """List the fields of a table that have no fields of their own, by their path."""
    for name, kind in table.items():
        table = getattr(kind, "table", kind)
        if isinstance(table, dict):
            yield from leaves(table, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def value_at(manifest, path):
    for name in path.split("."):
        manifest = manifest and manifest[name]
    return manifest


@pytest.mark.parametrize("field", [f for f in leaves(FIELDS) if f.split(".")[0] not in CONSTANT])
def test_each_field_has_several_values(field):
    assert len({json.dumps(value_at(manifest_of(path), field)) for path in OF_NEWEST}) > 1, ADVICE


def test_each_kind_of_label_each_optimizer_and_each_array_has_a_file():
    files = [FashionCNNClassifier.load(path) for path in OF_NEWEST]
    assert {clf.classes_.dtype.kind for clf in files} == set("UOiubfMm")
    assert {clf.optimizer for clf in files} == set(OPTIMIZERS)
    checkpoints = [clf._network.checkpoint for clf in files]
    rules = {checkpoint.update_rule for checkpoint in checkpoints if checkpoint.slots}
    assert rules == {info.update_rule for info in OPTIMIZERS.values()}
    assert any(checkpoint.raw_weights for checkpoint in checkpoints)
    assert any(np.isnan(clf.history_.get("val_loss", 0)).any() for clf in files)
    assert any(clf.classes_.max() >= 2**63 for clf in files if clf.classes_.dtype.kind == "u")


@pytest.mark.slow
def test_the_command_writes_them_all(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command(), "FOLDER", tmp_path)
    command().main()
    names = {path.name for path in OF_NEWEST} | {"probabilities.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    for path in OF_NEWEST:
        ours, theirs = manifest_of(tmp_path / path.name), manifest_of(path)
        assert ours["params"] == theirs["params"]


@cache
def reader():
    """Run the program in the docs that reads files without this library."""
    code = re.search(r"```python\n(import hashlib\n.*?)```", PAGE, re.DOTALL)[1]
    assert "fashioncnn import" not in code
    names = {}
    exec(compile(code, "<docs/model_file.md>", "exec"), names)
    return names


@golden_file
def test_the_reader_in_the_docs_reads_it(path):
    manifest, arrays = reader()["read_model"](path)
    clf, X = FashionCNNClassifier.load(path), images_of(expected_of(path))
    classes = reader()["classes_of"](manifest, arrays)
    assert classes.dtype == clf.classes_.dtype
    np.testing.assert_array_equal(classes, clf.classes_)
    network = clf._network
    if network.scaling:
        np.testing.assert_array_equal(arrays["scaling/scale"], network.scaling.scale)
        np.testing.assert_array_equal(arrays["scaling/offset"], network.scaling.offset)
    for name, weight in network.weights.items():
        np.testing.assert_array_equal(arrays[f"weights/{name}"], weight)
    if clf.activation == "relu":
        images = X.reshape(-1, *clf.image_shape_)
        logits = [logits_by_reader(image, manifest, arrays) for image in images]
        np.testing.assert_allclose(
            softmax(logits, axis=1), expected_of(path)["probabilities"], rtol=0, atol=1e-5
        )


def logits_by_reader(image, manifest, arrays):
    sides = [image, image[:, ::-1]] if manifest["test_time_flip"] else [image]
    return np.mean([reader()["logits_of"](side, manifest, arrays) for side in sides], axis=0)


def test_the_reader_in_the_docs_finds_damage(tmp_path):
    content = bytearray(FILES[0].read_bytes())
    content[-1] ^= 1
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(ValueError, match="changed"):
        reader()["read_model"](tmp_path / "model")
    (tmp_path / "model").write_bytes(content[1:])
    with pytest.raises(ValueError, match="no model file"):
        reader()["read_model"](tmp_path / "model")
