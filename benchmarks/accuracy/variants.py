# SPDX-License-Identifier: BSD-3-Clause
"""What is compared: a recipe with overrides, the default, or another library."""

import ast
import hashlib
import json
import runpy
from pathlib import Path
from typing import Any, NamedTuple

from other_libraries import OTHER_LIBRARIES

from fashioncnn import FashionCNNClassifier
from fashioncnn._inputs.nested import parse_augment
from fashioncnn._network.augmentation import Augmentation

OF_RUN = ("random_state", "checkpoint")  # the parameters that each run sets
DEFAULT = "default"  # no recipe, but the defaults of the class
Settings = dict[str, Any]


class Variant(NamedTuple):
    """A recipe by its name, with parameters that take the place of its own."""

    label: str
    recipe: str
    overrides: Settings
    idea: str | None = None  # of those of `ideas`

    def new(self, **more: Any) -> FashionCNNClassifier:
        """Return an unfitted classifier; parameters that do not exist are refused."""
        overrides = {**self.overrides, **more}
        if self.recipe == DEFAULT:
            return FashionCNNClassifier().set_params(**overrides)
        return FashionCNNClassifier.from_recipe(self.recipe, **overrides)

    def changed(self, label: str, overrides: Settings) -> "Variant":
        """Return the same with other parameters, under another label."""
        return self._replace(label=label, overrides={**self.overrides, **overrides})

    @property
    def settings(self) -> Settings:
        """All parameters but the seed and the checkpoint, which are the run's, as JSON has them."""
        if self.recipe in OTHER_LIBRARIES:  # which know `epochs` only
            return {self.recipe: OTHER_LIBRARIES[self.recipe].label, "epochs": 12, **self.overrides}
        clf = self.new()
        clf._validate_params()  # before hours of training, not after them
        params = {name: value for name, value in clf.get_params().items() if name not in OF_RUN}
        params |= {"idea": self.idea} if self.idea else {}
        return json.loads(json.dumps(params, default=lambda value: value.tolist()))


def augment_with(augment: Any, **parts: Any) -> Settings | None:
    """Return `augment` as a dict in which some parts are others."""
    changed = (parse_augment(augment) or Augmentation())._replace(**parts)._asdict()
    return {name: value for name, value in changed.items() if value} or None


def digest(value: Any) -> str:
    """Return a short name for a value that JSON can write."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def parse_variant(text: str) -> Variant:
    """Read a variant as it is typed: "fast", "fast epochs=10" or "long: fast epochs=10".

    Values are Python's literals without spaces; other words are strings.
    """
    label, _, words = text.rpartition(": ")
    recipe, *assignments = words.split()
    overrides = {}
    for assignment in assignments:
        name, is_there, value = assignment.partition("=")
        if not is_there:
            raise ValueError(f"{assignment!r} in {text!r} has no value. Write it as name=value.")
        overrides[name] = _parse_value(value)
    return Variant(label or text, recipe, overrides)


def _parse_value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def read_variants(path: Path, recipe: str) -> list[Variant]:
    """Read overrides by label from a JSON file, or from the `VARIANTS` of a Python file.

    Overrides may name a recipe of their own: {"small": {"recipe": "default", "epochs": 3}}.
    """
    if path.suffix == ".py":
        table = runpy.run_path(str(path))["VARIANTS"]
    else:
        table = json.loads(path.read_text(encoding="utf-8"))
    return [
        Variant(
            label,
            overrides.get("recipe", recipe),
            {name: value for name, value in overrides.items() if name != "recipe"},
        )
        for label, overrides in table.items()
    ]
