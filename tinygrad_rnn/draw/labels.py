"""Labels: what is written on lines, and where. Lines have their paths by now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import hypot

from .curves import Point, between
from .scene import Line
from .words import readable, width_of

LISTED = 5  # steps of a cut that are named one by one


CUT = "//"
CUT_COLOR = "#B3261E"


@dataclass(eq=False, slots=True)
class Label:
    """Words on a line, which they interrupt, or beside it."""

    text: str
    color: str
    x: float
    y: float
    beside: bool = False

    @property
    def width(self) -> float:
        """In points."""
        return width_of(self.text) * 0.92 + 4


def labels(lines: Iterable[Line]) -> list[Label]:
    """The labels of all lines."""
    found: list[Label] = []
    for line in lines:
        if not line.words and not line.cuts:
            continue
        knots = line.path[::3] if len(line.path) > 2 else line.path
        pieces = list(pairwise(knots))
        x, y = _on(max(pieces, key=_length))
        if line.words:
            text = ", ".join(word for word, _ in line.words)
            found.append(Label(text, readable(line.words[0][1]), x, y))
        if line.cuts:
            if line.source.kind == "delay":  # there, at the black square
                x, y = between(*pieces[0], 0.5)
                said = Label(
                    f"cut after {steps_in_words(line.cuts)}", CUT_COLOR, x, pieces[0][1][1], True
                )
                said.x += said.width / 2 + 6
                found.append(said)
            found.append(Label(CUT, CUT_COLOR, x, y))
    return found


def steps_in_words(steps: tuple[int, ...]) -> str:
    """The steps of a cut: t = 2, 4, 6; of many: t = 2, 4, …, 98."""
    if len(steps) > LISTED:
        return f"t = {steps[0]}, {steps[1]}, …, {steps[-1]}"
    return "t = " + ", ".join(map(str, steps))


def _length(piece: tuple[Point, Point]) -> float:
    (x, y), (to_x, to_y) = piece
    return hypot(to_x - x, to_y - y)


def _on(piece: tuple[Point, Point]) -> Point:
    """The middle, or on the way up a little lower: what runs across is in the upper half."""
    return between(*piece, 0.4 if piece[0][1] < piece[1][1] else 0.5)
