"""Lines: the nodes of one place with what each of their argument slots reads, run by run.

A slot of a loop's line reads one source in one way: at one lag, mirrored (in the other direction),
or always the same step. Where that changes, a new run begins. This file finds the runs; whether
they are those of a loop is asked in differences.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine.record import Node, cut_from
from .graph import Moving
from .outside import loops_outside
from .places import group


@dataclass(eq=False, slots=True)
class Run:
    """Steps first … last, in which a slot reads step sign · t + offset of one source."""

    source: Line | None  # None is a constant
    sign: int | None
    offset: int | None
    first: int
    last: int
    cuts: dict[int | None, int | None] = field(default_factory=dict)

    @property
    def way(self) -> tuple[Line | None, int | None, int | None]:
        """What is read, and how."""
        return self.source, self.sign, self.offset


@dataclass(eq=False, slots=True)
class Line:
    """The nodes of one place, by step; or one shared node, whose step is None.

    loop: what tells its loop from others.
    runs: what each argument slot reads, for a line with steps.
    """

    loop: Any
    nodes: dict[int | None, Node]
    runs: dict[int, list[Run]] = field(default_factory=dict)

    @property
    def shared(self) -> bool:
        """Whether it was made outside the steps."""
        return None in self.nodes

    @property
    def steps(self) -> range:
        """From its first step to its last."""
        steps = [t for t in self.nodes if t is not None]
        return range(steps[0], steps[-1] + 1)

    @property
    def main(self) -> Node:
        """The node that the others are compared with: one in the middle."""
        nodes = list(self.nodes.values())
        return nodes[len(nodes) // 2]


class Lines:
    """A recording by lines.

    cuts: detached copies, and what each is a copy of. They are in no line: who reads one reads, in
        a fold, what it is a copy of.
    """

    def __init__(self, roots: list[Any]) -> None:
        places = group(*roots)
        sources = {node: cut_from(node) for node in places.of}
        self.cuts = {copy: x for copy, x in sources.items() if x is not None and x in places.of}
        self.lines: list[Line] = []
        self.of: dict[Node, tuple[Line, int | None]] = {}
        outside = loops_outside(places)
        for place in places.nodes:
            nodes = {
                t: node
                for t, node in place.nodes.items()
                if node not in self.cuts and node not in outside
            }
            for alike in _alike(nodes):
                self._add(None if None in alike else place.loop, alike)
        unlabelled: dict[Any, dict[int | None, Node]] = {}
        met: dict[Any, int] = {}
        for node, (line, step) in outside.items():
            here = (line, node.primitive, step)
            met[here] = met.get(here, 0) + 1  # two passes over a graph make two lines
            unlabelled.setdefault((line, node.primitive, met[here]), {})[step] = node
        for (line, *_), nodes in unlabelled.items():
            self._add(line[0] if isinstance(line[0], tuple) else line, nodes)
        self.lines.sort(key=lambda line: min(node.number for node in line.nodes.values()))
        for line in self.lines:
            if not line.shared:
                line.runs = self._runs(line)

    def _add(self, loop: Any, nodes: dict[int | None, Node]) -> None:
        line = Line(loop, dict(sorted(nodes.items(), key=lambda item: item[0] or 0)))
        self.lines.append(line)
        for step, node in nodes.items():
            self.of[node] = (line, step)

    def forget(self) -> None:
        """Drop what refers to each other in a circle, which reference counts would not free."""
        for line in self.lines:
            line.runs = {}

    def reading(self, x: Any) -> tuple[Line | None, int | None, Node | None]:
        """What an input comes from: line and step, and the copy of it, if it was detached."""
        if not isinstance(x, Node):
            return None, None, None
        return *self.of[self.cuts.get(x, x)], x if x in self.cuts else None

    def _runs(self, line: Line) -> dict[int, list[Run]]:
        """By slots: at lags, or mirrored, or always one step, whichever takes the fewest runs."""
        slots: dict[int, list[Any]] = {}
        for t, node in line.nodes.items():
            for slot, x in enumerate(node.inputs or ()):
                slots.setdefault(slot, []).append((t, *self.reading(x)))
        found = {}
        for slot, readings in slots.items():
            runs = _split(readings, sign=1)
            if len(runs) > 2:  # not a beginning and the rest
                runs = min([runs, _split(readings, sign=-1), _split(readings, sign=0)], key=len)
            found[slot] = runs
            for run in runs if len(runs) > 1 else ():
                # A loop that begins with another's last state reads step T, not T − 1 steps before.
                single = run.first == run.last and run.source and run.source.loop != line.loop
                if single and run.sign is not None and run.offset is not None:
                    run.sign, run.offset = 0, run.sign * run.first + run.offset
        return found


def _split(readings: list[Any], sign: int) -> list[Run]:
    """The readings of a slot, (step, source, its step, copy), in runs of one way."""
    runs: list[Run] = []
    for t, source, step, copy in readings:
        here = Run(source, sign, None, t, t)
        if step is None:
            here.sign = None
        else:
            here.offset = step - sign * t
        if runs and runs[-1].last == t - 1 and runs[-1].way == here.way:
            runs[-1].last = t
        else:
            runs.append(here)
        if copy is not None:
            runs[-1].cuts[t] = copy.step
    return runs


def _alike(nodes: dict[int | None, Node]) -> list[dict[int | None, Node]]:
    """The nodes of a place, those at its ends apart if they are of another primitive.

    In the first step, what is computed from the initial state may be data, and nothing recorded.
    """
    kinds: dict[Any, dict[int | None, Node]] = {}
    for t, node in nodes.items():
        kinds.setdefault(node.primitive, {})[t] = node
    steps = sorted(t or 0 for t in nodes)
    usual = max(kinds.values(), key=len, default={})
    if all(t in usual or t in (steps[0], steps[-1]) for t in nodes):
        return list(kinds.values())
    return [nodes]


# --------------------------------------------------------------------------------------- attributes


class Differs(Exception):  # noqa: N818 (it says so)
    """An attribute does not go on: in which step, and which one."""


def attributes_of(line: Line) -> dict[str, Any]:
    """The attributes of a line, with integers that move with the step as `Moving`.

    `Differs` if one neither stays nor moves.
    """
    if line.shared:
        return dict(line.main.attributes)
    found = {}
    for name in dict.fromkeys(name for node in line.nodes.values() for name in node.attributes):
        try:
            found[name] = _moving({t or 0: x.attributes.get(name) for t, x in line.nodes.items()})
        except Differs as difference:
            raise Differs(difference.args[0], name) from None
    return found


def _moving(values: dict[int, Any]) -> Any:
    """One value for all steps: itself, or `Moving`, also inside tuples and slices."""
    middle = sorted(values)[len(values) // 2]
    usual = values[middle]
    if isinstance(usual, (tuple, slice)):
        for t, value in values.items():
            if type(value) is not type(usual) or len(_parts(value)) != len(_parts(usual)):
                raise Differs(t)
        parts = [
            _moving({t: _parts(value)[i] for t, value in values.items()})
            for i in range(len(_parts(usual)))
        ]
        return tuple(parts) if isinstance(usual, tuple) else slice(*parts)
    others = [t for t, value in values.items() if not _same(value, usual)]
    if not others:
        return usual
    if all(type(value) is int for value in values.values()):
        for guess in (Moving(1, usual - middle), Moving(-1, usual + middle)):
            wrong = [t for t, value in values.items() if guess.at(t) != value]
            if 2 * len(wrong) < len(values):
                if wrong:
                    raise Differs(wrong[0])
                return guess
    raise Differs(others[0])


def _parts(value: Any) -> tuple[Any, ...]:
    return (value.start, value.stop, value.step) if isinstance(value, slice) else value


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    return type(a) is type(b) and bool(a == b)
