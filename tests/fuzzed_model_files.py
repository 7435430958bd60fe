# SPDX-License-Identifier: BSD-3-Clause
"""Inputs for the reader of model files: noise, damaged files, and forged ones with a right digest.

`inputs` gives one for each number, always the same, so that any of them can be made again.
"""

import json
import random
import struct
from collections.abc import Callable
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

import numpy as np
from model_files import DTYPES, MAGIC, Parts, sealed, take_apart, with_digest

from fashioncnn import FashionCNNClassifier
from fashioncnn._inputs.architecture import build_architecture
from fashioncnn._network.checkpoint import new_checkpoint
from fashioncnn._network.fitted import Compilation, FittedNetwork, fitted_attributes
from fashioncnn._network.pixel_range import PixelRange, VariedRange
from fashioncnn._network.scaling import Scaling


class Raw(str):
    """A text that stands in JSON as it is."""


class Pairs(list[tuple[str, Any]]):
    """The members of a JSON object; a name may stand among them twice."""


BRACKETS = "[" * 100_000 + "]" * 100_000
ODD_VALUES = (
    *(None, True, False, 0, 1, -1, 2, 3, 64, 255, 256, 4096, 4097, 10**6, 10**9, 2**31 - 1),
    *(2**31, 2**32, 2**40, 2**53 + 1, 2**62, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64),
    *(0.0, -0.0, 0.5, 1.0, 1e-320, 1e308, -1e308, 3.5e38, 1e-46),
    *(
        Raw("NaN"),
        Raw("Infinity"),
        Raw("-Infinity"),
        Raw("1e400"),
        Raw("-1e400"),
        Raw("9" * 10_000),
    ),
    *(
        Raw("1." + "1" * 10_000),
        Raw("1e-10000"),
        Raw("01"),
        Raw("'a'"),
        Raw(""),
        Raw("{"),
        Raw("["),
    ),
    *(Raw(BRACKETS), Raw(BRACKETS.replace("[", '{"a":').replace("]", "}")), Raw("//"), Raw("0x10")),
    *("", "a", "float64", "\0", "\ud800", "é", "\u202e", "\x1b[2J", "🙂" * 50, "x" * 10_000, " "),
    *("None", "nan", "1", "<U0", "<U999999999999", "|O", "<M8[as]", "<M8[-1D]", "<V8", "i4,i4"),
    *("<f2", ">f8", "<c16", "?", "<i8", "<m8[7W]", "O", "S5", "(2,3)f4", "<M8", "datetime64"),
    *([], [[]], [[[]]], [0], [1], [1, 2], [0, 0], [-1], [2**40], [2**33, 2**33], [None], ["a"]),
    *({}, {"a": 1}, {"dict": []}, {"dict": [[1, 2]]}, {"dict": [[[], 2]]}, {"int": "1"}),
    *({"int": "9" * 5_000}, {"int": "-0"}, {"int": "1_0"}, {"int": " 1"}, {"int": "٣"}, {"int": 1}),
    *({"datetime64": [1, "D"]}, {"datetime64": [1, "?"]}, {"datetime64": [2**63, "as"]}),
    *({"timedelta64": [1, "Y"]}, {"timedelta64": ["1", "D"]}, {"datetime64": [1, "generic"]}),
    *(
        {"dict": [[{"dict": []}, 1]]},
        {"__class__": "object"},
        [1.5],
        [True],
        {"dict": [[1, 1]] * 2},
    ),
)
OF_TYPES = {
    kind: [value for value in ODD_VALUES if type(value) is kind]
    for kind in (bool, int, float, str, list)
}
ODD_DTYPES = (
    *("F64", "F32", "F16", "BF16", "I64", "I32", "U64", "U8", "BOOL", "O", "F8_E4M3", "F4", "C64"),
)
NUMBERS = (
    *(np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 3.4e38, -3.4e38, 1e-45, 1e-30, 1e20, 0.5),
    *(2**31, 2**62, -(2**63), 255, 1),
)


def untrained(classes: Any, *, names: bool = False, **params: Any) -> FashionCNNClassifier:
    """Make a classifier that looks as if it had been trained, without TensorFlow."""
    clf = FashionCNNClassifier(**({"conv_stacks": (2,), "dense_units": (3,)} | params))
    image_shape, classes = (3, 4, 2), np.array(classes)
    architecture = build_architecture(clf.get_params(), image_shape, len(classes))
    checkpoint = new_checkpoint(architecture, 5)
    weights, history = checkpoint.weights, {"loss": [2.5, np.nan], "accuracy": [0.25, 0.5]}
    slots = {
        name: (np.ones(weight.shape, np.float32),) * 2
        for name, weight in architecture.weights.items()
        if weight.is_trainable
    }
    checkpoint = checkpoint._replace(
        history=history, best_epoch=2, n_steps=12, n_batches=11.5, update_rule="adam", iterations=12
    )
    if clf.warm_start:
        checkpoint = checkpoint._replace(slots=slots, raw_weights=weights)
    scaling = clf.scaling and Scaling(clf.scaling, (0.5, 0.25), (-1.5, 0.5))
    pixels = PixelRange(0.0, 255.0, VariedRange(0.0, 3.0, 250.0, 255.0), "uint8")
    compilation = Compilation(clf.optimizer, 0.001, 0.0, clf.loss)
    network = FittedNetwork(
        architecture, scaling, compilation, pixel_range=pixels, checkpoint=checkpoint
    )
    vars(clf).update(fitted_attributes(network, classes, "float32"))
    if names:
        clf.feature_names_in_ = np.array([f"p{i}é" for i in range(24)], object)
    return clf


def classifiers() -> list[FashionCNNClassifier]:
    """Make classifiers whose files have, together, every part that a file may have."""
    texts = ["coat", "shoe", "été"]
    return [
        untrained(texts),
        untrained(np.array(texts, object), names=True, class_weight={"coat": 2, "shoe": 0.5}),
        untrained([3, 5], batch_normalization=True, scaling=None, warm_start=True),
        untrained(np.array(["2020-01-01", "2021-01-01"], "M8[D]"), class_weight="balanced"),
        untrained([False, True], augment={"flip": "random", "shift": 1}, epochs=2**70),
        untrained([0.0, 2.0], conv_stacks=((2, 2), 3), global_pooling="avg", dense_units=()),
        untrained([1, 2], conv_stacks=((2, 2, 2),), padding="same", residual=True),
    ]


Tamper = Callable[[random.Random, list[bytes]], bytes]


def noise(rng: random.Random, files: list[bytes]) -> bytes:
    """Return random bytes, some behind what a file begins with."""
    tail = rng.randbytes(rng.choice((0, 1, 9, 100, 2000)))
    n = rng.choice((0, 1, 8, len(tail), 2**20, 2**20 + 1, 2**63, 2**64 - 1))
    start = rng.choice((b"", struct.pack("<Q", n), struct.pack("<Q", n) + MAGIC))
    return with_digest(start + tail) if rng.random() < 0.5 else start + tail


def damage(rng: random.Random, files: list[bytes]) -> bytes:
    """Return a file with bits flipped, or a part cut out, put in, or taken from another file."""
    content = bytearray(rng.choice(files))
    end = 1000 if rng.random() < 0.5 else len(content)  # most of the header, or all
    where, n = rng.randrange(end), rng.choice((1, 2, 8, 50, 1000))
    kind = rng.randrange(6)
    if kind == 0:
        for place in [rng.randrange(end) for _ in range(rng.randint(1, 8))]:
            content[place] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del content[where:]
    elif kind == 2:
        del content[where : where + n]
    elif kind == 3:
        content[where:where] = rng.choice((rng.randbytes(n), content[where : where + n], bytes(n)))
    elif kind == 4:
        content[where:] = rng.choice(files)[where + rng.choice((0, 0, -8, 8, n)) :]
    else:
        header = int.from_bytes(content[:8], "little") + rng.choice((-n, n, -8, 8, 2**62))
        content[:8] = struct.pack("<Q", max(header, 0))
    return with_digest(bytes(content)) if rng.random() < 0.7 else bytes(content)


def forged_json(rng: random.Random, files: list[bytes]) -> bytes:
    """Return a file of which fields of the header are others, with the right digest."""
    parts = take_apart(rng.choice(files))
    manifest, table = as_pairs(parts.manifest), as_pairs(parts.tensors)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        change_json(rng, manifest if rng.random() < 0.7 else table)
    return sealed(_header(manifest, table), bytes(parts.buffer))


def _header(manifest: Any, table: Any) -> bytes:
    metadata = ("__metadata__", {"fashioncnn": to_text(manifest)})
    return to_text(Pairs([metadata, *table])).encode("utf-8", "surrogatepass")


def change_json(rng: random.Random, tree: Any) -> None:
    """Change one value somewhere in a tree, or the name of one, or put it there twice."""
    node = tree
    while True:
        place = rng.randrange(len(node))
        value = node[place][1] if isinstance(node, Pairs) else node[place]
        if not isinstance(value, list) or not value or rng.random() < 0.2:
            break
        node = value
    alike = OF_TYPES.get(type(value), ODD_VALUES)
    other = as_pairs(rng.choice(ODD_VALUES if rng.random() < 0.5 else alike))  # a copy
    if isinstance(value, (int, float)) and rng.random() < 0.3:
        other = value + rng.choice((-1, 1)) * rng.choice((1, 8, 0.5, 2**32))
    kind = rng.randrange(4)
    if kind == 0:
        del node[place]
        node or node.append(("a", 0) if isinstance(node, Pairs) else 0)
    elif kind == 1 and isinstance(node, Pairs):
        name = rng.choice([node[place][0], str(other)[:20_000], rng.choice(node)[0]])
        node.insert(rng.randrange(len(node) + 1), (name, rng.choice((other, value))))
    elif kind == 2 and isinstance(node, Pairs) and isinstance(other, str):
        node[place] = other, value
    else:
        node[place] = (node[place][0], other) if isinstance(node, Pairs) else other


def as_pairs(value: Any) -> Any:
    """Return JSON with its objects as lists of pairs."""
    if isinstance(value, dict):
        return Pairs([(name, as_pairs(item)) for name, item in value.items()])
    return [as_pairs(item) for item in value] if isinstance(value, list) else value


def to_text(value: Any) -> str:
    """Write JSON, with what stands in it twice or is none."""
    if isinstance(value, dict):
        value = Pairs(value.items())
    if isinstance(value, Pairs):
        return f"{{{','.join([f'{quoted(name)}:{to_text(item)}' for name, item in value])}}}"
    if isinstance(value, list):
        return f"[{','.join(map(to_text, value))}]"
    if isinstance(value, Raw):
        return str(value)
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def forged_arrays(rng: random.Random, files: list[bytes]) -> bytes:
    """Return a file of which tensors are others, with the right digest."""
    parts = take_apart(rng.choice(files))
    for _ in range(rng.choice((1, 1, 3))):
        _change_array(rng, parts, rng.choice(list(parts.tensors)))
    return parts.seal()


def _change_array(rng: random.Random, parts: Parts, name: str) -> None:
    row, kind = parts.tensors[name], rng.randrange(6)
    begin, end = row["data_offsets"]
    dtype = np.dtype(DTYPES.get(row["dtype"], "u1"))
    end -= (end - begin) % dtype.itemsize  # of a row that has been changed before
    if kind < 3 and end > begin:
        values = np.frombuffer(memoryview(parts.buffer)[begin:end], dtype)
        where = rng.randrange(values.size) if kind else slice(None)
        with np.errstate(all="ignore"):
            values[where] = np.float64(rng.choice(NUMBERS)).astype(dtype)
    elif kind == 3:
        parts.buffer[begin:end] = rng.randbytes(end - begin)
    elif kind == 4:
        row["dtype"] = rng.choice(ODD_DTYPES)
        row["shape"] = rng.choice((row["shape"], row["shape"][::-1], [end - begin]))
    else:
        other = rng.choice(list(parts.tensors))
        parts.tensors[name], parts.tensors[other] = parts.tensors[other], parts.tensors[name]


KINDS: dict[str, Tamper] = {
    "random bytes": noise,
    "damaged file": damage,
    "forged JSON": forged_json,
    "forged arrays": forged_arrays,
}


def made_input(seed: int, number: int, files: list[bytes]) -> tuple[str, bytes]:
    """Return an input and its kind: half of all are forged JSON, where most can go wrong."""
    rng = random.Random(f"{seed}/{number}")
    kind = rng.choice(("random bytes", "damaged file", "forged arrays", *["forged JSON"] * 3))
    return kind, KINDS[kind](rng, files)
