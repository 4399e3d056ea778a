"""Pictures of recordings: scene (what is shown), grid and routes (where), dot (as text), render (as
file)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..engine.record import Node
from . import render as _render
from .dot import dot
from .grid import arrange
from .render import GraphvizNotFound
from .routes import route
from .scene import compose

__all__ = ["GraphvizNotFound", "Picture", "draw"]


class Picture:
    """A picture of a recording. Shows itself in a notebook.

    source: its DOT text, for `neato -n2`; the same recording gives the same text.
    """

    def __init__(self, source: str, boxes: int, size: tuple[float, float]) -> None:
        self.source = source
        self._boxes = boxes
        self._size = size  # points

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
            data = _render.render(self.source, kind, dpi)
        except GraphvizNotFound as error:
            beside = target.with_suffix(".dot")
            _render.write(beside, text)
            raise GraphvizNotFound(f"{error}. The DOT text is saved as {str(beside)!r}") from None
        _render.write(target, data)
        return target

    def _repr_svg_(self) -> str:
        _render.check_size(".svg", self._boxes, *self._size, 72)
        return _render.render(self.source, ".svg").decode()


def draw(root: Node | Sequence[Node], title: str | None = None) -> Picture:
    """Draw what a tensor, or several, were computed from: time to the right, layers upwards.

    A sum whose only reader is another sum is drawn as part of it; nothing else is left out. A
    RuntimeError if there is no recording: nothing that requires a gradient went into the root, or a
    backward pass has released the graph.
    """
    roots: list[Any] = list(root) if isinstance(root, (list, tuple)) else [root]
    for node in roots:
        if not isinstance(node, Node):
            raise TypeError(f"draw: {type(node).__name__} is not a tensor")
    if title is not None and not isinstance(title, str):
        raise TypeError(f"draw: title is {type(title).__name__}, and should be str")
    if not roots or all(node.primitive is None for node in roots):
        raise RuntimeError(
            "draw: no operation is recorded here; draw what was computed from tensors with "
            "requires_grad=True, outside no_grad()"
        )
    scene = compose(roots)
    route(scene, arrange(scene))
    xs = [box.x for box in scene.boxes]
    ys = [box.y for box in scene.boxes]
    size = (max(xs) - min(xs) + 200, max(ys) - min(ys) + 100)
    return Picture(dot(scene, title), len(scene.boxes), size)
