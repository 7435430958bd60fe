# SPDX-License-Identifier: BSD-3-Clause
"""What a network, its data and its state are: values and NumPy only."""
