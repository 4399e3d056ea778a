"""Lengths: one program for sequences of all lengths.

A program whose text sees each step from the first or from the last serves every number of steps. It
is derived from a recording of a few, so that what this takes does not grow with them, and again
from one of a few more, which tells what is the number of steps from what is 7 by chance. For each
length that it is called with, the function itself runs once, in the ordinary way, and the program
serves that length if it gives the same: so what a function makes of the length as such, a mean over
the steps or an `if t == 40`, is never silently wrong.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from ..engine.tensor import Tensor
from .captured import Captured
from .derive import Derived, compare, derive, kinds_of
from .trace import (
    ReplacedError,
    Run,
    Trace,
    Unsupported,
    argument_names,
    as_inputs,
    flatten,
    run,
    trace,
)

FEWEST = 7  # steps: the first two, the last two, and some between them
MOST_STATES = 2  # of as many rows as there are steps: h and c


@dataclasses.dataclass
class AnyLength:
    """A program for all numbers of steps T.

    The function makes `at_none + T · in_each` nodes in T steps, where it does the same in each.
    """

    derived: Derived
    at_none: int
    in_each: int

    def at(self, T: int, f: Callable[..., Any], args: Any, kwargs: Any, given: Any) -> Derived:
        """The program for T steps; `Unsupported` if it is not what f computes in so many."""
        found, inputs, nodes = _ordinary(f, args, kwargs, given, self.derived.outside)
        if nodes != self.at_none + T * self.in_each:
            raise Unsupported("not all steps are alike")
        arrays = [x.array for x in [*inputs, *found.draws.tensors]]
        here = dataclasses.replace(self.derived, drawn=found.draws.taken, kinds=kinds_of(arrays))
        try:
            compare(here.run(*arrays), self._outputs(found))
        except Exception as error:  # in a text that is for more steps, or for fewer
            raise Unsupported(str(error)) from None
        return here

    def _outputs(self, found: Run) -> list[Any]:
        """What f returned, and the gradients that it left, as the program has them."""
        outputs: list[Any] = []
        same = flatten(found.returned, outputs) == self.derived.result
        expected = [(g.tensor, g.argument, g.output is None) for g in self.derived.gradients]
        left = [(x if at is None else None, at, g is None) for x, at, g in found.left]
        if not same or left != expected:
            raise Unsupported("what comes out is of another kind")
        outputs += [g for _, _, g in found.left if g is not None]
        return [x.array if isinstance(x, Tensor) else x for x in outputs]


def sequences(given: Sequence[Any]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """What may be the number of steps, and which arguments may have so many: likely ones first.

    Most of the arrays that have a first axis of that length are sequences; but a batch may have the
    same length, and a state is none.
    """
    lengths = Counter(x.shape[0] for x in given if x.ndim)
    for T, count in lengths.most_common():
        places = [i for i, x in enumerate(given) if x.ndim and x.shape[0] == T]
        for size in range(count, max(0, count - MOST_STATES - 1), -1) if T else ():
            for some in combinations(places, size):
                yield T, some


def of_any_length(
    T: int,
    places: Sequence[int],
    f: Callable[..., Any],
    args: Any,
    kwargs: Any,
    given: Sequence[Any],
    name: str,
) -> AnyLength | None:
    """Derive a program from a recording of the first few steps; None if it does not serve all T.

    T: how many steps f is called with. It is None as well if that is not more than are recorded:
        `FEWEST` and one more, or the next numbers that are no size of another axis. Letters stand
        for sizes, and one size with two meanings could not be told apart.
    places: which of the given arguments are the sequences.
    """
    if T < FEWEST + 2:
        return None
    outside = Captured(f, args, kwargs)
    sizes = {size for x in [*given, *outside.tensors.values()] for size in x.shape}
    free = [n for n in range(FEWEST, T) if n not in sizes]
    if len(free) < 2:
        return None
    n, more = free[:2]

    def first(n: int) -> list[Any]:
        return [x[:n] if i in places else x for i, x in enumerate(given)]

    try:
        few = trace(f, args, kwargs, first(n))
        derived = _at_two_lengths(few, lambda: trace(f, args, kwargs, first(more)), name)
        del few  # it is large
        if derived is None:
            return None
        in_n, in_more = (_ordinary(f, args, kwargs, first(k), outside)[2] for k in (n, more))
    except ReplacedError:  # the next run would begin with what this one left
        raise
    except Exception:  # on fewer steps than it is called with, f may do anything
        return None
    in_each = (in_more - in_n) // (more - n)
    return AnyLength(derived, in_n - n * in_each, in_each)


def _at_two_lengths(few: Trace, recorded: Callable[[], Trace], name: str) -> Derived | None:
    """The program of the shorter recording, if that of a longer one is the same to the letter.

    Which numbers come from the number of steps can't be seen in one recording, nor by running the
    program: a limit of 7 is one of T, as long as no value reaches it.
    """
    derived = derive(few, name, any_length=True)
    other = derive(recorded(), name, any_length=True, elsewhere=derived.numbers, only_text=True)
    if derived.code != other.code:
        derived = derive(few, name, any_length=True, elsewhere=other.numbers)
    for found in (derived, other):
        if found.why or not found.any_length:
            return None
    same = len(derived.constants) == len(other.constants) and all(
        np.array_equal(x, y) for x, y in zip(derived.constants, other.constants, strict=True)
    )
    return derived if same and derived.code == other.code else None


def _ordinary(
    f: Callable[..., Any], args: Any, kwargs: Any, given: Sequence[Any], outside: Captured
) -> tuple[Run, list[Tensor], int]:
    """f as it runs without compile, on what inputs, and how many tensors were made."""
    inputs = as_inputs(given, argument_names(f, args, kwargs))
    before = Tensor(0.0).number
    found = run(f, args, kwargs, inputs, outside)
    return found, inputs, Tensor(0.0).number - before
