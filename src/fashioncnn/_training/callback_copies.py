# SPDX-License-Identifier: BSD-3-Clause
"""Copies of callbacks: what a callback keeps is its copy's own, what it reports to is shared."""

import array
import copy
import functools
import inspect
import random
import sys
import types
from collections import ChainMap, UserDict, UserList, defaultdict, deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from fashioncnn._tensorflow.backend import keras

_ATOMS = (type(None), bool, int, float, complex, str, bytes)  # most of what a container holds
_IMMUTABLE_CONTAINERS = (tuple, frozenset)
_FILLED_CONTAINERS = (list, dict, set, deque)
_WRAPPED_CONTAINERS = (UserDict, UserList, ChainMap)  # Python classes with one attribute
_CONTAINERS = (*_IMMUTABLE_CONTAINERS, *_FILLED_CONTAINERS, *_WRAPPED_CONTAINERS)
_ARRAYS = (np.ndarray, array.array, bytearray)
_GENERATORS = (
    random.Random,
    np.random.RandomState,
    np.random.Generator,
    np.random.BitGenerator,
    np.random.SeedSequence,
)
_METHODS = (types.MethodType, types.BuiltinMethodType, types.MethodWrapperType)
# Methods of generators that are everyone's: `random.seed` and `np.random.seed` shall reach them.
_GLOBAL_DRAWS: Sequence[Any] = (random.random, np.random.rand)


def copy_callbacks(callbacks: Sequence[Any]) -> list[Any]:
    """Return copies of callbacks, without the models they were used with.

    A copy has its own containers, arrays, random generators and callbacks, to any depth. It shares
    all other objects: a study, a logger or a database is the one that the user holds. What
    callbacks have in common, their copies have in common, too.

    Raises
    ------
    TypeError
        If one can't be copied.
    """
    copier = _Copier()
    # What a __deepcopy__ looks up in its memo should be there: the others come first.
    for callback in sorted(callbacks, key=_has_own_rules):
        try:
            copier.copy(callback)
        except Exception as error:
            raise TypeError(
                f"The callback {type(callback).__name__} can't be copied, as each fit does: "
                f"{error}. Give it a __deepcopy__ that returns a copy, or itself to be called as "
                "it is."
            ) from error
    return [copier.copy(callback) for callback in callbacks]


class _Copier:
    """Copies values and remembers them, so that a value has one copy wherever it is met."""

    def __init__(self) -> None:
        self._memo: dict[int, Any] = {}  # by id, as `copy.deepcopy` wants it

    def copy(self, value: Any) -> Any:
        """Return the one copy of a value, or itself if it is shared."""
        if type(value) in _ATOMS:
            return value
        if id(value) not in self._memo:
            # A value that refers to itself may have got its copy meanwhile: that one counts.
            self._memo.setdefault(id(value), self._new(value))
        return self._memo[id(value)]

    def _new(self, value: Any) -> Any:
        kind = type(value)  # unlike `isinstance`, no proxy deceives it
        if issubclass(kind, keras.callbacks.Callback):
            return self._new_callback(value)
        if issubclass(kind, _METHODS):
            return self._new_method(value)
        if kind is functools.partial:
            keywords = {name: self.copy(item) for name, item in value.keywords.items()}
            return functools.partial(self.copy(value.func), *map(self.copy, value.args), **keywords)
        if issubclass(kind, _CONTAINERS):
            return self._new_container(value)
        if issubclass(kind, (*_ARRAYS, *_GENERATORS)) and not _is_shared(value):
            if kind is np.ndarray and value.dtype == object:
                return self._new_array(value)
            holds_objects = isinstance(value, np.ndarray) and value.dtype.hasobject
            return value.copy() if holds_objects else copy.deepcopy(value, self._memo)
        return value

    def _new_array(self, value: Any) -> Any:
        new = self._memo[id(value)] = value.copy()
        for place, item in enumerate(value.flat):
            new.reshape(-1)[place] = self.copy(item)
        return new

    def _new_callback(self, callback: Any) -> Any:
        if _defines(callback, "__deepcopy__"):
            return copy.deepcopy(callback, self._memo)
        if _defines(callback, "__copy__"):
            return copy.copy(callback)
        return self._new_instance(callback, left_out=getattr(callback, "model", None))

    def _new_instance(self, value: Any, left_out: Any = None) -> Any:
        """Return an instance of the same class, with copies of the attributes but for one.

        Not by `__reduce_ex__` and the like: they serve pickling, for which much is dropped.
        """
        new = self._memo[id(value)] = object.__new__(type(value))
        state = object.__getstate__(value)
        attributes, slots = state if isinstance(state, tuple) else (state, None)
        for name, item in (attributes or {}).items():
            vars(new)[name] = None if item is left_out else self.copy(item)
        for name, item in (slots or {}).items():
            object.__setattr__(new, name, None if item is left_out else self.copy(item))
        return new

    def _new_method(self, method: Any) -> Any:
        owner = self.copy(method.__self__)
        if owner is method.__self__:
            return method
        if isinstance(method, types.MethodType):
            return types.MethodType(method.__func__, owner)
        return getattr(owner, method.__name__)

    def _new_container(self, value: Any) -> Any:
        if not _is_standard(value):
            return copy.deepcopy(value, self._memo) if _defines(value, "__deepcopy__") else value
        if isinstance(value, _WRAPPED_CONTAINERS):
            return self._new_instance(value)
        if isinstance(value, _FILLED_CONTAINERS):
            return self._new_filled(value)
        items = [self.copy(item) for item in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        base = tuple if isinstance(value, tuple) else frozenset
        new = base.__new__(type(value), items)  # a namedtuple's own wants them one by one
        for name, item in getattr(value, "__dict__", {}).items():  # of a class that extends it
            vars(new)[name] = self.copy(item)
        return new

    def _new_filled(self, value: Any) -> Any:
        new = self._memo[id(value)] = copy.copy(value)  # of the same class, settings and all
        new.clear()
        if isinstance(value, defaultdict):
            new.default_factory = self.copy(value.default_factory)
        if isinstance(value, dict):
            for key, item in value.items():
                new[self.copy(key)] = self.copy(item)
        else:
            fill = new.update if isinstance(value, set) else new.extend
            fill(self.copy(item) for item in value)
        return new


def _has_own_rules(callback: Any) -> bool:
    return _defines(callback, "__deepcopy__") or _defines(callback, "__copy__")


def _defines(value: Any, name: str) -> bool:
    """Say whether a value has a method of this name, without asking its `__getattr__`."""
    return inspect.getattr_static(value, name, None) is not None


def _is_standard(container: Any) -> bool:
    """Say whether a container is of the standard library, or a tuple with names."""
    kind = type(container)
    is_named = issubclass(kind, tuple) and hasattr(kind, "_fields")
    return is_named or kind.__module__.partition(".")[0] in sys.stdlib_module_names


def _is_shared(value: Any) -> bool:
    """Say whether an array or a random generator is more than a callback's own."""
    is_outside = isinstance(value, np.memmap | random.SystemRandom)  # a file; no state to copy
    return is_outside or any(value is draw.__self__ for draw in _GLOBAL_DRAWS)
