"""The scene as DOT text, with every position fixed: for `neato -n2`, which draws what it is told.

Identifiers are running numbers. Names appear in labels only, escaped. The same scene gives the same
bytes.
"""

from __future__ import annotations

import html
from math import hypot

from .labels import Label, labels
from .options import Options
from .scene import Box, Line, Note, Scene
from .words import contrast, printable

Attributes = dict[str, str]

_NODES: dict[str, Attributes] = {
    "data": {"style": "filled", "fillcolor": "#FFFFFF", "color": "#767676"},
    "initial": {"style": "rounded,filled,dashed", "fillcolor": "#FFFFFF", "color": "#222222"},
    "operation": {"style": "rounded,filled", "fillcolor": "#F2F2F2", "color": "#555555"},
    "value": {"style": "rounded,filled", "fillcolor": "#FFFFFF", "color": "#222222"},
    "state": {"style": "rounded,filled", "fillcolor": "#FFF3D6", "color": "#222222",
              "penwidth": "2"},
    "loss": {"style": "rounded,filled", "fillcolor": "#FBE3E4", "color": "#222222"},
    "delay": {"style": "filled", "fillcolor": "#000000", "color": "#000000",
              "fontcolor": "#FFFFFF"},
    "gap": {"style": "filled", "fillcolor": "#FFFFFF", "color": "#FFFFFF"},
    "total": {"style": "rounded,filled", "fillcolor": "#F4B6B8", "color": "#222222",
              "penwidth": "2"},
}  # fmt: skip
_HEAVY = {"penwidth": "2.4", "color": "#222222"}
_EDGES: dict[str, Attributes] = {
    "plain": {},
    "time": _HEAVY,
    "initial": _HEAVY,
    "start": {"style": "dashed", "color": "#222222"},
}
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
    for box in scene.boxes:
        graph.node(name[box], **_node(box))
    for line in scene.lines:
        graph.edge(name[line.source], name[line.target], **_edge(line))
    notes: list[Note | Label] = [*scene.notes, *labels(scene.lines)]
    for i, note in enumerate(notes, 1):
        graph.node(f"w{i}", **_note(note))
    return str(graph.source)


def _node(box: Box) -> Attributes:
    label = escaped(box.label)
    if box.kind == "parameter":
        ink = max("#FFFFFF", "#000000", key=lambda ink: contrast(ink, box.color))
        if box.name and "\\" not in box.name:  # in such labels \N can't be escaped
            rest = html.escape(box.label.removeprefix(box.name))
            label = f"<<B>{html.escape(box.name)}</B>{rest}>"
        look = {"style": "filled", "fillcolor": box.color, "color": box.color, "fontcolor": ink}
    else:
        look = dict(_NODES[box.kind])
    if box.round:
        look |= {"style": look["style"].replace("rounded,", ""), "shape": "circle"}
    return look | {
        "label": label,
        "pos": f"{box.x:.1f},{box.y:.1f}!",
        "width": f"{box.width / 72:.3f}",
        "height": f"{box.height / 72:.3f}",
    }


def _note(note: Note | Label) -> Attributes:
    look = {"shape": "plaintext", "fontcolor": "#444444"}
    if isinstance(note, Label):
        look["fontcolor"] = note.color or "#444444"
        if not note.beside:
            look |= {"shape": "box", "style": "filled", "fillcolor": "#FFFFFF", "color": "#FFFFFF"}
    return look | {
        "label": escaped(note.text),
        "fontsize": "11",
        "pos": f"{note.x:.1f},{note.y:.1f}!",
        "width": f"{note.width / 72:.3f}",
        "height": f"{14 / 72:.3f}",
    }


def _edge(line: Line) -> Attributes:
    *path, tip = line.path
    back = next((p for p in reversed(path) if p != tip), path[-1])
    length = hypot(back[0] - tip[0], back[1] - tip[1]) or 1.0
    part = min(_ARROW / length, 0.9)
    end = (tip[0] + (back[0] - tip[0]) * part, tip[1] + (back[1] - tip[1]) * part)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*path, end])
    if line.kind == "parameter":
        look = {"color": line.source.color}
        if line.source.dashed:
            look["style"] = "dashed"
    else:
        look = _EDGES[line.kind]
    return look | {"pos": f"e,{tip[0]:.1f},{tip[1]:.1f} {points}"}


def escaped(text: str) -> str:
    """A label that is drawn as this text: no escapes, no character entities, no HTML."""
    import graphviz

    label: str = graphviz.escape(text.replace("&", "&amp;"))
    return label
