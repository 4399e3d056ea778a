"""Kept: what a program does the same in each call is done once.

The text of a program asks for its arrays, for their rows and for other parts of them whenever it is
called. If the arrays are kept between calls, all of that is the same each time, as long as the
arguments have the same shapes and dtypes. So the function is divided in two: `prepare` does what
follows from the sizes alone, and returns the rest of it, as a function of the same arguments:

    def f(x, V, empty=np.empty):            def f(x, V, empty=np.empty):
        T, D = x.shape                          T, D = x.shape
        h = empty((T, 4), np.float64)           h = empty((T, 4), np.float64)
        np.dot(x, V, out=h)                     kept2 = [(h_t, h_t[:2]) for h_t in h]
        for h_t in h:                           def f(x, V, empty=np.empty, T=T, …, kept2=kept2):
            np.tanh(h_t[:2], out=h_t[:2])           np.dot(x, V, out=h)
        return h.copy()                             for h_t, kept1 in kept2:
                                                        np.tanh(kept1, out=kept1)
                                                    return h.copy()
                                                return f

So one does by hand who wants a step of a small network to be quick. This file knows Python's syntax
and which of NumPy's operations are views, and nothing of what is computed. What it can't tell to be
the same stays in the rest.
"""

from __future__ import annotations

import ast
import copy
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any


def divided(function: ast.FunctionDef) -> ast.FunctionDef:
    """The function that prepares a function of a program, whose last argument is `empty`."""
    return _Division(function).prepare


ARGUMENT, SIZE, SHAPE, FIXED = "argument", "size", "shape", "fixed"
"""Kinds of expressions besides views: an argument, of which shape and dtype are the same each time;
a number, a tuple of numbers, and something else that is the same, and that nobody writes to."""


@dataclass(frozen=True)
class View:
    """An array that is kept, or a view of one. axes: how many, or None for unknown.

    whole: whether its elements lie in memory one after another, so that a new shape is a view, too.
    """

    axes: int | None
    whole: bool


Kind = View | str
Kinds = Mapping[str, Kind]


def kind_of(node: ast.expr | None, known: Kinds) -> Kind | None:
    """What an expression is that is the same in each call; None if it may not be.

    known: the kinds of the names.
    """
    match node:
        case ast.Constant():
            return SIZE
        case ast.Name(name):
            return known.get(name)
        case ast.Attribute(ast.Name("np")):
            return FIXED
        case ast.Attribute(array, "shape" | "dtype" as attribute):
            if isinstance(kind := kind_of(array, known), View) or kind == ARGUMENT:
                return SHAPE if attribute == "shape" else FIXED
        case ast.Attribute(array, "T"):
            if isinstance(kind := kind_of(array, known), View):
                return View(kind.axes, False)
        case ast.Tuple(parts):
            return SHAPE if all(kind_of(x, known) == SIZE for x in parts) else None
        case ast.UnaryOp(_, x):
            return SIZE if kind_of(x, known) == SIZE else None
        case ast.BinOp(x, _, y):
            return SIZE if kind_of(x, known) == kind_of(y, known) == SIZE else None
        case ast.Subscript(array, index):
            kind = kind_of(array, known)
            if kind == SHAPE:
                return SHAPE if isinstance(index, ast.Slice) else SIZE
            return _part_of(kind, index, known) if isinstance(kind, View) else None
        case ast.Call(ast.Attribute(array, "reshape"), lengths, []):
            kind, kinds = kind_of(array, known), [kind_of(x, known) for x in lengths]
            if isinstance(kind, View) and kind.whole and all(x in (SIZE, SHAPE) for x in kinds):
                return View(None if SHAPE in kinds else len(kinds), True)
        case ast.Call(ast.Attribute(ast.Name("np"), "ones" | "arange"), parts, []):
            return FIXED if all(kind_of(x, known) in (SIZE, SHAPE, FIXED) for x in parts) else None
    return None


def _part_of(whole: View, index: ast.expr, known: Kinds) -> View | None:
    more, parts = 0, _index_parts(index)
    for part in parts:
        if isinstance(part, ast.Slice):
            if any(x and kind_of(x, known) != SIZE for x in (part.lower, part.upper, part.step)):
                return None
        elif kind_of(part, known) != SIZE:
            return None
        elif _chooses(part):
            more -= 1
        elif part.value is None:
            more += 1
    axes = None if whole.axes is None else whole.axes + more
    if not axes and all(map(_chooses, parts)):
        return None  # a number, as far as one can see
    rows = len(parts) == 1 and getattr(parts[0], "step", None) is None
    return View(axes, whole.whole and rows)


def _index_parts(index: ast.expr) -> list[Any]:
    return index.elts if isinstance(index, ast.Tuple) else [index]


def _chooses(part: ast.expr) -> bool:
    """Whether a part of an index takes one place of an axis, which may not be there."""
    new_axes = isinstance(part, ast.Constant) and part.value in (None, ...)
    return not (new_axes or isinstance(part, ast.Slice))


def _never_fails(node: ast.expr) -> bool:
    indices = [x.slice for x in ast.walk(node) if isinstance(x, ast.Subscript)]
    return not any(map(_chooses, itertools.chain(*map(_index_parts, indices))))


class _Division:
    """A function, divided into `prepare` and the rest, which that returns.

    What is kept is handed on to the rest as defaults of more arguments.
    """

    def __init__(self, function: ast.FunctionDef) -> None:
        names, changed = _assigned(function)
        self._times, self._changed = Counter(names), set(changed)
        arguments = [x.arg for x in function.args.args]  # the last one is empty
        self._known: dict[str, Kind] = {x: ARGUMENT for x in arguments if not self._times[x]}
        self._taken = {*arguments, *names}
        self._names: dict[str, str] = {}  # of the expressions that are kept, by their text
        self._kept: list[str] = []
        self._before: list[ast.stmt] = []
        lines = [x for x in map(self._rest_of, function.body) if x is not None]
        given, rest = copy.copy(function.args), copy.copy(function)
        given.args = [*given.args, *map(ast.arg, self._kept)]
        given.defaults = [*given.defaults, *map(_load, self._kept)]
        rest.args, rest.body = given, lines
        self.prepare = copy.copy(function)
        self.prepare.body = [*self._before, rest, ast.Return(_load(function.name))]

    def _rest_of(self, statement: ast.stmt) -> ast.stmt | None:
        """What is to be done in each call of a statement of the function."""
        match statement:
            case ast.Assign([ast.Name(name)], value) if self._times[name] == 1:
                kind = _array_of(value, self._known) or kind_of(value, self._known)
                fixed = kind in (SIZE, SHAPE, FIXED) and name not in self._changed
                if fixed or isinstance(kind, View):
                    self._keep_value([name], statement, kind)
                    return None
            case ast.Assign([ast.Tuple(targets)], value):
                names = [x.id for x in targets if isinstance(x, ast.Name) and x.id != "_"]
                once = all(self._times[x] == 1 and x not in self._changed for x in names)
                if once and kind_of(value, self._known) == SHAPE:
                    self._keep_value(names, statement, SIZE)
                    return None
            case ast.For():
                return self._loop(statement)
        return _Kept(self._known, self._keep).visit(statement)  # type: ignore[no-any-return]

    def _keep_value(self, names: list[str], statement: ast.stmt, kind: Kind | None) -> None:
        self._before.append(statement)
        self._kept += names
        if kind is not None:
            self._known |= dict.fromkeys(names, kind)

    def _keep(self, node: ast.expr) -> ast.expr:
        """The name of what is kept instead of an expression."""
        text = ast.unparse(node)
        if text not in self._names:
            self._names[text] = name = self._new_name()
            self._keep_value([name], ast.Assign([_store(name)], node), None)
        return _load(self._names[text])

    def _new_name(self) -> str:
        name = next(x for i in itertools.count(1) if (x := f"kept{i}") not in self._taken)
        self._taken.add(name)
        return name

    def _loop(self, loop: ast.For) -> ast.stmt:
        """The loop over a list of rows that are kept, with the parts of them that it reads."""
        over = _over(loop)
        rebound = [name for x in loop.body for name in _assigned(x)[0]]
        rows: dict[str, Kind] = {}
        for name, array in over.items():
            kind = _row_of(array, self._known)
            counts = kind == SIZE and name in self._changed
            if kind is not None and name not in rebound and not counts:
                rows[name] = kind
        others = {x: k for x, k in self._known.items() if x not in over and x not in rebound}
        parts: dict[str, str] = {}
        values: list[ast.expr] = [*map(_load, rows)]

        def keep(node: ast.expr) -> ast.expr:
            if rows.keys().isdisjoint(x.id for x in ast.walk(node) if isinstance(x, ast.Name)):
                return self._keep(node) if _never_fails(node) else node
            text = ast.unparse(node)
            if text not in parts:
                parts[text] = self._new_name()
                values.append(node)
            return _load(parts[text])

        loop.body = [_Kept(others | rows, keep).visit(x) for x in loop.body]
        if parts or any(isinstance(kind, View) for kind in rows.values()):
            name, kept = self._new_name(), [*rows, *parts.values()]
            each = ast.comprehension(
                _several(map(_store, rows), ast.Store()), _zipped(over[x] for x in rows), [], 0
            )
            listed = ast.ListComp(_several(values, ast.Load()), [each])
            self._keep_value([name], ast.Assign([_store(name)], listed), None)
            new = [x for x in over if x not in rows]
            together = _several(map(_store, kept), ast.Store())
            loop.target = _several([*map(_store, new), together], ast.Store())
            loop.iter = _zipped([*(over[x] for x in new), _load(name)])
        return loop


class _Kept(ast.NodeTransformer):
    """Puts names in the place of views that can be kept."""

    def __init__(self, known: Kinds, keep: Callable[[ast.expr], ast.expr]) -> None:
        self._known = known
        self._keep = keep
        self._sure = True  # whether what is looked at is computed in each call

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.expr) and not isinstance(node, ast.Name):
            read = isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
            if read and isinstance(kind_of(node, self._known), View):
                return self._keep(node) if self._sure or _never_fails(node) else node
        before = self._sure
        self._sure &= not isinstance(node, (ast.If, ast.IfExp, ast.BoolOp, ast.For, ast.While))
        node = super().visit(node)
        self._sure = before
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        node.args = [
            self._keep(x) if isinstance(x, ast.Call) and kind_of(x, self._known) == FIXED else x
            for x in node.args
        ]
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        if isinstance(node.target, ast.Subscript):  # a[1:] += b copies the sum to where it is
            part = self.visit(ast.Subscript(node.target.value, node.target.slice, ast.Load()))
            if isinstance(part, ast.Name):
                node.target = ast.Name(part.id, ast.Store())
        self.generic_visit(node)
        return node


def _array_of(value: ast.expr, known: Kinds) -> View | None:
    """The kind of an array that is asked for."""
    match value:
        case ast.Call(ast.Name("empty"), [ast.Tuple(sizes) as shape, dtype], []):
            if kind_of(shape, known) == SHAPE and kind_of(dtype, known) == FIXED:
                return View(len(sizes), True)
    return None


def _over(loop: ast.For) -> dict[str, ast.expr]:
    """The names that a loop gives to rows, and rows of what; none if it is not as simple."""
    match loop.target, loop.iter:
        case ast.Name(name), rows:
            return {name: rows}
        case ast.Tuple(targets), ast.Call(ast.Name("zip"), arrays, []):
            names = [x.id for x in targets if isinstance(x, ast.Name)]
            if len({*names}) == len(targets) == len(arrays):
                return dict(zip(names, arrays, strict=True))
    return {}


def _row_of(array: ast.expr, known: Kinds) -> Kind | None:
    """The kind of the rows of what a loop goes over."""
    match array:
        case ast.Call(ast.Name("range"), limits):
            return SIZE if all(kind_of(x, known) == SIZE for x in limits) else None
    kind = kind_of(array, known)
    if isinstance(kind, View) and kind.axes is not None and kind.axes > 1:
        return View(kind.axes - 1, kind.whole)
    return None


def _assigned(node: ast.AST) -> tuple[list[str], list[str]]:
    """The names that are given a value, each as often as that is done; and those whose value is
    changed: of arrays that are written to, and of numbers that are added to."""
    names, changed, same = [], [], set()
    for x in ast.walk(node):
        if isinstance(x, ast.Name):
            if isinstance(x.ctx, ast.Store) and x not in same:
                names.append(x.id)
        elif isinstance(x, ast.AugAssign):
            same.add(x.target)  # which is walked over later
            changed += _base(x.target)
        elif isinstance(x, ast.Subscript):
            if isinstance(x.ctx, ast.Store):
                changed += _base(x.value)
        elif isinstance(x, ast.keyword) and x.arg == "out":
            changed += _base(x.value)
    return names, changed


def _base(node: ast.AST) -> list[str]:
    """The name of what a view is one of."""
    while isinstance(node, (ast.Subscript, ast.Attribute, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return [node.id] if isinstance(node, ast.Name) else []


def _load(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def _store(name: str) -> ast.expr:
    return ast.Name(name, ast.Store())


def _several(parts: Iterable[ast.expr], context: ast.expr_context) -> ast.expr:
    found = list(parts)
    return found[0] if len(found) == 1 else ast.Tuple(found, context)


def _zipped(arrays: Iterable[ast.expr]) -> ast.expr:
    found = list(arrays)
    return found[0] if len(found) == 1 else ast.Call(_load("zip"), found, [])
