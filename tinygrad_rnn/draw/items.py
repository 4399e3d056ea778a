"""Items: what is drawn, be it a recording node by node, or its fold, line by line.

An item is a value, and knows what it reads. Sums of sums are one item already, and steps that are
left out are gaps. From here on a picture is made in one way. This file knows recordings and folds,
but neither boxes nor places on the paper.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..engine.record import Node, cut_from, history
from ..fold import FoldedEdge, FoldedGraph, FoldedNode, fold
from ..fold.places import Place, Places, group, heights, lag_of
from .joints import joined, taken_apart
from .loops import Crossing, Loops, place_loops
from .sums import SUMS, absorbed, absorbed_sums, is_sum
from .words import is_number, names_of

MOST = 5000  # items; more than an engine draws, or a reader reads


@dataclass(eq=False, slots=True)
class Read:
    """One use of a value.

    source: an item, or an array that was no tensor.
    slot: the argument of the reader; of operations that are not drawn, the way through them.
    lag: how many steps before its own the reader reads; None where that is no one number.
    times: in how many steps it is read.
    over: whether all the steps of the source are read at once.
    note: which step is read, if that needs saying.
    cuts: the steps in which it is a detached copy that is read.
    labels: the parameters that operations on the way took in, if those are not drawn.
    """

    source: Any
    slot: Hashable
    lag: int | None = None
    times: int = 1
    over: bool = False
    note: str = ""
    cuts: tuple[int, ...] = ()
    labels: tuple[Item, ...] = ()


@dataclass(eq=False, slots=True)
class Item:
    """A value: of one node, of a sum with the sums inside it, or of one line in all the steps.

    step: its time step; "t" in a fold; None outside the steps.
    place: the same for the items of one line at different steps.
    uses: how often it is used in the whole recording.
    sums: whether it adds up what several steps made.
    gap: how many steps it stands for that are left out.
    """

    nodes: tuple[Node, ...]
    node: Node  # the one that it is described by
    step: int | str | None
    loop: Any
    place: Hashable
    attributes: dict[str, Any] = field(default_factory=dict)
    numbers: tuple[tuple[int, Any], ...] = ()  # constant operands, by slot
    reads: list[Read] = field(default_factory=list)
    name: str = ""
    uses: int = 0
    sums: bool = False
    gap: int = 0
    root: bool = False

    @property
    def leaf(self) -> bool:
        """Whether no operation made it."""
        return self.node.primitive is None

    @property
    def parameter(self) -> bool:
        """Whether it is a leaf that requires a gradient."""
        return self.leaf and self.node.requires_grad and not self.gap


@dataclass(eq=False, slots=True)
class Items:
    """All that is drawn, sources before their readers.

    steps: the first step of each loop and its last.
    hidden: how many steps of a loop are left out; 0 if it is whole.
    """

    items: list[Item]
    loops: Loops
    steps: dict[Any, tuple[int, int]]
    hidden: int = 0
    folded: bool = False


# ------------------------------------------------------------------------------------- a recording


def of_recording(roots: list[Node], ends: tuple[int, int] | None, columns: int) -> Items:
    """The items of a recording.

    ends: how many steps are shown at the beginning and at the end; None shows all of up to
        `columns`, and of more than that a few.
    """
    return _Recording(roots, ends, columns).items()


class _Recording:
    """A recording by items: which of its nodes are items of their own, and what they read."""

    def __init__(self, roots: list[Node], ends: tuple[int, int] | None, columns: int) -> None:
        self.roots = set(roots)
        self.nodes = nodes = history(*roots)
        self.steps = _spans((node.label.loop, node.step) for node in nodes)
        self.shown = _shown(self.steps, Loops(), ends, columns)
        # Before anything that takes time: how many boxes, but for the sums that are to be merged
        check_count(sum(not (self.hidden(x) or is_sum(x)) for x in nodes))
        self.graph = graph = group(*roots)
        self.same = taken_apart(nodes)
        self.loops = place_loops(_crossings(graph, self.same))
        self.shown = _shown(self.steps, self.loops, ends, columns)
        self.names = names_of(nodes)
        # Detached copies: who reads one is drawn reading what it is a copy of, across a cut.
        self.copies = {
            x: source for x in nodes if (source := cut_from(x)) is not None and source in graph.of
        }
        merged = absorbed_sums(nodes, roots, self.stays)
        self.terms: dict[Node, list[tuple[Node, int, Any]]] = {}  # by node: member, slot, input
        self.members: dict[Node, list[Node]] = {}
        self.uses: dict[Any, int] = {}
        for node in nodes:
            into = merged.get(node, node)
            self.members.setdefault(into, []).append(node)
            for slot, x in enumerate(node.inputs or ()):
                if isinstance(x, Node) and (x in merged or node in self.same):
                    continue
                self.terms.setdefault(into, []).append((node, slot, x))
                if isinstance(x, Node):
                    self.uses[x] = self.uses.get(x, 0) + 1
        check_count(sum(not self.hidden(node) for node in self.members))
        self.found: dict[Node, Item] = {}
        self.gaps: dict[Place, Item] = {}

    def hidden(self, node: Node) -> bool:
        return node.step is not None and node.step not in self.shown[node.label.loop]

    def stays(self, node: Node, reader: Node) -> bool:
        """Whether a sum keeps a box of its own: for its name, or because it is another step's."""
        if self.graph.of[node] is self.graph.of[reader]:  # a running total
            return False
        if node.step != reader.step and reader.step is not None:
            return True
        name = self.names.get(node)
        return name is not None and name != self.names.get(reader)

    def items(self) -> Items:
        dropped = self.copies | self.same
        for node in self.same:
            whole = node.inputs[0] if node.inputs else node
            if whole not in self.uses and whole not in self.roots:
                dropped[whole] = self.same[node]
        drawn = sorted(set(self.members) - set(dropped), key=lambda node: node.number)
        for node in drawn:
            if not self.hidden(node):
                self.found[node] = self.item(node)
        for node, x in dropped.items():
            if x in self.found:
                self.found[x].nodes += (node,)
        for node in drawn:
            for member, slot, x in self.terms.get(node, ()):
                if node in self.found:
                    self.read(self.found[node], member, slot, x)
                elif isinstance(x, Node) and x.step is not None and x in self.found:
                    # hidden, and reads what is shown
                    _once(self.gap(x), Read(self.found[x], 0, lag=1, times=0))
        most = max((item.gap for item in self.gaps.values()), default=0)
        found = [*self.found.values(), *self.gaps.values()]
        return Items(found, self.loops, self.steps, most)

    def item(self, node: Node) -> Item:
        inside = tuple(self.members[node])
        loop, place = node.label.loop, self.graph.of[node]
        item = Item(inside, node, node.step, loop, place, node.attributes, _numbers(node))
        item.name, item.uses = self.names.get(node, ""), self.uses.get(node, 0)
        item.root = node in self.roots
        made_in = {x.step for _, _, x in self.terms.get(node, ())
                   if isinstance(x, Node) and x.step is not None}  # fmt: skip
        item.sums = is_sum(node) and len(made_in) > 1
        return item

    def read(self, item: Item, member: Node, slot: int, x: Any) -> None:
        if not isinstance(x, Node):
            if not is_number(x):
                item.reads.append(Read(x, slot))
            return
        x = self.same.get(x, x)
        source = self.copies.get(x, x)
        lag = lag_of(source, member) if source.label.loop == member.label.loop else None
        cuts = () if source is x or x.step is None else (x.step,)
        if self.hidden(source):
            _once(item, Read(self.gap(source), slot, lag, cuts=cuts))
        else:
            item.reads.append(Read(self.found[source], slot, lag, cuts=cuts))

    def gap(self, x: Node) -> Item:
        """What stands for a value in the steps that are left out."""
        place, loop = self.graph.of[x], x.label.loop
        if place not in self.gaps:
            first, last = self.steps[loop]
            left_out = [t for t in range(first, last + 1) if t not in self.shown[loop]]
            step = left_out[-1] if loop in self.loops.mirrored else left_out[0]
            item = self.gaps[place] = Item((), x, step, loop, place, gap=len(left_out))
            named = (self.names[node] for node in place.nodes.values() if node in self.names)
            item.name = next(named, "")
        return self.gaps[place]


def check_count(count: int) -> None:
    """Refuse at once what would take minutes to place, and what nobody could read."""
    if count > MOST:
        raise ValueError(
            f"draw: {count:,} boxes are more than can be drawn (at most {MOST:,}); label the steps "
            "with tg.steps, give steps=(3, 2) or folded=True, or record less"
        )


def _numbers(node: Node) -> tuple[tuple[int, Any], ...]:
    """The constant numbers among the inputs, by slot."""
    return tuple((slot, x) for slot, x in enumerate(node.inputs or ()) if is_number(x))


def _once(item: Item, read: Read) -> None:
    if all(other.source is not read.source for other in item.reads):
        item.reads.append(read)


def _spans(made: Iterable[tuple[Any, int | None]]) -> dict[Any, tuple[int, int]]:
    spans: dict[Any, tuple[int, int]] = {}
    for loop, t in made:
        if t is not None:
            first, last = spans.get(loop, (t, t))
            spans[loop] = (min(first, t), max(last, t))
    return spans


def _crossings(graph: Places, same: dict[Node, Node]) -> list[Crossing]:
    """The loops, oldest first, and what they read of each other."""
    found = {place.loop: Crossing(place.loop) for place in graph.nodes if not place.shared}
    for edge in graph.edges:
        if edge.lag is not None and edge.source.loop != edge.target.loop:
            for t in edge.steps:
                found[edge.target.loop].add(edge.source.loop, (t or 0) - edge.lag, t or 0)
    for node, x in same.items():
        if x.label.loop != node.label.loop:
            found[node.label.loop].add(x.label.loop, x.step or 0, node.step or 0)
    return [found[loop] for loop in sorted(found, key=lambda number: number or 0)]


def _shown(
    steps: dict[Any, tuple[int, int]],
    loops: Loops,
    ends: tuple[int, int] | None,
    columns: int,
) -> dict[Any, Any]:
    """The steps of each loop that are drawn."""
    longest = max((last - first + 1 for first, last in steps.values()), default=0)
    if ends is not None and (not longest or sum(ends) > longest):
        what = f"its longest loop has {longest}" if longest else "it has none"
        raise ValueError(f"draw: steps={ends} asks for {sum(ends)} steps of a recording; {what}")
    shown: dict[Any, Any] = {}
    for loop, (first, last) in steps.items():
        count = last - first + 1
        a, b = ends or ((3, 2) if count > columns else (count, 0))
        if loop in loops.mirrored:
            a, b = b, a
        if a + b >= count:
            shown[loop] = range(first, last + 1)
        else:
            shown[loop] = {*range(first, first + a), *range(last - b + 1, last + 1)}
    return shown


# ------------------------------------------------------------------------------------------ a fold


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
        recorded = (x for node in graph.nodes for x in node.nodes.values())
        self.names = names_of(sorted(recorded, key=lambda node: node.number))
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
        item.attributes, item.numbers = node.attributes, _numbers(main)
        item.name, item.root, item.sums = self.name(node), node in self.ends, total
        item.uses = sum(_uses(edge) for edge in self.readers[node])
        return item

    def read(self, source: Item, item: Item, edge: FoldedEdge) -> None:
        read = _read(edge, source, item, self.steps)
        if read.over:
            item.sums |= edge.target.op in SUMS
            _once(item, read)
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
