"""The reverse sweep: adjoints, newest node first.

Creation order is a topological order, so descending creation number is a valid reverse one: no
recursion, no counting of uses, one sort. On a recurrent network it *is* t = T … 1. A node's adjoint
is complete when its turn comes, is used once, and is dropped.

The terms that arrive at one node are kept in a list and summed when its turn comes. For a parameter
that is shared by the time steps, that list is the sum over time; `itemised` keeps it.

This file does not know what a tensor is, nor what becomes of an adjoint.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from typing import Any

import numpy as np

from .record import Label, Node, check_readable, history, recorder, retained
from .rules import Product, add_n, astype, sums_of_products

SUM_AFTER = 32
"""So many terms are added up at once in a plain sweep, that none holds one term per step."""

Term = tuple[Node, int, Any]  # a reader, its argument slot, and what it sent through it


def adjoints(
    outputs: Sequence[Node],
    seeds: Sequence[Any],
    targets: Iterable[Node] | None = None,
    *,
    record: bool = False,
    retain: bool = False,
    many: bool = False,
    stop: Set[Node] = frozenset(),
    itemised: dict[Node, list[Term]] | None = None,
) -> dict[Node, Any]:
    """dL/d(target) for each target that the outputs depend on; by default, for each leaf.

    seeds: dL/d(output). Seeds and adjoints are arrays.
    record: they are tensors, and the sweep is itself recorded: each gradient node takes the time
        step of the node that it differentiates.
    retain: keep the graph; else it is released on the way.
    many: seeds and adjoints have one more axis in front, of equal length: as many sweeps in one.
    stop: nodes that nothing flows through, as if they were leaves.
    itemised: the terms that arrive at its keys are appended to its lists, newest reader first.

    Hooks run in a sweep for a loss, and not where the sweep is for study: with many or itemised.
    """
    if not record:
        check_readable("a backward pass that is not recorded")
    since = 0
    useful = None
    wanted = set(targets or ())
    if targets is not None:
        since = min((node.number for node in wanted), default=0)  # older ones lie on no way there
    nodes = history(*outputs, since=since)
    if targets is not None:
        useful = depending_on(wanted, nodes)
    pending: defaultdict[Node, list[Any]] = defaultdict(list)
    for output, seed in zip(outputs, seeds, strict=True):
        pending[output].append(seed)
    found: dict[Node, Any] = {}
    tracing = recorder.tracing

    while nodes:
        node = nodes.pop()
        terms = pending.pop(node, None)
        if terms is None:
            continue
        if record:
            with differentiating(node, "sum"):
                g = add_n(*terms)
        else:
            g = terms[0]
            if len(terms) > 1 or isinstance(g, Product):
                g = total(terms)
        if tracing:
            _trace(g, terms, node)
        if node.hooks and not many and itemised is None:
            for hook in node.hooks:
                changed = hook(node, g)
                g = g if changed is None else changed
            if targets is None and retained in node.hooks:
                found[node] = g
        primitive = node.primitive
        if primitive is None or node in wanted:
            found[node] = g
        if primitive is None or node in stop:
            continue
        inputs = node.inputs or ()
        passed = False
        for slot, x in enumerate(inputs):
            if not isinstance(x, Node) or not x.requires_grad or primitive.vjps[slot] is None:
                continue
            if useful is not None and x not in useful:
                continue
            passed = True
            if record:
                _check_values(node)
                with differentiating(node, slot):
                    term = pull_back(g, node, slot, node, inputs)
            else:
                term = pull_back(g, node, slot, node.array, node.arguments, many)
            if tracing:
                _trace(term, [g], node, slot)
            if itemised is not None and x in itemised:
                itemised[x].append((node, slot, term))
            arrived = pending[x]
            arrived.append(term)
            if len(arrived) == SUM_AFTER and not record:
                arrived[:] = [total(arrived)]
        if passed and not retain:
            node.inputs, node.arguments = None, ()
    return found


def pull_back(
    g: Any, node: Node, slot: int, y: Any, arguments: Sequence[Any], many: bool = False
) -> Any:
    """The term that a node sends through an argument slot, given its adjoint g: its rule's value.

    y and the arguments are the node's value and inputs, as arrays or as tensors, as the rule is to
    compute or to be recorded.
    """
    primitive: Any = node.primitive
    inputs: Any = node.inputs
    vjp = primitive.vjps[slot]
    if many and not primitive.many:
        rows = [vjp(row, y, *arguments, **node.attributes) for row in g]
        term = np.stack([worked_out(row) for row in rows])
    else:
        term = vjp(g, y, *arguments, **node.attributes)
    array = inputs[slot].array
    shape = (len(g), *array.shape) if many else array.shape
    if term.shape == shape and term.dtype is array.dtype:
        return term
    return unbroadcast(term, shape, array.dtype, kept=int(many))


def total(terms: list[Any]) -> Any:
    """The sum of arrays and products; the products are done as one, with their rows stacked."""
    products = [term for term in terms if isinstance(term, Product)]
    if products:
        terms = sums_of_products(products) + [x for x in terms if not isinstance(x, Product)]
    if len(terms) == 1:
        return terms[0]
    result = terms[0] + terms[1]
    for term in terms[2:]:
        result += term
    return result


def worked_out(term: Any) -> Any:
    """A term as an array, though it be a product that was put off."""
    return total([term]) if isinstance(term, Product) else term


def unbroadcast(term: Any, shape: tuple[int, ...], dtype: Any, kept: int = 0) -> Any:
    """A term summed over the axes along which its argument was broadcast from a shape and dtype.

    kept: so many axes in front stay, whatever they are.
    """
    term = worked_out(term)
    extra = term.ndim - len(shape)
    wide = tuple(
        i
        for i, n in enumerate(term.shape)
        if i >= kept and (i < kept + extra or n != shape[i - extra])
    )
    if wide:
        plain = isinstance(term, np.ndarray)
        term = np.add.reduce(term, axis=wide) if plain else np.sum(term, axis=wide)
    if term.shape != shape:
        term = term.reshape(shape)
    return term if term.dtype == dtype else astype(term, dtype=dtype)


def _check_values(node: Node) -> None:
    """A RuntimeError if a tensor has another value now than when a node was computed from it.

    A recorded pass is computed from tensors, and so from the values that they have now.
    """
    for x, array in zip(node.inputs or (), node.arguments, strict=True):
        if isinstance(x, Node) and x.array is not array and not np.array_equal(x.array, array):
            made = node.primitive.name if node.primitive else ""
            name = getattr(x, "name", None)
            raise RuntimeError(
                f"{name or 'a tensor'} was given another value after {made} had been computed from "
                "it, so a gradient of the gradient would mix the two; differentiate first"
            )


def _trace(new: Any, old: list[Any], node: Node, slot: int | None = None) -> None:
    """A FloatingPointError if an adjoint or a term is not finite, though what it is made of is."""
    if all(_finite(x) for x in old) and not _finite(new):
        made = node.primitive.name if node.primitive else getattr(node, "name", None) or "a leaf"
        when = f" at time step {node.step}" if node.step is not None else ""
        scope = f" in {'.'.join(node.scope)}" if node.scope else ""
        file, line = node.site.line
        what = "the sum of the terms of the gradient of"
        if slot is not None:
            what = f"the derivative for argument {slot} of"
        raise FloatingPointError(
            f"{what} {made}{when}{scope} is not finite, though what came in is; recorded at "
            f"{file}:{line}"
        )


def _finite(x: Any) -> bool:
    return bool(np.isfinite(x.array if isinstance(x, Node) else worked_out(x)).all())


def depending_on(targets: set[Node], nodes: list[Node]) -> set[Node]:
    """The targets, and which of the nodes (oldest first) were computed from them."""
    found = set(targets)
    for node in nodes:
        if any(isinstance(x, Node) and x in found for x in node.inputs or ()):
            found.add(node)
    return found


class differentiating:
    """Record gradient nodes as made by argument `slot` of the node that is being differentiated."""

    def __init__(self, node: Node, slot: int | str) -> None:
        at = node.label
        self.label = Label(at.step, at.loop, at.scope, (node.place, slot), node.site)

    def __enter__(self) -> None:
        self.before = recorder.label, recorder.enabled
        recorder.label, recorder.enabled = self.label, True

    def __exit__(self, *exception: object) -> None:
        recorder.label, recorder.enabled = self.before
