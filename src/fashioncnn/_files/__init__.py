# SPDX-License-Identifier: BSD-3-Clause
"""What lasts: model files, read as data only. NumPy and safetensors only."""
