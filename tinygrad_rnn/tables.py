"""Text for a terminal: sentences in lines, tables in columns, matrices as maps of characters.

This file knows nothing of what the numbers mean.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

SHADES = "█▓▒░·"  # within a factor 10 of the largest, within 100, …, and whatever is smaller still


def say(words: str) -> None:
    """Print words at once, also where the output is a file or a pipe."""
    print(words, flush=True)


def sentence(words: str) -> str:
    """A sentence for a terminal, in lines."""
    return textwrap.fill(words, 78, subsequent_indent="  ", break_on_hyphens=False)


def columns(rows: Sequence[Sequence[str]]) -> str:
    """A table: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(["", first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


def heat_map(matrix: Any, row: str, column: str, rows: Sequence[int] | None = None) -> str:
    """A matrix of sizes, a character for each: a shade per power of ten, a blank for exactly 0.

    row, column: what the rows and columns are called. rows: their numbers, by default from 1 as
    those of the columns.
    """
    sizes = np.abs(np.asarray(matrix, dtype=np.float64))
    largest = sizes.max(initial=0.0)
    heads = [f"{row} = {i}" for i in rows or range(1, len(sizes) + 1)]
    left = max(map(len, heads))
    lines = [f"{'':{left}}  {column} = 1 … {sizes.shape[1]}"]
    for head, line in zip(heads, sizes, strict=True):
        lines.append(f"{head:>{left}}  {''.join(_shade(x, largest) for x in line)}".rstrip())
    bounds = [f"{shade} ≤ {largest / 10**i:.1e}" for i, shade in enumerate(SHADES) if largest]
    return "\n".join([*lines, "  ".join([*bounds, "blank: 0"])])


def _shade(size: float, largest: float) -> str:
    if not size:
        return " "
    if not np.isfinite(size):
        return "?"
    return SHADES[min(int(-np.log10(size / largest)), len(SHADES) - 1)]
