"""The scene: which boxes and lines show a recording, what they say, and in which column they stand.

Time runs to the right, one column per step; what a step computes stands above what it is computed
from. A parameter is one box at the left. A sum of sums is one box, which stands for all of them.
Apart from that nothing is left out, and every box knows its nodes.

This file does not know coordinates (grid.py), paths (routes.py) or DOT (dot.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..engine.record import Node
from ..fold.places import Place, Places, group, lag_of
from .sums import absorbed_sums, is_sum
from .words import (
    INFIX,
    at_step,
    base_of,
    is_number,
    names_of,
    operation_of,
    shape_of,
    subscript,
    width_of,
)

PALETTE = (  # Okabe and Ito, distinct to colour-blind readers; for their yellow, a grey
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F",
)  # fmt: skip

HEIGHT = 28.0  # of a box, in points
CIRCLE = 30.0

Column = tuple[float, int]
"""(stage, step). Each loop is a stage of one column per step; stages without steps have one
column."""

LEFT: Column = (-1, 0)  # the parameters
ABOVE: Column = (float("inf"), 0)  # what follows the steps, or all of it if there are none


@dataclass(eq=False, slots=True)
class Box:
    """One thing in the picture, and the nodes that it stands for.

    `place` is the same for the boxes of one place in the code, which stand alike in their columns.
    """

    kind: str  # parameter data initial operation value state loss total
    label: str
    nodes: tuple[Node, ...]
    place: Hashable
    column: Column
    name: str = ""  # the part of a parameter's label that is its name
    color: str = ""  # of a parameter
    dashed: bool = False  # a parameter whose colour is taken by another
    beside: Hashable = None  # an initial state stands in the row of this place
    width: float = 0.0
    height: float = HEIGHT
    row: int = 0
    x: float = 0.0
    y: float = 0.0

    def __post_init__(self) -> None:
        if self.kind == "operation" and len(self.label) < 3:
            self.width = self.height = CIRCLE
        else:
            words = width_of(self.name, bold=True) + width_of(self.label.removeprefix(self.name))
            self.width = max(words + 18.0, 44.0)

    @property
    def round(self) -> bool:
        """Whether it is a circle."""
        return self.kind == "operation" and self.width == CIRCLE


@dataclass(eq=False, slots=True)
class Line:
    """An edge: one use of a value. Its path is a polyline, or the knots and handles of Bézier
    curves."""

    source: Box
    target: Box
    kind: str  # plain parameter time initial
    path: list[tuple[float, float]] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Scene:
    """All that stands in a picture."""

    boxes: list[Box]
    lines: list[Line]


_KIND = {"parameter": "parameter", "initial": "initial"}  # of a line, by its source


def compose(roots: Sequence[Node]) -> Scene:
    """The boxes and lines of what the roots were computed from; nothing is placed yet."""
    return _Composer(roots).scene()


class _Composer:
    """Looks a recording over once, then makes its boxes, oldest first."""

    def __init__(self, roots: Sequence[Node]) -> None:
        self.roots = set(roots)
        self.graph = graph = group(*roots)
        self.nodes = nodes = sorted(graph.of, key=lambda node: node.number)
        self.names = names_of(nodes)
        self.initials = _initials(graph, self.names)
        self.absorbed = absorbed_sums(nodes, roots, self.stays)
        self.terms: dict[Node, list[Node]] = {}  # of the sums that absorbed others
        self.members: dict[Node, list[Node]] = {}
        self.uses: dict[Node, list[Node]] = {}  # the readers that are drawn, one for each slot
        for node in nodes:
            reader = self.absorbed.get(node, node)
            self.members.setdefault(reader, []).append(node)
            for x in node.inputs or ():
                if isinstance(x, Node) and x not in self.absorbed:
                    self.uses.setdefault(x, []).append(reader)
                    self.terms.setdefault(reader, []).append(x)
        self.tell_apart()
        self.columns = _columns(graph, nodes, self.initials, self.members, self.uses)
        through_time = (e for e in graph.edges if e.lag and e.source.loop == e.target.loop)
        self.states = {e.source for e in through_time} | set(self.initials.values())
        self.losses = {
            graph.of[x]
            for node in self.terms
            if self.sums_over_steps(node)
            for x in self.terms[node]
            if not x.array.ndim
        }
        self.boxes: list[Box] = []
        self.lines: list[Line] = []
        self.colors = 0

    def tell_apart(self) -> None:
        """Parameters of one name get the scope of their first use: "layer1.W", "layer2.W"."""
        named = [x for x in self.nodes if not x.primitive and x.requires_grad and x in self.names]
        count = Counter(self.names[x] for x in named)
        for x in named:
            scope = self.uses[x][0].scope if x in self.uses else ()
            if count[self.names[x]] > 1 and scope:
                self.names[x] = f"{scope[-1]}.{self.names[x]}"

    def stays(self, node: Node, reader: Node) -> bool:
        """Whether a sum keeps a box of its own: for its name, or because it is another step's."""
        if self.graph.of[node] is self.graph.of[reader]:  # a running total
            return False
        if node.step != reader.step and reader.step is not None:
            return True
        name = self.names.get(node)
        return name is not None and name != self.names.get(reader)

    def sums_over_steps(self, node: Node) -> bool:
        """Whether a node outside the steps sums what several of them made."""
        if not is_sum(node):
            return False
        steps = {x.step for x in self.terms.get(node, ()) if x.step is not None}
        return len(steps) > 1 and self.columns[node][0] % 2 != 1

    def scene(self) -> Scene:
        shown: dict[Node, Box] = {}  # the box that holds the value
        for node in self.nodes:
            if node in self.absorbed:
                continue
            if node.primitive is None:
                shown[node] = self.leaf(node)
            else:
                shown[node] = self.operation(node, shown)
        return Scene(self.boxes, self.lines)

    def box(self, *given: Any, **more: Any) -> Box:
        made = Box(*given, **more)
        self.boxes.append(made)
        return made

    def line(self, source: Box, target: Box, kind: str = "plain") -> None:
        self.lines.append(Line(source, target, kind))

    def titled(self, node: Node) -> str:
        """The name of a node, with its time step; "" if it has none."""
        name = self.names.get(node)
        if not name:
            return ""
        inside = node.step is not None and self.columns[node] != ABOVE
        return at_step(name, node.step) if inside and node.step else base_of(name)

    # --------------------------------------------------------------------------------- the boxes

    def leaf(self, node: Node) -> Box:
        place = self.graph.of[node]
        title, shape = self.titled(node), shape_of(node.array)
        column = self.columns[node]
        beside = self.initials.get(node)
        if beside is not None:
            title = _initial_name(node, beside, self.names) or title or _unnamed(node.array)
            if not node.requires_grad:
                return self.box("initial", title, (node,), place, column, beside=beside)
        elif not node.requires_grad:
            kind = "loss" if node in self.roots else "data"
            return self.box(kind, title or _unnamed(node.array), (node,), place, column)
        uses = len(self.uses.get(node, ()))
        times = f"×{uses}" if uses > 1 else ""
        round_trip, color = divmod(self.colors, len(PALETTE))
        self.colors += 1
        return self.box(
            "parameter", "  ".join(filter(None, (title, shape, times))) or "parameter", (node,),
            place, column, name=title, color=PALETTE[color], dashed=bool(round_trip % 2),
            beside=beside,
        )  # fmt: skip

    def operation(self, node: Node, shown: dict[Node, Box]) -> Box:
        place, column, title = self.graph.of[node], self.columns[node], self.titled(node)
        members = tuple(self.members[node])
        word = operation_of(node)
        terms = self.terms.get(node, [])
        over_steps = self.sums_over_steps(node)
        if over_steps:
            word = "Σ"
            kinds = {base_of(self.names.get(x, "")) for x in terms}
            if title and len({self.graph.of[x] for x in terms}) == 1 and kinds != {""}:
                word = f"Σ {kinds.pop()}{subscript('t')}"
        kind = "value" if title else "operation"
        if node in self.roots:
            kind = "total"
        elif place in self.losses:
            kind = "loss"
        elif place in self.states:
            kind = "state"
        assert node.primitive is not None
        if title and node.primitive.name in INFIX and not over_steps:
            # A box above a circle: "ŷ₁ = +" is nothing that people write.
            entry = self.box("operation", word, members, place, column)
            value = self.box(kind, title, members, ("value", place), column)
            self.line(entry, value)
        else:
            label = f"{title} = {word}" if title else word
            entry = value = self.box(kind, label, members, place, column)
        for member in members:
            for slot, x in enumerate(member.inputs or ()):
                if not isinstance(x, Node):
                    if not is_number(x):
                        operand = self.operand(member, slot, x)
                        self.line(operand, entry, _KIND.get(operand.kind, "plain"))
                elif x not in self.absorbed:
                    later = lag_of(x, node) and x.label.loop == node.label.loop
                    kind = "time" if later and column[0] % 2 == 1 else "plain"
                    self.line(shown[x], entry, _KIND.get(shown[x].kind, kind))
        return value

    def operand(self, node: Node, slot: int, array: Any) -> Box:
        """The box of an array that was no tensor."""
        place, column = self.graph.of[node], self.columns[node]
        for edge in self.graph.inputs[place].get(slot, ()):
            if edge.lag and edge.source.loop == place.loop:
                title = _initial_name(None, edge.source, self.names) or _unnamed(array)
                where = (column[0] - 1, 0)
                return self.box(
                    "initial", title, (), ("operand", place, slot), where, beside=edge.source
                )
        return self.box("data", _unnamed(array), (), ("operand", place, slot), column)


# --------------------------------------------------------------------------------- initial states


def _initials(graph: Places, names: dict[Node, str]) -> dict[Node, Place]:
    """The leaves that stand in for the step before the first, with the place they stand in for."""
    found: dict[Node, Place] = {}
    named = {base_of(names[x]): place for place in graph.nodes for x in place.nodes.values()
             if x.step is not None and x in names and x.primitive}  # fmt: skip
    for place, slots in graph.inputs.items():
        for edges in slots.values():
            before = [e.source for e in edges if (e.lag or 0) > 0]
            for edge in edges:
                leaf = edge.source.nodes.get(None)
                if leaf is None or leaf.primitive is not None or edge.steps[0] is None:
                    continue
                if before and len(edge.steps) == 1:
                    found.setdefault(leaf, before[0])
                    if leaf in names:  # a state without a name is called what it starts as
                        for state in before[0].nodes.values():
                            names.setdefault(state, names[leaf])
                elif len(place.nodes) == 1 and not leaf.requires_grad and leaf in names:
                    # With one step there is no second to compare with, but the name tells.
                    name = base_of(names[leaf].rstrip("0").removesuffix("_"))
                    if name in named and named[name].loop == place.loop:
                        found.setdefault(leaf, named[name])
    return found


def _unnamed(array: Any) -> str:
    return f"array {shape_of(array)}".rstrip()


def _initial_name(node: Node | None, state: Place, names: dict[Node, str]) -> str:
    """h₀, by the name of the leaf or else of the state."""
    known = [names[x] for x in (node, *state.nodes.values()) if x is not None and x in names]
    return at_step(known[0].rstrip("0").removesuffix("_") or known[0], 0) if known else ""


# ----------------------------------------------------------------------------------------- columns


def _columns(
    graph: Places,
    nodes: list[Node],
    initials: dict[Node, Place],
    members: dict[Node, list[Node]],
    uses: dict[Node, list[Node]],
) -> dict[Node, Column]:
    """The column of every node that is drawn."""
    stage_of_loop = _stages(graph)
    steps: dict[Node, int | None] = {}
    feeds: dict[Node, bool] = {}  # whether a step depends on it
    for node in reversed(nodes):
        readers = uses.get(node, ())
        # A running total that nothing but the end reads belongs to the end.
        spans = len({x.step for x in members.get(node, ())}) > 1
        outside = spans and not any(steps[x] is not None or feeds[x] for x in readers)
        steps[node] = None if outside else node.step
        feeds[node] = any(steps[x] is not None or feeds[x] for x in readers)
    columns: dict[Node, Column] = {}
    stages: dict[Node, int] = {}
    for node in nodes:
        step = steps[node]
        if step is not None:
            stages[node] = stage_of_loop[node.label.loop]
            columns[node] = (stages[node], step)
        elif node.primitive is not None:
            reached = [stages.get(x, 0) for m in members.get(node, ()) for x in m.inputs or ()
                       if isinstance(x, Node)]  # fmt: skip
            stages[node] = even = -(-max(reached, default=0) // 2) * 2
            columns[node] = (even, 0) if feeds[node] else ABOVE
    for node in nodes:
        if node.primitive is not None or node in columns:
            continue
        read_in = {columns[x] for x in uses.get(node, ())}
        if node in initials:
            columns[node] = (stage_of_loop[initials[node].loop] - 1, 0)
        elif node.requires_grad or len(read_in) > 1:
            columns[node] = LEFT
        else:
            columns[node] = read_in.pop() if read_in else ABOVE
    return columns


def _stages(graph: Places) -> dict[int | None, int]:
    """The stage of each loop. A loop that reads another step by step shares its columns."""
    reads: dict[int | None, dict[int | None, set[int | None]]] = {}
    for place in graph.nodes:
        if not place.shared:
            reads.setdefault(place.loop, {})
    for edge in graph.edges:
        source, target = edge.source.loop, edge.target.loop
        if edge.lag is not None and source in reads and source != target:
            reads[target].setdefault(source, set()).add(edge.lag)
    stages: dict[int | None, int] = {}
    last = -1
    for loop in sorted(reads, key=lambda number: number or 0):
        earlier = {other: lags for other, lags in reads[loop].items() if other in stages}
        aligned = [stages[other] for other, lags in earlier.items() if lags == {0}]
        if aligned and len(aligned) == len(earlier):
            stages[loop] = max(aligned)
        else:
            last = stages[loop] = last + 2
    return stages
