"""The grid: the row of every box, and where in its column it stands.

The boxes of one place in the code stand alike in every column, so each stage of the scene is laid
out once. A box stands one row above the highest box it is computed from, and as near to straight
above it as its neighbours allow. An operation that is fed only from outside the step (h W, in x V +
h W) stands to the left of its reader, where time comes in.

This file knows rows and distances, but neither what a box means nor how edges run.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence
from itertools import pairwise
from math import fsum

from ..fold.places import heights
from .columns import ABOVE, LEFT, Column
from .scene import Box, Scene

GAP = 22.0  # between boxes of a row
LANE = 14.0  # the width of a line that passes through a row
MANY = 5000  # so many boxes are laid out with less care
REACH = 12  # rows: a longer line runs beside its column

Lane = tuple[Hashable, int]
"""Where a line that passes row `int` on its way up from a box runs."""


class Stage:
    """The layout that the columns of one stage have in common."""

    def __init__(
        self,
        boxes: Sequence[Box],
        edges: Iterable[tuple[Hashable, Hashable]],
        right: Collection[Hashable] = (),
        over: Iterable[tuple[Hashable, Hashable]] = (),
        fed: Collection[Hashable] = (),
    ) -> None:
        self.fed = fed  # what stands above other columns, and on them
        self.over = over
        self.right = right  # inlets at these stand to the right of their reader
        self.width: dict[Hashable, float] = {}
        self.kind: dict[Hashable, str] = {}
        for box in boxes:
            self.width[box.place] = max(self.width.get(box.place, 0), box.width)
            self.kind[box.place] = box.kind
        self.below: dict[Hashable, list[Hashable]] = {place: [] for place in self.width}
        self.above: dict[Hashable, list[Hashable]] = {place: [] for place in self.width}
        for source, target in dict.fromkeys(edges):
            self.below[target].append(source)
            self.above[source].append(target)
        self.inlet: dict[Hashable, Hashable] = {}  # of its reader
        self.row = self._rows()
        for box in boxes:
            if box.beside is not None:
                self.row[box.place] = box.row
        self.lanes: dict[Lane, None] = {}
        self.x = self._spread(self._lines())

    def _rows(self) -> dict[Hashable, int]:
        for reader, sources in self.below.items():
            free = [x for x in sources if not self.below[x] and self.above[x] == [reader]]
            if (
                len(free) == len(sources) and free and reader not in self.fed
            ):  # something has to stand below
                free.remove(next((x for x in free if self.kind[x] == "data"), free[0]))
            if free:
                self.inlet[reader] = next((x for x in free if self.kind[x] != "data"), free[0])
        raised = {b for _, b in self.over}
        row = heights(
            self.width,
            [
                (source, target, int(self.inlet.get(target) != source))
                for target, sources in self.below.items()
                for source in sources
            ]
            + [(a, b, 1) for a, b in self.over if a in self.width and b in self.width],
        )
        for place, sources in self.below.items():
            if not sources and self.above[place] and place not in raised:
                row[place] = max(min(row[x] for x in self.above[place]) - 1, 0)
        for reader, inlet in self.inlet.items():
            row[inlet] = row[reader]
        return row

    def _lines(self) -> list[tuple[Hashable, Hashable]]:
        """The edges between neighbouring rows; longer ones pass the rows between in lanes."""
        links: dict[tuple[Hashable, Hashable], None] = {}
        for target, sources in self.below.items():
            for source in sources:
                before: Hashable = source
                if self.row[target] - self.row[source] > REACH:
                    continue
                for row in range(self.row[source] + 1, self.row[target]):
                    lane = (source, row)
                    self.lanes[lane] = None
                    links[before, lane] = None
                    before = lane
                if self.row[source] < self.row[target]:
                    links[before, target] = None
        return list(links)

    def _spread(self, links: list[tuple[Hashable, Hashable]]) -> dict[Hashable, float]:
        beside = set(self.inlet.values())
        rows: dict[int, list[Hashable]] = {}
        for place in self.width:
            if place not in beside:
                rows.setdefault(self.row[place], []).append(place)
        for lane in self.lanes:
            rows.setdefault(lane[1], []).append(lane)
        down: dict[Hashable, list[Hashable]] = {x: [] for row in rows.values() for x in row}
        up: dict[Hashable, list[Hashable]] = {x: [] for x in down}
        for source, target in links:
            if source in up and target in down:
                down[target].append(source)
                up[source].append(target)
        x = {item: GAP * i for row in rows.values() for i, item in enumerate(row)}
        levels = sorted(rows)
        rounds = 3 if len(down) < MANY else 1
        for near, order in [(down, levels), (up, levels[::-1])] * rounds + [(down, levels)]:
            for level in order:  # first the order in the row, by what it is joined to
                rows[level].sort(key=lambda item: _mean(item, near[item], x))
                self._settle(rows[level], near, x, self.lanes)
        both = {item: down[item] + up[item] for item in down}
        for lane in self.lanes:  # a lane wants to be straight, whatever it leads to
            both[lane] = [item for item in both[lane] if item in self.lanes] or both[lane]
        for order in [levels[::-1], levels] * (2 * rounds):  # then the distances
            for level in order:
                self._settle(rows[level], both, x, self.lanes)
        # Last, what is joined one to one stands exactly one above the other.
        only = {
            item: above if len(above) == 1 and len(down[above[0]]) == 1 else []
            for item, above in up.items()
        }
        for level in levels[::-1]:
            self._settle(rows[level], only, x, {item for item in rows[level] if only[item]})
        for reader, inlet in self.inlet.items():
            side = 1 if inlet in self.right else -1
            x[inlet] = x[reader] + side * (self.width[reader] / 2 + GAP + self.width[inlet] / 2)
        return x

    def _settle(
        self,
        row: list[Hashable],
        near: dict[Hashable, list[Hashable]],
        x: dict[Hashable, float],
        heavy: Collection[Hashable],
    ) -> None:
        """Place a row, in its order, as near as can be to where its items want to stand.

        Least squares with minimal distances: pool adjacent violators (Ayer et al., 1955).
        """
        offsets = [0.0]
        for before, item in pairwise(row):
            offsets.append(offsets[-1] + self._reach(before, True) + GAP + self._reach(item, False))
        pools: list[tuple[float, int, int]] = []  # weighted sum, weight, count
        for item, offset in zip(row, offsets, strict=True):
            weight = 64 if item in heavy else 1
            pools.append(((_mean(item, near[item], x) - offset) * weight, weight, 1))
            while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
                a, b = pools[-2:]
                pools[-2:] = [(a[0] + b[0], a[1] + b[1], a[2] + b[2])]
        means = (mean for pool in pools for mean in [pool[0] / pool[1]] * pool[2])
        for item, offset, mean in zip(row, offsets, means, strict=True):
            x[item] = mean + offset

    def _half(self, item: Hashable) -> float:
        return self.width.get(item, LANE) / 2

    def _reach(self, item: Hashable, right: bool) -> float:
        """How far an item reaches to one side, with its inlet."""
        inlet = self.inlet.get(item)
        beside = inlet is not None and (inlet in self.right) == right
        return self._half(item) + (GAP + self.width[inlet] if beside else 0.0)

    def ends(self) -> tuple[float, float]:
        """The leftmost and the rightmost point."""
        return (
            min(x - self._half(item) for item, x in self.x.items()),
            max(x + self._half(item) for item, x in self.x.items()),
        )


def _mean(item: Hashable, near: list[Hashable], x: dict[Hashable, float]) -> float:
    # fsum: the sum() of floats differs between versions of Python, and pictures should not
    return fsum(x[other] for other in near) / len(near) if near else x[item]


def arrange(scene: Scene) -> dict[Column, Stage]:
    """Give the boxes their rows, and lay out every stage of columns. Returns it for each column."""
    inside: dict[Hashable, list[tuple[Hashable, Hashable]]] = {}
    late: set[Hashable] = set()  # what is fed from the loop's end
    fed = {
        line.target.place
        for line in scene.lines
        if line.target.column == ABOVE and line.source.column not in (ABOVE, LEFT)
    }
    for line in scene.lines:
        if line.source.column == line.target.column:
            inside.setdefault(_layout(line.source.column), []).append(
                (line.source.place, line.target.place)
            )
        against = line.kind == "time" and line.source.column > line.target.column
        if line.source.kind == "delay" or against:
            late.add(line.target.place)
    alike: dict[Hashable, list[Box]] = {}
    for box in scene.boxes:
        if box.column != LEFT:
            alike.setdefault(_layout(box.column), []).append(box)
    stages: dict[Hashable, Stage] = {}
    rows: dict[Hashable, int] = {}  # by place
    for layout, boxes in sorted(alike.items(), key=lambda item: _after_steps(item[1][0])):
        for box in boxes:
            if box.beside is not None:
                box.row = rows.get(("value", box.beside), rows.get(box.beside, 0))
        stages[layout] = stage = Stage(boxes, inside.get(layout, ()), late, scene.over, fed)
        rows |= stage.row
    steps = [stages[_layout(b.column)] for b in scene.boxes if b.column not in (ABOVE, LEFT)]
    floor = max((max(stage.row.values()) + 1 for stage in dict.fromkeys(steps)), default=0)
    for box in scene.boxes:
        if box.column != LEFT:
            row = stages[_layout(box.column)].row[box.place]
            box.row = row + (floor if box.column == ABOVE else 0)
    found = {box.column: stages[_layout(box.column)] for box in scene.boxes if box.column != LEFT}
    _nest(scene.boxes, found)
    return found


def _layout(column: Column) -> Hashable:
    return column if column.own else column.stage


def _after_steps(box: Box) -> tuple[bool, Column]:
    """The steps come first, and then what stands beside them."""
    return box.column.stage % 2 != 1 or box.column.own, box.column


def _nest(boxes: Sequence[Box], stages: dict[Column, Stage]) -> None:
    """One loop around another: the higher its state, the farther out its square."""
    squares: dict[float, list[Box]] = {}
    for box in boxes:
        if box.kind == "delay":
            squares.setdefault(box.column.stage, []).append(box)
    for group in squares.values():
        own = {box: stages[box.column] for box in group}
        columns = sorted(box.column for box in group)
        for column, box in zip(columns, sorted(group, key=lambda box: box.row), strict=True):
            box.column, stages[column] = column, own[box]
