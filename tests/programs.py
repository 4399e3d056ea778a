"""Random programs over the table: lists of calls, run on tensors, arrays or anything else.

A program is data. Run on tensors it records itself; run on complex arrays, with each row's complex
function, it is its own derivative, f(x + ih).imag / h; run on the tensors of another library it is
compared with that. No rule is trusted.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .table import ROWS, Row

LONGEST = 40  # calls
LARGEST, MOST_ELEMENTS = 30.0, 60  # a value
STEEPEST = 1e3  # a slope along the program's direction
H = 1e-5  # what is smooth to this distance counts as smooth at the drawn point
DRAWN = [row for row in ROWS if row.program]


def recorded(row: Row) -> Callable[..., Any]:
    return row.call


def complex_function(row: Row) -> Callable[..., Any]:
    return row.complex or row.plain


@dataclass(frozen=True)
class Step:
    """One call: of a row's function, on the values in the slots, with data and keywords."""

    row: Row
    slots: tuple[int, ...]
    data: tuple[Any, ...]
    keywords: dict[str, Any]

    def on(self, function: Callable[..., Any], values: Sequence[Any]) -> Any:
        # The smooth maps into the domains are part of the program.
        given = [self.row.domain(k).inside(values[i]) for k, i in enumerate(self.slots)]
        if self.row.takes < 0:
            given = [given]
        if self.row.plain is np.where:  # the condition comes first
            return function(*self.data, *given)
        return function(*given, *self.data, **self.keywords)


@dataclass(frozen=True)
class Program:
    """A scalar function of arrays: the weighted sum of all values, each squashed to (−½, ½).

    arrays: where it is differentiated; direction: the one along which it was seen to be smooth.
    """

    steps: list[Step]
    weights: list[float]
    arrays: list[np.ndarray]
    direction: list[np.ndarray]

    def run(
        self, inputs: Sequence[Any], function_of: Callable[[Row], Any] = lambda r: r.call
    ) -> Any:
        values = list(inputs)
        for step in self.steps:
            values.append(step.on(function_of(step.row), values))
        terms = zip(self.weights, values[len(inputs) :], strict=True)
        return sum((w * v / (1 + v * v)).sum() for w, v in terms)


def random_program(seed: int) -> Program:
    """Up to 40 calls of any of the rows, on values of up to 3 axes, which share what they use.

    A call is drawn again if the shapes do not fit, if the value gets too large, or if the function
    has a kink nearby: then no derivative is promised to whoever takes differences.
    """
    r = np.random.default_rng(seed)
    sizes = [r.choice([1, 2, 3], r.integers(0, 4)) for _ in range(r.integers(1, 4))]
    arrays = [r.standard_normal([int(n) for n in size]) for size in sizes]
    direction = [r.standard_normal(a.shape) for a in arrays]
    pairs = list(zip(arrays, direction, strict=True))
    # The values at x, x + Hv and x − Hv, and those of the complex step along v.
    known = [(a, a + H * v, a - H * v, a + 1e-20j * v) for a, v in pairs]
    steps: list[Step] = []
    length = int(r.integers(5, LONGEST + 1))
    order = itertools.chain.from_iterable(r.permutation(len(DRAWN)) for _ in itertools.count())
    while len(steps) < length:
        row = DRAWN[next(order)]
        for _ in range(6):
            step = _arranged(r, row, [np.shape(k[0]) for k in known])
            columns = _tried(step, known) if step else None
            if step and columns:
                steps.append(step)
                known.append(columns)
                break
    weights = [float(w) for w in r.uniform(0.5, 1.5, len(steps))]
    return Program(steps, weights, arrays, direction)


def _arranged(r: np.random.Generator, row: Row, shapes: list[tuple[int, ...]]) -> Step | None:
    first = 0 if r.random() < 0.3 else max(0, len(shapes) - 6)
    slots = tuple(int(i) for i in r.integers(first, len(shapes), abs(row.takes)))
    try:
        data, keywords = row.program(r, *(shapes[i] for i in slots))  # type: ignore[misc]
    except (ValueError, IndexError):
        return None
    return Step(row, slots, tuple(data), keywords)


def _tried(step: Step, known: list[Any]) -> Any:
    """The step's values at all places, or None if it is no use here."""
    try:
        middle, right, left = (
            np.asarray(step.on(step.row.plain, [k[i] for k in known])) for i in range(3)
        )
    except (ValueError, IndexError):
        return None
    if not 0 < middle.size <= MOST_ELEMENTS or middle.ndim > 4 or np.abs(middle).max() > LARGEST:
        return None
    if np.abs(middle).min() < step.row.least:
        return None
    moved = np.asarray(step.on(complex_function(step.row), [k[3] for k in known]))
    slope = (right - left) / (2 * H)
    straight = np.abs(right - 2 * middle + left).max() < 1e-7
    agree = np.abs(moved.imag / 1e-20 - slope).max() < 1e-4
    return (
        (middle, right, left, moved)
        if straight and agree and np.abs(slope).max() < STEEPEST
        else None
    )
