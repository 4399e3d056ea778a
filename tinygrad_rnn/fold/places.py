"""Places: which nodes of a recording are one line of code at different time steps.

The nodes made by one place in the code, one per step, are one `Place`; what was made outside the
steps is shared, and stands alone. An edge from step s to step t is an edge between places with the
lag t − s. The unrolled picture starts here, and the fold, which insists on one lag per edge.

This file only groups: it changes nothing, merges nothing and refuses nothing. It does not know what
a primitive computes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..engine.record import Node, history

Key = TypeVar("Key", bound=Hashable)


@dataclass(eq=False, slots=True)
class Place:
    """What one place in the code made: a node per step, or one shared node, whose step is None."""

    place: tuple[Any, ...]
    loop: int | None
    nodes: dict[int | None, Node] = field(default_factory=dict)
    row: int = 0  # the height inside one step: the longest path over edges of lag 0 that ends here

    @property
    def shared(self) -> bool:
        """Whether it was made outside the steps."""
        return None in self.nodes


@dataclass(eq=False, slots=True)
class PlaceEdge:
    """An argument slot of a place that reads another place, always at one lag.

    `lag` is None where either end is shared. `steps` are the steps of the reader, in order.
    """

    source: Place
    target: Place
    slot: int
    lag: int | None
    steps: list[int | None] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Places:
    """A recording by places: the places oldest first, the place of every node, and the edges.

    The edges are kept here, by reader and argument slot, and not in the places that they join: that
    would be a cycle, which would keep the recording until the garbage collector comes by.
    """

    nodes: list[Place] = field(default_factory=list)
    of: dict[Node, Place] = field(default_factory=dict)
    inputs: dict[Place, dict[int, list[PlaceEdge]]] = field(default_factory=dict)

    @property
    def edges(self) -> list[PlaceEdge]:
        """All the edges, by their readers."""
        return [e for slots in self.inputs.values() for edges in slots.values() for e in edges]


def group(*roots: Node) -> Places:
    """Group what the roots were computed from by the places in the code that made it."""
    recorded = history(*roots)
    graph = Places()
    places: dict[Hashable, Place] = {}
    met: dict[Hashable, int] = {}
    for node in recorded:
        key: Hashable = node
        if node.step is not None:
            # A place that made several nodes in a step (two passes over a graph) is as many places.
            here = (node.place, node.step)
            met[here] = met.get(here, 0) + 1
            key = (node.place, met[here])
        place = places.get(key)
        if place is None:
            place = places[key] = Place(node.place, node.label.loop)
            graph.nodes.append(place)
            graph.inputs[place] = {}
        place.nodes[node.step] = node
        graph.of[node] = place
    edges: dict[Hashable, PlaceEdge] = {}
    for node in recorded:
        target = graph.of[node]
        for slot, x in enumerate(node.inputs or ()):
            if isinstance(x, Node):
                source, lag = graph.of[x], lag_of(x, node)
                edge = edges.get((source, target, slot, lag))
                if edge is None:
                    edge = edges[source, target, slot, lag] = PlaceEdge(source, target, slot, lag)
                    graph.inputs[target].setdefault(slot, []).append(edge)
                edge.steps.append(node.step)
    inside = [
        (e.source, e.target, 1)
        for e in edges.values()
        if e.lag == 0 or (e.source.shared and e.target.shared)
    ]
    for place, row in heights(graph.nodes, inside).items():
        place.row = row
    return graph


def lag_of(source: Node, target: Node) -> int | None:
    """How many steps after its source a node was made; None if either was made outside the
    steps."""
    if source.step is None or target.step is None:
        return None
    return target.step - source.step


def heights(keys: Iterable[Key], edges: Iterable[tuple[Key, Key, int]]) -> dict[Key, int]:
    """The length of the longest path that ends at each key, over edges (from, to, length).

    Places can form a cycle where no nodes do (two lines that feed each other at alternate steps).
    It is cut at its oldest key.
    """
    row = dict.fromkeys(keys, 0)
    waiting = dict.fromkeys(row, 0)
    readers: dict[Key, list[tuple[Key, int]]] = {key: [] for key in row}
    for source, target, length in edges:
        readers[source].append((target, length))
        waiting[target] += 1
    ready = [key for key in row if not waiting[key]]
    done = set(ready)
    _walk(ready, readers, waiting, row, done)
    for oldest in row:
        if oldest not in done:
            done.add(oldest)
            _walk([oldest], readers, waiting, row, done)
    return row


def _walk(
    ready: list[Key],
    readers: Mapping[Key, list[tuple[Key, int]]],
    waiting: dict[Key, int],
    row: dict[Key, int],
    done: set[Key],
) -> None:
    """Settle the keys that are ready, and those that become ready by it."""
    while ready:
        key = ready.pop()
        for target, length in readers[key]:
            waiting[target] -= 1
            if target in done:
                continue
            row[target] = max(row[target], row[key] + length)
            if not waiting[target]:
                done.add(target)
                ready.append(target)
