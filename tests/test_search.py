# SPDX-License-Identifier: BSD-3-Clause
"""The classifier inside scikit-learn's pipelines and searches."""

import multiprocessing
from functools import partial

import numpy as np
import pytest
import sklearn
import tensorflow as tf
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor
from keras.callbacks import EarlyStopping, ReduceLROnPlateau
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler

from fashioncnn._tensorflow.backend import _follow_joblib_threads, _let_gpus_be_shared


def test_pipeline(images, small):
    X, y = images
    pipeline = make_pipeline(MinMaxScaler(), small(image_shape=(6, 6)))
    pipeline.fit(X.reshape(90, 36), y)
    assert pipeline.score(X.reshape(90, 36), y) > 0.9
    shaped = make_pipeline(FunctionTransformer(np.fliplr), small()).fit(X, y)
    assert shaped[-1].image_shape_ == (6, 6, 1)


GRID = {
    "conv_stacks": [(4,), ((4, 4),)],
    "loss": ["categorical_crossentropy", "sparse_categorical_crossentropy"],
    "learning_rate": [0.01, 0.001],
    "batch_size": [16, 32],
}


@pytest.fixture(scope="module")
def pool():
    """End worker processes that other tests have left, and those of this module at its end."""
    get_reusable_executor().shutdown()
    yield
    get_reusable_executor().shutdown()


@pytest.fixture
def workers(pool, monkeypatch):
    """Let joblib start worker processes, or find them, of one thread each."""
    for kind in ("INTRAOP", "INTEROP"):
        monkeypatch.delenv(f"TF_NUM_{kind}_THREADS", raising=False)
    with parallel_config("loky", inner_max_num_threads=1):
        yield


def test_grid_search_in_one_and_in_two_processes(images, small, workers):
    X, y = images
    one, two = (
        GridSearchCV(small(epochs=3), GRID, cv=2, n_jobs=n_jobs, scoring="neg_log_loss").fit(X, y)
        for n_jobs in (1, 2)
    )
    assert len(one.cv_results_["params"]) == 16
    scores = one.cv_results_["mean_test_score"]
    # the two losses are one; two processes have one thread each, which rounds sums otherwise
    losses = np.array([params["loss"] for params in one.cv_results_["params"]])
    np.testing.assert_array_equal(
        scores[losses == "categorical_crossentropy"],
        scores[losses == "sparse_categorical_crossentropy"],
    )
    np.testing.assert_allclose(two.cv_results_["mean_test_score"], scores, rtol=1e-3)
    assert one.best_params_["learning_rate"] == 0.01
    assert one.best_estimator_.predict(X).shape == y.shape


def test_callbacks_in_two_processes(images, small, workers):
    stop = EarlyStopping("val_loss", patience=1, min_delta=0.05, restore_best_weights=True)
    grid = {"callbacks": [None, [stop, ReduceLROnPlateau("val_loss", patience=0, min_delta=9.0)]]}
    clf = small(epochs=12, validation_fraction=0.2)
    searches = [GridSearchCV(clf, grid, cv=3, n_jobs=n).fit(*images) for n in (1, 2)]
    scores = [search.cv_results_["mean_test_score"] for search in searches]
    np.testing.assert_allclose(scores[0], scores[1], atol=0.1)
    best = clone(clf).set_params(**searches[1].best_params_).fit(*images)
    assert best.n_iter_ == searches[1].best_estimator_.n_iter_


def n_threads_of_a_worker(clf, X, y):
    clf.fit(X, y)
    import tensorflow as tf

    threads = tf.config.threading
    return threads.get_intra_op_parallelism_threads(), threads.get_inter_op_parallelism_threads()


def n_threads_of_two(clf, images):
    return Parallel(n_jobs=2)(delayed(n_threads_of_a_worker)(clf, *images) for _ in range(2))


def test_a_worker_has_the_threads_that_joblib_grants(images, small, workers):
    assert n_threads_of_two(small(epochs=1), images) == [(1, 1)] * 2


@pytest.mark.processes
@pytest.mark.parametrize(
    ("kinds", "n_threads"),  # TensorFlow itself reads the variables, and reports 0
    [(["INTRAOP"], (0, 1)), (["INTRAOP", "INTEROP"], (0, 0))],
)
def test_a_worker_has_the_threads_that_its_user_chose(
    images, small, workers, monkeypatch, kinds, n_threads
):
    for kind in kinds:
        monkeypatch.setenv(f"TF_NUM_{kind}_THREADS", "2")
    get_reusable_executor().shutdown()  # workers that do not know the variables
    found = n_threads_of_two(small(epochs=1), images)
    get_reusable_executor().shutdown()
    assert found == [n_threads] * 2


@pytest.fixture
def threads(monkeypatch):
    """Give numbers in place of those that TensorFlow would start; 0 is its default."""
    numbers = {"intra": 0, "inter": 0}
    for kind in numbers:
        monkeypatch.delenv(f"TF_NUM_{kind.upper()}OP_THREADS", raising=False)
        function = f"{kind}_op_parallelism_threads"
        monkeypatch.setattr(tf.config.threading, f"get_{function}", partial(numbers.get, kind))
        change = partial(numbers.__setitem__, kind)
        monkeypatch.setattr(tf.config.threading, f"set_{function}", change)
    return numbers


@pytest.fixture
def process(monkeypatch):
    """Give a function that names this process, and says how many threads it is granted."""

    def become(name, granted):
        monkeypatch.setattr(multiprocessing.current_process(), "name", name)
        monkeypatch.setenv("OMP_NUM_THREADS", granted)

    return become


@pytest.mark.parametrize(
    ("name", "granted", "chosen", "by_variables", "expected"),
    [
        ("LokyProcess-1", "1", (0, 0), [], (1, 1)),
        ("LokyProcess-12", "3", (0, 0), [], (3, 3)),
        ("LokyProcess-1", "1", (0, 0), ["INTRAOP"], (0, 1)),
        ("LokyProcess-1", "1", (0, 0), ["INTEROP"], (1, 0)),
        ("LokyProcess-1", "1", (0, 0), ["INTRAOP", "INTEROP"], (0, 0)),
        ("LokyProcess-1", "1", (4, 0), [], (4, 1)),
        ("LokyProcess-1", "1", (0, 4), [], (1, 4)),
        ("LokyProcess-1", "", (0, 0), [], (0, 0)),
        ("LokyProcess-1", "2,1", (0, 0), [], (0, 0)),  # of OpenMP within OpenMP
        ("MainProcess", "1", (0, 0), [], (0, 0)),
    ],
)
def test_threads_are_those_that_joblib_grants_unless_a_user_has_chosen(
    monkeypatch, threads, process, name, granted, chosen, by_variables, expected
):
    threads.update(intra=chosen[0], inter=chosen[1])
    for kind in by_variables:
        monkeypatch.setenv(f"TF_NUM_{kind}_THREADS", "2")
    process(name, granted)
    _follow_joblib_threads()
    assert tuple(threads.values()) == expected


def test_threads_stay_where_tensorflow_has_started(monkeypatch, threads, process):
    def refuse(number):
        raise RuntimeError

    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", refuse)
    process("LokyProcess-1", "1")
    _follow_joblib_threads()
    assert threads == {"intra": 0, "inter": 0}


@pytest.mark.parametrize("refusal", [None, RuntimeError, ValueError])
def test_workers_leave_each_other_memory_of_a_gpu(monkeypatch, refusal):
    """There is none here: TensorFlow's functions are replaced."""
    config, calls = tf.config, []

    def note_or_refuse(*arguments):
        calls.append(arguments)
        if refusal:
            raise refusal

    monkeypatch.setattr(config, "list_physical_devices", lambda kind: [f"{kind}:0", f"{kind}:1"])
    monkeypatch.setattr(config.experimental, "set_memory_growth", note_or_refuse)
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH", raising=False)
    _let_gpus_be_shared()
    assert calls == [("GPU:0", True), ("GPU:1", True)][: 1 if refusal else 2]
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "false")  # the user's word
    calls.clear()
    _let_gpus_be_shared()
    assert not calls


def test_a_candidate_that_fails_does_not_end_the_search(images, small):
    X, y = images
    search = GridSearchCV(small(epochs=1), {"learning_rate": [0.01, 1e30]}, cv=2)
    with pytest.warns(match=r"fits failed|non-finite"):
        search.fit(X, y)
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False, True]


def test_metadata_routing(images, small):
    X, y = images
    weights = np.where(y == "up", 1.0, 0.25)
    with sklearn.config_context(enable_metadata_routing=True):
        clf = small(epochs=2).set_fit_request(sample_weight=True)
        clf = clf.set_score_request(sample_weight=True)
        results = cross_validate(
            clf,
            X,
            y,
            cv=StratifiedKFold(2),
            params={"sample_weight": weights},
            return_estimator=True,
            return_indices=True,
        )
    train = results["indices"]["train"][0]
    by_hand = small(epochs=2).fit(X[train], y[train], sample_weight=weights[train])
    np.testing.assert_array_equal(
        results["estimator"][0].predict_proba(X), by_hand.predict_proba(X)
    )
