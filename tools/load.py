# SPDX-License-Identifier: BSD-3-Clause
"""Predict in many threads of several processes at once, and compare with calls made alone (Linux).

``python tools/load.py --seconds 60 --threads 16 --processes 4 --recipe fast``. A classifier is
trained and saved to one file. Each process loads that file, and again every now and then; one
saves it anew meanwhile. Its threads predict 1 to 500 pictures a call, as uint8, float32 and
float64, while one more thread trains. Before, one process has made all these calls and the fit
alone. Each answer must equal that of the call made alone, bit for bit, and to rounding those of
its pictures one by one; each fit must end at the same weights. All threads end and begin again a
few times: what a process holds while none runs may not grow from each rest to the next. (In some
rounds it does: TensorFlow's threads keep room for their work, some 60 MB at a time.) What differs
is printed, and the exit code is 1. ``--plant`` changes some answers that are expected, to see that
it is found.
"""

import argparse
import ctypes
import faulthandler
import gc
import os
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on CPU and GPU

import numpy as np

from fashioncnn import FashionCNNClassifier, load_fashion_mnist_sample
from fashioncnn.recipes import RECIPES

METHODS = ("predict_proba", "predict", "decision_function")
DTYPES = ("uint8", "float32", "float64")
MOST_IMAGES = 500
N_CASES = 150
ROUNDING = 1e-5  # of the largest logit of a row, or of 1, as the docs say
CALLS_BETWEEN_LOADS = 5  # of the first thread of each process
SECONDS_BETWEEN_SAVES = 0.25
SECONDS_TO_HANG = 600  # beyond those of the run
ROUNDS = 5  # after each of which all threads end
ALLOWED = (10, 0, 0)  # MB, threads and open files that each round may add


class Case(NamedTuple):
    """Which pictures are predicted together, as which dtype."""

    start: int
    size: int
    dtype: str


class Task(NamedTuple):
    """What a process is given."""

    path: Path
    recipe: str
    answers: dict[tuple[Case, str], bytes]  # of calls made alone
    trained: bytes  # weights and history of a fit made alone
    seed: int
    n_threads: int
    seconds: float
    calls: float  # of each thread in a round, at most


@dataclass
class Report:
    """What a process has done and found."""

    calls: int = 0
    pictures: int = 0
    counts: Counter[str] = field(default_factory=Counter)  # fits, loads, saves
    seconds: list[float] = field(default_factory=list)  # of each call
    faults: list[str] = field(default_factory=list)
    rests: list[tuple[float, int, int]] = field(default_factory=list)
    peak: float = 0.0


def new_classifier(recipe: str, **params: Any) -> FashionCNNClassifier:
    """Make a classifier of the default network, or by a recipe."""
    params = {"epochs": 2, "min_steps": 0, "random_state": 0, **params}
    if recipe == "default":
        return FashionCNNClassifier(**params)
    return FashionCNNClassifier.from_recipe(recipe, **params)


def pictures() -> dict[str, np.ndarray]:
    """Return pictures that nothing was trained on, in each dtype."""
    images = load_fashion_mnist_sample("test")[0]
    return {dtype: images.astype(dtype) for dtype in DTYPES}


def draw_cases(n_images: int) -> list[Case]:
    """Draw which pictures are predicted together: as often few as many."""
    random = np.random.default_rng(0)
    sizes = np.exp(random.uniform(0, np.log(MOST_IMAGES + 1), N_CASES)).astype(int)
    sizes[:2] = 1, MOST_IMAGES
    return [
        Case(int(random.integers(n_images - size + 1)), int(size), DTYPES[i % len(DTYPES)])
        for i, size in enumerate(sizes)
    ]


def call(clf: FashionCNNClassifier, images: dict[str, np.ndarray], case: Case, method: str) -> Any:
    """Predict the pictures of a case."""
    X = images[case.dtype][case.start : case.start + case.size]
    return getattr(clf, method)(X)


def train(recipe: str) -> bytes:
    """Train the classifier that is trained under load, and return weights and history as bytes."""
    X, y = load_fashion_mnist_sample("train")
    clf = new_classifier(recipe, epochs=1, random_state=1).fit(X[:256], y[:256])
    weights = b"".join(weight.tobytes() for weight in clf.model_.get_weights())
    return weights + repr(clf.history_).encode()


def answers_alone(clf: FashionCNNClassifier) -> tuple[dict[tuple[Case, str], bytes], float]:
    """Make all calls one by one, and compare their logits with those of each picture alone.

    Returns
    -------
    answers, rounding : dict, float
        The bytes of each answer, and the largest difference as a share of what is a row's largest
        logit, or 1.
    """
    images = pictures()
    single = [clf.decision_function(image[np.newaxis])[0] for image in images["uint8"]]
    logits, answers, rounding = np.stack(single), {}, 0.0
    for case in draw_cases(len(logits)):
        for method in METHODS:
            answer = call(clf, images, case, method)
            answers[case, method] = answer.tobytes()
        alone = logits[case.start : case.start + case.size]
        largest = np.abs(alone).max(axis=1, keepdims=True).clip(min=1)
        rounding = max(rounding, float((np.abs(answer - alone) / largest).max()))
    return answers, rounding


class Load:
    """The threads of one process."""

    def __init__(self, task: Task) -> None:
        self.task, self.report, self.lock = task, Report(), threading.Lock()
        self.images = pictures()
        self.cases = list(task.answers)
        self.clf = FashionCNNClassifier.load(task.path)
        self.end, self.is_over = 0.0, threading.Event()

    def run(self) -> Report:
        """Predict, train, load and save in several rounds, with a rest after each."""
        for number in range(ROUNDS):
            self._run_round(number)
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)  # what has been freed is no growth
            megabytes, peak = (status(name) / 1024 for name in ("VmRSS", "VmHWM"))
            files = len(os.listdir("/proc/self/fd"))
            self.report.rests.append((megabytes, int(status("Threads")), files))
            self.report.peak = peak
        return self.report

    def _run_round(self, number: int) -> None:
        self.end = time.monotonic() + self.task.seconds / ROUNDS
        self.is_over.clear()
        n = self.task.n_threads
        predicting = self._start(self._predict, range(number * n, (number + 1) * n))
        others = self._start(self._train, range(1))
        if self.task.seed == 0:
            others += self._start(self._save, range(1))
        for thread in predicting:
            thread.join()
        self.is_over.set()
        for thread in others:
            thread.join()

    def _start(self, work: Callable[[int], None], numbers: range) -> list[threading.Thread]:
        threads = [threading.Thread(target=self._note, args=(work, i)) for i in numbers]
        for thread in threads:
            thread.start()
        return threads

    def _note(self, work: Callable[[int], None], number: int) -> None:
        try:
            work(number)
        except Exception as error:
            self._fault(f"{work.__name__} failed: {type(error).__name__}: {error}")

    def _fault(self, text: str) -> None:
        with self.lock:
            self.report.faults.append(f"process {self.task.seed}: {text}")

    def _count(self, what: str) -> None:
        with self.lock:
            self.report.counts[what] += 1

    def _predict(self, number: int) -> None:
        random, turn = np.random.default_rng((self.task.seed, number)), 0
        while turn < self.task.calls and time.monotonic() < self.end:
            turn += 1
            if number % self.task.n_threads == 0 and turn % CALLS_BETWEEN_LOADS == 0:
                self.clf = FashionCNNClassifier.load(self.task.path)
                self._count("loads")
            case, method = self.cases[random.integers(len(self.cases))]
            start = time.perf_counter()
            answer = call(self.clf, self.images, case, method)
            seconds = time.perf_counter() - start
            if answer.tobytes() != self.task.answers[case, method]:
                self._fault(f"{method} of {case} differs from the call made alone")
            with self.lock:
                self.report.calls += 1
                self.report.pictures += case.size
                self.report.seconds.append(seconds)

    def _train(self, _: int) -> None:
        while True:  # at least one
            if train(self.task.recipe) != self.task.trained:
                self._fault("a fit ends at other weights or another history than alone")
            self._count("fits")
            if self.is_over.is_set():
                return

    def _save(self, _: int) -> None:
        content = self.task.path.read_bytes()
        while not self.is_over.wait(SECONDS_BETWEEN_SAVES):
            self.clf.save(self.task.path)
            if self.task.path.read_bytes() != content:
                self._fault("the file saved anew is another")
            self._count("saves")


def status(name: str) -> float:
    """Read a number from this process' status."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return float(re.findall(rf"{name}:\s+(\d+)", text)[0])


def run_process(task: Task) -> Report:
    """Run the threads of a process, which ends with all their stacks if it hangs."""
    faulthandler.dump_traceback_later(task.seconds + SECONDS_TO_HANG, exit=True)
    report = Load(task).run()
    faulthandler.cancel_dump_traceback_later()
    return report


def growth(report: Report) -> tuple[str, bool]:
    """Compare what a process holds at its rests; say whether it has grown in each round."""
    least = np.diff(report.rests, axis=0).min(axis=0)
    rests = ", ".join(f"{megabytes:.0f}" for megabytes, _, _ in report.rests)
    calls = report.calls / ROUNDS
    text = (
        f"{rests} MB at rest, so {least[0] / calls:+.4f} a call or less stay; {report.peak:.0f} at "
        f"most; {report.rests[-1][1]} threads and {report.rests[-1][2]} open files, at first "
        f"{report.rests[0][1]} and {report.rests[0][2]}"
    )
    return text, bool((least > ALLOWED).any())


def summarize(reports: list[Report], n_threads: int, rounding: float) -> bool:
    """Print what was done and found; return whether all is well."""
    faults = [fault for report in reports for fault in report.faults]
    seconds = np.concatenate([report.seconds for report in reports])
    counts = sum((report.counts for report in reports), Counter())
    print(
        f"{len(reports)} processes x {n_threads} threads: {len(seconds):,} calls of "
        f"{sum(report.pictures for report in reports):,} pictures compared bit for bit, "
        f"{counts['fits']} fits, {counts['loads']} loads, {counts['saves']} saves, "
        f"{len(faults)} faults"
    )
    print(f"to each picture alone: {rounding:.1e} of the largest logit, {ROUNDING:.0e} is allowed")
    for number, report in enumerate(reports):
        text, has_grown = growth(report)
        print(f"process {number}: {text}")
        if has_grown:
            faults.append(f"process {number} has grown")
    median, most = np.percentile(seconds, [50, 99]) * 1000
    print(f"a call takes {median:.0f} ms (median), {most:.0f} ms (99 %)")
    if rounding > ROUNDING:
        faults.append("a picture among others differs by more than rounding from it alone")
    for fault, n in Counter(faults).most_common(20):
        print(f"FAULT {fault} ({n} times)")
    return not faults


def main() -> None:
    """Make the calls alone, then under load."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--calls", type=float, default=np.inf, help="of each thread, at most")
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--recipe", default="default", choices=["default", *RECIPES])
    parser.add_argument("--plant", action="store_true", help="expect a wrong answer")
    args = parser.parse_args()

    X, y = load_fashion_mnist_sample("train")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        new_classifier(args.recipe).fit(X[:1000], y[:1000]).save(path)
        answers, rounding = answers_alone(FashionCNNClassifier.load(path))
        if args.plant:
            answers |= {key: bytes(8) for key in list(answers)[:10]}
        alone = path, args.recipe, answers, train(args.recipe)
        limits = args.threads, args.seconds, args.calls / ROUNDS
        tasks = [Task(*alone, number, *limits) for number in range(args.processes)]
        with ProcessPoolExecutor(args.processes, mp_context=get_context("spawn")) as pool:
            reports = list(pool.map(run_process, tasks))
    sys.exit(not summarize(reports, args.threads, rounding))


if __name__ == "__main__":
    main()
