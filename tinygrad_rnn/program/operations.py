"""Operations: how each primitive is written in NumPy, for one step and for all steps at once.

For all steps at once, arrays have the steps as one more axis in front. This file gives expressions
as text; into which array they go, and in which order, is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..fold import Moving
from .equations import SUM, Value
from .text import Operand, dtype_text, flat, index_text, number_text, rows, shape_text, size_text
from .views import all_moved, is_view, moved, view

UFUNCS = {
    "subtract", "multiply", "divide", "power", "maximum", "minimum", "remainder", "negative", "exp",
    "expm1", "log", "log1p", "sqrt", "square", "reciprocal", "absolute", "sin", "cos", "tanh",
    "sign", "floor", "ceil", "rint", "trunc", "isnan", "isinf", "isfinite", "equal", "not_equal",
    "less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or", "logical_not",
    "logical_xor", "floor_divide", "add",
}  # fmt: skip
ELEMENTWISE = {*UFUNCS, SUM, "sigmoid", "relu", "shifted"}
"""What is computed element by element, so that it may take the place of an argument."""


def known(value: Value) -> bool:
    """Whether it is known how to write an operation."""
    written = value.op in ELEMENTWISE or value.op in _EXPRESSIONS or value.op in PHRASES
    return value.leaf or written or is_view(value)


def at_once(value: Value) -> bool:
    """Whether all steps can be one operation."""
    steps = value.steps
    if steps is None:
        return True
    if len(steps) != max(steps) - min(steps) + 1:
        return False
    if value.op in ELEMENTWISE or value.op in PHRASES:
        return True
    if is_view(value):
        return True
    if value.op == "getitem":
        return False
    stepped = [Operand("", r.source.shape, r.source.dtype, r.source.steps is not None)
               for r in value.reads]  # fmt: skip
    try:
        return value.op in _EXPRESSIONS and bool(expression(value, stepped, True))
    except NotImplementedError:
        return False


def expression(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    """A value as an expression of its arguments, for one step or for all (`whole`)."""
    if value.op in UFUNCS:
        return f"np.{value.op}({', '.join(x.text for x in lifted(value, xs, whole))})"
    if value.op == SUM:
        return " + ".join(x.text for x in lifted(value, xs, whole))
    if is_view(value):
        return view(value, xs[0], whole)
    return _EXPRESSIONS[value.op](value, xs, whole)


def lifted(value: Value, xs: Sequence[Operand], whole: bool) -> list[Operand]:
    """Arguments that broadcast as they do in one step, though some have the steps in front."""
    if not whole:
        return list(xs)
    wide = len(value.shape)
    return [
        Operand(f"{x.tight}[:, {'None, ' * (wide - len(x.shape))}...]", x.shape, x.dtype, True)
        if x.stepped and len(x.shape) < wide else x
        for x in xs
    ]  # fmt: skip


# ---------------------------------------------------------------------------- other operations


def _matmul(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    a, b = xs
    stepped = whole and (a.stepped or b.stepped)
    if not stepped:
        dot = len(b.shape) <= 2 and len(a.shape) <= 2
        if dot:
            return f"np.dot({a.text}, {b.text})"
        if len(b.shape) == 2:
            tail = ", ".join(map(size_text, value.shape))
            return f"np.dot({rows(a)}, {b.text}).reshape({tail})"
        return f"np.matmul({a.text}, {b.text})"
    if a.stepped and not b.stepped and len(b.shape) == 2:
        tail = ", ".join(map(size_text, value.shape))
        return f"np.dot({rows(a)}, {b.text}).reshape(-1, {tail})"
    if len(a.shape) == 1 or len(b.shape) == 1:
        if a.stepped and len(a.shape) == 1:
            a = Operand(f"{a.tight}[:, None]", (1, *a.shape), a.dtype, True)
        if b.stepped and len(b.shape) == 1:
            b = Operand(f"{b.tight}[..., None]", (*b.shape, 1), b.dtype, True)
        text = f"np.matmul({a.text}, {b.text})"
        return f"{text}.reshape(-1{''.join(f', {size_text(n)}' for n in value.shape)})"
    if len(a.shape) != len(b.shape):
        raise NotImplementedError("a batch of matrices times a matrix of each step")
    return f"np.matmul({a.text}, {b.text})"


def _reduction(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    (x,) = xs
    axis = value.attributes.get("axis")
    keepdims = ", keepdims=True" if value.attributes.get("keepdims") else ""
    if value.op == "mean" and not keepdims:
        ndim = len(x.shape)
        axes = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        sizes = [x.shape[a % ndim] for a in axes]
        total = Value("sum", value.steps, value.shape, value.dtype, value.reads, value.attributes)
        if sizes and all(sizes):
            by = " * ".join(map(size_text, sizes))
            return f"{_reduction(total, xs, whole)} / {by if len(sizes) == 1 else f'({by})'}"
    name = {"amax": "max", "amin": "min"}.get(value.op, value.op)
    if whole and x.stepped:
        axis = tuple(range(len(x.shape))) if axis is None else axis
        if not x.shape:
            return f"np.array({x.text})"
        axis = all_moved(axis, x, 1)
        if isinstance(axis, tuple) and len(axis) == 1:
            (axis,) = axis
        return f"{x.tight}.{name}(axis={axis}{keepdims})"
    return f"{x.tight}.{name}(axis={axis}{keepdims})"


def _row_sum(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    (x,) = xs
    if len(x.shape) + (whole and x.stepped) == 1:
        return f"{x.tight}.sum()"
    text = f"np.dot({rows(x)}, np.ones({size_text(x.shape[-1])}, {dtype_text(x.dtype)}))"
    ndim = len(x.shape) + (whole and x.stepped)
    return text if ndim <= 2 else f"{text}.reshape({x.tight}.shape[:-1])"


def _concatenate(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    axis = value.attributes.get("axis", 0)
    name = value.op
    if axis is None:
        if whole:
            raise NotImplementedError
        return f"np.{name}([{_listed(xs)}], axis=None)"
    if whole:
        if not any(x.stepped for x in xs):
            raise NotImplementedError
        first = next(x for x in xs if x.stepped)
        xs = [
            x if x.stepped else Operand(
                f"np.broadcast_to({x.text}, (len({first.tight}), {shape_text(x.shape)[1:]})",
                x.shape, x.dtype, True,
            )
            for x in xs
        ]  # fmt: skip
        axis = axis if axis < 0 else axis + 1
    return f"np.{name}([{_listed(xs, whole)}], axis={axis})"


def _listed(xs: Sequence[Operand], whole: bool = False) -> str:
    """Arguments, and for one that is several steps, each of them."""
    return ", ".join(f"*{x.tight}" if x.stepped and not whole else x.text for x in xs)


def _where(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    return f"np.where({', '.join(x.text for x in lifted(value, xs, whole))})"


def _astype(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    return f"{xs[0].tight}.astype({dtype_text(value.dtype)})"


def _embedding(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    table, ids = xs
    if table.stepped:
        raise NotImplementedError
    return f"{table.tight}.take({ids.text}, axis=0)"


def _is_class(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    return f"({xs[0].tight}[..., None] == np.arange({size_text(value.shape[-1])}))"


def _one_hot(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    return f"{_is_class(value, xs, whole)}.astype({dtype_text(value.dtype)})"


def _pick(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    z, y = xs
    z2, y1 = rows(z), flat(y)
    text = f"{Operand(z2, (), None).tight}[np.arange({y1 and f'len({y1})'}), {y1}]"
    if len(z.shape) == 1 and not z.stepped:
        return f"{z.tight}[{y.text}]"
    ndim = len(value.shape) + (whole and z.stepped)
    return text if ndim == 1 else f"{text}.reshape({y.tight}.shape)"


def _over_rows(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    e, n = xs
    return f"{e.text} / {n.tight}[..., None]"


def _with_arrays(value: Value, xs: Sequence[Operand]) -> str:
    """The index of ``value``, its arrays being the operands after the first."""
    arrays = iter(xs[1:])
    index = value.attributes["index"]
    return ", ".join(next(arrays).text if repr(p) == "array" else index_text(p) for p in index)


def _getitem(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    """With index arrays."""
    if whole:
        raise NotImplementedError
    return f"{xs[0].tight}[{_with_arrays(value, xs)}]"


def _scatter(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    if whole:
        raise NotImplementedError
    return f"scatter({xs[0].text}, {shape_text(value.shape)}, np.s_[{_with_arrays(value, xs)}])"


def _softmax(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    axis = value.attributes.get("axis", None if value.op == "logsumexp" else -1)
    axis = all_moved(axis, xs[0], int(whole and xs[0].stepped)) if axis is not None else None
    keepdims = ", keepdims=True" if value.attributes.get("keepdims") else ""
    if value.op == "logsumexp" and axis is None and whole:
        raise NotImplementedError
    return f"{value.op}({xs[0].text}, axis={axis}{keepdims})"


def _cumsum(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    axis = value.attributes.get("axis")
    if axis is None and whole:
        raise NotImplementedError
    axis = None if axis is None else moved(axis, xs[0], int(whole and xs[0].stepped))
    return f"np.cumsum({xs[0].text}, axis={axis})"


def _softplus(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    return f"np.logaddexp({xs[0].text}, 0, dtype={dtype_text(value.dtype)})"


def _clip(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    a = value.attributes
    if any(isinstance(x, np.ndarray) and x.ndim for x in a.values()):
        raise NotImplementedError
    low, high = a.get("a_min", a.get("min")), a.get("a_max", a.get("max"))
    return f"np.clip({xs[0].text}, {_number(low)}, {_number(high)})"


def _number(x: Any) -> str:
    return "None" if x is None else number_text(x)


def _argmax(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    axis = value.attributes.get("axis")
    if whole:
        if axis is None:
            raise NotImplementedError
        axis = moved(axis, xs[0], int(xs[0].stepped))
    return f"{xs[0].tight}.{value.op}(axis={axis})"


def _einsum(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    subscripts = value.attributes["subscripts"]
    inputs, out = subscripts.split("->")
    if whole:
        letter = next(c for c in "tsZYXWVU" if c not in subscripts)
        parts = [
            letter + part if x.stepped else part
            for part, x in zip(inputs.split(","), xs, strict=True)
        ]
        inputs, out = ",".join(parts), letter + out
    operands = ", ".join(x.text for x in xs)
    text = f'np.einsum("{inputs}->{out}", {operands}, optimize=True)'
    return text if len(xs) > 1 else f"np.array({text})"  # of one operand, it may be a view


_EXPRESSIONS: dict[str, Callable[[Value, Sequence[Operand], bool], str]] = {
    "matmul": _matmul, "sum": _reduction, "mean": _reduction, "amax": _reduction, "max": _reduction,
    "amin": _reduction, "min": _reduction, "row_sum": _row_sum, "concatenate": _concatenate,
    "stack": _concatenate, "where": _where, "astype": _astype,
    "embedding": _embedding, "is_class": _is_class, "one_hot": _one_hot, "pick": _pick,
    "over_rows": _over_rows, "getitem": _getitem, "scatter": _scatter, "softmax": _softmax,
    "log_softmax": _softmax, "logsumexp": _softmax, "cumsum": _cumsum, "softplus": _softplus,
    "clip": _clip, "argmax": _argmax, "argmin": _argmax, "einsum": _einsum,
}  # fmt: skip
PHRASES = {"put_rows", "tile", "class_slope", "rows_product", "rows_sum", "rows_scatter"}
"""What phrases.py writes."""


def moves(part: Any) -> bool:
    return isinstance(part, Moving)
