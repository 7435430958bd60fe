# SPDX-License-Identifier: BSD-3-Clause
"""Warnings and errors of this library, by which users can tell them from others."""

_TAKE_ANOTHER = "The file is damaged or was changed: take another copy, or save the model anew."

_START_ANEW = (
    "To start anew, delete the file, or set checkpoint to another path. In a search or "
    "cross-validation, where each fit would need a file of its own, set checkpoint=None."
)


class PixelRangeWarning(UserWarning):
    """Pixels seem to be on another scale than those of training, or than the scaling takes."""


class _FileError(ValueError):
    """A file is not what it should be."""

    _start: str  # of the message, with a place for the path
    _advice: str  # where there is no other

    def __init__(self, path: str, field: str, problem: str, advice: str | None = None) -> None:
        advice = self._advice if advice is None else advice
        super().__init__(path, field, problem, advice)
        self.path = path
        self.field = field
        self.problem = problem
        self.advice = advice

    def __str__(self) -> str:
        """Say all in one text."""
        start = self._start.format(repr(self.path))
        return f"{start}: {self.field} {self.problem}. {self.advice}"


class ModelFileError(_FileError):
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

    _start = "The model file {} can't be loaded"
    _advice = _TAKE_ANOTHER


class CheckpointFileError(_FileError):
    """The file of the parameter `checkpoint` is not of this fit, so that it can't go on from it.

    Parameters
    ----------
    path : str
        The file.
    field : str
        What is wrong in it, or differs.
    problem : str
        What was received, and what was expected.
    advice : str
        What to do.
    """

    _start = "The checkpoint {} can't be used"
    _advice = _START_ANEW
