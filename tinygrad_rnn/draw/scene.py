"""The scene: which boxes and lines show a recording or a fold, what they say, and in which column
they stand.

Time runs to the right, one column per step; what a step computes stands above what it is computed
from. A parameter is one box at the left. In a fold there is one column for all the steps, and a
black square on every line that leads to another step. Every box knows its nodes.

This file does not know coordinates (grid.py), paths (routes.py) or DOT (dot.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from ..engine.record import Node
from .columns import ABOVE, Column, beside, columns_of, initial_states, through_time
from .items import Item, Items, Read
from .options import Options
from .words import (
    INFIX,
    at_step,
    base_of,
    gradient_in_words,
    operation_of,
    shape_of,
    subscript,
    timeless,
    value_in_words,
    width_of,
)

PALETTE = (  # Okabe and Ito, distinct to colour-blind readers; for their yellow, a grey
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#000000",
)  # fmt: skip

HEIGHT = 28.0  # of a box, in points
CIRCLE = 30.0
SQUARE = 22.0
SMALL = 0.84  # the size of small letters


@dataclass(eq=False, slots=True)
class Box:
    """One thing in the picture, and the nodes that it stands for.

    `place` is the same for the boxes of one place in the code, which stand alike in their columns.
    """

    kind: str  # parameter data initial operation value state loss total delay gap
    label: str
    nodes: tuple[Node, ...]
    place: Hashable
    column: Column
    name: str = ""  # the part of a parameter's label that is its name
    color: str = ""  # of a parameter
    number: int = 0  # of a parameter
    beside: Hashable = None  # an initial state stands in the row of this place
    more: str = ""  # a second line, in smaller letters
    backward: bool = False  # whether a backward pass made it
    width: float = 0.0
    height: float = HEIGHT
    row: int = 0
    x: float = 0.0
    y: float = 0.0

    def __post_init__(self) -> None:
        self.backward |= any(node.label.origin is not None for node in self.nodes)
        if self.kind == "delay":
            self.width = self.height = SQUARE
        elif self.kind == "operation" and len(self.label) < 3 and not self.more:
            self.width = self.height = CIRCLE
        else:
            words = width_of(self.name, bold=True) + width_of(self.label.removeprefix(self.name))
            self.width = max(words + 18.0, width_of(self.more) * SMALL + 14.0, 44.0)
            if self.more:
                self.height = HEIGHT + 12.0

    @property
    def round(self) -> bool:
        """Whether it is a circle."""
        return self.kind == "operation" and self.width == CIRCLE

    @property
    def dashed(self) -> bool:
        """Whether another parameter has its colour already."""
        return bool(self.number // len(PALETTE) % 2)


@dataclass(eq=False, slots=True)
class Line:
    """An edge: one use of a value. Its path is a polyline, or the knots and handles of Bézier
    curves.

    words: written on it, each with a colour or "".
    written: the parameters whose names these are.
    cuts: the steps whose states it does not pass a gradient to; closed: those are all.
    """

    source: Box
    target: Box
    kind: str  # plain parameter time initial start
    words: tuple[tuple[str, str], ...] = ()
    cuts: tuple[int, ...] = ()
    closed: bool = False
    slot: Hashable = 0  # the argument that it leads to
    written: tuple[Box, ...] = ()
    adjoint: bool = False  # whether the gradient's way back is drawn beside it
    learns: bool = False  # whether it is drawn, but goes to what is written on it, and no further
    width: float = 0.0  # in points; 0 is as its kind has it
    path: list[tuple[float, float]] = field(default_factory=list)
    back: list[tuple[float, float]] = field(default_factory=list)  # the path of the adjoint


def said(line: Line) -> str:
    """The words on a line."""
    return ", ".join(word for word, _ in line.words)


@dataclass(eq=False, slots=True)
class Note:
    """Words under a column."""

    text: str
    column: Column
    x: float = 0.0
    y: float = 0.0

    @property
    def width(self) -> float:
        """In points."""
        return width_of(self.text)


@dataclass(eq=False, slots=True)
class Scene:
    """All that stands in a picture.

    folded: whether its columns are loops.
    pale: what is not highlighted.
    turned: whether right and up are exchanged for now.
    over: places, with those that are to stand in a row above them.
    """

    boxes: list[Box]
    lines: list[Line]
    notes: list[Note] = field(default_factory=list)
    over: list[tuple[Hashable, Hashable]] = field(default_factory=list)
    folded: bool = False
    pale: set[Box | Line] = field(default_factory=set)
    turned: bool = False

    def turn(self) -> None:
        """Exchange right and up."""
        self.turned = not self.turned
        for box in self.boxes:
            box.x, box.y = box.y, box.x
            box.width, box.height = box.height, box.width
        for line in self.lines:
            line.path = [(y, x) for x, y in line.path]
            line.back = [(y, x) for x, y in line.back]
        for note in self.notes:
            note.x, note.y = note.y - note.width / 2, note.x


_KIND = {"parameter": "parameter", "initial": "initial"}  # of a line, by its source


def compose(items: Items, options: Options) -> Scene:
    """The boxes and lines of what is drawn; nothing is placed yet."""
    return _Composer(items, options).scene()


class _Composer:
    """Looks the items over once, then makes their boxes, sources first, and the lines."""

    def __init__(self, items: Items, options: Options) -> None:
        self.options = options
        self.items = items
        self.readers: dict[Item, list[Item]] = {item: [] for item in items.items}
        for item in items.items:
            for read in item.reads:
                if isinstance(read.source, Item):
                    self.readers[read.source].append(item)
                for label in read.labels:
                    self.readers[label].append(item)
        for item in items.items:
            item.name = options.letters.get(item.name, item.name) if item.leaf else item.name
        self.tell_apart()
        self.before = through_time(items.items)
        self.initials = initial_states(items.items, self.before, items.folded)
        self.columns = columns_of(items, self.readers, self.initials, set(self.before.values()))
        self.states = set(self.before.values()) | set(self.initials.values())
        self.losses = {
            read.source.place
            for item in items.items
            if self.sums_over_steps(item)
            for read in item.reads
            if isinstance(read.source, Item) and not read.source.node.array.ndim
        }
        self.name_of_place: dict[Hashable, str] = {}
        for item in items.items:
            if item.name:
                self.name_of_place.setdefault(item.place, item.name)
        self.loop_of = {item.place: item.loop for item in items.items}
        self.boxes: list[Box] = []
        self.lines: list[Line] = []
        self.colors: dict[Item, tuple[str, int]] = {}
        self.delays: dict[tuple[Box, int], Box] = {}
        self.operands: dict[Hashable, Box] = {}

    def tell_apart(self) -> None:
        """Parameters of one name get the scope of their first use: "layer1.W", "layer2.W"."""
        named = [x for x in self.items.items if x.parameter and x.name]
        count = Counter(x.name for x in named)
        for x in named:
            scope = self.readers[x][0].node.scope if self.readers[x] else ()
            if count[x.name] > 1 and scope:
                x.name = f"{scope[-1]}.{x.name}"

    def in_loop(self, column: Column) -> bool:
        return column.stage % 2 == 1

    def sums_over_steps(self, item: Item) -> bool:
        """Whether something outside the steps sums what several of them made."""
        return item.sums and not self.in_loop(self.columns[item])

    def scene(self) -> Scene:
        entries: dict[Item, Box] = {}
        shown: dict[Item, Box] = {}  # the box that holds the value
        for item in self.items.items:
            if item.gap:
                entries[item] = shown[item] = self.gap(item)
            elif item.leaf:
                entries[item] = shown[item] = self.leaf(item)
            else:
                entries[item], shown[item] = self.operation(item)
        for item in self.items.items:
            for read in item.reads:
                self.use(item, read, entries[item], shown)
        scene = Scene(self.boxes, self.lines, self.notes(), self.over(), self.items.folded)
        if self.options.backward:
            ways = _ways(self.lines)
            for line in self.lines:
                line.adjoint = not line.closed and _wants(line, ways)
                line.learns = bool(line.written) and not line.adjoint
        scene.pale = self.pale()
        return scene

    def pale(self) -> set[Box | Line]:
        """What is not highlighted. A black square goes with its state."""
        chosen = self.options.highlight
        if chosen is None:
            return set()
        strong: set[Box | Line] = {
            box for box in self.boxes if not chosen.nodes.isdisjoint(box.nodes)
        }
        squares = {square: state for (state, _), square in self.delays.items()}
        strong |= {square for square, state in squares.items() if state in strong}
        weak: set[Box | Line] = {box for box in self.boxes if box not in strong}
        for line in self.lines:
            source, target = squares.get(line.source, line.source), line.target
            inside = source.nodes is target.nodes or target in squares
            if source in weak or target in weak:
                weak.add(line)
            elif chosen.edges is not None and not inside:
                ways = {(x, y) for x in source.nodes for y in target.nodes}
                if chosen.edges.isdisjoint(ways):
                    weak.add(line)
        return weak

    def box(self, *given: Any, **more: Any) -> Box:
        made = Box(*given, **more)
        self.boxes.append(made)
        return made

    def titled(self, item: Item) -> str:
        """The name of an item, with its time step; "" if it has none."""
        if not item.name:
            return ""
        step = item.step
        if step is None or self.columns[item] == ABOVE:
            return base_of(item.name)
        if isinstance(step, int):
            step = self.items.loops.time(item.loop, step)
        return at_step(item.name, step)

    def over(self) -> list[tuple[Hashable, Hashable]]:
        """In one column with another, a loop that runs against time stands above that."""
        if self.items.folded:
            return []
        stage, mirrored = self.items.loops.stage, self.items.loops.mirrored
        states = dict.fromkeys((x.place, x.loop) for x in self.items.items
                               if x.place in self.states and x.loop not in mirrored)  # fmt: skip
        inputs = dict.fromkeys((x.place, x.loop) for x in self.items.items
                               if x.leaf and not x.gap and x.loop in mirrored)  # fmt: skip
        return [(state, x) for state, a in states for x, b in inputs if stage[a] == stage[b]]

    def notes(self) -> list[Note]:
        """Under each loop of a fold, its steps."""
        found: list[Note] = []
        loops = self.items.loops
        for loop, (first, last) in self.items.steps.items() if self.items.folded else ():
            if loop not in loops.stage:
                continue
            words = f"t = {first}" if first == last else f"t = {first} … {last}"
            if loop in loops.mirrored:
                words = f"t = {loops.time(loop, first)} … {loops.time(loop, last)}, backwards"
            column = Column(loops.stage[loop], 1)
            drawn = any(box.column == column for box in self.boxes)
            if drawn and all(note.column != column for note in found):
                found.append(Note(words, column))
        return found

    # --------------------------------------------------------------------------------- the boxes

    def gap(self, item: Item) -> Box:
        words = f"… {item.gap} step{'s' * (item.gap > 1)} …"
        column = self.columns[item]
        return self.box("gap", words, (), ("gap", item.place), column, beside=item.place)

    def leaf(self, item: Item) -> Box:
        title, shape = self.titled(item), shape_of(item.node.array)
        column, beside = self.columns[item], self.initials.get(item)
        more = self.second_line(item)
        if beside is not None:
            if item.step is None:
                title = self.initial_name(item.name, beside, self.loop_of[beside]) or title
            title = title or _unnamed(item.node.array)
            if not item.parameter:
                return self.box(
                    "initial", title, item.nodes, item.place, column, beside=beside, more=more
                )
        elif not item.parameter:
            kind = "loss" if item.root else "data"
            title = title or _unnamed(item.node.array)
            return self.box(kind, title, item.nodes, item.place, column, more=more)
        times = f"×{item.uses}" if item.uses > 1 else ""
        number = len(self.colors)
        color = PALETTE[number % len(PALETTE)]
        self.colors[item] = color, number
        return self.box(
            "parameter", "  ".join(filter(None, (title, shape, times))) or "parameter", item.nodes,
            item.place, column, name=title, color=color, number=number, beside=beside, more=more,
        )  # fmt: skip

    def initial_name(self, name: str, state: Hashable, loop: Any) -> str:
        """h₀, by the name of the leaf or else of the state."""
        name = name or self.name_of_place.get(state, "")
        time = 0 if self.items.folded else self.items.loops.time(loop, 0)
        return at_step(timeless(name), time) if name else ""

    def operation(self, item: Item) -> tuple[Box, Box]:
        """The box that the inputs lead to, and the one that holds the value."""
        place, column, title = item.place, self.columns[item], self.titled(item)
        more = self.second_line(item)
        word = operation_of(item.node, item.attributes, item.numbers)
        over_steps = self.sums_over_steps(item)
        if over_steps:
            word = "Σ"
            terms = [read.source for read in item.reads if isinstance(read.source, Item)]
            names = {base_of(x.name) for x in terms}
            if title and len({x.place for x in terms}) == 1 and names != {""}:
                word = f"Σ {names.pop()}{subscript('t')}"
        kind = "value" if title else "operation"
        if item.root:
            kind = "total"
        elif place in self.losses:
            kind = "loss"
        elif place in self.states:
            kind = "state"
        assert item.node.primitive is not None
        if title and self.options.detail == "cells" and not over_steps:
            word = ""  # what it does is in the lines
        elif title and item.node.primitive.name in INFIX and not over_steps:
            # A box above a circle: "ŷ₁ = +" is nothing that people write.
            entry = self.box("operation", word, item.nodes, place, column)
            value = self.box(kind, title, item.nodes, ("value", place), column, more=more)
            self.lines.append(Line(entry, value, "plain"))
            return entry, value
        label = " = ".join(filter(None, (title, word)))
        box = self.box(kind, label, item.nodes, place, column, more=more)
        return box, box

    def second_line(self, item: Item) -> str:
        """What is shown of a value, besides its name."""
        nodes = [node for node in item.nodes if node.array.shape == item.node.array.shape]
        if item.sums or not self.items.folded:
            nodes = [item.node]
        words, show = "", self.options.show
        if "shapes" in show and not item.parameter:
            words = shape_of(item.node.array) or "scalar"
        if "values" in show:
            words += ": " * bool(words) + value_in_words([node.array for node in nodes])
        if "gradients" in show and item.node.requires_grad:
            gradient = gradient_in_words([getattr(node, "grad", None) for node in nodes])
            words += "; " * bool(words) + gradient
        return words

    # --------------------------------------------------------------------------------- the lines

    def use(self, item: Item, read: Read, entry: Box, shown: dict[Item, Box]) -> None:
        """The line of one use, and in a fold the black square on it."""
        state = self.before.get((item.place, read.slot))
        if isinstance(read.source, Item):
            source = shown[read.source]
        else:
            source = self.operand(item, read, state)
        words = [(base_of(word.name) or shape_of(word.node.array), self.colors[word][0])
                 for word in read.labels]  # fmt: skip
        if read.note:
            words.append((read.note, ""))
        kind = _KIND.get(source.kind, "plain")
        line = Line(source, entry, kind, tuple(words), read.cuts, slot=read.slot)
        line.written = tuple(shown[label] for label in read.labels)
        line.closed = bool(read.cuts) and len(read.cuts) >= read.times
        inside = isinstance(read.source, Item) and read.source.loop == item.loop
        starts = isinstance(read.source, Item) and read.source in self.initials
        if self.in_loop(entry.column) and read.lag and inside and not starts:
            line.kind = "time"
            if self.items.folded:
                line.source = self.delay(source, read.lag)
        elif self.items.folded and state is not None and (read.lag is None or starts):
            through = next(r for r in item.reads if r.slot == read.slot and r.lag
                           and r.source.place is state)  # fmt: skip
            line.target = self.delay(shown[through.source], through.lag or 0)
            line.kind = "parameter" if source.kind == "parameter" else "start"
            line.words, line.written = tuple(words[len(read.labels) :]), ()  # behind the square
            if any(x.source is source and x.target is line.target for x in self.lines):
                return
        self.lines.append(line)

    def delay(self, state: Box, lag: int) -> Box:
        """The black square of a state: that many steps later."""
        square = self.delays.get((state, lag))
        if square is None:
            column = Column(state.column.stage + 0.2, len(self.delays), own=True)
            square = self.delays[state, lag] = self.box(
                "delay", str(lag).replace("-", "−"), (), ("delay", state.place, lag), column,
                beside=state.place, backward=state.backward,
            )  # fmt: skip
            self.lines.append(Line(state, square, "time"))
        return square

    def operand(self, item: Item, read: Read, state: Hashable) -> Box:
        """The box of an array that was no tensor."""
        column, which = self.columns[item], item.reads.index(read)
        if state is not None:
            key = (id(read.source), state)
            if key not in self.operands:
                title = self.initial_name("", state, item.loop) or _unnamed(read.source)
                where = beside(self.items, item.loop, True)
                self.operands[key] = self.box(
                    "initial", title, (), ("operand", item.place, which), where, beside=state
                )
            return self.operands[key]
        place = ("operand", item.place, which)
        return self.box("data", _unnamed(read.source), (), place, column)


def _ways(lines: list[Line]) -> dict[Box, tuple[Box, bool]]:
    """Of every black square: its state, and whether a gradient comes to it."""
    state = {line.target: line.source for line in lines
             if line.target.kind == "delay" and line.kind == "time"}  # fmt: skip
    open_ = {line.source for line in lines if not line.closed}
    return {square: (box, square in open_) for square, box in state.items()}


def _wants(line: Line, ways: dict[Box, tuple[Box, bool]]) -> bool:
    """Whether a gradient goes back along a line that is not cut."""
    source, target = line.source, line.target
    if target in ways and not ways[target][1]:
        return False
    source = ways[source][0] if source in ways else source
    if source.kind == "gap":
        return target.kind != "gap"
    return any(node.requires_grad for node in source.nodes)


def _unnamed(array: Any) -> str:
    return f"array {shape_of(array)}".rstrip()
