# SPDX-License-Identifier: BSD-3-Clause
"""Give the reader of model files many inputs, and count what it does with them.

``python tools/fuzz_model_files.py --inputs 1000000 --seed 0 --processes 2``. Each input must be
refused by a ModelFileError with a message that can be printed, or give a classifier that predicts
finite probabilities, or refuses to, and is saved and loaded again. Nothing may be imported, opened
or executed, nothing warned of, and no input may take long or much memory. What is otherwise is a
fault, which is printed with its number; ``--write 1234 file`` writes that input, to look at.
"""

import argparse
import functools
import importlib.metadata
import io
import resource
import signal
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import safetensors

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from fuzzed_model_files import classifiers, made_input

from fashioncnn import FashionCNNClassifier, classifier
from fashioncnn._files.model_file import ModelFile, refuse_to_load
from fashioncnn.exceptions import ModelFileError, PixelRangeWarning

SECONDS = 5.0  # what takes longer hangs
EXTRA_MEMORY = 2**29  # bytes beyond those of the start
LARGEST_IMAGE = 10_000  # pixels; larger ones, which a file may ask for, are not predicted
LONGEST_MESSAGE = 1000
PIECE = 1000  # inputs that a process tries at a time
HARMLESS = {"builtins.id", "object.__getattr__", "sys._getframe"}  # events of the audit
NAME = "fuzzed"  # what messages call the input

Outcomes = Counter[tuple[str, str]]


class Watch:
    """What the interpreter says that it does, while an input is read."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.is_watching = False
        sys.addaudithook(self._hook)

    def __enter__(self) -> None:
        """Begin to watch."""
        self.is_watching = True

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.is_watching = False

    def _hook(self, event: str, arguments: Any) -> None:
        if self.is_watching and event not in HARMLESS:
            self.is_watching = False
            self.events.append(f"{event} {arguments!r:.200}")


class Hang(BaseException):
    """An input takes long."""


def interrupt(*_: Any) -> None:
    """Stop what hangs."""
    raise Hang


@contextmanager
def opened(content: bytes, sha256: str | None, max_bytes: int) -> Iterator[ModelFile]:
    """Stand for the opening of a file: `load` is given the bytes themselves."""
    yield ModelFile(io.BytesIO(content), len(content), refuse_to_load(NAME), sha256)


def saved(clf: FashionCNNClassifier) -> bytes:
    """Return what would be written of a classifier."""
    contents: list[bytes] = []
    with mock.patch.object(classifier, "write_atomically", lambda _, parts: contents.extend(parts)):
        clf.save("")
    return b"".join(contents)


def check_message(message: str, start: str) -> None:
    """Check that a message says what it should, and does nothing to a terminal."""
    assert message.startswith(start), message
    assert message.isprintable(), repr(message)
    assert len(message) <= LONGEST_MESSAGE, message


def outcome_of(content: bytes, watch: Watch) -> str:
    """Read an input and predict with what has been read.

    Raises
    ------
    Exception
        Of another kind than documented, or AssertionError if the result is wrong.
    """
    try:
        with watch:
            clf = FashionCNNClassifier.load(content)
    except ModelFileError as error:
        check_message(str(error), f"The model file {NAME!r} can't be loaded: {error.field} ")
        return "refused"
    safetensors.deserialize(content)
    if np.prod(clf.image_shape_, dtype=float) > LARGEST_IMAGE:
        return "loaded, with large images"
    images = np.full((1, *clf.image_shape_), 3.0)
    try:
        with watch:
            probabilities = clf.predict_proba(images)
    except ValueError as error:
        check_message(str(error), "The network's output is not finite")
        return "loaded, and refuses to predict"
    assert probabilities.shape == (1, len(clf.classes_)), probabilities.shape
    assert abs(probabilities.sum() - 1) < 1e-5, probabilities
    assert clf.predict(images).tolist()[0] in clf.classes_.tolist()
    again = saved(clf)
    assert saved(FashionCNNClassifier.load(again)) == again
    return "loaded, and predicts"


class Fuzzer:
    """What a process needs to try inputs, one after the other."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.files = [saved(clf) for clf in classifiers()]
        classifier.open_model_file = opened
        # It looks into folders each time.
        importlib.metadata.version = functools.cache(importlib.metadata.version)
        self.watch = Watch()
        for content in self.files:  # which imports what is needed
            assert outcome_of(content, self.watch) == "loaded, and predicts"
        self.watch.events.clear()

    def input(self, number: int) -> tuple[str, bytes]:
        """Return an input and its kind."""
        return made_input(self.seed, number, self.files)

    def try_input(self, number: int) -> tuple[str, str, str]:
        """Return the kind of an input, the outcome, and what is wrong about it, if anything."""
        kind, content = self.input(number)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        error: BaseException | None = None
        try:
            outcome = outcome_of(content, self.watch)
        except (Exception, Hang) as caught:
            error = caught
        signal.setitimer(signal.ITIMER_REAL, 0)
        fault = "" if error is None else "".join(traceback.format_exception(error))
        if self.watch.events:
            fault += str(self.watch.events)
            self.watch.events.clear()
        return kind, "FAULT" if fault else outcome, fault


def prepare() -> None:
    """Make warnings errors, hangs exceptions, and memory scarce."""
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", PixelRangeWarning)  # of pixels beyond a forged range
    signal.signal(signal.SIGALRM, interrupt)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + EXTRA_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def try_inputs(seed: int, numbers: range) -> tuple[Outcomes, dict[int, str]]:
    """Return how often each outcome was, by kinds of input, and the faults by numbers."""
    fuzzer, outcomes, faults = fuzzer_of(seed), Outcomes(), {}
    for number in numbers:
        kind, outcome, fault = fuzzer.try_input(number)
        outcomes[kind, outcome] += 1
        if fault:
            faults[number] = fault
    return outcomes, faults


@functools.cache
def fuzzer_of(seed: int) -> Fuzzer:
    """Return the one of this process."""
    fuzzer = Fuzzer(seed)
    prepare()
    return fuzzer


def in_processes(
    n: int, seed: int, pieces: list[range]
) -> Iterator[tuple[Outcomes, dict[int, str]]]:
    """Try pieces of all inputs, in this process or in several."""
    if n == 1:
        yield from map(functools.partial(try_inputs, seed), pieces)
        return
    with ProcessPoolExecutor(n, mp_context=get_context("spawn")) as pool:
        yield from pool.map(functools.partial(try_inputs, seed), pieces)


def main() -> None:
    """Try inputs, and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--write", nargs=2, metavar=("NUMBER", "FILE"), help="write one input")
    arguments = parser.parse_args()
    if arguments.write:
        number, name = arguments.write
        kind, content = made_input(
            arguments.seed, int(number), [saved(clf) for clf in classifiers()]
        )
        Path(name).write_bytes(content)
        print(kind)
        return
    numbers = range(arguments.inputs)
    pieces = [numbers[start : start + PIECE] for start in numbers[::PIECE]]
    outcomes, faults = Outcomes(), {}
    for found, wrong in in_processes(arguments.processes, arguments.seed, pieces):
        outcomes += found
        faults |= wrong
    for (kind, outcome), n in sorted(outcomes.items()):
        print(f"{kind:14}{outcome:32}{n:9,}")
    for number, fault in faults.items():
        print(f"\ninput {number}: {fault}")
    print(f"{outcomes.total():,} inputs, {len(faults)} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
