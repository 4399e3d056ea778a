"""Text: how arrays, numbers and lengths are written, and the functions a program brings along."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass
class Operand:
    """An argument as text.

    shape: its shape in one step. stepped: whether it has the steps as one more axis in front;
    rows: so many.
    """

    text: str
    shape: tuple[int, ...]
    dtype: Any
    stepped: bool = False
    rows: int = 0

    @property
    def tight(self) -> str:
        """The text, in parentheses if something is to be appended."""
        simple = all(c.isalnum() or c in "_.[]:, +-()‹›" for c in self.text)
        return self.text if simple and _balanced(self.text) else f"({self.text})"


def _balanced(text: str) -> bool:
    """Whether all that is no name stands in brackets."""
    depth = 0
    for c in text:
        depth += (c in "([") - (c in ")]")
        if depth == 0 and c in " +-":
            return False
    return True


def rows(x: Operand, keep: int = 1) -> str:
    """An array as a matrix: all axes but the last `keep` are its rows."""
    ndim = len(x.shape) + x.stepped
    tail = x.shape[len(x.shape) - keep :]
    if ndim == keep + 1:
        return x.text
    return f"{x.tight}.reshape({', '.join(['-1', *map(size_text, tail)])})"


def flat(x: Operand) -> str:
    """An array with one axis."""
    return x.text if len(x.shape) + x.stepped == 1 else f"{x.tight}.reshape(-1)"


def index_text(part: Any) -> str:
    if part is Ellipsis:
        return "..."
    if isinstance(part, slice):
        ends = ["" if p is None else str(p) for p in (part.start, part.stop, part.step)]
        return f"{ends[0]}:{ends[1]}" + (f":{ends[2]}" if ends[2] else "")
    if part is None or isinstance(part, (int, np.integer)):
        return str(part)
    raise NotImplementedError(f"an index of {type(part).__name__}")


HELPERS = {
    "scatter": '''
def scatter(g, shape, index):
    """Zeros of a shape with g added at [index]."""
    out = np.zeros(shape, g.dtype)
    if any(isinstance(i, np.ndarray) for i in (index if isinstance(index, tuple) else (index,))):
        np.add.at(out, index, g)
    else:
        out[index] = g
    return out
''',
    "softmax": '''
def softmax(x, axis=-1):
    """e^x / sum e^x along an axis."""
    m = np.maximum(x.max(axis=axis, keepdims=True), np.finfo(x.dtype).min)
    e = np.exp(x - m)
    return e / np.maximum(e.sum(axis=axis, keepdims=True), 1)
''',
    "log_softmax": '''
def log_softmax(x, axis=-1):
    """log softmax(x) along an axis."""
    m = np.maximum(x.max(axis=axis, keepdims=True), np.finfo(x.dtype).min)
    return (x - m) - np.log(np.exp(x - m).sum(axis=axis, keepdims=True))
''',
    "logsumexp": '''
def logsumexp(x, axis=None, keepdims=False):
    """log sum e^x along an axis."""
    lowest = np.finfo(x.dtype).min
    m = np.minimum(np.maximum(x.max(axis=axis, keepdims=True), lowest), -lowest)
    with np.errstate(divide="ignore"):
        y = m + np.log(np.exp(x - m).sum(axis=axis, keepdims=True))
    return y if keepdims else y.squeeze(axis)
''',
}
"""Functions that a program may need to run by itself, by name."""


def dtype_text(dtype: Any) -> str:
    return f"np.{np.dtype(dtype).name}" if np.dtype(dtype).kind != "b" else "bool"


def number_text(x: Any) -> str:
    """A number as Python reads it."""
    x = x.item() if isinstance(x, (np.generic, np.ndarray)) else x
    if isinstance(x, float) and not math.isfinite(x):
        return f"np.{'nan' if math.isnan(x) else 'inf'}" if not x < 0 else "-np.inf"
    if isinstance(x, float) and x.is_integer() and abs(x) < 1e6:
        return repr(x)
    return repr(x)


def number_in(T: int, x: Any, dtype: Any) -> str:
    """A number as k / T, k * T or 1 / T / m, if it is that for a whole k or m; else ""."""
    if np.dtype(dtype).kind not in "fiu" or not x or not math.isfinite(x):
        return ""
    eps = float(np.finfo(dtype).eps) if np.dtype(dtype).kind == "f" else 0.0

    def whole(y: float) -> int:
        near = round(y) if abs(y) < 1e6 else 0
        return near if abs(y - near) <= 2 * eps * abs(y) else 0

    number, inverse = whole(float(x)), whole(1 / float(x))
    if number and number % T == 0:
        return "T" if number == T else f"T * {size_text(number // T)}"
    if inverse and inverse % T == 0:
        return "1 / T" if inverse == T else f"1 / T / {size_text(inverse // T)}"
    times = whole(float(x) * T)
    return f"{times} / T" if times % T else ""


def size_text(n: int) -> str:
    """The length of an axis, marked: it may be called by a letter in the end."""
    return f"‹{n}›"


def shape_text(shape: tuple[int, ...]) -> str:
    inner = ", ".join(map(size_text, shape))
    return f"({inner},)" if len(shape) == 1 else f"({inner})"
