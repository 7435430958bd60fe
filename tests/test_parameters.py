# SPDX-License-Identifier: BSD-3-Clause
"""What each parameter accepts and refuses, before TensorFlow is imported."""

import math

import numpy as np
import pytest
from sklearn.utils._param_validation import InvalidParameterError

from fashioncnn import FashionCNNClassifier
from fashioncnn._parameters import (
    build_architecture,
    parse_conv_stacks,
    parse_dense_units,
    parse_image_shape,
    parse_rates,
    parse_windows,
)

ACCEPTED = [
    (parse_conv_stacks, ((32, 64),), ((32, 64),)),
    (parse_conv_stacks, [8, [16, np.int64(16)]], ((8,), (16, 16))),
    (parse_dense_units, 128, (128,)),
    (parse_dense_units, [np.int32(64), 32], (64, 32)),
    (parse_dense_units, (), ()),
    (parse_windows, np.int64(3), (3, 3)),
    (parse_windows, [5, 3], (5, 3)),
    (parse_windows, ((5, 5), [3, 1]), ((5, 5), (3, 1))),
    (parse_rates, 0, 0.0),
    (parse_rates, np.float32(0.5), 0.5),
    (parse_rates, [0.1, 0.2], (0.1, 0.2)),
    (parse_image_shape, [28, 28], (28, 28, 1)),
    (parse_image_shape, (32, 32, 3), (32, 32, 3)),
]


@pytest.mark.parametrize(("parse", "value", "parsed"), ACCEPTED)
def test_nested_values_are_written_out(parse, value, parsed):
    assert parse(value) == parsed


REFUSED = {
    "conv_stacks": [
        (),
        [],
        ((),),
        ((0,),),
        ((-1,),),
        ((1.5,),),
        "32",
        32,
        None,
        ((True,),),
        ("a",),
    ],
    "dense_units": [0, -1, 1.5, (0,), "128", None, True, ((8,),)],
    "kernel_size": [0, -3, 3.0, (3,), (3, 3, 3), (), ((3,),), ((3, 3), 3), "3", None, True],
    "pool_size": [0, (0, 2), 2.0, ((2, 2), (2, 0)), None],
    "padding": ["full", "VALID", None, 0],
    "activation": ["Relu", None, max, "softmax"],
    "batch_normalization": ["yes", None, 2],
    "global_pooling": ["mean", True],
    "conv_dropout": [1, 1.0, -0.1, math.nan, "0.5", None, (), (0.5, 1.0), True, 10**400],
    "dense_dropout": [1.0, -0.1, math.nan, None],
    "loss": ["mse", None],
    "label_smoothing": [1.0, -0.1, math.nan],
    "class_weight": ["foo", [1, 2]],
    "optimizer": ["adamm", None],
    "learning_rate": [0, 0.0, -1, math.nan, math.inf, "0.1"],
    "learning_rate_schedule": ["Cosine", "step", None, abs],
    "weight_decay": [-0.1, math.nan, math.inf, "0.1", None],
    "epochs": [0, -1, 1.0, "3", None],
    "batch_size": [0, -1, 128.0, None],
    "early_stopping": ["yes", None, 2],
    "validation_fraction": [0, 0.0, 1, 1.0, 1.5, -0.1, math.nan],
    "n_iter_no_change": [0, -1, 2.0, math.inf, None],
    "tol": [-1e-4, math.nan, math.inf, None],
    "image_shape": [(28,), (28, 28, 1, 1), (0, 28), 28, "28x28", (28.0, 28)],
    "scaling": ["minmax", 1],
    "warm_start": ["yes", None, 2],
    "random_state": [-1, "seed", 1.5],
    "verbose": [-1, 3, "1", None],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values]
)
def test_bad_values_are_named_before_data_is_looked_at(name, value):
    clf = FashionCNNClassifier(**{name: value})
    with pytest.raises(InvalidParameterError) as error:
        clf.fit(None, None)
    assert str(error.value).startswith(f"The '{name}' parameter of FashionCNNClassifier must be ")
    assert f"Got {value!r} instead" in str(error.value)


def test_a_keras_optimizer_is_refused_with_the_remedy():
    import keras

    clf = FashionCNNClassifier(optimizer=keras.optimizers.Adam(0.01))
    with pytest.raises(InvalidParameterError, match=r"pass its name and its rate.*Got <keras"):
        clf.fit(None, None)


def test_every_parameter_has_refused_values():
    assert set(REFUSED) == set(FashionCNNClassifier().get_params())


def test_scalars_of_numpy_are_accepted(images, small):
    X, y = images
    clf = small(
        epochs=np.int64(1), learning_rate=np.float32(1e-3), batch_size=np.int32(16), verbose=False
    )
    assert clf.fit(X, y).n_iter_ == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kernel_size", ((3, 3), (3, 3), (3, 3))),
        ("pool_size", ((2, 2),)),
        ("conv_dropout", (0.1, 0.2, 0.3)),
    ],
)
def test_one_entry_per_stack(name, value):
    params = FashionCNNClassifier(**{"conv_stacks": (4, 8), name: value}).get_params()
    with pytest.raises(ValueError, match=rf"'{name}' parameter has {len(value)} entries.*2 stacks"):
        build_architecture(params, (28, 28, 1), 10)


def test_pairs_mean_height_and_width():
    params = FashionCNNClassifier((4, 8), kernel_size=(5, 3), pool_size=2).get_params()
    architecture = build_architecture(params, (28, 28, 1), 10)
    assert architecture.kernel_sizes == ((5, 3), (5, 3))
    assert architecture.pool_sizes == ((2, 2), (2, 2))
