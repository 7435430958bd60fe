# SPDX-License-Identifier: BSD-3-Clause
"""The classifier inside scikit-learn's pipelines and searches."""

import numpy as np
import pytest
import sklearn
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler


def test_pipeline(images, small):
    X, y = images
    pipeline = make_pipeline(MinMaxScaler(), small(image_shape=(6, 6)))
    pipeline.fit(X.reshape(90, 36), y)
    assert pipeline.score(X.reshape(90, 36), y) > 0.9
    shaped = make_pipeline(FunctionTransformer(np.fliplr), small()).fit(X, y)
    assert shaped[-1].image_shape_ == (6, 6, 1)


def test_cross_validation_equals_a_loop_by_hand(images, small):
    X, y = images
    folds = StratifiedKFold(3)
    scores = cross_val_score(small(), X, y, cv=folds)
    by_hand = [small().fit(X[a], y[a]).score(X[b], y[b]) for a, b in folds.split(X, y)]
    assert scores.tolist() == by_hand
    assert scores.mean() > 0.9


GRID = {
    "conv_stacks": [(4,), ((4, 4),)],
    "loss": ["categorical_crossentropy", "sparse_categorical_crossentropy"],
    "learning_rate": [0.01, 0.001],
    "batch_size": [16, 32],
}


def test_grid_search_in_one_and_in_two_processes(images, small):
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


def n_threads_of_a_worker(clf, X, y):
    clf.fit(X, y)
    import tensorflow as tf

    threads = tf.config.threading
    return threads.get_intra_op_parallelism_threads(), threads.get_inter_op_parallelism_threads()


@pytest.mark.parametrize(
    ("chosen", "n_threads"),
    [((), (1, 1)), (("INTRAOP",), (0, 1)), (("INTRAOP", "INTEROP"), (0, 0))],
)
def test_a_worker_has_the_threads_that_joblib_grants(images, small, monkeypatch, chosen, n_threads):
    X, y = images
    for kind in ("INTRAOP", "INTEROP"):
        monkeypatch.delenv(f"TF_NUM_{kind}_THREADS", raising=False)
        if kind in chosen:  # TensorFlow itself reads it, and reports 0
            monkeypatch.setenv(f"TF_NUM_{kind}_THREADS", "2")
    get_reusable_executor().shutdown()  # workers that know the variable, and have no TensorFlow yet
    with parallel_config(backend="loky", inner_max_num_threads=1):
        found = Parallel(n_jobs=2)(
            delayed(n_threads_of_a_worker)(small(epochs=1), X, y) for _ in range(2)
        )
    get_reusable_executor().shutdown()
    assert found == [n_threads] * 2


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
