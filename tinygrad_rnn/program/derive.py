"""From a trace to a function: the passes, one after another.

Where a recording is no loop, its program is a list of operations; where an operation is not known
in NumPy's words, there is none, and the function itself runs. Never is there a wrong one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine.record import history
from ..engine.tensor import Tensor
from ..fold import fold
from .captured import Captured
from .equations import Builder, Roots, Value, readers
from .names import lecture_names
from .normal import normalise, ordered
from .operations import at_once
from .patterns import recognise
from .schedule import schedule
from .source import Writer
from .trace import Gradient, Trace, Unsupported


class Buffers:
    """The arrays of a program, kept between calls: given out in the order they are asked for."""

    def __init__(self) -> None:
        self._kept: list[Any] = []
        self._next = 0

    def start(self) -> Callable[..., Any]:
        """Begin a call; what is returned takes the place of `np.empty` in it."""
        self._next = 0
        return self._empty

    def _empty(self, shape: Any, dtype: Any) -> Any:
        at = self._next
        self._next = at + 1
        if at == len(self._kept):
            self._kept.append(np.empty(shape, dtype))
        return self._kept[at]

    @property
    def size(self) -> int:
        """Their bytes."""
        return sum(array.nbytes for array in self._kept)


@dataclass
class Derived:
    """A program, and how a call becomes one of it.

    run: the function; None if there is no program, and `why` says why.
    """

    run: Callable[..., Any] | None
    source: str | None
    why: str
    captured: list[Tensor]
    constants: list[Any]
    gradients: list[Gradient]
    result: Any
    outside: Captured
    facts: dict[str, int] = field(default_factory=dict)
    buffers: Buffers = field(default_factory=Buffers)

    @classmethod
    def nothing(cls, f: Callable[..., Any], why: str) -> Derived:
        """No program."""
        return cls(None, None, why, [], [], [], None, Captured(f))


def derive(trace: Trace, name: str) -> Derived:
    """The program of a trace."""
    builder = Builder(trace.inputs, trace.captured)
    why = ""
    facts = {"recorded nodes": len(history(*trace.outputs))}
    try:
        graph = fold(trace.outputs)
        facts["folded nodes"] = len(graph.nodes)
        writer, units = _written(builder.folded(graph), trace, name)
    except (ValueError, Unsupported) as no_loop:
        why = f"no loop: {no_loop}"
        builder = Builder(trace.inputs, trace.captured)
        writer, units = _written(builder.unrolled(trace.outputs), trace, name)
    source = writer.source()
    space: dict[str, Any] = {}
    exec(compile(source, f"<derived program of {name}>", "exec"), space)
    facts |= {
        "loops": sum(1 for unit in units if unit.direction),
        "operations in loops": sum(len(unit.values) for unit in units if unit.direction),
        "operations over all steps at once": sum(
            1 for unit in units if not unit.direction and unit.values[0].steps is not None
        ),
        "other operations": sum(
            1 for u in units if not u.direction and u.values[0].steps is None
        ),
    }
    return Derived(
        space[name], source, why, trace.captured, [v.constant for v in writer.constants],
        trace.gradients, trace.result, trace.outside, facts,
    )  # fmt: skip


def _written(roots: Roots, trace: Trace, name: str) -> tuple[Writer, Any]:
    normalise(roots)
    recognise(roots)
    lecture_names(ordered(roots))
    units = schedule(roots, at_once)
    inputs = _arguments(roots, trace)
    return Writer(name, units, roots, inputs), units


def _arguments(roots: Roots, trace: Trace) -> list[Value]:
    """The values of the arrays that the program is called with, whether it reads them or not."""
    found = {(v.op, v.number): v for v in readers(roots) if v.op in ("input", "captured")}
    arguments = []
    for op, leaves in (("input", trace.inputs), ("captured", trace.captured)):
        for i, leaf in enumerate(leaves):
            value = found.get((op, i)) or Value(op, None, leaf.shape, leaf.dtype, number=i)
            value.name = trace.names.get(leaf) or value.name or leaf.name
            if value.name is not None and not value.name.isidentifier():
                value.name = None
            arguments.append(value)
    return arguments
