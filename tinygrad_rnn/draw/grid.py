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
from .scene import ABOVE, LEFT, Box, Column, Scene

GAP = 22.0  # between boxes of a row
LANE = 14.0  # the width of a line that passes through a row
MANY = 5000  # so many boxes are laid out with less care
REACH = 12  # rows: a longer line runs beside its column

Lane = tuple[Hashable, int]
"""Where a line that passes row `int` on its way up from a box runs."""


class Stage:
    """The layout that the columns of one stage have in common."""

    def __init__(self, boxes: Sequence[Box], edges: Iterable[tuple[Hashable, Hashable]]) -> None:
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
            if len(free) == len(sources) and free:  # something has to stand below
                free.remove(next((x for x in free if self.kind[x] == "data"), free[0]))
            if free:
                self.inlet[reader] = next((x for x in free if self.kind[x] != "data"), free[0])
        row = heights(
            self.width,
            [
                (source, target, int(self.inlet.get(target) != source))
                for target, sources in self.below.items()
                for source in sources
            ],
        )
        for place, sources in self.below.items():
            if not sources and self.above[place]:
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
            x[inlet] = x[reader] - self.width[reader] / 2 - GAP - self.width[inlet] / 2
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
            offsets.append(offsets[-1] + self._half(before) + GAP + self._left(item))
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

    def _left(self, item: Hashable) -> float:
        """How far an item reaches to the left, with its inlet."""
        inlet = self.inlet.get(item)
        return self._half(item) + (0.0 if inlet is None else GAP + self.width[inlet])

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
    columns: dict[Column, list[Box]] = {}
    for box in scene.boxes:
        if box.column != LEFT:
            columns.setdefault(box.column, []).append(box)
    inside: dict[float, list[tuple[Hashable, Hashable]]] = {}
    for line in scene.lines:
        if line.source.column == line.target.column:
            inside.setdefault(line.source.column[0], []).append(
                (line.source.place, line.target.place)
            )
    by_stage: dict[float, list[Box]] = {}
    for column, boxes in columns.items():
        by_stage.setdefault(column[0], []).extend(boxes)
    stages: dict[float, Stage] = {}
    for number in sorted(
        by_stage, key=lambda n: (n % 2 != 1, n)
    ):  # steps before what is beside them
        for box in by_stage[number]:
            if box.beside is not None:
                row = stages[number + 1].row
                box.row = row.get(("value", box.beside), row.get(box.beside, 0))
        stages[number] = Stage(by_stage[number], inside.get(number, ()))
    steps = [stage for number, stage in stages.items() if number != ABOVE[0]]
    floor = max((max(stage.row.values()) + 1 for stage in steps), default=0)
    for box in scene.boxes:
        if box.column != LEFT:
            box.row = stages[box.column[0]].row[box.place] + (floor if box.column == ABOVE else 0)
    return {column: stages[column[0]] for column in columns}
