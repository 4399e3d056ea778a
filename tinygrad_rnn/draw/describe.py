"""A picture in words, for those who can't see it: every box, and what it is computed from."""

from __future__ import annotations

from .labels import steps_in_words
from .scene import Box, Line, Scene

KINDS = {
    "initial": "initial state",
    "delay": "black square",
    "gap": "left out",
    "total": "result",
    "value": "value",
}


def describe(scene: Scene, title: str | None = None) -> str:
    """All boxes by the numbers that they have in the DOT text, with the lines that lead to each."""
    number = {box: f"n{i}" for i, box in enumerate(scene.boxes, 1)}
    into: dict[Box, list[str]] = {}
    back: dict[Box, list[str]] = {}
    for line in scene.lines:
        into.setdefault(line.target, []).append(_from(line, number, strong(line, scene)))
        for box in [line.source] * line.adjoint + [*line.written] * (line.adjoint or line.learns):
            back.setdefault(box, []).append(number[line.target])
    view = "the loop, folded" if scene.folded else "time runs on from column to column"
    head = f"{len(scene.boxes)} boxes and {len(scene.lines)} lines; {view}."
    words = [f"{title}: {head}" if title else head]
    if scene.pale:
        boxes = sum(strong(box, scene) for box in scene.boxes)
        lines = sum(strong(line, scene) for line in scene.lines)
        words.append(f"Highlighted: {boxes} of the boxes, {lines} of the lines; the rest is pale.")
    words += [note.text for note in scene.notes]
    for box in scene.boxes:
        said = f"{number[box]}  {in_words(box, strong(box, scene))}"
        if box in into:
            said += f"  <- {', '.join(into[box])}"
        if box in back:
            said += f"; gradient <- {', '.join(back[box])}"
        words.append(said)
    return "\n".join(words)


def strong(x: Box | Line, scene: Scene) -> bool:
    """Whether a box or a line is highlighted, and others are not."""
    return bool(scene.pale) and x not in scene.pale


def in_words(box: Box, highlighted: bool) -> str:
    """A box in a few words: its kind, what it says, when, and whether it is highlighted."""
    steps = {node.step for node in box.nodes}
    kind = KINDS.get(box.kind, box.kind)
    said = f"{kind} {box.label}" + (f" ({box.more})" if box.more else "")
    if box.kind == "delay":
        said = f"{kind}: {box.label} step{'s' * (box.label != '1')} later"
    elif len(steps) == 1 and None not in steps:
        said += f", step {steps.pop()}"
    return said + ", highlighted" * highlighted


def _from(line: Line, number: dict[Box, str], highlighted: bool) -> str:
    words = ["highlighted"] * highlighted + [word for word, _ in line.words]
    if line.kind in ("time", "initial", "start"):
        words.insert(0, "through time")
    if line.cuts:
        words.append(f"cut after {steps_in_words(line.cuts)}")
    return number[line.source] + (f" ({'; '.join(words)})" if words else "")


def titles(scene: Scene) -> dict[str, str]:
    """What an SVG says of every box and line, by the name that an engine gives it."""
    number = {box: f"n{i}" for i, box in enumerate(scene.boxes, 1)}
    said = {number[box]: in_words(box, strong(box, scene)) for box in scene.boxes}
    for line in scene.lines:
        ends = f"{number[line.source]}->{number[line.target]}"
        said[ends] = f"{line.source.label} → {line.target.label}"
    return said
