# SPDX-License-Identifier: BSD-3-Clause
"""A copy of a callback has its own containers, arrays and generators, and shares all else."""

import array
import contextlib
import copy
import functools
import io
import logging
import random
import sqlite3
import threading
import time
import types
import weakref
from collections import (
    ChainMap,
    Counter,
    OrderedDict,
    UserDict,
    UserList,
    defaultdict,
    deque,
    namedtuple,
)

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras.callbacks import Callback, EarlyStopping, History
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from fashioncnn import FashionCNNClassifier
from fashioncnn._training.callback_copies import copy_callbacks

KEPT = Callback()
Pair = namedtuple("Pair", ["first", "second"])


class NotedPair(Pair):
    """A named tuple that has attributes."""


class Thing:
    """What a user may have: a study, a client of a server."""

    def note(self, *_):
        pass


class Log(list):
    """A container of the user's own."""


class CopiedLog(Log):
    def __deepcopy__(self, memo):
        return type(self)(self)


def holder(**attributes):
    callback = Callback()
    vars(callback).update(attributes)
    return callback


def copied(**attributes):
    """Return the copy of a callback with these attributes."""
    return copy_callbacks([holder(**attributes)])[0]


def assert_same_structure(old, new, pairs):
    """Compare a copy with what it was made of; `pairs` has the old and new of each id."""
    assert pairs.setdefault(id(old), (old, new))[1] is new  # one copy, wherever it is met
    if isinstance(old, Thing):
        assert new is old
        return
    assert type(new) is type(old)
    if isinstance(old, np.ndarray):
        np.testing.assert_array_equal(new, old)
        assert not np.shares_memory(new, old)
    elif isinstance(old, dict):
        for parts in zip(old.items(), new.items(), strict=True):
            for old_part, new_part in zip(*parts, strict=True):
                assert_same_structure(old_part, new_part, pairs)
    elif isinstance(old, list | tuple | deque):
        for old_part, new_part in zip(old, new, strict=True):
            assert_same_structure(old_part, new_part, pairs)
    else:
        assert new == old
    if isinstance(old, list | dict | deque):
        assert new is not old


@st.composite
def containers(draw):
    """Draw nested containers in which anything may occur in several places."""
    values = [Thing(), 1, "x", np.arange(3)]
    kinds = [list, tuple, deque, lambda items: dict(enumerate(items)), lambda items: Pair(*items)]
    for _ in range(draw(st.integers(1, 8))):
        kind = draw(st.sampled_from(kinds))
        places = st.lists(st.integers(0, len(values) - 1), min_size=2, max_size=2)
        values.append(kind([values[place] for place in draw(places)]))
    return values


@given(containers())
def test_nested_containers(values):
    assert_same_structure(values, copied(values=values).values, {})


def test_a_container_may_hold_itself_and_its_callback():
    values, pair = [], ([], 1)
    callback = holder(values=values, pair=pair)
    values += [values, callback, {"values": values}]
    pair[0].append(pair)
    (new,) = copy_callbacks([callback])
    assert new.values is not values
    assert new.values[0] is new.values[2]["values"] is new.values
    assert new.values[1] is new
    assert new.pair[0][0] is new.pair is not pair


@pytest.mark.parametrize(
    "make",
    [
        lambda thing: [thing],
        lambda thing: {"key": thing},
        lambda thing: {thing: []},
        lambda thing: {thing},
        lambda thing: deque([0, thing], maxlen=2),
        lambda thing: OrderedDict(b=thing, a=1),
        lambda thing: defaultdict(list, key=thing),
        lambda thing: Counter({thing: 3, "x": -1}),
        lambda thing: UserDict(key=thing),
        lambda thing: UserList([thing]),
        lambda thing: ChainMap({}, {"key": thing}),
        lambda _: bytearray(b"x"),
        lambda _: array.array("d", [1, 2]),
        lambda _: np.arange(6.0).reshape(2, 3).T,
        lambda _: np.ma.masked_less([1, 2], 2),
    ],
)
def test_what_is_its_own(make):
    value = make(Thing())
    new = copied(value=value, again=[value])
    assert type(new.value) is type(value)
    assert np.all(new.value == value)
    assert repr(new.value) == repr(value)  # order, limit, default
    assert new.value is new.again[0] is not value


@pytest.mark.parametrize(
    "make",
    [
        lambda thing, inner: (thing, inner),
        lambda thing, inner: Pair(thing, inner),
        lambda thing, inner: (1, (thing, inner)),
    ],
)
def test_own_containers_in_tuples(make):
    thing, inner = Thing(), []
    value = make(thing, inner)
    new = copied(inner=inner, value=value)
    new.inner.append(1)
    assert new.value == make(thing, new.inner)
    assert type(new.value) is type(value)
    assert inner == []


def test_attributes_of_named_tuples():
    pair = NotedPair([], 2)
    pair.note = []
    new = copied(pair=pair, note=pair.note).pair
    assert type(new) is NotedPair
    assert new.first is not pair.first
    assert new.note is not pair.note
    assert new.note == []


def test_callbacks_in_sets_and_keys():
    thing, callback = Thing(), Callback()
    both = {callback, thing}
    new = copied(callback=callback, both=both, frozen=frozenset(both), keys={(callback, 1): thing})
    assert new.callback is not callback
    assert new.both == new.frozen == {new.callback, thing}
    assert new.keys == {(new.callback, 1): thing}


def test_attributes_of_containers():
    start = []
    factory, chain = defaultdict(start.copy), ChainMap({}, {"start": start})
    new = copied(factory=factory, chain=chain, start=start)
    new.start.append(1)
    assert new.factory["key"] == [1]
    assert factory["key"] == []
    assert new.chain["start"] is new.start


def test_records_of_objects():
    thing = Thing()
    records = np.array([(1, thing)], dtype=[("number", int), ("thing", object)])
    masked = np.ma.masked_array([thing, None], mask=[False, True], dtype=object)
    new = copied(records=records, masked=masked)
    assert new.records is not records
    assert new.masked is not masked
    assert new.records["thing"][0] is new.masked[0] is thing


@pytest.mark.parametrize("shape", [(4,), (2, 2)])
def test_arrays_of_objects(shape):
    values, thing, inner = np.empty(shape, dtype=object), Thing(), [1, 2]
    for index, value in zip(np.ndindex(shape), [inner, thing, values, np.arange(3)], strict=True):
        values[index] = value
    new = copied(values=values.T, inner=inner)
    found = list(new.values.T.flat)
    assert new.values.shape == shape
    assert found[0] is new.inner is not inner
    assert found[1] is thing
    np.testing.assert_array_equal(found[3], np.arange(3))
    single = np.array(None)
    single[()] = thing
    assert copied(single=single).single[()] is thing


@pytest.mark.parametrize(
    "generator",
    [
        random.Random(3),
        np.random.RandomState(3),
        np.random.default_rng(3),
    ],
    ids=lambda generator: type(generator).__name__,
)
def test_random_generators(generator):
    new = copied(generator=generator, draw=generator.random)
    expected = [generator.random() for _ in range(3)]
    assert [new.generator.random(), new.draw(), new.generator.random()] == expected


def test_parts_of_random_generators():
    seeds = np.random.SeedSequence(3)
    bits = np.random.PCG64(3)
    new = copied(seeds=seeds, bits=bits)
    assert new.seeds.spawn(1)[0].spawn_key == (0,)
    assert seeds.n_children_spawned == 0
    assert new.bits.random_raw() == bits.random_raw()


@pytest.mark.parametrize(
    ("seed", "draw"),
    [(random.seed, random.random), (np.random.seed, np.random.rand)],
)
def test_everyones_random_generators_are_shared(seed, draw):
    state = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        new = copied(draw=draw, generator=draw.__self__)
        seed(5)
        first = draw()
        seed(5)
        assert new.draw() == first
        assert new.generator is draw.__self__
    finally:
        random.setstate(state[0])
        np.random.set_state(state[1])  # noqa: NPY002


@pytest.mark.parametrize(
    "make",
    [
        Thing,
        lambda: Thing,
        lambda: Thing.note,
        lambda: Log([[]]),
        lambda: types.SimpleNamespace(log=[]),
        lambda: iter([1]),
        lambda: logging.getLogger("fashioncnn.test"),
        lambda: logging.getLogger("fashioncnn.test").info,
        lambda: threading.Lock(),
        lambda: io.StringIO(),
        lambda: sqlite3.connect(":memory:"),
        lambda: random.SystemRandom(),
        lambda: time.localtime(),
        lambda: (1, (2, Thing())),
        lambda: frozenset([1]),
        lambda: print,
        lambda: lambda: None,
        lambda: weakref.proxy(KEPT),
        lambda: np.float32(1),
    ],
)
def test_what_is_shared(make):
    value = make()
    new = copied(value=value, inside=[value])
    assert new.value is new.inside[0] is value
    if isinstance(value, sqlite3.Connection):
        value.close()


def test_a_memory_map_is_a_file(tmp_path):
    values = np.memmap(tmp_path / "values", mode="w+", shape=3)
    assert copied(values=values).values is values


def test_a_container_of_the_user_with_a_rule_of_its_own():
    log = CopiedLog([1])
    new = copied(log=log, again=log)
    assert new.log == log
    assert new.log is new.again is not log


@pytest.mark.parametrize("order", [1, -1])
def test_methods_are_those_of_the_copy(order):
    log, thing, state = [], Thing(), {}
    callback = holder()
    attributes = {
        "log": log,
        "add": log.append,
        "partly": functools.partial(log.append, "part"),
        "store": state.__setitem__,
        "state": state,
        "own": types.MethodType(lambda self: self, callback),
        "nested": [callback.set_params],
        "report": thing.note,
    }
    vars(callback).update(list(attributes.items())[::order])
    (new,) = copy_callbacks([callback])
    new.add(1)
    new.partly()
    new.store("key", "value")
    new.nested[0]("params")
    assert (new.log, new.state, new.params) == ([1, "part"], {"key": "value"}, "params")
    assert (log, state, callback.params) == ([], {}, None)
    assert new.own() is new
    assert new.report == thing.note


def test_a_list_that_holds_its_own_method():
    log = []
    log.append(log.append)
    new = copied(log=log)
    new.log[0](1)
    assert (len(new.log), len(log)) == (2, 1)


def test_callbacks_know_each_other():
    thing = Thing()
    stop = EarlyStopping()
    first = holder(others=[stop], thing=thing)
    second = holder(first=first, log=[], thing=[thing])
    first.second, stop.log = second, second.log
    new_first, new_second, new_stop = copy_callbacks([first, second, stop])
    assert new_first.second is new_second is not second
    assert new_second.first is new_first is not first
    assert new_first.others == [new_stop]
    assert new_stop.log is new_second.log is not second.log
    assert new_first.thing is new_second.thing[0] is thing
    twice = copy_callbacks([stop, stop])
    assert twice[0] is twice[1] is not stop


class Slotted(Callback):
    __slots__ = ("__private", "empty", "log", "thing")

    def __init__(self, thing):
        super().__init__()
        self.log, self.thing, self.__private = [], thing, [thing]

    @property
    def private(self):
        return self.__private

    @property
    def costly(self):
        raise AssertionError("asked for")


def test_slots_and_properties():
    callback = Slotted(Thing())
    callback.inner = callback.log
    (new,) = copy_callbacks([callback])
    assert new.log is new.inner is not callback.log
    assert new.thing is callback.thing
    assert new.private == callback.private
    assert new.private is not callback.private
    assert not hasattr(new, "empty")


class Pickled(Callback):
    """Drops for a pickle what can't go there, and is hard to make or to change."""

    def __new__(cls, thing):
        return super().__new__(cls)

    def __init__(self, thing):
        self.__dict__.update(_model=None, thing=thing, log=[])

    def __getstate__(self):
        return {}

    def __reduce_ex__(self, protocol):
        raise AssertionError("pickled")

    def __setattr__(self, name, value):
        raise AssertionError("changed")

    def __getattr__(self, name):
        raise AssertionError("asked for")


def test_what_a_callback_drops_for_pickles_is_there():
    callback = Pickled(Thing())
    (new,) = copy_callbacks([callback])
    assert new.thing is callback.thing
    assert new.log is not callback.log


class Deep(Callback):
    def __deepcopy__(self, memo):
        new = type(self)()
        new.other, new.thing = copy.deepcopy((self.other, self.thing), memo)
        return new


class Shallow(Callback):
    def __copy__(self):
        new = type(self)()
        new.log, new.is_copy = self.log, True
        return new


def test_rules_of_its_own():
    deep, shallow, other = Deep(), Shallow(), holder(thing=Thing())
    deep.other, deep.thing, shallow.log = other, Thing(), []
    new_deep, new_shallow, new_other = copy_callbacks([deep, holder(inner=shallow), other])
    assert new_deep.thing is not deep.thing
    assert new_deep.other is new_other  # which shares, though `deepcopy` has asked for it
    assert new_other.thing is other.thing
    assert new_shallow.inner.is_copy
    assert new_shallow.inner.log is shallow.log


def test_a_callback_that_is_its_own_copy():
    first, second = Shallow(), Callback()
    first.__copy__ = None
    second.__deepcopy__ = lambda memo: second
    new = copy_callbacks([holder(inner=second), second])
    assert new[0].inner is new[1] is second


def test_models():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    teacher = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    callback = EarlyStopping()
    callback.set_model(model)
    callback.net, callback.teacher, callback.predict = model, teacher, teacher.predict
    (new,) = copy_callbacks([callback])
    assert new.model is new.net is None
    assert new.teacher is teacher
    assert new.predict == teacher.predict
    assert callback.model is callback.net is model


def test_a_callback_that_cannot_be_copied():
    class Broken(Callback):
        def __deepcopy__(self, memo):
            raise RuntimeError("no way")

    class Listed(Callback, list):
        pass

    for kind, reason in ((Broken, "no way"), (Listed, "is not safe")):
        callback = kind()
        message = f"The callback {kind.__name__} can't be copied.*{reason}.*Give it a __deepcopy__"
        with pytest.raises(TypeError, match=message):
            copy_callbacks([callback])
        with pytest.raises(TypeError, match=f"The callback Callback can't be copied.*{reason}"):
            copied(inner=callback)
        kind.__deepcopy__ = lambda self, memo: self  # the remedy
        assert copy_callbacks([callback])[0] is copied(inner=callback).inner is callback


class Report(Callback):
    """Reports to what others see, and keeps its own notes."""

    def __init__(self, table, logger, file):
        super().__init__()
        self.table, self.logger, self.file = table, logger, file
        self.losses, self.counts = [], np.zeros(1)
        self.on_train_end = self.losses.append

    def on_epoch_end(self, epoch, logs=None):
        self.losses.append(logs["loss"])
        self.counts += 1
        self.table.execute("INSERT INTO losses VALUES (?)", (logs["loss"],))
        self.logger.info("%.3f", logs["loss"])
        self.file.write(f"{epoch}\n")


def test_reports_reach_the_user(images, small, tmp_path, caplog):
    table = sqlite3.connect(":memory:")
    table.execute("CREATE TABLE losses (loss)")
    caplog.set_level(logging.INFO, "fashioncnn.test")
    with contextlib.closing(table), (tmp_path / "log").open("w+") as file:
        report = Report(table, logging.getLogger("fashioncnn.test"), file)
        clf = small(epochs=4, callbacks=[report]).fit(*images)
        cross_val_score(make_pipeline(clf), *images, cv=2, error_score="raise")
        assert table.execute("SELECT COUNT(*) FROM losses").fetchone() == (3 * 4,)
        assert len(caplog.records) == 3 * 4
        file.seek(0)
        assert file.read() == "0\n1\n2\n3\n" * 3
    (used,) = clf.callbacks_
    assert used.losses[:-1] == clf.history_["loss"]
    assert (len(used.losses), *used.counts) == (5, 4)
    assert (report.losses, *report.counts) == ([], 0)


class Own(FashionCNNClassifier):
    """Decides by itself which callbacks it has."""

    def __init__(self, epochs=2):
        super().__init__((4,), (8,), epochs=epochs, callbacks=[History()])


class More(FashionCNNClassifier):
    def __init__(self, more=1, callbacks=None):
        super().__init__((4,), (8,), epochs=2, callbacks=callbacks)
        self.more = more


@pytest.mark.parametrize("callbacks", [None, History(), [History()], (History(),)])
def test_clones_have_the_callbacks_and_all_that_scikit_learn_clones(images, small, callbacks):
    clf = small(epochs=1, callbacks=callbacks, class_weight={"up": 2}).fit(*images)
    with config_context(enable_metadata_routing=True):
        clf.set_fit_request(sample_weight=True)
        for source in (clf, clone(clf), clone(make_pipeline(clf), safe=False)[-1]):
            cloned = clone(source)
            assert not hasattr(cloned, "classes_")
            assert cloned.get_params() == clf.get_params()
            assert cloned.callbacks is callbacks
            assert cloned.class_weight is not clf.class_weight
            assert cloned.get_metadata_routing().fit.requests["sample_weight"] is True
            cloned.set_fit_request(sample_weight=False)
            assert source.get_metadata_routing().fit.requests["sample_weight"] is True
    assert clf.callbacks is callbacks
    assert clf.n_iter_ == 1


class Demanding(FashionCNNClassifier):
    """Makes callbacks where it is given none, and looks at those that it is given."""

    def __init__(self, callbacks=None):
        given = [History()] if callbacks is None else callbacks
        if not all(isinstance(callback, Callback) for callback in given):
            raise ValueError("no callbacks")
        super().__init__((4,), (8,), epochs=2, callbacks=given)


def test_clones_of_subclasses(images):
    demanding = Demanding([EarlyStopping()])
    assert clone(demanding).callbacks is demanding.callbacks
    more = More(3, callbacks=[History()])
    cloned = clone(more)
    assert (type(cloned), cloned.more) == (More, 3)
    assert cloned.callbacks is more.callbacks
    own = Own(3)
    assert clone(own).epochs == 3
    assert clone(own).callbacks[0] is not own.callbacks[0]  # as its constructor makes them
    assert len(clone(own).fit(*images).callbacks_) == 1


def test_values_of_a_grid_are_copied_by_scikit_learn(images, small):
    """So callbacks that report belong in the constructor, as the docs say."""
    callback = holder(thing=Thing())
    for params, grid, is_shared in (
        ({"callbacks": [callback]}, {}, True),
        ({}, {"callbacks": [[callback]]}, False),
    ):
        search = GridSearchCV(small(epochs=1, **params), grid, cv=2, error_score="raise")
        (used,) = search.fit(*images).best_estimator_.callbacks_
        assert (used.thing is callback.thing) == is_shared
