# SPDX-License-Identifier: BSD-3-Clause
"""scikit-learn's own checks of estimators, of which none may be skipped."""

import numpy as np
import pytest
import sklearn
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_estimator,
    check_param_validation,
)
from sklearn.utils.fixes import parse_version

from fashioncnn import FashionCNNClassifier
from fashioncnn._architecture import initial_weights
from fashioncnn._parameters import build_architecture

# Minibatches with dropout can't make weight k equal k copies; scikit-learn expects the same failure
# of its SGDClassifier. That loss and gradient are equal is shown below.
EXPECTED_FAILURE = "check_sample_weight_equivalence_on_dense_data"
N_CHECKS = 63 if parse_version(sklearn.__version__) >= parse_version("1.9") else 62


CONFIGURATIONS = [
    {"batch_normalization": True},
    {"global_pooling": "avg"},
    {"global_pooling": "max"},
    {"early_stopping": True},
    {"loss": "sparse_categorical_crossentropy"},
    {"optimizer": "adamw"},
    {"optimizer": "rmsprop"},
    {"optimizer": "sgd"},
    {"conv_stacks": (8, (16, 16)), "validation_fraction": 0.2},
    {"dense_units": ()},
    {"scaling": "unit"},
    {"scaling": None},
    {"label_smoothing": 0.1},
    {"padding": "same"},
    {"learning_rate_schedule": "cosine"},
    {"learning_rate_schedule": "one_cycle"},
    {"weight_decay": 0.01},
    {"warm_start": True},
]


def assert_passes_all_checks(classifier, expected_failures=frozenset({EXPECTED_FAILURE})):
    with np.errstate(all="ignore"):
        results = check_estimator(
            classifier,
            on_fail=None,
            on_skip=None,
            expected_failed_checks=dict.fromkeys(expected_failures, "see above"),
        )
    not_passed = {r["check_name"]: r["exception"] for r in results if r["status"] != "passed"}
    assert set(not_passed) <= expected_failures, not_passed
    assert len(results) >= N_CHECKS


@pytest.mark.filterwarnings("ignore")  # the checks provoke warnings
def test_default_passes_all_checks():
    assert_passes_all_checks(FashionCNNClassifier())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("params", CONFIGURATIONS, ids=str)
def test_configurations_pass_all_checks(params):
    failures = {EXPECTED_FAILURE}
    if "warm_start" in params:  # the check fits twice, and wants the same predictions
        failures.add("check_supervised_y_2d")
    assert_passes_all_checks(FashionCNNClassifier(**params), failures)


@pytest.mark.parametrize(
    "check", [check_param_validation, check_dataframe_column_names_consistency]
)
@pytest.mark.parametrize("params", [{}, *CONFIGURATIONS], ids=str)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
def test_checks_that_the_list_leaves_out(check, params):
    check("FashionCNNClassifier", FashionCNNClassifier(**params))


def test_no_tag_excuses():
    tags = get_tags(FashionCNNClassifier())
    assert not tags.non_deterministic
    assert not tags.no_validation
    assert not tags.classifier_tags.poor_score
    assert tags.input_tags.two_d_array
    assert tags.input_tags.three_d_array


def test_weight_k_equals_k_copies_in_loss_and_gradient():
    import tensorflow as tf

    from fashioncnn._layers import Training, train_network
    from fashioncnn._steps import cross_entropy

    params = FashionCNNClassifier((4,), (), conv_dropout=0).get_params()
    architecture = build_architecture(params, (5, 5, 1), 3)
    weights = initial_weights(architecture, np.random.SeedSequence(0))
    random = np.random.default_rng(0)
    images = random.random((6, 5, 5, 1), dtype=np.float32)
    codes = np.array([0, 1, 2, 0, 1, 2], np.int32)
    row_weights = np.array([1, 2, 3, 0, 1, 2], np.float32)

    def loss_and_gradient(images, codes, row_weights):
        values = {name: tf.constant(value) for name, value in weights.items()}

        def loss_of(logits):
            losses = cross_entropy(logits, tf.constant(codes), 0.1)
            return tf.reduce_sum(losses * row_weights) * len(images) / row_weights.sum()

        training = Training(0, 0, len(images), "float32")
        trained = train_network(architecture, values, tf.constant(images), training, loss_of)
        return trained.loss.numpy() / len(images), [g.numpy() for g in trained.gradients.values()]

    copies = np.repeat(np.arange(6), row_weights.astype(int))
    loss, gradients = loss_and_gradient(images, codes, row_weights)
    loss_of_copies, gradients_of_copies = loss_and_gradient(
        images[copies], codes[copies], np.ones(len(copies), np.float32)
    )
    np.testing.assert_allclose(loss, loss_of_copies, rtol=1e-6)
    for gradient, of_copies in zip(gradients, gradients_of_copies, strict=True):
        np.testing.assert_allclose(gradient, of_copies, rtol=1e-4, atol=1e-6)
