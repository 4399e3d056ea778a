"""Equations: a folded recording as a system of equations over time, plain data.

A `Value` is one equation: what it is computed by, in which steps, from what. It reads each argument
in one way in all of its steps: where a recording begins or ends in another way, a sum stands in
between whose terms are there in some steps only. So h, with the initial state before its first
step, is the sum of h_0 in step 0 and of h_t in the steps after it, and the adjoint of the last
state has one term less. Sums are sets of terms, each with its steps; nothing else is special.

This file knows no primitive but the sum, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine.record import Node, cut_from, history
from ..fold import FoldedEdge, FoldedGraph, FoldedNode, Moving
from .trace import Unsupported

Steps = frozenset[int]

SUM = "add_n"


@dataclass(eq=False, slots=True)
class Read:
    """One argument: in step t, step sign · t + offset of a source.

    sign, offset: None and None if the source is shared.
    steps: the steps of the reader in which a term of a sum is there; None if the reader is shared.
    over: for a shared reader, the steps of the source, in this order: a term for each.
    """

    source: Value
    sign: int | None = None
    offset: int | None = None
    steps: Steps | None = None
    over: list[int] | None = None

    def at(self, t: int) -> int | None:
        """The step of the source that is read in step t."""
        if self.sign is None or self.offset is None:
            return None
        return self.sign * t + self.offset

    @property
    def aligned(self) -> bool:
        """Whether a step reads the same step, or what is shared."""
        if self.over is not None:
            return False
        return self.sign is None or (self.sign == 1 and self.offset == 0)


@dataclass(eq=False, slots=True)
class Value:
    """One equation.

    op: a primitive's name, or "input", "captured", "constant".
    steps: the steps in which it is computed; None if it is shared.
    reads: the arguments by slot; of a sum, the terms.
    constant: the array of a constant. example: a value that was recorded, to fold constants by.
    number: of an input or of what is captured.
    adjoint: what this is the adjoint of. about: the equation, for a reader, if it is no one line.
    """

    op: str
    steps: Steps | None
    shape: tuple[int, ...]
    dtype: Any
    reads: list[Read] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    name: str | None = None
    constant: Any = None
    example: Any = None
    number: int = 0
    adjoint: Value | None = None
    about: str | None = None

    @property
    def leaf(self) -> bool:
        """Whether it is not computed."""
        return self.op in ("input", "captured", "constant")


Roots = list[Read]


def readers(roots: Roots) -> dict[Value, list[tuple[Value | None, Read]]]:
    """Who reads each value that the roots need; the roots themselves are read by None.

    The values are in the order of a walk from the roots.
    """
    found: dict[Value, list[tuple[Value | None, Read]]] = {}
    waiting: list[Value] = []
    for root in roots:
        if root.source not in found:
            waiting.append(root.source)
        found.setdefault(root.source, []).append((None, root))
    while waiting:
        value = waiting.pop()
        for read in value.reads:
            if read.source not in found:
                found[read.source] = []
                waiting.append(read.source)
            found[read.source].append((value, read))
    return found


def constant(array: Any, name: str | None = None) -> Value:
    """A constant, shared."""
    array = np.asarray(array)
    value = Value("constant", None, array.shape, array.dtype, name=name, constant=array)
    value.example = array
    return value


def composed(outer: Read, inner: Read) -> Read:
    """Reading through a copy: the outer read's source is the inner read's in its every step."""
    if inner.sign is None or (outer.sign is None and outer.over is None):
        return Read(inner.source, inner.sign, inner.offset, outer.steps)
    assert inner.offset is not None
    if outer.over is not None:
        over = [inner.sign * s + inner.offset for s in outer.over]
        return Read(inner.source, inner.sign, inner.offset, None, over)
    assert outer.sign is not None
    assert outer.offset is not None
    return Read(
        inner.source, outer.sign * inner.sign, inner.sign * outer.offset + inner.offset, outer.steps
    )


# ------------------------------------------------------------------------------------ from a fold


class Builder:
    """Makes equations of a folded graph, or of a recording as it is: every value shared."""

    def __init__(self, inputs: Sequence[Node], captured: Sequence[Node]) -> None:
        self._leaves = {x: ("input", i) for i, x in enumerate(inputs)}
        self._leaves |= {x: ("captured", i) for i, x in enumerate(captured)}
        self._phis: dict[Any, Value] = {}

    def unrolled(self, outputs: Sequence[Node]) -> Roots:
        """The recording, node by node."""
        of: dict[Any, Value] = {}
        nodes = history(*outputs)
        recorded = set(nodes)
        for node in nodes:
            source = cut_from(node)
            if source in recorded and source is not None:
                of[node] = of[source]
                continue
            value = of[node] = self._value(node)
            if not value.leaf:
                value.attributes = dict(node.attributes)
                value.reads = [
                    Read(of[x] if isinstance(x, Node) else literal(x)) for x in node.inputs or ()
                ]
        _name_adjoints(nodes, {node.place: node for node in nodes}, of.__getitem__)
        return [Read(of[node]) for node in outputs]

    def folded(self, graph: FoldedGraph) -> Roots:
        """The loop."""
        values: dict[FoldedNode, Value] = {}
        for node in graph.nodes:
            values[node] = self._of_line(node)
        edges = graph.inputs()
        for node, value in values.items():
            if value.leaf or value.reads:
                continue
            if node.shared:
                self._shared_reads(node, value, edges[node], values)
            else:
                self._reads(node, value, edges[node], values)
        of = {x: value for line, value in values.items() for x in line.nodes.values()}
        places = {x.place: x for x in of}
        mains = [next(iter(line.nodes.values())) for line in graph.nodes]
        _name_adjoints(mains, places, of.__getitem__)
        roots = []
        for node, t in graph.roots:
            stepped = values[node].steps is not None
            roots.append(Read(values[node], 0, t) if stepped else Read(values[node]))
        return roots

    def _value(self, node: Node) -> Value:
        kind, number = self._leaves.get(node, ("constant", 0))
        op = kind if node.primitive is None else node.primitive.name
        if op == "add" and node.array.dtype.kind == "f":
            op = SUM
        value = Value(op, None, node.array.shape, node.array.dtype, name=_name(node))
        value.number = number
        value.example = node.array
        if op == "constant":
            value.constant = node.array
        return value

    def _of_line(self, line: FoldedNode) -> Value:
        value = self._value(line.node)
        if line.shared:
            value.attributes = dict(line.attributes)
            return value
        value.steps = frozenset(t for t in line.nodes if t is not None)
        if value.op in ("input", "captured"):
            raise Unsupported(f"{value.name or 'a tensor'} is made inside the steps")
        if value.op == "constant":
            return _by_steps({t or 0: x.array for t, x in line.nodes.items()}, value.steps)
        value.attributes = dict(line.attributes)
        return value

    def _shared_reads(
        self, line: FoldedNode, value: Value, edges: Iterable[FoldedEdge], values: Any
    ) -> None:
        slots: dict[int, Read] = {}
        for slot, by_step in line.constants.items():
            slots[slot] = Read(literal(by_step[None]))
        for edge in edges:
            source = values[edge.source]
            if edge.sign is None or source.steps is None:
                for i in range(edge.count):
                    slots[edge.slot + i * edge.every] = Read(source)
            elif edge.count > 1 and edge.every == 1:
                over = [edge.source_step(i) or 0 for i in range(edge.count)]
                slots[edge.slot] = Read(source, over=over)
            else:
                for i in range(edge.count):
                    at = edge.source_step(i)
                    slots[edge.slot + i * edge.every] = Read(source, 0, at)
        value.reads = [slots[slot] for slot in sorted(slots)]

    def _reads(
        self, line: FoldedNode, value: Value, edges: Iterable[FoldedEdge], values: Any
    ) -> None:
        assert value.steps is not None
        pieces: dict[int, list[Read]] = {}
        for slot, by_step in line.constants.items():
            steps = frozenset(t for t in by_step if t is not None)
            source = _by_steps({t: by_step[t] for t in sorted(steps)}, steps)
            sign, offset = (None, None) if source.steps is None else (1, 0)
            pieces.setdefault(slot, []).append(Read(source, sign, offset, steps))
        for edge in edges:
            assert edge.steps is not None
            steps = frozenset(edge.steps) & value.steps
            source = values[edge.source]
            sign, offset = edge.sign, edge.offset
            if source.steps is None:
                sign = offset = None
            pieces.setdefault(edge.slot, []).append(Read(source, sign, offset, steps))
        if value.op == SUM:
            value.reads = [read for slot in sorted(pieces) for read in pieces[slot]]
            return
        for slot in sorted(pieces):
            value.reads.append(self._joined(pieces[slot], value.steps))

    def _joined(self, pieces: list[Read], steps: Steps) -> Read:
        """The pieces of an argument as one read; of a sum, where they are several."""
        covered: set[int] = set()
        for piece in pieces:
            covered |= piece.steps or set()
        if covered != steps:
            raise Unsupported("an argument is not there in all steps")
        if len({(p.source, p.sign, p.offset) for p in pieces}) == 1:
            return Read(pieces[0].source, pieces[0].sign, pieces[0].offset, steps)
        kinds = {
            (p.source.shape, p.source.dtype) for p in pieces if "python" not in p.source.attributes
        }
        if len(kinds) == 1:
            ((shape, dtype),) = kinds
            for p in pieces:
                if "python" in p.source.attributes:
                    p.source = constant(np.full(shape, p.source.constant, dtype))
        if len(kinds) > 1:
            raise Unsupported("an argument has one shape in some steps and another in others")
        moving = [p for p in pieces if p.sign == 1]
        main = max(moving, key=lambda p: len(p.steps or ()), default=None)
        shift = 0 if main is None else main.offset or 0
        terms: dict[tuple[Value, int | None, int | None], Steps] = {}
        for p in pieces:
            offset = p.offset
            if p.sign and offset is not None:
                offset -= p.sign * shift
            way = (p.source, p.sign, offset)
            terms[way] = terms.get(way, frozenset()) | {t + shift for t in p.steps or ()}
        key = frozenset(terms.items())
        if key not in self._phis:
            shape, dtype = pieces[0].source.shape, pieces[0].source.dtype
            phi = Value(SUM, frozenset(t + shift for t in steps), shape, dtype)
            phi.reads = [Read(x, sign, at, when) for (x, sign, at), when in terms.items()]
            phi.name = main.source.name if main else pieces[0].source.name
            self._phis[key] = phi
        return Read(self._phis[key], 1, shift, steps)


def _by_steps(arrays: dict[int, Any], steps: Steps) -> Value:
    """A constant for each step: one, if they are equal; else they are the rows of an array."""
    first = next(iter(arrays.values()))
    if all(type(x) is type(first) and np.array_equal(x, first) for x in arrays.values()):
        value = literal(first)
        if np.asarray(first).dtype == np.asarray(next(reversed(arrays.values()))).dtype:
            return value
    ts = sorted(arrays)
    if ts != list(range(ts[0], ts[-1] + 1)):
        raise Unsupported("constants are there in some steps only")
    rows = constant(np.stack([np.asarray(arrays[t]) for t in ts]))
    row = Value("getitem", steps, rows.shape[1:], rows.dtype, [Read(rows, steps=steps)])
    row.attributes = {"index": (Moving(1, -ts[0]),)}
    row.example = rows.constant[0]
    return row


def literal(x: Any) -> Value:
    """A constant; a Python number stays one, which takes on the dtype of what it meets."""
    value = constant(x)
    if type(x) in (int, float, bool):
        value.attributes = {"python": True}
    return value


def _name(node: Node) -> str | None:
    name = getattr(node, "name", None)
    return name if isinstance(name, str) and name.isidentifier() else None


def _name_adjoints(nodes: Iterable[Node], places: Any, value_of: Callable[[Any], Value]) -> None:
    """Remember of which value each adjoint is one: dh is that of h."""
    for node in nodes:
        origin = node.label.origin
        if origin is not None and origin[1] == "sum" and origin[0] in places:
            value_of(node).adjoint = value_of(places[origin[0]])
