# SPDX-License-Identifier: BSD-3-Clause
"""fashioncnn beside plain Keras, SciKeras, skorch and scikit-learn, in one run on the same data.

    pip install -r benchmarks/peers.txt
    python benchmarks/peers

Each library has a process of its own, and one of them works at a time: in every repetition each
case is measured with one library after the other, beginning with another one each time. A library
that is not installed is left out. Results go to ``benchmarks/results/peers.json``, after each
repetition; the tables made of them to ``peers.md`` beside it, and the chart to
``docs/images/peers.svg``. Those of a run with other options go to ``build/peers.json``, with the
tables and the chart beside it.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _chart import draw
from _goals import goals
from _libraries import LIBRARIES
from _report import Report, tables
from _tasks import CORES, SLOW, TASKS, Task
from _worker import Worker, Workers

BENCHMARKS = Path(__file__).parent.parent
RESULTS = BENCHMARKS / "results" / "peers.json"
CHART = BENCHMARKS.parent / "docs" / "images" / "peers.svg"
OTHER_RESULTS = BENCHMARKS.parent / "build" / "peers.json"
PACKAGES = ("fashioncnn", "numpy", "scikit-learn", "keras", "tensorflow", "scikeras", "skorch")


def environment() -> dict[str, Any]:
    """Describe what the figures are measured with."""
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else []
    installed = {name: version(name) for name in (*PACKAGES, "torch")}
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: number for name, number in installed.items() if number},
    }


def version(package: str) -> str:
    """Return an installed package's version, or nothing."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def rotated(names: list[str], n: int) -> list[str]:
    """Begin with another one each time."""
    n %= len(names)
    return names[n:] + names[:n]


def measure(workers: Workers, task: Task, library: str, arguments: dict[str, Any]) -> Any:
    """Let one worker measure one case."""
    arguments = dict(arguments)
    threads = arguments.pop("threads", None)
    if library == CORES:
        return workers.get(library).run("peak_speed", {})
    if not task.fresh:
        return workers.get(library, threads).run(task.function, arguments)
    worker = Worker(library, threads)
    try:
        return worker.run(task.function, arguments)
    finally:
        worker.close()


def run_task(
    workers: Workers, name: str, libraries: list[str], repetitions: int, *, short: bool
) -> Iterator[list[dict[str, Any]]]:
    """Measure all cases with all libraries, and yield what came of each repetition."""
    task = TASKS[name]
    present = [library for library in task.libraries if library in (*libraries, CORES)]
    for repetition in range(min(repetitions, task.most)):
        records = []
        for arguments in task.short if short else task.full:
            for library in rotated(present, repetition):
                results = measure(workers, task, library, arguments)
                records.append(
                    {
                        "task": name,
                        "arguments": arguments,
                        "library": library,
                        "repetition": repetition,
                        "results": results,
                    }
                )
        yield records


def run(args: argparse.Namespace) -> None:
    """Measure all tasks, writing the results after each repetition."""
    libraries = []
    for name in args.libraries:
        if missing := LIBRARIES[name].missing():
            print(f"{name} is left out: {', '.join(missing)} is not installed")
        elif args.short and name in SLOW:
            print(f"{name} is left out of a short run")
        else:
            libraries.append(name)
    results: dict[str, Any] = {
        "environment": environment(),
        "short": args.short,
        "measurements": [],
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    workers, started = Workers(), time.perf_counter()
    try:
        for name in args.tasks:
            repetitions = run_task(workers, name, libraries, args.repetitions, short=args.short)
            for number, records in enumerate(repetitions, start=1):
                results["measurements"] += records
                args.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
                elapsed = time.perf_counter() - started
                print(f"{name}: repetition {number} done after {elapsed:.0f} s", flush=True)
            if "threads" in TASKS[name].full[0]:
                workers.close()
    finally:
        workers.close()


def render(output: Path) -> None:
    """Write the tables and the chart of the results, and print the tables and the goals."""
    report = Report(json.loads(output.read_text(encoding="utf-8")))
    text = tables(report)
    output.with_suffix(".md").write_text(text, encoding="utf-8")
    print(f"\n{text}\n{goals(report)}")
    try:
        draw(report, CHART if output == RESULTS else output.with_suffix(".svg"))
    except ModuleNotFoundError as error:
        print(f"No chart is drawn: {error}. Install fashioncnn[plot].")


def main() -> None:
    """Run, or only render."""
    parser = argparse.ArgumentParser(
        prog="python benchmarks/peers", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), metavar="TASK")
    parser.add_argument(
        "--libraries", nargs="+", choices=LIBRARIES, default=list(LIBRARIES), metavar="LIBRARY"
    )
    parser.add_argument("--repetitions", type=int, help="default: 5, with --short 1")
    parser.add_argument("--short", action="store_true", help="little of everything, in two minutes")
    parser.add_argument("--output", type=Path, help="the JSON file")
    parser.add_argument("--render", action="store_true", help="only draw what the file holds")
    parser.epilog = f"tasks: {', '.join(TASKS)}; libraries: {', '.join(LIBRARIES)}"
    args = parser.parse_args()
    if args.output is None:
        options = ("tasks", "libraries", "repetitions", "short")
        is_default = all(getattr(args, each) == parser.get_default(each) for each in options)
        args.output = RESULTS if is_default else OTHER_RESULTS
    args.repetitions = args.repetitions or (1 if args.short else 5)
    if not args.render:
        run(args)
    render(args.output)


if __name__ == "__main__":
    main()
