# SPDX-License-Identifier: BSD-3-Clause
"""How long fits take beside plain Keras that runs the article's code."""

import pandas as pd
from accuracy_tables import Report, groups, percent
from fitting import Run
from other_libraries import KERAS
from report import amount, markdown
from runs import in_turn
from variants import Variant
from writing import three_digits

ARTICLE = Variant("plain Keras, the article's code", KERAS, {"epochs": 12})


def list_runs(variants: list[Variant], rounds: int) -> list[Run]:
    """List the runs by rounds; another variant is the first in each."""
    names = [ARTICLE, *variants]
    turns = [in_turn(names, names, number) for number in range(rounds)]
    return [Run(variant, "test", number) for number, turn in enumerate(turns) for variant in turn]


def table(report: Report) -> str:
    """Write medians, their limits, and how many times longer plain Keras takes."""
    by_label = {label: runs for (label, _), runs in groups(report)}
    article = by_label[ARTICLE.label]["seconds"].median() if ARTICLE.label in by_label else None
    rows = []
    for label, runs in by_label.items():
        seconds = runs["seconds"]
        least, middle, most = (
            amount(value, "seconds") for value in (seconds.min(), seconds.median(), seconds.max())
        )
        ratio = three_digits(article / seconds.median()) if article else ""
        columns = {"": label, "rounds": len(runs), "median": middle}
        columns |= {"least to most": f"{least} to {most}", "T / time": ratio}
        rows.append({**columns, "accuracy": percent(runs["accuracy"])})
    alone = all(run["alone"] for run in report["runs"])
    note = "" if alone else "\n\nSomething else ran on the machine: these times say little."
    return markdown(pd.DataFrame(rows)) + note
