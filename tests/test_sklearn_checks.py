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

# Minibatches with dropout can't make weight k equal k copies; scikit-learn expects the same failure
# of its SGDClassifier. That loss and gradient are equal is shown in test_properties.py.
EXPECTED_FAILURE = "check_sample_weight_equivalence_on_dense_data"
N_CHECKS = 63 if parse_version(sklearn.__version__) >= parse_version("1.9") else 62


CONFIGURATIONS = [
    {"batch_normalization": True},
    {"global_pooling": "avg"},
    {"global_pooling": "max"},
    {"early_stopping": True},
    {"loss": "sparse_categorical_crossentropy"},
    {"optimizer": "adamw"},
    {"optimizer": "muon"},
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
    # Mirrored or moved, rows of features would be other data.
    {"augment": {"erase": 0.1}},
    {"weight_averaging": 0.3},
    {"min_steps": 30},
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
@pytest.mark.parametrize(
    "params",
    [{}, *(pytest.param(params, marks=pytest.mark.slow) for params in CONFIGURATIONS)],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
@pytest.mark.filterwarnings("ignore:scaling='unit':UserWarning")  # of the checks' floats
def test_checks_that_the_list_leaves_out(check, params):
    check("FashionCNNClassifier", FashionCNNClassifier(**params))


def test_no_tag_excuses():
    tags = get_tags(FashionCNNClassifier())
    assert not tags.non_deterministic
    assert not tags.no_validation
    assert not tags.classifier_tags.poor_score
    assert tags.input_tags.two_d_array
    assert tags.input_tags.three_d_array
