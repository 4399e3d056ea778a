"""The words of a picture: what names, shapes and operations look like in print, and how wide they
are.

Subscripts are Unicode, because not every engine sets the subscripts of HTML labels. This file does
not know where anything stands.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from math import fsum
from typing import Any

import numpy as np

from ..engine.record import Node
from ..fold.graph import Moving

LONGEST = 24  # characters of a name

INFIX = {
    "matmul": "@",
    "dot": "@",
    "add": "+",
    "add_n": "+",
    "subtract": "−",
    "multiply": "×",
    "divide": "÷",
    "power": "^",
    "negative": "−",
}
_SHORTER = {"absolute": "abs", "transpose": "T", "cross_entropy": "cross-entropy"}

_SUBSCRIPTS = dict(zip("0123456789t", "₀₁₂₃₄₅₆₇₈₉ₜ", strict=True))
_SUPERSCRIPTS = dict(zip("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹", strict=True))


# ------------------------------------------------------------------------------------------ names


def names_of(nodes: list[Node]) -> dict[Node, str]:
    """The names that nodes (oldest first) are known by.

    Of the nodes that one call made in a row (all the additions of `L = sum(losses)`) only the
    newest is what the variable holds. A call that made several leaves (in a helper, in a list)
    names none of them.
    """
    names: dict[Node, str] = {}
    leaves = Counter(node.site for node in nodes if node.primitive is None and node.step is None)
    for node, after in zip(nodes, [*nodes[1:], None], strict=True):
        name = getattr(node, "name", None)
        if name is None:
            continue
        if name == node.site.variable:
            again = (
                after is not None
                and after.label.origin is None
                and (after.site.line, after.step) == (node.site.line, node.step)
                and after.site.variable == name
            )
            if leaves[node.site] > 1 if node.primitive is None else again:
                continue
        names[node] = name
    return names | _gradients(nodes, names)


def _gradients(nodes: list[Node], names: dict[Node, str]) -> dict[Node, str]:
    """The names of adjoints that are sums: dL/dW, by what the sum is the gradient of."""
    places = {node.place: name for node, name in names.items()}
    scalar = [names[x] for x in nodes if x in names and not x.array.ndim and x.primitive]
    loss = base_of(scalar[-1]) if scalar else "L"
    found = {}
    for node in nodes:
        origin = node.label.origin
        if origin is not None and origin[1] == "sum" and origin[0] in places:
            found[node] = f"d{loss}/d{base_of(places[origin[0]])}"
    return found


def base_of(name: str) -> str:
    """A name as a lecture writes it, without its time: "y_hat_t" is ŷ, "loss" is L, "W1" is W₁.

    Letters stay on the line, b_h and b_y: Unicode has no subscript y, and they should look alike.
    """
    name = name[: 2 * LONGEST]
    name = printable(name.removesuffix("_t") or name)
    if name == "loss":
        return "L"
    if name.endswith("_hat") and len(name) > 4:
        hatted = unicodedata.normalize("NFC", name[0] + "\u0302")
        name = hatted + name[1:-4] if len(hatted) == 1 else name
    letter, _, rest = name.partition("_")
    if not rest:
        letter = name.rstrip("0123456789")
        rest = name[len(letter) :]
    if len(letter) == 1 and rest.isdecimal() and rest.isascii():
        return letter + subscript(rest)
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def timeless(name: str) -> str:
    """The name of a state by that of the state before the first step: h of h_0 and of h0."""
    return name.rstrip("0").removesuffix("_") or name


def at_step(name: str, step: int | str) -> str:
    """A name with its time step. The number of a layer makes room: h1 at step 2 is h⁽¹⁾₂."""
    letter, number = printable(name[:1]), name[1:4].removeprefix("_")
    if len(name) < 5 and number.isdecimal() and number.isascii():
        return f"{letter}⁽{''.join(_SUPERSCRIPTS[c] for c in number)}⁾{subscript(step)}"
    return base_of(name) + subscript(step)


def subscript(x: object) -> str:
    """A number or a letter below the line."""
    return "".join(_SUBSCRIPTS.get(c, c) for c in str(x))


def printable(text: str) -> str:
    """Control characters as the escapes that Python writes for them."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


# -------------------------------------------------------------------------- operations, constants


def shape_of(array: Any) -> str:
    """A shape: 16×16; nothing for a single number."""
    return "×".join(map(str, np.shape(array)))


def is_number(x: object) -> bool:
    """Whether an operand is one constant number, which is written into the label."""
    return not isinstance(x, Node) and np.ndim(x) == 0  # type: ignore[arg-type]


def operation_of(node: Node, attributes: dict[str, Any], numbers: Iterable[tuple[int, Any]]) -> str:
    """What a node does, with its constant numbers: "tanh", "@", "1 −", "× 0.5", "maximum 0"."""
    assert node.primitive is not None
    inputs = node.inputs or ()
    name = node.primitive.name
    word = INFIX.get(name) or _SHORTER.get(name, name.replace("_", " "))
    if name == "swapaxes" and set(attributes.values()) == {-1, -2}:
        word = "T"
    if name == "getitem":
        word = _index(attributes.get("index", ()))
    parts = [word]
    for slot, x in numbers:
        value = f"{np.asarray(x).item():.4g}".replace("-", "−")
        if slot == 0 and name in INFIX and len(inputs) > 1:
            parts.insert(0, value)
        else:
            parts.append(value)
    return " ".join(parts)


def _index(index: Any) -> str:
    known = (int, slice, type(None), type(Ellipsis), Moving)
    parts = index if isinstance(index, tuple) else (index,)
    if not all(isinstance(part, known) for part in parts):
        return "[…]"
    words = []
    for part in parts:
        if isinstance(part, slice):
            ends = ["" if end is None else str(end) for end in (part.start, part.stop, part.step)]
            words.append(":".join(ends if part.step is not None else ends[:2]))
        else:
            words.append("…" if part is Ellipsis else str(part))
    return f"[{', '.join(words)}]".replace("-", "−")


LISTED = 3  # numbers of a value that are written out


def value_in_words(arrays: list[Any]) -> str:
    """A value: its numbers if they are few, or else the smallest and the largest."""
    numbers = np.concatenate([np.ravel(array) for array in arrays])
    if not numbers.size:
        return "empty"
    if numbers.size > LISTED:
        ends = dict.fromkeys(map(_number, (numbers.min(), numbers.max())))
        return " … ".join(ends)
    return ", ".join(map(_number, numbers))


def gradient_in_words(gradients: list[Any]) -> str:
    """A gradient by its norm; "–" if there is none yet, which is another thing than 0."""
    known = [getattr(g, "array", g) for g in gradients if g is not None]
    if not known:
        return "grad –"
    norm = np.sqrt(sum(float(np.sum(np.square(np.asarray(g, float)))) for g in known))
    return f"|grad| {_number(norm)}"


def _number(x: Any) -> str:
    return f"{x:.3g}".replace("-", "−")


# ------------------------------------------------------------------------------- width and colour


def width_of(text: str, bold: bool = False) -> float:
    """A generous estimate of the width of a line of 12-point Helvetica, in points.

    Generous, because an engine without Helvetica takes a wider face.
    """
    points = fsum(_width(c) for c in text)  # rounded alike in every version of Python
    return points * 1.08 if bold else points


def _width(c: str) -> float:
    if c in _NARROW:
        return 4.2
    if unicodedata.east_asian_width(c) in "WF":
        return 12.5
    return 11.0 if c in _WIDE else 8.6 if c.isupper() else 7.3


_NARROW = frozenset("iljtfr.,:;'|!()[] ⁽⁾" + "".join(_SUBSCRIPTS.values()) + "⁰¹²³⁴⁵⁶⁷⁸⁹")
_WIDE = frozenset("mwMW@%…")


def contrast(color: str, other: str) -> float:
    """The contrast of two colours #rrggbb, from 1 to 21 (WCAG 2.2, relative luminance)."""
    lighter, darker = sorted(map(_luminance, (color, other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def readable(color: str) -> str:
    """A colour, darkened until letters in it can be read on white."""
    while color and contrast(color, "#FFFFFF") < 4.5:
        color = "#" + "".join(f"{int(color[i : i + 2], 16) * 9 // 10:02X}" for i in (1, 3, 5))
    return color


def _luminance(color: str) -> float:
    channels: Iterable[float] = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
