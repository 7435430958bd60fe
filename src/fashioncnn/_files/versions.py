# SPDX-License-Identifier: BSD-3-Clause
"""The versions that files name."""

from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("fashioncnn", "keras", "numpy", "tensorflow")


def installed_versions() -> dict[str, str | None]:
    """Return the version of each package, None where it has another name."""
    return {name: _version_of(name) for name in PACKAGES}


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # as where TensorFlow has another name
        return None
