"""The items of a fold: one for each line of the loop, and for what is shared.

A sum over the steps that was spelled as one addition after another is one item outside the loop.
What the fold knows of steps becomes lags and notes: which step is read, and in which.
"""

from __future__ import annotations

from typing import Any

from ..engine.record import Node, history
from ..fold import FoldedEdge, FoldedGraph, FoldedNode, fold
from ..fold.places import heights
from .items import Item, Items, Read, add_once, beginnings, check_count, numbers_of
from .joints import joined
from .loops import Crossing, place_loops
from .sums import SUMS, absorbed, is_sum
from .words import is_number, names_of


def of_fold(roots: list[Node]) -> Items:
    """The items of a fold: one for each line of the loop, and for what is shared."""
    shared = (node for node in history(*roots) if node.step is None and not is_sum(node))
    check_count(sum(1 for _ in shared))
    return _Fold(fold(roots)).items()


class _Fold:
    """A fold by items: which of its lines are items of their own, and what they read."""

    def __init__(self, graph: FoldedGraph) -> None:
        self.graph = graph
        self.edges, self.same = joined(graph)
        self.reads: dict[FoldedNode, list[FoldedEdge]] = {node: [] for node in graph.nodes}
        self.readers: dict[FoldedNode, list[FoldedEdge]] = {node: [] for node in graph.nodes}
        for edge in self.edges:
            self.reads[edge.target].append(edge)
            self.readers[edge.source].append(edge)
        self.steps = {x.loop: _ends(graph.steps_of(x.loop)) for x in graph.nodes if x.steps}
        recorded = [x for node in graph.nodes for x in node.nodes.values()]
        recorded.sort(key=lambda node: node.number)
        self.names = names_of(recorded)
        self.beginnings = beginnings(recorded, self.names)
        self.totals = {x for x in graph.nodes if _is_total(x, self.reads[x], self.readers[x])}
        within = [
            (e.source, e.target, 1)
            for e in self.edges
            if e.source is not e.target and not (e.lag and e.source.loop == e.target.loop)
        ]
        self.row = heights(graph.nodes, within)
        self.ends = [node for node, _ in graph.roots]
        order = sorted((x for x in graph.nodes if x not in self.same), key=self.row.__getitem__)
        self.absorbed = absorbed(
            order, self.ends, self.sources, lambda node: node.op in SUMS, self.stays
        )
        self.members: dict[FoldedNode, list[FoldedNode]] = {}
        for node in order:
            self.members.setdefault(self.absorbed.get(node, node), []).append(node)
        check_count(len(self.members))

    def sources(self, node: FoldedNode) -> list[FoldedNode]:
        return [edge.source for edge in self.reads[node]]

    def main(self, node: FoldedNode) -> Node:
        """The node that a line is described by: one in the middle; of a total, the last."""
        nodes = list(node.nodes.values())
        return nodes[-1] if node in self.totals else nodes[len(nodes) // 2]

    def name(self, node: FoldedNode) -> str:
        return self.names.get(self.main(node), "")

    def stays(self, node: FoldedNode, reader: FoldedNode) -> bool:
        """Whether a sum keeps a box of its own: for its name, or because a later step reads it."""
        if node in self.totals or node.steps != reader.steps or node.loop != reader.loop:
            return True
        if any(edge.lag for edge in self.readers[node]):
            return True
        return bool(self.name(node)) and self.name(node) != self.name(reader)

    def items(self) -> Items:
        found = {node: self.item(node) for node in self.members}
        for node, item in found.items():
            for part in self.members[node]:
                for edge in self.reads[part]:
                    itself = edge.source is part and part in self.totals
                    if edge.source in found and not itself:
                        self.read(found[edge.source], item, edge)
                for slot, values in part.constants.items():
                    arrays = [x for x in values.values() if not is_number(x)]
                    if arrays:
                        item.reads.append(Read(arrays[0], slot, times=len(arrays)))
        loops = place_loops(self.crossings({item.loop for item in found.values()}), beside=True)
        return Items(list(found.values()), loops, self.steps, folded=True)

    def item(self, node: FoldedNode) -> Item:
        main, total = self.main(node), node in self.totals
        parts = self.members[node] + [x for x, source in self.same.items() if source is node]
        inside = tuple(x for part in parts for x in part.nodes.values())
        step: int | str | None = None
        if node.steps is not None and not total:
            alone = len(node.steps) == 1 < len(self.graph.steps_of(node.loop))
            step = node.steps[0] if alone else "t"
        item = Item(inside, main, step, None if step is None else node.loop, node)
        item.attributes, item.numbers = node.attributes, numbers_of(main)
        item.name, item.root, item.sums = self.name(node), node in self.ends, total
        item.begins = main in self.beginnings
        item.uses = sum(_uses(edge) for edge in self.readers[node])
        return item

    def read(self, source: Item, item: Item, edge: FoldedEdge) -> None:
        read = _read(edge, source, item, self.steps)
        if read.over:
            item.sums |= edge.target.op in SUMS
            add_once(item, read)
        else:
            item.reads.append(read)

    def crossings(self, drawn: set[Any]) -> list[Crossing]:
        """The loops that are drawn, in their order, and what they read of each other."""
        found = {node.loop: Crossing(node.loop) for node in self.graph.nodes if node.loop in drawn}
        found.pop(None, None)
        for edge in self.edges:
            a, b = edge.source.loop, edge.target.loop
            if edge.steps and edge.sign is not None and a != b and {a, b} <= set(found):
                for t in edge.steps:
                    found[b].add(a, edge.source_step(t) or 0, t)
        return list(found.values())


def _ends(steps: range) -> tuple[int, int]:
    return steps[0], steps[-1]


def _is_total(node: FoldedNode, reads: list[FoldedEdge], readers: list[FoldedEdge]) -> bool:
    """Whether a line adds up the steps, and only its last value is read."""
    if node.op not in SUMS or node.steps is None:
        return False
    last = node.steps[-1]
    return any(e.source is node for e in reads) and all(
        e.target is node or (e.count == 1 and e.source_step(e.steps[0] if e.steps else 0) == last)
        for e in readers
    )


def _uses(edge: FoldedEdge) -> int:
    return edge.count if edge.steps is None else len(edge.steps)


def _read(edge: FoldedEdge, source: Item, reader: Item, steps: dict[Any, tuple[int, int]]) -> Read:
    read = Read(source, edge.slot, edge.lag, _uses(edge))
    read.cuts = tuple(sorted(t for t in edge.cuts.values() if t is not None))
    if source.step is None or edge.offset is None:
        read.lag = None
    elif reader.step is None:
        read.over = edge.count > 1 or reader.sums
        if not read.over:
            read.note = f"t = {edge.source_step(edge.steps[-1] if edge.steps else 0)}"
    elif edge.sign == 0:
        read.note = f"t = {edge.offset}"
    elif edge.sign == -1:
        total = edge.offset - steps[edge.source.loop][1]
        read.note = "T + 1 − t" if total == 1 else f"{edge.offset} − t"
    elif edge.lag and source.loop != reader.loop:
        read.note = f"t {'−' if edge.lag > 0 else '+'} {abs(edge.lag)}"
    elif edge.lag == 0 and edge.steps and edge.target.steps and edge.steps != edge.target.steps:
        ends = sorted({edge.steps[0], edge.steps[-1]})
        read.note = f"t = {' … '.join(map(str, ends))}"
    return read
