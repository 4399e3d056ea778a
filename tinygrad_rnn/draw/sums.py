"""Sums of sums: which additions a picture shows as one.

`x V + h W + b_h` is two additions, and one sum; a running total of the losses is T additions, and
one Σ. This file knows graphs, and nothing of boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from ..engine.record import Node

SUMS = ("add", "add_n")

Key = TypeVar("Key", bound=Hashable)


def absorbed_sums(
    nodes: list[Node], roots: Iterable[Node], keep: Callable[[Node, Node], bool]
) -> dict[Node, Node]:
    """The sums of a history that only another sum reads; see `absorbed`."""
    return absorbed(nodes, roots, _inputs, is_sum, keep)


def absorbed(
    nodes: list[Key],
    roots: Iterable[Key],
    inputs: Callable[[Key], Iterable[Key]],
    adds: Callable[[Key], bool],
    keep: Callable[[Key, Key], bool],
) -> dict[Key, Key]:
    """The sums that only another sum reads, each with the last sum of its chain or tree.

    `nodes` are a history, oldest first. `keep(node, reader)` says that a sum is to stay a node of
    its own.
    """
    uses: dict[Key, int] = dict.fromkeys(roots, 2)  # a root is read by the caller too
    reader: dict[Key, Key] = {}
    for node in nodes:
        for x in inputs(node):
            uses[x] = uses.get(x, 0) + 1
            reader[x] = node
    into: dict[Key, Key] = {}
    for node in reversed(nodes):
        if uses.get(node) != 1 or not adds(node) or not adds(reader[node]):
            continue
        if reader[node] is not node and not keep(node, reader[node]):
            into[node] = into.get(reader[node], reader[node])
    return into


def _inputs(node: Node) -> list[Node]:
    return [x for x in node.inputs or () if isinstance(x, Node)]


def is_sum(node: Node) -> bool:
    """Whether a node adds its inputs."""
    return node.primitive is not None and node.primitive.name in SUMS
