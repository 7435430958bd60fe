# SPDX-License-Identifier: BSD-3-Clause
"""What importing the library costs beside scikit-learn's base classes, in fresh processes.

python benchmarks/import_time.py --runs 20

times the import statements in turn, so that a change of the machine's speed meets all of them, and
prints each one's median and how much longer it takes than the first.
"""

import argparse
import statistics
import subprocess
import sys

STATEMENTS = (
    "import sklearn.base",
    "import fashioncnn",
    "from fashioncnn import FashionCNNClassifier",
)
PROGRAM = """
import sys, time
started = time.perf_counter()
{statement}
print(time.perf_counter() - started)
assert "tensorflow" not in sys.modules
"""


def time_import(statement: str) -> float:
    """Return how many milliseconds a fresh process needs for an import."""
    code = PROGRAM.format(statement=statement)
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout
    return 1000 * float(output)


def main() -> None:
    """Time all statements in turn, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    args = parser.parse_args()

    for statement in STATEMENTS:
        time_import(statement)  # fills the caches of the file system
    runs = [[time_import(statement) for statement in STATEMENTS] for _ in range(args.runs)]
    print("| statement | ms | ms more than the first |\n|---|---|---|")
    for number, statement in enumerate(STATEMENTS):
        median = statistics.median(times[number] for times in runs)
        differences = [times[number] - times[0] for times in runs]
        more, deviation = statistics.median(differences), statistics.stdev(differences)
        print(f"| `{statement}` | {median:.0f} | {more:.0f} ± {deviation:.0f} |")


if __name__ == "__main__":
    main()
