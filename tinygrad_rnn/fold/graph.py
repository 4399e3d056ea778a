"""The folded graph: a loop as plain data, and how it is written out again.

It keeps one node for each line of the loop body, and edges that say at which lag a line reads
another. It does not know how it was found; see lines.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine.record import Node


@dataclass(frozen=True)
class Moving:
    """An integer attribute that moves with the step: sign · t + offset, such as the t of x[t]."""

    sign: int
    offset: int

    def at(self, t: int) -> int:
        """Its value in step t."""
        return self.sign * t + self.offset

    def __repr__(self) -> str:
        t = "t" if self.sign > 0 else "-t"
        return t + (f"{self.offset:+}" if self.offset else "")


@dataclass(eq=False, slots=True)
class FoldedNode:
    """One line of the loop body, or one shared node.

    op: the name of its primitive; None for data and parameters.
    steps: the steps in which it is made; None if it is shared.
    loop: the number of its loop, from 1, in the order in which the loops began; None if shared.
    outside: whether its loop was not labelled as one: a sum over the steps that was spelled outside
        them, one addition after another, whose i-th addition counts as its step i.
    attributes: by name; integers in them may be `Moving`.
    constants: what is no node, by argument slot and step.
    nodes: the recorded nodes, by step.
    row: the height inside one step: the longest path over edges of lag 0 that ends here.
    """

    op: str | None
    steps: range | None
    loop: int | None
    outside: bool
    attributes: dict[str, Any]
    constants: dict[int, dict[int | None, Any]]
    nodes: dict[int | None, Node]
    row: int = 0

    @property
    def shared(self) -> bool:
        """Whether it was made outside the steps."""
        return self.steps is None

    @property
    def node(self) -> Node:
        """One of its recorded nodes: they are alike."""
        return next(iter(self.nodes.values()))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of its value, the same at every step."""
        shape: tuple[int, ...] = self.node.array.shape
        return shape


@dataclass(eq=False, slots=True)
class FoldedEdge:
    """An argument slot of a folded node, and what it reads in these steps.

    steps: the steps of the reader; None if the reader is shared.
    sign, offset: in step t it reads step sign · t + offset of the source: sign 1 is a lag, −1 the
        other direction, 0 always the same step. None and None if the source is shared.
    count, every: a shared reader may take several steps, in `count` slots: in each, or each second,
        …, from `slot` on. The t of the i-th is i, from 0.
    cuts: the steps in which the reader reads a detached copy, and the step where that was made.
    """

    source: FoldedNode
    target: FoldedNode
    slot: int
    steps: range | None
    sign: int | None = None
    offset: int | None = None
    count: int = 1
    every: int = 1
    cuts: dict[int | None, int | None] = field(default_factory=dict)

    @property
    def lag(self) -> int | None:
        """How many steps before its own the reader reads; None where that is no one number."""
        if self.steps is None or self.sign != 1 or self.offset is None:
            return None
        return -self.offset

    def source_step(self, t: int | None) -> int | None:
        """The step that is read in step t, or by the t-th of the slots of a shared reader."""
        if self.sign is None or self.offset is None:
            return None
        return self.sign * (t or 0) + self.offset


@dataclass(eq=False, slots=True)
class FoldedGraph:
    """A recording as its loop: folded nodes, oldest first, and edges by readers and slots.

    Two are equal if they are the same loop, whatever the number of steps, the sizes of arrays and
    the values of data. Numbers that are written in the code count.
    Printed: the loop body, a line for each node.

    roots: what was folded, each with its step.
    """

    nodes: list[FoldedNode]
    edges: list[FoldedEdge]
    roots: list[tuple[FoldedNode, int | None]]

    def steps_of(self, loop: int | None) -> range:
        """The steps of a loop."""
        found = [node.steps for node in self.nodes if node.loop == loop and node.steps is not None]
        return range(min(s.start for s in found), max(s.stop for s in found))

    def inputs(self) -> dict[FoldedNode, list[FoldedEdge]]:
        """The edges that each node reads, by slots."""
        found: dict[FoldedNode, list[FoldedEdge]] = {node: [] for node in self.nodes}
        for edge in self.edges:
            found[edge.target].append(edge)
        return found

    def unfold(self) -> list[Unfolded]:
        """The recording again: every node of every step, inputs before what reads them.

        It is built from the folded nodes and edges; of the recorded nodes, only values are taken.
        """
        reads: dict[tuple[FoldedNode, int | None], list[FoldedEdge]] = {}
        for edge in self.edges:
            for t in edge.steps if edge.steps is not None else (None,):
                reads.setdefault((edge.target, t), []).append(edge)
        made: dict[tuple[FoldedNode, int | None], Unfolded] = {}
        copies: dict[Any, Unfolded] = {}
        order: list[Unfolded] = []
        waiting = list(reversed(self.roots))
        while waiting:  # depth first, without recursion
            node, t = waiting[-1]
            wanted = [(e, i, e.source_step(i if e.steps is None else t))
                      for e in reads.get((node, t), ()) for i in range(e.count)]  # fmt: skip
            missing = [(e.source, at) for e, _, at in wanted if (e.source, at) not in made]
            if missing and (node, t) not in made:
                waiting.extend(reversed(missing))
                continue
            waiting.pop()
            if (node, t) in made:
                continue
            slots = {i: by_step[t] for i, by_step in node.constants.items() if t in by_step}
            for edge, i, at in wanted:
                source = made[edge.source, at]
                if t in edge.cuts:
                    key = (edge.source, at, edge.cuts[t])
                    if key not in copies:
                        copies[key] = Unfolded(None, edge.cuts[t], (source,), {}, source.node, True)
                        order.append(copies[key])
                    source = copies[key]
                slots[edge.slot + i * edge.every] = source
            inputs = tuple(slots[i] for i in range(len(slots)))
            attributes = {name: _fixed(value, t) for name, value in node.attributes.items()}
            step = None if node.outside else t
            made[node, t] = Unfolded(node.op, step, inputs, attributes, node.nodes[t], False)
            order.append(made[node, t])
        return order

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FoldedGraph):
            return NotImplemented
        return bool(_canonical(self) == _canonical(other))

    __hash__ = object.__hash__

    def __str__(self) -> str:
        number = {node: f"n{i}" for i, node in enumerate(self.nodes, 1)}
        reads = self.inputs()
        lines = []
        for node in self.nodes:
            name = getattr(node.node, "name", None)
            title = number[node] + (f" {name}" if name else "")
            when = "shared" if node.steps is None else f"t = {run(node.steps)}"
            words: dict[int, list[str]] = {}
            for edge in reads[node]:
                words.setdefault(edge.slot, []).append(_reading(edge, number))
            for slot, by_step in node.constants.items():
                words.setdefault(slot, []).append(_constant(by_step))
            arguments = [" | ".join(words[slot]) for slot in sorted(words)]
            arguments += [f"{key}={value}" for key, value in node.attributes.items()]
            kind = "parameter" if node.node.requires_grad else "data"
            made = f"{node.op}({', '.join(arguments)})" if node.op else kind
            lines.append(f"{when:>10}  {title} = {made}")
        return "\n".join(lines)

    __repr__ = __str__


@dataclass(eq=False, slots=True)
class Unfolded:
    """A node of an unfolded recording: plain data.

    inputs: by argument slot, unfolded nodes as nodes and constants as they are.
    node: the recorded node whose value it has.
    cut: whether it is a detached copy of its one input.
    """

    op: str | None
    step: int | None
    inputs: tuple[Any, ...]
    attributes: dict[str, Any]
    node: Node
    cut: bool


def _fixed(value: Any, t: int | None) -> Any:
    """An attribute as it is in step t."""
    if isinstance(value, Moving):
        return value.at(t or 0)
    if isinstance(value, tuple):
        return tuple(_fixed(part, t) for part in value)
    if isinstance(value, slice):
        return slice(_fixed(value.start, t), _fixed(value.stop, t), _fixed(value.step, t))
    return value


def run(steps: range) -> str:
    """Steps in words: 2 … 6."""
    return str(steps[0]) if len(steps) == 1 else f"{steps[0]} … {steps[-1]}"


def _reading(edge: FoldedEdge, number: dict[FoldedNode, str]) -> str:
    """What an edge reads, in words: n2, n4[t-1], n4[6 … 1]."""
    source = number[edge.source]
    if edge.sign is None or edge.offset is None:
        index = ""
    elif edge.count > 1:
        index = f"[{edge.source_step(0)} … {edge.source_step(edge.count - 1)}]"
    else:
        index = f"[{Moving(edge.sign, edge.offset) if edge.sign else edge.offset}]"
    cut = " detached" if edge.cuts else ""
    if edge.steps is None or edge.steps == edge.target.steps:
        return f"{source}{index}{cut}"
    return f"{source}{index}{cut} for t = {run(edge.steps)}"


def _constant(by_step: dict[int | None, Any]) -> str:
    """What is no node, in words: its value, if it is one number, or its shape."""
    values = list(by_step.values())
    shape = getattr(values[0], "shape", ())
    if shape:
        return f"array({', '.join(map(str, shape))})"
    return str(values[0]) if all(value == values[0] for value in values) else "number"


def _kind(by_step: dict[int | None, Any], node: Node) -> Any:
    """What counts of a constant: the value of a number that stays, the kind of an array.

    A number in a backward pass may be the length of something.
    """
    values = [np.asarray(value) for value in by_step.values()]
    written = not values[0].ndim and node.label.origin is None
    if written and all(value == values[0] for value in values):
        return values[0].item()
    return values[0].dtype.kind, values[0].ndim


def _canonical(graph: FoldedGraph) -> Any:
    """What the recordings of one loop have in common: all but sizes and the number of steps."""
    number = {node: i for i, node in enumerate(graph.nodes)}
    ends = {node.loop: graph.steps_of(node.loop) for node in graph.nodes if node.steps is not None}

    def from_end(step: int, loop: int | None) -> int:
        """A step, counted from the first as 0, 1, …, or from the last as −1, −2, …"""
        steps = ends[loop]
        early = step - steps[0]
        return early if early <= 1 and step != steps[-1] else step - steps[-1] - 1

    def span(node: FoldedNode) -> Any:
        if node.steps is None:
            return None
        late = node.steps[0] - ends[node.loop][0]
        begin = late if late <= 1 else from_end(node.steps[0], node.loop)
        return begin, from_end(node.steps[-1], node.loop)

    def seen_from_end(value: Any, loop: int | None) -> Any:
        """An attribute; what moves against time is counted from the last step."""
        if isinstance(value, Moving) and value.sign == -1:
            return Moving(-1, value.offset - ends[loop][-1])
        if isinstance(value, tuple):
            return tuple(seen_from_end(part, loop) for part in value)
        return value

    nodes = [
        (
            node.op,
            node.loop,
            span(node),
            node.op is None and node.node.requires_grad,
            {
                k: len(v) if k == "shape" else seen_from_end(v, node.loop)
                for k, v in node.attributes.items()
                if v is not None
            },
            {slot: _kind(by_step, node.node) for slot, by_step in node.constants.items()},
        )
        for node in graph.nodes
    ]
    edges: list[Any] = []
    for e in graph.edges:
        where: Any = e.offset
        if e.count > 1:
            steps = [e.source_step(i) or 0 for i in (0, e.count - 1)]
            where = [from_end(step, e.source.loop) for step in steps]
        elif e.sign == 0:
            where = from_end(e.offset or 0, e.source.loop)
        elif e.sign == -1:
            where = (e.offset or 0) - ends[e.source.loop][-1]
        cut = min((t for t in e.cuts if t is not None), default=None)  # the first of them
        edge = (number[e.source], number[e.target], e.slot, e.sign, where, cut, len(e.cuts) > 0)
        if edge not in edges:  # as where a way is taken again after each cut
            edges.append(edge)
    return nodes, edges, [(number[node], node.shared) for node, _ in graph.roots]
