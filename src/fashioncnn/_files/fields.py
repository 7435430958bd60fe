# SPDX-License-Identifier: BSD-3-Clause
"""Tables of what the fields of a file may be, and the check by such a table."""

import math
import reprlib
from collections.abc import Callable, Mapping, Set
from typing import Any, NamedTuple, NoReturn

# Raises the error for a field, with what was received and expected, and perhaps an advice.
Refuse = Callable[..., NoReturn]


class Kind(NamedTuple):
    """What a field may be."""

    description: str  # as in "should be <description>"
    holds: Callable[[Any], bool]


class OptionalTable(NamedTuple):
    """A table of fields of which there may be none, which null says."""

    table: "Table"


Table = Mapping[str, "Kind | OptionalTable | Table"]


def check_fields(values: Any, table: Table, refuse: Refuse, prefix: str = "") -> None:
    """Check that there are just the fields of a table, each of which is what it may be."""
    if not isinstance(values, dict):
        refuse(
            prefix.rstrip(".") or "the manifest", f"is {reprlib.repr(values)}, and not an object"
        )
    check_names(values.keys(), table.keys(), refuse, prefix, as_name)
    for name, kind in table.items():
        value = values[name]
        if isinstance(kind, Kind):
            if not kind.holds(value):
                refuse(prefix + name, f"is {reprlib.repr(value)}, and should be {kind.description}")
        elif not isinstance(kind, OptionalTable):
            check_fields(value, kind, refuse, f"{prefix}{name}.")
        elif value is not None:
            check_fields(value, kind.table, refuse, f"{prefix}{name}.")


def check_names(
    names: Set[str],
    expected: Set[str],
    refuse: Refuse,
    prefix: str,
    as_text: Callable[[str], str] = reprlib.repr,
) -> None:
    """Check that there are just the names that are expected."""
    for others, what in ((expected - names, "is missing"), (names - expected, "is not known")):
        if others:
            refuse(prefix + as_text(min(others)), what)


def as_name(key: str) -> str:
    """Return a key as messages write it: quoted and shortened where it is no plain word."""
    quoted = reprlib.repr(key)
    return key if key.isidentifier() and quoted == repr(key) else quoted


def integer(least: int = 0, most: int = 2**63 - 1) -> Kind:
    """Take integers within bounds."""
    return Kind(
        f"an integer within {least}..{most}",
        lambda value: type(value) is int and least <= value <= most,
    )


def number(least: float = -math.inf, below: float = math.inf) -> Kind:
    """Take floats, which JSON writes with a point, of at least one number and below another."""
    return Kind(
        f"a float in [{least}, {below})",
        lambda value: type(value) is float and least <= value < below,
    )


def one_of(*choices: str) -> Kind:
    """Take some texts."""
    return Kind(
        f"one of {', '.join(map(repr, choices))}",
        lambda value: type(value) is str and value in choices,
    )


def optional(kind: Kind) -> Kind:
    """Take None, too."""
    return Kind(f"{kind.description}, or null", lambda value: value is None or kind.holds(value))


def list_of(kind: Kind, least: int = 0, most: float = math.inf) -> Kind:
    """Take lists of so many items of a kind."""
    lengths = f"{least}" if least == most else f"at least {least}"
    return Kind(
        f"a list of {lengths} items, each {kind.description}",
        lambda value: (
            type(value) is list and least <= len(value) <= most and all(map(kind.holds, value))
        ),
    )


BOOLEAN = Kind("true or false", lambda value: type(value) is bool)
TEXT = Kind("a text", lambda value: type(value) is str)
OBJECT = Kind("an object", lambda value: type(value) is dict)
