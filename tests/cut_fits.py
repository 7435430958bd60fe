# SPDX-License-Identifier: BSD-3-Clause
"""Fits that are cut off between two epochs, by an error that stands for what kills a process."""

from contextlib import contextmanager
from unittest import mock

from fashioncnn._training.loop import Training


class CutOffError(Exception):
    """In place of what kills a process."""


@contextmanager
def cut_off_after(n_epochs, error=CutOffError):
    """Raise an error in a fit when so many epochs have ended, and there is another.

    A callback would do that, too. But TensorFlow computes gelu and hard_silu with other roundings
    where there are callbacks, and the parts of a fit are to have the same bits.
    """
    run_epoch = Training.run_epoch

    def run_or_fail(training):
        if training.epoch == n_epochs:
            raise error
        run_epoch(training)

    with mock.patch.object(Training, "run_epoch", run_or_fail):
        yield
