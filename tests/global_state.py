# SPDX-License-Identifier: BSD-3-Clause
"""What belongs to the whole process, and is the user's."""

import os
import random

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context


def global_state(folder):
    return {
        "random": random.getstate(),
        "numpy": repr(np.random.get_state(legacy=False)["state"]),
        "tensorflow": (context.global_seed(), tf.config.functions_run_eagerly()),
        "keras": (
            keras.config.floatx(),
            keras.config.image_data_format(),
            keras.config.dtype_policy().name,
            keras.config.epsilon(),
            keras.config.is_interactive_logging_enabled(),
        ),
        "environment": dict(os.environ),
        "folder": sorted(os.listdir(folder)),
        "error state": np.geterr(),
    }
