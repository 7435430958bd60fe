# SPDX-License-Identifier: BSD-3-Clause
"""Numbers and tables as all benchmarks write them, in Markdown."""

import math
import statistics


def three_digits(value: float) -> str:
    """Write a number with three significant digits, or all before the point."""
    rounded = abs(float(f"{value:.3g}"))  # which may have one digit more before the point
    digits = max(0, 2 - math.floor(math.log10(rounded))) if rounded else 2
    return f"{value:,.{digits}f}"


def milliseconds(times: list[float]) -> str:
    """Write the median of seconds, and between which all lie, in milliseconds."""
    return median_and_limits([1000 * time for time in times], "ms")


def median_and_limits(values: list[float], unit: str) -> str:
    """Write the median, and between which values all lie."""
    middle, least, most = (three_digits(f(values)) for f in (statistics.median, min, max))
    return f"{middle} {unit} ({least} to {most})"


def table(head: str, rows: list[list[str]]) -> str:
    """Write a table."""
    lines = [head.split(" | "), ["---"] + ["--:"] * head.count(" | "), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
