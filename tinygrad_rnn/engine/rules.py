"""The table of primitives: for each one, a line of calculus per argument.

A rule maps g = dL/dy, the value y and the arguments of y = f(a, b, …) to dL/d(one argument). It is
written with NumPy's own functions and operators, so the same text computes when it is fed arrays
and records itself when it is fed tensors: gradients of gradients need nothing more.

A rule need not undo broadcasting nor mind the dtype: the sweep brings each term to the shape and
dtype of its argument. Most rules are linear in g row by row, and take a stack of many g as well.
This file does not know what a tensor is, nor in which order the rules are applied.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from .record import Node, Primitive, primitive_of, primitives

Rule = Callable[..., Any]


def rule(function: Callable[..., Any], *vjps: Rule | None) -> None:
    """Enter one vector-Jacobian product per argument: `vjp(g, y, *arguments, **attributes)`."""
    entry = primitive_of(function)
    entry.vjps = vjps
    entry.keywords = _keywords(next(vjp for vjp in vjps if vjp is not None))


def rule_of_many(
    function: Callable[..., Any], vjp: Rule, compute: Callable[..., Any] | None = None
) -> None:
    """Enter a primitive of any number of arguments: `vjp(slot, g, y, *arguments, **attributes)`.

    `compute` takes the arguments one by one, where the public function takes a sequence of them.
    """
    entry = primitive_of(function)
    entry.function = compute or entry.function
    entry.vjps = EverySlot(vjp)
    entry.variadic = True
    entry.keywords = _keywords(vjp)


def without_derivative(*functions: Callable[..., Any]) -> None:
    """Enter primitives that nothing flows back through: the derivative is 0, or there is none."""
    for function in functions:
        primitive_of(function)


class EverySlot:
    """The rules of a primitive of any number of arguments, by slot."""

    def __init__(self, vjp: Rule) -> None:
        self.vjp = vjp

    def __getitem__(self, slot: int) -> Rule:
        return partial(self.vjp, slot)


def _keywords(vjp: Rule) -> tuple[str, ...]:
    """The attributes in a rule's signature: the parameters that have a default."""
    parameters = inspect.signature(vjp).parameters.values()
    return tuple(p.name for p in parameters if p.default is not p.empty)


def primitive(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function on arrays a primitive: fed arrays it computes, fed a node it is recorded.

    Arguments are arrays, attributes are keyword-only; a caller may pass these by position too.
    """
    entry = Primitive(function)
    parameters = inspect.signature(function).parameters.values()
    attributes = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    count = len(parameters) - len(attributes)
    arguments = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]

    @wraps(function)
    def call(*inputs: Any, **given: Any) -> Any:
        if given:
            named = [name for name in arguments[len(inputs) :] if name in given]
            inputs = (*inputs, *(given.pop(name) for name in named))
            given = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
        if len(inputs) > count and not variadic:
            if len(inputs) > len(parameters):
                raise TypeError(
                    f"{entry.name}: takes {len(parameters)} arguments, not {len(inputs)}"
                )
            given |= zip(attributes, inputs[count:], strict=False)
            inputs = inputs[:count]
        for x in inputs:
            if isinstance(x, Node):  # it knows how to record, as in NumPy's protocols
                return x.apply(entry, inputs, given)
        return function(*map(np.asarray, inputs), **given)

    primitives[call] = entry
    return call


# ---------------------------------------------------------------------------- primitives of our own


@primitive
def add_n(*terms: Any) -> Any:
    """The sum of one or more terms of one shape, as one node."""
    if len(terms) == 1:
        return terms[0].copy()
    total = np.asarray(terms[0] + terms[1])
    for term in terms[2:]:
        if term.dtype == total.dtype:
            np.add(total, term, out=total)
        else:
            total = total + term
    return total


@primitive
def astype(x: Any, *, dtype: Any) -> Any:
    """x in another dtype."""
    return x.astype(dtype)


@primitive
def sigmoid(x: Any) -> Any:
    """σ(x) = 1 / (1 + e^−x), elementwise, exact in both tails, without overflow."""
    e = np.exp(-np.abs(x))
    return np.maximum(e, x >= 0) / (1 + e)


@primitive
def relu(x: Any) -> Any:
    """max(x, 0), elementwise. The derivative at 0 is 0."""
    return np.maximum(x, 0)


@primitive
def softplus(x: Any) -> Any:
    """log(1 + e^x), elementwise, without overflow."""
    x = _floating(x)
    return np.logaddexp(x, 0, dtype=x.dtype)


@primitive
def softmax(x: Any, *, axis: int = -1) -> Any:
    """e^x / Σ e^x along an axis, without overflow; all −inf gives all 0."""
    _, e = _shifted_exp(_floating(x), axis)
    return e / np.maximum(np.add.reduce(e, axis=axis, keepdims=True), 1)  # e^0 is a term


@primitive
def log_softmax(x: Any, *, axis: int = -1) -> Any:
    """log softmax(x) along an axis, without overflow or cancellation."""
    x = _floating(x)
    m, e = _shifted_exp(x, axis)
    return (x - m) - np.log(np.add.reduce(e, axis=axis, keepdims=True))


@primitive
def logsumexp(x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    """log Σ e^x over all axes, an axis or several, without overflow.

    All −inf gives −inf, with gradient 0; an inf gives inf, with gradient 1 there, 0 elsewhere.
    """
    x = _floating(x)
    m = np.maximum.reduce(x, axis=axis, keepdims=True)
    lowest = _LOWEST[m.dtype]
    m = np.minimum(np.maximum(m, lowest), -lowest)
    with np.errstate(divide="ignore"):
        y = m + np.log(np.add.reduce(np.exp(x - m), axis=axis, keepdims=True))
    return y if keepdims else y.squeeze(axis)


_LOWEST = {np.dtype(t): np.finfo(t).min for t in (np.half, np.single, np.double, np.longdouble)}


def _shifted_exp(x: Any, axis: Any) -> tuple[Any, Any]:
    """m = max x along the axis, made finite where it is −inf, and e^(x−m)."""
    m = np.maximum.reduce(x, axis=axis, keepdims=True)
    m = np.maximum(m, _LOWEST[m.dtype])
    return m, np.exp(x - m)


def _floating(x: Any) -> Any:
    return x if x.dtype.kind == "f" else x.astype(np.float64)


@primitive
def cross_entropy(
    z: Any, classes: Any, *, reduction: str = "mean", ignore_index: int | None = None
) -> Any:
    """The loss −log softmax(z)[class], in nats.

    z: (…, K) logits, that is, unnormalised log-probabilities.
    classes: (…) integers in 0 … K−1.
    reduction: "mean" or "sum" over all of them, or "none": (…).
    ignore_index: the class, which may be outside 0 … K−1, of what has no part in the loss: it
        leaves sum and mean, and alone it is 0. Its logits are not read, and may be nan.

    The derivative with respect to the logits is softmax(z) − one_hot(classes). An IndexError names
    a class outside 0 … K−1, and its place. A mean over nothing but ignored classes is a ValueError.
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction={reduction!r}; it is 'mean', 'sum' or 'none'")
    if z.shape[:-1] != classes.shape or not z.ndim:
        raise ValueError(f"logits {z.shape} want classes {z.shape[:-1]}, not {classes.shape}")
    if z.dtype == np.float16:  # the sum of many would overflow
        z = z.astype(np.float32)
        single = cross_entropy(z, classes, reduction=reduction, ignore_index=ignore_index)
        return np.asarray(single).astype(np.float16)
    if ignore_index is not None:
        counted = classes != ignore_index
        z, classes = np.where(counted[..., None], z, 0.0), np.where(counted, classes, 0)
    classes = check_range("class", classes, z.shape[-1])
    rows = z.reshape(-1, z.shape[-1])
    shifted = rows - np.maximum.reduce(rows, axis=1, keepdims=True)
    losses = np.log(np.add.reduce(np.exp(shifted), axis=1))
    losses -= shifted.take(np.arange(0, rows.size, rows.shape[1]) + classes.reshape(-1))
    count = len(losses)
    if ignore_index is not None:
        losses *= counted.reshape(-1)
        count = int(np.count_nonzero(counted))
        if reduction == "mean" and losses.size and not count:
            raise ValueError(f"all classes are {ignore_index}, which is ignored: there is no mean")
    if reduction == "none":
        return losses.reshape(classes.shape)
    total = np.add.reduce(losses)
    return total if reduction == "sum" else total / count


def check_range(what: str, x: Any, size: int) -> Any:
    """x as int64; an IndexError if one of the integers is not in 0 … size−1."""
    if x.dtype.kind not in "iu" and x.size:
        raise TypeError(f"{what}: integers are wanted, not {x.dtype}")
    signed = x.astype(np.int64, copy=False)
    unsigned = signed.view(np.uint64)  # what is negative is large now
    if x.size and unsigned.item(unsigned.argmax()) >= size:
        place = tuple(int(i) for i in np.argwhere(unsigned >= size)[0])
        raise IndexError(f"{what} {x[place]} at {place} is not in 0 … {size - 1}")
    return signed


@primitive
def one_hot(classes: Any, *, size: int, dtype: Any = np.float64) -> Any:
    """Integers (…) in 0 … size−1 to (…, size): 1 at the class, 0 elsewhere.

    An IndexError names an integer outside 0 … size−1, and its place.
    """
    check_range("class", classes, size)
    return (classes[..., None] == np.arange(size)).astype(dtype)


@primitive
def embedding(table: Any, ids: Any) -> Any:
    """The rows of a (K, D) table for integers (…) in 0 … K−1, as (…, D).

    An IndexError names an integer outside 0 … K−1, and its place.
    """
    if table.ndim != 2:
        raise ValueError(f"the table is (K, D), not of shape {table.shape}")
    return table.take(check_range("id", ids, len(table)), axis=0)


@primitive
def einsum(*operands: Any, subscripts: str) -> Any:
    """`np.einsum`, with the output's subscripts told and no letter twice in one operand."""
    large = max(x.size for x in operands) > 4000  # planning takes 10 µs, and finds the BLAS
    return np.einsum(subscripts, *operands, optimize=large)


class _Array:
    """Stands in an index where `getitem` is to put its next index array."""

    def __repr__(self) -> str:
        return "array"


ARRAY = _Array()
LOOKUP = (ARRAY,)  # the index of x[ids]


@primitive
def getitem(x: Any, *arrays: Any, index: tuple[Any, ...]) -> Any:
    """x[index]. Index arrays are inputs, since they are data; `ARRAY` keeps their places in
    `index`.
    """
    return x[_filled(index, arrays)]


@primitive
def scatter(g: Any, *arrays: Any, index: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    """Zeros of a shape with g added at [index]: what `getitem` is differentiated to."""
    out = np.zeros(shape, g.dtype)
    if index == LOOKUP and arrays[0].dtype.kind != "b":
        rows = arrays[0].reshape(-1)
        _add_rows(out, rows, g.reshape(len(rows), *shape[1:]))
    elif arrays:
        np.add.at(out, _filled(index, arrays), g)
    else:
        out[index] = g  # integers and slices name each element at most once
    return out


def _add_rows(out: Any, rows: Any, g: Any) -> None:
    """`np.add.at(out, rows, g)`, by sorting the rows: up to 5 times as fast."""
    if rows.size:
        rows = rows.astype(np.intp) % len(out)
        order = np.argsort(rows, kind="stable")
        rows = rows[order]
        first = np.flatnonzero(np.concatenate([[True], rows[1:] != rows[:-1]]))
        out[rows[first]] = np.add.reduceat(g[order], first)


def _filled(index: tuple[Any, ...], arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    rest = iter(arrays)
    return tuple(next(rest) if part is ARRAY else part for part in index)


def matmul(a: Any, b: Any) -> Any:
    """a @ b. One product of matrices, by `np.dot`, is faster than many, most of all thin ones."""
    if b.ndim != 2 or a.ndim < 2:
        return np.matmul(a, b)
    if a.ndim == 2:
        return np.dot(a, b)
    return np.dot(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[1])


def mean(x: Any, axis: Any = None, keepdims: Any = False) -> Any:
    """The mean; `np.mean` takes a detour through Python, which pays for float16 only."""
    if x.dtype == np.float16:
        return np.mean(x, axis=axis, keepdims=keepdims)
    total = np.add.reduce(x, axis=axis, keepdims=keepdims)
    return total / (x.size / total.size if total.size else 1)


class Product:
    """Aᵀ G, put off: a sum of such products over time is one product of their stacked rows.

    Rows of A that are one-hot are kept as integers: (rows,) stands for (rows, M). G may have one
    more axis in front, of many adjoints; the product has it too.
    """

    __slots__ = ("a", "dtype", "g", "shape")

    def __init__(self, a: Any, g: Any, shape: tuple[int, ...]) -> None:
        self.a = a  # (rows, M) or (rows,)
        self.g = g  # (…, rows, N)
        self.shape = g.shape[:-2] + shape  # (…, M, N)
        self.dtype = g.dtype


def sums_of_products(products: list[Product]) -> list[Any]:
    """Σ Aᵀ G of one shape: one array for the products of rows, one for those of one-hot rows."""
    shape = products[0].shape
    sums = []
    for ndim in (2, 1):
        alike = [product for product in products if product.a.ndim == ndim]
        if not alike:
            continue
        a = np.concatenate([product.a for product in alike])
        g = np.concatenate([product.g for product in alike], axis=-2)
        sums.append(matmul(a.T, g) if ndim == 2 else scatter(g, a, index=LOOKUP, shape=shape))
    return sums


# fmt: off
# --------------------------------------------------------------------------------------- arithmetic

rule(np.add,      lambda g, y, a, b: g,
                  lambda g, y, a, b: g)
rule(np.subtract, lambda g, y, a, b: g,
                  lambda g, y, a, b: -g)
rule(np.multiply, lambda g, y, a, b: g * b,
                  lambda g, y, a, b: g * a)
rule(np.divide,   lambda g, y, a, b: g / b,
                  lambda g, y, a, b: -g * y / b)
rule(np.matmul,   lambda g, y, a, b: times_transposed(g, y, a, b),
                  lambda g, y, a, b: transposed_times(g, y, a, b))
rule(np.power,    lambda g, y, a, b: g * slope_of_power(a, b),
                  lambda g, y, a, b: g * y * np.log(np.where(a == 0, 1.0, a)))
rule(np.maximum,  lambda g, y, a, b: share(g, a < b, a == b),
                  lambda g, y, a, b: share(g, b < a, a == b))
rule(np.minimum,  lambda g, y, a, b: share(g, a > b, a == b),
                  lambda g, y, a, b: share(g, b > a, a == b))
rule(np.remainder, lambda g, y, a, b: g,
                   lambda g, y, a, b: -g * np.floor(a / b))
rule(np.where,    None,
                  lambda g, y, condition, a, b: np.where(condition, g, 0.0),
                  lambda g, y, condition, a, b: np.where(condition, 0.0, g))
rule_of_many(add_n, lambda slot, g, y, *terms: g)

# ------------------------------------------------------------------------------------- one argument

rule(np.negative,   lambda g, y, x: -g)
rule(np.positive,   lambda g, y, x: g)
rule(np.exp,        lambda g, y, x: g * y)
rule(np.expm1,      lambda g, y, x: g * (y + 1))
rule(np.log,        lambda g, y, x: g / x)
rule(np.log1p,      lambda g, y, x: g / (x + 1))
rule(np.sqrt,       lambda g, y, x: 0.5 * g / y)
rule(np.square,     lambda g, y, x: 2 * g * x)
rule(np.reciprocal, lambda g, y, x: -g * y * y)
rule(np.absolute,   lambda g, y, x: g * np.sign(x))
rule(np.sin,        lambda g, y, x: g * np.cos(x))
rule(np.cos,        lambda g, y, x: -g * np.sin(x))
rule(np.tanh,       lambda g, y, x: g * (1 - y * y))
rule(sigmoid,       lambda g, y, x: g * (y * (1 - y)))
rule(relu,          lambda g, y, x: np.where(x <= 0, 0.0, g))
rule(softplus,      lambda g, y, x: g * sigmoid(x))
rule(astype,        lambda g, y, x, dtype=None: g)
rule(np.clip,       lambda g, y, x, a_min=None, a_max=None, min=None, max=None:
                        np.where(np.logical_or(x < y, x > y), 0.0, g))

# --------------------------------------------------------------------------------------- reductions

rule(np.sum,  lambda g, y, x, axis=None, keepdims=False: spread(g, x, axis, keepdims))
rule(np.mean, lambda g, y, x, axis=None, keepdims=False:
                  spread(g * (y.size / max(x.size, 1)), x, axis, keepdims))
rule(np.max,  lambda g, y, x, axis=None, keepdims=False: at_extremum(g, y, x, axis, keepdims))
rule(np.min,  lambda g, y, x, axis=None, keepdims=False: at_extremum(g, y, x, axis, keepdims))
rule(np.cumsum, lambda g, y, x, axis=None: np.reshape(
                    np.flip(np.cumsum(np.flip(g, axis or 0), axis=axis or 0), axis or 0), x.shape))
primitive_of(np.mean).function = mean
primitive_of(np.matmul).function = matmul

rule(softmax,     lambda g, y, x, axis=-1: y * (g - (g * y).sum(axis=axis, keepdims=True)))
rule(log_softmax, lambda g, y, x, axis=-1: g - np.exp(y) * g.sum(axis=axis, keepdims=True))
rule(logsumexp,   lambda g, y, x, axis=None, keepdims=False:
                      expand(g, x, axis, keepdims)
                      * np.exp(np.minimum(x - expand(finite(y), x, axis, keepdims), 0.0)))
rule(cross_entropy, lambda g, y, z, classes, reduction="mean", ignore_index=None:
                        to_logits(g, y, z, classes, reduction, ignore_index),
                    None)

# ------------------------------------------------------------------------------------------- shapes

rule(np.reshape,      lambda g, y, x, shape=None: shaped(g, y, x))
rule(np.ravel,        lambda g, y, x: shaped(g, y, x))
rule(np.squeeze,      lambda g, y, x, axis=None: shaped(g, y, x))
rule(np.expand_dims,  lambda g, y, x, axis=0: shaped(g, y, x))
rule(np.broadcast_to, lambda g, y, x, shape=None: g)
rule(np.transpose,    lambda g, y, x, axes=None: np.transpose(g, inverse(axes, x.ndim)))
rule(np.swapaxes,     lambda g, y, x, axis1=0, axis2=1: np.swapaxes(g, axis1, axis2))
rule(np.moveaxis,     lambda g, y, x, source=0, destination=0: np.moveaxis(g, destination, source))
rule(np.flip,         lambda g, y, x, axis=None: np.flip(g, axis))
rule(embedding,       lambda g, y, table, ids: looked_up(g, table, ids), None)
rule_of_many(getitem, lambda slot, g, y, x, *arrays, index=():
                          scatter(g, *arrays, index=index, shape=x.shape))
rule_of_many(scatter, lambda slot, g, y, values, *arrays, index=(), shape=():
                          getitem(g, *arrays, index=index))
rule_of_many(einsum,  lambda slot, g, y, *xs, subscripts="":
                          einsum_of_others(slot, g, xs, subscripts))
rule_of_many(np.concatenate, lambda slot, g, y, *xs, axis=0: part(g, slot, xs, axis),
             compute=lambda *xs, axis=0: np.concatenate(xs, axis))
rule_of_many(np.stack, lambda slot, g, y, *xs, axis=0: along(g, axis, slot),
             compute=lambda *xs, axis=0: np.stack(xs, axis))

# ----------------------------------------------------------------------------- without a derivative

without_derivative(
         np.sign, np.floor, np.ceil, np.rint, np.trunc, np.isnan, np.isinf, np.isfinite,
         np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal,
         np.logical_and, np.logical_or, np.logical_not, np.logical_xor,
         np.floor_divide, np.argmax, np.argmin, np.argsort)
# fmt: on


def slope_of_power(a: Any, b: Any) -> Any:
    """d(a^b)/da = b a^(b−1); 0 for b = 0, at a = 0 too."""
    if isinstance(b, (int, float)):
        return b * a ** (b - 1) if b else np.where(a == a, 0.0, a)
    return b * np.where(np.logical_and(a == 0, b == 0), 1.0, a) ** (b - 1)


def finite(y: Any) -> Any:
    """y, but 0 for −inf and the largest number for inf: what is subtracted from an infinite x."""
    return np.where(y == -np.inf, 0.0, np.minimum(y, np.finfo(y.dtype).max))


def share(g: Any, loses: Any, ties: Any) -> Any:
    """0 where the argument loses, half of g where the arguments are equal, else g, at nan too."""
    return np.where(ties, 0.5 * g, np.where(loses, 0.0, g))


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """An `axis` argument as a tuple of axes, none of them negative."""
    return tuple(range(ndim)) if axis is None else tuple(normalize_axis_tuple(axis, ndim))


def shaped(g: Any, y: Any, x: Any) -> Any:
    """g, of y's shape, in x's; further axes in front stay."""
    return np.reshape(g, g.shape[: g.ndim - y.ndim] + x.shape)


def expand(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """g with the axes put back, of length 1, along which x was reduced; axes in front stay."""
    if keepdims or not x.ndim:
        return g
    reduced = axes_of(axis, x.ndim)
    kept = tuple(1 if i in reduced else n for i, n in enumerate(x.shape))
    return np.reshape(g, g.shape[: g.ndim - x.ndim + len(reduced)] + kept)


def spread(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """g at every element of x that was reduced to it."""
    wide = expand(g, x, axis, keepdims)
    return np.broadcast_to(wide, wide.shape[: wide.ndim - x.ndim] + x.shape)


def at_extremum(g: Any, y: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """g at the elements that equal the extremum y, shared equally among them."""
    here = astype(x == expand(y, x, axis, keepdims), dtype=x.dtype)
    return expand(g, x, axis, keepdims) * (here / here.sum(axis=axis, keepdims=True))


def times_transposed(g: Any, y: Any, a: Any, b: Any) -> Any:
    """dL/dA = G Bᵀ for Y = A B, where each may be a vector, a matrix, or a batch of matrices."""
    if b.ndim == 1:
        return g[..., None] * b
    if a.ndim == 1:
        return (g[..., None, :] @ b.mT)[..., 0, :]
    if isinstance(g, np.ndarray):
        if g.ndim == b.ndim == 2:
            return np.ascontiguousarray(np.dot(b, g.T).T)  # (B Gᵀ)ᵀ: up to 1.5 times as fast
        return matmul(g, b.mT)
    return g @ b.mT


def transposed_times(g: Any, y: Any, a: Any, b: Any) -> Any:
    """dL/dB = Aᵀ G for Y = A B."""
    if a.ndim == 1:
        return a * g[..., None] if b.ndim == 1 else a[:, None] * g[..., None, :]
    if b.ndim == 1:
        return (a.mT @ g[..., None])[..., 0]
    if isinstance(g, np.ndarray) and a.ndim == b.ndim == 2:
        return Product(a, g, b.shape)
    return a.mT @ g


def take_many(*functions: Callable[..., Any]) -> None:
    """Enter primitives whose rules work row by row: they take many g at once, stacked in front."""
    for function in functions:
        primitives[function].many = True


take_many(*(function for function in primitives if isinstance(function, np.ufunc)))
take_many(np.sum, np.mean, np.max, np.min, np.clip, np.where, np.broadcast_to, np.reshape, np.ravel,
          np.squeeze, np.expand_dims, add_n, astype, sigmoid, relu, softplus,
          cross_entropy)  # fmt: skip


def to_logits(
    g: Any, y: Any, z: Any, classes: Any, reduction: str, ignore_index: int | None
) -> Any:
    """dL/dz of the cross-entropy: g (softmax(z) − one_hot(classes)), and 0 where it is ignored."""
    count = classes.size
    if ignore_index is not None:
        counted = classes != ignore_index
        count = np.sum(counted.astype(z.dtype))
        z = np.where(counted[..., None], z, 0.0)
    slope = softmax(z) - (classes[..., None] == np.arange(z.shape[-1]))
    if ignore_index is not None:
        slope = np.where(counted[..., None], slope, 0.0)
    if reduction == "mean":
        g = g / count
    return slope * np.reshape(g, g.shape + (1,) * (z.ndim - y.ndim))


def einsum_of_others(slot: int, g: Any, xs: tuple[Any, ...], subscripts: str) -> Any:
    """dL/d(operand `slot`): the sum over products of g with the other operands."""
    *letters, out = subscripts.replace("->", ",").split(",")
    own = letters.pop(slot)
    others = [x for i, x in enumerate(xs) if i != slot]
    reached = "".join(c for c in own if c in "".join([out, *letters]))
    term = einsum(g, *others, subscripts=f"{','.join([out, *letters])}->{reached}")
    sizes = tuple(n if c in reached else 1 for c, n in zip(own, xs[slot].shape, strict=True))
    return np.broadcast_to(np.reshape(term, sizes), xs[slot].shape)


def inverse(axes: Any, ndim: int) -> Any:
    """The permutation that undoes `axes`."""
    return None if axes is None else tuple(int(i) for i in np.argsort(axes_of(tuple(axes), ndim)))


def along(g: Any, axis: int, at: Any) -> Any:
    """g indexed along one axis."""
    return getitem(g, index=(slice(None),) * (axis % g.ndim) + (at,))


def part(g: Any, slot: int, xs: tuple[Any, ...], axis: int | None) -> Any:
    """The part of g that belongs to argument `slot` of a concatenation."""
    if axis is None:
        start = sum(x.size for x in xs[:slot])
        flat = getitem(g, index=(slice(start, start + xs[slot].size),))
        return np.reshape(flat, xs[slot].shape)
    start = sum(x.shape[axis] for x in xs[:slot])
    return along(g, axis, slice(start, start + xs[slot].shape[axis]))


def looked_up(g: Any, table: Any, ids: Any) -> Any:
    """dL/d(table): each row of g added to the row of the table that it was looked up from."""
    if isinstance(g, np.ndarray):
        return Product(ids.flatten(), g.reshape(ids.size, table.shape[1]), table.shape)
    return scatter(g, ids, index=LOOKUP, shape=table.shape)
