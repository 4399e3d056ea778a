"""The ways a gradient takes: through which edges it came, and by which paths.

Vertical is down the layers, inside a time step; horizontal is back in time, from one step to the
one before. This file follows the recorded edges, and asks the engine for each edge's derivative.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine.record import Node, history
from ..engine.sweep import adjoints, depending_on, pull_back, worked_out
from ..engine.tensor import Tensor, seed
from ..tables import columns
from .uses import name_of

Array = npt.NDArray[Any]


# -------------------------------------------------------------------------------------------- split


@dataclass(frozen=True, eq=False)
class Edge:
    """A reader of a state, and the part of the state's gradient that came through it.

    step, op, slot: of the reader: its time step, its primitive, and the argument that the state is.
    horizontal: whether it is in another step.
    grad: the part, of the state's shape.
    """

    step: int | None
    op: str
    slot: int
    horizontal: bool
    grad: Array


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """dL/dh_t = vertical + horizontal, and the edges they came through. Printed: a table.

    name: what h_t is called.
    vertical, horizontal: the two parts, each of h_t's shape.
    edges: one for each reader of h_t.
    """

    name: str
    vertical: Array
    horizontal: Array
    edges: list[Edge]

    @property
    def total(self) -> Array:
        """dL/dh_t."""
        array: Array = self.vertical + self.horizontal
        return array

    def __str__(self) -> str:
        rows = [["part", "read by", "in step", "norm"]]
        for edge in self.edges:
            part = "horizontal" if edge.horizontal else "vertical"
            step = "–" if edge.step is None else str(edge.step)
            rows.append([part, edge.op, step, f"{np.linalg.norm(edge.grad):.4g}"])
        parts = (("vertical", self.vertical), ("horizontal", self.horizontal), ("sum", self.total))
        rows += [[f"{part}", "", "", f"{np.linalg.norm(g):.4g}"] for part, g in parts]
        return f"dL/d{self.name}, by the edges it came through:\n{columns(rows)}"

    __repr__ = __str__


def split(loss: Tensor, h: Tensor) -> Split:
    """The vertical and the horizontal part of dL/dh_t: through ŷ_t, and through h_{t+1}.

    h: a tensor made in a time step.

    What reads it in another step of its loop sends the horizontal part, and so does the same code
    in another loop, such as the next chunk of a text. What reads it in its own step, outside the
    steps, or as the input of another layer sends the vertical part. The next edge counts, and not
    where the way leads then. (An LSTM's c_t is read by its own h_t, which leads on to t + 1.) The
    graph is kept. A ValueError says that h was made outside the steps, or that the loss does not
    depend on it.
    """
    if h.step is None:
        raise ValueError(
            f"split: {name_of(h, 'h')} was not made in a time step; record it in "
            "`for t, x in tg.steps(xs):`"
        )
    arrived: dict[Node, list[Any]] = {h: []}
    adjoints([loss], [seed(loss, function="split")], [h], retain=True, itemised=arrived)
    if not arrived[h]:
        raise ValueError(f"split: the loss does not depend on {name_of(h, 'h')} of step {h.step}")
    own = {_code(node) for node in history(loss, since=h.number) if node.label.loop == h.label.loop}
    edges = []
    for reader, slot, term in reversed(arrived[h]):
        op = reader.primitive.name if reader.primitive else ""
        sideways = reader.step is not None and reader.step != h.step
        if reader.label.loop != h.label.loop:
            sideways = _code(reader) in own
        edges.append(Edge(reader.step, op, slot, sideways, worked_out(term)))
    vertical, horizontal = np.zeros_like(h.array), np.zeros_like(h.array)
    for edge in edges:
        part = horizontal if edge.horizontal else vertical
        part += edge.grad
    return Split(f"{name_of(h, 'h')}_{h.step}", vertical, horizontal, edges)


def _code(node: Node) -> tuple[Any, ...]:
    """The line that made a node, and its scopes, whatever the loop."""
    return node.site.line, node.scope


# -------------------------------------------------------------------------------------------- paths


@dataclass(frozen=True, eq=False, repr=False)
class Path:
    """One way from the loss to a use of the parameter, and the product of the derivatives on it.

    nodes: from the loss to the operation that uses the parameter.
    slot: which of that operation's arguments the parameter is.
    grad: the product, of the parameter's shape.
    """

    nodes: tuple[Node, ...]
    slot: int
    grad: Array

    @property
    def steps(self) -> list[int]:
        """The time steps on the way, newest first: [3, 2, 1] went back through h_3, h_2, h_1."""
        stepped = [node for node in self.nodes if node.step is not None]
        return [
            step for (_, step), _ in groupby(stepped, lambda node: (node.label.loop, node.step))
        ]

    def __str__(self) -> str:
        return " ← ".join(node.primitive.name for node in self.nodes if node.primitive)

    __repr__ = __str__


@dataclass(frozen=True, eq=False, repr=False)
class Paths:
    """The paths from a loss to a parameter.

    count: how many there are, exactly.
    paths: all of them, or none if there are more than the limit.
    """

    name: str
    count: int
    paths: list[Path]

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Path]:
        return iter(self.paths)

    def __str__(self) -> str:
        words = f"{self.count:,} path{'s' if self.count != 1 else ''} from the loss to {self.name}"
        if not self.paths:
            return f"{words}, too many to list"
        rows = [["through steps", "operations", "norm"]]
        for path in self.paths:
            steps = " ← ".join(map(str, path.steps)) or "–"
            rows.append([steps, str(len(path.nodes)), f"{np.linalg.norm(path.grad):.4g}"])
        return f"{words}; dL/d{self.name} is the sum of their products:\n{columns(rows)}"

    __repr__ = __str__


def paths(loss: Tensor, parameter: Tensor, limit: int = 100) -> Paths:
    """The paths that the gradient takes from a loss to a parameter, each with its product.

    loss: one element; the graph is kept.
    limit: they are listed if there are no more than that. They are counted in any case, without
        being walked: 2⁶⁰ are no matter.

    By the chain rule dL/dθ is the sum over the paths. A ValueError says that the loss does not
    depend on the parameter.
    """
    g = seed(loss, function="paths")
    nodes = history(loss, since=parameter.number)
    useful = depending_on({parameter}, nodes)
    if loss not in useful or loss is parameter:
        raise ValueError(f"paths: the loss does not depend on {name_of(parameter)}")
    count: dict[Node, int] = {loss: 1}
    for node in reversed(nodes):
        if node in count and node is not parameter:
            for _, x in _edges(node, useful):
                count[x] = count.get(x, 0) + count[node]
    number = count[parameter]
    listed = list(_walk(loss, g, parameter, useful)) if number <= limit else []
    return Paths(name_of(parameter), number, listed)


def _walk(loss: Node, g: Any, parameter: Node, useful: set[Node]) -> Iterator[Path]:
    """All the paths, depth first, without recursion."""
    ways: list[tuple[int, Node, Any]] = [(0, loss, g)]
    nodes: list[Node] = []  # from the loss to where we are
    while ways:
        far, node, g = ways.pop()
        nodes[far:] = [node]
        for slot, x in reversed(_edges(node, useful)):
            term = worked_out(pull_back(g, node, slot, node.array, node.arguments))
            if x is parameter:
                yield Path(tuple(nodes), slot, term)
            else:
                ways.append((far + 1, x, term))


def _edges(node: Node, useful: set[Node]) -> list[tuple[int, Node]]:
    vjps = node.primitive.vjps if node.primitive and node.requires_grad else ()
    inputs = enumerate(node.inputs or ()) if vjps else ()
    return [
        (slot, x)
        for slot, x in inputs
        if isinstance(x, Node) and x in useful and vjps[slot] is not None
    ]
