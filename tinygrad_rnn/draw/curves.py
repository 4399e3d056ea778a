"""Curves: polylines with rounded corners, bends, and where a line meets a box."""

from __future__ import annotations

from itertools import pairwise
from math import hypot, sqrt

from .scene import Box

BEND = 7.0  # the radius of a corner
SAMPLES = 32  # of a curve
STEP = 11.0  # how far a flat way back is from the other where it arrives

Point = tuple[float, float]


def rounded(points: list[Point]) -> list[Point]:
    """A polyline as Bézier curves with its corners rounded: knot, handle, handle, knot, …"""
    path = [points[0]]
    for i, point in enumerate(points[1:], 1):
        before = points[i - 1]
        length = hypot(point[0] - before[0], point[1] - before[1])
        if not length:
            continue
        if i == len(points) - 1:
            path += _segment(path[-1], point)
            break
        after = points[i + 1]
        onward = hypot(after[0] - point[0], after[1] - point[1])
        radius = min(BEND, length / 2, onward / 2)
        if not onward:
            continue
        enter = between(point, before, radius / length)
        leave = between(point, after, radius / onward)
        path += _segment(path[-1], enter)
        path += [between(enter, point, 0.55), between(leave, point, 0.55), leave]
    return path


def _segment(a: Point, b: Point) -> list[Point]:
    return [between(a, b, 1 / 3), between(a, b, 2 / 3), b]


def bend(a: Point, b: Point) -> list[Point]:
    """A curve that leaves and arrives vertically."""
    middle = (a[1] + b[1]) / 2
    return [(a[0], middle), (b[0], middle), b]


def aside(path: list[Point], source: Box, by: float, crowded: bool) -> list[Point]:
    """The path beside a path that begins at a box, with its own place at the edge of the box.

    crowded: whether something stands beside the end of the path, where it comes from.
    """
    if len(path) == 4:
        return _aside_straight(path[0], path[-1], source, by, crowded)
    moved = [(x - by, y - by) for x, y in path]
    for end, near in ((0, 1), (-1, -2)):
        (x, y), (near_x, near_y) = path[end], path[near]
        if abs(near_x - x) < abs(near_y - y):  # it leaves upwards or downwards
            moved[end], moved[near] = (x - by, y), (near_x - by, near_y)
        else:
            moved[end], moved[near] = (x, y - by), (near_x, near_y - by)
    return moved


def _aside_straight(a: Point, b: Point, source: Box, by: float, crowded: bool) -> list[Point]:
    across, up = b[0] - a[0], b[1] - a[1]
    length = hypot(across, up) or 1.0
    onward = (6 * across / length, 6 * up / length)  # under the box
    if abs(up) > length / 5:  # along the edge, towards its middle
        by = min(by * length / abs(up), 16.0) * (-1 if source.x < a[0] - 1 else 1)
        x = a[0] + by if source.round else _on(source, a[0] + by)
        start, end = (x, a[1]), (b[0] + by, b[1])
    elif abs(up) < 1:
        start, end = (a[0], a[1] - by), (b[0], b[1] - by)
    else:  # too flat to be told from the other: on its far side, and upright where it arrives
        side = 1 if up > 0 else -1
        x = _on(source, a[0] - (STEP if across > 0 else -STEP))
        y = edge_y(source, x, side)
        rise = 0.0 if crowded else side * by
        end = (b[0] + onward[0], b[1] + onward[1] + rise)
        return rounded([(x, y), (x, y + side * STEP), end])
    end = (end[0] + onward[0], end[1] + onward[1])
    return [start, *_segment(start, end)]


def up_to(path: list[Point], x: float, y: float, width: float, height: float) -> list[Point]:
    """The end of a path of curves, from where it leaves a rectangle for the last time."""
    for i in range(len(path) - 4, -1, -3):
        for step in range(SAMPLES, 0, -1):
            rest = _rest(path[i : i + 4], (step - 1) / SAMPLES)
            if abs(rest[0][0] - x) < width / 2 and abs(rest[0][1] - y) < height / 2:
                return _rest(path[i : i + 4], step / SAMPLES) + path[i + 4 :]
    return path


def _rest(curve: list[Point], part: float) -> list[Point]:
    """A Bézier curve from this part of it on (de Casteljau)."""
    rest: list[Point] = []
    while curve:
        rest.insert(0, curve[-1])
        curve = [between(a, b, part) for a, b in pairwise(curve)]
    return rest


def _on(box: Box, x: float) -> float:
    """The place next to x that is on an edge of a box, and not on its corners."""
    room = box.width / 2 - 5
    return max(min(x, box.x + room), box.x - room)


def between(a: Point, b: Point, part: float) -> Point:
    return (a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part)


def towards(box: Box, x: float) -> float:
    """Where on its upper or lower edge a box is left in the direction of x."""
    if box.round:
        return box.x
    room = box.width / 2 - 8
    return box.x + max(min((x - box.x) * 0.4, room), -room)


def edge_y(box: Box, x: float, side: int) -> float:
    """The height of the upper (1) or lower (-1) edge of a box at x."""
    if not box.round:
        return box.y + side * box.height / 2
    return box.y + side * sqrt(max((box.width / 2) ** 2 - (x - box.x) ** 2, 0.0))
