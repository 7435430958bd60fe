# SPDX-License-Identifier: BSD-3-Clause
"""The Keras model: stock layers, the article's rows, and the same figures as the classifier's."""

import json
import zipfile

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.metrics import log_loss
from sklearn.utils import estimator_html_repr

from fashioncnn import FashionCNNClassifier
from fashioncnn._inputs.architecture import build_architecture
from fashioncnn._network.architecture import initial_weights
from fashioncnn._tensorflow.keras_model import build_network, set_weights, weight_name
from fashioncnn._tensorflow.prediction import Predictor
from fashioncnn._tensorflow.program import Program


def test_summary_shows_the_articles_rows(fitted):
    architecture = build_architecture(FashionCNNClassifier().get_params(), (28, 28, 1), 10)
    model = build_network(architecture, softmax=True)
    rows = [
        (type(layer).__name__, layer.output.shape, layer.count_params()) for layer in model.layers
    ]
    assert rows == [
        ("InputLayer", (None, 28, 28, 1), 0),
        ("Conv2D", (None, 26, 26, 32), 320),
        ("Conv2D", (None, 24, 24, 64), 18_496),
        ("MaxPooling2D", (None, 12, 12, 64), 0),
        ("Dropout", (None, 12, 12, 64), 0),
        ("Flatten", (None, 9216), 0),
        ("Dense", (None, 128), 1_179_776),
        ("Dropout", (None, 128), 0),
        ("Dense", (None, 10), 1_290),
    ]
    assert model.count_params() == 1_199_882
    lines = []
    model.summary(print_fn=lines.append)
    assert "1,199,882" in "\n".join(lines)


CONFIGURATIONS = [
    ({}, (28, 28, 1)),
    ({"batch_normalization": True, "conv_stacks": ((4, 8), 8), "global_pooling": "max"}, (9, 9, 3)),
    ({"padding": "same", "kernel_size": ((5, 3), (1, 2)), "conv_stacks": (4, 6)}, (7, 10, 1)),
    ({"dense_units": (), "global_pooling": "avg", "activation": "silu"}, (6, 6, 1)),
    ({"conv_stacks": (4, 4, 4, 4), "pool_size": ((2, 1),) * 4}, (3, 5, 2)),
    ({}, (1, 7, 1)),
    ({}, (1, 1, 1)),
]


@pytest.mark.parametrize(("params", "image_shape"), CONFIGURATIONS)
def test_plan_and_model_agree(params, image_shape):
    architecture = build_architecture(FashionCNNClassifier(**params).get_params(), image_shape, 10)
    model = build_network(architecture)
    assert [(weight_name(v), tuple(v.shape)) for v in model.weights] == list(
        architecture.weight_shapes.items()
    )
    assert [layer.output.shape[1:] for layer in model.layers[1:]] == [
        layer.output_shape for layer in architecture.layers
    ]
    assert model.count_params() == architecture.n_parameters


def by_hand(params):
    """Write two of the networks in plain Keras."""
    if params:  # batch normalisation
        return keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                layers.Conv2D(4, 3, use_bias=False),
                layers.BatchNormalization(),
                layers.Activation("relu"),
                layers.Conv2D(6, 3, use_bias=False),
                layers.MaxPooling2D(2),
                layers.BatchNormalization(),
                layers.Activation("relu"),
                layers.GlobalAveragePooling2D(),
                layers.Dense(5),
            ]
        )
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Conv2D(6, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(5),
        ]
    )


@pytest.mark.parametrize("params", [{}, {"batch_normalization": True, "global_pooling": "avg"}])
def test_program_computes_what_keras_does(params):
    clf = FashionCNNClassifier(((4, 6),), (), **params)
    architecture = build_architecture(clf.get_params(), (8, 8, 1), 5)
    random = np.random.default_rng(0)
    weights = {
        name: value + random.random(value.shape, dtype=np.float32) / 9
        for name, value in initial_weights(architecture, np.random.SeedSequence(0)).items()
    }
    model = by_hand(params)
    model.set_weights(list(weights.values()))
    images = random.normal(size=(70, 8, 8, 1)).astype(np.float32)
    logits = Predictor(Program(architecture), weights, None).logits(images)
    np.testing.assert_allclose(logits, model(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["adam", "adamw", "muon", "rmsprop", "sgd"])
def test_model_is_compiled_with_the_optimizer(images, small, name):
    clf = small(optimizer=name, learning_rate=0.02, weight_decay=0.1, epochs=1).fit(*images)
    optimizer = clf.model_.optimizer
    assert type(optimizer).__name__.lower() == name
    assert float(optimizer.learning_rate) == pytest.approx(0.02)
    assert optimizer.weight_decay == 0.1
    decaying = [v.name for v in clf.model_.weights if optimizer._use_weight_decay(v)]
    assert set(decaying) == {"kernel"}


@pytest.mark.parametrize(
    ("scaling", "loss"),
    [
        ("standardize", "categorical_crossentropy"),
        ("unit", "sparse_categorical_crossentropy"),
        (None, "categorical_crossentropy"),
        pytest.param("standardize", "sparse_categorical_crossentropy", marks=pytest.mark.slow),
        pytest.param("unit", "categorical_crossentropy", marks=pytest.mark.slow),
        pytest.param(None, "sparse_categorical_crossentropy", marks=pytest.mark.slow),
    ],
)
def test_model_agrees_with_the_classifier(images, small, loss, scaling):
    X, y = images
    clf = small(loss=loss, scaling=scaling, epochs=2, batch_normalization=True).fit(X, y)
    probabilities = clf.predict_proba(X)
    codes = np.searchsorted(clf.classes_, y)
    labels = np.eye(3)[codes] if loss == "categorical_crossentropy" else codes
    for pixels in (X, X[..., np.newaxis].astype(np.float64)):
        np.testing.assert_allclose(
            clf.model_.predict(pixels, verbose=0), probabilities, rtol=1e-4, atol=1e-6
        )
        value, accuracy = clf.model_.evaluate(pixels, labels, verbose=0)
        assert value == pytest.approx(log_loss(y, probabilities), rel=1e-4)
        assert accuracy == pytest.approx(clf.score(X, y))


def test_scaling_is_one_row(images, small):
    kinds = [type(layer).__name__ for layer in small(epochs=1).fit(*images).model_.layers]
    assert kinds[:3] == ["InputLayer", "Rescaling", "Conv2D"]
    model = small(epochs=1, scaling=None).fit(*images).model_
    assert [type(layer).__name__ for layer in model.layers][:2] == ["InputLayer", "Conv2D"]


def test_colour_is_scaled_by_channel(small):
    random = np.random.default_rng(0)
    X, y = random.random((20, 5, 5, 3)) * [1, 9, 99], np.arange(20) % 2
    clf = small(epochs=1).fit(X, y)
    rescaling = clf.model_.layers[1]
    np.testing.assert_allclose(rescaling.scale, 1 / X.astype(np.float32).std(axis=(0, 1, 2)), 1e-4)
    np.testing.assert_allclose(
        clf.model_.predict(X, verbose=0), clf.predict_proba(X), rtol=1e-4, atol=1e-6
    )


def modules_in(config):
    """Find the names of modules in the configuration of a saved model."""
    if isinstance(config, dict):
        yield from [config["module"]] if config.get("module") else []
        config = list(config.values())
    if isinstance(config, list):
        for value in config:
            yield from modules_in(value)


def test_saved_model_names_nothing_of_ours(fitted, images, tmp_path):
    X, _ = images
    fitted.model_.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        config = json.loads(archive.read("config.json"))
    modules = set(modules_in(config))
    assert "keras.layers" in modules
    assert {module.partition(".")[0] for module in modules} == {"keras"}
    model = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        model.predict(X, verbose=0), fitted.predict_proba(X), rtol=1e-4, atol=1e-6
    )


def test_model_is_a_copy_that_a_refit_drops(images, small):
    X, y = images
    clf = small(epochs=1).fit(X, y)
    before = clf.predict_proba(X)
    model = clf.model_
    assert clf.model_ is model
    set_weights(model, {weight_name(v): np.zeros(v.shape) for v in model.weights})
    np.testing.assert_array_equal(clf.predict_proba(X), before)
    assert clf.fit(X, y).model_ is not model
    np.testing.assert_allclose(clf.model_.predict(X, verbose=0), before, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("optimizer", "name"),
    [
        ("adam", "Adam"),
        ("adamw", "AdamW"),
        ("muon", "Muon"),
        ("rmsprop", "RMSprop"),
        ("sgd", "SGD"),
    ],
)
def test_model_is_compiled_with_the_parameters(images, small, optimizer, name):
    model = small(epochs=1, optimizer=optimizer, learning_rate=0.005).fit(*images).model_
    assert type(model.optimizer).__name__ == name
    assert float(model.optimizer.learning_rate) == pytest.approx(0.005)
    assert model.loss == "categorical_crossentropy"


def test_notebook_repr_does_not_build_the_model(images, small, monkeypatch):
    clf = small(epochs=1).fit(*images)
    monkeypatch.setattr(
        "fashioncnn._tensorflow.keras_model.keras_model_for",
        lambda network: pytest.fail("the model was built"),
    )
    assert "FashionCNNClassifier" in estimator_html_repr(clf)
    assert "FashionCNNClassifier" in repr(clf)
