# SPDX-License-Identifier: BSD-3-Clause
"""How long calls take, and a process until it has answered."""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

LONGEST = 2.0  # seconds of one measurement


def time_calls(calls: list[Callable[[], object]], n_calls: int) -> list[float]:
    """Call one after the other, again and again, and return the median time of each."""
    for call in calls:
        call()
    times: list[list[float]] = [[] for _ in calls]
    end = time.perf_counter() + LONGEST * len(calls)
    while len(times[0]) < n_calls and time.perf_counter() < end:
        for call, list_of_times in zip(calls, times, strict=True):
            started = time.perf_counter()
            call()
            list_of_times.append(time.perf_counter() - started)
    return [statistics.median(list_of_times) for list_of_times in times]


def first_answer(command: Sequence[object], variables: dict[str, str]) -> dict[str, Any]:
    """Time a process from its start until it prints that it has answered.

    What it prints after that, in JSON, is returned with its seconds.
    """
    started = time.perf_counter()
    with subprocess.Popen(
        list(map(str, command)),
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        if process.stdout.readline() != "answered\n":
            raise RuntimeError(f"did not answer: {command}")
        seconds = time.perf_counter() - started
        return {"seconds": seconds, **json.loads(process.stdout.read())}
