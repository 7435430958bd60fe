# SPDX-License-Identifier: BSD-3-Clause
"""Forged model files of a wrong layout. Each is made of a valid one, and must be refused.

All but "swapped" have the right digest, so that the checks behind it are met. Beside each
stands what the error must say: the field, what was received, and what was expected.
"""

from collections.abc import Callable
from typing import Any

import model_files as forge
import numpy as np
from model_files import Forge, Parts

KERNEL, BIAS = "weights/dense1/kernel", "weights/dense1/bias"
OTHER_BIAS = "weights/predictions/bias"  # of the same shape


def _nested(n: int, opening: str = "[", closing: str = "]") -> str:
    return opening * n + closing * n


def _one_of_many_twice(n: int) -> str:
    """Write an object of many keys, the last two of which are equal."""
    return "{" + "".join(f'"{i}":0,' for i in range(n)) + '"last":0,"last":0}'


def _json(where: str, put: Callable[[str], Forge]) -> dict[str, tuple[Forge, str]]:
    """Return attacks by JSON that the manifest, or the header, has in it."""
    texts = {
        "depth 100,000": (_nested(100_000), "deep"),
        "objects of depth 50,000": (_nested(50_000, '{"a":', "}").replace(":}", ":0}"), "deep"),
        "depth 2,000": (_nested(2_000), "deep"),
        "NaN": ("NaN", "NaN"),
        "Infinity": ("[Infinity]", "Infinity"),
        "-Infinity": ("-Infinity", "-Infinity"),
        "1e400": ("1e400", "1e400"),
        "-1e400": ("-1e400", "-1e400"),
        "10,000 digits": ("9" * 10_000, "integer"),
        "minus 10,000 digits": ("-" + "9" * 10_000, "integer"),
        "2^63": (str(2**63), "integer"),
        "a leading zero": ("01", "JSON"),
        "a comment": ("0/*1*/", "JSON"),
        "single quotes": ("'a'", "JSON"),
        "a comma too many": ("[0,]", "JSON"),
        "a control character": ('"\n"', "JSON"),
        "a key twice": ('{"b":1,"b":1}', "'b' twice"),
        "a key twice, once by its code": ('{"b":1,"\\u0062":2}', "'b' twice"),
        "one of many keys twice": (_one_of_many_twice(60_000), "'last' twice"),
        "half a character": ('"\\ud800"', "surrogate"),
        "half a character in a key": ('{"\\udfff":0}', "surrogate"),
    }
    return {
        f"{name} in the {where}": (put(f'"a":{text}'), f"the {where} .*{reason}")
        for name, (text, reason) in texts.items()
    }


HEADERS: dict[str, tuple[Forge, str]] = {  # attacks 3 to 10, and 12
    "header of 0 bytes": (forge.length(lambda size: 0), "the header has 0 bytes"),
    "header of 2^63 bytes": (forge.length(lambda size: 2**63), f"the header has {2**63} bytes"),
    "header of 2^64 - 1 bytes": (forge.length(lambda size: 2**64 - 1), f"header has {2**64 - 1}"),
    "header longer than the file": (forge.length(lambda size: size - 7), "header has .* to "),
    "header as long as the file": (
        forge.length(lambda size: size - 8),
        "the header has .*multiple of 8",
    ),
    "header that ends too early": (forge.length(lambda size: 200), "the header .* JSON"),
    "header of 1 MiB and more": (forge.end_of_header(b" " * 2**20), "header has .* to "),
    "header of 100 MB": (forge.end_of_header(b" " * 100_000_000), "header has 1000.* to "),
    "100,000 tensors": (forge.many_tensors(100_000), "the header has .* to "),
    "4,097 tensors": (forge.many_tensors(4_097), "the header has 41.. .*4096"),
    "15,000 tensors": (forge.many_tensors(15_000), "the header has 150.. .*4096"),
    **_json("manifest", forge.in_manifest),
    **_json("header", forge.in_header),
    "tensor twice": (forge.in_header(f'"{KERNEL}":{{}}'), f"the header .*'{KERNEL}' twice"),
    "metadata twice": (forge.in_header('"__metadata__":{}'), "header .*'__metadata__' twice"),
    "format twice": (forge.in_manifest('"format":"fashioncnn"'), "the manifest .*'format' twice"),
    "digest twice": (forge.in_manifest(f'"sha256":"{"0" * 64}"'), "the manifest .*'sha256' twice"),
    "dtype twice": (
        forge.in_header('"a":{"dtype":"F32","dtype":"F32","shape":[],"data_offsets":[0,4]}'),
        "the header .*'dtype' twice",
    ),
    "second metadata": (
        lambda parts: forge.sealed(
            parts.header().replace(b'}"},', b'}","format":"pt"},', 1), bytes(parts.buffer)
        ),
        "__metadata__",
    ),
    "bytes that are no UTF-8": (forge.in_header(b'"\xff\xfe":0'), "the header .*JSON"),
    "overlong UTF-8": (forge.in_header(b'"\xc0\x80":0'), "the header .*JSON"),
    "half a character in UTF-8": (forge.in_header(b'"\xed\xa0\x80":0'), "the header .*JSON"),
    "text beyond ASCII": (forge.in_header('"\u00e9":0'), "the header .*JSON"),
    "byte order mark": (
        lambda parts: forge.sealed(b"\xef\xbb\xbf" + parts.header(), bytes(parts.buffer)),
        "the beginning",
    ),
    "UTF-16": (forge.in_utf_16, "the beginning"),
    "NUL in a name": (forge.renamed(KERNEL, KERNEL + "\0"), r"array .*dense1/kernel.* is missing"),
    "name that moves the cursor": (forge.many_tensors(1, "\x1b[2J\r\n"), r"the array '\\x1b"),
    "name that turns the writing": (forge.many_tensors(1, "\u202e"), r"the array '\\u202e'"),
    "name of a folder above": (forge.many_tensors(1, "../../etc/passwd"), "array '../.* not known"),
    "second object": (
        lambda parts: forge.sealed(parts.header() + b"{}", bytes(parts.buffer)),
        "the header .*JSON",
    ),
    "8 blanks after the object": (
        lambda parts: forge.with_length(
            parts.header() + b" " * (8 + -len(parts.header()) % 8), bytes(parts.buffer)
        ),
        "the header .* blanks",
    ),
    "NUL after the object": (
        lambda parts: forge.sealed(parts.header() + b"\0", bytes(parts.buffer)),
        "the header .*JSON",
    ),
    "blank before the object": (
        lambda parts: forge.sealed(b" " + parts.header(), bytes(parts.buffer)),
        "the beginning",
    ),
    "array instead of an object": (
        lambda parts: forge.sealed(b"[" + parts.header() + b"]", bytes(parts.buffer)),
        "the beginning",
    ),
    "trailing bytes": (
        lambda parts: forge.with_digest(parts.seal() + b"\0"),
        "the file has .* bytes after its header, and should have",
    ),
    "zip at the end": (forge.with_zip, "the file has .* bytes after its header"),
    "zip at the beginning": (lambda parts: b"PK\3\4" + parts.seal(), "the beginning"),
}


def _row(row: Any) -> Forge:
    def forge_row(parts: Parts) -> bytes:
        parts.tensors["extra"] = row
        return parts.seal()

    return forge_row


def _sides(*sides: Any) -> Forge:
    return forge.row(KERNEL, shape=list(sides))


_BOMB = 2**63 - 1
TENSORS: dict[str, tuple[Forge, str]] = {  # attacks 11, and 13 to 15
    "overlap": (forge.overlapping(BIAS, OTHER_BIAS), "the array .* begins at"),
    "gap": (forge.with_gap, "the array .* begins at .* should at"),
    "first bytes of no tensor": (forge.with_gap_in_front, "the array .* begins at 8"),
    "offsets reversed": (
        lambda parts: forge.row(KERNEL, data_offsets=parts.tensors[KERNEL]["data_offsets"][::-1])(
            parts
        ),
        f"the array '{KERNEL}' has -24 bytes",
    ),
    "offsets negative": (forge.row(KERNEL, data_offsets=[-24, 0]), f"'{KERNEL}' .*-24"),
    "offset moved": (forge.moved(KERNEL, 4, 4), "the array .* begins at"),
    "longer than its shape": (forge.moved(KERNEL, 0, 4), f"'{KERNEL}' has 28 bytes.* 24"),
    "offsets beyond the file": (
        forge.row(KERNEL, data_offsets=[2**40, 2**40 + 24]),
        "the array .* begins at",
    ),
    "three offsets": (forge.row(KERNEL, data_offsets=[0, 24, 24]), f"'{KERNEL}' .*offsets"),
    "offsets no list": (forge.row(KERNEL, data_offsets="0"), f"'{KERNEL}' .*offsets '0'"),
    "offsets that are floats": (forge.row(KERNEL, data_offsets=[0.0, 24.0]), f"'{KERNEL}' .*0.0"),
    "side of 2^40": (_sides(2**40), f"'{KERNEL}' has 24 bytes.*{2**42}"),
    "product beyond 64 bits": (_sides(2**33, 2**33), f"'{KERNEL}' has 24 bytes.*{2**68}"),
    "product that is 24 in 64 bits": (_sides(2, 2**63 - 1, 2, 3), f"'{KERNEL}' has 24 bytes"),
    "10,000 sides": (_sides(*[_BOMB] * 10_000), f"'{KERNEL}' .*at most four"),
    "no side": (_sides(), f"'{KERNEL}' has 24 bytes"),
    "side of 0": (_sides(0, 2**62), f"'{KERNEL}' has 24 bytes"),
    "negative sides": (_sides(-2, -3), rf"'{KERNEL}' has the shape \[-2, -3\].*at least 0"),
    "float side": (_sides(2.0, 3), rf"'{KERNEL}' has the shape \[2.0, 3\]"),
    "bool side": (_sides(True, 6), rf"'{KERNEL}' has the shape \[True, 6\]"),
    "null side": (_sides(None, 6), rf"'{KERNEL}' has the shape \[None, 6\]"),
    "shape null": (forge.row(KERNEL, shape=None), f"'{KERNEL}' has the shape None"),
    "other shape": (_sides(3, 2), rf"'{KERNEL}' is F32 of shape \[3, 2\].*\[2, 3\]"),
    "other number of axes": (_sides(6), rf"'{KERNEL}' is F32 of shape \[6\].*\[2, 3\]"),
    **{
        f"dtype {dtype}": (forge.row(KERNEL, dtype=dtype), f"'{KERNEL}' .*(dtype|F32|bytes)")
        for dtype in ("F64", "BF16", "I32", "U32", "O", "f32", "F4", "", None, 4, ["F32"])
    },
    "F64 of the right length": (
        forge.tensor(KERNEL, np.ones((2, 3)), "F64"),
        f"'{KERNEL}' is F64 .*F32",
    ),
    "row that is a list": (_row(["F32", [2, 3], [0, 24]]), "array 'extra'"),
    "row with another key": (forge.row(KERNEL, strides=[4, 4]), f"'{KERNEL}' .*no other key"),
    "row without a shape": (_row({"dtype": "F32"}), "'extra' .*'shape'"),
    "tensor missing": (forge.missing(BIAS), f"the array '{BIAS}' is missing"),
    "all tensors missing": (forge.without_tensors, "architecture .* only 0 arrays"),
    "tensor renamed": (forge.renamed(BIAS, BIAS + "2"), f"the array '{BIAS}.* is"),
    "tensor too many": (
        forge.tensor("weights/extra/bias", np.ones(3, np.float32), "F32"),
        "the array 'weights/extra/bias' is not known",
    ),
    "empty tensor too many": (forge.many_tensors(1, "extra"), "the array 'extra' is not known"),
    "tensors swapped, with the old digest": (
        forge.with_old_digest(forge.swapped(BIAS, OTHER_BIAS)),
        "sha256 is .* and should be",
    ),
    "names swapped, of other shapes": (
        forge.swapped(KERNEL, BIAS),
        "the array 'weights/dense1/.*' is F32 of shape",
    ),
}
ATTACKS = HEADERS | TENSORS
