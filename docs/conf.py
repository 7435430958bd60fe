# SPDX-License-Identifier: BSD-3-Clause
"""Configuration of Sphinx."""

from importlib.metadata import version as installed_version

project = "fashioncnn"
author = "The fashioncnn developers"
project_copyright = f"2026, {author}"
release = version = installed_version(project)

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
default_role = "literal"
smartquotes = False  # the docstrings quote strings of Python
html_theme = "furo"
html_title = f"fashioncnn {version}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
numpydoc_class_members_toctree = False
numpydoc_show_inherited_class_members = False
autodoc_typehints = "none"  # the docstrings say it better
