"""What goes in: the arguments of a call, as arrays, inputs of a primitive and attributes.

It knows NumPy's conventions, and that a node has an array; not how anything is recorded.
"""

from __future__ import annotations

import functools
import inspect
import operator
from typing import Any

import numpy as np
import numpy.typing as npt

from .record import Node, Primitive, check_readable

# Functions of NumPy that look at tensors without being recorded.
PLAIN = {
    np.shape, np.ndim, np.size, np.allclose, np.isclose, np.array_equal, np.array_equiv,
    np.zeros_like, np.ones_like, np.full_like, np.empty_like, np.result_type, np.can_cast,
    np.array_repr, np.array_str, np.array2string, np.any, np.all, np.count_nonzero, np.iscomplexobj,
}  # fmt: skip

READING = PLAIN & {
    np.allclose, np.isclose, np.array_equal, np.array_equiv, np.full_like, np.any, np.all,
    np.array_repr, np.array_str, np.array2string, np.count_nonzero,
}  # fmt: skip
"""Those that look at the values, and not only at shape and dtype."""


def data_of(data: Any, dtype: Any) -> npt.NDArray[Any]:
    """The caller's data as an array of our own."""
    if isinstance(data, Node):
        check_readable("a tensor made from a tensor's value")
        data = data.array
    try:
        array = np.array(data, dtype=dtype)
    except (ValueError, TypeError) as error:
        raise type(error)(f"tensor: this is not an array of numbers: {error}") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"tensor: {array.dtype} data; a tensor holds real numbers, integers or booleans"
        )
    return array.view()


def own(array: Any) -> npt.NDArray[Any]:
    """A copy, as a view of a buffer that is ours alone; see held.py for what that is good for."""
    return np.array(array).view()


def constant(x: Any, primitive: Primitive) -> Any:
    """A copy of an operand that is no tensor: what is done to it later changes no gradient."""
    try:
        array = x if isinstance(x, np.generic) else np.array(x)
    except (ValueError, TypeError):  # of unequal lengths, or of tensors
        array = None
    if array is None or array.dtype.kind not in "fiub":
        of_steps = isinstance(x, tuple) and len(x) > 1 and isinstance(x[0], int)
        hint = "; steps yields (t, x): write `for t, x in tg.steps(xs):`" if of_steps else ""
        raise TypeError(f"{primitive.name}: {x!r:.40} is not a number, an array or a tensor{hint}")
    return array


def index_part(part: Any) -> Any:
    if isinstance(part, (list, np.ndarray, Node)):
        if isinstance(part, list):
            part = np.asarray(part, dtype=None if part else np.intp)
        if part.dtype.kind not in "iub":
            raise TypeError(f"index: {part.dtype} array; indices are integers or booleans")
        return part
    if part is None or part is Ellipsis or isinstance(part, (slice, bool, np.bool_)):
        return part
    try:
        return operator.index(part)
    except TypeError:
        raise TypeError(f"index: {part!r} is not an integer, a slice or an array of them") from None


def unpacked(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """(2, 3) from f(2, 3) and from f((2, 3))."""
    nested = len(arguments) == 1 and isinstance(arguments[0], (tuple, list, np.ndarray))
    return tuple(arguments[0]) if nested else arguments


def bound(
    entry: Primitive, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A call of a NumPy function, as the inputs and attributes of its primitive."""
    names, count = _parameters(entry, function)
    given = dict(zip(names, args, strict=False)) | kwargs  # NumPy has checked that they fit
    arguments = [given.pop(name) for name in names[:count] if name in given]
    inputs = tuple(arguments[0] if entry.variadic else arguments)
    attributes = {
        k: _frozen(v)
        for k, v in given.items()
        if v is not np._NoValue and (v is not None or k in ("axis", *entry.keywords))
    }
    for k, v in attributes.items():
        if isinstance(v, Node):
            raise TypeError(f"np.{entry.name}: {k} is a tensor; give a number or an array")
    unknown = [k for k in attributes if k not in entry.keywords]
    if entry.vjps and unknown:
        raise TypeError(f"np.{entry.name} of tensors does not take {', '.join(map(str, unknown))}=")
    return inputs, attributes


@functools.cache
def _parameters(entry: Primitive, function: Any) -> tuple[list[Any], int]:
    """The names of a function's parameters, and how many of them, the first ones, are inputs."""
    count = 1 if entry.variadic else max(len(entry.vjps), 1)
    try:
        return list(inspect.signature(function).parameters), count
    except ValueError:  # a built-in that does not tell its signature
        return [*range(count), *entry.keywords], count


def _frozen(x: Any) -> Any:
    """A list of axes as a tuple, which nobody can change afterwards."""
    return tuple(x) if isinstance(x, list) else x.copy() if isinstance(x, np.ndarray) else x


def arrays_of(x: Any) -> Any:
    """The arguments of a call, with arrays in the place of tensors."""
    if isinstance(x, Node):
        return x.array
    if isinstance(x, (tuple, list)):
        return type(x)(arrays_of(part) for part in x)
    return {k: arrays_of(v) for k, v in x.items()} if isinstance(x, dict) else x
