"""Formulas: the equation of a value as the lecture would write it, for a comment.

`h_t = tanh(a_t + h_{t-1} W)`: values with names are called by them, with the step as a subscript;
what has none is written out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .equations import SUM, Read, Value
from .names import at_step
from .rewriting import moves_with_step, uniform
from .text import size_text

SIGNS = {"subtract": " − ", "multiply": " · ", "divide": " / ", "power": " ** "}
WORDS = {"sigmoid": "σ", "absolute": "abs", "amax": "max", "amin": "min", "getitem": "part"}
DEEPEST = 6

At = tuple[int, int]
"""Which step of a value an equation means, as seen from its t: step sign · t + offset."""
HERE: At = 1, 0


class Formulas:
    """Writes equations; `name_of` gives the name of a value, or None. T: the last step."""

    def __init__(self, name_of: Callable[[Value], str | None], T: int) -> None:
        self.name_of, self.T = name_of, T

    def equation(self, value: Value) -> str:
        """`dh_t = dz_t Uᵀ + da_{t+1} Wᵀ`."""
        return f"{self.left(value)} = {self._made(value, HERE, DEEPEST)[0]}"

    def right(self, value: Value) -> str:
        """What a value is computed from."""
        return self._made(value, HERE, DEEPEST)[0]

    def left(self, value: Value) -> str:
        """The value itself: h_t."""
        name = self.name_of(value) or "…"
        return name if value.steps is None else at_step(name)

    def _read(self, read: Read, at: At, deep: int) -> tuple[str, int]:
        """An argument as text, and how tightly it binds: 0 a sum, 1 a product, 2 an atom."""
        if read.sign is not None and read.over is None:
            sign, offset = at
            at = read.sign * sign, read.sign * offset + (read.offset or 0)
        return self._value(read.source, at, deep)

    def _value(self, value: Value, at: At, deep: int) -> tuple[str, int]:
        name = self.name_of(value)
        number = uniform(value)
        if number is not None:
            return f"{number:.6g}" if not isinstance(number, bool) else str(number), 2
        if value.op == "getitem" and value.reads[0].source.op == "input" and value.name:
            (row, *_) = value.attributes["index"]
            if isinstance(row, int) and value.steps is None:
                return at_step(value.name, self._step(self.T if row == -1 else row + 1)), 2
            return at_step(value.name, self._subscript(at)), 2
        if name is not None:
            if value.steps is None:
                return name, 2
            return at_step(name, self._subscript(at)), 2
        if deep == 0 or value.leaf:
            return "…", 2
        return self._made(value, at, deep - 1)

    def _made(self, value: Value, at: At, deep: int) -> tuple[str, int]:
        if value.about:
            z, y = _classification(value)
            names = [self._read(r, at, deep)[0] for r in (z, y)]
            return value.about.format(z=names[0], y=names[1]), 0
        last = value.reads[-1].over if value.reads else None
        parts = []
        for read in value.reads:
            if last and read.over and value.op != SUM:  # of h_{t-1} and da_t, the latter is at t
                parts.append(self._read(read, _beside(read.over, last), deep))
            else:
                parts.append(self._read(read, at, deep))
        texts = [text for text, _ in parts]
        if value.op == SUM:
            terms = [
                f"Σ_t {text}" if read.over is not None else text
                for text, read in zip(texts, value.reads, strict=True)
            ]
            return " + ".join(terms), int(any(read.over is not None for read in value.reads))
        if value.op == "tile":
            return f"[{' | '.join(texts)}]", 2
        if value.op == "class_slope":
            return self._slope(value, at, deep), 1
        if value.op == "rows_product":
            return f"Σ_t {_tight(parts[0], 2)}ᵀ {_tight(parts[1], 2)}", 1
        if value.op == "rows_sum":
            return f"Σ_t {_tight(parts[0], 1)}", 1
        if value.op == "rows_scatter":
            return f"Σ_t one_hot({texts[1]})ᵀ {_tight(parts[0], 2)}", 1
        if value.op == "matmul":
            return " ".join(_tight(part, 2) for part in parts), 1
        if value.op == "rows":
            return parts[0]
        if value.op == "getitem" and len(parts) == 1:
            if moves_with_step(value.attributes):
                return self._moved(value, parts[0], at)
            index = [i for i in value.attributes["index"] if i != slice(None) and i is not Ellipsis]
            if any(i is None for i in index) or not index:
                return parts[0]
            return f"{_tight(parts[0], 2)}[{', '.join(map(_index, index))}]", 2
        if value.op in ("swapaxes", "transpose"):
            return f"{_tight(parts[0], 2)}ᵀ", 2
        if value.op == "multiply" and texts[0] == texts[1]:
            return f"{_tight(parts[0], 2)}²", 2
        if value.op in SIGNS and len(parts) == 2:
            loose = value.op == "subtract"
            sides = [_tight(parts[0], 0 if loose else 1), _tight(parts[1], 1 if loose else 2)]
            if value.op == "multiply":
                sides[1] = _tight(parts[1], 1)
            return SIGNS[value.op].join(sides), 0 if loose else 1
        if value.op == "negative":
            return f"−{_tight(parts[0], 1)}", 1
        if value.op in ("reshape", "broadcast_to", "squeeze", "expand_dims", "astype"):
            return parts[0]
        return f"{WORDS.get(value.op, value.op)}({', '.join(texts)})", 2

    def _moved(self, value: Value, part: tuple[str, int], at: At) -> tuple[str, int]:
        """x_t, for x[t]; x_{T+1-t}, for the t-th of x[::-1]."""
        source, (sign, offset) = value.reads[0].source, at
        if source.op == "getitem" and source.attributes["index"] == (slice(None, None, -1),):
            name = self.name_of(source.reads[0].source)
            text = self._subscript((-sign, self.T + 1 - offset))
            return (at_step(name, text) if name else "…"), 2
        if part[0].endswith("_t"):
            return part
        return f"{_tight(part, 2)}_{self._subscript(at)}", 2

    def _slope(self, value: Value, at: At, deep: int) -> str:
        e, _, y, *c = value.reads
        shifted = e.source.reads[0].source if e.source.reads else e.source
        z = self._read(shifted.reads[0], at, deep)[0] if shifted.reads else "z_t"
        text = f"softmax({z}) − one_hot({self._read(y, at, deep)[0]})"
        if not c:
            return text
        number = uniform(c[0].source)
        parts = 1 / number if number else 0
        if parts and abs(parts - round(parts)) < 1e-6:
            sizes = [size_text(n) for n in value.shape[:-1]]
            rows = math.prod(value.shape[:-1])
            if rows > 1 and round(parts) == self.T * rows:
                return f"({text}) / ({' '.join(['T', *sizes])})"
            if len(sizes) > 1 and round(parts) == rows:
                return f"({text}) / ({' '.join(sizes)})"
            return f"({text}) / {size_text(round(parts))}" if number != 1 else text
        return f"({text}) · {self._read(c[0], at, deep)[0]}"

    def _subscript(self, at: At) -> str:
        sign, offset = at
        if sign == 0:
            return self._step(offset)
        if sign == -1:
            more = f"{offset - self.T:+}" if offset != self.T else ""
            return f"{{T{more}-t}}"
        if abs(offset) == self.T:
            return f"{{t{'+' if offset > 0 else '-'}T}}"
        return f"{{t{offset:+}}}" if offset else "t"

    def _step(self, t: int) -> str:
        return "T" if t == self.T else str(t)


def _beside(over: list[int], last: list[int]) -> At:
    """The step of one factor of a sum over time in which the other one is at t."""
    if over[-1] - over[0] == last[-1] - last[0]:
        return 1, over[0] - last[0]
    return -1, over[0] + last[0]


def _classification(value: Value) -> tuple[Read, Read]:
    """The logits and the classes that a loss is computed from."""
    waiting = [value]
    while waiting:
        x = waiting.pop(0)
        for read in x.reads:
            if read.source.op == "pick":
                shifted, y = read.source.reads
                return shifted.source.reads[0], y
            waiting.append(read.source)
    raise AssertionError("a loss without classes")


def _index(part: Any) -> str:
    if isinstance(part, slice):
        ends = ["" if end is None else str(end) for end in (part.start, part.stop)]
        return ":".join(ends)
    return str(part)


def _tight(part: tuple[str, int], least: int) -> str:
    text, binds = part
    return text if binds >= least else f"({text})"
