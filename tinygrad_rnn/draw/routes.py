"""The routes: coordinates, and the path of every line, so that no line runs through a box.

Between two rows there is a channel, between two columns a corridor, and no box stands in either. A
line between neighbours is straight. Any other runs like a wire: out into a channel, along a
corridor if it has to change rows, and along the channel of its target. What one box sends into a
channel shares a track, so a parameter is one rail with a branch at every use; tracks of different
boxes never overlap (left-edge algorithm, Hashimoto and Stevens, 1971).

This file knows geometry, but not what a box or a line means.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from itertools import pairwise
from math import fsum, hypot

from .columns import ABOVE, LEFT, Column
from .curves import Point, aside, bend, between, edge_y, rounded, towards
from .grid import Stage
from .ports import Side, fans, of_twins, of_wires
from .scene import CIRCLE, Box, Line, Scene, said
from .words import width_of

CHANNEL = 38.0  # the height of a channel with at most one track
TRACK = 9.0  # from track to track
CLEAR = 19.0  # from the topmost track to the row above it
CORRIDOR = 30.0
ASIDE = 4.5  # from a line to that of its adjoint
WORDS = 20.0  # more for a channel in which a line has words


class Plan:
    """Which way a line takes: "straight", "lane" or "wire", and what a wire runs through."""

    __slots__ = ("way", "out", "corridor", "into")

    def __init__(
        self,
        way: str,
        out: int | None = None,
        corridor: int | None = None,
        into: int | None = None,
    ) -> None:
        self.way = way
        self.out = out  # the channel at the source; None: out at its side
        self.corridor = corridor
        self.into = into  # the channel at the target; None: in at its side


def route(scene: Scene, stages: dict[Column, Stage]) -> None:
    """Give every box of an arranged scene its coordinates and every line its path."""
    _Router(scene, stages).run()


class _Router:
    def __init__(self, scene: Scene, stages: dict[Column, Stage]) -> None:
        self.scene = scene
        self.stages = stages
        self.columns = sorted(column for column in stages if column != ABOVE)
        self.index = {column: i for i, column in enumerate(self.columns)}
        self.last = len(self.columns)  # the corridor at the right of all
        self.left = [box for box in scene.boxes if box.column == LEFT]
        self.placed = [box for box in scene.boxes if box.column != LEFT]
        rows: dict[int, list[Box]] = {}
        for box in self.placed:
            rows.setdefault(box.row, []).append(box)
        self.next: dict[Box, Box] = {}  # the neighbour to the right
        self.previous: dict[Box, Box] = {}
        for row in rows.values():
            row.sort(key=lambda b: (b.column, stages[b.column].x[b.place]))
            for box, neighbour in pairwise(row):
                self.next[box], self.previous[neighbour] = neighbour, box
        self.half = [
            max([CIRCLE, *(box.height for box in rows.get(row, ()))]) / 2
            for row in range(max(rows, default=0) + 2)
        ]
        self.sides: set[Box] = set()  # what a loop enters from the right
        self.floor = min((b.row for b in self.placed if b.column == ABOVE), default=0)
        self.top = max(rows, default=0)

    def run(self) -> None:
        plans = {line: self.plan(line) for line in self.scene.lines}
        self.tracks = self.channels(plans)
        self.place_rows()
        self.place_parameters(plans)
        self.wires = self.corridors(plans)
        self.place_columns()
        self.assign_ports(plans)
        self.place_notes()
        for line, plan in plans.items():
            draw = {"straight": self.straight, "lane": self.lane, "wire": self.wire,
                    "loop": self.loop}[plan.way]  # fmt: skip
            line.path = draw(line, plan)
            if line.adjoint or line.learns:
                beside = self.previous if line.path[-1][0] > line.path[0][0] else self.next
                line.back = aside(line.path, line.source, ASIDE, line.target in beside)

    # ------------------------------------------------------------------------------ which way

    def plan(self, line: Line) -> Plan:
        source, target = line.source, line.target
        if source.column == LEFT:
            return Plan("wire", None, 0, target.row)
        rise = target.row - source.row
        if source.kind == "delay":
            return self.plan_loop(source, target)
        inside = source.column == target.column
        a, b = self.index.get(source.column, 0), self.index.get(target.column, self.last)
        if rise == 0 and target in (self.next.get(source), self.previous.get(source)):
            return Plan("straight")
        if abs(rise) == 1 and (target.column == ABOVE or abs(a - b) <= 1):
            return Plan("straight")
        ends = (source.row + 1, target.row - 1)
        if inside and all(
            (source.place, row - self.base(source)) in self.stages[source.column].lanes
            for row in ends
        ):
            return Plan("lane")
        out: int | None = source.row + 1 if rise > 0 else source.row
        into: int | None = target.row + 1 if rise < 0 else target.row
        if target.column == ABOVE:
            below = target.row == self.floor and source.column != ABOVE
            corridor = a + 1 if below else self.last
        else:
            corridor = b if a <= b else b + 1
        if a + 1 == b and not inside and target.column != ABOVE:
            if self.ends_row(source, self.next):
                out = None
            if self.ends_row(target, self.previous):
                into = None
        if target.kind == "delay":  # from above: below, it is left
            into = target.row + 1
            if rise == 0:
                out = into
        return Plan("wire", out, None if out == into and out is not None else corridor, into)

    def plan_loop(self, source: Box, target: Box) -> Plan:
        """From a black square down (or up) in its own column, and in at the side if it is free."""
        beside = self.next.get(target)
        free = beside is None or beside.column >= source.column
        if free and target.row != source.row and target not in self.sides:
            self.sides.add(target)
            return Plan("loop")
        channel = target.row + 1 if target.row < source.row else target.row
        return Plan("wire", channel, None, channel)

    def loop(self, line: Line, plan: Plan) -> list[Point]:
        a, b = line.source, line.target
        side = -1 if b.y < a.y else 1
        return rounded([(a.x, edge_y(a, a.x, side)), (a.x, b.y), (b.x + b.width / 2, b.y)])

    def base(self, box: Box) -> int:
        return self.floor if box.column == ABOVE else 0

    def ends_row(self, box: Box, beside: dict[Box, Box]) -> bool:
        """Whether nothing of its column stands at that side of a box."""
        other = beside.get(box)
        return other is None or other.column != box.column

    # ---------------------------------------------------------------- tracks, and coordinates

    def span(self, box: Box) -> tuple[int, int]:
        """The corridors (even) and columns (odd) that a box may be in front of."""
        if box.column == LEFT:
            return -1, -1
        if box.column == ABOVE:
            return 0, 2 * self.last
        i = 2 * self.index[box.column] + 1
        return i, i

    def channels(self, plans: dict[Line, Plan]) -> dict[int, dict[Hashable, int]]:
        """The track of each source in each channel."""
        used: dict[int, dict[Hashable, tuple[float, float]]] = {}

        def use(channel: int, net: Box, *at: int) -> None:
            low, high = used.setdefault(channel, {}).get(net, (at[0], at[0]))
            used[channel][net] = (min(low, *at), max(high, *at))

        for line, plan in plans.items():
            if plan.way != "wire":
                continue
            here, there = self.span(line.source), self.span(line.target)
            stop = there if plan.corridor is None else (2 * plan.corridor, 2 * plan.corridor)
            if plan.out is not None:
                use(plan.out, line.source, *here, *stop)
            if plan.into is not None and plan.corridor is not None:
                use(plan.into, line.source, *stop, *there)
        return {channel: _left_edge(nets) for channel, nets in used.items()}

    def place_rows(self) -> None:
        y = 0.0
        row_y: list[float] = []
        worded: dict[int, float] = {}
        for line in self.scene.lines:
            if line.words:
                wide = width_of(said(line)) - 14 if self.scene.turned else 0.0
                row = line.target.row
                extra = max(wide, WORDS if row in self.tracks else 0.0)
                worded[row] = max(worded.get(row, 0.0), extra)
        for row in range(self.top + 2):
            count = max(self.tracks.get(row, {0: 0}).values()) + 1
            if row:
                y += self.half[row - 1] + self.half[row] + CHANNEL + TRACK * (count - 1)
                y += worded.get(row, 0.0)
            row_y.append(y)
        self.row_y = row_y
        for box in self.placed:
            box.y = row_y[box.row]

    def track_y(self, channel: int, net: Box) -> float:
        return self.row_y[channel] - self.half[channel] - CLEAR - TRACK * self.tracks[channel][net]

    def place_parameters(self, plans: dict[Line, Plan]) -> None:
        """At the left, each at the height of its lowest rail, as near as the others allow."""
        wanted: dict[Box, float] = dict.fromkeys(self.left, self.row_y[self.top] / 2)
        for line in reversed(plans):
            if line.source.column == LEFT:
                wanted[line.source] = self.track_y(line.target.row, line.source)
        pitch = max([CIRCLE, *(box.height for box in self.left)]) + 8
        pools: list[list[Box]] = []
        for box in sorted(self.left, key=wanted.__getitem__):
            pools.append([box])
            while (
                len(pools) > 1
                and _centre(pools[-1], wanted) - _centre(pools[-2], wanted)
                < (len(pools[-1]) + len(pools[-2])) / 2 * pitch
            ):
                last = pools.pop()
                pools[-1].extend(last)
        for pool in pools:
            middle = _centre(pool, wanted)
            for i, box in enumerate(pool):
                box.y = middle + (i - (len(pool) - 1) / 2) * pitch
                if abs(box.y - wanted[box]) < 1:
                    box.y = wanted[box]

    def corridors(self, plans: dict[Line, Plan]) -> dict[int, dict[Hashable, int]]:
        """The track of each source in each corridor."""
        used: dict[int, dict[Hashable, tuple[float, float]]] = {}
        for line, plan in plans.items():
            if plan.way == "wire" and plan.corridor is not None:
                ys = (self.leaves_at(line, plan), self.arrives_at(line, plan))
                if ys[0] != ys[1]:
                    nets = used.setdefault(plan.corridor, {})
                    low, high = nets.get(line.source, (ys[0], ys[0]))
                    nets[line.source] = (min(low, *ys), max(high, *ys))
        return {corridor: _left_edge(nets) for corridor, nets in used.items()}

    def leaves_at(self, line: Line, plan: Plan) -> float:
        return line.source.y if plan.out is None else self.track_y(plan.out, line.source)

    def arrives_at(self, line: Line, plan: Plan) -> float:
        return line.target.y if plan.into is None else self.track_y(plan.into, line.source)

    def place_columns(self) -> None:
        extents = [self.stages[column].ends() for column in self.columns]
        above = self.stages[ABOVE].ends() if ABOVE in self.stages else (0.0, 0.0)
        widths = [CORRIDOR + TRACK * max(self.count(i) - 1, 0) for i in range(self.last + 1)]
        for line in self.scene.lines:  # room for words on the way to the next column
            ends = sorted(
                (self.index.get(x.column, 0), x.column) for x in (line.source, line.target)
            )
            if line.words and line.source.row == line.target.row and ends[0][0] + 1 == ends[1][0]:
                wide = 14.0 if self.scene.turned else width_of(said(line))
                widths[ends[1][0]] = max(widths[ends[1][0]], wide + 24)
        inner = fsum(right - left for left, right in extents) + fsum(widths[1 : self.last])
        whole = max(inner, above[1] - above[0])
        x = (whole - inner) / 2
        self.corridor_x = [-widths[0] + 12]
        start: dict[Column, float] = {}
        for i, (column, (left, right)) in enumerate(zip(self.columns, extents, strict=True)):
            if i:
                self.corridor_x.append(x + (widths[i] - TRACK * max(self.count(i) - 1, 0)) / 2)
                x += widths[i]
            start[column] = x - left
            x += right - left
        ideal = self.middle(start)
        room = max(-above[0] - ideal, 0.0) if start else 0.0  # what is above reaches farther left
        start = {column: place + room for column, place in start.items()}
        self.corridor_x[1:] = [place + room for place in self.corridor_x[1:]]
        whole = max(whole + room, ideal + room + above[1])
        if self.last:
            self.corridor_x.append(whole + CORRIDOR / 2)
        start[ABOVE] = max(ideal + room, -above[0])
        self.start = start
        for box in self.placed:
            box.x = start[box.column] + self.stages[box.column].x[box.place]
        widest = max((box.width for box in self.left), default=0.0)
        for box in self.left:
            box.width = widest
            box.x = -widths[0] - 4 - widest / 2

    def place_notes(self) -> None:
        """Under the lowest channel, in the middle of the column."""
        lowest = self.row_y[0] - self.half[0] - CLEAR - TRACK * len(self.tracks.get(0, ()))
        for note in self.scene.notes:
            column = [box for box in self.placed if box.column == note.column]
            bottom = min(column, key=lambda box: (box.row, box.x))
            note.x, note.y = bottom.x, lowest - 6

    def middle(self, start: dict[Column, float]) -> float:
        """Where what is above the steps stands in the middle of what it is computed from."""
        shifts = [
            start[a.column] + self.stages[a.column].x[a.place] - self.stages[ABOVE].x[b.place]
            for a, b in ((line.source, line.target) for line in self.scene.lines)
            if b.column == ABOVE and a.column in start
        ]
        return (min(shifts) + max(shifts)) / 2 if shifts else 0.0

    def count(self, corridor: int) -> int:
        return max(self.wires.get(corridor, {0: -1}).values()) + 1

    def wire_x(self, corridor: int, net: Box) -> float:
        return self.corridor_x[corridor] + TRACK * self.wires.get(corridor, {}).get(net, 0)

    # ------------------------------------------------------------------------------- the paths

    def assign_ports(self, plans: dict[Line, Plan]) -> None:
        """Where each line arrives: the ports from the middle of its target, the fans on it."""
        wires: dict[Side, list[Line]] = {}
        straight: dict[Side, list[Line]] = {}
        busy: dict[Side, list[float]] = {}  # where straight lines come from or go to
        twins: dict[tuple[Box, Box], list[Line]] = {}
        for line, plan in plans.items():
            source, target = line.source, line.target
            if plan.way == "wire":
                if plan.into is not None:
                    wires.setdefault((target, plan.into == target.row), []).append(line)
                continue
            twins.setdefault((source, target), []).append(line)
            if source.row != target.row and plan.way != "loop":
                below = source.row < target.row
                straight.setdefault((target, below), []).append(line)
                busy.setdefault((target, below), []).append(source.x - target.x)
                busy.setdefault((source, not below), []).append(target.x - source.x)
        self.ports = of_wires(wires, busy) | of_twins(twins.values())
        self.fans = fans(straight)

    def straight(self, line: Line, plan: Plan) -> list[Point]:
        a, b = line.source, line.target
        if a.row == b.row:
            side = 1 if b.x > a.x else -1
            shift = self.ports.get(line, 0.0)
            start, end = (a.x + side * a.width / 2, a.y), (b.x - side * b.width / 2, b.y)
            return rounded([(start[0], a.y + shift), (end[0], b.y + shift)])
        up = 1 if b.y > a.y else -1
        if line in self.ports:
            shift = self.ports[line]
            first, last = a.x + shift, b.x + shift
            return rounded([(first, edge_y(a, first, up)), (last, edge_y(b, last, -up))])
        near = [towards(a, b.x), self.fans.get(line, towards(b, a.x))]
        if line not in self.fans and abs(near[0] - near[1]) < 14:
            near = [b.x, b.x] if abs(b.x - a.x) < a.width / 2 - 8 else [a.x, a.x]
            if abs(near[0] - a.x) > a.width / 2 - 3 or abs(near[0] - b.x) > b.width / 2 - 3:
                near = [towards(a, b.x), towards(b, a.x)]
        start = (near[0], a.y + up * a.height / 2)
        end = (near[1], b.y - up * b.height / 2)
        if a.column != b.column and abs(start[0] - end[0]) > 1 and self.uneven(a, b):
            # Upright past the highest boxes of the rows, and aslant in the channel.
            knots = [
                (near[0], edge_y(a, near[0], up)),
                (near[0], a.y + up * self.half[a.row]),
                (near[1], b.y - up * self.half[b.row]),
                (near[1], edge_y(b, near[1], -up)),
            ]
            return rounded([p for i, p in enumerate(knots) if not i or p != knots[i - 1]])
        if a.round:
            start = self.on_circle(a, near[0], end)
        if b.round:
            end = self.on_circle(b, near[1], start)
        return rounded([start, end])

    def uneven(self, a: Box, b: Box) -> bool:
        """Whether one of two boxes stands in a row with higher ones than circles."""
        return any(self.half[box.row] - max(box.height, CIRCLE) / 2 > 2 for box in (a, b))

    def on_circle(self, box: Box, x: float, other: Point) -> Point:
        """Where a line that aims at (x, the middle of a circle) meets the circle."""
        up = 1 if other[1] > box.y else -1
        across, rise = other[0] - box.x, abs(other[1] - box.y)
        side = self.next.get(box) if across > 0 else self.previous.get(box)
        reach = self.half[box.row] * abs(across) / rise  # where it is as high as the row
        if side is not None and abs(side.x - box.x) - side.width / 2 < reach:
            x = box.x + (
                5.0 if across > 0 else -5.0
            )  # too flat: over the neighbour, not through it
        if x != box.x:
            return (x, edge_y(box, x, up))
        return between((box.x, box.y), other, box.width / 2 / hypot(across, rise))

    def lane(self, line: Line, plan: Plan) -> list[Point]:
        a, b = line.source, line.target
        stage, base = self.stages[a.column], self.base(a)
        x, y = a.x, a.y + a.height / 2
        path: list[Point] = [(x, y)]
        shift = self.ports.get(line, 0.0)
        for row in range(a.row + 1, b.row):
            lane_x = self.start[a.column] + stage.x[a.place, row - base]
            low, high = self.row_y[row] - self.half[row], self.row_y[row] + self.half[row]
            path += bend(path[-1], (lane_x, low)) + bend((lane_x, low), (lane_x, high))
        x = b.x + shift + max(min((path[-1][0] - b.x) * 0.3, b.width / 2 - 9), 9 - b.width / 2)
        return path + bend(path[-1], (x, edge_y(b, x, -1)))

    def wire(self, line: Line, plan: Plan) -> list[Point]:
        a, b = line.source, line.target
        points: list[Point] = []
        leaves, arrives = self.leaves_at(line, plan), self.arrives_at(line, plan)
        end = b.x + self.ports.get(line, 0.0)
        if plan.out is None:
            points.append((a.x + a.width / 2, a.y))
        else:
            aim = end if plan.corridor is None else self.wire_x(plan.corridor, a)
            x = a.x + (9.0 if aim > a.x else -9.0) * (a.kind != "delay")
            points += [(x, edge_y(a, x, 1 if leaves > a.y else -1)), (x, leaves)]
        if plan.corridor is not None and leaves != arrives:
            x = self.wire_x(plan.corridor, a)
            points += [(x, leaves), (x, arrives)]
        if plan.into is None:
            points.append((b.x - b.width / 2, b.y))
        else:
            points += [(end, arrives), (end, edge_y(b, end, 1 if arrives > b.y else -1))]
        return rounded(points)


def _centre(pool: list[Box], wanted: dict[Box, float]) -> float:
    return fsum(wanted[box] for box in pool) / len(pool)


def _left_edge(nets: dict[Hashable, tuple[float, float]]) -> dict[Hashable, int]:
    """Tracks 0, 1, … for intervals, so that those on one track are apart."""
    free: list[tuple[float, int]] = []  # where each track ends
    tracks: dict[Hashable, int] = {}
    for net, (low, high) in sorted(nets.items(), key=lambda item: item[1][0]):
        track = len(free)
        if free and free[0][0] < low:
            track = heapq.heappop(free)[1]
        heapq.heappush(free, (high, track))
        tracks[net] = track
    return tracks
