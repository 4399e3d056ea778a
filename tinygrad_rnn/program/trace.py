"""The trace: one run of a function with everything recorded, as inputs, outputs and gradients.

The arrays and tensors among the arguments become leaves of the recording. What the function leaves
in `.grad` becomes an output. This file knows how a function is called, and nothing of loops.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine.drawn import Draws, Sample, drawing
from ..engine.record import Node, cut_from, history, recording_all
from ..engine.tensor import Tensor
from .captured import Captured

one_at_a_time = threading.RLock()
"""Held while gradients are changed: during a run to record them, all threads see its own."""


class Unsupported(Exception):  # noqa: N818 (it says so)
    """Why a function is run as it is, and not as a program."""


class ReplacedError(RuntimeError):
    """A function leaves another tensor in the place of one that it reads: wrong at any length."""


@dataclass
class Gradient:
    """A gradient that a call leaves behind: whose, which output, and whether it is added."""

    tensor: Tensor | None  # what the function has from outside
    argument: int | None  # or a place among the arguments
    output: int | None  # None: the gradient is forgotten
    added: bool


@dataclass
class Trace:
    """A recorded function.

    inputs: the leaf for each array or tensor among the arguments, and for each array of random
        numbers. drawn: how those are drawn.
    captured: the tensors from outside that it computes with.
    outputs: what it computed. They hold the recording: drop them when done.
    result: what it returned, with places among the outputs, the first of them, in the place of
        tensors.
    """

    inputs: list[Tensor]
    drawn: list[tuple[np.random.Generator, Sample]]
    captured: list[Tensor]
    outputs: list[Tensor]
    result: Any
    gradients: list[Gradient]
    outside: Captured
    names: dict[Node, str] = field(default_factory=dict)


class Place(int):
    """Where a tensor stands, among the inputs or among the outputs."""


def flatten(tree: Any, leaves: list[Any]) -> Any:
    """Arguments with a `Place` instead of each array or tensor, which are added to the leaves."""
    if isinstance(tree, (Tensor, np.ndarray)):
        leaves.append(tree)
        return Place(len(leaves) - 1)
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(flatten(x, leaves) for x in tree))
    if isinstance(tree, (list, tuple)):
        return type(tree)([flatten(x, leaves) for x in tree])
    if isinstance(tree, dict):
        return {key: flatten(x, leaves) for key, x in tree.items()}
    return tree


def fill(tree: Any, leaves: list[Any]) -> Any:
    """What `flatten` came from, with other leaves."""
    if isinstance(tree, Place):
        return leaves[tree]
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(fill(x, leaves) for x in tree))
    if isinstance(tree, (list, tuple)):
        return type(tree)([fill(x, leaves) for x in tree])
    if isinstance(tree, dict):
        return {key: fill(x, leaves) for key, x in tree.items()}
    return tree


def key_of(tree: Any) -> Any:
    """What is to be equal for a recording to be used again: the structure, and what is no array."""
    if isinstance(tree, Place):
        return Place
    if isinstance(tree, (list, tuple)):
        return type(tree), tuple(map(key_of, tree))
    if isinstance(tree, dict):
        return dict, tuple((key, key_of(x)) for key, x in tree.items())
    try:
        hash(tree)
    except TypeError:
        return _Itself(tree)
    return type(tree), tree


class _Itself:
    """A key for an object that has no hash: equal to that of the same object, which it keeps."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and other.x is self.x

    def __hash__(self) -> int:
        return id(self.x)


@dataclass
class Run:
    """A function that was run on tensors.

    left: the gradients that it left: whose, at which place among the arguments if it is one, and
        the gradient, which is None where it was forgotten.
    marks: what stood in the place of the gradients before.
    draws: the random numbers that it drew.
    """

    returned: Any
    left: list[tuple[Tensor, int | None, Tensor | None]]
    marks: list[Tensor]
    draws: Draws


def run(f: Callable[..., Any], args: Any, kwargs: Any, inputs: list[Tensor],
        outside: Captured) -> Run:  # fmt: skip
    """Run f, leaving no gradient anywhere. `args` and `kwargs` have places for the inputs."""
    tensors = list(outside.tensors.values())
    before = [x.grad for x in tensors]
    marks = [Tensor(np.zeros(x.shape, x.dtype)) for x in [*tensors, *inputs]]
    try:
        for x, mark in zip([*tensors, *inputs], marks, strict=True):
            x.grad = mark
        with drawing() as draws:
            returned = f(*fill(args, inputs), **fill(kwargs, inputs))
        places = [None] * len(tensors) + list(range(len(inputs)))
        left = [
            (x, at, x.grad)
            for x, at, mark in zip([*tensors, *inputs], places, marks, strict=True)
            if x.grad is not mark
        ]
    finally:
        for x, g in zip(tensors, before, strict=True):
            x.grad = g
        for x in inputs:
            x.grad = None
    return Run(returned, left, marks, draws)


def as_inputs(given: Sequence[Any], names: Sequence[str]) -> list[Tensor]:
    """The arrays and tensors of a call as new tensors."""
    inputs = [
        Tensor(x.array if isinstance(x, Tensor) else x, name=name)
        for x, name in zip(given, names, strict=True)
    ]
    for x, leaf in zip(given, inputs, strict=True):
        leaf.requires_grad = isinstance(x, Tensor) and x.requires_grad
    return inputs


def trace(f: Callable[..., Any], args: Any, kwargs: Any, given: list[Any]) -> Trace:
    """Run f once and record it. `args` and `kwargs` have places, `given` the arrays for them."""
    named = argument_names(f, args, kwargs)
    inputs = as_inputs(given, named)
    outside = Captured(f, args, kwargs)
    since = Tensor(0.0).number
    with recording_all() as recorded:
        found = run(f, args, kwargs, inputs, outside)
    outputs: list[Any] = []
    result = flatten(found.returned, outputs)
    if not any(isinstance(x, Tensor) for x in outputs):
        raise TypeError(
            f"compile: {_name(f)} returned {type(found.returned).__name__}, and no tensor. What it "
            "computes can't be told from its recording; return the loss, say"
        )
    made = set(recorded)
    inside = made.intersection(Captured(result).tensors.values())
    if inside:
        raise Unsupported(f"{_label(inside.pop())} is returned inside an object")
    outputs = [_source(x, made) if isinstance(x, Tensor) else Tensor(x) for x in outputs]
    gradients = []
    marks = set(found.marks)
    for x, at, g in found.left:
        tensor = x if at is None else None
        if g is None:
            gradients.append(Gradient(tensor, at, None, False))
            continue
        added = g.primitive is not None and g.inputs is not None and g.inputs[0] in marks
        term = g.inputs[1] if added and g.inputs is not None else g
        gradients.append(Gradient(tensor, at, len(outputs), added))
        outputs.append(term)
    nodes = history(*outputs)
    if not set(nodes).isdisjoint(marks):
        raise Unsupported("a gradient was computed from the gradient before it")
    inputs = [*inputs, *found.draws.tensors]
    known = set(map(id, inputs))
    captured = []
    for node in nodes:
        if node.number >= since or id(node) in known:
            continue
        if node.primitive is not None and node.requires_grad:
            raise Unsupported(f"{_label(node)} was computed before the call")
        if id(node) not in outside.tensors:
            raise Unsupported(f"where {_label(node)} is kept was not found")
        captured.append(outside.tensors[id(node)])
        where = outside.replaced(captured[-1])
        if where:
            raise ReplacedError(
                f"compile: {_name(f)} reads {_label(node)} and puts another one in its place, at "
                f"{where}. It would not in a later call, which runs the program: let it be an "
                "argument, and return the other one"
            )
    strangers = [x for x in nodes if x.primitive is None and x.requires_grad and x.number >= since]
    if strangers:
        raise Unsupported(f"{_label(strangers[0])} is made anew in each call")
    names: dict[Node, str] = {x: name for x, name in zip(inputs, named, strict=False) if name}
    return Trace(inputs, found.draws.taken, captured, outputs, result, gradients, outside,
                 names)  # fmt: skip


def replayed(trace: Trace, arrays: Sequence[Any]) -> list[Any]:
    """What the recorded operations compute from other inputs and other tensors from outside."""
    values: dict[Any, Any] = dict(zip([*trace.inputs, *trace.captured], arrays, strict=True))
    for node in history(*trace.outputs):
        source = cut_from(node)
        if source in values:
            values[node] = values[source]
        elif node.primitive is None:
            values.setdefault(node, node.array)
        else:
            given = [values[x] if isinstance(x, Node) else x for x in node.inputs or ()]
            values[node] = np.asarray(node.primitive.function(*given, **node.attributes))
    return [values[x] for x in trace.outputs]


def _source(x: Any, made: set[Node]) -> Any:
    """What a detached copy is a copy of: the same value."""
    source = cut_from(x)
    while source is not None and source in made:
        x, source = source, cut_from(source)
    return x


def argument_names(f: Callable[..., Any], args: Any, kwargs: Any) -> list[str]:
    """A name for each place among the arguments: the parameter's, with a number inside a list."""
    try:
        bound = inspect.signature(f).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        bound = {f"argument{i}": x for i, x in enumerate(args)} | kwargs
    names: dict[int, str] = {}

    def walk(x: Any, name: str) -> None:
        if isinstance(x, Place):
            names[x] = name
        elif isinstance(x, (list, tuple)):
            for i, part in enumerate(x, 1):
                walk(part, f"{name}{i}")
        elif isinstance(x, dict):
            for key, part in x.items():
                walk(part, f"{name}_{key}" if name not in ("kwargs", "keywords") else str(key))

    for name, x in bound.items():
        walk(x, name)
    return [names[i] for i in sorted(names)]


def _name(f: Any) -> str:
    return getattr(f, "__name__", type(f).__name__)


def _label(node: Node) -> str:
    name = getattr(node, "name", None)
    return f"the tensor {name!r}" if name else f"a tensor of shape {node.array.shape}"
