"""Normal form: the same equations for one network, however its loss and its first step are spelled.

Copies are read through, constants computed, what is the same in all steps is computed once, equal
equations are one, sums inside sums are one sum, a running total is a sum over the steps, and a
state with its initial value is one sequence. Each pass keeps every value what it is; which are
worth what is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..fold import Moving
from .equations import SUM, Read, Roots, Steps, Value, composed, constant, readers


def normalise(roots: Roots) -> None:
    """Bring what the roots need to normal form, in place."""
    _differences(roots)
    changed = True
    while changed:
        changed = False
        for change in (_copies, _constants, _shared, _equal, _terms, _flat_sums, _running_totals):
            changed = change(roots) or changed
    _one_home(roots)


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
    if _moves(value.attributes):
        return False
    whole = value.op != SUM or all(read.steps == value.steps for read in value.reads)
    return whole and all(read.source.steps is None for read in value.reads)


def uniform(value: Value) -> Any:
    """The one number in a constant; None if it is no constant, or has several."""
    if value.op != "constant" or value.constant.size == 0:
        return None
    first = value.constant.flat[0]
    return first if value.constant.size == 1 or (value.constant == first).all() else None


# ------------------------------------------------------------------------------------- the passes


def _differences(roots: Roots) -> None:
    """A difference of numbers is a sum, as in L - log_p."""
    for value in ordered(roots):
        if value.op != "subtract" or value.shape or value.dtype.kind != "f":
            continue
        a, b = value.reads
        if value.steps is None or any(r.source.dtype != value.dtype for r in (a, b)):
            continue
        minus = Value("negative", value.steps, (), value.dtype, [b])
        value.op = SUM
        value.reads = [a, Read(minus, 1, 0, value.steps)]


def _copies(roots: Roots) -> bool:
    """Read through what is only a copy."""
    instead: dict[Value, Read] = {}
    for value in ordered(roots):
        read = _copied(value)
        if read is None or read.source is value:
            continue
        target = read.source
        while target in instead:
            target = instead[target].source
        if target is value:
            continue
        instead[value] = Read(read.source, read.sign, read.offset)
        if target.name is None:
            target.name = value.name
        if target.adjoint is None:
            target.adjoint = value.adjoint
    return substitute(roots, instead)


def _copied(value: Value) -> Read | None:
    """What a value is a copy of."""
    if value.op == SUM:
        if value.steps is not None:
            others = [r for r in value.reads if r.source is not value]
            ways = {(r.source, r.sign, r.offset) for r in others}
            count = sum(len(r.steps or ()) for r in value.reads)
            if len(ways) != 1 or count != len(value.steps):
                return None
            read = others[0]
            if len(others) != len(value.reads) and read.sign is not None:
                return None
        elif len(value.reads) == 1:
            read = value.reads[0]
            if read.over is not None:
                if len(read.over) != 1:
                    return None
                read = Read(read.source, 0, read.over[0])
        else:
            return None
    elif value.op == "positive" or (value.op == "astype" and len(value.reads) == 1):
        read = value.reads[0]
    elif value.op in ("reshape", "broadcast_to", "squeeze", "ravel", "mean", "sum"):
        read = value.reads[0]  # to the shape that it has
    elif value.op == "multiply":
        a, b = value.reads
        one = [x for x in (a, b) if uniform(x.source) == 1 and x.source.dtype.kind == "f"]
        if not one:
            return None
        read = b if one[0] is a else a
    else:
        return None
    source = read.source
    same = source.shape == value.shape and source.dtype == value.dtype
    return read if same and "python" not in source.attributes else None


def _constants(roots: Roots) -> bool:
    """Compute what is computed from constants."""
    instead = {}
    for value in ordered(roots):
        if value.leaf or value.example is None or not value.reads or not same_always(value):
            continue
        if all(read.source.op == "constant" for read in value.reads):
            known = constant(value.example, value.name)
            known.adjoint = value.adjoint
            instead[value] = Read(known)
    return substitute(roots, instead)


def _shared(roots: Roots) -> bool:
    """Compute once what is the same in all steps."""
    instead = {}
    for value in ordered(roots):
        if value.steps is not None and value.reads and same_always(value):
            value.steps = None
            value.reads = [Read(read.source) for read in value.reads]
            instead[value] = Read(value)
    return substitute(roots, instead)


def _equal(roots: Roots) -> bool:
    """Equal equations are one."""
    found: dict[Any, Value] = {}
    instead = {}
    for value in ordered(roots):
        key = _key(value)
        if key is None:
            continue
        first = found.setdefault(key, value)
        if first is value or any(r.source in (first, value) for r in value.reads):
            continue
        instead[value] = Read(first) if value.steps is None else Read(first, 1, 0)
        first.name = first.name or value.name
        first.adjoint = first.adjoint or value.adjoint
    return substitute(roots, instead)


def _key(value: Value) -> Any:
    if value.op in ("input", "captured"):
        return None
    if value.op == "constant":
        array = value.constant
        python = "python" in value.attributes
        return array.dtype, array.shape, array.tobytes(), python
    if any(isinstance(x, np.ndarray) for x in value.attributes.values()):
        return None
    reads: Any = [
        (id(r.source), r.sign, r.offset, r.steps if value.op == SUM else None,
         None if r.over is None else tuple(r.over))
        for r in value.reads
    ]  # fmt: skip
    if value.op == SUM:
        reads.sort(key=lambda r: (r[0], str(r[1:3])))
    return value.op, value.steps, tuple(reads), repr(value.attributes), value.shape, value.dtype


def _terms(roots: Roots) -> bool:
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


def _flat_sums(roots: Roots) -> bool:
    """The terms of a sum that only another sum reads are terms of that."""
    read_by = readers(roots)
    changed = False
    for value in ordered(roots):
        if value.op != SUM:
            continue
        begins = (
            value.steps is not None
            and not _overlap(value)
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


def _running_totals(roots: Roots) -> bool:
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


def _one_home(roots: Roots) -> None:
    """A sequence that goes on another, h after h_0, is what is read of both."""
    homes: dict[Value, tuple[Value, Read]] = {}
    for value in ordered(roots):
        if value.op == SUM and value.steps is not None and not _overlap(value):
            for read in value.reads:
                if read.sign == 1 and read.offset == 0 and read.source.shape == value.shape:
                    homes.setdefault(read.source, (value, read))
    for source, (home, own) in homes.items():
        further = (source.steps or frozenset()) - (home.steps or frozenset())
        own.steps = (own.steps or frozenset()) | further
        home.steps = (home.steps or frozenset()) | further
    everyone: list[Value | None] = [None, *readers(roots)]
    for value in everyone:
        for read in roots if value is None else value.reads:
            if read.source not in homes or read.source.steps is None:
                continue
            home, own = homes[read.source]
            if value is home or read is own:
                continue
            if read.over is not None:
                needed = set(read.over)
            elif value is None or value.steps is None:
                needed = {read.offset or 0}
            else:
                needed = {read.at(t) or 0 for t in read.steps or value.steps}
            if needed <= (own.steps or frozenset()):
                read.source = home
    for source, (home, _) in homes.items():
        home.name = source.name or home.name
        home.adjoint = source.adjoint or home.adjoint


def _overlap(value: Value) -> bool:
    """Whether a sum has more than one term in a step, or a term that is broadcast."""
    count = sum(len(read.steps or ()) for read in value.reads)
    if any(
        read.source.shape != value.shape for read in value.reads if uniform(read.source) is None
    ):
        return True
    return count != len(value.steps or ())


def _moves(x: Any) -> bool:
    if isinstance(x, Moving):
        return True
    if isinstance(x, dict):
        return any(map(_moves, x.values()))
    if isinstance(x, (tuple, list)):
        return any(map(_moves, x))
    return isinstance(x, slice) and any(map(_moves, (x.start, x.stop, x.step)))
