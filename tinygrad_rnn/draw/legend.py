"""The legend: what the kinds of boxes and lines in a picture mean, in rows below it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .columns import LEFT
from .scene import PALETTE, Box, Line, Scene
from .words import width_of

MEANING = {
    "parameter": "parameter  shape  ×uses",
    "data": "data",
    "initial": "initial state",
    "operation": "operation",
    "value": "named value",
    "state": "state: a later step reads it",
    "loss": "loss of a step",
    "total": "result",
}
LINES = {
    "plain": "a value, read in its step",
    "parameter": "a use of a parameter",
    "time": "through time",
    "start": "in the first step",
}
GAP = 16.0
ROW = 40.0
LENGTH = 36.0  # of a line


@dataclass(eq=False, slots=True)
class Sample:
    """A box, or words, with a line before them if they are about one.

    adjoint: whether it is the way back along the line that is meant.
    """

    box: Box | None
    text: str = ""
    line: Line | None = None
    adjoint: bool = False
    x: float = 0.0
    y: float = 0.0

    @property
    def width(self) -> float:
        """In points."""
        return self.box.width if self.box is not None else self.indent + width_of(self.text)

    @property
    def indent(self) -> float:
        """How far from its left end the words begin."""
        return LENGTH + 6.0 if self.line is not None else 0.0


def legend(scene: Scene) -> list[Sample]:
    """What stands under a picture: a sample of each kind of box and line in it, and words."""
    samples = [*_boxes(scene), *_lines(scene)]
    left, right = (end(box.x + side * box.width / 2 for box in scene.boxes)
                   for end, side in ((min, -1), (max, 1)))  # fmt: skip
    x, y = left, min([box.y for box in scene.boxes] + [note.y for note in scene.notes]) - 1.5 * ROW
    for sample in samples:
        if x > left and x + sample.width > right:
            x, y = left, y - ROW
        sample.x, sample.y = x + sample.width / 2, y
        if sample.line is not None:
            sample.line.path = [(x + LENGTH * i / 3, y) for i in range(4)]
        x += sample.width + GAP
        if sample.box is not None:
            sample.box.x, sample.box.y = sample.x, sample.y
    return samples


def _boxes(scene: Scene) -> Iterator[Sample]:
    kinds = {box.kind for box in scene.boxes}
    forward = {box.kind for box in scene.boxes if not box.backward}
    for kind, words in MEANING.items():
        if kind in forward or (kind in kinds and kind not in ("operation", "value")):
            yield Sample(_box(kind, words, backward=kind not in forward))
    if any(box.backward and box.kind != "delay" for box in scene.boxes):
        yield Sample(_box("operation", "made by a backward pass", backward=True))
    if "delay" in kinds:
        yield Sample(_box("delay", "1"))
        yield Sample(None, "one step later")
    if "gap" in kinds:
        yield Sample(None, "… steps …: left out")


def _lines(scene: Scene) -> Iterator[Sample]:
    kinds = {"time" if line.kind == "initial" else line.kind for line in scene.lines}
    parameter, other = _box("parameter", "parameter"), _box("operation", "operation")
    for kind, words in LINES.items():
        if kind in kinds:
            yield Sample(None, words, Line(parameter, other, kind))
    if any(line.adjoint or line.learns for line in scene.lines):
        words = "the gradient, the other way"
        yield Sample(None, words, Line(parameter, other, "plain"), adjoint=True)
    if any(line.cuts for line in scene.lines):
        yield Sample(None, "//: cut, no gradient passes")
    if any(line.written for line in scene.lines):
        yield Sample(None, "a name on a line: a parameter, used there")
    if any(line.width for line in scene.lines):
        yield Sample(None, "a number on a line, and its width: how large")
    if scene.pale:
        yield Sample(None, "pale: not highlighted")


def _box(kind: str, words: str, backward: bool = False) -> Box:
    color = PALETTE[0] if kind == "parameter" else ""
    return Box(kind, words, (), None, LEFT, color=color, backward=backward)
