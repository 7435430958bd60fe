# SPDX-License-Identifier: BSD-3-Clause
"""Named settings of `FashionCNNClassifier`, for `FashionCNNClassifier.from_recipe`."""

from collections.abc import Mapping
from typing import Any, Literal

RecipeName = Literal["accurate", "article", "balanced", "fast", "tiny"]

# What all but the article's share: it learns much in few steps.
# `benchmarks/accuracy ablation` tells what each part gives.
_COMMON: Mapping[str, Any] = {
    "kernel_size": 3,
    "padding": "same",
    "activation": "relu",
    "pool_size": 2,
    "batch_normalization": True,
    "conv_dropout": 0.0,
    "dense_dropout": 0.0,
    "label_smoothing": 0.1,
    "optimizer": "muon",
    "learning_rate": 0.2,
    "learning_rate_schedule": "one_cycle",
    "weight_decay": 0.01,
    "batch_size": 256,
    "scaling": "standardize",
    "precision": "auto",
    "test_time_flip": True,
}

RECIPES: Mapping[str, Mapping[str, Any]] = {
    # The source article: its network is the default; pixels divided by 255, 30 % held out
    # (stratified and shuffled, where the article took the last rows), 12 epochs of batches of 128.
    "article": {
        "conv_stacks": ((32, 64),),
        "dense_units": (128,),
        "kernel_size": 3,
        "padding": "valid",
        "activation": "relu",
        "pool_size": 2,
        "conv_dropout": 0.25,
        "dense_dropout": 0.2,
        "loss": "categorical_crossentropy",
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "epochs": 12,
        "batch_size": 128,
        "validation_fraction": 0.3,
        "scaling": "unit",
        "precision": "float32",
    },
    # The most accuracy in some seconds: one convolution per stack, few channels at full size.
    "fast": {
        **_COMMON,
        "conv_stacks": ((16,), (32,), (64,)),
        "dense_units": (128,),
        "epochs": 4,
        "augment": "flip",
        "min_steps": 750,
    },
    # The most in two minutes: three convolutions per stack, with shortcuts around two of them.
    "balanced": {
        **_COMMON,
        "conv_stacks": ((16, 16, 16), (32, 32, 32), (64, 64, 64)),
        "dense_units": (128,),
        "residual": True,
        "epochs": 10,
        "augment": "flip",
        "min_steps": 1500,
    },
    # The most in an hour. Erased rectangles keep a network from learning pictures by heart.
    "accurate": {
        **_COMMON,
        "conv_stacks": ((32,) * 5, (64,) * 5, (128,) * 3),
        "dense_units": (128,),
        "residual": True,
        "epochs": 75,
        "augment": {"flip": "alternating", "erase": 0.5},
        "min_steps": 3000,
    },
    # The most of less than 100,000 parameters.
    "tiny": {
        **_COMMON,
        "conv_stacks": ((16,) * 4, (32,) * 4, (48,) * 2),
        "dense_units": (32,),
        "epochs": 88,
        "augment": {"flip": "alternating", "erase": 0.5},
        "min_steps": 3000,
    },
}
