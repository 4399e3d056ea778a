"""The look: colours, borders and dashes of every kind of box and line, in each theme.

Kinds differ by shape and border too, so that a picture in colour survives a printer without.
"""

from __future__ import annotations

from .scene import Box, Line
from .words import contrast, readable

Attributes = dict[str, str]

INK, GREY, PALE = "#222222", "#444444", "#C8C8C8"
BACKWARD = "#7B3FA0"  # what belongs to the backward pass
CUT = "#B3261E"

_SHAPES: dict[str, Attributes] = {
    "data": {"style": "filled"},
    "initial": {"style": "rounded,filled,dashed"},
    "operation": {"style": "rounded,filled"},
    "value": {"style": "rounded,filled"},
    "state": {"style": "rounded,filled", "penwidth": "2"},
    "loss": {"style": "rounded,filled"},
    "total": {"style": "rounded,filled", "penwidth": "2"},
    "delay": {"style": "filled", "fontcolor": "#FFFFFF"},
    "gap": {"style": "filled"},
    "parameter": {"style": "filled"},
}
_COLORS = {  # fill and border
    "data": ("#FFFFFF", "#767676"),
    "initial": ("#FFFFFF", INK),
    "operation": ("#F2F2F2", "#555555"),
    "value": ("#FFFFFF", INK),
    "state": ("#FFF3D6", INK),
    "loss": ("#FBE3E4", INK),
    "total": ("#F4B6B8", INK),
    "delay": ("#000000", "#000000"),
    "gap": ("#FFFFFF", "#FFFFFF"),
    "backward": ("#F1E6F7", BACKWARD),
}
_DOUBLE = ("loss", "total")  # without colours, these have two borders
_DASHES = ("solid", "dashed", "dotted")
_HEAVY = {"penwidth": "2.4", "color": INK}
_LINES: dict[str, Attributes] = {
    "plain": {},
    "time": _HEAVY,
    "initial": _HEAVY,
    "start": {"style": "dashed", "color": INK},
}


def of_box(box: Box, theme: str, pale: bool) -> Attributes:
    """The attributes of a box, but for its words and its place."""
    look = dict(_SHAPES[box.kind])
    if box.kind == "parameter":
        fill, border = box.color, box.color
        look["fontcolor"] = max("#FFFFFF", "#000000", key=lambda ink: contrast(ink, box.color))
    else:
        fill, border = _COLORS[box.kind]
    if box.backward and box.kind != "delay":
        fill, border = _COLORS["backward"]
        look["style"] += ",dashed"
    if theme == "print" and box.kind != "delay":
        fill, border = "#FFFFFF", "#FFFFFF" if box.kind == "gap" else "#000000"
        if box.kind == "parameter":
            look |= {"fontcolor": "#000000", "penwidth": "1.5"}
        if box.kind in _DOUBLE:
            look["peripheries"] = "2"
    if pale:
        fill = PALE if box.kind in ("delay", "parameter") else "#FFFFFF"
        border = "#FFFFFF" if box.kind == "gap" else PALE
        look["fontcolor"] = "#FFFFFF" if box.kind == "delay" else "#9A9A9A"
    if box.round:
        look |= {"style": look["style"].replace("rounded,", ""), "shape": "circle"}
    return look | {"fillcolor": fill, "color": border}


def of_line(line: Line, theme: str, pale: bool) -> Attributes:
    """The attributes of a line, but for its path."""
    if line.kind == "parameter":
        color = line.source.color
        style = "dashed" if line.source.dashed else ""
        if theme == "print":
            color, style = "#000000", _DASHES[line.source.number % len(_DASHES)]
        look = {"color": color} | ({"style": style} if style else {})
    else:
        look = dict(_LINES[line.kind])
        if line.source.backward and line.target.backward and theme == "color":
            look["color"] = BACKWARD
    if line.width:
        look["penwidth"] = f"{line.width:.2f}"
    if pale:
        look["color"] = PALE
    return look


def of_adjoint(line: Line, theme: str, pale: bool) -> Attributes:
    """The attributes of the way back along a line: of the gradient."""
    color = "#000000" if theme == "print" else BACKWARD
    width = "1.8" if line.kind in ("time", "initial") else "1.2"
    return {"style": "dashed", "color": PALE if pale else color, "penwidth": width}


def of_words(color: str, theme: str, pale: bool) -> str:
    """The colour of words on a line."""
    if pale:
        return "#9A9A9A"
    return readable(color) if color and theme == "color" else GREY
