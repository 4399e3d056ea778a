"""Patterns: groups of equations for which NumPy has something better than one call for each.

The loss and its derivative share their exponentials, and the derivative, softmax − one_hot, is the
softmax with one number subtracted in each row. A sum over the steps of products Aᵀ G is one product
of the stacked rows; so are sums of rows, and of rows scattered into a table. What comes out are
values of a few more operations, which only source.py knows how to write:

    shifted(z)               z − max over the last axis
    row_sum(e)               Σ over the last axis
    pick(z, y)               z[…, y]
    class_slope(e, n, y, c)  (e / n − one_hot(y)) · c
    rows_product(A, G)       Σ AᵀG over all rows of all steps
    rows_sum(G)              Σ over all rows of all steps
    rows_scatter(G, ids)     zeros with the rows of G added at ids
    tile(a, b, …)            an array of parts, each at its slice
    rows(h)                  some steps of h, as one array
    put_rows(g)              zeros with some steps of g at some rows
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..fold import Moving
from .equations import SUM, Read, Roots, Value, literal, readers
from .normal import normalise
from .rewriting import ordered, substitute, uniform


def recognise(roots: Roots) -> None:
    """Replace the patterns, in place."""
    if _ignored(roots):
        normalise(roots)
    _losses(roots)
    _stacks(roots)
    normalise(roots)
    _class_slopes(roots)
    _tiles(roots)
    _neighbours(roots)
    _sums_of_products(roots)
    normalise(roots)


def _aligned(value: Value, source: Value) -> Read:
    """Reading the same step of another."""
    return Read(source) if source.steps is None else Read(source, 1, 0, value.steps)


def _made(op: str, like: Value, shape: tuple[int, ...], *sources: Value | Read) -> Value:
    value = Value(op, like.steps, shape, like.dtype)
    value.reads = [x if isinstance(x, Read) else _aligned(value, x) for x in sources]
    return value


def _instead(value: Value, new: Value) -> Read:
    new.name, new.adjoint = value.name, value.adjoint
    return Read(new) if value.steps is None else Read(new, 1, 0)


# ------------------------------------------------------------------------------------- the losses


def _ignored(roots: Roots) -> bool:
    """cross_entropy with an ignore_index: that of the z and y that count, and 0 elsewhere."""
    instead: dict[Value, Read] = {}
    for value in ordered(roots):
        ignored = value.attributes.get("ignore_index")
        if value.op != "cross_entropy" or ignored is None:
            continue
        z, y = value.reads
        rows = z.source.shape[:-1]
        counted = _made("not_equal", value, rows, y, literal(ignored))
        wide = _made("getitem", value, (*rows, 1), counted)
        counted.dtype = wide.dtype = np.dtype(bool)
        wide.attributes = {"index": (Ellipsis, None)}
        z_counted = _made("where", value, z.source.shape, wide, z, literal(0.0))
        y_counted = _made("where", value, rows, counted, y, literal(0))
        y_counted.dtype = y.source.dtype
        each = _made("cross_entropy", value, rows, z_counted, y_counted)
        each.attributes = {"reduction": "none"}
        result = _made("where", value, rows, counted, each, literal(0.0))
        reduction = value.attributes.get("reduction", "mean")
        if reduction != "none":
            result = _made("sum", value, (), result)
            result.attributes = {"axis": None}
        if reduction == "mean":
            numbers = _made("astype", value, rows, counted)
            numbers.attributes = {"dtype": value.dtype}
            count = _made("sum", value, (), numbers)
            count.attributes = {"axis": None}
            result = _made("divide", value, (), result, count)
        instead[value] = _instead(value, result)
    return substitute(roots, instead)


def _losses(roots: Roots) -> None:
    """cross_entropy(z, y) and the softmax of the same z, by the steps that they share."""
    instead: dict[Value, Read] = {}
    values = ordered(roots)
    known: set[Any] = set()
    for value in values:
        if value.op == "cross_entropy" and value.dtype in (np.float32, np.float64):
            z, y = value.reads
            known.add((z.source, z.sign, z.offset, value.steps))
            e, n, shifted = _exponentials(value, z)
            rows = z.source.shape[:-1]
            picked = _made("pick", value, rows, shifted, y)
            losses = _made("subtract", value, rows, _made("log", value, rows, n), picked)
            reduction = value.attributes.get("reduction", "mean")
            if reduction != "none":
                losses = _made(reduction, value, value.shape, losses)
                losses.attributes = {"axis": None}
            mean = {"mean": ", the mean over the batch", "sum": ", summed over the batch"}
            losses.about = f"−log softmax({{z}})[{{y}}]{mean.get(reduction, '')}"
            losses.reads[0].source.about = picked.about = e.about = ""
            instead[value] = _instead(value, losses)
    for value in values:
        if value.op == "softmax":
            z = value.reads[0]
            last = value.attributes.get("axis", -1) in (-1, len(value.shape) - 1)
            if last and (z.source, z.sign, z.offset, value.steps) in known:
                e, n, _ = _exponentials(value, z)
                instead[value] = _instead(value, _made("over_rows", value, value.shape, e, n))
        elif value.op == "equal" and (classes := _classes(value)) is not None:
            hot = Value("is_class", value.steps, value.shape, value.dtype, [classes])
            instead[value] = _instead(value, hot)
    substitute(roots, instead)


def _exponentials(value: Value, z: Read) -> tuple[Value, Value, Value]:
    shape = z.source.shape
    shifted = _made("shifted", value, shape, Read(z.source, z.sign, z.offset, value.steps))
    e = _made("exp", value, shape, shifted)
    return e, _made("row_sum", value, shape[:-1], e), shifted


def _classes(equal: Value) -> Read | None:
    """y, where classes[..., None] == arange(K) is computed."""
    left, right = equal.reads
    index = left.source.attributes.get("index")
    if left.source.op != "getitem" or index != (Ellipsis, None) or not left.aligned:
        return None
    k = right.source.constant
    if right.source.op != "constant" or not np.array_equal(k, np.arange(equal.shape[-1])):
        return None
    y = left.source.reads[0]
    return Read(y.source, y.sign, y.offset, equal.steps) if y.source.dtype.kind in "iu" else None


def _class_slopes(roots: Roots) -> None:
    """(softmax(z) − one_hot(y)) · c."""
    instead: dict[Value, Read] = {}
    for value in ordered(roots):
        if value.op not in ("multiply", "subtract"):
            continue
        difference, factor = value, None
        if value.op == "multiply":
            a, b = value.reads
            difference, factor = (a.source, b) if a.source.op == "subtract" else (b.source, a)
            if difference.op != "subtract" or not (a if a.source is difference else b).aligned:
                continue
            if difference.steps != value.steps:
                continue
        p, hot = difference.reads
        if p.source.op != "over_rows" or hot.source.op != "is_class":
            continue
        if not (p.aligned and hot.aligned) or p.source.steps != value.steps:
            continue
        if hot.source.steps != value.steps:
            continue
        if factor is not None and uniform(factor.source) is None:
            wide = factor.source.shape
            if len(wide) > len(value.shape) or (wide and wide[-1] != 1):
                continue
        sources = [*p.source.reads, hot.source.reads[0], *([factor] if factor else [])]
        slope = _made("class_slope", value, value.shape, *sources)
        instead[value] = _instead(value, slope)
    substitute(roots, instead)


def _stacks(roots: Roots) -> None:
    """The steps of a value along a new first axis are the value itself."""
    for value in ordered(roots):
        if value.op == "stack" and len(value.reads) == 1 and value.reads[0].over is not None:
            axis = value.attributes.get("axis", 0) % len(value.shape)
            value.op, value.attributes = "rows", {"axis": axis} if axis else {}


# ------------------------------------------------------------------------------ sums over the steps


def _sums_of_products(roots: Roots) -> None:
    """Sums over the steps of products, of sums over rows and of scattered rows, each as one."""
    read_by = readers(roots)
    instead: dict[Value, Read] = {}
    for value in ordered(roots):
        if value.op == SUM and value.steps is None:
            for i, read in enumerate(value.reads):
                if read.over is not None and len(read_by[read.source]) == 1:
                    value.reads[i] = _over_rows(read)
        elif value.op == "sum" and value.steps is None and not value.reads[0].sign:
            read = value.reads[0]
            batched = read.source.op == "matmul" and len(read.source.shape) == 3
            if value.attributes.get("axis") == (0,) and batched and read.over is None:
                product = _of_rows(read.source.reads, None, 3)
                if product is not None and not value.attributes.get("keepdims"):
                    made = Value("rows_product", None, value.shape, value.dtype, product)
                    instead[value] = _instead(value, made)
    substitute(roots, instead)


def _over_rows(read: Read) -> Read:
    """A term of a sum over steps, as a product over the rows of all steps, if it is one."""
    term, over = read.source, read.over
    assert over is not None
    made: Value | None = None
    if term.op in ("matmul", "multiply"):
        reads = _of_rows(term.reads, over, 2) if term.op == "matmul" else _outer(term, over)
        if reads is not None:
            made = Value("rows_product", None, term.shape, term.dtype, reads)
    elif term.op == "sum" and not term.attributes.get("keepdims"):
        axis = term.attributes.get("axis")
        g = term.reads[0]
        ndim = len(g.source.shape)
        axes = (axis,) if isinstance(axis, int) else tuple(range(ndim)) if axis is None else axis
        if g.source.steps is not None and axes == tuple(range(len(axes))):
            reads = [_mapped(g, over)]
            made = Value("rows_sum", None, term.shape, term.dtype, reads)
    elif term.op == "scatter" and len(term.reads) == 1 and term.reads[0].sign is not None:
        made = _put_rows(term, over)
    elif (
        term.op == "scatter"
        and len(term.reads) == 2
        and str(term.attributes["index"]) == "(array,)"
    ):
        g, ids = term.reads
        stepped = g.source.steps is not None and ids.source.steps is not None
        if stepped and ids.source.dtype.kind in "iu":
            reads = [_mapped(g, over), _mapped(ids, over)]
            made = Value("rows_scatter", None, term.shape, term.dtype, reads)
    if made is None:
        return read
    made.adjoint, made.name = term.adjoint, term.name
    if made.op in ("rows", "put_rows"):
        return Read(made)
    order = sorted(range(len(over)), key=lambda i: (made.reads[0].over or over)[i])
    for r in made.reads:
        r.over = [(r.over or over)[i] for i in order]
    return Read(made)


def _put_rows(term: Value, over: list[int]) -> Value | None:
    """A sum of arrays that are 0 but for one row each."""
    at = term.attributes["index"][0]
    if len(term.attributes["index"]) != 1 or not isinstance(at, Moving):
        return None
    row = {t: at.at(t) for t in over}
    if not all(0 <= n < term.shape[0] for n in row.values()):
        return None
    in_order = sorted(over, key=row.__getitem__)
    made = Value("rows", None, term.shape, term.dtype, [_mapped(term.reads[0], in_order)])
    if [row[t] for t in in_order] != list(range(term.shape[0])):
        made.op = "put_rows"
        made.attributes = {"at": [row[t] for t in in_order]}
    return made


def _mapped(read: Read, over: list[int]) -> Read:
    return Read(read.source, over=[read.at(t) or 0 for t in over])


def _of_rows(reads: list[Read], over: list[int] | None, ndim: int) -> list[Read] | None:
    """A and G of a product AᵀG, over some steps, or with the steps as their first axis."""
    a, g = reads
    flipped = a.source.op == "swapaxes" and a.source.attributes == {"axis1": -1, "axis2": -2}
    if not flipped or len(a.source.shape) != ndim or len(g.source.shape) != ndim:
        return None
    inner = a.source.reads[0]
    if over is None:
        if a.source.steps is not None or g.source.steps is not None:
            return None
        return [inner, g]
    if a.source.steps is None or inner.sign is None or g.sign is None:
        return None
    at = [a.at(t) or 0 for t in over]
    return [_mapped(inner, at), _mapped(g, over)]


def _outer(term: Value, over: list[int]) -> list[Read] | None:
    """a and g of a[:, None] * g[..., None, :], for vectors."""
    a, g = term.reads
    new = (slice(None), None), (Ellipsis, None, slice(None))
    for x, index in zip((a, g), new, strict=True):
        if x.source.op != "getitem" or x.source.attributes["index"] != index:
            return None
        if x.source.steps is None or len(x.source.shape) != 2 or len(x.source.reads) != 1:
            return None
        if x.source.reads[0].sign is None:
            return None
    return [_mapped(x.source.reads[0], [x.at(t) or 0 for t in over]) for x in (a, g)]


# -------------------------------------------------------------------------------------------- parts


def _tiles(roots: Roots) -> None:
    """A sum of parts, each put at its slice of zeros, that make up all of the array."""
    for value in ordered(roots):
        if value.op != SUM or len(value.reads) < 2:
            continue
        parts = [read.source for read in value.reads]
        if not all(
            part.op == "scatter" and len(part.reads) == 1
            and read.aligned and read.over is None and part.steps == value.steps
            and read.steps == value.steps
            for part, read in zip(parts, value.reads, strict=True)
        ):  # fmt: skip
            continue
        covered = np.zeros(value.shape, int)
        indices = [part.attributes["index"] for part in parts]
        try:
            for index in indices:
                covered[index] += 1
        except (IndexError, TypeError):
            continue  # an index that moves with the step
        if not (covered == 1).all():
            continue
        order = sorted(range(len(parts)), key=lambda i: str(_start(indices[i], value)))
        value.op = "tile"
        value.attributes = {"indices": [indices[i] for i in order]}
        value.reads = [parts[i].reads[0] for i in order]
        for read in value.reads:
            read.steps = value.steps


def _start(index: Any, value: Value) -> Any:
    here = np.zeros(value.shape, bool)
    here[index] = True
    return f"{int(here.reshape(-1).argmax()):012}"


def _neighbours(roots: Roots) -> None:
    """σ of neighbouring slices of an array is σ of the array, and slices of that: the gates."""
    instead: dict[Value, Read] = {}
    groups: dict[Any, list[tuple[int, int, Value]]] = {}
    for value in ordered(roots):
        found = _sliced(value) if value.op == "sigmoid" and value.shape else None
        if found is not None:
            start, stop, key = found
            groups.setdefault(key, []).append((start, stop, value))
    for (terms, steps), members in groups.items():
        members.sort(key=lambda m: m[0])
        while members:
            n = 1
            while n < len(members) and members[n - 1][1] == members[n][0]:
                n += 1
            run, members = members[:n], members[n:]
            if n < 2:
                continue
            lo, hi = run[0][0], run[-1][1]
            like = run[0][2]
            shape = (*like.shape[:-1], hi - lo)
            front = (slice(None),) * (len(shape) - 1)
            parts = []
            for source, sign, offset in terms:
                part = Value("getitem", steps, shape, like.dtype, [Read(source, sign, offset)])
                part.attributes = {"index": (*front, slice(lo or None, hi))}
                parts.append(_aligned(part, part))
            joined = parts[0].source
            if len(parts) > 1:
                joined = Value(SUM, steps, shape, like.dtype, parts)
            gates = _made("sigmoid", like, shape, joined)
            gates.name = "gates"
            for start, stop, value in run:
                view = _made("getitem", value, value.shape, gates)
                view.attributes = {"index": (*front, slice(start - lo or None, stop - lo))}
                instead[value] = _instead(value, view)
    substitute(roots, instead)


def _sliced(value: Value) -> tuple[int, int, Any] | None:
    """From where to where in its last axis an argument is a slice, and of what: an array or a sum.

    All terms of a sum have to be slices from there to there.
    """
    (read,) = value.reads
    terms = read.source.reads if read.source.op == SUM else [read]
    found = set()
    of = []
    for term in terms:
        part = term.source
        if part.op != "getitem" or len(part.reads) != 1 or not term.aligned:
            return None
        if part.steps != value.steps or (term is not read and term.steps != value.steps):
            return None
        inner, index = part.reads[0], part.attributes["index"]
        before, last = index[:-1], index[-1]
        plain = len(index) == len(inner.source.shape) and all(i == slice(None) for i in before)
        if not plain or not isinstance(last, slice) or last.step not in (None, 1):
            return None
        found.add(last.indices(inner.source.shape[-1])[:2])
        of.append((inner.source, inner.sign, inner.offset))
    if len(found) != 1 or not read.aligned or read.source.steps != value.steps:
        return None
    start, stop = found.pop()
    return start, stop, (tuple(of), value.steps)
