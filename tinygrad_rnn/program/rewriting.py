"""Rewriting: what all passes over equations need: an order, cycles, and reading one for another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..fold import Moving
from .equations import SUM, Read, Roots, Value, composed, readers


def ordered(roots: Roots) -> list[Value]:
    """The values, sources before their readers, but where they are in a cycle."""
    order: list[Value] = []
    state: dict[Value, Iterator[Read]] = {}
    for root in roots:
        waiting = [root.source]
        while waiting:
            value = waiting[-1]
            if value not in state:
                state[value] = iter(value.reads)
            for read in state[value]:
                if read.source not in state:
                    waiting.append(read.source)
                    break
            else:
                waiting.pop()
                order.append(value)
    return list(dict.fromkeys(order))


def strong_components(roots: Roots) -> list[list[Value]]:
    """The strongly connected components, sources first: Tarjan's algorithm, without recursion."""
    index: dict[Value, int] = {}
    low: dict[Value, int] = {}
    stack: list[Value] = []
    on_stack: set[Value] = set()
    found: list[list[Value]] = []
    for root in roots:
        if root.source in index:
            continue
        waiting = [(root.source, iter(root.source.reads))]
        index[root.source] = low[root.source] = len(index)
        stack.append(root.source)
        on_stack.add(root.source)
        while waiting:
            value, reads = waiting[-1]
            for read in reads:
                source = read.source
                if source not in index:
                    index[source] = low[source] = len(index)
                    stack.append(source)
                    on_stack.add(source)
                    waiting.append((source, iter(source.reads)))
                    break
                if source in on_stack:
                    low[value] = min(low[value], index[source])
            else:
                waiting.pop()
                if waiting:
                    above = waiting[-1][0]
                    low[above] = min(low[above], low[value])
                if low[value] == index[value]:
                    group = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        group.append(member)
                        if member is value:
                            break
                    found.append(group[::-1])
    return found


def substitute(roots: Roots, instead: dict[Value, Read]) -> bool:
    """Read other values instead of some."""
    if not instead:
        return False

    def resolved(read: Read) -> list[Read]:
        while read.source in instead and instead[read.source].source is not read.source:
            read = composed(read, instead[read.source])
        if read.source in instead:  # it is shared now
            count = len(read.over) if read.over is not None else 1
            return [Read(read.source, steps=read.steps) for _ in range(count)]
        if read.over is None and read.sign is None and read.source.steps is not None:
            raise AssertionError("a stepped value is read as a shared one")
        return [read]

    for value in readers(roots):
        fresh = []
        for read in value.reads:
            count = len(read.over) if read.over is not None else 1
            for new in resolved(read):
                if new.sign is None and new.over is None and read.over is not None:
                    fresh += [Read(new.source, steps=new.steps) for _ in range(count)]
                    break
                fresh.append(new)
        value.reads = fresh
        of = value.adjoint
        while of is not None and of in instead and instead[of].source is not of:
            of = instead[of].source
        value.adjoint = of
    roots[:] = [resolved(root)[0] for root in roots]
    return True


def same_always(value: Value) -> bool:
    """Whether a value with steps computes the same in each."""
    if moves_with_step(value.attributes):
        return False
    whole = value.op != SUM or all(read.steps == value.steps for read in value.reads)
    return whole and all(read.source.steps is None for read in value.reads)


def at_step(x: Any, t: int) -> Any:
    """An attribute as it is in one step."""
    if isinstance(x, Moving):
        return x.at(t)
    if isinstance(x, dict):
        return {key: at_step(part, t) for key, part in x.items()}
    if isinstance(x, (tuple, list)):
        return type(x)(at_step(part, t) for part in x)
    if isinstance(x, slice):
        return slice(*(at_step(part, t) for part in (x.start, x.stop, x.step)))
    return x


def uniform(value: Value) -> Any:
    """The one number in a constant; None if it is no constant, or has several."""
    if value.op != "constant" or value.constant.size == 0:
        return None
    first = value.constant.flat[0]
    return first if value.constant.size == 1 or (value.constant == first).all() else None


def moves_with_step(x: Any) -> bool:
    if isinstance(x, Moving):
        return True
    if isinstance(x, dict):
        return any(map(moves_with_step, x.values()))
    if isinstance(x, (tuple, list)):
        return any(map(moves_with_step, x))
    return isinstance(x, slice) and any(map(moves_with_step, (x.start, x.stop, x.step)))
