"""Loops that were not labelled: what was made outside the steps, but once for each of them.

This file looks for them in a grouped recording, and gives their nodes the steps they belong to.
"""

from __future__ import annotations

from typing import Any

from ..engine.record import Node
from .places import Places


def loops_outside(places: Places) -> dict[Node, tuple[Any, int]]:
    """The line of such a loop that a node belongs to, and its step there.

    A sum over steps may be spelled as one addition after another, as `sum(losses)` does: the i-th
    adds the term after the i-th. And where all the steps go into one operation, such as a stack,
    its backward pass makes something for each of them.
    """
    outside = [node for place in places.nodes if (node := place.nodes.get(None)) is not None]
    forward = {node.place: node for node in outside}
    found: dict[Node, tuple[Any, int]] = {}
    for number, chain in enumerate(_running_sums(outside, places)):
        for i, node in enumerate(chain, 1):
            found[node] = (("sum", number), i)
    for node in outside:
        if node.label.origin is None or node.label.origin[0] not in forward:
            continue
        place, slot = node.label.origin
        differentiated = forward[place]
        if differentiated in found:
            line, step = found[differentiated]
            found[node] = ((line[:2], slot, node.ordinal), step)
        elif isinstance(slot, int) and _takes_steps(differentiated):
            found[node] = ((("slots", place), node.ordinal), slot + 1)
    return found


def _takes_steps(node: Node) -> bool:
    """Whether an operation takes several time steps of something as its arguments."""
    steps = {x.step for x in node.inputs or () if isinstance(x, Node)} - {None}
    return node.primitive is not None and node.primitive.variadic and len(steps) > 1


def _running_sums(outside: list[Node], places: Places) -> list[list[Node]]:
    """The chains of additions in which each adds the next step of one place."""
    chains: list[list[Node]] = []
    ends: dict[Node, tuple[list[Node], Any, int]] = {}  # of the last one: chain, place, step read
    for node in outside:
        if node.primitive is None or node.primitive.name != "add":
            continue
        a, b = node.inputs or (None, None)
        for total, term in ((a, b), (b, a)):
            if not isinstance(total, Node) or not isinstance(term, Node) or term.step is None:
                continue
            source, step = places.of[term], term.step
            if total in ends and ends[total][1:] == (source, step - 1):
                chain = ends.pop(total)[0]
            elif total.step == step - 1 and places.of[total] is source:
                chain = []
                chains.append(chain)
            else:
                continue
            chain.append(node)
            ends[node] = (chain, source, step)
            break
    return [chain for chain in chains if len(chain) > 1]
