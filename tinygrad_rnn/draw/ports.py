"""Ports: where on the edge of its target each line arrives, so that no two lie on each other.

Straight lines come where they come from. Wires, which may arrive anywhere, keep out of their way.
"""

from __future__ import annotations

from collections.abc import Iterable

from .scene import Box, Line

Side = tuple[Box, bool]
"""A box, and whether its lower edge is meant."""


def spread(count: int, pitch: float) -> list[float]:
    """Places of one distance, around 0."""
    return [pitch * (i - (count - 1) / 2) for i in range(count)]


def of_wires(wires: dict[Side, list[Line]], straight: dict[Side, list[float]]) -> dict[Line, float]:
    """How far from the middle of its target each wire arrives.

    straight: from how far to the left or right straight lines meet the same side.
    """
    ports: dict[Line, float] = {}
    for (target, below), lines in wires.items():
        lines.sort(key=lambda line: (line.source.x, line.source.y))
        others = straight.get((target, below))
        if others:
            ports |= _around(target, lines, others)
        else:
            places = spread(len(lines), min(12.0, (target.width - 10) / len(lines)))
            ports |= dict(zip(lines, places, strict=True))
    return ports


def _around(target: Box, lines: list[Line], others: list[float]) -> dict[Line, float]:
    """Places of wires to the left and to the right of straight lines."""
    left = [line for line in lines if line.source.x <= target.x]
    right = [line for line in lines if line.source.x > target.x]
    if min(others) < -8 and max(others) <= 8:  # these come from the left: leave that side to them
        left, right = [], lines
    elif target.round and not right:  # no room for two on one side of a circle
        left, right = left[:1], left[1:]
    last = target.width / 2 - 6
    first = min(10.0, last)
    return {
        line: side * (first + (last - first) * i / max(len(group) - 1, 1))
        for side, group in ((-1, left[::-1]), (1, right))
        for i, line in enumerate(group)
    }


def of_twins(lines: Iterable[list[Line]]) -> dict[Line, float]:
    """How far from the middle each of several lines between the same two boxes runs."""
    ports: dict[Line, float] = {}
    for group in lines:
        if len(group) > 1:
            ports |= dict(zip(group, spread(len(group), 12.0 / (len(group) - 1)), strict=True))
    return ports


def fans(straight: dict[Side, list[Line]]) -> dict[Line, float]:
    """Where on a box each of many straight lines arrives: side by side, in their order."""
    places: dict[Line, float] = {}
    for (target, _), lines in straight.items():
        if len(lines) > 2 and not target.round:
            lines.sort(key=lambda line: line.source.x)
            pitch = min((target.width - 16) / (len(lines) - 1), 14.0)
            found = [target.x + shift for shift in spread(len(lines), pitch)]
            places |= dict(zip(lines, found, strict=True))
    return places
