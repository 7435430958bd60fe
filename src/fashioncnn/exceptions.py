# SPDX-License-Identifier: BSD-3-Clause
"""Warnings of this library, by which users can tell them from others."""


class PixelRangeWarning(UserWarning):
    """Pixels seem to be on another scale than those of training, or than the scaling takes."""
