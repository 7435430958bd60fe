# SPDX-License-Identifier: BSD-3-Clause
"""What lasts: files, which come without TensorFlow and scikit-learn."""
