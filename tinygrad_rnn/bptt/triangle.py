"""The triangle C[t, k]: the term of loss t and use k of a shared parameter, for all losses at once.

    dL/dθ = Σ_t Σ_k C[t, k]

Its rows are the gradients of the single losses, its columns those with respect to the copy of θ
that a step uses. Terms are kept as the factors that a product was put off as, so that T² matrices
are made only when they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine.sweep import total
from ..engine.tensor import Tensor
from ..tables import heat_map
from .plots import plot_triangle
from .uses import Use, check_uses, listed, name_of, norms, one_loop, runs_of, uses

Array = npt.NDArray[Any]


class Triangle:
    """C[t, k], the term of loss t and use k of a parameter θ: dL/dθ = Σ_t Σ_k C[t, k].

    Rows are the losses, columns the steps; index 0 is step 1. As an array: `terms`. Printed: a heat
    map. Which C[t, k] are 0 is found, not assumed.

    times: the step t of each loss; its number in the list, if it was made outside the steps.
    outside: whether there is such a loss.
    """

    def __init__(
        self, parameter: Tensor, times: list[int], found: list[Use], outside: bool = False
    ) -> None:
        self.outside = outside
        self.name = name_of(parameter)
        self.times = times
        self._shape = parameter.shape
        self._dtype = parameter.dtype
        steps = [use.step for use in found if use.step is not None]
        self._by_step: list[list[Any]] = [[] for _ in range(max(steps + times))]
        for use in found:
            self._by_step[(use.step or 0) - 1].append(use.term)

    def _column(self, k: int) -> Array:
        """The terms of all losses and the uses of step k+1, (losses, *shape)."""
        terms = self._by_step[k]
        if not terms:
            return np.zeros((len(self.times), *self._shape), self._dtype)
        array: Array = total(terms)
        return array

    @cached_property
    def terms(self) -> Array:
        """C, (losses, steps, *shape of θ)."""
        return np.stack([self._column(k) for k in range(len(self._by_step))], axis=1)

    def at(self, t: int, k: int) -> Array:
        """C[t, k], of θ's shape: the term of the loss of step t and the use in step k."""
        if t not in self.times or not 1 <= k <= len(self._by_step):
            raise IndexError(
                f"triangle: there is no term of loss {t} and use {k}; the losses are of steps "
                f"{runs_of(sorted(self.times))}, the uses of steps 1 … {len(self._by_step)}"
            )
        array: Array = self._column(k - 1)[self.times.index(t)]
        return array

    @cached_property
    def norms(self) -> Array:
        """The Euclidean norm of each C[t, k], (losses, steps)."""
        found = np.zeros((len(self.times), len(self._by_step)))
        for k, terms in enumerate(self._by_step):
            if terms:
                term = terms[0] if len(terms) == 1 else self._column(k)
                found[:, k] = norms(term, axes=self._shape)
        return found

    @cached_property
    def _sums(self) -> tuple[Array, Array, Array]:
        """Over the columns, the rows and the diagonals, one column at a time."""
        rows = np.zeros((len(self.times), *self._shape), self._dtype)
        sums = np.zeros((len(self._by_step), *self._shape), self._dtype)
        lags = np.zeros_like(sums)
        for k in range(len(sums)):
            column = self._column(k)
            rows += column
            sums[k] = column.sum(axis=0)
            for t, term in zip(self.times, column, strict=True):
                if t > k:
                    lags[t - k - 1] += term
        return rows, sums, lags

    @property
    def rows(self) -> Array:
        """dL_t/dθ for each loss t: the sum over the uses, (losses, *shape of θ)."""
        return self._sums[0]

    @property
    def columns(self) -> Array:
        """dL/d(the copy of θ that step k uses): the sum over the losses, (steps, *shape of θ)."""
        return self._sums[1]

    @property
    def lags(self) -> Array:
        """The sum of the terms with t − k = 0, 1, 2, …, (steps, *shape of θ).

        A ValueError says that a loss depends on a later use, so that its t is not its step.
        """
        t, k = np.nonzero(self.norms)
        early = [(self.times[i], j + 1) for i, j in zip(t, k, strict=True) if self.times[i] <= j]
        if early:
            raise ValueError(
                f"lags: loss {early[0][0]} depends on the use in step {early[0][1]}; a loss that "
                "is not made in its step has no lag"
            )
        return self._sums[2]

    @property
    def total(self) -> Array:
        """dL/dθ, the sum of all terms."""
        array: Array = self.rows.sum(axis=0)
        return array

    def masked(self, mask: npt.ArrayLike) -> Array:
        """The sum of the terms where a mask (losses, steps) holds: a truncated gradient."""
        kept = np.asarray(mask, dtype=bool)
        if kept.shape != self.norms.shape:
            raise ValueError(
                f"masked: a mask of shape {kept.shape} for a triangle of {self.norms.shape}"
            )
        whole = np.zeros(self._shape, self._dtype)
        for k in np.flatnonzero(kept.any(axis=0)).tolist():
            whole += self._column(k)[kept[:, k]].sum(axis=0)
        return whole

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.terms, dtype=dtype)

    @property
    def shape(self) -> str:
        """Where there are terms: "diagonal", "lower triangular" or "full"."""
        t, k = np.nonzero(self.norms)
        t = np.array(self.times)[t]
        k = k + 1
        return "diagonal" if (t == k).all() else "lower triangular" if (t >= k).all() else "full"

    def __str__(self) -> str:
        shape = "losses made outside the steps" if self.outside else self.shape
        title = f"‖C[t, k]‖ for dL_t/d{self.name} through its use in step k: {shape}"
        row = "loss" if self.outside else "t"
        return f"{title}\n{heat_map(self.norms, row, 'k', self.times)}"

    __repr__ = __str__

    def plot(self, ax: Any = None) -> Any:
        """A heat map of ‖C[t, k]‖, on a logarithmic scale. Returns matplotlib's axes."""
        return plot_triangle(self.norms, self.times, self.name, ax)


def triangle(losses: Iterable[Tensor], parameter: Tensor) -> Triangle:
    """C[t, k]: the term of loss t and use k, for all losses in one backward pass.

    losses: L_1 … L_T, one element each, not released; the graph is kept.

    Row t is dL_t/dθ, itemised. It takes about the memory of T adjoints of each hidden state. Errors
    as for `contributions`; a use outside the steps is a ValueError too, because it has no column.
    """
    losses = listed("triangle", losses)
    if not losses:
        raise ValueError("triangle: there are no losses")
    recorded, seeds = [], []
    for t, loss in enumerate(losses, 1):
        if not isinstance(loss, Tensor) or loss.size != 1:
            shape = f"has shape {loss.shape}" if isinstance(loss, Tensor) else f"is {loss!r:.40}"
            raise ValueError(f"triangle: loss {t} {shape}; each loss is a tensor of one element")
        if loss.requires_grad:  # else its row is 0
            one = np.zeros((len(losses), *loss.shape), loss.dtype)
            one[t - 1] = 1
            recorded.append(loss)
            seeds.append(one)
    found = uses(recorded, seeds, parameter, many=True)
    check_uses("triangle", found, parameter)
    one_loop("triangle", f"the uses of {name_of(parameter)}", (use.loop for use in found))
    one_loop("triangle", "the losses", (loss.label.loop for loss in losses))
    for use in found:
        if use.step is None:
            raise ValueError(
                f"triangle: {name_of(parameter)} is used by {use.op} outside the steps, which is "
                "no column; `contributions` lists such a use, too"
            )
    times = [loss.step or t for t, loss in enumerate(losses, 1)]
    outside = any(loss.step is None for loss in losses)
    return Triangle(parameter, times, found, outside)
