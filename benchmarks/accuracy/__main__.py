# SPDX-License-Identifier: BSD-3-Clause
"""How accurate training is, in which time, and what that is owed to.

    python benchmarks/accuracy article
    python benchmarks/accuracy precision --seeds 8
    python benchmarks/accuracy threads --epochs 1 12
    python benchmarks/accuracy schedules --seeds 4 --epochs 20
    python benchmarks/accuracy search variants.json --recipe article
    python benchmarks/accuracy ablation article
    python benchmarks/accuracy recipes article "longer: article epochs=20"
    python benchmarks/accuracy curve article --epochs 2 4 8 16
    python benchmarks/accuracy small article
    python benchmarks/accuracy labels article
    python benchmarks/accuracy mistakes
    python benchmarks/accuracy leaderboard

The first four are described in ``pairs.py``. ``search`` and ``ablation`` train on 50,000 images of
the training set and test on the other 10,000; they never read the test set. ``recipes``
and ``curve`` train on all 60,000, each run in a fresh process, and test on the test set at the last
epoch. ``small`` compares a recipe with the default on small data, tested on the same test set, and
on other data, which need ``pip install -r benchmarks/accuracy.txt``. ``labels`` lists labels of the
training set that are probably wrong. ``mistakes`` and ``leaderboard`` run nothing: they show what
others have written. A variant is typed as the name of a recipe ("default" for none, "keras" for the
article's code in plain Keras, "skorch", which ``pip install -r benchmarks/peers.txt`` brings, "mlp"
for scikit-learn's), overrides, and a label if it shall have one. Seconds are those of fit, with
tracing, without TensorFlow's import.

Results go to a file in ``build`` after each run, and their table beside it at the end. Copy the
file to ``benchmarks/results`` to publish it; ``--show`` then writes its table and its picture.
Runs that are in the file are not repeated. ``small`` takes those on all images from ``recipes``,
``curve`` those that had the machine for themselves. A run of a recipe or variant that was cut off
goes on from its last epochs, by the parameter ``checkpoint``. Delete the file to begin anew.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on CPU and GPU
sys.path.append(str(Path(__file__).parents[1] / "peers"))  # whose parts are used here, too

import comparisons
from accuracy_tables import page, read_results
from machine import CHECKOUT
from options import RESULTS, read_options

IMAGES = CHECKOUT / "docs" / "images"


def main() -> None:
    """Run, or only show, and print a table."""
    args = read_options(__doc__)
    comparison = comparisons.COMPARISONS[args.comparison]
    report = read_results(args.show) if args.show else comparison.run(args)
    text = comparison.table(report)
    print(text)
    results = args.results if comparison.only_shows else CHECKOUT / "build"
    path = args.show or results / f"{args.name}.json"
    path.with_suffix(".md").write_text(page(args.comparison, text), encoding="utf-8")
    if comparison.draw:
        is_published = path.resolve() == RESULTS / path.name
        comparison.draw(report, IMAGES / path.name if is_published else path)


if __name__ == "__main__":
    main()
