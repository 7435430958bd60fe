# SPDX-License-Identifier: BSD-3-Clause
"""The pages of the documentation: their text and their code."""

import contextlib
import io
import re
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent


def page(name):
    return (CHECKOUT / name).read_text(encoding="utf-8")


def blocks(language, text):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def printed(code):
    """Run code as a script of its own would, in this process; return what it prints."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(compile(code, "<example>", "exec"), {"__name__": "__main__"})
    return output.getvalue()
