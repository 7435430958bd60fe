# SPDX-License-Identifier: BSD-3-Clause
"""How long a fit with a checkpoint takes, over all of its parts, and by which code it runs."""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import fashioncnn


def code_digest() -> str:
    """Return a short name for the code of the library."""
    digest: Any = hashlib.sha256()
    for source in sorted(Path(fashioncnn.__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


CODE = code_digest()  # which this process runs, whatever is changed later


class Clock:
    """The seconds of a fit over all of its parts, and their number.

    Of a part that was cut off, those until the last write to the checkpoint count; what was lost
    does not. They are noted in a file beside the checkpoint.

    Parameters
    ----------
    checkpoint : Path
        The file of the fit, which begins or goes on now.
    """

    def __init__(self, checkpoint: Path) -> None:
        self.seconds_before, self.n_parts = 0.0, 1
        self._started = time.perf_counter()
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        notes = notes_beside(checkpoint)
        if checkpoint.exists() and notes.exists():
            before = json.loads(notes.read_text(encoding="utf-8"))
            self.n_parts = before["n_parts"] + 1
            seconds_of_part = checkpoint.stat().st_mtime - before["started"]
            self.seconds_before = before["seconds_before"] + max(0.0, seconds_of_part)
        note = {"seconds_before": self.seconds_before, "n_parts": self.n_parts}
        notes.write_text(json.dumps(note | {"started": time.time()}), encoding="utf-8")

    @property
    def seconds(self) -> float:
        """What the fit has taken so far."""
        return self.seconds_before + time.perf_counter() - self._started


def notes_beside(checkpoint: Path) -> Path:
    """Return the path of the notes on a fit."""
    return checkpoint.with_suffix(".json")


def forget(checkpoint: Path) -> None:
    """Delete what is on disk of a fit, once its results are written."""
    for path in (checkpoint, notes_beside(checkpoint)):
        path.unlink(missing_ok=True)
