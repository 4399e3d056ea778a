"""Labels: what is written on lines, and where. Lines have their paths by now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import hypot

from .curves import Point, between
from .look import CUT as CUT_COLOR
from .scene import Line, said
from .words import width_of

LISTED = 5  # steps of a cut that are named one by one


SHORT = 60.0  # points: the pieces of a line that bends its way up through a column

CUT = "//"


@dataclass(eq=False, slots=True)
class Label:
    """Words on a line, which they interrupt, or beside it."""

    text: str
    color: str
    x: float
    y: float
    beside: bool = False
    line: Line | None = None

    @property
    def width(self) -> float:
        """In points."""
        return width_of(self.text) * 0.92 + 4


def labels(lines: Sequence[Line]) -> list[Label]:
    """The labels of all lines."""
    found: list[Label] = []
    late = {line.target for line in lines if line.source.kind == "delay"}
    for line in lines:
        if not line.words and not line.cuts:
            continue
        first = len(found)
        knots = line.path[::3] if len(line.path) > 2 else line.path
        pieces = list(pairwise(knots))
        longest = max(pieces, key=_length)
        x, y = _on(longest if _length(longest) > SHORT else pieces[len(pieces) // 2])
        if line.words:
            label = Label(said(line), line.words[0][1], x, y)
            if line.kind == "parameter" and len(pieces) > 1:  # where it leaves the common rail
                label.x, label.y = between(*pieces[-1], 0.5)
                side = 1 if line.target in late else -1  # away from what it goes on to
                label.x += side * (label.width / 2 + 4)
                label.beside = True
            found.append(label)
        if line.cuts:
            if line.source.kind == "delay":  # there, at the black square
                x, y = between(*pieces[0], 0.5)
                after = Label(
                    f"cut after {steps_in_words(line.cuts)}", CUT_COLOR, x, pieces[0][1][1], True
                )
                after.x += after.width / 2 + 6
                found.append(after)
            elif line.words:  # they stand in the middle
                x, y = between(*longest, 0.22)
            found.append(Label(CUT, CUT_COLOR, x, y))
        for label in found[first:]:
            label.line = line
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
