"""Curves: polylines with rounded corners, bends, and where a line meets a box."""

from __future__ import annotations

from math import hypot, sqrt

from .scene import Box

BEND = 7.0  # the radius of a corner

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


def aside(path: list[Point], source: Box, by: float) -> list[Point]:
    """The path beside a path that begins at a box, with its own place at the edge of the box."""
    if len(path) == 4:
        return _aside_straight(path[0], path[-1], source, by)
    moved = [(x - by, y - by) for x, y in path]
    for end, near in ((0, 1), (-1, -2)):
        (x, y), (near_x, near_y) = path[end], path[near]
        if abs(near_x - x) < abs(near_y - y):  # it leaves upwards or downwards
            moved[end], moved[near] = (x - by, y), (near_x - by, near_y)
        else:
            moved[end], moved[near] = (x, y - by), (near_x, near_y - by)
    return moved


def _aside_straight(a: Point, b: Point, source: Box, by: float) -> list[Point]:
    across, up = b[0] - a[0], b[1] - a[1]
    length = hypot(across, up) or 1.0
    if abs(up) > length / 5:  # along the edge, towards its middle
        by = min(by * length / abs(up), 16.0) * (-1 if source.x < a[0] - 1 else 1)
        start, end = (a[0] + by, a[1]), (b[0] + by, b[1])
    else:
        start, end = (a[0], a[1] - by), (b[0], b[1] - by)
        if up > 0:  # it leaves flatly at a corner: this one at the side below
            start = (source.x + (1 if across > 0 else -1) * source.width / 2, a[1] - 2 * by)
    end = (end[0] + 6 * across / length, end[1] + 6 * up / length)  # on, under the box
    return [start, *_segment(start, end)]


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
