# SPDX-License-Identifier: BSD-3-Clause
"""Forged model files whose layout is right, but not what they say: values, fields, and labels.

As in `layout_attacks`, beside each stands what the error must say.
"""

import re

import model_files as forge
import numpy as np
from layout_attacks import ATTACKS as LAYOUT_ATTACKS
from model_files import Forge, Parts

KERNEL = "weights/dense1/kernel"
MEAN, VARIANCE = "weights/stack1_norm1/moving_mean", "weights/stack1_norm1/moving_variance"
FLOATS = (KERNEL, MEAN, "raw_weights/dense1/kernel", "slots/0/dense1/kernel", "scaling/scale")

VALUES: dict[str, tuple[Forge, str]] = {  # attack 21
    **{
        f"{number} in {name}": (forge.value(name, number), f"{name}.*finite")
        for name in FLOATS
        for number in (np.nan, np.inf, -np.inf)
    },
    "scale beyond float32": (forge.value("scaling/scale", 1e39), "scaling/scale.*1e.39.*float32"),
    "offset beyond float32": (
        forge.value("scaling/offset", -1e300),
        "scaling/offset.*1e.300.*float32",
    ),
    "negative variance": (forge.value(VARIANCE, -1e-30), f"{VARIANCE}.* at least 0"),
    "negative variance to train": (
        forge.value(VARIANCE.replace("weights", "raw_weights"), -1.0),
        "raw_weights/stack1_norm1/moving_variance.* at least 0",
    ),
}


# Integers of one hash, a dict of which takes seconds.
_ONE_HASH = [[{"int": str(5 + number * (2**61 - 1))}, 1] for number in range(9, 20_000)]
# Durations that are equal, of which older versions of NumPy give all one hash.
_DURATIONS = [[{"timedelta64": [5, f"{number}s"]}, 1] for number in range(1, 1002)]
_FIELD = "class format_version format params versions classes precision architecture"
MANIFESTS: dict[str, tuple[Forge, str]] = {  # attacks 16, 17, 19 and 20
    **{
        f"format_version {version!r}": (
            forge.manifest("format_version", version),
            f"format_version is {re.escape(repr(version))}.* (reads|should be)",
        )
        for version in (0, 2, 3, 2**63 - 1, -1, 1.0, "1", None, True, [1], {"a": 1})
    },
    "other format": (forge.manifest("format", "pt"), "format is 'pt'.*'fashioncnn'"),
    "class of another estimator": (
        forge.manifest("class", "sklearn.svm.SVC"),
        "class is 'sklearn.svm.SVC'.*'FashionCNNClassifier'",
    ),
    "class null": (forge.manifest("class", None), "class is None.*'FashionCNNClassifier'"),
    "digest null": (forge.without("sha256"), "the (manifest|beginning)"),
    **{
        f"field {name} missing": (forge.without(name), f"{name.replace('.', '.*')}.* is missing")
        for name in (*_FIELD.split(), "checkpoint.seed", "params.epochs", "versions.keras")
    },
    **{
        f"field {name[:40]} too many": (forge.manifest(name, 1), rf"{name[:7]}.* is not known")
        for name in (
            *("__class__", "params.__class__", "params.__init__", "params.model__x", "params.self"),
            *("x" * 100_000, "versions." + "y" * 100_000, "params." + "z" * 100_000),
            *("versions.torch", "architecture.strides", "checkpoint.weights", "classes.values"),
        )
    },
    **{
        f"{value!r:.30} as {name}": (forge.manifest(name, value), f"{name}.* (is|has) .*")
        for name in (
            *("params", "versions", "classes", "classes.dtype", "architecture", "checkpoint"),
            *("architecture.image_shape", "architecture.n_classes", "architecture.conv_stacks"),
            *("architecture.padding", "checkpoint.history", "pixel_range", "scaling"),
            *("feature_names_in", "test_time_flip", "precision", "compilation.loss"),
        )
        for value in ("x" * 100_000, -1, [[[0]]], {"dict": []})
    },
    **{
        f"{value} as {name}": (
            forge.manifest(name, value),
            f"{name} is {value}, and should be {text}",
        )
        for name, value, text in (
            ("checkpoint.iterations", 2**30 + 1, "an integer within 0.."),
            ("checkpoint.best_epoch", 0, "an integer within 1.."),
            ("checkpoint.seed", -5, "an integer within 0.."),
            ("architecture.n_classes", 1, "an integer within 2.."),
            ("compilation.learning_rate", -1.0, "a float in"),
            ("compilation.weight_decay", -1.0, "a float in"),
            ("checkpoint.n_steps", 2**63 - 1, "an integer within 0.."),
            ("checkpoint.n_batches", -0.5, "a float in"),
            ("compilation.learning_rate", 1, "a float in"),  # which Keras would refuse
            ("architecture.dense_dropout", 1.0, "a float in"),
        )
    },
    "shortcuts without padding": (
        forge.manifest("architecture.residual", True),
        "architecture.residual is true, which needs the padding 'same', and that is 'valid'",
    ),
    **{
        f"{value} as {name}": (
            forge.manifest(name, value),
            rf"{name} is .*, and should be a list .* {text}",
        )
        for name, value, text in (
            ("architecture.image_shape", [3, 4, 0], "an integer within 1.."),
            ("architecture.image_shape", [3, 4], "3 items"),
            ("architecture.conv_stacks", [[]], "at least 1 items"),
            ("architecture.conv_stacks", [], "at least 1 items"),
            ("architecture.dense_units", [0], "an integer within 1.."),
            ("architecture.kernel_sizes", [[0, 1]], "an integer within 1.."),
            ("architecture.conv_dropouts", [1.0], "a float in"),
            ("checkpoint.history", ["loss", "loss2"], "one of 'loss'"),
        )
    },
    "epochs of the history": (
        forge.manifest("checkpoint.best_epoch", 99),
        "best_epoch is 99, and should be . at most",
    ),
    "history twice": (
        forge.manifest("checkpoint.history", ["loss", "accuracy", "loss"]),
        "checkpoint.history is .*none twice",
    ),
    "history without loss": (
        forge.manifest("checkpoint.history", ["accuracy"]),
        "checkpoint.history is .*'loss'",
    ),
    "history of two axes": (
        forge.tensor("history/loss", np.zeros((1, 1)), "F64"),
        "'history/loss' is F64 of shape .1, 1., and should be F64 of shape .any.",
    ),
    "moments of no optimizer": (
        forge.manifest("checkpoint.update_rule", None),
        "checkpoint.update_rule is null",
    ),
    **{
        f"requests {requests!r:.40}": (
            forge.manifest("metadata_requests", requests),
            f"metadata_requests is not valid.*{text}",
        )
        for requests, text in (
            ({"predict": {"sample_weight": True}}, "'predict' is no method"),
            ({"__class__": {"x": True}}, "'__class__' is no method"),
            ({"fit": True}, "'fit' is no method"),
            ({"fit": {"__class__": True}}, "Unexpected args"),
            ({"fit": {"sample_weight": 5}}, "no bool, null or text"),
            ({"fit": {"sample_weight": "\x1b[2Jx"}}, r"\\x1b\[2Jx"),
            ({"fit": {"sample_weight": "x\n\u202ey"}}, r"x\\n\\u202ey"),
        )
    },
    "10^9 filters": (
        forge.manifest("architecture.conv_stacks", [[10**9]]),
        "the array .* is F32.*1000000000",
    ),
    "100,000 stacks": (
        forge.manifest("architecture.conv_stacks", [[1]] * 100_000),
        "architecture.* 100000",
    ),
    "100,000 stacks in all fields": (
        lambda parts: _stacks(parts, 30_000),
        "architecture has 3000. layers",
    ),
    "100,000 convolutions": (
        forge.manifest("architecture.conv_stacks", [[1] * 100_000]),
        "architecture has 10000. layers",
    ),
    "100,000 dense layers": (
        forge.manifest("architecture.dense_units", [1] * 100_000),
        "architecture has 10000. layers",
    ),
    "image of 10^6 x 10^6": (
        forge.manifest("architecture.image_shape", [10**6, 10**6, 2]),
        "architecture.image_shape is .*1000000",
    ),
    "10^9 classes": (forge.manifest("architecture.n_classes", 10**9), "is .*100000000"),
    "2^63 - 1 classes": (forge.manifest("architecture.n_classes", 2**63 - 1), "is .*922337203"),
    "dense layer of 2^63 - 1": (
        forge.manifest("architecture.dense_units", [2**63 - 1]),
        "'(raw_)?weights/dense1/.*9223372036854775807",
    ),
    "pairs of other length": (
        forge.manifest("architecture.kernel_sizes", [[3, 3, 3]]),
        "architecture.kernel_sizes is",
    ),
    "sizes of other stacks": (
        forge.manifest("architecture.pool_sizes", [[2, 2], [2, 2]]),
        "architecture.pool_sizes has 2",
    ),
    **{
        f"parameter {name} of {value!r:.40}": (
            forge.manifest(f"params.{name}", value),
            f"params?.*{name}.*{text}",
        )
        for name, value, text in (
            ("epochs", "12", "int"),
            ("epochs", 0, "int"),
            ("epochs", True, "int"),
            ("conv_stacks", [], "non-empty"),
            ("conv_stacks", [[[4]]], ""),
            ("conv_stacks", [0], "int"),
            ("optimizer", {"class_name": "Lambda"}, "none of the values"),
            ("optimizer", "keras.optimizers.Adam", "str among"),
            ("callbacks", "os.system", "Callback"),
            ("checkpoint", "/etc/passwd", "should be null"),
            ("checkpoint", 0, "should be null"),
            ("callbacks", [{"class": "LambdaCallback"}], "none of the values"),
            ("random_state", {"RandomState": []}, "none of the values"),
            ("random_state", {"int": "9" * 10_000}, "none of the values"),
            ("random_state", {"int": "1"}, "none of the values"),
            ("random_state", "now", "RandomState"),
            ("class_weight", {"dict": [["coat", 1], ["coat", 2]]}, "twice"),
            ("class_weight", {"dict": [[["coat"], 1]]}, "none of the values"),
            ("class_weight", {"dict": [[{"dict": []}, 1]]}, "none of the values"),
            ("class_weight", {"dict": {"coat": 1}}, "list"),
            ("class_weight", {"dict": [["coat"]]}, "list"),
            ("class_weight", {"dict": [], "int": "1"}, "none of the values"),
            ("class_weight", {"__reduce__": ["os.system", "id"]}, "none of the values"),
            ("class_weight", {"dict": [[{"datetime64": [0, "D]; import os"]}, 1]]}, "none of"),
            ("class_weight", {"dict": [[{"datetime64": ["2020", "D"]}, 1]]}, "none of"),
            ("class_weight", {"dict": [[{"datetime64": [1, "9999999999as"]}, 1]]}, "none of"),
            ("class_weight", {"dict": _ONE_HASH}, "more than 64 bits"),
            ("class_weight", {"dict": _DURATIONS}, "1001 dates and durations .* 1000 at most"),
            *(
                (number, {"timedelta64": [1, "s"]}, "none of the values")
                for number in ("epochs", "learning_rate", "verbose", "random_state", "tol")
            ),
            ("dense_units", [{"timedelta64": [1, "s"]}], "none of the values"),
            ("image_shape", [28], "tuple"),
            ("tol", "1", "float"),
            ("verbose", 10, "int"),
            ("warm_start", 1, "bool"),
        )
    },
}


def _stacks(parts: Parts, n: int) -> bytes:
    """Ask for many stacks in all fields that have a value for each."""
    architecture = parts.manifest["architecture"]
    architecture |= {"conv_stacks": [[1]] * n, "conv_dropouts": [0.0] * n}
    architecture |= {"kernel_sizes": [[1, 1]] * n, "pool_sizes": [[1, 1]] * n}
    return parts.seal()


def _numbers(dtype: str, number: bytes) -> Forge:
    """Put numbers, all of which are of the same bytes, in the place of the classes."""

    def forge_numbers(parts: Parts) -> bytes:
        parts.manifest["classes"]["dtype"] = dtype
        parts.remove("classes/offsets")
        bits = {"f": f"F{8 * len(number)}", "b": "BOOL"}.get(dtype[1], "I64")
        parts.put("classes", np.frombuffer(number * 3, f"V{len(number)}"), bits)
        return parts.seal()

    return forge_numbers


LABELS: dict[str, tuple[Forge, str]] = {  # attack 18; the classes are coat, été and shoe
    "classes unsorted": (forge.texts(b"shoe", b"coat", b"x"), "classes has 'shoe' before 'coat'"),
    "class twice": (forge.texts(b"coat", b"coat", b"x"), "classes has 'coat' before 'coat'"),
    "two classes": (forge.texts(b"coat", b"shoe"), "'classes/offsets' is I64.*3.*4"),
    "no classes": (forge.texts(), "'classes/offsets' is I64.*1.*4"),
    "four classes": (forge.texts(b"a", b"b", b"c", b"d"), "'classes/offsets' is I64.*5.*4"),
    "class longer than its dtype": (forge.texts(b"a", b"b", b"coats"), "classes.*<U4"),
    **{
        f"classes of {dtype}, {name}": (_numbers(dtype, content), text)
        for dtype, name, content, text in (
            ("<f8", "NaN", b"\0" * 6 + b"\xf8\x7f", "classes has numbers .* finite integers"),
            ("<f8", "signalling", b"\1" + b"\0" * 5 + b"\xf0\x7f", "classes has numbers .* finite"),
            ("<f8", "infinity", b"\0" * 6 + b"\xf0\x7f", "classes has numbers .* finite integers"),
            ("<f8", "a half", b"\0" * 6 + b"\xe0\x3f", "classes has numbers .* finite integers"),
            ("<f2", "signalling", b"\1\x7c", "classes has numbers .* finite integers"),
            ("|b1", "2", b"\2", "classes has bools"),
            ("<i8", "twice", bytes(8), "classes has '0' before '0'"),
            ("<M8[D]", "no time", b"\0" * 7 + b"\x80", "classes has 'NaT' before 'NaT'"),
        )
    },
    "class that ends with NUL": (forge.texts(b"a", b"b", b"c\0"), "classes.*<U4"),
    "class that is no UTF-8": (forge.texts(b"a", b"b", b"\xff"), "classes.*UTF-8"),
    "class that ends within a character": (
        forge.texts(b"a", b"b\xc3", b"\xa9"),
        "classes.*UTF-8",
    ),
    "class with half a character": (forge.texts(b"a", b"b", b"\xed\xa0\x80"), "classes.*UTF-8"),
    **{
        f"offsets {offsets}": (
            forge.texts(b"a", b"b", b"c", offsets=offsets),
            "classes/offsets should rise from 0 to 3",
        )
        for offsets in (
            *([0, 2, 1, 3], [0, 1, 2, 2], [0, 1, 2, 4], [1, 1, 2, 3], [-1, 1, 2, 3], [0, 0, 0, 0]),
            *([0, 1, 2, 2**62], [0, 2**62, 3, 3], [0, -(2**63), 2, 3], [0, 1, 2**63 - 1, 3]),
        )
    },
    "offsets that are floats": (
        forge.tensor("classes/offsets", np.array([0.0, 1, 2, 3]), "F64"),
        "'classes/offsets' is F64",
    ),
    "classes of two axes": (
        forge.tensor("classes", np.zeros((3, 1), np.uint8), "U8"),
        "'classes' is U8 of shape",
    ),
    **{
        f"dtype of classes {dtype}": (forge.manifest("classes.dtype", dtype), "classes")
        for dtype in (
            *(
                "<U999999999",
                "<U268435456",
                "<U9999999",
                "<U4097",
                ">U4194304",
                "<U0",
                "U4,U4",
                "<V8",
                "<c16",
                "object",
            ),
            *("<i8", "<f8", "|b1", "<M8[D]", "<M8[10000000000as]", "<M8", "<U4\n", "O", "|S4", ""),
        )
    },
    "names of columns missing": (
        forge.missing("feature_names_in"),
        "'feature_names_in' is missing",
    ),
    "fewer names of columns": (
        forge.texts(b"a", b"b", name="feature_names_in"),
        "'feature_names_in/offsets' is I64.*3.*25",
    ),
    "name of a column that is no UTF-8": (
        forge.texts(*[b"\xff"] * 24, name="feature_names_in"),
        "feature_names_in.*UTF-8",
    ),
    "names that are not announced": (forge.manifest("feature_names_in", False), "is not known"),
}
ATTACKS = LAYOUT_ATTACKS | VALUES | MANIFESTS | LABELS
