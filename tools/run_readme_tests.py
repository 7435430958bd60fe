# SPDX-License-Identifier: BSD-3-Clause
"""Run the README's test command as a new user does, in a copy of what git tracks.

python tools/run_readme_tests.py
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent
OF_TOX = {"COVERAGE_FILE", "PYTHONHASHSEED", "TF_CPP_MIN_LOG_LEVEL", "VIRTUAL_ENV"}


def copy_checkout(folder: Path) -> None:
    """Copy the files that git tracks, as they are now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=CHECKOUT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    for name in listed.split("\0"):
        if (CHECKOUT / name).is_file():  # and not deleted since
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / name, target)


def main() -> int:
    """Print the command, run it, and return its exit code."""
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^python3 .* -m pytest$", readme, flags=re.MULTILINE)
    print(command, flush=True)
    environment = {name: value for name, value in os.environ.items() if name not in OF_TOX}
    with tempfile.TemporaryDirectory() as folder:
        copy_checkout(Path(folder))
        finished = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, check=False)
    return finished.returncode


if __name__ == "__main__":
    sys.exit(main())
