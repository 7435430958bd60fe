# SPDX-License-Identifier: BSD-3-Clause
"""What users pass, checked and made arrays: NumPy and scikit-learn only."""
