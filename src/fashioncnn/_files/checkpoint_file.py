# SPDX-License-Identifier: BSD-3-Clause
"""The file of a fit that may be cut off: whose it is, when it is written, and what it says."""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import NoReturn

from fashioncnn._files.atomic_file import file_name, write_atomically
from fashioncnn._files.checkpoint_content import (
    TAKE_ANOTHER,
    Conditions,
    Content,
    Plan,
    Progress,
    write_content,
)
from fashioncnn._files.open_file import open_regular_file, refuse_unreadable
from fashioncnn._files.versions import installed_versions
from fashioncnn._messages import warn_user
from fashioncnn._network.checkpoint import Checkpoint, ResumableState
from fashioncnn.exceptions import CheckpointFileError

# A write that takes longer than 0.03 seconds makes the time until the next as many times longer: so
# writing takes 1 % of the time at most.
SECONDS_BETWEEN_WRITES = 3.0
SECONDS_OF_A_WRITE = 0.03

_DIGEST = re.compile("[0-9a-f]{64}")  # in place of data, and of a value too long for a message


class CheckpointFile:
    """The file of one fit.

    Parameters
    ----------
    path : str or path-like
        The file. A relative path stays what it stands for now.
    identity : dict of dict of str
        What tells the fit from others: "parameters" and "data".

    Raises
    ------
    TypeError, ValueError
        If `path` can't be the name of a file.
    """

    def __init__(
        self, path: str | os.PathLike[str], identity: Mapping[str, Mapping[str, str]]
    ) -> None:
        name = file_name(path, "checkpoint")
        self._name = name if os.path.isabs(name) else os.path.join(os.getcwd(), name)
        versions = {name: str(version) for name, version in installed_versions().items()}
        self._identity = {**identity, "versions": versions}
        self._plan: Plan | None = None
        self._has_written = False
        self._last_write = self._seconds_of_a_write = 0.0

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Let the file be of this fit from now on, unless this fails before its first write.

        Raises
        ------
        CheckpointFileError
            If there is a file, and it is of another fit, or no checkpoint, or can't be read.
        OSError
            If it can't be written.
        """
        with self._readable():
            is_new = not self._is_there()
        if is_new:
            self._write(None)
        self._last_write = time.monotonic()
        try:
            yield
        except BaseException:
            if is_new:
                self._remove_empty()
            raise

    def read(self, plan: Plan) -> Progress:
        """Return how far the fit has come: a state, what it has left if it has ended, or None.

        Raises
        ------
        CheckpointFileError
            If the file is of another fit by now, or can't hold what training makes.
        OSError
            If the fit has not ended, and the file can't be written.

        Warns
        -----
        UserWarning
            If the fit had another number of threads before.
        """
        plan.refuse_many(self._refuse)
        self._plan = plan
        progress, before = self._read(plan)
        if isinstance(progress, Checkpoint):
            return progress
        if before is not None:
            _warn_of_threads(before.n_threads, plan.conditions.n_threads)
        if not self._has_written:  # what can't be kept is to be known before it is trained
            self._write(progress)
        return progress

    def _read(self, plan: Plan) -> tuple[Progress, Conditions | None]:
        with self._readable(), suppress(FileNotFoundError), self._opened() as content:
            before = content.conditions
            if before is not None:
                precision = plan.conditions.precision
                self._compare({"precision_": before.precision}, {"precision_": precision})
            return content.read(plan), before
        return None, None

    def write_if_due(self, state: Callable[[], ResumableState]) -> None:
        """Write a state, if the last write is long enough ago."""
        times = max(1.0, self._seconds_of_a_write / SECONDS_OF_A_WRITE)
        if time.monotonic() - self._last_write >= SECONDS_BETWEEN_WRITES * times:
            self._write_or_warn(state, "The fit goes on, and tries it again.")

    def write_result(self, result: Checkpoint) -> None:
        """Write what the fit has left."""
        self._write_or_warn(lambda: result, "The fit has ended well: save keeps the classifier.")

    def _write_or_warn(self, progress: Callable[[], Progress], ending: str) -> None:
        """Write, and warn if that can't be, as on a full disk; refuse a file of another fit."""
        started = time.monotonic()
        try:
            self._is_there()
            self._write(progress())
        except (MemoryError, OSError) as error:
            reason = str(error) or "there is too little memory"
            warn_user(f"The checkpoint can't be written: {reason}. {ending}")
        self._last_write = time.monotonic()
        self._seconds_of_a_write = self._last_write - started

    def _write(self, progress: Progress) -> None:
        content = write_content(self._identity, self._plan, progress, self._refuse)
        write_atomically(self._name, [content])
        self._has_written = True

    @contextmanager
    def _opened(self) -> Iterator[Content]:
        """Open the file, which must be of this fit."""
        with open_regular_file(self._name, self._refuse, TAKE_ANOTHER) as (file, size):
            content = Content(file, size, self._refuse)
            for group, ours in self._identity.items():
                self._compare(content.identity[group], ours)
            yield content

    def _is_there(self) -> bool:
        """Say whether there is a file, which must be of this fit."""
        with suppress(FileNotFoundError), self._opened():
            return True
        return False

    def _readable(self) -> AbstractContextManager[None]:
        return refuse_unreadable(self._refuse, TAKE_ANOTHER)

    def _remove_empty(self) -> None:
        """Remove the file, if it says no more than whose it is."""
        with suppress(CheckpointFileError, OSError):
            with self._opened() as content:
                is_empty = content.is_empty
            if is_empty:
                os.unlink(self._name)

    def _compare(self, theirs: Mapping[str, str], ours: Mapping[str, str]) -> None:
        names = [name for name in {**ours, **theirs} if theirs.get(name) != ours.get(name)]
        changes = [(name, _change(theirs.get(name), ours.get(name))) for name in names]
        if changes:
            (first, change), *others = changes
            rest = "".join(f", {name} {text}" for name, text in others)
            self._refuse(first, f"{change}{rest}: the file is of another fit")

    def _refuse(self, field: str, problem: str, *advice: str) -> NoReturn:
        raise CheckpointFileError(self._name, field, problem, *advice)


def _warn_of_threads(before: int, now: int) -> None:
    if before != now:
        warn_user(
            f"The fit goes on with {now} threads of TensorFlow, and had {before} before, so its "
            "result may differ in the last bits. For the same bits set "
            f"TF_NUM_INTRAOP_THREADS={before} before Python starts, or call "
            f"tf.config.threading.set_intra_op_parallelism_threads({before}) first."
        )


def _change(before: str | None, now: str | None) -> str:
    """Say how a value has changed; digests say no more than that."""
    if any(text is None or _DIGEST.fullmatch(text) for text in (before, now)):
        return "is not the same"
    return f"was {before} and is {now}"
