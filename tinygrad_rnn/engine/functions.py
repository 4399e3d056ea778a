"""What is composed of primitives, and what NumPy's functions of that name do when fed tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import rules
from .record import composites, primitives
from .tensor import Tensor, as_array, from_array


def add_n(terms: Sequence[Any]) -> Any:
    """The sum of one or more terms of one shape, as one node."""
    shapes = {as_array(term).shape for term in terms}
    if len(shapes) != 1:
        raise ValueError(f"add_n: one or more terms of one shape are wanted, not of {shapes}")
    return rules.add_n(*terms)


def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Arrays of one shape along a new axis, as `np.stack`."""
    return np.stack(arrays, axis)


def concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    """Arrays one after another along an axis, as `np.concatenate`."""
    return np.concatenate(arrays, axis)


def where(condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds, b elsewhere, as `np.where`.

    Both are computed. A nan or inf in the branch not taken still reaches its gradient as 0 · nan:
    guard its argument too, `where(x > 0, log(where(x > 0, x, 1)), 0)`.
    """
    return np.where(condition, a, b)


# ------------------------------------------------------------------------ NumPy functions, composed


def composed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Register what a NumPy function does when it is fed tensors."""

    def register(ours: Callable[..., Any]) -> Callable[..., Any]:
        composites[function] = ours
        return ours

    return register


def _refuse(function: str, **arguments: Any) -> None:
    for name, value in arguments.items():
        if value is not None:
            raise TypeError(f"np.{function} of tensors does not take {name}=")


@composed(np.where)
def where_or_places(condition: Any, *branches: Any) -> Any:
    """Between two branches, or, without any, the places where the condition holds, as arrays."""
    if not branches:
        return np.nonzero(as_array(condition))
    return Tensor.apply(primitives[np.where], (condition, *branches), {})


@composed(np.prod)
def prod(
    a: Tensor, axis: Any = None, dtype: None = None, out: None = None, keepdims: bool = False
) -> Any:
    """The product over all axes, an axis or a tuple of axes; its gradient is exact where a factor
    is 0.

    Multiplies the two halves until one factor is left, so no division is needed to leave one out.
    """
    _refuse("prod", dtype=dtype, out=out)
    x = a
    if x.dtype.kind != "f":
        return from_array(np.prod(x.array, axis, keepdims=keepdims))
    axes = rules.axes_of(axis, x.ndim)
    kept = [i for i in range(x.ndim) if i not in axes]
    factors: Tensor = x.transpose(*axes, *kept).reshape(
        math.prod(x.shape[i] for i in axes), *(x.shape[i] for i in kept)
    )
    if not len(factors):
        factors = factors.sum(axis=0, keepdims=True) + 1
    while len(factors) > 1:
        half, odd = divmod(len(factors), 2)
        rest = factors[2 * half :]
        factors = factors[:half] * factors[half : 2 * half]
        if odd:
            factors = concatenate([factors, rest])
    return rules.expand(factors[0], x, axis, keepdims=False) if keepdims else factors[0]


@composed(np.var)
def var(
    a: Tensor,
    axis: Any = None,
    dtype: None = None,
    out: None = None,
    ddof: int = 0,
    keepdims: bool = False,
) -> Any:
    """The variance over all axes, an axis or a tuple of axes, divided by n − ddof."""
    _refuse("var", dtype=dtype, out=out)
    x = a
    y = ((x - x.mean(axis, keepdims=True)) ** 2).sum(axis, keepdims)
    return y / max(x.size / max(y.size, 1) - ddof, 0.0)


@composed(np.dot)
def dot(a: Any, b: Any) -> Any:
    """The sum over the last axis of a and the last but one of b; a product with a scalar."""
    if not np.ndim(a) or not np.ndim(b):
        return a * b
    if np.ndim(b) <= 2:
        return a @ b
    columns = np.moveaxis(b, -2, 0)
    product = a @ np.reshape(columns, (columns.shape[0], -1))
    return np.reshape(product, (*np.shape(a)[:-1], *columns.shape[1:]))


@composed(np.outer)
def outer(a: Any, b: Any) -> Any:
    """a_i b_j, of the two arrays laid flat."""
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))
