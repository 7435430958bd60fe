# SPDX-License-Identifier: BSD-3-Clause
"""Recipes are classifiers with plain, explicit parameters."""

import copy
import inspect
import json
import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone

from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample
from fashioncnn.recipes import RECIPES


def test_article():
    clf = FashionCNNClassifier.from_recipe("article")
    changed = {
        name: value
        for name, value in clf.get_params().items()
        if value != FashionCNNClassifier().get_params()[name]
    }
    assert changed == {"scaling": "unit", "validation_fraction": 0.3, "learning_rate": 0.001}
    assert clone(clf).get_params() == clf.get_params()


@pytest.mark.parametrize("name", RECIPES)
def test_every_parameter_is_explicit_and_plain(name):
    clf = FashionCNNClassifier.from_recipe(name)
    params = clf.get_params()
    assert params.keys() == FashionCNNClassifier().get_params().keys()
    assert params == {**FashionCNNClassifier().get_params(), **RECIPES[name]}
    assert json.loads(json.dumps(params)).keys() == params.keys()
    assert clone(clf).get_params() == params


@pytest.mark.parametrize("name", RECIPES)
def test_overrides(name):
    clf = FashionCNNClassifier.from_recipe(name, epochs=3, augment=None, random_state=7)
    assert (clf.epochs, clf.augment, clf.random_state) == (3, None, 7)
    assert clf.min_steps == 0  # which would make more epochs
    others = RECIPES[name].keys() - {"epochs", "augment", "min_steps"}
    assert all(getattr(clf, other) == RECIPES[name][other] for other in others)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name == "accurate")) for name in RECIPES],
)
def test_every_room_knows_what_a_recipe_trains(name, tmp_path):
    X, y = load_fashion_mnist_sample("train")
    # Two steps at a recipe's own rate would lead far away.
    settings = {"epochs": 1, "learning_rate": 1e-3, "random_state": 0}
    clf = FashionCNNClassifier.from_recipe(name, **settings).fit(X[:200], y[:200])
    probabilities = clf.predict_proba(X)
    close = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(clf.predict_proba(X[:2]), probabilities[:2], **close)  # by NumPy
    np.testing.assert_allclose(clf.model_.predict(X[:90], verbose=0), probabilities[:90], **close)
    clf.save(tmp_path / "model.safetensors")
    loaded = FashionCNNClassifier.load(tmp_path / "model.safetensors")
    assert loaded.get_params() == clf.get_params()
    for again in (loaded, pickle.loads(pickle.dumps(clf))):
        np.testing.assert_array_equal(again.predict_proba(X), probabilities)


@pytest.mark.parametrize("name", RECIPES)
def test_a_change_of_one_classifier_is_no_change_of_the_recipe(name):
    params = copy.deepcopy(FashionCNNClassifier.from_recipe(name).get_params())
    clf = FashionCNNClassifier.from_recipe(name)
    for value in clf.get_params().values():
        if isinstance(value, dict):
            value.clear()
    assert FashionCNNClassifier.from_recipe(name).get_params() == params


def test_epochs_decide_where_they_are_given():
    X, y = np.random.default_rng(0).integers(0, 255, (60, 4, 4)), np.arange(60) % 2
    params = {"conv_stacks": (2,), "dense_units": (), "random_state": 0}
    assert FashionCNNClassifier.from_recipe("fast", **params, epochs=3).fit(X, y).n_iter_ == 3
    clf = FashionCNNClassifier.from_recipe("fast", **params, epochs=3, min_steps=5)
    assert clf.fit(X, y).n_iter_ == 5
    assert FashionCNNClassifier.from_recipe("fast", augment=None).min_steps == 750


@pytest.mark.parametrize("name", RECIPES)
def test_the_docstring_names_every_recipe(name):
    assert f'"{name}"' in inspect.getdoc(FashionCNNClassifier.from_recipe)


@pytest.mark.slow
def test_fast_learns_the_sample():
    X, y = load_fashion_mnist_sample("train")
    X_test, y_test = load_fashion_mnist_sample("test")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf = FashionCNNClassifier.from_recipe("fast", random_state=0).fit(X, y)
    assert clf.score(X_test, y_test) > 0.86
    mirrored = X_test[:100, :, ::-1]
    np.testing.assert_allclose(
        clf.predict_proba(X_test[:100]), clf.predict_proba(mirrored), atol=1e-5
    )


def test_subclasses_make_themselves():
    class Mine(FashionCNNClassifier):
        pass

    assert type(Mine.from_recipe("article")) is Mine


def test_unknown_names():
    with pytest.raises(
        ValueError,
        match=r"Unknown recipe 'artikel'.*\['accurate', 'article', 'balanced', 'fast', 'tiny'\]",
    ):
        FashionCNNClassifier.from_recipe("artikel")
    with pytest.raises(ValueError, match="Invalid parameter 'lr'"):
        FashionCNNClassifier.from_recipe("article", lr=1)
