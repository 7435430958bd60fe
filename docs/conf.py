# SPDX-License-Identifier: BSD-3-Clause
"""Configuration of Sphinx."""

from importlib.metadata import version as installed_version

project = "fashioncnn"
author = "The fashioncnn developers"
project_copyright = f"2026, {author}"
release = version = installed_version(project)

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"fashioncnn {version}"
myst_enable_extensions = ["colon_fence"]
# README.md is a page here; its links to files are links into the repository.
suppress_warnings = ["myst.xref_missing"]
autosummary_generate = True
numpydoc_class_members_toctree = False
numpydoc_show_inherited_class_members = False
autodoc_typehints = "none"  # the docstrings say it better
