# SPDX-License-Identifier: BSD-3-Clause
"""Which engine answers a call of the estimator, and that both of them say the same."""

import copy
import pickle
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
from networks import assert_rows_agree

from fashioncnn import FashionCNNClassifier, PixelRangeWarning
from fashioncnn._network import numpy_forward
from fashioncnn._network.numpy_forward import NumpyPredictor
from fashioncnn._tensorflow.prediction import Predictor

METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function")


def most_images(clf):
    """Return up to how many images of a call NumPy answers."""
    return numpy_forward.most_images(clf._network.architecture)


@pytest.fixture(scope="module")
def pair(images):
    """Give a classifier of two classes, with batch normalisation. Do not refit or change it."""
    X, y = images
    params = {"batch_normalization": True, "dense_units": (8,), "epochs": 8, "batch_size": 16}
    return FashionCNNClassifier((4, 6), **params, random_state=0).fit(X, y == "up")


@pytest.fixture(params=["three classes", "two classes"])
def clf(request):
    return request.getfixturevalue("fitted" if request.param == "three classes" else "pair")


@pytest.fixture
def engines(monkeypatch):
    """Record which engine answers each call."""
    calls = []
    for engine, predictor in (("NumPy", NumpyPredictor), ("TensorFlow", Predictor)):

        def logits(self, pixels, engine=engine, compute=predictor.logits):
            calls.append(engine)
            return compute(self, pixels)

        monkeypatch.setattr(predictor, "logits", logits)
    return calls


def with_weights(clf, value):
    """Return a copy of which every weight has one value."""
    other = copy.copy(clf)
    other._network = copy.deepcopy(clf._network)
    for weight in other._network.weights.values():
        weight[...] = value
    return other


def repeated(images, n):
    return np.resize(images[0], (n, *images[0].shape[1:]))


# --- The choice -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [*METHODS, "score"])
def test_the_number_of_images_decides(images, clf, engines, method):
    most = most_images(clf)
    for n_images in (1, 2, most - 1, most, most + 1, most + 2, 3 * most):
        if n_images < 1:
            continue
        engines.clear()
        X = repeated(images, n_images)
        getattr(clf, method)(X, *([clf.predict(X)] if method == "score" else []))
        assert set(engines) == {"NumPy" if n_images <= most else "TensorFlow"}


def test_dtype_and_shape_of_x_decide_nothing(images, fitted, engines):
    most = most_images(fitted)
    for n_images, engine in ((1, "NumPy"), (most, "NumPy"), (most + 1, "TensorFlow")):
        X = repeated(images, n_images)
        for X_given in (X, X.astype(np.float64), X.reshape(n_images, -1), X.tolist()):
            engines.clear()
            fitted.predict(X_given)
            assert engines == [engine]


def test_validation_in_training_is_for_tensorflow(images, small, engines):
    X, y = images
    small(epochs=2).fit(X, y, X_val=X[:2], y_val=y[:2])
    assert set(engines) == {"TensorFlow"}


ANSWER = """
import pickle, sys
import numpy as np
if sys.argv[1] == "imported":
    import tensorflow
    tensorflow.ones((9, 9)) @ tensorflow.ones((9, 9))
with open("clf.pkl", "rb") as file:
    clf = pickle.load(file)
few = [np.load("one.npy"), np.load("most.npy")]
before = dict(vars(clf))
answers = [
    getattr(clf, method)(X)
    for X in few
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function")
]
answers += [clf.score(X, np.load("labels.npy")[: len(X)]) for X in few]
assert list(map(id, vars(clf).values())) == list(map(id, before.values()))
others = {"tensorflow", "keras", "matplotlib"} & set(sys.modules)
assert sys.argv[1] == "imported" or not others, others
many = clf.decision_function(np.load("many.npy"))
assert "tensorflow" in sys.modules
with open("answers.pkl", "wb") as file:
    pickle.dump([*answers, many], file)
"""


@pytest.mark.parametrize("state", ["fresh", pytest.param("imported", marks=pytest.mark.slow)])
def test_few_images_are_answered_without_tensorflow(images, clf, tmp_path, state):
    """By the bits of a process that has used TensorFlow, as this one."""
    most = most_images(clf)
    arrays = {"one": 1, "most": most, "many": most + 1}
    arrays = {name: repeated(images, n_images) for name, n_images in arrays.items()}
    labels = clf.classes_[np.arange(most) % len(clf.classes_)]
    for name, array in {**arrays, "labels": labels}.items():
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "clf.pkl").write_bytes(pickle.dumps(clf))
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", ANSWER, state]
    subprocess.run(command, cwd=tmp_path, check=True)
    *answers, many = pickle.loads((tmp_path / "answers.pkl").read_bytes())
    few = [arrays["one"], arrays["most"]]
    expected = [getattr(clf, method)(X) for X in few for method in METHODS]
    expected += [clf.score(X, labels[: len(X)]) for X in few]
    for answer, value in zip(answers, expected, strict=True):
        np.testing.assert_array_equal(answer, value, strict=True)
    # By TensorFlow, whose number of threads may be another there.
    np.testing.assert_allclose(many, clf.decision_function(arrays["many"]), rtol=1e-4, atol=1e-5)


# --- What both say --------------------------------------------------------------------------------


def by_each_engine(images, clf):
    """Give a few images, and as many as TensorFlow answers."""
    most = most_images(clf)
    return [repeated(images, n_images) for n_images in (1, most, most + 1, max(90, most + 1))]


def test_engines_agree_where_one_takes_over(images, clf):
    most = most_images(clf)
    X = repeated(images, most + 1)
    below, above = clf._predict_logits(clf._checked(X[:most])), clf._predict_logits(clf._checked(X))
    assert_rows_agree(below, above[:most])
    for method in METHODS[1:]:
        below, above = getattr(clf, method)(X[:most]), getattr(clf, method)(X)
        assert below.dtype == above.dtype == np.float32
        np.testing.assert_allclose(below, above[:most], rtol=1e-4, atol=1e-5)


def test_labels_are_those_of_the_highest_probability(images, clf):
    for X in by_each_engine(images, clf):
        probabilities = clf.predict_proba(X)
        labels = clf.predict(X)
        np.testing.assert_array_equal(labels, clf.classes_[probabilities.argmax(axis=1)])
        assert clf.score(X, labels) == 1
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
        np.testing.assert_allclose(np.exp(clf.predict_log_proba(X)), probabilities, rtol=1e-5)
        decision = clf.decision_function(X)
        if len(clf.classes_) == 2:
            assert decision.shape == (len(X),)
            np.testing.assert_array_equal(decision > 0, labels)
        else:
            assert decision.shape == (len(X), 3)
            np.testing.assert_array_equal(clf.classes_[decision.argmax(axis=1)], labels)


def test_ties_go_to_the_first_class(images, clf):
    clf = with_weights(clf, 0)
    for X in by_each_engine(images, clf):
        assert (clf.predict(X) == clf.classes_[0]).all()
        np.testing.assert_array_equal(clf.predict_proba(X), 1 / np.float32(len(clf.classes_)))


@pytest.mark.parametrize("value", [3e38, np.inf, np.nan])
def test_logits_that_are_not_finite_are_refused(images, clf, value):
    clf, messages = with_weights(clf, value), set()
    for X in by_each_engine(images, clf):
        for method in METHODS:
            with pytest.raises(ValueError, match="not finite for some images") as caught:
                getattr(clf, method)(X)
            messages.add(str(caught.value))
    (message,) = messages
    assert re.search(r"Training has diverged: weights are as large as (3e\+38|inf|nan)", message)


def test_pixels_far_beyond_training_are_refused(images, fitted):
    messages = set()
    for X in by_each_engine(images, fitted):
        with (
            pytest.warns(PixelRangeWarning, match="trained on values within"),
            pytest.raises(ValueError, match="far beyond those of training") as caught,
        ):
            with_weights(fitted, 1).predict(np.full(X.shape, 3e38))
        messages.add(str(caught.value))
    assert len(messages) == 1


def test_pixels_on_another_scale_warn(images, clf):
    for X in by_each_engine(images, clf):
        for method in METHODS:
            with pytest.warns(PixelRangeWarning, match="trained on values within") as caught:
                getattr(clf, method)(X / 255)
            assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for X in by_each_engine(images, clf):
            clf.predict(X)
