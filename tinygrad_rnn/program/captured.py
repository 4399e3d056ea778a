"""What a function has from outside: what its closure, its globals and its arguments lead to.

A recording stands for a function only as long as that is what it was. Tensors found here are read
as they are at each call; that they are still the same tensors, that numbers are the same numbers
and arrays hold the same values, is checked at each call, and where it is not so, the function is
recorded anew. This file does not know what is recorded.
"""

from __future__ import annotations

import dis
import functools
import sys
import types
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..engine.tensor import Tensor

_OURS = ("tinygrad_rnn.", "numpy")
_PLAIN = (int, float, complex, bool, str, bytes, type(None))
_CONTAINERS = (list, tuple, dict, set, frozenset, deque)


class Captured:
    """The tensors that a function can reach, and whether what it reaches is still the same.

    roots: the function and what it is called with, with places in the place of arrays.
    """

    def __init__(self, *roots: Any) -> None:
        self.tensors: dict[int, Tensor] = {}
        self._links: list[tuple[Any, Any, Any]] = []  # a mapping or list, a key, what was there
        self._kinds: list[tuple[Tensor, Any]] = []
        self._cells: list[tuple[Any, Any]] = []
        self._sizes: list[tuple[Any, int]] = []
        self._arrays: list[tuple[Any, Any]] = []
        self._sets: list[tuple[Any, Any]] = []
        self._slots: list[tuple[Any, str, Any]] = []  # an object, a slot's name, what was in it
        self._seen: dict[int, Any] = {}
        waiting = [*roots]
        while waiting:
            x = waiting.pop()
            if id(x) in self._seen or isinstance(x, _PLAIN):
                continue
            self._seen[id(x)] = x  # keeps it alive, hence its id its own
            waiting += self._look_into(x)
        self._seen.clear()

    def unchanged(self) -> bool:
        """Whether everything is what it was."""
        try:
            for container, key, x in self._links:
                if container[key] is not x and not _equal(container[key], x):
                    return False
            for cell, x in self._cells:
                if cell.cell_contents is not x and not _equal(cell.cell_contents, x):
                    return False
            for x, name, value in self._slots:
                if getattr(x, name) is not value and not _equal(getattr(x, name), value):
                    return False
        except (KeyError, IndexError, ValueError, AttributeError):
            return False
        for x, kind in self._kinds:  # as _kind has it, without a call for each
            if (x.requires_grad, x.hooks, x.array.shape, x.array.dtype) != kind:
                return False
        for container, size in self._sizes:
            if len(container) != size:
                return False
        for members, copy in self._sets:
            if members != copy:
                return False
        return not self._arrays or all(np.array_equal(a, copy) for a, copy in self._arrays)

    def replaced(self, x: Tensor) -> str:
        """Where another tensor now is, in the place of this one; "" if nowhere."""
        for container, key, before in self._links:
            if before is x:
                now = container.get(key) if hasattr(container, "get") else container[key]
                if now is not x and isinstance(now, Tensor):
                    return repr(key)
        cells = ((cell.cell_contents, before) for cell, before in self._cells)
        moved = any(before is x is not now and isinstance(now, Tensor) for now, before in cells)
        return "a variable outside" if moved else ""

    def _look_into(self, x: Any) -> list[Any]:
        if isinstance(x, Tensor):
            self.tensors[id(x)] = x
            self._kinds.append((x, _kind(x)))
            return list(x.hooks or ())
        elif isinstance(x, np.ndarray):
            self._arrays.append((x, x.copy()))
        elif isinstance(x, types.MethodType):
            return [x.__self__, x.__func__]
        elif isinstance(x, functools.partial):
            return [x.func, x.args, x.keywords]
        elif isinstance(x, types.FunctionType):
            return self._function(x)
        elif isinstance(x, _CONTAINERS):
            return self._container(x)
        elif isinstance(x, type):
            return self._class(x)
        elif not isinstance(x, (types.ModuleType, types.BuiltinFunctionType, np.ufunc)):
            return self._instance(x)
        return []

    def _function(self, f: types.FunctionType) -> list[Any]:
        ours = f.__module__ is not None and f.__module__.startswith(_OURS)
        if ours and "<locals>" not in f.__qualname__:  # which nobody can give anything
            return []
        found: list[Any] = [f.__defaults__, f.__kwdefaults__, f.__dict__]
        for cell in f.__closure__ or ():
            try:
                found.append(cell.cell_contents)
                self._cells.append((cell, cell.cell_contents))
            except ValueError:
                continue  # not yet filled
        if ours:  # whose globals stay what they are
            return found
        names = dict.fromkeys(_names(f.__code__))  # in the order of the code
        for name in [name for name in dict.fromkeys(_globals(f.__code__)) if name in f.__globals__]:
            x = f.__globals__[name]
            self._links.append((f.__globals__, name, x))
            found += self._module(x, names) if isinstance(x, types.ModuleType) else [x]
        return found

    def _module(self, module: types.ModuleType, names: dict[str, None]) -> list[Any]:
        """What a module, and the modules in it, have of these names."""
        found: list[Any] = []
        modules = [module]
        for x in modules:  # the list grows as we walk it
            if f"{x.__name__}.".startswith((*_OURS, "builtins")):
                continue
            space = vars(x)
            for name in names & space.keys():
                self._links.append((space, name, space[name]))
                if not isinstance(space[name], types.ModuleType):
                    found.append(space[name])
                elif space[name] not in modules:
                    modules.append(space[name])
        return found

    def _container(self, x: Any) -> list[Any]:
        if isinstance(x, set):
            self._sets.append((x, x.copy()))
        elif not isinstance(x, (tuple, frozenset)):
            self._sizes.append((x, len(x)))
        if isinstance(x, dict):
            self._links += [(x, key, value) for key, value in x.items()]
            return list(x.values())
        if isinstance(x, (list, deque)):
            self._links += [(x, i, value) for i, value in enumerate(x)]
        return list(x)

    def _instance(self, x: Any) -> list[Any]:
        found: list[Any] = [type(x)]
        space = getattr(x, "__dict__", None)
        if isinstance(space, dict):
            found.append(space)
        for kind in type(x).__mro__:
            for name, member in vars(kind).items():
                if isinstance(member, types.MemberDescriptorType) and _foreign(kind):
                    try:
                        self._slots.append((x, name, getattr(x, name)))
                    except AttributeError:
                        continue  # not yet filled
                    found.append(self._slots[-1][-1])
        call = getattr(type(x), "__wrapped__", None)
        return found if call is None else [*found, call]

    def _class(self, kind: type) -> list[Any]:
        if not _foreign(kind):
            return list(kind.__bases__)
        space = vars(kind)
        self._sizes.append((space, len(space)))
        found: list[Any] = list(kind.__bases__)
        for name, x in space.items():
            if isinstance(x, types.FunctionType) or not name.startswith("__"):
                self._links.append((space, name, x))
                found.append(getattr(x, "fget", None) or getattr(x, "__func__", x))
        return found


def _kind(x: Tensor) -> Any:
    """What a recording takes a tensor for."""
    return x.requires_grad, x.hooks, x.array.shape, x.array.dtype


def _foreign(kind: type) -> bool:
    """Whether a class is one of those that may change: not of Python, NumPy or this package."""
    name = kind.__module__
    return not f"{name}.".startswith(_OURS) and name.split(".")[0] not in sys.stdlib_module_names


def _equal(a: Any, b: Any) -> bool:
    return type(a) is type(b) and isinstance(a, _PLAIN) and bool(a == b)


def _globals(code: types.CodeType) -> Iterator[str]:
    """The names that a function, and those inside it, look up outside: of `a.b`, a and not b."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
        elif isinstance(instruction.argval, types.CodeType):
            yield from _globals(instruction.argval)


def _names(code: types.CodeType) -> Iterator[str]:
    """The names in a function's code, and in the functions inside it, those of attributes too."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)
