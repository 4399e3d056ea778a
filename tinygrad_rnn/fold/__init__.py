"""The fold: a recording of T steps as the loop that made it, without loss.

places (which nodes are one line of code) → outside (loops that were not labelled) → lines (what
each line reads, run by run) → differences (what is no loop) → graph (the loop, and unfolding it).
The picture with the loop starts here, and the program that is derived from a recording. Nothing
here knows what a primitive computes, nor which number is the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ..engine.record import Node
from .differences import check_alike
from .graph import FoldedEdge, FoldedGraph, FoldedNode, Moving, Unfolded
from .lines import Line, Lines, attributes_of
from .places import heights

__all__ = ["FoldedEdge", "FoldedGraph", "FoldedNode", "Moving", "Unfolded", "fold"]


def fold(root: Node | Sequence[Node]) -> FoldedGraph:
    """Fold what a tensor, or several, were computed from: the loop instead of its steps.

    The nodes of one line of code, one per step, become one folded node, which reads others at one
    lag: `h` reads the `h` of 1 step before. The first steps of a loop and the last may differ. A
    ValueError says at which other step a line does something else, on which line, and what. What
    has no steps folds to itself: every node is shared.
    """
    roots: list[Any] = list(root) if isinstance(root, (list, tuple)) else [root]
    for node in roots:
        if not isinstance(node, Node):
            raise TypeError(f"fold: {type(node).__name__} is not a tensor")
    lines = Lines(roots)
    check_alike(lines)
    numbers: dict[Any, int] = {}
    folded: dict[Line, FoldedNode] = {}
    for line in lines.lines:
        main = line.main
        constants: dict[int, dict[int | None, Any]] = {}
        for t, node in line.nodes.items():
            for slot, x in enumerate(node.inputs or ()):
                if not isinstance(x, Node):
                    constants.setdefault(slot, {})[t] = x
        folded[line] = FoldedNode(
            main.primitive.name if main.primitive else None,
            None if line.shared else line.steps,
            None if line.shared else numbers.setdefault(line.loop, len(numbers) + 1),
            not line.shared and main.step is None,
            attributes_of(line),
            constants,
            line.nodes,
        )
    edges: list[FoldedEdge] = []
    for line in folded:
        edges += _shared_edges(lines, line, folded) if line.shared else _edges(line, folded)
    inside = [(e.source, e.target, 1) for e in edges if e.lag == 0 or e.steps is None]
    for node, row in heights(folded.values(), inside).items():
        node.row = row
    where = [lines.of[node] for node in roots]
    for line in folded:
        line.runs.clear()  # a line that reads itself would keep the recording
    return FoldedGraph(list(folded.values()), edges, [(folded[line], t) for line, t in where])


def _edges(line: Line, folded: dict[Line, FoldedNode]) -> list[FoldedEdge]:
    """What a line with steps reads, an edge for each run."""
    return [
        FoldedEdge(
            folded[run.source], folded[line], slot, range(run.first, run.last + 1),
            run.sign, run.offset, cuts=run.cuts,
        )
        for slot, runs in sorted(line.runs.items())
        for run in runs
        if run.source is not None
    ]  # fmt: skip


def _shared_edges(lines: Lines, line: Line, folded: dict[Line, FoldedNode]) -> list[FoldedEdge]:
    """What a shared node reads: one edge for the steps of a source, if it takes them in order."""
    reads: dict[Line, list[tuple[int, int | None, Node | None]]] = {}
    for slot, x in enumerate(line.main.inputs or ()):
        source, step, copy = lines.reading(x)
        if source is not None:
            reads.setdefault(source, []).append((slot, step, copy))
    edges: list[FoldedEdge] = []
    for source, readings in reads.items():
        slots = [slot for slot, _, _ in readings]
        steps = [step for _, step, copy in readings if step is not None and copy is None]
        every, sign = _stride(slots), _stride(steps)
        if len(steps) == len(readings) and every and sign in (1, -1):
            edge = FoldedEdge(folded[source], folded[line], slots[0], None, sign, steps[0])
            edge.count, edge.every = len(slots), every
            edges.append(edge)
            continue
        for slot, step, copy in readings:
            sign = None if step is None else 0
            edge = FoldedEdge(folded[source], folded[line], slot, None, sign, step)
            if copy is not None:
                edge.cuts[None] = copy.step
            edges.append(edge)
    return sorted(edges, key=lambda edge: edge.slot)


def _stride(numbers: list[int]) -> int | None:
    """The difference between neighbours, if it is one."""
    found = {b - a for a, b in pairwise(numbers)}
    return found.pop() if len(found) == 1 else None
