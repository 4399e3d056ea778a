"""Pictures of recordings: what a value was computed from, step by step or as a loop.

recorded or folded (items: what is drawn) → cells (or fewer of them) → scene (boxes and lines) →
annotate (numbers on lines) → grid and routes (where) → labels, look, legend, dot (as text) →
render (as a file), describe (in words). Options are checked in options.py. Nothing here changes a
recording or computes a gradient.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..engine.record import Node
from . import render as _render
from .annotate import annotate as write_numbers
from .cells import contract
from .describe import describe, titles
from .dot import dot
from .folded import of_fold
from .grid import arrange
from .options import check
from .recorded import of_recording
from .render import GraphvizNotFound
from .routes import route
from .scene import Scene, compose

COLUMNS = 24  # steps that are drawn unasked

__all__ = ["GraphvizNotFound", "Picture", "draw"]


class Picture:
    """A picture of a recording. Shows itself in a notebook.

    source: its DOT text, for `neato -n2`; the same recording gives the same text.
    """

    def __init__(self, source: str, scene: Scene, title: str | None = None) -> None:
        self.source = source
        self._words = describe(scene, title)
        self._titles = titles(scene)
        self._boxes = len(scene.boxes)
        xs = [x for box in scene.boxes for x in (box.x - box.width / 2, box.x + box.width / 2)]
        ys = [y for box in scene.boxes for y in (box.y - box.height / 2, box.y + box.height / 2)]
        self._size = (max(xs) - min(xs) + 72, max(ys) - min(ys) + 72)  # points

    def save(self, path: str | os.PathLike[str], dpi: float = 150) -> Path:
        """Write the picture as .png, .svg, .pdf or .dot; returns the path.

        dpi: pixels per inch of a PNG, 1 or more.

        PNG, SVG and PDF need a Graphviz engine: $GRAPHVIZ_DOT, `dot` or `graphviz-pure`, whichever
        is found first. Without one, the DOT text is saved beside the path and `GraphvizNotFound` is
        raised.
        """
        _render.check_dpi(dpi)
        target = _render.check_target(path)
        kind = target.suffix.lower()
        text = self.source.encode()
        if kind == ".dot":
            _render.write(target, text)
            return target
        _render.check_size(kind, self._boxes, *self._size, dpi)
        try:
            data = self._rendered(kind, dpi)
        except GraphvizNotFound as error:
            beside = target.with_suffix(".dot")
            _render.write(beside, text)
            raise GraphvizNotFound(f"{error}. The DOT text is saved as {str(beside)!r}") from None
        _render.write(target, data)
        return target

    def describe(self) -> str:
        """The picture in words: every box, and the lines that lead to it, by their numbers."""
        return self._words

    def _rendered(self, kind: str, dpi: float = 96) -> bytes:
        data = _render.render(self.source, kind, dpi)
        if kind != ".svg":
            return data
        return _render.with_titles(data.decode(), self._titles).encode()

    def _repr_svg_(self) -> str:
        _render.check_size(".svg", self._boxes, *self._size, 72)
        return self._rendered(".svg").decode()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """For notebooks: the picture, and its description; without an engine only that."""
        bundle = {"text/plain": self.describe()}
        try:
            return bundle | {"image/svg+xml": self._repr_svg_()}
        except GraphvizNotFound:
            return bundle


def draw(
    root: Node | Sequence[Node],
    title: str | None = None,
    *,
    folded: bool = False,
    steps: tuple[int, int] | None = None,
    detail: str = "operations",
    show: str | Sequence[str] = (),
    backward: bool = False,
    highlight: Any = None,
    annotate: Any = None,
    notation: str = "lecture",
    direction: str = "right",
    legend: bool = False,
    theme: str = "color",
) -> Picture:
    """Draw what a tensor, or several, were computed from: time to the right, layers upwards.

    A sum whose only reader is another sum is drawn as part of it; nothing else is left out.

    folded: the loop instead of its steps. A black square on a line means: so many steps later. A
        ValueError of `tg.fold` says what is no loop.
    steps: (a, b) shows the first a steps and the last b. By default all of up to 24 are shown, and
        of more the first 3 and the last 2.
    detail: "operations", or "cells" for named values only, with the parameters on the lines.
    show: a second line in the boxes: any of "shapes", "values" and "gradients" ("–" if unset).
    backward: the edges that the adjoints take, beside those of the values, or against them.
    highlight: tensors, or a path of `tg.bptt.paths`; all else is drawn pale.
    annotate: results of `tg.bptt.contributions` or `tg.bptt.jacobians`, or a list of them, or
        numbers by (source, reader): the norm is written on the edge, and is its width.
    notation: the names of the lecture's parameters: "lecture", "goodfellow", "karpathy", "pytorch".
    direction: where time runs to: "right" or "up".
    legend: whether the kinds of boxes are explained below.
    theme: "color", or "print" for black and white.

    A RuntimeError if there is no recording: nothing that requires a gradient went into the root, or
    a backward pass has released the graph. A ValueError for options that are not as said here, and
    for more than 5,000 boxes.
    """
    options = check(
        title=title, folded=folded, steps=steps, detail=detail, show=show, backward=backward,
        highlight=highlight, annotate=annotate, notation=notation, direction=direction,
        legend=legend, theme=theme,
    )  # fmt: skip
    roots: list[Any] = list(root) if isinstance(root, (list, tuple)) else [root]
    for node in roots:
        if not isinstance(node, Node):
            raise TypeError(f"draw: {type(node).__name__} is not a tensor")
    if not roots or all(node.primitive is None for node in roots):
        raise RuntimeError(
            "draw: no operation is recorded here; draw what was computed from tensors with "
            "requires_grad=True, outside no_grad()"
        )
    items = of_fold(roots) if folded else of_recording(roots, steps, COLUMNS)
    if detail == "cells":
        items = contract(items)
    scene = compose(items, options)
    if annotate is not None:
        write_numbers(scene, annotate)
    if direction == "up":
        scene.turn()
    route(scene, arrange(scene))
    if direction == "up":
        scene.turn()
    return Picture(dot(scene, options), scene, title)
