"""The schedule: which equations are one operation over all steps, and which are a loop.

An equation in no cycle does not need time to run in order: it is one operation over all its steps.
A cycle is a loop over t, and only what is in the cycle is in the loop: of a sum, the terms from
outside are added up before, for all steps at once, and of a product, the factors are multiplied.
This is loop distribution, as compilers do it.

This file does not know how an operation is written, only which can be done for all steps at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .equations import SUM, Read, Roots, Value, readers
from .rewriting import strong_components
from .trace import Unsupported
from .views import is_view

MANY = 1000  # steps: what is small is small in long sequences, for all of which a program is


@dataclass(eq=False, slots=True)
class Unit:
    """One operation, shared or over all steps; or a loop over some values.

    direction: of a loop, 1 or −1; 0 for one operation.
    """

    values: list[Value]
    direction: int = 0

    @property
    def steps(self) -> list[int]:
        """The steps of a loop, in its order."""
        steps = sorted({t for value in self.values for t in value.steps or ()})
        return steps if self.direction >= 0 else steps[::-1]


def schedule(roots: Roots, at_once: Callable[[Value], bool]) -> list[Unit]:
    """The units in an order in which they can run. `at_once`: can all steps be one operation?"""
    factor_sums(roots)
    split_products(roots)
    split_sums(roots)
    components = strong_components(roots)
    read_by = readers(roots)
    units: list[Unit] = []
    for group in components:
        cyclic = len(group) > 1 or any(r.source is group[0] for r in group[0].reads)
        if cyclic:
            _retime(group, read_by)
            units.append(_loop(group))
        elif not group[0].leaf:
            alone = group[0]
            step = alone.steps is not None and not at_once(alone)
            units.append(Unit(group, 1 if step else 0))
    return _small_first(units)


def factor_sums(roots: Roots) -> None:
    """In a cycle, x a + x b is x (a + b), where only x is of the cycle: then a + b is not."""
    read_by = readers(roots)
    for group in strong_components(roots):
        for value in group if len(group) > 1 else ():
            if value.op != SUM or value.steps is None or len(value.reads) != 2:
                continue
            terms = [_factors(read, value, set(group), read_by) for read in value.reads]
            if any(t is None for t in terms) or len({t[0].source for t in terms if t}) != 1:
                continue
            (x, a, plus), (_, b, plus_b) = terms  # type: ignore[misc]
            if not plus:
                a, b, plus, plus_b = b, a, plus_b, plus
            if not plus:
                continue
            kind = SUM if plus_b else "subtract"
            inner = Value(kind, value.steps, value.shape, value.dtype, [a, b])
            for read in inner.reads:
                read.steps = value.steps
            value.op, value.reads = "multiply", [x, Read(inner, 1, 0, value.steps)]


def _factors(
    read: Read, of: Value, group: set[Value], read_by: dict[Value, list[tuple[Value | None, Read]]]
) -> tuple[Read, Read, bool] | None:
    """Of ± x a, a term of a sum: x, which is of the group, a, which is not, and whether it is +."""
    plus = True
    while True:
        value = read.source
        alone = len(read_by[value]) == 1 and read.aligned and value.shape == of.shape
        if not alone or value.steps != of.steps:
            return None
        if value.op != "negative":
            break
        plus = not plus
        (read,) = value.reads
    if value.op != "multiply":
        return None
    inner = [r for r in value.reads if r.source in group]
    outer = [r for r in value.reads if r.source not in group and r.source.shape == of.shape]
    if len(inner) != 1 or len(outer) != 1 or not inner[0].aligned:
        return None
    return inner[0], outer[0], plus


def split_sums(roots: Roots) -> None:
    """In a cycle, add up the terms of a sum that are from outside it, for all steps at once."""
    for group in strong_components(roots):
        members = set(group)
        for value in group:
            if value.op != SUM or value.steps is None or len(group) == 1:
                continue
            outside = [
                read for read in value.reads
                if read.source not in members and read.steps == value.steps
            ]  # fmt: skip
            if len(outside) < 2 or not any(r.source.steps is not None for r in outside):
                continue
            if not any(r.source.shape == value.shape for r in outside):
                continue
            part = Value(SUM, value.steps, value.shape, value.dtype, outside, name=value.name)
            part.adjoint = value.adjoint
            value.name = value.adjoint = None
            rest = [read for read in value.reads if read not in outside]
            value.reads = [Read(part, 1, 0, value.steps), *rest]


def split_products(roots: Roots) -> None:
    """In a cycle, multiply the factors from outside it, for all steps at once."""
    groups = strong_components(roots)
    group_of = {value: group for group in groups for value in group}
    read_by = readers(roots)
    for value in list(group_of):
        inner = [r for r in value.reads if r.source in group_of[value]]
        if value.op != "multiply" or value.steps is None or len(inner) != 1:
            continue
        factors = [r for r in value.reads if r is not inner[0]]
        taken = []
        while (
            inner[0].source.op == "multiply" and inner[0].aligned
            and len(read_by[inner[0].source]) == 1 and inner[0].source.steps == value.steps
        ):  # fmt: skip
            below = inner[0].source
            deeper = [r for r in below.reads if r.source in group_of[value]]
            if len(deeper) != 1:
                break
            factors += [r for r in below.reads if r is not deeper[0]]
            taken.append(below)
            inner = deeper
        full = [r for r in factors if r.source.shape == value.shape and r.source.steps]
        if not taken or len(full) != len(factors) or inner[0].source.shape != value.shape:
            continue
        product = factors[-1]
        for read in factors[-2::-1]:
            whole = Value("multiply", value.steps, value.shape, value.dtype, [product, read])
            product = Read(whole, 1, 0, value.steps)
        product.source.name = "slope"  # of a gradient, as in dh · (1 − z) · (1 − n²)
        value.reads = [inner[0], product]


def _retime(group: list[Value], read_by: dict[Value, list[tuple[Value | None, Read]]]) -> None:
    """A value that is read at another step only, by one reader, is made in the reader's step."""
    members = set(group)
    for value in group:
        reads = read_by[value]
        if len(reads) != 1 or value.op == SUM or value.steps is None:
            continue
        reader, read = reads[0]
        if reader not in members or reader is value or read.sign != 1 or not read.offset:
            continue
        shift, read.offset = read.offset, 0
        value.steps = frozenset(t - shift for t in value.steps)
        for r in value.reads:
            if r.sign is not None and r.offset is not None:
                r.offset += r.sign * shift


def _loop(group: list[Value]) -> Unit:
    """The values of a cycle in the order of one step."""
    members = set(group)
    offsets = set()
    for value in group:
        if value.steps is None:
            raise Unsupported("a cycle goes through a value without steps")
        for read in value.reads:
            if read.source in members:
                if read.sign != 1:
                    raise Unsupported("a cycle goes through steps in both directions")
                offsets.add(read.offset or 0)
    if min(offsets) < 0 < max(offsets):
        raise Unsupported("a cycle goes through steps in both directions")
    order: list[Value] = []
    state: dict[Value, list[Value]] = {}
    for start in group:
        waiting = [start]
        while waiting:
            value = waiting[-1]
            if value not in state:
                state[value] = [
                    r.source for r in value.reads if r.source in members and not r.offset
                ]
            if state[value]:
                source = state[value].pop(0)
                if source not in state:
                    waiting.append(source)
            else:
                waiting.pop()
                if value not in order:
                    order.append(value)
    return Unit(order, 1 if min(offsets) < 0 else -1)


def _small_first(units: list[Unit]) -> list[Unit]:
    """What is much smaller than what it reads is made as soon as that is there: so it is freed."""
    at: dict[Value, int] = {}
    placed: list[tuple[int, int, Unit]] = []
    for i, unit in enumerate(units):
        ready = max((at.get(r.source, -1) for v in unit.values for r in v.reads), default=-1)
        position = i
        if not unit.direction and ready >= 0:
            value = unit.values[0]
            largest = max((_size(r.source) for r in value.reads), default=0)
            if 4 * _size(value) < largest or value.op in ("pick", "row_sum"):
                position = ready
        placed.append((position, i, unit))
        for value in unit.values:
            alone = is_view(value) and not unit.direction
            at[value] = max(ready, 0) if alone else position
    return [unit for _, _, unit in sorted(placed, key=lambda p: p[:2])]


def _size(value: Value) -> int:
    return math.prod(value.shape) * (1 if value.steps is None else MANY)
