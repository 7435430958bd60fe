# SPDX-License-Identifier: BSD-3-Clause
"""How TensorFlow computes a network; what is made of a fitted one is forgotten with it."""
