"""Execute: from a program's text to a function that runs, in arrays that are kept between calls.

It is the text that runs, divided by kept.py, and with the same calls made in a quicker way. Nothing
here knows what is computed.
"""

from __future__ import annotations

import ast
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from .kept import divided

NAMED = (np.maximum, np.minimum)
"""Of these, NumPy wants `out` by its name, and warns else: people take it for a third array."""


class Buffers:
    """The arrays of a program, kept between calls: given out in the order they are asked for.

    They serve one call at a time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[Any] = []
        self._next = 0
        self._run: Callable[..., Any] | None = None
        self._kinds: Any = None

    def start(self) -> Callable[..., Any]:
        """Begin anew; what is returned takes the place of `np.empty`."""
        self._next = 0
        return self._empty

    def run(self, prepare: Callable[..., Any], given: list[Any], kinds: Any) -> Any:
        """The results of a program; it is prepared anew if the call before was of other kinds.

        kinds: the same object for the same shapes and dtypes of arguments.
        """
        with self._lock:
            if self._kinds is not kinds or self._run is None:
                self._kinds, self._run = kinds, None
                self._run = prepare(*given, empty=self.start())
            return self._run(*given)

    def _empty(self, shape: Any, dtype: Any) -> Any:
        at = self._next
        self._next = at + 1
        if at == len(self._kept):
            self._kept.append(unwritten(shape, dtype))
        array = self._kept[at]
        if array.shape != shape:  # the steps are more, or fewer, than in the call before
            size, whole = math.prod(shape), array if array.base is None else array.base
            whole = unwritten(size, dtype) if size > whole.size else whole.reshape(-1)
            self._kept[at] = array = whole[:size].reshape(shape)
        return array

    @property
    def size(self) -> int:
        """Their bytes."""
        return sum((a if a.base is None else a.base).nbytes for a in self._kept)


def unwritten(shape: Any, dtype: Any) -> Any:
    """An array of what nobody takes for a result: that it is read too early shows in the check."""
    return np.full(shape, np.nan if np.dtype(dtype).kind == "f" else 1, dtype)


def prepared(source: str, name: str) -> Callable[..., Any]:
    """What prepares the function of this name in a program's text: it returns the rest of it."""
    tree = ast.parse(source)
    tree.body = [
        divided(x) if isinstance(x, ast.FunctionDef) and x.name == name else x
        for x in tree.body  # there may be functions that it calls, too
    ]
    space: dict[str, Any] = {"np": np}
    code = ast.fix_missing_locations(_Quick(space).visit(tree))
    exec(compile(code, f"<derived program of {name}>", "exec"), space)
    prepare: Callable[..., Any] = space[name]
    return prepare


class _Quick(ast.NodeTransformer):
    """The same calls, made in a quicker way, which counts where they are on one row of an array.

    To find tanh in np takes some 50 ns, to find a.dot(b) through np.dot(a, b) 100 to 200, and to
    tell that out is the last argument of tanh 30; tanh of 100 numbers itself takes 240.
    """

    def __init__(self, space: dict[str, Any]) -> None:
        self._space = space  # where the functions of NumPy will be found

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id.startswith("np."):
            function = self._space[node.func.id]
            last = function.nin if isinstance(function, np.ufunc) else 2 * (function is np.dot)
            only_out = [x.arg for x in node.keywords] == ["out"] and function not in NAMED
            if only_out and len(node.args) == last:
                node.args.append(node.keywords.pop().value)
            if function is np.dot:
                a, *node.args = node.args
                node.func = ast.Attribute(a, "dot", ast.Load())
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if not (isinstance(node.value, ast.Name) and node.value.id == "np"):
            self.generic_visit(node)
            return node
        name = f"np.{node.attr}"
        self._space[name] = getattr(np, node.attr)
        return ast.Name(name, ast.Load())
