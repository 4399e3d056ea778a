"""The items of a recording: one for each node that is drawn, and gaps for the steps that are not.

Sums inside sums are merged, detached copies are read across a cut, and what a stack hands from one
loop to the next is read directly.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..engine.record import Node, cut_from, history
from ..fold.places import Place, Places, group, lag_of
from .items import Item, Items, Read, add_once, beginnings, check_count, numbers_of
from .joints import taken_apart
from .loops import Crossing, Loops, place_loops
from .sums import absorbed_sums, is_sum
from .words import is_number, names_of


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
        self.beginnings = beginnings(nodes, self.names)
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
                    add_once(self.gap(x), Read(self.found[x], 0, lag=1, times=0))
        return Items([*self.found.values(), *self.gaps.values()], self.loops, self.steps)

    def item(self, node: Node) -> Item:
        inside = tuple(self.members[node])
        loop, place = node.label.loop, self.graph.of[node]
        item = Item(inside, node, node.step, loop, place, node.attributes, numbers_of(node))
        item.name, item.uses = self.names.get(node, ""), self.uses.get(node, 0)
        item.root, item.begins = node in self.roots, node in self.beginnings
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
            add_once(item, Read(self.gap(source), slot, lag, cuts=cuts))
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
