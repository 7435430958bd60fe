# SPDX-License-Identifier: BSD-3-Clause
"""What the fields of a model file may be, in version 1 of its format."""

import reprlib
from typing import Any, get_args

from fashioncnn._files.fields import (
    BOOLEAN,
    OBJECT,
    TEXT,
    Kind,
    OptionalTable,
    Refuse,
    Table,
    check_fields,
    integer,
    list_of,
    number,
    one_of,
    optional,
)
from fashioncnn._files.labels import read_dtype
from fashioncnn._files.versions import PACKAGES
from fashioncnn._network.architecture import Activation, GlobalPooling, Padding
from fashioncnn._network.fitted import Loss
from fashioncnn._network.optimizers import OPTIMIZERS
from fashioncnn._network.pixel_range import VariedRange
from fashioncnn._network.scaling import ScalingKind

VERSION = 1
FORMAT = "fashioncnn"
CHECKPOINT_FORMAT = "fashioncnn checkpoint"  # of the files that fit writes
CLASS = "FashionCNNClassifier"
_MOST_VALUES = 2**31 - 1  # of one image; TensorFlow counts them by 32 bits
MOST_STEPS = 2**53  # so that those of another training still fit into 64 bits
MOST_ITERATIONS = 2**30  # likewise, into TensorFlow's 32 bits

_POSITIVE = integer(1)
_WINDOWS = list_of(list_of(_POSITIVE, 2, 2), 1)
_RATE = number(0, below=1)
_UPDATE_RULES = sorted({info.update_rule for info in OPTIMIZERS.values()})
_DTYPES = [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
HISTORY = ("loss", "accuracy", "learning_rate", "val_loss", "val_accuracy")

# Of version 1 of the format. Names of the four parts are those of the fields of the description.
FIELDS: Table = {
    "format": one_of(FORMAT),
    "format_version": integer(VERSION, VERSION),
    "class": one_of(CLASS),
    "versions": {name: optional(TEXT) for name in PACKAGES},
    "params": OBJECT,  # what is in it is checked against the constructor
    "metadata_requests": OBJECT,  # likewise
    "classes": {
        "dtype": Kind(
            "a dtype of labels", lambda value: type(value) is str and read_dtype(value) is not None
        )
    },
    "feature_names_in": BOOLEAN,
    "precision": one_of("bfloat16", "float32"),
    "architecture": {
        "image_shape": list_of(_POSITIVE, 3, 3),
        "n_classes": integer(2),
        "conv_stacks": list_of(list_of(_POSITIVE, 1), 1),
        "dense_units": list_of(_POSITIVE),
        "kernel_sizes": _WINDOWS,
        "padding": one_of(*get_args(Padding)),
        "activation": one_of(*get_args(Activation)),
        "pool_sizes": _WINDOWS,
        "batch_normalization": BOOLEAN,
        "global_pooling": optional(one_of(*get_args(GlobalPooling))),
        "conv_dropouts": list_of(_RATE, 1),
        "dense_dropout": _RATE,
        "residual": BOOLEAN,
    },
    "scaling": OptionalTable({"kind": one_of(*get_args(ScalingKind))}),
    "compilation": {
        "optimizer": one_of(*OPTIMIZERS),
        "learning_rate": number(0),
        "weight_decay": number(0),
        "loss": one_of(*get_args(Loss)),
    },
    "pixel_range": {
        "low": number(),
        "high": number(),
        "varied": OptionalTable({name: number() for name in VariedRange._fields}),
        "integer_dtype": optional(one_of(*_DTYPES)),
    },
    "checkpoint": {
        "seed": integer(),
        "best_epoch": integer(1),
        "n_steps": integer(0, MOST_STEPS),
        "n_batches": number(0),
        "update_rule": optional(one_of(*_UPDATE_RULES)),
        "iterations": integer(0, MOST_ITERATIONS),
        "slots": BOOLEAN,
        "raw_weights": BOOLEAN,
        "history": list_of(one_of(*HISTORY), 1),
    },
    "test_time_flip": BOOLEAN,
}


def check_manifest(manifest: dict[str, Any], refuse: Refuse) -> None:
    """Check everything that a manifest says by itself.

    Parameters
    ----------
    manifest : dict
        As JSON has it.
    refuse : callable
        Raises the error for a field.
    """
    if manifest.get("format") == CHECKPOINT_FORMAT:
        refuse(
            "format",
            f"is {CHECKPOINT_FORMAT!r}, and should be {FORMAT!r}",
            "fit reads it: pass its path as the parameter checkpoint.",
        )
    version = manifest.get("format_version")
    if type(version) is int and version > VERSION:
        refuse(
            "format_version",
            f"is {version}, and this fashioncnn reads {VERSION}",
            "Load it with a newer fashioncnn: pip install --upgrade fashioncnn.",
        )
    kind = manifest.get("class")
    if isinstance(kind, str) and kind != CLASS:
        refuse(
            "class",
            f"is {reprlib.repr(kind)}, and should be {CLASS!r}",
            "Load it with the class that has saved it.",
        )
    check_fields(manifest, FIELDS, refuse)
    _check_architecture(manifest["architecture"], refuse)
    _check_checkpoint(manifest["checkpoint"], refuse)


def _check_architecture(architecture: dict[str, Any], refuse: Refuse) -> None:
    n_stacks = len(architecture["conv_stacks"])
    for name in ("kernel_sizes", "pool_sizes", "conv_dropouts"):
        if len(architecture[name]) != n_stacks:
            refuse(
                f"architecture.{name}",
                f"has {len(architecture[name])} entries, and should have one for each of "
                f"{n_stacks} stacks",
            )
    if architecture["residual"] and architecture["padding"] != "same":
        refuse(
            "architecture.residual",
            f"is true, which needs the padding 'same', and that is {architecture['padding']!r}",
        )
    height, width, channels = architecture["image_shape"]
    if height * width * channels > _MOST_VALUES:
        refuse(
            "architecture.image_shape",
            f"is {(height, width, channels)}, and an image has {_MOST_VALUES} values at most",
        )


def _check_checkpoint(checkpoint: dict[str, Any], refuse: Refuse) -> None:
    names = checkpoint["history"]
    if "loss" not in names or len(set(names)) < len(names):
        refuse(
            "checkpoint.history", f"is {reprlib.repr(names)}, and should have 'loss' and none twice"
        )
    if checkpoint["slots"] and checkpoint["update_rule"] is None:
        refuse("checkpoint.update_rule", "is null, and should name the optimizer of the slots")


def n_layers_with_weights(architecture: dict[str, Any]) -> int:
    """Return how many layers of a checked manifest have weights, without making the layers."""
    return sum(map(len, architecture["conv_stacks"])) + len(architecture["dense_units"]) + 1
