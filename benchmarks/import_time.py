# SPDX-License-Identifier: BSD-3-Clause
"""What importing the library costs on top of scikit-learn's base classes, in fresh processes.

python benchmarks/import_time.py --runs 20

times the import statements one after the other in each process, and prints their medians and
standard deviations over the processes.
"""

import argparse
import json
import statistics
import subprocess
import sys

STATEMENTS = ("import sklearn.base", "import fashioncnn", "fashioncnn.FashionCNNClassifier")
PROGRAM = """
import json, sys, time
seconds = []
for statement in json.loads(sys.argv[1]):
    started = time.perf_counter()
    exec(statement)
    seconds.append(time.perf_counter() - started)
assert "tensorflow" not in sys.modules
print(json.dumps(seconds))
"""


def time_imports() -> list[float]:
    """Return how many seconds each statement takes, after those before it."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(STATEMENTS)]
    output = subprocess.run(command, check=True, capture_output=True).stdout
    seconds: list[float] = json.loads(output)
    return seconds


def main() -> None:
    """Time the statements in fresh processes, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    args = parser.parse_args()

    time_imports()  # fills the caches of the file system
    runs = [time_imports() for _ in range(args.runs)]
    print("| statement | ms, on top of those above |\n|---|---|")
    for statement, seconds in zip(STATEMENTS, zip(*runs, strict=True), strict=True):
        times = [1000 * value for value in seconds]
        print(f"| `{statement}` | {statistics.median(times):.0f} ± {statistics.stdev(times):.0f} |")


if __name__ == "__main__":
    main()
