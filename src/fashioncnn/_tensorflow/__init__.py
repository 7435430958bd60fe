# SPDX-License-Identifier: BSD-3-Clause
"""How TensorFlow computes a network: nothing that is fitted lives here."""
