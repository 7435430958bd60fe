# SPDX-License-Identifier: BSD-3-Clause
"""What each parameter accepts and refuses, before TensorFlow is imported."""

import math
import re
import warnings
from fractions import Fraction

import numpy as np
import pytest
from keras.callbacks import EarlyStopping
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils._param_validation import InvalidParameterError

from fashioncnn import FashionCNNClassifier
from fashioncnn._inputs.architecture import build_architecture, warn_of_architecture
from fashioncnn._inputs.nested import (
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
    (parse_conv_stacks, np.array([8, 16]), ((8,), (16,))),
    (parse_conv_stacks, np.array([[8, 8], [16, 16]], np.uint8), ((8, 8), (16, 16))),
    (parse_conv_stacks, [np.array([8, 8]), 16], ((8, 8), (16,))),
    (parse_conv_stacks, np.array([8, (16, 16)], object), ((8,), (16, 16))),
    (parse_dense_units, np.array([4]), (4,)),
    (parse_dense_units, np.array([], int), ()),
    (parse_dense_units, range(8, 17, 8), (8, 16)),
    (parse_windows, np.array([5, 3]), (5, 3)),
    (parse_windows, np.array([[5, 5], [3, 1]]), ((5, 5), (3, 1))),
    (parse_rates, np.array([0.25, 0.5], np.float32), (0.25, 0.5)),
    (parse_image_shape, np.array([28, 28]), (28, 28, 1)),
    (parse_image_shape, [28, 28], (28, 28, 1)),
    (parse_image_shape, (32, 32, 3), (32, 32, 3)),
]


@pytest.mark.parametrize(("parse", "value", "parsed"), ACCEPTED)
def test_nested_values_are_written_out(parse, value, parsed):
    assert parse(value) == parsed


REFUSED = {
    "conv_stacks": [
        (np.timedelta64(4, "s"),),
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
        np.array(4),
        np.array([4.0]),
        np.zeros((2, 0), int),
        np.ones((2, 2, 2), int),
    ],
    "dense_units": [
        *(0, -1, 1.5, (0,), "128", None, True, ((8,),), b"a", bytearray(b"a"), memoryview(b"a")),
        *(np.array(4), np.array([4.0]), np.array([True]), np.array(["4"]), np.array([[4]])),
    ],
    "kernel_size": [
        0,
        -3,
        3.0,
        (3,),
        (3, 3, 3),
        (),
        ((3,),),
        ((3, 3), 3),
        "3",
        None,
        True,
        np.array([3]),
        np.array([3.0, 3.0]),
        np.zeros((0, 2), int),
    ],
    "pool_size": [0, (0, 2), 2.0, ((2, 2), (2, 0)), None],
    "padding": ["full", "VALID", None, 0],
    "activation": ["Relu", None, max, "softmax"],
    "batch_normalization": ["yes", None, 2],
    "residual": ["yes", None, 2, "same"],
    "global_pooling": ["mean", True],
    "conv_dropout": [
        1,
        1.0,
        -0.1,
        math.nan,
        "0.5",
        None,
        (),
        (0.5, 1.0),
        True,
        10**400,
        1 - 1e-9,
        np.array(0.5),
        np.array([]),
        np.array([0.5, 1.0]),
    ],
    "dense_dropout": [1.0, -0.1, math.nan, None, False, 10**400, np.array(0.5), 1 - 1e-9],
    "loss": ["mse", None],
    "label_smoothing": [1.0, -0.1, math.nan, False, "0.1", 10**400],
    "class_weight": ["foo", [1, 2]],
    "optimizer": ["adamm", None],
    "learning_rate": [
        0,
        0.0,
        -1,
        math.nan,
        np.float32("nan"),
        math.inf,
        "0.1",
        True,
        10**400,
        1e39,
        1e-46,
        Fraction(1, 10**400),
        np.longdouble("1e4000"),
        np.array(0.1),
        np.array([0.1]),
    ],
    "learning_rate_schedule": ["Cosine", "step", None, abs],
    "weight_decay": [
        np.timedelta64(1, "s"),
        -0.1,
        math.nan,
        math.inf,
        "0.1",
        None,
        True,
        10**400,
        1e39,
    ],
    "epochs": [np.timedelta64(1, "s"), 0, -1, 1.0, "3", None, True, 10**400, math.nan, np.array(3)],
    "batch_size": [0, -1, 128.0, None, True, 10**400],
    "augment": [
        *(
            "mirror",
            "",
            "FLIP",
            True,
            2,
            ["flip"],
            ("flip", "shift"),
            {},
            {"flip"},
            np.array("flip"),
        ),
        *({"flips": "random"}, {"flip": "random", "mirror": True}, {1: 2}, {None: 1}),
        *({"flip": "horizontal"}, {"flip": True}, {"flip": ["random"]}, {"flip": np.array([1, 2])}),
        *({"shift": -1}, {"shift": 2.0}, {"shift": True}, {"shift": None}, {"shift": (1, 2)}),
        *({"erase": -0.1}, {"erase": 1.5}, {"erase": math.nan}, {"erase": True}, {"erase": "1"}),
        *(
            {"erase": None},
            {"erase": np.timedelta64(0, "s")},
            {"erase": 10**400},
            {"erase": np.array([0.5])},
        ),
    ],
    "early_stopping": ["yes", None, 2],
    "validation_fraction": [0, 0.0, 1, 1.0, 1.5, -0.1, math.nan, True, 10**400],
    "n_iter_no_change": [0, -1, 2.0, math.inf, None, True, 10**400],
    "tol": [-1e-4, math.nan, math.inf, None, False, 10**400],
    "image_shape": [(28,), (28, 28, 1, 1), (0, 28), 28, "28x28", (28.0, 28), np.array([28.0, 28])],
    "scaling": ["minmax", 1],
    "precision": ["float16", "mixed_bfloat16", None, 32],
    "test_time_flip": ["yes", None, 2],
    "weight_averaging": [1, 1.0, -0.1, math.nan, None, True, "0.5", 10**400, 1 - 1e-9],
    "min_steps": [-1, 100.0, None, True, "100", math.inf, 10**400],
    "checkpoint": [0, True, b"name", ["name"]],
    "callbacks": ["x", 1, [1], [[]], {}, EarlyStopping, [EarlyStopping]],
    "warm_start": ["yes", None, 2],
    "random_state": [-1, "seed", 1.5, 2**32, np.timedelta64(1, "s")],
    "verbose": [-1, 3, "1", None, 10**400, np.timedelta64(1)],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values]
)
def test_bad_values_are_named_before_data_is_looked_at(refused, name, value):
    message = f"^The '{name}' parameter of FashionCNNClassifier must be .*"
    received = re.escape(re.sub(r"\s+", " ", f"Got {value!r} instead"))
    message += received
    refused(lambda clf: clf.fit(None, None), InvalidParameterError, message, **{name: value})


def test_a_keras_optimizer_is_refused_with_the_remedy():
    import keras

    clf = FashionCNNClassifier(optimizer=keras.optimizers.Adam(0.01))
    with pytest.raises(InvalidParameterError, match=r"pass its name and its rate.*Got <keras"):
        clf.fit(None, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [("conv_stacks", ((10**400,),)), ("dense_units", 2**63), ("dense_units", (2**40,))],
)
def test_a_network_that_no_memory_holds_is_refused(images, refused, name, value):
    message = rf"'conv_stacks' and 'dense_units' parameters ask for .* Got .*{name}="
    refused(lambda clf: clf.fit(*images), ValueError, message, **{name: value})


def test_unknown_parameters_are_refused():
    message = r"Invalid parameter 'foo' for estimator .* Valid parameters are: \['activation',"
    with pytest.raises(ValueError, match=message):
        FashionCNNClassifier().set_params(foo=1)


def test_unknown_parameters_in_a_grid_are_refused(images, small):
    grid = GridSearchCV(small(), {"foo": [1]}, cv=2)
    with pytest.raises(ValueError, match="Invalid parameter 'foo' for estimator FashionCNN"):
        grid.fit(*images)


def test_every_parameter_has_refused_values():
    assert set(REFUSED) == set(FashionCNNClassifier().get_params())


def test_scalars_of_numpy_are_accepted(images, small):
    X, y = images
    clf = small(
        epochs=np.int64(1), learning_rate=np.float32(1e-3), batch_size=np.int32(16), verbose=False
    )
    assert clf.fit(X, y).n_iter_ == 1
    for number in (np.float64(0.25), np.float16(0.25), Fraction(1, 4)):
        names = ("dense_dropout", "label_smoothing", "learning_rate", "weight_decay", "tol")
        values = dict.fromkeys(names, number)
        assert clf.set_params(**values, validation_fraction=number).fit(X, y).n_iter_ == 1


ARRAYS = {
    "conv_stacks": np.array([[4, 4], [4, 4]]),
    "dense_units": np.array([4]),
    "kernel_size": np.array([[3, 3], [2, 1]]),
    "pool_size": np.array([2, 1]),
    "conv_dropout": np.array([0.25, 0.5]),
    "image_shape": np.array([6, 6]),
}


def test_arrays_of_numpy_pass_wherever_tuples_do(images, small):
    X, y = images
    as_arrays = clone(small(epochs=1, warm_start=True, **ARRAYS))
    assert all(as_arrays.get_params()[name] is not value for name, value in ARRAYS.items())
    as_lists = small(epochs=1, **{name: value.tolist() for name, value in ARRAYS.items()})
    expected = as_lists.fit(X.reshape(90, 36), y).predict_proba(X)
    np.testing.assert_array_equal(as_arrays.fit(X.reshape(90, 36), y).predict_proba(X), expected)
    as_arrays.set_params(**as_lists.get_params()).set_params(warm_start=True).fit(X, y)
    assert as_arrays.n_iter_ == 2  # the network is the same, in whatever form it is asked for
    assert "dense_units=array([4])" in repr(small(**ARRAYS))


def test_arrays_of_numpy_in_a_grid(images, small):
    search = GridSearchCV(small(epochs=1), {"dense_units": [np.array([4]), np.array([4, 2])]}, cv=2)
    assert isinstance(search.fit(*images).best_params_["dense_units"], np.ndarray)


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


def test_shortcuts_need_maps_of_one_size():
    params = FashionCNNClassifier(((4, 4), 8), residual=True).get_params()
    with pytest.raises(ValueError, match=r"Set padding='same', or residual=False") as caught:
        build_architecture(params, (28, 28, 1), 10)
    assert str(caught.value).endswith("Got residual=True and padding='valid'.")
    for remedy in ({"padding": "same"}, {"residual": False}):
        build_architecture({**params, **remedy}, (28, 28, 1), 10)


@pytest.mark.parametrize("conv_stacks", [(4, 8), ((4, 8), (8, 16, 16)), ((4,),)])
def test_shortcuts_that_cannot_be_warn(conv_stacks):
    params = FashionCNNClassifier(conv_stacks, padding="same", residual=True).get_params()
    with pytest.warns(UserWarning, match="adds no shortcut to this network.* Give a stack"):
        warn_of_architecture(build_architecture(params, (28, 28, 1), 10))


def test_the_remedies_for_shortcuts_that_cannot_be_help():
    params = FashionCNNClassifier((4, 8), padding="same", residual=True).get_params()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for remedy in ({"conv_stacks": ((32, 32, 32), (64, 64, 64))}, {"residual": False}):
            warn_of_architecture(build_architecture({**params, **remedy}, (28, 28, 1), 10))


def test_pairs_mean_height_and_width():
    params = FashionCNNClassifier((4, 8), kernel_size=(5, 3), pool_size=2).get_params()
    architecture = build_architecture(params, (28, 28, 1), 10)
    assert architecture.kernel_sizes == ((5, 3), (5, 3))
    assert architecture.pool_sizes == ((2, 2), (2, 2))


def test_large_images_warn_of_the_layer_that_has_most_parameters():
    params = FashionCNNClassifier().get_params()
    with pytest.warns(
        UserWarning,
        match=r"99,142,978 parameters on images of shape \(224, 224, 3\), .* dense1/kernel has "
        r"99,123,200 of them\. Use global_pooling='avg', a larger pool_size, or more stacks",
    ):
        warn_of_architecture(build_architecture(params, (224, 224, 3), 2))


@pytest.mark.parametrize(
    "params",
    [
        {"global_pooling": "avg"},
        {"pool_size": 16},
        {"conv_stacks": ((32, 64),) * 3},
    ],
)
def test_the_remedies_for_large_images_help(params):
    params = FashionCNNClassifier(**params).get_params()
    architecture = build_architecture(params, (224, 224, 3), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_architecture(architecture)
    assert architecture.n_parameters < 10_000_000
