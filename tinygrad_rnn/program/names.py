"""Names: what the values of a program are called, in its text and in the equations beside it.

A value has the name that it has in the recorded function; an adjoint is called d and the name of
what it is the adjoint of. What has no name gets the lecture's: a for what goes into tanh, z for
what goes into softmax.
"""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterable, Mapping, Sequence

from .equations import SUM, Value
from .sums import overlap

RESERVED = {
    *keyword.kwlist,
    *dir(builtins),
    "np",
    "t",
    "empty",
    "each",
    "classes",
    "ones",
    "scatter",
    "softmax",
    "T",
    "B",
    "D",
}
RESERVED |= {"logsumexp", "log_softmax"}


def name_values(
    values: Iterable[Value], inputs: Iterable[Value], goes_on: Mapping[Value, Value]
) -> dict[Value, str]:
    """A name for each value that has one, no name twice; inputs come first.

    goes_on: sequences, and what each is but for its first or last: they have one name.
    """
    values, inputs = list(values), list(inputs)
    for home, value in goes_on.items():
        value.name = value.name or home.name
    _without_step(values, inputs)
    names: dict[Value, str] = {}
    taken = set(RESERVED)
    begins = {
        read.source: value.name
        for value in values
        if value.op == SUM and value.steps is not None
        for read in value.reads
        if read.source in inputs and read.source.steps is None
    }

    def give(value: Value, wanted: str) -> None:
        name = wanted
        for n in range(2, 1000):
            if name not in taken:
                break
            name = f"{wanted}{n}" if wanted not in RESERVED else f"{wanted}_{n if n > 2 else ''}"
        taken.add(name)
        names[value] = name

    for value in inputs:
        wanted = value.name or ("x" if value.op == "input" else "p")
        if begins.get(value) == wanted:
            wanted += "_0" if wanted[-1].isdigit() else "0"
        give(value, wanted)
    for value in values:
        if value not in names and not value.leaf and value not in goes_on and value.name:
            give(value, value.name)
    names.update({value: names[of] for value, of in goes_on.items() if of in names})
    return names


def _without_step(values: Sequence[Value], inputs: Sequence[Value]) -> None:
    """What the function calls h_t in each step is h, if nothing else is."""
    begin = {r.source for v in values if v.op == SUM and v.steps is not None for r in v.reads}
    others = {v.name for v in values if v.steps is None or not str(v.name).endswith("_t")}
    others |= {v.name for v in inputs if v not in begin}
    for value in values:
        if value.name and value.steps is not None and value.name.endswith("_t"):
            short = value.name.removesuffix("_t")
            value.name = value.name if not short or short in others else short


def at_step(name: str, step: str = "t") -> str:
    """h_t for h, and for an array that is called h_t."""
    return f"{name.removesuffix('_t') or name}_{step}"


def lecture_names(values: Sequence[Value]) -> None:
    """Name what the lecture has a name for, and the function has not."""
    for value in values:
        if value.op == "tanh" and not value.name and value.adjoint is None:
            of = value.reads[0].source  # tanh(c), in h = o * tanh(c)
            value.name = f"tanh_{of.name}" if of.name and of.steps and not of.leaf else None
    logits = "y_hat" if any(value.name == "z" for value in values) else "z"
    for value in values:
        for read in value.reads:
            source = read.source
            if source.name is not None or source.leaf or source.adjoint is not None:
                continue
            if value.op in ("tanh", "sigmoid") and source.op == SUM:
                source.name = "a"
            elif value.op == "shifted":
                source.name = logits
        if (
            value.op == SUM
            and value.name is None
            and value.adjoint is None
            and value.steps is not None
            and overlap(value) is False
        ):
            value.name = "h"  # a state, and what it begins with
        if value.op == SUM and value.name is None and value.steps is None:
            terms = [r.source for r in value.reads if r.over is not None and r.source.about]
            if terms and value.adjoint is None:
                value.name = "L" if terms[0].name != "L" else "total"
        if value.op == "subtract" and value.name is None and _is_slope(value):
            value.name = "slope"
        if value.about and value.name is None:
            value.name = "loss"
        elif value.op == "exp" and value.about == "":
            value.name = "e"
        elif value.op == "row_sum":
            value.name = "s"
        elif value.op == "pick":
            value.name = "picked"
    for value in values:
        if value.name is None and value.adjoint is not None and value.adjoint.name is not None:
            value.name = f"d{value.adjoint.name}"


def _is_slope(value: Value) -> bool:
    """Whether a value is 1 − y²."""
    one, square = value.reads
    twice = {(r.source, r.sign, r.offset) for r in square.source.reads}
    return one.source.op == "constant" and square.source.op == "multiply" and len(twice) == 1
