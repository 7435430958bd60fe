# SPDX-License-Identifier: BSD-3-Clause
"""Forged files of the parameter `checkpoint`: each is refused by its field, and none is trained on.

Their layout is that of model files; see `test_model_file_attacks.py` for it.
"""

import re

import keras
import model_files as forge
import numpy as np
import pytest

from fashioncnn._files import checkpoint_file
from fashioncnn.exceptions import CheckpointFileError

pytestmark = pytest.mark.slow

KERNEL, VARIANCE = "best/dense1/kernel", "stack1_norm1/moving_variance"
LONGEST_MESSAGE = 1000


def history(names, n_epochs=4):
    """Write that there is a history of so many epochs."""

    def change(parts):
        for name in parts.manifest["history"]:
            parts.remove(f"history/{name}")
        for name in names:
            parts.put(f"history/{name}", np.zeros(n_epochs), "F64")
        parts.manifest |= {"history": list(names), "n_epochs": n_epochs}
        return parts.seal()

    return change


def text(group, name, value):
    """Write another text of those that say which fit it is."""

    def change(parts):
        parts.manifest["fit"][group][name] = value
        return parts.seal()

    return change


def many_texts(parts):
    parts.manifest["fit"]["data"] |= {f"name{number}": "" for number in range(20_000)}
    return parts.seal()


NAMES = ["accuracy", "loss", "val_accuracy", "val_loss", "learning_rate"]
OF_BOTH = {
    "no history": (history([]), "history is .*should be .*'loss'"),
    "history without losses": (history(["accuracy", "learning_rate"]), "history is .*'loss'"),
    "history without validation": (history([*NAMES[:2], NAMES[4]]), "history is .*'val_loss'"),
    "history of names twice": (forge.manifest("history", ["loss"] * 9999), "history is .*a list"),
    "too many epochs": (history(NAMES, 5), r"n_epochs is 5, and should be within 1\.\.4"),
    "no epochs": (history(NAMES, 0), r"n_epochs is 0, and should be within 1\.\.4"),
    "negative epochs": (forge.manifest("n_epochs", -1), "n_epochs is -1"),
    "best epoch 0": (forge.manifest("best_epoch", 0), r"best_epoch is 0, .*within 1\.\."),
    "best epoch beyond": (forge.manifest("best_epoch", 5), r"best_epoch is 5, .*within 1\.\."),
    "no conditions": (forge.manifest("conditions", None), "conditions is None"),
    "weights to keep": (forge.value(KERNEL, np.nan), f"{KERNEL}.*not finite"),
    "variance to keep": (forge.value(f"best/{VARIANCE}", -1e-30), f"{VARIANCE}.*at least 0"),
    "parameter too many": (
        text("parameters", "new", "1"),
        "used: new is not the same: the file",
    ),
    "parameter missing": (
        forge.without("fit.parameters.tol"),
        "used: tol is not the same: the file is of",
    ),
    "number as text": (text("versions", "keras", 3), r"fit\.versions is .*texts"),
    "control characters": (text("versions", "keras", "\x1b[2J"), r"fit\.versions is .*texts"),
    "control characters in a name": (text("data", "\x1b[2J", ""), r"fit\.data is .*texts"),
    "long text": (text("parameters", "tol", "1" * 99_999), r"fit\.parameters is .*texts"),
    "long name": (text("data", "X" * 99_999, ""), r"fit\.data is .*texts"),
    "many texts": (many_texts, r"fit\.data is .*texts"),
}
OF_STATE = {
    "no rates": (forge.tensor("learning_rates", np.zeros(0), "F64"), "learning_rates"),
    "many rates": (forge.tensor("learning_rates", np.zeros(9999), "F64"), "learning_rates"),
    "variance": (forge.value(f"weights/{VARIANCE}", -1.0), f"{VARIANCE}.*at least 0"),
    "no weights to keep": (forge.manifest("best", None), "the array 'best/.*not known"),
    "dtype": (forge.tensor(KERNEL, np.zeros((4, 8)), "F64"), f"{KERNEL}.*is F64"),
}


@pytest.fixture(scope="module")
def contents():
    """Hold what a file had after two epochs of four, and at the end."""
    return {}


@pytest.fixture
def clf(images, small, tmp_path, contents, monkeypatch):
    """Give a classifier, whose `checkpoint` names no file yet."""
    path = tmp_path / "run"
    params = {"epochs": 4, "checkpoint": path, "batch_normalization": True}
    params |= {"early_stopping": True, "weight_averaging": 0.6}
    if not contents:
        monkeypatch.setattr(checkpoint_file, "SECONDS_BETWEEN_WRITES", 0.0)

        def keep(epoch, logs):
            if epoch == 2:
                contents["state"] = path.read_bytes()

        callback = keras.callbacks.LambdaCallback(on_epoch_begin=keep)
        small(**params, callbacks=callback).fit(*images)
        contents["end"] = path.read_bytes()
        path.unlink()
    return small(**params)


ATTACKS = [
    pytest.param(kind, *attack, id=f"{name} in {kind}")
    for kind, attacks in (("state", OF_BOTH | OF_STATE), ("end", OF_BOTH))
    for name, attack in attacks.items()
]


@pytest.mark.parametrize(("kind", "attack", "message"), ATTACKS)
def test_forged_files_are_refused(clf, images, contents, kind, attack, message):
    forged = attack(forge.take_apart(contents[kind]))
    clf.checkpoint.write_bytes(forged)
    with pytest.raises(CheckpointFileError) as caught:
        clf.fit(*images)
    error = str(caught.value)
    assert re.search(message, error), error
    assert error.isprintable()
    assert len(error) < LONGEST_MESSAGE
    assert clf.checkpoint.read_bytes() == forged
    assert not hasattr(clf, "classes_")


@pytest.mark.parametrize("kind", ["state", "end"])
def test_what_was_taken_apart_is_read(clf, images, contents, kind):
    clf.checkpoint.write_bytes(forge.take_apart(contents[kind]).seal())
    assert clf.fit(*images).n_iter_ == 4
