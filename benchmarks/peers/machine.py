# SPDX-License-Identifier: BSD-3-Clause
"""What the benchmarks run on, what memory they hold, and where their results go."""

import json
import os
import platform
import re
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]
PACKAGES = "fashioncnn numpy scikit-learn keras tensorflow scikeras skorch torch"


def environment(packages: str = PACKAGES) -> dict[str, Any]:
    """Name the processor, and the versions of those packages that are installed."""
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else []
    machine = {"processor": names[0] if names else platform.processor(), "cores": os.cpu_count()}
    versions = {"python": platform.python_version()}
    for package in packages.split():
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return machine | versions


def write(name: str, results: dict[str, Any], packages: str = PACKAGES) -> Path:
    """Write results with their environment to a file in ``build``, and return its path."""
    path = CHECKOUT / "build" / name
    path.parent.mkdir(exist_ok=True)
    report = {"environment": environment(packages), **results}
    part = path.with_suffix(".part")  # so that the file is always a whole one
    part.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
    return path


def status_megabytes(name: str = "VmRSS") -> float:
    """Read a size from this process' status, by default what memory it holds now (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(rf"{name}:\s+(\d+) kB", status)[0]) / 2**10


def rise_in_megabytes(call: Callable[[], object]) -> float:
    """Return how far the memory of this process rises at most during a call (Linux)."""
    before = status_megabytes()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the peak so far
    call()
    return status_megabytes("VmHWM") - before
