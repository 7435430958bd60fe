# SPDX-License-Identifier: BSD-3-Clause
"""Model files taken apart, changed, and sealed again, so that checks behind the digest are met.

Nothing of the library is used here: this is how another program would read and write the format.
"""

import copy
import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

MAGIC = b'{"__metadata__":{"fashioncnn":"{\\"sha256\\":\\"'  # how every header begins
DIGEST = slice(8 + len(MAGIC), 8 + len(MAGIC) + 64)
DTYPES = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "U8": "u1"}


@dataclass
class Parts:
    """What is in a model file: the manifest, the table of tensors, and their bytes."""

    manifest: dict[str, Any]
    tensors: dict[str, dict[str, Any]]
    buffer: bytearray

    def copy(self) -> "Parts":
        return copy.deepcopy(self)

    def field(self, path: str) -> tuple[Any, str]:
        """Return what a field of the manifest is in, and its name there."""
        *folders, name = path.split(".")
        fields: Any = self.manifest
        for folder in folders:
            fields = fields[folder]
        return fields, name

    def array(self, name: str) -> np.ndarray:
        """Return a view of a tensor, which can be written."""
        entry = self.tensors[name]
        begin, end = entry["data_offsets"]
        values = np.frombuffer(memoryview(self.buffer)[begin:end], DTYPES[entry["dtype"]])
        return values.reshape(entry["shape"])

    def put(self, name: str, array: np.ndarray, dtype: str) -> None:
        """Put another tensor in the place of one, or add one, and move those behind it."""
        arrays = {
            other: bytes(self.buffer[slice(*entry["data_offsets"])])
            for other, entry in self.tensors.items()
        }
        entry = self.tensors.setdefault(name, {"data_offsets": [0, 0]})
        entry |= {"dtype": dtype, "shape": list(array.shape)}
        self.lay_out(arrays | {name: array.tobytes()})

    def remove(self, name: str) -> None:
        """Take a tensor out, and move those behind it."""
        del self.tensors[name]
        self.lay_out(
            {
                other: bytes(self.buffer[slice(*entry["data_offsets"])])
                for other, entry in self.tensors.items()
            }
        )

    def lay_out(self, arrays: dict[str, bytes]) -> None:
        """Put the bytes of all tensors one after the other, in the order of the table."""
        self.buffer = bytearray()
        for name, entry in self.tensors.items():
            begin = len(self.buffer)
            self.buffer += arrays[name]
            entry["data_offsets"] = [begin, len(self.buffer)]

    def manifest_text(self) -> str:
        return json.dumps(self.manifest, separators=(",", ":"))

    def header(self, manifest_text: str | None = None) -> bytes:
        """Return the text of the header, with another manifest if one is given."""
        text = self.manifest_text() if manifest_text is None else manifest_text
        table = {"__metadata__": {"fashioncnn": text}, **self.tensors}
        return json.dumps(table, separators=(",", ":")).encode()

    def seal(self, manifest_text: str | None = None) -> bytes:
        """Return a file with the right digest."""
        return sealed(self.header(manifest_text), bytes(self.buffer))


def take_apart(content: bytes) -> Parts:
    """Read a valid file."""
    (n,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + n])
    manifest = json.loads(header.pop("__metadata__")["fashioncnn"])
    return Parts(manifest, header, bytearray(content[8 + n :]))


def with_digest(content: bytes) -> bytes:
    """Return a file with the digest that belongs to it, if there is a place for it."""
    if not content.startswith(MAGIC, 8) or len(content) < DIGEST.stop:
        return content
    blank = content[: DIGEST.start] + b"0" * 64 + content[DIGEST.stop :]
    digits = hashlib.sha256(blank).hexdigest().encode()
    return blank[: DIGEST.start] + digits + blank[DIGEST.stop :]


def sealed(header: bytes, buffer: bytes) -> bytes:
    """Return a file of a header and a buffer, with the right length, padding and digest."""
    header += b" " * (-len(header) % 8)
    return with_digest(struct.pack("<Q", len(header)) + header + buffer)


Forge = Callable[[Parts], bytes]


def manifest(path: str, value: Any) -> Forge:
    """Set a field of the manifest."""

    def forge(parts: Parts) -> bytes:
        fields, name = parts.field(path)
        fields[name] = value
        return parts.seal()

    return forge


def without(path: str) -> Forge:
    """Take a field of the manifest away."""

    def forge(parts: Parts) -> bytes:
        fields, name = parts.field(path)
        del fields[name]
        return parts.seal()

    return forge


def in_manifest(text: str) -> Forge:
    """Put some JSON into the manifest, before the member "format"."""

    def forge(parts: Parts) -> bytes:
        return parts.seal(parts.manifest_text().replace('"format"', f'{text},"format"', 1))

    return forge


def in_header(text: str | bytes) -> Forge:
    """Put some JSON into the header, before the members that are tensors."""

    def forge(parts: Parts) -> bytes:
        content = text if isinstance(text, bytes) else text.encode()
        first = json.dumps(next(iter(parts.tensors))).encode()
        header = parts.header().replace(first, content + b"," + first, 1)
        return sealed(header, bytes(parts.buffer))

    return forge


def end_of_header(text: bytes) -> Forge:
    """Put more into the header, after its object."""
    return lambda parts: with_length(parts.header() + text, bytes(parts.buffer))


def with_length(header: bytes, buffer: bytes) -> bytes:
    """Seal a header as it is, without padding."""
    return with_digest(struct.pack("<Q", len(header)) + header + buffer)


def length(change: Callable[[int], int]) -> Forge:
    """Change the number that says how long the header is, by the file's size."""

    def forge(parts: Parts) -> bytes:
        content = parts.seal()
        return with_digest(struct.pack("<Q", change(len(content))) + content[8:])

    return forge


def row(name: str, **values: Any) -> Forge:
    """Change the row of a tensor in the table."""

    def forge(parts: Parts) -> bytes:
        parts.tensors[name].update(values)
        return parts.seal()

    return forge


def tensor(name: str, array: Any, dtype: str) -> Forge:
    """Put another tensor in the place of one, or add one."""

    def forge(parts: Parts) -> bytes:
        parts.put(name, array, dtype)
        return parts.seal()

    return forge


def value(name: str, number: float) -> Forge:
    """Set the last value of a tensor."""

    def forge(parts: Parts) -> bytes:
        parts.array(name).reshape(-1)[-1] = number
        return parts.seal()

    return forge


def texts(*labels: bytes, name: str = "classes", offsets: Any = None) -> Forge:
    """Put other labels in the place of the classes."""

    def forge(parts: Parts) -> bytes:
        ends = np.cumsum([0, *map(len, labels)]) if offsets is None else np.array(offsets)
        parts.put(name, np.frombuffer(b"".join(labels), np.uint8), "U8")
        parts.put(f"{name}/offsets", ends.astype(np.int64), "I64")
        return parts.seal()

    return forge


def many_tensors(n: int, name: str = "") -> Forge:
    """Add tensors without bytes, the names of which begin alike."""

    def forge(parts: Parts) -> bytes:
        row = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
        parts.tensors |= {name or f"{i}": row for i in range(n)}
        return parts.seal()

    return forge


def moved(name: str, begin: int, end: int) -> Forge:
    """Move where a tensor begins and ends."""

    def forge(parts: Parts) -> bytes:
        offsets = parts.tensors[name]["data_offsets"]
        parts.tensors[name]["data_offsets"] = [offsets[0] + begin, offsets[1] + end]
        return parts.seal()

    return forge


def overlapping(one: str, other: str) -> Forge:
    """Let two tensors be the same bytes."""

    def forge(parts: Parts) -> bytes:
        parts.tensors[one]["data_offsets"] = parts.tensors[other]["data_offsets"]
        return parts.seal()

    return forge


def with_gap_in_front(parts: Parts) -> bytes:
    for entry in parts.tensors.values():
        entry["data_offsets"] = [offset + 8 for offset in entry["data_offsets"]]
    parts.buffer[:0] = bytes(8)
    return parts.seal()


def without_tensors(parts: Parts) -> bytes:
    return sealed(Parts(parts.manifest, {}, bytearray()).header(), b"")


def with_gap(parts: Parts) -> bytes:
    """Put bytes that no tensor has at the end of the first, and move those behind."""
    gap = min(row["data_offsets"][1] for row in parts.tensors.values())
    for entry in parts.tensors.values():
        if entry["data_offsets"][0] >= gap:
            entry["data_offsets"] = [offset + 8 for offset in entry["data_offsets"]]
    parts.buffer[gap:gap] = bytes(8)
    return parts.seal()


def missing(name: str) -> Forge:
    def forge(parts: Parts) -> bytes:
        parts.remove(name)
        return parts.seal()

    return forge


def renamed(name: str, other: str) -> Forge:
    def forge(parts: Parts) -> bytes:
        parts.tensors = {
            other if each == name else each: row for each, row in parts.tensors.items()
        }
        return parts.seal()

    return forge


def swapped(one: str, other: str) -> Forge:
    """Give two tensors each other's bytes."""

    def forge(parts: Parts) -> bytes:
        rows = parts.tensors
        rows[one], rows[other] = rows[other], rows[one]
        return parts.seal()

    return forge


def with_old_digest(forge: Forge) -> Forge:
    """Leave the digest what it was before a change."""

    def forge_only(parts: Parts) -> bytes:
        digest = parts.seal()[DIGEST]
        content = forge(parts)
        return content[: DIGEST.start] + digest + content[DIGEST.stop :]

    return forge_only


def with_zip(parts: Parts) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("config.json", "{}")
    return with_digest(parts.seal() + archive.getvalue())


def in_utf_16(parts: Parts) -> bytes:
    text = parts.header().decode().encode("utf-16-le")
    return with_length(text, bytes(parts.buffer))
