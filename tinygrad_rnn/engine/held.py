"""The value of a tensor while a recording holds it: free to read, and refused to whoever writes.

A gradient belongs to the values that the loss was computed from. So these are read-only until the
recording is released or dropped, and an attempt says which operation holds them. Who holds an array
is found out only then, among its referrers: no recording keeps a list of what it holds.

How it is known that a value is held: a tensor's array is a view of a buffer, and NumPy lets a view
of a view refer to the buffer. So who refers to the array is a recording, and who refers to the
buffer is an array that was given out. Two reference counts tell them apart.
"""

from __future__ import annotations

import gc
import weakref
from typing import Any, NoReturn

import numpy as np

from .record import Node


class ReadOnly(np.ndarray[Any, Any]):
    """A read-only view of a node's value. What is computed from it is a plain array."""

    _node: weakref.ref[Node] | None

    def __array_finalize__(self, source: Any) -> None:
        self._node = getattr(source, "_node", None)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        for x in (*keywords.get("out", ()), *(inputs[:1] if method == "at" else ())):
            if isinstance(x, ReadOnly):
                x._check()
        if "out" in keywords:
            keywords["out"] = tuple(map(_plain, keywords["out"]))
        return getattr(ufunc, method)(*map(_plain, inputs), **keywords)

    def __setitem__(self, index: Any, value: Any) -> None:
        self._check()
        super().__setitem__(index, value)

    def __repr__(self) -> str:
        return repr(_plain(self))

    def _check(self) -> None:
        if not self.flags.writeable:
            refuse(self._node() if self._node else None)


def read_only(node: Node) -> ReadOnly:
    """The value of a node as a view that says, when it is written to, what holds it."""
    # Behind a plain view: one of the array itself would look like a recording that refers to it.
    view: ReadOnly = node.array.view().view(ReadOnly)
    view._node = weakref.ref(node)
    view.flags.writeable = False
    return view


def refuse(node: Node | None) -> NoReturn:
    """A ValueError that says why the value of a node can't be written to."""
    what = "this tensor"
    name = getattr(node, "name", None)
    if name:
        what = f"the tensor {name!r}"
    if node is not None and node.primitive is not None:
        raise ValueError(
            f"{what} can't be written to: it was computed, by {_operation(node)}; write to a copy, "
            "x.numpy(), or to x.detach().data"
        )
    holder = None if node is None else _holder(node.array)
    if holder is None:
        raise ValueError(
            f"{what} can't be written to: this array was taken while a recording held the value, "
            "or something else refers to it; take x.data again, or write x.data = array"
        )
    by = _operation(holder)
    raise ValueError(
        f"{what} can't be written to: {by} holds its value for the backward pass. Run backward() "
        "first, without retain_graph, or drop what was computed from it. To replace the value and "
        "let the recording keep the old one: x.data = array"
    )


def _operation(node: Node) -> str:
    assert node.primitive is not None
    when = "" if node.step is None else f" of time step {node.step}"
    return f"{node.primitive.name}{when}"


def _holder(array: Any) -> Node | None:
    """The oldest node that has this array among its recorded arguments."""
    nodes = {
        node
        for arguments in gc.get_referrers(array)
        if isinstance(arguments, list)
        for node in gc.get_referrers(arguments)
        if isinstance(node, Node) and node.arguments is arguments
    }
    return min(nodes, key=lambda node: node.number, default=None)


def _plain(x: Any) -> Any:
    return x.view(np.ndarray) if isinstance(x, ReadOnly) else x
