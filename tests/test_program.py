# SPDX-License-Identifier: BSD-3-Clause
"""Programs are shared, few, bounded and safe in threads."""

import io
import pickle
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from fashioncnn import FashionCNNClassifier
from fashioncnn._inputs.architecture import build_architecture
from fashioncnn._network import numpy_forward
from fashioncnn._network.architecture import initial_weights
from fashioncnn._tensorflow import prediction, program, steps
from fashioncnn._tensorflow.optimizers import UPDATE_RULES
from fashioncnn._tensorflow.prediction import (
    Predictor,
    batch_sizes,
    choose_batch_size,
    predict_logits,
)
from fashioncnn._tensorflow.program import Program, program_for


@pytest.fixture
def fresh(monkeypatch):
    """Start with no program in the cache; give a function that lists those that are made."""
    monkeypatch.setattr(program, "_programs", type(program._programs)())
    return lambda: list(program._programs.values())


@pytest.fixture
def traced(monkeypatch):
    """Record the network's runs on symbols: every one is a trace of a compiled function."""
    calls = []
    originals = steps.train_network, steps.apply_network

    for original in originals:

        def run(*args, original=original):
            calls.append(original.__name__)
            return original(*args)

        monkeypatch.setattr(steps, original.__name__, run)
    return calls


def test_a_grid_of_rates_and_seeds_traces_once(images, small, fresh, traced):
    X, y = images
    for rate in (0.001, 0.003, 0.01, 0.03):
        for seed in range(10):
            clf = small(
                learning_rate=rate,
                learning_rate_schedule=("constant", "cosine", "one_cycle")[seed % 3],
                weight_decay=seed / 10,
                optimizer=("adam", "adamw")[seed % 2],
                random_state=seed,
                epochs=1 + seed % 2,
                batch_size=8 + seed,
                label_smoothing=seed / 20,
                class_weight={"up": 1 + seed},
                early_stopping=seed > 4,
                warm_start=seed > 6,
                scaling=("standardize", "unit", None)[seed % 3],
                loss=("categorical_crossentropy", "sparse_categorical_crossentropy")[seed % 2],
            )
            clf.fit(X[: 60 + seed], y[: 60 + seed]).predict(X)
            clf.fit(X, y)
    (program,) = fresh()
    assert traced == ["train_network", "apply_network"]
    assert program.n_traces == 2


def test_dtype_and_optimizer_trace_anew(images, small, fresh):
    X, y = images
    small(epochs=1).fit(X, y)
    small(epochs=1).fit(X.astype(np.float64), y)
    small(epochs=1, optimizer="sgd").fit(X, y)
    (program,) = fresh()
    assert program.n_traces == 3


def test_any_number_of_images_predicts_without_a_trace(images, fitted, traced):
    pixels = images[0][..., np.newaxis]
    whole = predict_logits(fitted._network, pixels)
    traced.clear()
    for n in range(1, 90):
        logits = predict_logits(fitted._network, pixels[:n])
        np.testing.assert_allclose(logits, whole[:n], rtol=1e-5, atol=1e-5)
    assert traced == []


@pytest.mark.parametrize("n", [2, 9, 24, 64, 90])
def test_neighbours_and_place_change_no_bit(images, fitted, n):
    pixels, network = images[0][..., np.newaxis], fitted._network
    random = np.random.default_rng(n)
    before = predict_logits(network, pixels[:n])
    order = random.permutation(n)
    np.testing.assert_array_equal(predict_logits(network, pixels[:n][order]), before[order])
    others = random.integers(0, 255, (n, 6, 6, 1), dtype=np.uint8)
    others[n // 2] = pixels[n // 2]
    np.testing.assert_array_equal(predict_logits(network, others)[n // 2], before[n // 2])


@pytest.mark.parametrize(("shape", "n_classes"), [((28, 28, 1), 10), ((1, 3, 1), 3)])
def test_every_place_of_a_batch_gives_the_same_bits(shape, n_classes):
    params = FashionCNNClassifier().get_params()
    architecture = build_architecture(params, shape, n_classes)
    weights = initial_weights(architecture, np.random.SeedSequence(0))
    predictor = Predictor(Program(architecture), weights, None)
    image = np.random.default_rng(0).random((1, *shape), dtype=np.float32)
    for size in predictor._batch_sizes:
        logits = predictor.logits(np.repeat(image, size, axis=0))
        np.testing.assert_array_equal(logits, logits[[0] * size])


def test_batches_are_few_and_bounded():
    sizes = (1, 24, 96, 480)
    default = FashionCNNClassifier().get_params()
    architecture = build_architecture(default, (28, 28, 1), 10)
    assert batch_sizes(architecture.largest_activation) == list(sizes)
    chosen = [choose_batch_size(n, sizes) for n in (1, 2, 8, 9, 20, 65, 100, 1000, 100_000)]
    assert chosen == [1, 1, 24, 24, 24, 24, 24, 96, 480]

    params = FashionCNNClassifier((16,)).get_params()
    architecture = build_architecture(params, (500, 500, 1), 2)
    assert max(batch_sizes(architecture.largest_activation)) * 498 * 498 * 16 * 4 <= 256 * 2**20


def test_cache_is_bounded_and_an_evicted_program_serves(images, small, fresh, monkeypatch):
    monkeypatch.setattr(program, "_MAX_PROGRAMS", 2)
    X, y = images
    first = small(epochs=1).fit(X, y)
    before = first.predict_proba(X)
    small(epochs=1, dense_units=3).fit(X, y)
    np.testing.assert_array_equal(small(epochs=1).fit(X, y).predict_proba(X), before)
    for units in (4, 5):
        assert first._network.architecture in program._programs  # used later than 3 units
        small(epochs=1, dense_units=units).fit(X, y)
        assert len(fresh()) == 2
    assert first._network.architecture not in program._programs
    np.testing.assert_array_equal(first.predict_proba(X), before)
    np.testing.assert_array_equal(small(epochs=1).fit(X, y).predict_proba(X), before)


def test_one_program_per_architecture_for_all_threads(fitted, fresh):
    barrier = threading.Barrier(8)

    def get(_):
        barrier.wait()
        return program_for(fitted._network.architecture)

    with ThreadPoolExecutor(8) as pool:
        assert len({id(program) for program in pool.map(get, range(8))}) == 1


def test_fits_in_threads_equal_fits_in_turn(images, small, fresh):
    X, y = images
    in_turn = [small(random_state=seed).fit(X, y).predict_proba(X) for seed in range(4)]
    fresh()[0]._functions.clear()
    with ThreadPoolExecutor(4) as pool:
        at_once = pool.map(lambda s: small(random_state=s).fit(X, y).predict_proba(X), range(4))
        for one, other in zip(in_turn, at_once, strict=True):
            np.testing.assert_array_equal(one, other)


def test_two_threads_fit_while_sixteen_predict(images, small, fitted, fresh):
    X, y = images
    in_turn = [small(random_state=seed, epochs=8).fit(X, y).predict_proba(X) for seed in (1, 2)]
    expected = [fitted.predict_proba(X[:n]) for n in range(1, 17)]
    barrier = threading.Barrier(18)
    done = threading.Event()
    unpickled = pickle.loads(pickle.dumps(fitted))

    def fit(seed):
        barrier.wait()
        return [small(random_state=seed, epochs=8).fit(X, y).predict_proba(X) for _ in range(2)]

    def predict(n):
        barrier.wait()
        results = []
        while not done.is_set() or len(results) < 3:
            results.append(unpickled.predict_proba(X[:n]))
        return results

    with ThreadPoolExecutor(18) as pool:
        predictions = [pool.submit(predict, n) for n in range(1, 17)]
        fits = [pool.submit(fit, seed) for seed in (1, 2)]
        try:
            fitted_at_once = [future.result() for future in fits]
        finally:
            done.set()
    for alone, at_once in zip(in_turn, fitted_at_once, strict=True):
        for result in at_once:
            np.testing.assert_array_equal(result, alone)
    for n, future in enumerate(predictions):
        assert future.result()
        for result in future.result():
            np.testing.assert_array_equal(result, expected[n])


def test_a_fit_inside_a_fit(images, small, monkeypatch):
    X, y = images
    outer, alone = small(epochs=3, verbose=2), small(epochs=3).fit(X, y)
    inner = []

    class Output(io.StringIO):
        """A place where a fit calls back, as callbacks will: what it prints to."""

        def write(self, text):
            if text.startswith("Epoch"):
                search = GridSearchCV(small(epochs=2), {"learning_rate": [0.01, 0.03]}, cv=2)
                inner.append(search.fit(X, y).best_estimator_)
            return super().write(text)

    monkeypatch.setattr("sys.stdout", Output())
    outer.fit(X, y)
    monkeypatch.undo()
    np.testing.assert_array_equal(outer.predict_proba(X), alone.predict_proba(X))
    assert outer.history_ == alone.history_
    by_hand = small(epochs=2, learning_rate=inner[0].learning_rate).fit(X, y)
    assert len(inner) == 3
    for clf in inner:
        np.testing.assert_array_equal(clf.predict_proba(X), by_hand.predict_proba(X))


def test_idle_variables_are_few(images, small, monkeypatch):
    monkeypatch.setattr(program, "_idle_variables", type(program._idle_variables)())
    clfs = [small(epochs=1, dense_units=units).fit(*images) for units in (3, 4, 5, 4, 3)]
    assert [architecture.dense_units for architecture, *_ in program._idle_variables] == [
        (4,),
        (3,),
    ]
    assert len({clf.predict_proba(images[0]).tobytes() for clf in clfs}) == 3

    three, four = Program(clfs[0]._network.architecture), Program(clfs[1]._network.architecture)
    with three.training_variables("adam"):
        with three.training_variables("adam"):
            pass
        with four.training_variables("adam"):
            pass
    assert [architecture.dense_units for architecture, *_ in program._idle_variables] == [
        (4,),
        (3,),
    ]


def test_a_state_is_lent_to_one_and_comes_back_after_an_error(fitted):
    program = Program(fitted._network.architecture)
    start = fitted._network.checkpoint
    with program.training_variables("adam") as outer:
        with program.training_variables("adam") as inner:
            assert inner is not outer
        outer.weights["predictions/bias"].assign_add([1.0, 1.0, 1.0])
    borrowed = []

    def fail():
        with program.training_variables("adam") as state:
            borrowed.append(state)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with program.training_variables("adam") as again:
        assert again is borrowed[0]
        assert again is outer
        again.assign(start.weights, None)
        for name, value in again.weights_as_numpy().items():
            np.testing.assert_array_equal(value, start.weights[name])
        assert len(again.slots["predictions/bias"]) == UPDATE_RULES["adam"].n_slots
        assert not any(slot.numpy().any() for slots in again.slots.values() for slot in slots)


@pytest.mark.parametrize("engine", [prediction, numpy_forward], ids=["TensorFlow", "NumPy"])
def test_threads_predict_what_one_predicts(images, fitted, engine):
    pixels = images[0][..., np.newaxis]
    expected = [engine.predict_logits(fitted._network, pixels[:n]) for n in range(1, 17)]
    network = pickle.loads(pickle.dumps(fitted))._network
    barrier = threading.Barrier(16)

    def predict(n):
        barrier.wait()
        return [engine.predict_logits(network, pixels[:n]) for _ in range(40)]

    with ThreadPoolExecutor(16) as pool:
        for n, results in enumerate(pool.map(predict, range(1, 17))):
            for result in results:
                np.testing.assert_array_equal(result, expected[n])


def test_predictions_cast_batch_by_batch(images, fitted):
    pixels = np.tile(images[0][..., np.newaxis].astype(np.float64), (400, 1, 1, 1))
    tracemalloc.start()
    logits = predict_logits(fitted._network, pixels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert logits.shape == (36_000, 3)
    assert peak < pixels.size  # bytes, where all pixels as float32 were four times as many
