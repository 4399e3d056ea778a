"""The functions a network is written with, beside NumPy's own.

Each checks what a person may get wrong, says what, and hands on to a primitive, or composes
primitives. All of them take arrays as well as tensors. The registered ones are what NumPy's
functions of the same name do when they are fed tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import rules
from .record import composites
from .tensor import Tensor


def sigmoid(x: Any) -> Any:
    """σ(x) = 1 / (1 + e^−x), elementwise; no overflow, no warning."""
    return rules.sigmoid(_operand(x))


def relu(x: Any) -> Any:
    """max(x, 0), elementwise. The derivative at 0 is 0."""
    return rules.relu(_operand(x))


def softplus(x: Any) -> Any:
    """log(1 + e^x), elementwise, without overflow."""
    return rules.softplus(_operand(x))


def softmax(x: Any, axis: int = -1) -> Any:
    """e^x / Σ e^x along an axis, without overflow; all −inf gives all 0."""
    return rules.softmax(_operand(x), axis=axis)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """log softmax(x) along an axis, without overflow or cancellation."""
    return rules.log_softmax(_operand(x), axis=axis)


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log Σ e^x over all axes, an axis or a tuple of axes; all −inf gives −inf, with gradient 0."""
    return rules.logsumexp(_operand(x), axis=axis, keepdims=keepdims)


def cross_entropy(logits: Any, classes: Any, reduction: str = "mean") -> Any:
    """The loss −log softmax(logits)[class], in nats.

    logits: (…, K), unnormalised log-probabilities.
    classes: (…) integers in 0 … K−1.
    reduction: "mean" or "sum" over all of them, or "none": (…).

    The derivative with respect to the logits is softmax(logits) − one_hot(classes).
    An IndexError names a class outside 0 … K−1, and its place.
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"cross_entropy: reduction={reduction!r}; it is 'mean', 'sum' or 'none'")
    return rules.cross_entropy(_operand(logits), _operand(classes), reduction=reduction)


def embedding(table: Any, ids: Any) -> Any:
    """The rows of a (K, D) table for integers (…) in 0 … K−1, as (…, D).

    An IndexError names an integer outside 0 … K−1, and its place.
    """
    table, ids = _operand(table), _operand(ids)
    if table.ndim != 2:
        raise ValueError(f"embedding: the table is (K, D), not of shape {table.shape}")
    rules.check_range("id", ids.array if isinstance(ids, Tensor) else ids, len(table))
    return rules.getitem(table, ids, index=rules.LOOKUP)


def one_hot(classes: Any, size: int, dtype: Any = np.float64) -> Any:
    """Integers (…) in 0 … size−1 to (…, size): 1 at the class, 0 elsewhere."""
    classes = _operand(classes)
    rules.check_range("class", classes.array if isinstance(classes, Tensor) else classes, size)
    return rules.one_hot(classes, size=size, dtype=dtype)


def add_n(terms: Sequence[Any]) -> Any:
    """The sum of one or more terms of one shape, as one node."""
    if not len(terms) or len({np.shape(term) for term in terms}) != 1:
        raise ValueError(
            f"add_n: terms of one shape are wanted, not {[np.shape(term) for term in terms]}"
        )
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


@composed(np.prod)
def prod(x: Tensor, axis: Any = None, keepdims: bool = False) -> Any:
    """The product over all axes, an axis or a tuple of axes; its gradient is exact where a factor
    is 0.

    Multiplies the two halves until one factor is left, so no division is needed to leave one out.
    """
    axes = rules.axes_of(axis, x.ndim)
    kept = [i for i in range(x.ndim) if i not in axes]
    factors: Tensor = x.transpose(*axes, *kept).reshape(-1, *(x.shape[i] for i in kept))
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
def var(x: Tensor, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
    """The variance over all axes, an axis or a tuple of axes, divided by n − ddof."""
    y = ((x - x.mean(axis, keepdims=True)) ** 2).sum(axis, keepdims)
    return y / max(x.size / max(y.size, 1) - ddof, 0.0)


@composed(np.outer)
def outer(a: Any, b: Any) -> Any:
    """a_i b_j, of the two arrays laid flat."""
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


# ------------------------------------------------------------------------------------------- checks


def _operand(x: Any) -> Any:
    return x if isinstance(x, (Tensor, np.ndarray)) else np.asarray(x)
