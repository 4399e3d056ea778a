"""The recording: what an operation leaves behind, and when and where it was made.

An operation leaves one `Node`: its value, its primitive, its inputs by argument slot, its
attributes, a creation number, a `Label` (time step, `steps` loop, scopes) and the `Site` in the
code that asked for it. Inputs are created before outputs, so the creation number is a topological
order, and the history of a value is a list sorted by one number.

This file knows no calculus, no function on arrays, and not how values are computed.
"""

from __future__ import annotations

import itertools
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import _GeneratorContextManager, contextmanager
from operator import attrgetter
from typing import Any

from .site import Site, site_of

# --------------------------------------------------------------------------------------- primitives


class Primitive:
    """A function on arrays and its rules: one vector-Jacobian product per argument, or None.

    A primitive without rules is a constant to differentiation: comparisons, argmax, rounding.
    """

    __slots__ = ("function", "name", "vjps", "keywords", "variadic", "many")

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.name: str = function.__name__
        self.vjps: Any = ()  # by argument slot
        self.keywords: tuple[str, ...] = ()  # the attributes that its rules understand
        self.variadic = False  # whether it takes any number of arguments
        self.many = False  # whether its rules take adjoints of many outputs, stacked in front

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


primitives: dict[Callable[..., Any], Primitive] = {}
"""The table, by public function: `primitives[np.tanh]`. rules.py fills it."""

composites: dict[Callable[..., Any], Callable[..., Any]] = {}
"""NumPy functions that are composed of primitives, and by what. composed.py fills it."""


def primitive_of(function: Callable[..., Any]) -> Primitive:
    """The table's entry for a function, made when it is first asked for."""
    if function not in primitives:
        primitives[function] = Primitive(function)
    return primitives[function]


# ----------------------------------------------------------------------------------- when and where

_numbers = itertools.count(1)
_loops = itertools.count(1)


class Label:
    """When nodes were made: the time step, the `steps` loop it belongs to, the scopes around it.

    counts: how many nodes each line made in this step.

    origin, site: of what is made while a node is differentiated. It has that node's step, loop and
        scopes, its site, and as origin the node's place and the argument slot, or "sum".
    """

    __slots__ = ("step", "loop", "scope", "origin", "site", "counts")

    def __init__(
        self,
        step: int | None = None,
        loop: int | None = None,
        scope: tuple[str, ...] = (),
        origin: tuple[Any, ...] | None = None,
        site: Site | None = None,
        counts: dict[Any, int] | None = None,
    ) -> None:
        self.step = step
        self.loop = loop
        self.scope = scope
        self.origin = origin
        self.site = site
        self.counts: dict[Any, int] = {} if counts is None else counts


class _Recorder(threading.local):
    """What the current thread records: whether, and under which label.

    The labels in force are a list, since loops and scopes need not end in the order they began in.
    The last one counts.
    """

    def __init__(self) -> None:
        self.enabled = True
        self.tracing = False  # whether a pass looks for where a nan or inf begins
        self.whole: list[Node] | None = None  # all that is made, where all is recorded
        self.draws: Any = None  # what is drawn at random, while a function is compiled: drawn.py
        self.labels = [Label()]
        self.label = self.labels[0]

    def enter(self, label: Label) -> None:
        self.labels.append(label)
        self.label = label

    def leave(self, label: Label) -> None:
        if label in self.labels:  # it isn't, where another thread ends a loop of this one
            self.labels.remove(label)
        self.label = self.labels[-1]


recorder = _Recorder()


@contextmanager
def _setting(name: str, value: bool) -> Iterator[None]:
    """The recorder of this thread with a setting, in the block or in the decorated function."""
    before = getattr(recorder, name)
    setattr(recorder, name, value)
    try:
        yield
    finally:
        setattr(recorder, name, before)


def no_grad() -> _GeneratorContextManager[None]:
    """Record nothing in the block, or in the decorated function. Nests; a setting per thread."""
    return _setting("enabled", False)


def recording() -> _GeneratorContextManager[None]:
    """Record in the block, also where it stands inside `no_grad`."""
    return _setting("enabled", True)


@contextmanager
def recording_all() -> Iterator[list[Node]]:
    """Record everything in the block, also what no gradient is wanted for; gives the nodes made.

    They will stand for other values than they have now, so reading one is a RuntimeError, and a
    backward pass in the block is itself recorded.
    """
    before = recorder.whole
    nodes: list[Node] = []
    recorder.whole = nodes
    try:
        yield nodes
    finally:
        recorder.whole = before


def check_readable(what: str) -> None:
    """A RuntimeError where all is recorded: a value that is read now would be fixed for ever."""
    if recorder.whole is not None:
        raise RuntimeError(
            f"{what} reads a number while the function is recorded by compile. The recording "
            "stands for later calls too, in which the number is another one: return the tensor and "
            "read it outside, or choose with where() instead of if"
        )


def trace_errors() -> _GeneratorContextManager[None]:
    """In the block, a backward pass in which a nan or inf begins is a FloatingPointError.

    It names the primitive, the time step, the scope and the line. Costs a look at every term.
    """
    return _setting("tracing", True)


@contextmanager
def scope(name: str) -> Iterator[None]:
    """Label what is recorded inside the block with a name. Scopes nest."""
    outer = recorder.label
    label = Label(outer.step, outer.loop, (*outer.scope, name), counts=outer.counts)
    recorder.enter(label)
    try:
        yield
    finally:
        recorder.leave(label)


def steps(*sequences: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """Count the time steps t = 1 … T of a sequence; what a step records is labelled with its t.

    `for t, x in steps(xs)` is `enumerate(xs, 1)` with labels. Sequences of one length are walked
    together: `for t, x, y in steps(xs, ys)`. Sequences that are empty or differ in length are a
    ValueError.
    """
    if not sequences:
        raise TypeError("steps: which sequence? Write steps(xs)")
    for xs in sequences:
        if isinstance(xs, int):
            raise TypeError(f"steps: {xs} is no sequence; write steps(range({xs}))")
    lengths = dict.fromkeys(len(xs) for xs in sequences if isinstance(xs, Sized))
    if len(lengths) > 1:
        raise ValueError(f"steps: the sequences have {' and '.join(map(str, lengths))} elements")
    scopes = recorder.label.scope
    loop = next(_loops)
    rows = zip(*sequences, strict=True)
    for t in itertools.count(1):
        label = Label(t, loop, scopes)
        recorder.enter(label)
        try:
            row = next(rows, None)
            if row is None:
                break
            yield (t, *row)
        finally:
            recorder.leave(label)
    if t == 1:
        raise ValueError("steps: the sequence is empty; a recurrence needs at least one step")


# -------------------------------------------------------------------------------------------- nodes


class Node:
    """A value and how it was made. A leaf was not made by an operation: its primitive is None.

    array: the value.
    inputs: by argument slot, nodes as nodes and constants as they are; None once a backward pass
        has released the graph.
    arguments: the arrays of the inputs, as they were when the value was computed.
    attributes: the keyword arguments, such as axis.
    hooks: called with the node and its complete adjoint; what is not None replaces the adjoint.
    number: newer nodes have larger ones.
    label, site, ordinal: when it was made, by which call, as which of the nodes of its line.
    lent: whether the value has been given out as an array that can be written to.
    cut: for a detached copy, a weak reference to what it is a copy of; unset for all others.
    """

    __slots__ = (
        "array",
        "requires_grad",
        "primitive",
        "inputs",
        "arguments",
        "attributes",
        "hooks",
        "number",
        "label",
        "site",
        "ordinal",
        "lent",
        "cut",
        "__weakref__",
    )

    array: Any
    requires_grad: bool
    primitive: Primitive | None
    inputs: tuple[Any, ...] | None
    arguments: Sequence[Any]
    attributes: dict[str, Any]
    hooks: list[Callable[[Node, Any], Any]] | None
    number: int
    label: Label
    site: Site
    ordinal: int
    lent: bool
    cut: weakref.ref[Node]

    def apply(self, primitive: Primitive, inputs: tuple[Any, ...], attributes: Any) -> Any:
        """Compute a primitive that was fed this node, and record it."""
        raise NotImplementedError

    @property
    def step(self) -> int | None:
        """The time step the node was made in; None outside `steps`."""
        return self.label.step

    @property
    def scope(self) -> tuple[str, ...]:
        """The names of the scopes around the node, outermost first."""
        return self.label.scope

    @property
    def place(self) -> tuple[Any, ...]:
        """What the nodes made by one place in the code have in common at every step.

        (line, scopes, loop, ordinal): the ordinal counts the nodes made on that line in that step;
        outside the steps, where no two nodes share a place, it is the creation number. The place of
        a gradient node is (place of the node differentiated, slot, ordinal in the rule).
        """
        if self.label.origin is not None:
            return (*self.label.origin, self.ordinal)
        return (self.site.line, self.label.scope, self.label.loop, self.ordinal)


def stamp(node: Node, depth: int) -> None:
    """Give a node that was just made its creation number, label, site and ordinal.

    `depth` says how many frames up the caller outside the engine stands, if it called directly.
    """
    node.number = next(_numbers)
    node.label = label = recorder.label
    line = None
    if label.origin is None:
        node.site = site = site_of(sys._getframe(depth))
        if label.step is None:
            node.ordinal = node.number
            return
        line = site.line
    else:
        assert label.site is not None
        node.site = label.site
    counts = label.counts
    node.ordinal = ordinal = counts.get(line, 0)
    counts[line] = ordinal + 1


def stamp_all(nodes: Iterable[Node], depth: int) -> None:
    """Stamp several nodes, none of which was made while differentiating, as one call's."""
    label, site = recorder.label, site_of(sys._getframe(depth))
    counts = label.counts
    for node in nodes:
        node.number = node.ordinal = next(_numbers)
        node.label = label
        node.site = site
        if label.step is not None:
            node.ordinal = counts.get(site.line, 0)
            counts[site.line] = node.ordinal + 1


def cut_from(node: Node) -> Node | None:
    """What a node is a detached copy of, if that is still there."""
    cut = getattr(node, "cut", None)
    return None if cut is None else cut()


def retained(node: Node, g: Any) -> None:
    """The hook that changes nothing: a node that has it keeps its adjoint, as a leaf does."""


def history(*roots: Node, since: int = 0) -> list[Node]:
    """The roots and all the nodes that they were computed from, oldest first.

    since: leave out the nodes with a smaller creation number.
    """
    nodes = list(dict.fromkeys(roots))
    seen = set(nodes)
    for node in nodes:  # the list grows as we walk it
        if node.inputs is None:
            raise RuntimeError(released(node))
        for x in node.inputs:
            if isinstance(x, Node) and x.number >= since and x not in seen:
                seen.add(x)
                nodes.append(x)
    nodes.sort(key=attrgetter("number"))
    return nodes


def released(node: Node) -> str:
    """The message for a node whose graph a backward pass has released."""
    made = node.primitive.name if node.primitive else "a tensor"
    when = f" of time step {node.step}" if node.step is not None else ""
    return (
        "the graph was released by an earlier backward pass; the first released node is "
        f"{made}{when}. To go through a graph twice, pass retain_graph=True the first time; to "
        "draw or study it, do so before. To carry a state into the next chunk, cut it off first: "
        "state = state.detach()"
    )
