"""The sum over time, itemised: which use of a shared parameter contributed what to its gradient.

    dL/dθ = Σ (the term of a use of θ), one for each step

One backward pass gives them all, because they are what it adds up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine.sweep import total
from ..engine.tensor import Tensor, seed
from ..tables import columns
from .plots import plot_bars
from .uses import Use, check_uses, name_of, one_loop, runs_of, uses

Array = npt.NDArray[Any]

SHOWN = 4  # terms at either end of a long sum in words


class Contributions(Sequence[Use]):
    """The terms of dL/dθ, one for each use of the parameter θ, oldest use first.

    As an array: (uses, *shape of θ). Printed: a table.
    """

    def __init__(self, name: str, items: list[Use], shape: tuple[int, ...]) -> None:
        self.name = name
        self.shape = shape
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    @property
    def total(self) -> Array:
        """Their sum, which is the gradient dL/dθ."""
        array: Array = total([use.term for use in self])
        return array

    @property
    def steps(self) -> list[int]:
        """The time steps in which there is a use."""
        return sorted({use.step for use in self if use.step is not None})

    def at(self, step: int) -> Array:
        """The sum of the terms of one step: the derivative with respect to that step's copy of θ.

        A ValueError says that the step has no use, or that there are several loops over steps.
        """
        one_loop("contributions", f"the uses of {self.name}", (use.loop for use in self))
        terms = [use.grad for use in self if use.step == step]
        if not terms:
            raise ValueError(
                f"contributions: {self.name} has no use in step {step!r}; "
                f"there are uses in {runs_of(self.steps)}"
            )
        array: Array = np.sum(terms, axis=0)
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array([use.grad for use in self], dtype=dtype)

    def __str__(self) -> str:
        size = "term" if not self.shape else "norm"
        rows = [["step", "used by", "argument", size]]
        loops = list(dict.fromkeys(use.loop for use in self if use.loop is not None))
        for use in self:
            number = use.grad.item() if not self.shape else use.norm
            step = "–" if use.step is None else str(use.step)
            if len(loops) > 1 and use.loop is not None:
                step += f" of loop {loops.index(use.loop) + 1}"
            rows.append([step, ".".join((*use.scope, use.op)), str(use.slot), f"{number:.4g}"])
        whole = self.total.item() if not self.shape else np.linalg.norm(self.total)
        rows.append(["sum", "", "", f"{whole:.4g}"])
        return f"dL/d{self.name}, a sum over {len(self)} uses:\n{columns(rows)}"

    __repr__ = __str__

    def plot(self, labels: Sequence[str] | None = None, ax: Any = None) -> Any:
        """Bars: the norm of the sum of the terms of each step. Returns matplotlib's axes.

        labels: what to write below each step, such as the characters that were read.
        """
        sizes = [float(np.linalg.norm(self.at(step))) for step in self.steps]
        return plot_bars(self.steps, sizes, self.name, labels, ax)


def contributions(loss: Tensor, parameter: Tensor) -> Contributions:
    """What each use of a parameter contributes to its gradient: dL/dθ = Σ (term of use).

    loss: one element, recorded in steps, not released; the graph is kept.

    One backward pass gives them all: they are the terms that it sums up. A ValueError says that the
    loss does not depend on the parameter, or that no use of it is labelled with a time step.
    """
    found = uses([loss], [seed(loss, function="contributions")], parameter)
    check_uses("contributions", found, parameter)
    return Contributions(name_of(parameter), found, parameter.shape)


def explain(loss: Tensor, parameter: Tensor, at: tuple[int, ...] | None = None) -> str:
    """dL/dθ as the sum over its uses, with the numbers: "dL/dw = 0.036 + 0.036 + 0.036 = 0.108".

    at: the element of θ; by default the one with the largest gradient. Errors as for
    `contributions`; an element that is not there is an IndexError.
    """
    found = contributions(loss, parameter)
    whole = found.total
    if at is None:
        at = tuple(int(i) for i in np.unravel_index(np.argmax(np.abs(whole)), whole.shape))
    else:
        at = tuple(at) if isinstance(at, (tuple, list)) else (at,)
    if len(at) != whole.ndim or any(not 0 <= i < n for i, n in zip(at, whole.shape, strict=True)):
        raise IndexError(f"explain: {found.name} has shape {whole.shape}, and no element {at}")
    element = f"[{', '.join(map(str, at))}]" if at else ""
    left = f"dL/d{found.name}{element}"
    where = f"one in each of the steps {runs_of(found.steps)}"
    loops = len({use.loop for use in found if use.loop is not None})
    if loops > 1:
        where = f"in {loops} loops over steps"
    elif len(found.steps) < len(found):
        where = f"in the steps {runs_of(found.steps)}"
        if any(use.step is None for use in found):
            where += " and outside"
    numbers = [float(use.grad[at]) for use in found]
    elided = numbers[SHOWN:-SHOWN]
    words = [f"{x:.4g}" for x in numbers]
    if len(elided) > 1:
        words[SHOWN:-SHOWN] = [f"({len(elided)} more: {sum(elided):.4g})"]
    return (
        f"{left} = Σ over the {len(found)} uses of {found.name}, {where}\n"
        f"{'':{len(left)}} = {' + '.join(words).replace('+ -', '− ')}\n"
        f"{'':{len(left)}} = {float(whole[at]):.4g}"
    )
