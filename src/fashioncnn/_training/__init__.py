# SPDX-License-Identifier: BSD-3-Clause
"""The loop: epochs of steps, validation, callbacks, and when to stop."""
