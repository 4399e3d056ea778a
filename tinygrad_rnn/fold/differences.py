"""What is no loop: the first step in which a line does something else than in the others.

The ends of a loop may differ: there is no state before the first step, and nothing comes after the
last. How far an end reaches is the largest lag of the loop, one step as a rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..engine.record import Node
from .lines import Differs, Line, Lines, Run, attributes_of

Difference = tuple[int, str, Node]  # a step, what is different there, and where it was made


def check_alike(lines: Lines) -> None:
    """A ValueError for the first step in which a line does something else than in the others."""
    spans: dict[Any, tuple[int, int]] = {}
    reach: dict[Any, int] = {}
    stepped = [line for line in lines.lines if not line.shared]
    for line in stepped:
        first, last = spans.get(line.loop, (line.steps[0], line.steps[-1]))
        spans[line.loop] = (min(first, line.steps[0]), max(last, line.steps[-1]))
        lags = [abs(run.offset or 0) for run in map(_usual, line.runs.values())
                if run.sign == 1 and run.source and run.source.loop == line.loop]  # fmt: skip
        reach[line.loop] = max([1, reach.get(line.loop, 1), *lags])
    found: list[Difference] = []
    if lines.cuts:  # what a cut leaves out of the backward pass is no difference of its own
        stepped = [line for line in stepped if line.main.label.origin is None]
    for line in stepped:
        found += _presence(line, *spans[line.loop], reach[line.loop])
    for line in stepped:
        found += _values(line)
    for line in stepped:
        found += _readings(line, reach[line.loop])
    if found:
        step, how, node = min(found, key=lambda difference: difference[0])
        file, number = node.site.line
        raise ValueError(
            f"fold: step {step} differs: {how}, at {file}:{number}. A loop does the same at every "
            "step but its first and its last; draw it unrolled, or make the steps alike"
        )


def _presence(line: Line, first: int, last: int, reach: int) -> Iterator[Difference]:
    """A line is there in all steps, but for the ends; or at one end only."""
    what = operation(line.main)
    begin, end = line.steps[0], line.steps[-1]
    starts = begin <= first + reach
    stops = end >= last - reach
    for t in line.steps:
        if t not in line.nodes:
            yield t, f"{what} is not made there", line.main
            return
    if starts and not stops and end >= first + reach:
        yield end + 1, f"{what} is not made there", line.main
    elif not starts and begin <= last - reach:
        how = "in no other" if len(line.steps) == 1 else "not before"
        yield begin, f"{what} is made there and {how}", line.main


def _values(line: Line) -> Iterator[Difference]:
    main = line.main
    for t, node in line.nodes.items():
        if node.primitive is not main.primitive:
            yield t or 0, f"it makes {operation(node)} where others make {operation(main)}", node
        elif node.array.shape != main.array.shape or node.array.dtype != main.array.dtype:
            yield t or 0, f"{operation(main)} is {_kind(node)}, and {_kind(main)} in others", node
    try:
        attributes_of(line)
    except Differs as difference:
        t, name = difference.args
        value = line.nodes[t].attributes.get(name)
        how = f"{operation(main)} has {name}={value}, which does not go on from the others"
        yield t, how, line.nodes[t]


def _readings(line: Line, reach: int) -> Iterator[Difference]:
    what, count = operation(line.main), len(line.main.inputs or ())
    inner = line.steps[reach : len(line.steps) - reach]
    for t in inner:
        node = line.nodes.get(t)
        n = count if node is None else len(node.inputs or ())
        if node is not None and n != count:
            yield t, f"{what} has {n} arguments, and {count} in others", node
    for slot, runs in line.runs.items():
        usual = _usual(runs)
        for run in runs:
            steps = [t for t in inner if run.first <= t <= run.last]
            if steps and slot < count and run.way != usual.way:
                how = f"argument {slot} of {what} is {_source(run)}, and {_source(usual)} in others"
                yield steps[0], how, line.nodes[steps[0]]


def _usual(runs: list[Run]) -> Run:
    return max(runs, key=lambda run: (run.last - run.first, run.sign is not None))


def operation(node: Node) -> str:
    """A node in a message: "h = tanh"."""
    name = getattr(node, "name", None)
    made = node.primitive.name if node.primitive else "data"
    if node.label.origin is not None:
        return f"{made} (of the backward pass)"
    return f"{name} = {made}" if name else made


def _kind(node: Node) -> str:
    return f"{node.array.dtype} of shape {node.array.shape}"


def _source(run: Run) -> str:
    """What a slot reads, in a message: "the h of 1 step before"."""
    if run.source is None:
        return "a constant"
    name = getattr(run.source.main, "name", None) or operation(run.source.main)
    if run.sign is None or run.offset is None:
        return f"the shared {name}"
    if run.sign != 1:
        return f"the {name} of step {run.sign * run.first + run.offset}"
    if run.offset == 0:
        return f"the {name} of the same step"
    steps = "1 step" if abs(run.offset) == 1 else f"{abs(run.offset)} steps"
    return f"the {name} of {steps} {'before' if run.offset < 0 else 'later'}"
