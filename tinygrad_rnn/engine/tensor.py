"""The tensor: an array that remembers how it was made.

`Tensor` gives the recorded `Node` the face of a NumPy array. Python's operators, NumPy's own
functions (through `__array_ufunc__` and `__array_function__`) and the methods all end in `apply`,
which computes a value and stamps the node. This file holds no rule, and does not know in which
order to differentiate.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from .arguments import (
    PLAIN,
    READING,
    arrays_of,
    bound,
    constant,
    data_of,
    index_part,
    own,
    unpacked,
)
from .held import read_only
from .record import (
    Node,
    Primitive,
    check_readable,
    composites,
    primitive_of,
    primitives,
    recorder,
    retained,
    stamp,
    stamp_all,
)
from .rules import ARRAY, astype, getitem
from .sweep import adjoints

_new = object.__new__
_NONE: dict[str, Any] = {}
_NUMBERS = (int, float, bool)
_COMPARABLE = (Node, np.ndarray, np.generic, list, tuple, *_NUMBERS)


# ---------------------------------------------------------------------------------------- recording


def apply(primitive: Primitive, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> Tensor:
    """Compute a primitive of tensors and constants, and record it where a gradient is wanted."""
    arrays = []
    wanted = foreign = False
    for x in inputs:
        if isinstance(x, Node):
            arrays.append(_private(x) if x.lent else x.array)
            wanted = wanted or x.requires_grad
        elif type(x) in _NUMBERS:
            arrays.append(x)
        else:
            arrays.append(constant(x, primitive))
            foreign = True
    try:
        value = primitive.function(*arrays, **attributes)
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        raise _explained(error, primitive.name, inputs) from None
    if type(value) is not np.ndarray:
        value = np.asarray(value)
    if value.base is not None and _is_view_of_leaf(value, inputs):
        value = value.copy()  # a leaf may be written to when its recording is released
    wanted = wanted and bool(primitive.vjps)
    # A backward pass is recorded whole, or it would look different where the state is data.
    if not (recorder.enabled and (wanted or recorder.label.origin is not None)):
        if recorder.whole is None:
            return from_array(value if value.base is None else own(value), depth=4)
        wanted = False
    if foreign:
        pairs = zip(inputs, arrays, strict=True)
        inputs = tuple([x if isinstance(x, Node) else array for x, array in pairs])
    out: Tensor = _new(Tensor)
    out.array = value
    out.requires_grad = wanted
    out.primitive = primitive
    out.inputs = inputs
    out.arguments = arrays
    out.attributes = attributes
    out.hooks = None
    out.lent = False
    out.grad = None
    out._name = None
    stamp(out, 3)  # the caller, seen from `stamp`: behind this function and the operator
    if recorder.whole is not None:
        recorder.whole.append(out)
    return out


def from_array(array: npt.NDArray[Any], name: str | None = None, depth: int = 3) -> Tensor:
    """A tensor around an array, not copied, with no history and no gradient wanted."""
    out = _around(array)
    out._name = name
    stamp(out, depth)
    return out


def from_arrays(arrays: Iterable[Any]) -> list[Tensor]:
    """Such a tensor around each of the arrays, which may be NumPy's numbers as well."""
    out = [_around(x if type(x) is np.ndarray else np.asarray(x)) for x in arrays]
    stamp_all(out, 3)
    return out


def _around(array: npt.NDArray[Any]) -> Tensor:
    out: Tensor = _new(Tensor)
    out.array = array if array.base is not None else array.view()  # as `own` says
    out.requires_grad = False
    out.primitive = None
    out.inputs = out.arguments = ()
    out.attributes = _NONE
    out.hooks = None
    out.lent = False
    out.grad = None
    out._name = None
    return out


def _private(x: Node) -> Any:
    """The value of a tensor that was given out: a copy, if somebody still can write to it."""
    if sys.getrefcount(x.array.base) > 2:  # the value's own reference and that of the call are two
        return x.array.copy()
    x.lent = False
    return x.array


def _is_view_of_leaf(value: Any, inputs: tuple[Any, ...]) -> bool:
    leaves = (x for x in inputs if isinstance(x, Node) and x.primitive is None)
    return any(np.may_share_memory(value, x.array) for x in leaves)


def _operator(function: Callable[..., Any]) -> tuple[Any, Any]:
    """A binary operator and its reflection."""
    entry = primitive_of(function)

    def forward(self: Tensor, other: Any) -> Tensor:
        return apply(entry, (self, other), _NONE)

    def reflected(self: Tensor, other: Any) -> Tensor:
        return apply(entry, (other, self), _NONE)

    return forward, reflected


def _method(function: Callable[..., Any]) -> Any:
    entry = primitive_of(function)

    def method(self: Tensor) -> Tensor:
        return apply(entry, (self,), _NONE)

    method.__name__ = method.__qualname__ = entry.name
    method.__doc__ = f"`np.{entry.name}`, elementwise."
    return method


def _reduction(function: Callable[..., Any]) -> Any:
    entry = primitive_of(function)

    def method(self: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
        return apply(entry, (self,), {"axis": axis, "keepdims": keepdims})

    method.__name__ = method.__qualname__ = entry.name
    method.__doc__ = f"`np.{entry.name}` over all axes, an axis or a tuple of axes."
    return method


class Tensor(Node):
    """An array, whether a gradient is wanted for it, and the record of how it was made.

    data: what `np.array` takes, copied; of floating, integer or boolean dtype.
    requires_grad: record what is computed from this tensor. Floating dtypes only.
    name: what pictures and messages call it; by default the variable it was assigned to.

    `grad` is dL/d(this), a tensor, once `backward` has found it; it is None before, and for what
    was computed from other tensors, unless `retain_grad` asks for it.
    """

    __slots__ = ("grad", "_name")

    array: npt.NDArray[Any]
    grad: Tensor | None
    __hash__ = object.__hash__

    def __init__(
        self,
        data: npt.ArrayLike,
        dtype: npt.DTypeLike | None = None,
        requires_grad: bool = False,
        name: str | None = None,
    ) -> None:
        self.array = data_of(data, dtype)
        if requires_grad and self.array.dtype.kind != "f":
            raise TypeError(
                f"tensor: requires_grad=True needs floating-point data, not {self.array.dtype}; "
                "integers and booleans have no derivative"
            )
        self.requires_grad = requires_grad
        self.primitive = None
        self.inputs = self.arguments = ()
        self.attributes = _NONE
        self.hooks = None
        self.lent = False
        self.grad = None
        self._name = _named(name)
        stamp(self, 2)

    # ----------------------------------------------------------------------------------- what it is

    @property
    def data(self) -> npt.NDArray[Any]:
        """The value, not copied. It can be written to, unless it was computed or is recorded.

        What a recording holds is read-only until the recording is released or dropped, so that a
        gradient never belongs to other values than the loss; who assigns to it is told by a
        ValueError which operation holds it. If an array that was taken before is still there, the
        recording takes a copy for itself. `x.data = array` works at any time for a leaf: it takes a
        copy, and recordings keep the old value.
        """
        check_readable("x.data")
        # Our own reference and that of the call are two; a third is in some node's arguments.
        if self.primitive is not None or sys.getrefcount(self.array) > 2:
            return read_only(self)
        self.lent = True
        return self.array.view()

    @data.setter
    def data(self, value: npt.ArrayLike) -> None:
        check_readable("x.data = array")
        new = np.asarray(value)
        if new.shape != self.array.shape or new.dtype != self.array.dtype:
            raise ValueError(
                f"data: {_what(self)} is {_kind(self.array)}; it can't become {_kind(new)}. "
                "Make a new tensor instead"
            )
        if self.primitive is not None:
            raise ValueError(f"data: {_what(self)} was computed; detach() it to give it a value")
        self.array = own(new)
        self.lent = False

    shape = property(lambda self: self.array.shape, doc="The length of each axis.")
    ndim = property(lambda self: self.array.ndim, doc="The number of axes.")
    size = property(lambda self: self.array.size, doc="The number of elements.")
    dtype = property(lambda self: self.array.dtype, doc="The type of the elements.")

    @property
    def name(self) -> str | None:
        """The name it was given, else the variable it was first assigned to, else None."""
        if self._name is None and self.label.origin is None:
            return self.site.variable
        return self._name

    @name.setter
    def name(self, name: str | None) -> None:
        self._name = _named(name)

    def numpy(self) -> npt.NDArray[Any]:
        """A copy of the value."""
        check_readable("x.numpy()")
        return self.array.copy()

    def item(self) -> Any:
        """The value of a tensor of one element, as a Python number."""
        check_readable("x.item(), or float, int or bool of a tensor,")
        if self.array.size != 1:
            raise ValueError(f"item: {_what(self)} has {self.array.size} elements, not one")
        return self.array.item()

    def detach(self) -> Tensor:
        """A copy of the value, with its history cut off."""
        out = from_array(own(self.array), self._name)
        out.cut = weakref.ref(self)  # for pictures and folds; it keeps nothing alive
        if recorder.whole is not None:
            out.inputs = (self,)  # what a recording of everything is to hold, too
            recorder.whole.append(out)
        return out

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __index__(self) -> int:
        check_readable("a tensor as an index")
        return self.array.__index__()

    def __len__(self) -> int:
        if not self.array.ndim:
            raise TypeError("len: a tensor without axes has no length")
        return len(self.array)

    def __iter__(self) -> Iterator[Tensor]:
        if not self.array.ndim:
            raise TypeError("iter: a tensor without axes can't be iterated over")
        return (self[i] for i in range(len(self.array)))

    def __repr__(self) -> str:
        check_readable("printing a tensor")
        value = np.array2string(self.array, separator=", ", prefix="tensor(")
        facts = [value, f"dtype={self.array.dtype}"]
        if self.name:
            facts.append(f"name={self.name!r}")
        if self.primitive:
            when = "" if self.step is None else f" at step {self.step}"
            facts.append(f"made by {self.primitive.name}{when}")
        elif self.requires_grad:
            facts.append("requires_grad=True")
        return f"tensor({', '.join(facts)})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        check_readable("np.asarray of a tensor")
        if self.requires_grad:
            raise TypeError(
                f"{_what(self)} would lose its gradient as a plain array; "
                "write x.numpy() for a copy of its value, or use a NumPy function that is recorded"
            )
        return np.array(self.array, dtype=dtype, copy=copy)

    def __reduce__(self) -> Any:
        if self.primitive:
            raise TypeError(
                f"{_what(self)} can't be copied or pickled with its history; detach() it first"
            )
        check_readable("copying or pickling a tensor")
        return Tensor._rebuilt, (type(self), self.array, self.requires_grad, self.name)

    @staticmethod
    def _rebuilt(cls: Any, array: npt.NDArray[Any], requires_grad: bool, name: str | None) -> Any:
        new = cls(array, name=name)
        new.requires_grad = requires_grad
        return new

    # ------------------------------------------------------------------------------ differentiation

    def backward(
        self, gradient: npt.ArrayLike | None = None, retain_graph: bool = False,
        create_graph: bool = False,
    ) -> None:  # fmt: skip
        """Add dL/dx to `x.grad` for every leaf x that this tensor L was computed from.

        gradient: dL/d(this), of this tensor's shape; 1 by default, if this tensor has one element.
        retain_graph: keep the graph for another pass; else it is released on the way.
        create_graph: record the pass itself, so that the gradients can be differentiated again.
        """
        create_graph = create_graph or recorder.whole is not None
        found = adjoints(
            [self], [seed(self, gradient, create_graph, keyword="gradient")],
            record=create_graph, retain=retain_graph or create_graph,
        )  # fmt: skip
        for leaf, g in found.items():
            _accumulate(leaf, g)

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    def retain_grad(self) -> None:
        """Have `.grad` set by `backward` as for a leaf, though this tensor was computed."""
        if self.primitive is not None and retained not in (self.hooks or ()):
            self.hooks = [*(self.hooks or ()), retained]

    def register_hook(self, hook: Callable[[Tensor], Any]) -> None:
        """Call hook(dL/d(this)) once in each pass for a loss, with the sum of all terms.

        What it returns, if not None, takes the place of that gradient. Keep no reference to this
        tensor in the hook, or the recording lives until the garbage collector finds it.
        """

        def call(node: Node, g: Any) -> Any:
            changed = hook(g if isinstance(g, Tensor) else from_array(own(g)))
            if changed is None:
                return None
            array = as_array(changed)
            if array.shape != g.shape:
                raise ValueError(f"hook: a gradient of shape {g.shape} became {array.shape}")
            if isinstance(g, Tensor):
                return changed if isinstance(changed, Tensor) else from_array(own(array))
            return array.astype(g.dtype, copy=False)

        if not self.requires_grad:
            raise RuntimeError(f"register_hook: no gradient is wanted for {_what(self)}")
        self.hooks = [*(self.hooks or ()), call]

    # ---------------------------------------------------------------------------------------- NumPy

    apply = staticmethod(apply)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        if method != "__call__" or ufunc not in primitives:
            raise TypeError(
                f"np.{name} is not a primitive: no rule for it is known. Compute it from x.numpy() "
                "without recording, or give it a rule, as CONTRIBUTING.md says"
            )
        if keywords:
            if any(isinstance(out, np.ndarray) for out in keywords.get("out") or ()):
                raise TypeError(
                    f"np.{name}: an array does not take a tensor in place; write the tensor's "
                    "value, as in p.data -= lr * p.grad.data"
                )
            raise TypeError(f"np.{name} of tensors does not take {', '.join(keywords)}=")
        return apply(primitives[ufunc], inputs, _NONE)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in composites:
            try:
                return composites[function](*args, **kwargs)
            except (ValueError, IndexError, TypeError) as error:
                if str(error).startswith("np."):
                    raise
                arrays = (x for x in args if isinstance(x, (Tensor, np.ndarray)))
                raise _explained(error, function.__name__, arrays) from None
        if function in primitives:
            entry = primitives[function]
            return apply(entry, *bound(entry, function, args, kwargs))
        if function in PLAIN:
            if function in READING:
                check_readable(f"np.{function.__name__}")
            return function(*arrays_of(args), **arrays_of(kwargs))
        raise TypeError(
            f"np.{function.__name__} is not a primitive: no rule for it is known. "
            f"To compute it without recording, pass x.numpy() instead of the tensor"
        )

    # ------------------------------------------------------------------------------------ operators

    def __getitem__(self, index: Any) -> Tensor:
        parts = [index_part(p) for p in (index if isinstance(index, tuple) else (index,))]
        arrays = [p for p in parts if isinstance(p, (Tensor, np.ndarray))]
        template = tuple(ARRAY if isinstance(p, (Tensor, np.ndarray)) else p for p in parts)
        out = apply(_GETITEM, (self, *arrays), {"index": template})
        if not out.requires_grad:
            out._name = self.name  # a row of the data x is called x
        return out

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(
            f"{_what(self)} is not written to by index; write x.data[…] = …, or compute a new "
            "tensor with np.where"
        )

    def __eq__(self, other: object) -> Any:
        if not isinstance(other, _COMPARABLE):
            return NotImplemented
        return apply(_EQUAL, (self, other), _NONE)

    def __ne__(self, other: object) -> Any:
        if not isinstance(other, _COMPARABLE):
            return NotImplemented
        return apply(_NOT_EQUAL, (self, other), _NONE)

    @property
    def T(self) -> Tensor:
        """The axes reversed."""
        return apply(_TRANSPOSE, (self,), _NONE)

    @property
    def mT(self) -> Tensor:
        """The last two axes swapped."""
        return apply(_SWAPAXES, (self,), {"axis1": -1, "axis2": -2})

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in another shape: `reshape(2, 3)` or `reshape((2, 3))`."""
        return apply(_RESHAPE, (self,), {"shape": unpacked(shape)})

    def transpose(self, *axes: Any) -> Tensor:
        """The axes in another order: `transpose(1, 0)`; reversed if no order is given."""
        order = unpacked(axes)
        return apply(_TRANSPOSE, (self,), {"axes": order} if order not in ((), (None,)) else _NONE)

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        """Two axes swapped."""
        return apply(_SWAPAXES, (self,), {"axis1": axis1, "axis2": axis2})

    def squeeze(self, axis: Any = None) -> Tensor:
        """Without the axes of length 1, or without those named."""
        return apply(_SQUEEZE, (self,), {"axis": axis})

    def astype(self, dtype: npt.DTypeLike) -> Tensor:
        """In another dtype. Nothing flows back through integers and booleans."""
        kind = np.dtype(dtype).kind
        if kind not in "fiub":
            raise TypeError(
                f"astype: {np.dtype(dtype)}; a tensor holds real numbers, integers or booleans"
            )
        if kind != "f" and recorder.whole is None:
            return from_array(self.array.astype(dtype))
        out = apply(_ASTYPE, (self,), {"dtype": np.dtype(dtype)})
        out.requires_grad = out.requires_grad and kind == "f"
        return out

    def argmax(self, axis: int | None = None) -> Tensor:
        """The index of the largest element along an axis; nothing flows back through it."""
        return apply(_ARGMAX, (self,), {"axis": axis})

    def __radd__(self, other: Any) -> Tensor:
        if type(other) is int and other == 0 and self.array.dtype.kind == "f":  # as sum() begins
            return self
        return apply(_ADD, (other, self), _NONE)

    __add__ = _operator(np.add)[0]
    __sub__, __rsub__ = _operator(np.subtract)
    __mul__, __rmul__ = _operator(np.multiply)
    __truediv__, __rtruediv__ = _operator(np.true_divide)
    __floordiv__, __rfloordiv__ = _operator(np.floor_divide)
    __mod__, __rmod__ = _operator(np.remainder)
    __pow__, __rpow__ = _operator(np.power)
    __matmul__, __rmatmul__ = _operator(np.matmul)
    __lt__, __gt__ = _operator(np.less)  # a > b is b < a
    __le__, __ge__ = _operator(np.less_equal)
    __neg__ = _method(np.negative)
    __pos__ = _method(np.positive)
    __abs__ = _method(np.absolute)

    exp = _method(np.exp)
    log = _method(np.log)
    sqrt = _method(np.sqrt)
    tanh = _method(np.tanh)
    sum = _reduction(np.sum)
    mean = _reduction(np.mean)
    max = _reduction(np.max)
    min = _reduction(np.min)


class Parameter(Tensor):
    """A tensor that is to be learnt: `requires_grad` is set, and a Module finds it by its name."""

    __slots__ = ()

    def __init__(
        self, data: npt.ArrayLike, name: str | None = None, dtype: npt.DTypeLike | None = None
    ) -> None:
        super().__init__(data, dtype, requires_grad=True, name=name)

    def _refuse(self, other: Any) -> Any:
        raise TypeError(
            f"{_what(self)} is learnt in place: p += x would make p another tensor, which no "
            "module knows. Write p.data += array"
        )

    __iadd__: Any = _refuse
    __isub__: Any = _refuse
    __imul__: Any = _refuse
    __itruediv__: Any = _refuse


tensor = Tensor


_ADD = primitive_of(np.add)
_GETITEM = primitives[getitem]
_ASTYPE = primitives[astype]
_EQUAL = primitive_of(np.equal)
_NOT_EQUAL = primitive_of(np.not_equal)
_TRANSPOSE = primitive_of(np.transpose)
_SWAPAXES = primitive_of(np.swapaxes)
_RESHAPE = primitive_of(np.reshape)
_SQUEEZE = primitive_of(np.squeeze)
_ARGMAX = primitive_of(np.argmax)

# --------------------------------------------------------------------------------- what is said


def _kind(array: npt.NDArray[Any]) -> str:
    return f"{array.dtype} of shape {array.shape}"


def _named(name: str | None) -> str | None:
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name: {name!r} is not a string")
    return name


def _what(x: Tensor) -> str:
    """A tensor, for a message: its name, dtype and shape."""
    return f"the tensor {x.name!r}" if x.name else f"the tensor ({_kind(x.array)})"


def _explained(error: Exception, name: str, inputs: Iterable[Any]) -> Exception:
    """NumPy's error, with the function and its arguments named."""
    kinds = (ValueError, IndexError, TypeError)
    kind = next((k for k in kinds if isinstance(error, k)), TypeError)
    arguments = ", ".join(
        f"{x.name or '?'}: {_kind(x.array)}" if isinstance(x, Tensor) else f"{np.shape(x)}"
        for x in inputs
    )
    return kind(f"{name}({arguments}): {error}")


# ---------------------------------------------------------------------------------------- gradients


def seed(
    output: Any, gradient: Any = None, record: bool = False, function: str = "backward",
    keyword: str = "",
) -> Any:  # fmt: skip
    """dL/d(output) as the sweep wants it: an array, or a tensor if the sweep is to be recorded.

    function, keyword: who asks, and what `gradient` is called there, for the messages.
    """
    if not isinstance(output, Tensor):
        raise TypeError(f"{function}: {type(output).__name__} is not a tensor")
    what = f"the tensor {output.name!r}" if output.name else "the tensor"
    if not output.requires_grad:
        raise RuntimeError(
            f"{function}: {what} was computed from nothing that requires_grad, so there is nothing "
            "to differentiate"
        )
    if gradient is None:
        if output.size != 1:
            remedy = f", or say what dL/d(this) is with {keyword}=" if keyword else ""
            raise ValueError(
                f"{function}: {what} has shape {output.shape}, not one element: sum it up{remedy}"
            )
        gradient = np.ones(output.shape, output.dtype)
    array = as_array(gradient)
    if array.shape != output.shape:
        raise ValueError(
            f"{function}: {keyword} has shape {array.shape}, {what} has {output.shape}"
        )
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{function}: {keyword} is {array.dtype}; it should be real")
    if record and isinstance(gradient, Tensor):
        return gradient if gradient.dtype == output.dtype else gradient.astype(output.dtype)
    array = array.astype(output.dtype)
    return from_array(array) if record else array


def as_array(x: Any) -> npt.NDArray[Any]:
    return x.array if isinstance(x, Tensor) else np.asarray(x)


def _accumulate(x: Any, g: Any) -> None:
    g = as_gradient(g)
    x.grad = g if x.grad is None else x.grad + g


def as_gradient(g: Any) -> Tensor:
    """What a sweep found, as a tensor that shares its buffer with no other."""
    return g if isinstance(g, Tensor) else from_array(own(g))
