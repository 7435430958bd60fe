# SPDX-License-Identifier: BSD-3-Clause
"""Named settings of `FashionCNNClassifier`, for `FashionCNNClassifier.from_recipe`."""

from collections.abc import Mapping
from typing import Any, Literal

RecipeName = Literal["article", "fast"]

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
    # The most accuracy in some seconds: one convolution per stack, few channels at full size, and
    # what learns much in few steps. `benchmarks/accuracy ablation` tells what each part gives.
    "fast": {
        "conv_stacks": ((16,), (32,), (64,)),
        "dense_units": (128,),
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
        "epochs": 4,
        "batch_size": 256,
        "augment": "flip",
        "scaling": "standardize",
        "precision": "auto",
        "test_time_flip": True,
        "min_steps": 750,
    },
}
