# SPDX-License-Identifier: BSD-3-Clause
"""Worker processes, one for each library: both ends of the pipe.

A request is a line of JSON with the name of a method of `Session` and its arguments; the answer is
one with its results, or with the error.
"""

import gc
import json
import os
import subprocess
import sys
import traceback
from typing import Any


class Worker:
    """A process that measures with one library.

    Parameters
    ----------
    library : str
        Its name.
    threads : int or None
        How many threads TensorFlow and PyTorch use; None leaves it to them.
    """

    def __init__(self, library: str, threads: int | None = None) -> None:
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
        if threads is not None:
            environment |= dict.fromkeys(
                ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"),
                str(threads),
            )
        self.library = library
        self.process = subprocess.Popen(
            [sys.executable, __file__, library],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def run(self, function: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Let the worker measure, and wait for its results."""
        print(json.dumps([function, arguments]), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.library} ended with exit code {self.process.wait()}")
        results = json.loads(answer)
        if "error" in results:
            raise RuntimeError(f"{self.library}, {function}{arguments}:\n{results['error']}")
        return results

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class Workers:
    """All that run now; they are idle but for one at a time."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, int | None], Worker] = {}

    def get(self, library: str, threads: int | None = None) -> Worker:
        """Return a library's worker, which is started where there is none."""
        key = library, threads
        if key not in self._running:
            self._running[key] = Worker(*key)
        return self._running[key]

    def close(self) -> None:
        """End all."""
        for worker in self._running.values():
            worker.close()
        self._running.clear()


def serve(library: str) -> None:
    """Answer requests until there are no more."""
    from _measure import Session

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    session = Session(library)
    for line in sys.stdin:
        function, arguments = json.loads(line)
        gc.collect()  # what the measurement before left
        try:
            results = getattr(session, function)(**arguments)
        except Exception:
            results = {"error": traceback.format_exc()}
        print(json.dumps(results), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
