# SPDX-License-Identifier: BSD-3-Clause
"""Warnings and errors of this library, by which users can tell them from others."""

_TAKE_ANOTHER = "The file is damaged or was changed: take another copy, or save the model anew."


class PixelRangeWarning(UserWarning):
    """Pixels seem to be on another scale than those of training, or than the scaling takes."""


class ModelFileError(ValueError):
    """A file is not what `FashionCNNClassifier.save` writes, so that it can't be loaded.

    Parameters
    ----------
    path : str
        The file.
    field : str
        What is wrong in it.
    problem : str
        What was received, and what was expected.
    advice : str
        What to do.
    """

    def __init__(self, path: str, field: str, problem: str, advice: str = _TAKE_ANOTHER) -> None:
        super().__init__(path, field, problem, advice)
        self.path = path
        self.field = field
        self.problem = problem
        self.advice = advice

    def __str__(self) -> str:
        """Say all in one text."""
        start = f"The model file {self.path!r} can't be loaded"
        return f"{start}: {self.field} {self.problem}. {self.advice}"
