# SPDX-License-Identifier: BSD-3-Clause
"""Labels of every kind that a classifier takes."""

import numpy as np

# Three sorted labels of each kind, of which the first two serve two classes.
LABELS = {
    "int": np.array([-1, 0, 7]),
    "uint64": np.array([3, 2**63 + 1, 2**64 - 1], np.uint64),
    "int8": np.array([-128, 0, 127], np.int8),
    "big-endian": np.array([1, 2, 300], ">i2"),
    "float": np.array([-1.0, 0.0, 1e9]),
    "float32": np.array([0, 1, 2], np.float32),
    "bool": np.array([False, True]),
    "str": np.array(["", "Ähre", "😀"]),
    "object": np.array(["a", "aa", "b"], dtype=object),
    "numbers": np.array([0, 1, 2], dtype=object),
}
