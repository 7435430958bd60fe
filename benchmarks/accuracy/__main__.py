# SPDX-License-Identifier: BSD-3-Clause
"""How accurate training is.

python benchmarks/accuracy search VARIANTS.json --recipe article
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on CPU and GPU
sys.path.append(str(Path(__file__).parents[1] / "peers"))  # whose parts are used here, too

from accuracy_tables import best_first
from run_store import Conditions, all_runs, complete
from variants import read_variants


def main() -> None:
    """Run, or only show, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("comparison", choices=["search"])
    parser.add_argument("variants", type=Path)
    parser.add_argument("--recipe", default="article")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--images", type=int)
    parser.add_argument("--name", default="search")
    parser.add_argument("--alone", action="store_true")
    args = parser.parse_args()
    runs = all_runs(read_variants(args.variants, args.recipe), "validation", args.seeds)
    conditions = Conditions(args.name, args.images, args.alone)
    print(best_first(complete(runs, conditions)))


if __name__ == "__main__":
    main()
