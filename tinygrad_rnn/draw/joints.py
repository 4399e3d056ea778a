"""Joints between layers: a stack of all steps that the next loop takes apart again, step by step.

`stack(hs)[t - 1]` is h_t. Where one loop hands its states to the next in this way, as layers do,
the picture has the line from h_t to its reader, and neither stack nor index. This file knows
recordings and folds.
"""

from __future__ import annotations

from typing import Any

from ..engine.record import Node
from ..fold.graph import FoldedEdge, FoldedGraph, FoldedNode, Moving


def taken_apart(nodes: list[Node]) -> dict[Node, Node]:
    """The nodes, of a history, that take one step of a stack, and what that step is."""
    found: dict[Node, Node] = {}
    for node in nodes:
        index = _index(node.attributes) if _is(node, "getitem") and node.step is not None else None
        whole = (node.inputs or (None,))[0]
        if type(index) is not int or not _is_stack(whole):
            continue
        part = whole.inputs[index]
        if isinstance(part, Node) and part.step is not None:
            found[node] = found.get(part, part)
    return found


def joined(graph: FoldedGraph) -> tuple[list[FoldedEdge], dict[FoldedNode, FoldedNode]]:
    """The edges of a fold without such joints, and their nodes with what these are parts of."""
    reads = graph.inputs()
    readers: dict[FoldedNode, list[FoldedEdge]] = {node: [] for node in graph.nodes}
    for edge in graph.edges:
        readers[edge.source].append(edge)
    edges = list(graph.edges)
    same: dict[FoldedNode, FoldedNode] = {}
    ends = {node for node, _ in graph.roots}
    for node in graph.nodes:
        index = _index(node.attributes) if node.op == "getitem" and not node.shared else None
        if not isinstance(index, Moving) or index.sign != 1 or node in ends:
            continue
        whole = reads[node][0].source
        inside = reads[whole]
        if not (
            whole.shared and _is_stack(whole.node) and len(inside) == 1 and inside[0].count > 1
        ):
            continue
        if any(edge.sign != 1 or edge.steps is None for edge in readers[node]):
            continue
        stack = inside[0]
        sign, first = stack.sign or 1, stack.offset or 0
        for edge in readers[node]:
            offset = sign * ((edge.offset or 0) + index.offset) + first
            edges.append(FoldedEdge(stack.source, edge.target, edge.slot, edge.steps, sign, offset))
        same[node] = stack.source
        if whole not in ends and all(edge.target in same for edge in readers[whole]):
            same[whole] = stack.source
    return [e for e in edges if e.source not in same and e.target not in same], same


def _is(node: Any, name: str) -> bool:
    return isinstance(node, Node) and node.primitive is not None and node.primitive.name == name


def _is_stack(node: Any) -> bool:
    return _is(node, "stack") and node.attributes.get("axis", 0) == 0


def _index(attributes: dict[str, Any]) -> Any:
    """The one index that a getitem has, if it has one."""
    index = attributes.get("index")
    return index[0] if isinstance(index, tuple) and len(index) == 1 else index
