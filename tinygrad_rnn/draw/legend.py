"""The legend: what the kinds of boxes and lines in a picture mean, in rows below it."""

from __future__ import annotations

from dataclasses import dataclass

from .columns import LEFT
from .scene import PALETTE, Box, Scene
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
GAP = 16.0
ROW = 40.0


@dataclass(eq=False, slots=True)
class Sample:
    """A box, or words, in the legend."""

    box: Box | None
    text: str = ""
    x: float = 0.0
    y: float = 0.0

    @property
    def width(self) -> float:
        """In points."""
        return self.box.width if self.box is not None else width_of(self.text)


def legend(scene: Scene) -> list[Sample]:
    """What stands under a picture: a sample of each kind of box in it, and words on its lines."""
    kinds = {box.kind for box in scene.boxes}
    samples = [
        Sample(Box(kind, words, (), None, LEFT, color=PALETTE[0] if kind == "parameter" else ""))
        for kind, words in MEANING.items()
        if kind in kinds
    ]
    if "delay" in kinds:
        samples += [Sample(Box("delay", "1", (), None, LEFT)), Sample(None, "one step later")]
    if any(line.kind == "time" for line in scene.lines):
        samples.append(Sample(None, "heavy line: through time"))
    if any(line.adjoint for line in scene.lines):
        samples.append(Sample(None, "dashed line: the gradient, the other way"))
    if any(line.cuts for line in scene.lines):
        samples.append(Sample(None, "//: cut, no gradient passes"))
    left, right = (end(box.x + side * box.width / 2 for box in scene.boxes)
                   for end, side in ((min, -1), (max, 1)))  # fmt: skip
    x, y = left, min([box.y for box in scene.boxes] + [note.y for note in scene.notes]) - 1.5 * ROW
    for sample in samples:
        if x > left and x + sample.width > right:
            x, y = left, y - ROW
        sample.x, sample.y = x + sample.width / 2, y
        x += sample.width + GAP
        if sample.box is not None:
            sample.box.x, sample.box.y = sample.x, sample.y
    return samples
