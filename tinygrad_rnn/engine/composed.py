"""NumPy functions that are composed of primitives: what they do when they are fed tensors.

Each has the signature that it has in NumPy, and no rule of its own.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from . import rules
from .record import check_readable, composites, primitives
from .tensor import Tensor, as_array, from_array


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
        check_readable("np.where with one argument")
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
    if a.dtype.kind != "f":
        check_readable("np.prod of integers")
        return from_array(np.prod(a.array, axis, keepdims=keepdims))
    axes = rules.axes_of(axis, a.ndim)
    kept = [i for i in range(a.ndim) if i not in axes]
    factors: Any = a.transpose(*axes, *kept).reshape(
        math.prod(a.shape[i] for i in axes), *(a.shape[i] for i in kept)
    )
    if not len(factors):
        factors = factors.sum(axis=0, keepdims=True) + 1
    while len(factors) > 1:
        half, odd = divmod(len(factors), 2)
        rest = factors[2 * half :]
        factors = factors[:half] * factors[half : 2 * half]
        if odd:
            factors = np.concatenate([factors, rest])
    return rules.expand(factors[0], a, axis, keepdims=False) if keepdims else factors[0]


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
    y = ((a - a.mean(axis, keepdims=True)) ** 2).sum(axis, keepdims)
    return y / max(a.size / max(y.size, 1) - ddof, 0.0)


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


@composed(np.einsum)
def einsum(subscripts: Any, *operands: Any) -> Any:
    """The sum of products that the subscripts say, "ij,jk->ik". No ellipsis, and no diagonals."""
    if not isinstance(subscripts, str):
        raise TypeError("np.einsum of tensors takes its subscripts as a string first")
    text = subscripts.replace(" ", "")
    inputs, arrow, out = text.partition("->")
    if not arrow:
        out = "".join(sorted(c for c in set(inputs) - {","} if inputs.count(c) == 1))
    if "." in text or any(len(set(one)) < len(one) for one in inputs.split(",")):
        raise TypeError(f"np.einsum of tensors: {subscripts!r} has an ellipsis or a diagonal")
    sizes: dict[str, int] = {}
    for one, x in zip(inputs.split(","), operands, strict=False):
        for letter, n in zip(one, np.shape(x), strict=False):
            if sizes.setdefault(letter, n) != n:
                raise ValueError(f"{letter} in {subscripts!r} has the lengths {sizes[letter]}, {n}")
    arrays = [x if isinstance(x, Tensor) else np.asarray(x) for x in operands]
    return rules.einsum(*arrays, subscripts=f"{inputs}->{out}")


@composed(np.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """The sum over pairs of axes, as one product of matrices."""
    a, b = _tensor(a), _tensor(b)
    if isinstance(axes, int):
        of_a = rules.axes_of(tuple(range(-axes, 0)), a.ndim)
        of_b = rules.axes_of(tuple(range(axes)), b.ndim)
    else:
        of_a, of_b = rules.axes_of(axes[0], a.ndim), rules.axes_of(axes[1], b.ndim)
    rest_a = [i for i in range(a.ndim) if i not in of_a]
    rest_b = [i for i in range(b.ndim) if i not in of_b]
    if [a.shape[i] for i in of_a] != [b.shape[i] for i in of_b]:
        raise ValueError(f"axes {of_a} and {of_b} differ in length")
    inner = math.prod(a.shape[i] for i in of_a)
    shape = (*(a.shape[i] for i in rest_a), *(b.shape[i] for i in rest_b))
    left = a.transpose(*rest_a, *of_a).reshape(math.prod(shape[: len(rest_a)]), inner)
    right = b.transpose(*of_b, *rest_b).reshape(inner, math.prod(shape[len(rest_a) :]))
    return (left @ right).reshape(shape)


# ----------------------------------------------------------------------------------- square roots


@composed(np.std)
def std(
    a: Tensor,
    axis: Any = None,
    dtype: None = None,
    out: None = None,
    ddof: int = 0,
    keepdims: bool = False,
) -> Any:
    """The standard deviation, divided by n − ddof under the root; of constants 0, with slope 0."""
    _refuse("std", dtype=dtype, out=out)
    return _root(var(a, axis, ddof=ddof, keepdims=keepdims))


@composed(np.linalg.norm)
def norm(x: Tensor, ord: None = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The Euclidean norm over all axes, an axis or a tuple of axes; of zeros 0, with slope 0."""
    _refuse("linalg.norm", ord=ord)
    return _root((x * x).sum(axis, keepdims))


def _root(y: Any) -> Any:
    """√y, with the derivative 0 at 0. Outside, `where` alone would pass on 0 · inf."""
    return np.where(y == 0, 0.0, np.sqrt(np.where(y == 0, 1.0, y)))


# ------------------------------------------------------------------------------------- by index


@composed(np.take)
def take(
    a: Any, indices: Any, axis: int | None = None, out: None = None, mode: str = "raise"
) -> Any:
    """The elements at the indices along an axis; of the array laid flat, if it is None."""
    _refuse("take", out=out, mode=None if mode == "raise" else mode)
    a = _tensor(a)
    if axis is None:
        return a.reshape(-1)[indices]
    (axis,) = rules.axes_of(axis, a.ndim)
    return a[(slice(None),) * axis + (indices,)]


@composed(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    """The elements at indices that stand where the results are to stand."""
    arr = _tensor(arr)
    if axis is None:
        arr, axis = arr.reshape(-1), 0
    (axis,) = rules.axes_of(axis, arr.ndim)
    if np.ndim(indices) != arr.ndim:
        raise ValueError(f"indices of {np.ndim(indices)} axes for an array of {arr.ndim}")
    places: list[Any] = list(np.ogrid[tuple(slice(n) for n in arr.shape)])
    places[axis] = indices  # which broadcasts with the others
    return arr[tuple(places)]


@composed(np.repeat)
def repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each element so many times, along an axis; of the array laid flat, if it is None."""
    length = a.size if axis is None else _length(a, axis)
    return take(a, np.repeat(np.arange(length), repeats), axis)


@composed(np.tile)
def tile(A: Any, reps: Any) -> Any:
    """The array so many times along each axis."""
    counts = tuple(operator.index(n) for n in ([reps] if np.ndim(reps) == 0 else reps))
    if min(counts, default=0) < 0:
        raise ValueError(f"a negative count in {counts}")
    counts = (1,) * (A.ndim - len(counts)) + counts
    x = A.reshape((1,) * (len(counts) - A.ndim) + A.shape)
    for axis, count in enumerate(counts):
        x = np.concatenate([x] * count, axis) if count else take(x, np.arange(0), axis)
    return x


@composed(np.roll)
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    """The elements moved along an axis or axes, round the end; of the flat array, if it is None."""
    if axis is None:
        return roll(a.reshape(-1), shift, 0).reshape(a.shape)
    for by, along in np.broadcast(shift, axis):
        length = _length(a, int(along))
        a = take(a, (np.arange(length) - int(by)) % max(length, 1), int(along))
    return a


@composed(np.split)
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """The parts of an array along an axis: so many equal ones, or cut at the indices."""
    parts = np.split(np.arange(_length(ary, axis)), indices_or_sections)
    cuts = [slice(int(p[0]), int(p[-1]) + 1) if len(p) else slice(0) for p in parts]
    return [rules.along(ary, axis, cut) for cut in cuts]


@composed(np.pad)
def pad(array: Any, pad_width: Any, mode: str = "constant", constant_values: float = 0) -> Any:
    """The array with so many elements before and after it on each axis, all of one value."""
    _refuse("pad", mode=None if mode == "constant" else mode)
    given = np.asarray(pad_width)
    if given.size and given.dtype.kind not in "iu":
        raise TypeError(f"pad_width: integers are wanted, not {given.dtype}")
    if (given < 0).any():
        raise ValueError(f"pad_width: {pad_width} has a negative number")
    widths = np.broadcast_to(given, (array.ndim, 2)).tolist()
    shape = tuple(n + sum(width) for n, width in zip(array.shape, widths, strict=True))
    inside = tuple(slice(b, b + n) for n, (b, _) in zip(array.shape, widths, strict=True))
    padded = rules.scatter(array, index=inside, shape=shape)
    if not constant_values:
        return padded
    around = np.ones(shape, bool)
    around[inside] = False
    return np.where(around, constant_values, padded)


def _length(a: Any, axis: int) -> int:
    (axis,) = rules.axes_of(axis, a.ndim)
    return int(a.shape[axis])


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else Tensor(x)
