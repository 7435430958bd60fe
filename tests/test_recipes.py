# SPDX-License-Identifier: BSD-3-Clause
"""Recipes are classifiers with plain, explicit parameters."""

import pytest
from sklearn.base import clone

from fashioncnn import FashionCNNClassifier


def test_article():
    clf = FashionCNNClassifier.from_recipe("article")
    changed = {
        name: value
        for name, value in clf.get_params().items()
        if value != FashionCNNClassifier().get_params()[name]
    }
    assert changed == {"scaling": "unit", "validation_fraction": 0.3, "learning_rate": 0.001}
    assert clone(clf).get_params() == clf.get_params()


def test_overrides():
    clf = FashionCNNClassifier.from_recipe("article", epochs=3, random_state=7)
    assert (clf.epochs, clf.random_state, clf.scaling) == (3, 7, "unit")


def test_subclasses_make_themselves():
    class Mine(FashionCNNClassifier):
        pass

    assert type(Mine.from_recipe("article")) is Mine


def test_unknown_names():
    with pytest.raises(ValueError, match=r"Unknown recipe 'artikel'.*\['article'\]"):
        FashionCNNClassifier.from_recipe("artikel")
    with pytest.raises(ValueError, match="Invalid parameter 'lr'"):
        FashionCNNClassifier.from_recipe("article", lr=1)
