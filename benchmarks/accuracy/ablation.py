# SPDX-License-Identifier: BSD-3-Clause
"""What each ingredient of a recipe brings: the recipe with one thing changed each."""

import pandas as pd
from accuracy_tables import Report, groups, percent, spread
from ideas import IDEAS
from report import markdown
from small_data import difference
from variants import Settings, Variant, augment_with

CHANGES: dict[str, Settings] = {  # of `augment` only the parts that are others
    "AdamW": {"optimizer": "adamw", "learning_rate": 0.02, "weight_decay": 0.05},
    "no flips": {"augment": {"flip": None}, "test_time_flip": False},
    "no flip at test time": {"test_time_flip": False},
    "random flips": {"augment": {"flip": "random"}},
    "shifts, too": {"augment": {"shift": 1}},
    "no batch normalisation": {"batch_normalization": False, "learning_rate": 0.01},
    "no dense layer": {"dense_units": []},
    "global pooling": {"global_pooling": "max"},
    "no label smoothing": {"label_smoothing": 0.0},
    "no weight decay": {"weight_decay": 0.0},
    "constant learning rate": {"learning_rate_schedule": "constant"},
    "average of weights": {"weight_averaging": 0.25},
    "dropout": {"dense_dropout": 0.25},
    "batches of 128": {"batch_size": 128, "learning_rate": 0.1},
    "SiLU": {"activation": "silu"},
    "padding valid": {"padding": "valid", "residual": False},
    "no shortcuts": {"residual": False},
    "float32": {"precision": "float32"},
}
CHANGES_OF: dict[str, dict[str, Settings]] = {  # of a recipe only
    "fast": {"two convolutions in the last stack": {"conv_stacks": [16, 32, [64, 64]]}},
    "balanced": {
        "two convolutions in each stack": {"conv_stacks": [[16, 16], [32, 32], [64, 64]]},
        "erased rectangles, too": {"augment": {"erase": 0.5}},
    },
}


def list_variants(recipe: Variant) -> list[Variant]:
    """Return the recipe, each change that changes something, and it with each idea."""
    settings = recipe.settings
    variants = [recipe]
    for label, changes in {**CHANGES, **CHANGES_OF.get(recipe.recipe, {})}.items():
        if "augment" in changes:
            augment = augment_with(settings["augment"], **changes["augment"])
            changes = {**changes, "augment": augment}
        unknown = changes.keys() - settings
        if unknown:
            print(f"Left out: {label}, for there is no parameter {', '.join(unknown)}.")
        elif any(settings[name] != value for name, value in changes.items()):
            variants.append(recipe.changed(f"{recipe.label}, {label}", changes))
    return variants + [
        recipe._replace(label=f"{recipe.label}, {idea}", idea=idea) for idea in IDEAS
    ]


def table(report: Report) -> str:
    """Write a row for each variant, with differences to the first, by seed."""
    by_variant = [(label, runs.set_index("seed")) for (label, _), runs in groups(report)]
    _, first = by_variant[0]
    rows = [
        {
            "": label,
            "seeds": len(runs),
            "log loss": spread(runs["log_loss"], 3),
            "accuracy": percent(runs["accuracy"]),
            "difference ± its standard error": difference(runs["accuracy"], first["accuracy"])
            if runs is not first
            else "",
        }
        for label, runs in by_variant
    ]
    return markdown(pd.DataFrame(rows))
