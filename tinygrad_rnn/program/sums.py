"""Sums: one form for all ways to spell a sum over time, and for a state that begins somewhere.

Terms that are in other steps are one term; a sum that only a sum reads is part of it; a running
total, of which only the last is read, is a sum over the steps. And a sequence with its initial
value in front is one sequence, which is what everybody reads.
"""

from __future__ import annotations

import numpy as np

from .equations import SUM, Read, Roots, Steps, Value, composed, constant, readers
from .rewriting import ordered, uniform


def merge_terms(roots: Roots) -> bool:
    """In sums: one term where two are one in different steps; none where it is 0."""
    changed = False
    for value in ordered(roots):
        if value.op != SUM:
            continue
        merged: list[Read] = []
        for read in value.reads:
            for other in merged if value.steps is not None else ():
                way = (other.source, other.sign, other.offset)
                if way == (read.source, read.sign, read.offset) and not (
                    (other.steps or frozenset()) & (read.steps or frozenset())
                ):
                    other.steps = (other.steps or frozenset()) | (read.steps or frozenset())
                    changed = True
                    break
            else:
                merged.append(read)
        if value.steps is None:
            changed = _in_order(merged) or changed
        value.reads = merged
        for read in list(merged):
            others = [r for r in merged if r is not read and r.source.shape == value.shape]
            rest: Steps = frozenset().union(*(r.steps or () for r in others))
            zero = read.source.op == "constant" and not read.source.constant.any()
            if zero and others and (value.steps is None or (read.steps or frozenset()) <= rest):
                merged.remove(read)
                changed = True
        changed = _counted(value) or changed
    return changed


def _in_order(terms: list[Read]) -> bool:
    """The terms of one source in one sum over its steps, from the first step on."""
    of: dict[Value, Read] = {}
    before = len(terms)
    for read in list(terms):
        if read.sign == 0 and read.over is None:
            read.over, read.sign, read.offset = [read.offset or 0], None, None
        if read.over is None:
            continue
        first = of.setdefault(read.source, read)
        if first is not read and not set(first.over or ()) & set(read.over):
            first.over = [*(first.over or ()), *read.over]
            terms.remove(read)
        first.over = sorted(first.over or ())
    return len(terms) != before


def _counted(value: Value) -> bool:
    """n times the same shared term is one product."""
    if value.steps is not None:
        return False
    shared: dict[Value, int] = {}
    for read in value.reads:
        if read.sign is None and read.over is None:
            shared[read.source] = shared.get(read.source, 0) + 1
    many = {source: n for source, n in shared.items() if n > 2}
    for source, n in many.items():
        count = constant(np.asarray(n, source.dtype))
        product = Value("multiply", None, source.shape, source.dtype, [Read(source), Read(count)])
        if source.example is not None:
            product.example = source.example * np.asarray(n, source.dtype)
        value.reads = [r for r in value.reads if r.source is not source] + [Read(product)]
    return bool(many)


def flatten_sums(roots: Roots) -> bool:
    """The terms of a sum that only another sum reads are terms of that."""
    read_by = readers(roots)
    changed = False
    for value in ordered(roots):
        if value.op != SUM:
            continue
        begins = (
            value.steps is not None
            and not overlap(value)
            and any(r.sign in (None, 0) for r in value.reads)
        )  # a sequence with its beginning, which is to stay one
        for read in list(value.reads):
            inner = read.source
            single = len(read_by.get(inner, ())) == 1
            if begins and inner.op == SUM and read.sign == 1 and read.offset == 0:
                continue
            if (
                inner.op != SUM
                or inner is value
                or not single
                or any(r.source is inner for r in inner.reads)
            ):
                continue
            if inner.shape != value.shape or inner.dtype != value.dtype:
                continue
            terms = _spliced(read, inner)
            if terms is None:
                continue
            at = value.reads.index(read)
            value.reads[at : at + 1] = terms
            value.name = value.name or inner.name
            for term in terms:
                read_by[term.source] = [  # it may be spliced too, if this is its only reader
                    (value, term) if r in inner.reads else (who, r)
                    for who, r in read_by[term.source]
                ]
            changed = True
    return changed


def _spliced(read: Read, inner: Value) -> list[Read] | None:
    """The terms of an inner sum, as terms of the sum that reads it."""
    terms = []
    for term in inner.reads:
        if read.over is not None:
            if term.sign is None:
                return None
            present = [s for s in read.over if s in (term.steps or ())]
            if present:
                terms.append(composed(Read(inner, over=present), term))
        elif read.sign is None:
            if read.steps is not None:  # a shared sum, in the steps of this one
                if term.over is not None:
                    return None
                terms.append(Read(term.source, term.sign, term.offset, read.steps))
            else:
                terms.append(term)
        else:
            steps = None
            if read.steps is not None:
                steps = frozenset(t for t in read.steps if read.at(t) in (term.steps or ()))
                if not steps:
                    continue
            elif read.offset not in (term.steps or ()):
                continue
            terms.append(composed(Read(inner, read.sign, read.offset, steps), term))
    return terms


def total_sums(roots: Roots) -> bool:
    """A sum that adds its own value of the step before, and of which the last is read, is a sum
    over the steps."""
    instead: dict[Value, Read] = {}
    read_by = readers(roots)
    for value in read_by:
        own = [r for r in value.reads if r.source is value]
        if value.op != SUM or value.steps is None or len(own) != 1:
            continue
        steps = sorted(value.steps)
        if own[0].sign != 1 or abs(own[0].offset or 0) != 1:
            continue
        if own[0].offset == 1:
            steps.reverse()
        if own[0].steps != frozenset(steps[1:]) or len(steps) != abs(steps[0] - steps[-1]) + 1:
            continue
        outside = [r for who, r in read_by[value] if who is not value]
        if not all(
            (r.sign == 0 and r.offset == steps[-1]) or r.over == [steps[-1]] for r in outside
        ):
            continue
        total = Value(SUM, None, value.shape, value.dtype, name=value.name)
        total.adjoint = value.adjoint
        for r in value.reads:
            if r.source is value:
                continue
            present = [t for t in steps if t in (r.steps or ())]
            if r.sign is None:
                total.reads += [Read(r.source) for _ in present]
            else:
                total.reads.append(Read(r.source, over=[r.at(t) or 0 for t in present]))
        instead[value] = Read(total)
    if not instead:
        return False
    for value in list(read_by):
        for read in value.reads:
            if read.source in instead and value is not read.source:
                read.sign = read.offset = read.over = None
                read.source = instead[read.source].source
    for root in roots:
        if root.source in instead:
            root.sign = root.offset = None
            root.source = instead[root.source].source
    return True


def give_one_home(roots: Roots) -> None:
    """A sequence that goes on another, h after h_0, is what is read of both."""
    homes: dict[Value, tuple[Value, Read]] = {}
    for value in ordered(roots):
        if value.op == SUM and value.steps is not None and not overlap(value):
            for read in value.reads:
                if read.sign == 1 and read.offset == 0 and read.source.shape == value.shape:
                    homes.setdefault(read.source, (value, read))
    for source, (home, own) in homes.items():
        further = (source.steps or frozenset()) - (home.steps or frozenset())
        own.steps = (own.steps or frozenset()) | further
        home.steps = (home.steps or frozenset()) | further
    everyone: list[Value | None] = [None, *readers(roots)]
    for reader in everyone:
        for read in roots if reader is None else reader.reads:
            if read.source not in homes or read.source.steps is None:
                continue
            home, own = homes[read.source]
            if reader is home or read is own:
                continue
            if read.over is not None:
                needed = set(read.over)
            elif reader is None or reader.steps is None:
                needed = {read.offset or 0}
            else:
                needed = {read.at(t) or 0 for t in read.steps or reader.steps}
            if needed <= (own.steps or frozenset()):
                read.source = home
    for source, (home, _) in homes.items():
        home.name = source.name or home.name
        home.adjoint = source.adjoint or home.adjoint


def overlap(value: Value) -> bool:
    """Whether a sum has more than one term in a step, or a term that is broadcast."""
    count = sum(len(read.steps or ()) for read in value.reads)
    if any(
        read.source.shape != value.shape for read in value.reads if uniform(read.source) is None
    ):
        return True
    return count != len(value.steps or ())
