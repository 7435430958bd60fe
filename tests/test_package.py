# SPDX-License-Identifier: BSD-3-Clause
"""The package as a whole: public names, metadata, doctests, and what the README says."""

import ast
import doctest
import importlib
import importlib.metadata
import importlib.resources
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import CHECKOUT, blocks, page, printed

import fashioncnn

README = page("README.md")


def test_public_names():
    assert set(fashioncnn.__all__) <= set(dir(fashioncnn))
    for name in fashioncnn.__all__:
        assert getattr(fashioncnn, name).__doc__
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = fashioncnn.nothing


def test_warnings_show_where_users_import_them_from():
    warning = fashioncnn.PixelRangeWarning
    assert (
        f"{warning.__module__}.{warning.__qualname__}" == "fashioncnn.exceptions.PixelRangeWarning"
    )


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import fashioncnn", {"tensorflow", "keras", "sklearn", "numpy", "matplotlib"}),
        (
            "import fashioncnn; fashioncnn.FashionCNNClassifier((8,)).get_params()",
            {"tensorflow", "keras", "matplotlib"},
        ),
    ],
)
def test_import_is_light(statement, heavy):
    code = f"import sys; {statement}; print({heavy} & set(sys.modules) or 'light')"
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert result.stdout == "light\n"


def test_installed_files():
    files = importlib.resources.files("fashioncnn")
    assert files.joinpath("py.typed").is_file()
    assert "MIT" in files.joinpath("datasets", "data", "NOTICE.md").read_text(encoding="utf-8")
    assert importlib.metadata.version("fashioncnn") == fashioncnn.__version__


def test_metadata_agrees():
    version = fashioncnn.__version__
    assert f"version: {version}\n" in (CHECKOUT / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in changelog or f"## [{version}]" in changelog


@pytest.mark.parametrize("folder", ["src", "tests", "examples", "benchmarks", "tools", "docs"])
def test_every_file_names_its_licence(folder):
    files = list((CHECKOUT / folder).rglob("*.py"))
    assert files
    for file in files:
        first, second = file.read_text(encoding="utf-8").splitlines()[:2]
        assert first == "# SPDX-License-Identifier: BSD-3-Clause", file
        assert second.startswith('"""'), file


SOURCE = Path(fashioncnn.__file__).parent
MODULES = [module.name for module in pkgutil.walk_packages(fashioncnn.__path__, "fashioncnn.")]


def test_doctests_are_looked_for_in_every_file():
    files = {path.with_suffix("") for path in SOURCE.rglob("*.py") if path.name != "__init__.py"}
    assert {SOURCE.joinpath(*module.split(".")[1:]) for module in MODULES} >= files


@pytest.mark.parametrize("module", MODULES)
def test_doctests(module):
    results = doctest.testmod(importlib.import_module(module))
    assert results.failed == 0


def test_imports_by_a_string_are_few():
    """The check of import directions does not see them."""
    modules = {"importlib", "importlib.util", "pkgutil", "runpy", "imp"}
    functions = {"__import__", "exec", "eval"}
    users = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = {node.id} if isinstance(node, ast.Name) else set()
            if isinstance(node, ast.Import):
                names = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {node.module}
            if names & (modules | functions):
                users.add(path.relative_to(SOURCE).as_posix())
    assert users == {"__init__.py", "_tensorflow/start.py"}


BLOCKS = blocks("python", README)


def assert_same_but_for_rounding(output, expected):
    """Compare scores to 0.03, for another processor rounds sums otherwise; the rest exactly."""
    decimal = r"(?<=accuracy )\d+\.\d+|(?<=log loss )\d+\.\d+"
    assert re.split(decimal, output) == re.split(decimal, expected)
    numbers = zip(re.findall(decimal, output), re.findall(decimal, expected), strict=True)
    for number, other in numbers:
        assert float(number) == pytest.approx(float(other), abs=0.03)


def printed_by_a_process(code):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    ("number", "run"),
    [(number, printed if number else printed_by_a_process) for number in range(len(BLOCKS))],
)
def test_readme_prints_what_it_says(number, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_same_but_for_rounding(run(BLOCKS[number]), blocks("text", README)[number])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("start.md", {"model.safetensors"}),
        ("saving.md", {"classifier.joblib", "classifier.skops", "model.safetensors"}),
        ("model_file.md", {"model.safetensors"}),
        ("recipes.md", set()),
        ("mistakes.md", {"doubtful.png"}),
        ("training.md", {"run.checkpoint"}),
        ("scikit_learn.md", set()),
    ],
)
def test_a_page_of_the_docs_prints_what_it_says(name, files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = page(f"docs/{name}")
    if "matplotlib" in text:
        pytest.importorskip("matplotlib")
    output = printed("\n".join(blocks("python", text)))
    assert_same_but_for_rounding(output, "".join(blocks("text", text)))
    assert {path.name for path in tmp_path.iterdir()} == files


def test_readme_has_two_commands():
    commands = blocks("bash", README)
    assert len(commands) == 2
    assert commands[0].strip().endswith("python examples/train_fashion_mnist.py")
    assert commands[1].strip().endswith("python -m pytest")


def test_readme_links_lead_somewhere():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert targets
    for target in targets:
        assert (CHECKOUT / target).exists(), target
