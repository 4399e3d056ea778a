"""From a trace to a function: the passes, one after another.

Where a recording is no loop, its program is a list of operations; where an operation is not known
in NumPy's words, there is none, and the function itself runs. Never is there a wrong one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine.drawn import Sample
from ..engine.record import history
from ..engine.tensor import Tensor
from ..fold import fold
from .captured import Captured
from .equations import Builder, Roots, Value, readers
from .execute import Buffers, prepared, unwritten
from .names import lecture_names
from .normal import normalise
from .operations import at_once
from .patterns import recognise
from .rewriting import ordered
from .schedule import schedule
from .source import Writer
from .trace import Gradient, Trace, Unsupported, replayed


@dataclass
class Derived:
    """A program, and how a call becomes one of it.

    prepare: makes it ready to run; None if there is no program, and `why` says why.
    kinds: shape and dtype of the arguments, and of what is drawn at random.
    any_length: whether its text is the same for sequences of any number of steps.
    numbers: those in its text, as they were in the recording.
    """

    prepare: Callable[..., Any] | None
    source: str | None
    why: str
    drawn: list[tuple[np.random.Generator, Sample]]
    captured: list[Tensor]
    constants: list[Any]
    gradients: list[Gradient]
    result: Any
    outside: Captured
    kinds: list[tuple[tuple[int, ...], Any]]
    any_length: bool = False
    numbers: list[Any] = field(default_factory=list)
    facts: dict[str, int] = field(default_factory=dict)
    buffers: Buffers = field(default_factory=Buffers)

    @property
    def code(self) -> str:
        """Its text without what is said of the recording: the docstring and the equations."""
        assert self.source is not None
        return re.sub(r" *#.*", "", self.source[self.source.rindex('"""\n') :])

    def run(self, *arrays: Any) -> Any:
        """What the program computes, now, from arguments of these kinds."""
        assert self.prepare is not None
        given = [*arrays, *[x.array for x in self.captured], *self.constants]
        return self.buffers.run(self.prepare, given, self.kinds)

    @classmethod
    def nothing(cls, f: Callable[..., Any], why: str) -> Derived:
        """No program."""
        return cls(None, None, why, [], [], [], [], None, Captured(f), [])


def derive(
    trace: Trace,
    name: str,
    any_length: bool = False,
    elsewhere: Sequence[Any] = (),
    only_text: bool = False,
) -> Derived:
    """The program of a trace: as a loop, or as a list of operations; `Unsupported` if neither.

    any_length: write it for sequences of any length, if that can be; it has to be checked.
    elsewhere: the numbers of the same program in a recording of another length.
    only_text: it is not to run.
    """
    reasons = []
    for folded in (True, False):
        try:
            derived = _derived(trace, name, folded, any_length, elsewhere)
            if not only_text:
                assert derived.source is not None
                derived.prepare = prepared(derived.source, name)
                _check(derived, trace)
        except Exception as error:
            # A gap in the passes is no reason not to run: the next way is simpler.
            kind = (
                "" if isinstance(error, (Unsupported, ValueError)) else f"{type(error).__name__} "
            )
            reasons.append(f"{'no loop' if folded else 'no program'}: {kind}{error}")
        else:
            derived.why = "; ".join(reasons)
            return derived
    raise Unsupported("; ".join(reasons))


def _derived(
    trace: Trace, name: str, folded: bool, any_length: bool, elsewhere: Sequence[Any]
) -> Derived:
    builder = Builder(trace.inputs, trace.captured)
    facts = {"recorded nodes": len(history(*trace.outputs))}
    if folded:
        graph = fold(trace.outputs)
        facts["folded nodes"] = len(graph.nodes)
        roots = builder.folded(graph)
    else:
        roots = builder.unrolled(trace.outputs)
    writer, units = _written(roots, trace, name, folded and any_length, elsewhere)
    source = writer.source()
    loops = [unit for unit in units if unit.direction]
    whole = [unit for unit in units if not unit.direction and unit.values[0].steps is not None]
    in_loops = [value for unit in loops for value in unit.values]
    facts |= {
        "loops": len(loops),
        # a state with its beginning is a row of the same array: nothing is computed
        "operations in loops": sum(value not in writer.memory.goes_on for value in in_loops),
        "whole-time operations": len(whole),
        "other operations": len(units) - len(loops) - len(whole),
    }
    constants = [value.constant for value in writer.constants]
    for value in readers(roots):  # equations go in circles, and hold arrays of the recording
        value.reads, value.adjoint, value.example = [], None, None
    return Derived(
        None, source, "", trace.drawn, trace.captured, constants, trace.gradients,
        trace.result, trace.outside, kinds_of(x.array for x in trace.inputs),
        writer.any_length, writer.numbers, facts,
    )  # fmt: skip


def kinds_of(arrays: Iterable[Any]) -> list[tuple[tuple[int, ...], Any]]:
    return [(x.shape, x.dtype) for x in arrays]


def _check(derived: Derived, trace: Trace) -> None:
    """An `Unsupported` if a program does not compute what its recording does.

    The numbers of the recording may not tell: biases are zeros before training, and so is h_0.
    Hence others are tried, too.
    """
    assert derived.prepare is not None
    compare(derived.run(*[x.array for x in trace.inputs]), [x.array for x in trace.outputs])
    others = _other_numbers(x.array for x in [*trace.inputs, *trace.captured])
    given = [*others, *derived.constants]
    with np.errstate(all="ignore"):
        run = derived.prepare(*given, empty=unwritten)
        compare(run(*given), replayed(trace, others))


def _other_numbers(arrays: Iterable[Any]) -> list[Any]:
    """Of the same sign, or small where they are 0; what is not floating-point stays as it is."""
    rng, others = np.random.default_rng(0), []
    for x in arrays:
        if x.dtype.kind == "f":
            r = rng.random(x.shape, np.float32) / 4 - 0.125
            x = np.where(x == 0, r, x + r * x).astype(x.dtype)
        others.append(x)
    return others


def compare(results: Iterable[Any], outputs: list[Any]) -> None:
    """An `Unsupported` if results are not what was recorded, up to rounding."""
    for found, wanted in zip(results, outputs, strict=True):
        found = np.asarray(found)
        if found.shape != wanted.shape or found.dtype != wanted.dtype:
            raise Unsupported(f"{found.dtype} of shape {found.shape} instead of {wanted.dtype} "
                              f"of shape {wanted.shape} came out")  # fmt: skip
        if wanted.dtype.kind == "f":
            scale = np.max(np.abs(wanted), initial=0, where=np.isfinite(wanted))
            loose = 1e4 * float(np.finfo(wanted.dtype).eps)
            same = np.allclose(found, wanted, rtol=loose, atol=loose * float(scale), equal_nan=True)
        else:
            same = np.array_equal(found, wanted)
        if not same:
            raise Unsupported("another value came out than was recorded")


def _written(
    roots: Roots, trace: Trace, name: str, any_length: bool, elsewhere: Sequence[Any]
) -> tuple[Writer, Any]:
    normalise(roots)
    recognise(roots)
    lecture_names(ordered(roots))
    units = schedule(roots, at_once)
    inputs = _arguments(roots, trace)
    return Writer(name, units, roots, inputs, any_length, elsewhere), units


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
