"""Operations: how each primitive is written in NumPy, for one step and for all steps at once.

For all steps at once, arrays have the steps as one more axis in front. This file gives expressions
as text; into which array they go, and in which order, is not known here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..fold import Moving
from .equations import SUM, Value

UFUNCS = {
    "subtract", "multiply", "divide", "power", "maximum", "minimum", "remainder", "negative", "exp",
    "expm1", "log", "log1p", "sqrt", "square", "reciprocal", "absolute", "sin", "cos", "tanh",
    "sign", "floor", "ceil", "rint", "trunc", "isnan", "isinf", "isfinite", "equal", "not_equal",
    "less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or", "logical_not",
    "logical_xor", "floor_divide", "add",
}  # fmt: skip
ELEMENTWISE = {*UFUNCS, SUM, "sigmoid", "relu", "shifted"}
"""What is computed element by element, so that it may take the place of an argument."""
VIEWS = {"swapaxes", "transpose", "reshape", "ravel", "squeeze", "expand_dims", "moveaxis", "flip",
         "rows"}  # fmt: skip


@dataclass
class Operand:
    """An argument as text.

    shape: its shape in one step. stepped: whether it has the steps as one more axis in front;
    rows: so many.
    """

    text: str
    shape: tuple[int, ...]
    dtype: Any
    stepped: bool = False
    rows: int = 0

    @property
    def tight(self) -> str:
        """The text, in parentheses if something is to be appended."""
        simple = all(c.isalnum() or c in "_.[]:, +-()‹›" for c in self.text)
        return self.text if simple and _balanced(self.text) else f"({self.text})"


def _balanced(text: str) -> bool:
    """Whether all that is no name stands in brackets."""
    depth = 0
    for c in text:
        depth += (c in "([") - (c in ")]")
        if depth == 0 and c in " +-":
            return False
    return True


def is_view(value: Value) -> bool:
    """Whether a value is a part of another, or another way to see it: nothing to compute."""
    if value.op == "getitem":
        return len(value.reads) == 1
    return value.op in VIEWS


def known(value: Value) -> bool:
    """Whether it is known how to write an operation."""
    return value.leaf or value.op in ELEMENTWISE or value.op in _EXPRESSIONS or is_view(value)


def at_once(value: Value) -> bool:
    """Whether all steps can be one operation."""
    steps = value.steps
    if steps is None:
        return True
    if len(steps) != max(steps) - min(steps) + 1:
        return False
    if value.op in ELEMENTWISE:
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


# ------------------------------------------------------------------------------------------ views


def view(value: Value, x: Operand, whole: bool) -> str:
    """A part of an argument, or another way to see it."""
    shift = int(whole and x.stepped)
    if value.op == "rows":
        axis = value.attributes.get("axis", 0)
        return f"np.moveaxis({x.text}, 0, {axis})" if axis else x.text
    if value.op == "getitem":
        index = ", ".join(index_text(part) for part in value.attributes["index"])
        if shift:
            index = f":, {index}" if index else ":"
        return f"{x.tight}[{index}]" if index else x.text
    if value.op == "swapaxes":
        first, second = (_moved(value.attributes[k], x, shift) for k in ("axis1", "axis2"))
        if not shift and len(x.shape) == 2 and {first % 2, second % 2} == {0, 1}:
            return f"{x.tight}.T"
        return f"{x.tight}.swapaxes({first}, {second})"
    if value.op == "transpose":
        given = value.attributes.get("axes")
        axes = tuple(reversed(range(len(x.shape)))) if given is None else tuple(given)
        if shift:
            axes = (0, *(a % len(x.shape) + 1 for a in axes))
        return f"{x.tight}.transpose{axes}"
    if value.op == "moveaxis":
        both = [_all_moved(value.attributes[k], x, shift) for k in ("source", "destination")]
        return f"np.moveaxis({x.text}, {both[0]}, {both[1]})"
    if value.op == "flip":
        axis = value.attributes.get("axis")
        flipped = tuple(range(len(x.shape))) if axis is None else axis
        return f"np.flip({x.text}, {_all_moved(flipped, x, shift)})"
    shape: tuple[Any, ...] = value.shape
    return f"{x.tight}.reshape({', '.join((f'len({x.tight})', *map(size_text, shape)) if shift else map(size_text, shape))})"


def index_text(part: Any) -> str:
    if part is Ellipsis:
        return "..."
    if isinstance(part, slice):
        ends = ["" if p is None else str(p) for p in (part.start, part.stop, part.step)]
        return f"{ends[0]}:{ends[1]}" + (f":{ends[2]}" if ends[2] else "")
    if part is None or isinstance(part, (int, np.integer)):
        return str(part)
    raise NotImplementedError(f"an index of {type(part).__name__}")


def _moved(axis: int, x: Operand, shift: int) -> int:
    """An axis of one step, where there is one more axis in front."""
    return axis if axis < 0 else axis + shift


def _all_moved(axis: Any, x: Operand, shift: int) -> Any:
    if isinstance(axis, (tuple, list)):
        return tuple(_moved(a, x, shift) for a in axis)
    return _moved(axis, x, shift)


# ---------------------------------------------------------------------------- other operations


def rows(x: Operand, keep: int = 1) -> str:
    """An array as a matrix: all axes but the last `keep` are its rows."""
    ndim = len(x.shape) + x.stepped
    tail = x.shape[len(x.shape) - keep :]
    if ndim == keep + 1:
        return x.text
    return f"{x.tight}.reshape({', '.join(['-1', *map(size_text, tail)])})"


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
        size = math.prod(x.shape) // max(math.prod(value.shape), 1)
        total = Value("sum", value.steps, value.shape, value.dtype, value.reads, value.attributes)
        by = [size_text(n) for n in x.shape] if not value.shape else [str(size)]
        if size > 0 and x.shape:
            divisor = by[0] if len(by) == 1 else f"({' * '.join(by)})"
            return f"{_reduction(total, xs, whole)} / {divisor}"
    name = {"amax": "max", "amin": "min"}.get(value.op, value.op)
    if whole and x.stepped:
        axis = tuple(range(len(x.shape))) if axis is None else axis
        if not x.shape:
            return x.text
        axis = _all_moved(axis, x, 1)
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
                f"np.broadcast_to({x.text}, (len({first.tight}), {_tuple(x.shape)[1:]})",
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


def _broadcast_to(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    (x,) = lifted(value, xs, whole)
    shape = _tuple(value.shape)
    if whole and xs[0].stepped:
        shape = f"(len({xs[0].tight}), {shape[1:]}"
    return f"np.broadcast_to({x.text}, {shape})"


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


def flat(x: Operand) -> str:
    """An array with one axis."""
    return x.text if len(x.shape) + x.stepped == 1 else f"{x.tight}.reshape(-1)"


def _over_rows(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    e, n = xs
    return f"{e.text} / {n.tight}[..., None]"


def _getitem(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    """With index arrays."""
    if whole:
        raise NotImplementedError
    arrays = iter(xs[1:])
    parts = [
        next(arrays).text if repr(p) == "array" else index_text(p)
        for p in value.attributes["index"]
    ]
    return f"{xs[0].tight}[{', '.join(parts)}]"


def _scatter(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    if whole or any(repr(p) == "array" for p in value.attributes["index"]):
        raise NotImplementedError
    index = ", ".join(index_text(p) for p in value.attributes["index"])
    return f"scatter({xs[0].text}, {_tuple(value.shape)}, np.s_[{index}])"


def _scatter_arrays(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    if whole:
        raise NotImplementedError
    arrays = iter(xs[1:])
    parts = [
        next(arrays).text if repr(p) == "array" else index_text(p)
        for p in value.attributes["index"]
    ]
    return f"scatter({xs[0].text}, {_tuple(value.shape)}, np.s_[{', '.join(parts)}])"


def _softmax(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    axis = value.attributes.get("axis", -1)
    axis = _all_moved(axis, xs[0], int(whole and xs[0].stepped)) if axis is not None else None
    keepdims = ", keepdims=True" if value.attributes.get("keepdims") else ""
    if value.op == "logsumexp" and axis is None and whole:
        raise NotImplementedError
    return f"{value.op}({xs[0].text}, axis={axis}{keepdims})"


def _cumsum(value: Value, xs: Sequence[Operand], whole: bool) -> str:
    axis = value.attributes.get("axis")
    if axis is None and whole:
        raise NotImplementedError
    axis = None if axis is None else _moved(axis, xs[0], int(whole and xs[0].stepped))
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
        axis = _moved(axis, xs[0], int(xs[0].stepped))
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
    return f'np.einsum("{inputs}->{out}", {operands}, optimize=True)'


_EXPRESSIONS: dict[str, Callable[[Value, Sequence[Operand], bool], str]] = {
    "matmul": _matmul, "sum": _reduction, "mean": _reduction, "amax": _reduction, "max": _reduction,
    "amin": _reduction, "min": _reduction, "row_sum": _row_sum, "concatenate": _concatenate,
    "stack": _concatenate, "where": _where, "astype": _astype, "broadcast_to": _broadcast_to,
    "embedding": _embedding, "is_class": _is_class, "one_hot": _one_hot, "pick": _pick,
    "over_rows": _over_rows, "getitem": _getitem, "scatter": _scatter_arrays, "softmax": _softmax,
    "log_softmax": _softmax, "logsumexp": _softmax, "cumsum": _cumsum, "softplus": _softplus,
    "clip": _clip, "argmax": _argmax, "argmin": _argmax, "einsum": _einsum,
    "put_rows": lambda v, xs, w: "put_rows", "tile": lambda v, xs, w: "tile", "class_slope": lambda v, xs, w: "class_slope", "rows_product": lambda v, xs, w: "rows_product",
    "rows_sum": lambda v, xs, w: "rows_sum", "rows_scatter": lambda v, xs, w: "rows_scatter",
}  # fmt: skip

HELPERS = {
    "scatter": '''
def scatter(g, shape, index):
    """Zeros of a shape with g added at [index]."""
    out = np.zeros(shape, g.dtype)
    np.add.at(out, index, g)
    return out
''',
    "softmax": '''
def softmax(x, axis=-1):
    """e^x / sum e^x along an axis."""
    m = np.maximum(x.max(axis=axis, keepdims=True), np.finfo(x.dtype).min)
    e = np.exp(x - m)
    return e / np.maximum(e.sum(axis=axis, keepdims=True), 1)
''',
    "log_softmax": '''
def log_softmax(x, axis=-1):
    """log softmax(x) along an axis."""
    m = np.maximum(x.max(axis=axis, keepdims=True), np.finfo(x.dtype).min)
    return (x - m) - np.log(np.exp(x - m).sum(axis=axis, keepdims=True))
''',
    "logsumexp": '''
def logsumexp(x, axis=None, keepdims=False):
    """log sum e^x along an axis."""
    m = np.maximum(x.max(axis=axis, keepdims=True), np.finfo(x.dtype).min)
    with np.errstate(divide="ignore"):
        y = m + np.log(np.exp(x - m).sum(axis=axis, keepdims=True))
    return y if keepdims else y.squeeze(axis)
''',
}
"""Functions that a program may need to run by itself, by name."""


def dtype_text(dtype: Any) -> str:
    return f"np.{np.dtype(dtype).name}" if np.dtype(dtype).kind != "b" else "bool"


def number_text(x: Any) -> str:
    """A number as Python reads it."""
    x = x.item() if isinstance(x, (np.generic, np.ndarray)) else x
    if isinstance(x, float) and not math.isfinite(x):
        return f"np.{'nan' if math.isnan(x) else 'inf'}" if not x < 0 else "-np.inf"
    if isinstance(x, float) and x.is_integer() and abs(x) < 1e6:
        return repr(x)
    return repr(x)


def size_text(n: int) -> str:
    """The length of an axis, marked: it may be called by a letter in the end."""
    return f"‹{n}›"


def _tuple(shape: tuple[int, ...]) -> str:
    inner = ", ".join(map(size_text, shape))
    return f"({inner},)" if len(shape) == 1 else f"({inner})"


shape_text = _tuple


def moves(part: Any) -> bool:
    return isinstance(part, Moving)
