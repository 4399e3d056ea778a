"""Views: parts of an array, and other ways to see it, which cost nothing and are written inline."""

from __future__ import annotations

from typing import Any

from .equations import Value
from .text import Operand, index_text, size_text

VIEWS = {"swapaxes", "transpose", "reshape", "ravel", "squeeze", "expand_dims", "moveaxis", "flip",
         "rows", "broadcast_to"}  # fmt: skip


def is_view(value: Value) -> bool:
    """Whether a value is a part of another, or another way to see it: nothing to compute."""
    if value.op == "getitem":
        return len(value.reads) == 1
    return value.op in VIEWS


def view(value: Value, x: Operand, whole: bool) -> str:
    """A part of an argument, or another way to see it."""
    shift = int(whole and x.stepped)
    if value.op == "rows":
        axis = value.attributes.get("axis", 0)
        return f"np.moveaxis({x.text}, 0, {axis})" if axis else x.text
    if value.op == "getitem":
        index = ", ".join(index_text(part) for part in value.attributes["index"])
        if shift:
            index = f":, {index}" if index else ":"
        return f"{x.tight}[{index}]" if index else x.text
    if value.op == "swapaxes":
        first, second = (moved(value.attributes[k], x, shift) for k in ("axis1", "axis2"))
        if not shift and len(x.shape) == 2 and {first % 2, second % 2} == {0, 1}:
            return f"{x.tight}.T"
        return f"{x.tight}.swapaxes({first}, {second})"
    if value.op == "transpose":
        given = value.attributes.get("axes")
        axes = tuple(reversed(range(len(x.shape)))) if given is None else tuple(given)
        if shift:
            axes = (0, *(a % len(x.shape) + 1 for a in axes))
        return f"{x.tight}.transpose{axes}"
    if value.op == "moveaxis":
        both = [all_moved(value.attributes[k], x, shift) for k in ("source", "destination")]
        return f"np.moveaxis({x.text}, {both[0]}, {both[1]})"
    if value.op == "flip":
        axis = value.attributes.get("axis")
        flipped = tuple(range(len(x.shape))) if axis is None else axis
        return f"np.flip({x.text}, {all_moved(flipped, x, shift)})"
    if value.op == "broadcast_to":
        wide = len(value.shape) - len(x.shape)
        text = f"{x.tight}[:, {'None, ' * wide}...]" if shift and wide else x.text
        sizes = [f"len({x.tight})"] if shift else []
        sizes += map(size_text, value.shape)
        return f"np.broadcast_to({text}, ({', '.join(sizes)}{',' if len(sizes) == 1 else ''}))"
    shape: tuple[Any, ...] = value.shape
    sizes = [f"len({x.tight})"] if shift else []
    return f"{x.tight}.reshape({', '.join([*sizes, *map(size_text, shape)]) or '()'})"


def moved(axis: int, x: Operand, shift: int) -> int:
    """An axis of one step, where there is one more axis in front."""
    return axis if axis < 0 else axis + shift


def all_moved(axis: Any, x: Operand, shift: int) -> Any:
    if isinstance(axis, (tuple, list)):
        return tuple(moved(a, x, shift) for a in axis)
    return moved(axis, x, shift)
