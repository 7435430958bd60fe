# SPDX-License-Identifier: BSD-3-Clause
"""Files in the layout of safetensors: a header of JSON, and the bytes of arrays.

The header begins with a text of ours, the manifest, and that with the digest of the whole file. So
the digest is in one place always, and what comes before it tells our files from all others.
https://huggingface.co/docs/safetensors describes the layout.
"""

import hashlib
import math
import reprlib
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import safetensors.numpy

from fashioncnn._files.fields import Refuse, check_names
from fashioncnn._files.strict_json import dump, parse

_MAGIC = b'{"__metadata__":{"fashioncnn":"{\\"sha256\\":\\"'  # how the header begins
_LENGTH = 8  # the bytes that hold the header's length
_DIGEST = slice(_LENGTH + len(_MAGIC), _LENGTH + len(_MAGIC) + 64)
_ZEROS = b"0" * 64
_MOST_HEADER_BYTES = 2**20
MOST_TENSORS = 4096
_ALIGNMENT = 8  # of the bytes of arrays; the header is padded by blanks
_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "F16": 2, "U32": 4, "I32": 4, "F32": 4,
    "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip


class TensorInfo(NamedTuple):
    """The dtype of an array, by its name in safetensors, and its shape; -1 is any length."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def n_bytes(self) -> int:
        """How many bytes the array has."""
        return math.prod(self.shape) * _BYTES[self.dtype]

    def fits(self, other: "TensorInfo") -> bool:
        """Say whether this is what another asks for."""
        return (
            self.dtype == other.dtype
            and len(self.shape) == len(other.shape)
            and all(ours in (side, -1) for side, ours in zip(self.shape, other.shape, strict=True))
        )

    def __str__(self) -> str:
        sides = ["any" if side == -1 else str(side) for side in self.shape]
        return f"{self.dtype} of shape [{', '.join(sides)}]"


def pack(manifest: Mapping[str, Any], arrays: Mapping[str, np.ndarray], refuse: Refuse) -> bytes:
    """Return the bytes of a file.

    Parameters
    ----------
    manifest : dict
        What can be written as JSON.
    arrays : dict
        Arrays by their names, of the dtypes that safetensors has.
    refuse : callable
        Raises the error where there is too much for a file.
    """
    if len(arrays) > MOST_TENSORS:
        refuse(
            "the network",
            f"has {len(arrays)} arrays, and a file holds {MOST_TENSORS}",
            "Fit one of fewer layers, or pickle the classifier.",
        )
    text = dump({"sha256": _ZEROS.decode(), **manifest})
    # safetensors writes memory as it lies, in whatever order.
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    content = safetensors.numpy.save(contiguous, {"fashioncnn": text})
    n_header = int.from_bytes(content[:_LENGTH], "little")
    if n_header > _MOST_HEADER_BYTES:
        refuse(
            _longest_field(manifest),
            f"makes a header of {n_header} bytes, and a file's has {_MOST_HEADER_BYTES} at most",
            "Make it shorter, or pickle the classifier.",
        )
    assert content.startswith(_MAGIC, _LENGTH)
    digest = hashlib.sha256(content).hexdigest().encode()
    view = memoryview(content)
    return b"".join((view[: _DIGEST.start], digest, view[_DIGEST.stop :]))


def _longest_field(manifest: Mapping[str, Any]) -> str:
    """Return the path of the field that takes the most of a manifest."""
    name = max(manifest, key=lambda name: len(dump(manifest[name])))
    inner = manifest[name]
    is_field = not isinstance(inner, dict) or inner.keys() <= {"dict"}  # one of a parameter
    return name if is_field else f"{name}.{_longest_field(inner)}"


class SafetensorsFile:
    """A file whose header has been read and checked, but not yet its arrays.

    Parameters
    ----------
    file : binary file
        At its beginning.
    size : int
        How many bytes it has.
    refuse : callable
        Raises the error where it is not what it should be.
    other_file : str
        What to do where it is a file of another kind.
    """

    def __init__(self, file: BinaryIO, size: int, refuse: Refuse, other_file: str) -> None:
        self._other_file = other_file
        self._file, self._size, self._refuse = file, size, refuse
        self._head = self._read_head()
        header = self._parse("the header", self._head[_LENGTH:], {"__metadata__"})
        metadata = header.pop("__metadata__")
        if not isinstance(metadata, dict) or metadata.keys() != {"fashioncnn"}:
            refuse("__metadata__", "should have the key 'fashioncnn' and no other")
        self._spans: dict[str, tuple[int, int]] = {}  # of bytes after the header
        self.tensors = self._read_table(header)
        self.manifest = self._parse("the manifest", metadata["fashioncnn"].encode(), {"sha256"})
        self._digest = self.manifest.pop("sha256")

    def _read_head(self) -> bytes:
        """Read the header and its length; it has been found to be ours, and not too long."""
        head = self._file.read(_DIGEST.stop)
        if not head.startswith(_MAGIC, _LENGTH):
            start, ours = map(reprlib.repr, (head, _MAGIC))
            self._refuse(
                "the beginning",
                f"is {start}, and should be eight bytes and {ours}",
                self._other_file,
            )
        length = int.from_bytes(head[:_LENGTH], "little")
        least, most = _DIGEST.stop - _LENGTH, min(_MOST_HEADER_BYTES, self._size - _LENGTH)
        if not least <= length <= most:
            self._refuse("the header", f"has {length} bytes, and should have {least} to {most}")
        head += self._file.read(_LENGTH + length - len(head))
        if len(head) != _LENGTH + length:
            self._refuse("the header", f"ends after {len(head) - _LENGTH} of {length} bytes")
        if length % _ALIGNMENT:
            self._refuse("the header", f"has {length} bytes, and should have a multiple of 8")
        n_blanks = len(head) - len(head.rstrip(b" "))
        if n_blanks >= _ALIGNMENT:
            self._refuse("the header", f"ends with {n_blanks} blanks, and should with 7 at most")
        return head

    def _parse(self, name: str, content: bytes, required: set[str]) -> dict[str, Any]:
        """Read an object in JSON that has some keys."""
        try:
            value = parse(content.decode("ascii"))
        except ValueError as error:
            self._refuse(name, f"is not the JSON that it should be: {error}")
        if not isinstance(value, dict) or not required <= value.keys():
            self._refuse(name, f"should be an object with {', '.join(map(repr, required))}")
        return value

    def _read_table(self, header: Mapping[str, Any]) -> dict[str, TensorInfo]:
        if len(header) > MOST_TENSORS:
            self._refuse("the header", f"has {len(header)} arrays, more than {MOST_TENSORS}")
        return {name: self._read_row(name, row) for name, row in header.items()}

    def _read_row(self, name: str, row: Any) -> TensorInfo:
        field = f"the array {reprlib.repr(name)}"
        if not isinstance(row, dict) or row.keys() != {"dtype", "shape", "data_offsets"}:
            self._refuse(field, "should have 'dtype', 'shape' and 'data_offsets', and no other key")
        dtype, shape, span = row["dtype"], row["shape"], row["data_offsets"]
        if not isinstance(dtype, str) or dtype not in _BYTES:
            names = ", ".join(_BYTES)
            self._refuse(field, f"has the dtype {reprlib.repr(dtype)}, and not one of {names}")
        if not _are_counts(shape) or not _are_counts(span) or len(span) != 2:
            self._refuse(
                field,
                f"has the shape {reprlib.repr(shape)} and the offsets {reprlib.repr(span)}, which "
                "should be lists of at most four and of two integers of at least 0",
            )
        info = TensorInfo(dtype, tuple(shape))
        if span[1] - span[0] != info.n_bytes:
            self._refuse(field, f"has {span[1] - span[0]} bytes, and {info} has {info.n_bytes}")
        self._spans[name] = span[0], span[1]
        return info

    def read(self, expected: Mapping[str, TensorInfo], sha256: str | None) -> dict[str, np.ndarray]:
        """Read the arrays, which are just those that are expected.

        Parameters
        ----------
        expected : dict
            What the arrays should be.
        sha256 : str or None
            The digest that the whole file should have, if the user knows it.

        Returns
        -------
        arrays : dict of ndarray
            They own their memory, and may be written to.
        """
        self._check_table(expected)
        self._file.seek(0)
        try:
            content = self._file.read(self._size)
            self._check_content(content, sha256)
            return dict(safetensors.numpy.load(content))
        except safetensors.SafetensorError as error:
            self._refuse("the header", f"is not what safetensors reads: {error}")
        except MemoryError:
            self._refuse(
                "the file",
                f"has {self._size} bytes, and reading takes twice as much memory, which is not "
                "free",
                "Free memory, or read it on a larger machine.",
            )

    def _check_table(self, expected: Mapping[str, TensorInfo]) -> None:
        check_names(self.tensors.keys(), expected.keys(), self._refuse, "the array ")
        for name, info in self.tensors.items():
            if not info.fits(expected[name]):
                self._refuse(f"the array {name!r}", f"is {info}, and should be {expected[name]}")
        end = 0
        for name, span in sorted(self._spans.items(), key=lambda item: item[1]):
            if span[0] != end:
                self._refuse(f"the array {name!r}", f"begins at {span[0]}, and should at {end}")
            end = span[1]
        n_bytes = self._size - len(self._head)
        if end != n_bytes:
            self._refuse("the file", f"has {n_bytes} bytes after its header, and should have {end}")

    def _check_content(self, content: bytes, sha256: str | None) -> None:
        if len(content) != self._size or not content.startswith(self._head):
            self._refuse("the file", "was changed while it was read", "Try it again.")
        digest = hashlib.sha256(content[: _DIGEST.start])
        digest.update(_ZEROS)
        digest.update(memoryview(content)[_DIGEST.stop :])
        if digest.hexdigest() != self._digest:
            self._refuse(
                "sha256", f"is {reprlib.repr(self._digest)}, and should be {digest.hexdigest()!r}"
            )
        if sha256 is not None:
            whole = hashlib.sha256(content).hexdigest()
            if whole != sha256:
                self._refuse(
                    "the file",
                    f"has the SHA-256 {whole!r}, and should have {sha256!r}, as expected_sha256 "
                    "says",
                    "It is another file: ask who gave you the digest for the right one.",
                )


def _are_counts(value: Any) -> bool:
    is_short = isinstance(value, list) and len(value) <= 4  # so that products stay small
    return is_short and all(type(item) is int and item >= 0 for item in value)
