"""A recording as text: one line per node, in the order in which they were made, by time steps."""

from __future__ import annotations

from typing import Any

from .record import Node, history


def describe(*roots: Any) -> str:
    """What the roots were computed from: `n7 h = tanh(n6)`, with the shape, under its time step.

    Nodes are numbered in the order in which they were made. A name, if there is one, stands behind
    the number.
    """
    for root in roots:
        if not isinstance(root, Node):
            raise TypeError(
                f"describe: {type(root).__name__} is not a tensor; describe(a, b) takes several"
            )
    nodes = history(*roots)
    number = {node: f"n{i}" for i, node in enumerate(nodes, 1)}
    lines: list[str] = []
    heading = ""
    for node in nodes:
        where = "outside the steps" if node.step is None else f"step {node.step}"
        if node.scope:
            where += f", {'.'.join(node.scope)}"
        if where != heading:
            heading = where
            lines.append(f"{heading}:")
        name = getattr(node, "name", None)
        title = f"{number[node]} {name}" if name else number[node]
        lines.append(f"  {title} = {_made(node, number)}  {_shape(node)}".rstrip())
    return "\n".join(lines)


def _made(node: Node, number: dict[Node, str]) -> str:
    if node.primitive is None:
        return "parameter" if node.requires_grad else "data"
    words = [number[x] if isinstance(x, Node) else _constant(x) for x in node.inputs or ()]
    words += [f"{key}={value}" for key, value in node.attributes.items()]
    return f"{node.primitive.name}({', '.join(words)})"


def _constant(x: Any) -> str:
    shape = getattr(x, "shape", ())
    return f"array({', '.join(map(str, shape))})" if shape else str(x)


def _shape(node: Node) -> str:
    return "×".join(map(str, node.array.shape))
