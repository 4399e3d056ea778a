"""Normal form: the same equations for one network, however its loss and its first step are spelled.

Copies are read through, constants computed, what is the same in all steps is computed once, equal
equations are one, and sums are as sums.py has them. Each pass keeps every value what it is; which
are worth what is not known here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .equations import SUM, Read, Roots, Value, constant, readers
from .rewriting import at_step, ordered, same_always, strong_components, substitute, uniform
from .sums import flatten_sums, give_one_home, merge_terms, total_sums


def normalise(roots: Roots) -> None:
    """Bring what the roots need to normal form, in place."""
    _differences(roots)
    _once(roots)
    changed = True
    while changed:
        changed = False
        for change in (_copies, _constants, _shared, _equal, merge_terms, flatten_sums, total_sums):
            changed = change(roots) or changed
    give_one_home(roots)


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


def _once(roots: Roots) -> None:
    """What is computed in one step only, and is on no loop, is shared: the loss of the last."""
    once: dict[Value, int] = {}
    for group in strong_components(roots):
        (value, *others) = group
        if not others and value.steps is not None and len(value.steps) == 1:
            once[value] = min(value.steps)
    for value, t in once.items():
        value.steps, value.attributes = None, at_step(value.attributes, t)
        if value.op == "getitem":
            value.attributes["index"] = _from_the_end(value.attributes["index"], value.reads[0])
        for read in value.reads:
            read.steps = None
            if read.sign is not None:
                read.sign, read.offset = 0, read.at(t)
    for reads in (roots, *(value.reads for value in readers(roots))):
        for i, read in enumerate(reads):
            if read.source in once:
                reads[i] = Read(read.source, steps=read.steps)


def _from_the_end(index: Any, read: Read) -> Any:
    """An index in which the last row is called so."""
    rows = read.source.shape[0] if read.source.shape else 1
    return (-1, *index[1:]) if index and rows > 1 and index[0] == rows - 1 else index


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
        if value.op == "getitem" and (number := uniform(value.reads[0].source)) is not None:
            instead[value] = Read(constant(np.full(value.shape, number, value.dtype)))
            continue
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
