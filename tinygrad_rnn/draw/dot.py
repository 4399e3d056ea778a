"""The scene as DOT text, with every position fixed: for `neato -n2`, which draws what it is told.

Identifiers are running numbers. Names appear in labels only, escaped. The same scene gives the same
bytes.
"""

from __future__ import annotations

import html
from math import hypot

from .curves import Point, up_to
from .labels import CUT, Label, labels
from .legend import Sample, legend
from .look import GREY, Attributes, of_adjoint, of_box, of_line, of_words
from .options import Options
from .scene import SMALL, Box, Line, Note, Scene
from .words import printable

LINE = 14.0  # points: the height of a line of words
_ARROW = 6.0


def dot(scene: Scene, options: Options) -> str:
    """DOT text for a scene whose boxes and lines have their places."""
    import graphviz  # here, because a training loop that draws nothing need not wait for it

    graph = graphviz.Digraph(
        comment="Positions are fixed: render with neato -n2",
        graph_attr={"bgcolor": "#FFFFFF", "pad": "0.25", "outputorder": "edgesfirst",
                    "fontname": "Helvetica"},
        node_attr={"fontname": "Helvetica", "fontsize": "12", "shape": "box", "fixedsize": "true"},
        edge_attr={"color": "#444444", "penwidth": "1.2", "arrowsize": "0.6"},
    )  # fmt: skip
    if options.title:
        graph.attr(labelloc="t", fontsize="14", label=escaped(printable(options.title)))
    name = {box: f"n{i}" for i, box in enumerate(scene.boxes, 1)}
    theme, pale = options.theme, scene.pale
    for box in scene.boxes:
        graph.node(name[box], **_node(box, theme, box in pale))
    words = labels(scene.lines)
    names = {label.line: label for label in words if label.text != CUT}
    for line in scene.lines:
        faded = line in pale
        ends = name[line.source], name[line.target]
        graph.edge(*ends, **of_line(line, theme, faded), pos=_forward(line.path))
        if line.adjoint or line.learns:
            way = line.back
            if line.learns:
                label = names[line]
                way = up_to(way, label.x, label.y, label.width + 4, LINE + 4)
            back = of_adjoint(line, theme, faded)
            graph.edge(*ends, dir="back", **back, pos=_backward(way))
    notes: list[Note | Label] = [*scene.notes, *words]
    for i, note in enumerate(notes, 1):
        graph.node(f"w{i}", **_note(note, theme, pale))
    for i, sample in enumerate(legend(scene) if options.legend else (), 1):
        graph.node(f"k{i}", **_sample(sample, theme))
        shown = sample.line
        if shown is not None and sample.adjoint:
            back = of_adjoint(shown, theme, False)
            graph.edge(f"k{i}", f"k{i}", dir="back", **back, pos=_backward(shown.path))
        elif shown is not None:
            graph.edge(f"k{i}", f"k{i}", **of_line(shown, theme, False), pos=_forward(shown.path))
    return str(graph.source)


def _node(box: Box, theme: str, pale: bool) -> Attributes:
    label = escaped(box.label)
    if box.more:
        label += "\\n" + escaped(box.more)
    plain = "\\" not in box.label + box.more  # in such labels \N can't be escaped
    if plain and (box.more or (box.kind == "parameter" and box.name)):
        first = html.escape(box.label)
        if box.kind == "parameter" and box.name:
            rest = html.escape(box.label.removeprefix(box.name))
            first = f"<B>{html.escape(box.name)}</B>{rest}"
        size = f"{12 * SMALL:.0f}"
        second = f'<BR/><FONT POINT-SIZE="{size}">{html.escape(box.more)}</FONT>'
        label = f"<{first}{second if box.more else ''}>"
    return of_box(box, theme, pale) | {
        "label": label,
        "pos": f"{box.x:.1f},{box.y:.1f}!",
        "width": f"{box.width / 72:.3f}",
        "height": f"{box.height / 72:.3f}",
    }


def _sample(sample: Sample, theme: str) -> Attributes:
    box = sample.box
    if box is not None:
        return _node(box, theme, False)
    x = sample.x + sample.indent / 2
    return _note(Label(sample.text, "", x, sample.y, True), theme, set())


def _note(note: Note | Label, theme: str, pale: set[Box | Line]) -> Attributes:
    attributes = {"shape": "plaintext", "fontcolor": GREY}
    if isinstance(note, Label):
        attributes["fontcolor"] = of_words(note.color, theme, note.line in pale)
        if not note.beside:
            attributes |= {"shape": "box", "style": "filled", "fillcolor": "#FFFFFF",
                           "color": "#FFFFFF"}  # fmt: skip
    return attributes | {
        "label": escaped(note.text),
        "fontsize": "11",
        "pos": f"{note.x:.1f},{note.y:.1f}!",
        "width": f"{note.width / 72:.3f}",
        "height": f"{LINE / 72:.3f}",
    }


def _forward(path: list[Point]) -> str:
    *path, tip = path
    return f"e,{_point(tip)} {_points([*path, _short(path[::-1], tip)])}"


def _backward(path: list[Point]) -> str:
    tip, *path = path
    return f"s,{_point(tip)} {_points([_short(path, tip), *path])}"


def _short(path: list[Point], tip: Point) -> Point:
    """Where a line ends that has an arrow at its tip."""
    back = next((p for p in path if p != tip), path[0])
    length = hypot(back[0] - tip[0], back[1] - tip[1]) or 1.0
    part = min(_ARROW / length, 0.9)
    return (tip[0] + (back[0] - tip[0]) * part, tip[1] + (back[1] - tip[1]) * part)


def _points(path: list[Point]) -> str:
    return " ".join(map(_point, path))


def _point(point: Point) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"


def escaped(text: str) -> str:
    """A label that is drawn as this text: no escapes, no character entities, no HTML."""
    import graphviz

    label: str = graphviz.escape(text.replace("&", "&amp;"))
    return label
