"""The sum over time, itemised: which use of a shared parameter contributed what to its gradient.

Backward adds up the terms that arrive at a parameter. Here the sweep is the same, and the terms are
kept: one for each use, or, with the losses of all steps at once, the triangle C[t, k], the term of
loss t and use k.

This file computes no derivative. It asks the sweep for the terms, and orders them by time steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine.record import Node, history
from ..engine.rules import Product
from ..engine.sweep import adjoints, total, worked_out
from ..engine.tensor import Tensor, seed
from ..tables import columns, heat_map
from .plots import plot_bars, plot_triangle

Array = npt.NDArray[Any]

SHOWN = 4  # terms at either end of a long sum in words

# -------------------------------------------------------------------------------------------- uses


@dataclass(frozen=True, eq=False)
class Use:
    """One use of a parameter: an argument slot of an operation, and what came back through it.

    step: the time step of the operation; None outside the steps.
    op, slot, scope: its primitive, which of its arguments the parameter is, and its scopes.
    """

    step: int | None
    op: str
    slot: int
    scope: tuple[str, ...]
    term: Any  # an array, or a product that is put off

    @cached_property
    def grad(self) -> Array:
        """The gradient through this use, of the parameter's shape."""
        array: Array = worked_out(self.term)
        return array

    @cached_property
    def norm(self) -> float:
        """The Euclidean norm of the gradient through this use."""
        return float(norms(self.term, axes=self.term.shape))

    def __str__(self) -> str:
        when = "outside the steps" if self.step is None else f"step {self.step}"
        return f"{self.op} at {when}"


def uses(
    outputs: Sequence[Tensor], seeds: Sequence[Any], parameter: Tensor, many: bool = False
) -> list[Use]:
    """What comes back through each use of a parameter, oldest use first; the graph is kept.

    A use is where a time step reads the parameter. It may read what was made of it before the
    steps, such as W.T; then the term is pulled back from there to the parameter.
    """
    before = _made_before_the_steps(outputs, parameter)
    itemised: dict[Node, list[Any]] = {node: [] for node in before}
    adjoints(outputs, seeds, before, retain=True, many=many, itemised=itemised)
    found = []
    for node, arrived in itemised.items():
        read = [(r, i, g) for r, i, g in arrived if r not in itemised]
        if node is not parameter and read:
            terms = np.stack([worked_out(g) for _, _, g in read])
            rows = terms.reshape(-1, *node.array.shape)
            pulled = adjoints([node], [rows], [parameter], retain=True, many=True)[parameter]
            pulled = pulled.reshape(*terms.shape[: terms.ndim - node.array.ndim], *parameter.shape)
            read = [(r, i, g) for (r, i, _), g in zip(read, pulled, strict=True)]
        found += read
    found.sort(key=lambda use: use[0].number)
    return [
        Use(reader.step, reader.primitive.name if reader.primitive else "", slot, reader.scope, g)
        for reader, slot, g in found
    ]


def _made_before_the_steps(outputs: Sequence[Tensor], parameter: Tensor) -> list[Node]:
    """The parameter, and what was made of it, and of nothing that the steps made, outside them."""
    timeless: dict[Node, bool] = {parameter: True}
    before: dict[Node, None] = {parameter: None}  # a set that keeps its order
    if parameter.step is None:
        nodes = history(*outputs, since=parameter.number)
        for node in [node for node in nodes if node.step is None and node.primitive]:
            inputs = [x for x in node.inputs or () if isinstance(x, Node)]
            timeless[node] = all(timeless.get(x, x.step is None) for x in inputs)
            if timeless[node] and any(x in before for x in inputs):
                before[node] = None
    without_steps = any(output in before for output in outputs)
    return [parameter] if without_steps else list(before)


def norms(term: Any, axes: tuple[int, ...]) -> Any:
    """The Euclidean norms of a term, or of many, over its last `axes`, without doing a product.

    ‖AᵀG‖² = Σ_ij (A Aᵀ)_ij (G Gᵀ)_ij, where i and j are rows.
    """
    if not isinstance(term, Product) or term.a.ndim == 1:
        array = worked_out(term)
        flat = array.reshape(*array.shape[: array.ndim - len(axes)], -1)
        return np.linalg.norm(flat, axis=-1)
    squares = np.sum((term.a @ term.a.T) * (term.g @ term.g.mT), axis=(-2, -1))
    return np.sqrt(np.maximum(squares, 0))


# ---------------------------------------------------------------------------------- contributions


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

        A step without a use is a ValueError.
        """
        terms = [use.grad for use in self if use.step == step]
        if not terms:
            raise ValueError(
                f"contributions: {self.name} has no use in step {step!r}; "
                f"there are uses in {_runs(self.steps)}"
            )
        array: Array = np.sum(terms, axis=0)
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array([use.grad for use in self], dtype=dtype)

    def __str__(self) -> str:
        size = "term" if not self.shape else "norm of the term"
        rows = [["step", "used by", "argument", size]]
        for use in self:
            number = use.grad.item() if not self.shape else use.norm
            step = "–" if use.step is None else str(use.step)
            rows.append([step, ".".join((*use.scope, use.op)), str(use.slot), f"{number:.4g}"])
        whole = self.total.item() if not self.shape else np.linalg.norm(self.total)
        rows.append(["sum", "", "", f"{whole:.4g}"])
        return f"dL/d{self.name}, a sum over {len(self)} uses:\n{columns(rows)}"

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
    found = uses([loss], [seed(loss, None, record=False)], parameter)
    check_uses("contributions", found, parameter)
    return Contributions(name_of(parameter), found, parameter.shape)


def check_uses(function: str, found: list[Use], parameter: Tensor) -> None:
    """A ValueError if there is no use, or none in a time step."""
    if not found:
        why = "" if parameter.requires_grad else ": its requires_grad is not set"
        raise ValueError(f"{function}: the loss does not depend on {name_of(parameter)}{why}")
    if all(use.step is None for use in found):
        raise ValueError(
            f"{function}: no use of {name_of(parameter)} is labelled with a time step; walk the "
            "sequence with `for t, x in tg.steps(xs):`"
        )


def listed(function: str, tensors: Any) -> list[Any]:
    """Tensors of several steps as a list; a TypeError for one tensor, which is not several."""
    if isinstance(tensors, Tensor):
        raise TypeError(f"{function}: give a list with a tensor for each step, not one tensor")
    return list(tensors)


def name_of(parameter: Tensor) -> str:
    """What a parameter is called in a table."""
    return parameter.name or "θ"


def _runs(steps: list[int]) -> str:
    """Sorted steps in words: 1 … 4, 7."""
    words: list[list[int]] = []
    for step in steps:
        if words and words[-1][-1] == step - 1:
            words[-1] = [words[-1][0], step]
        else:
            words.append([step])
    return ", ".join(" … ".join(map(str, run)) for run in words)


# --------------------------------------------------------------------------------------- triangle


class Triangle:
    """C[t, k], the term of loss t and use k of a parameter θ: dL/dθ = Σ_t Σ_k C[t, k].

    Rows are the losses, columns the steps; index 0 is step 1. As an array: `terms`. Printed: a heat
    map. Which C[t, k] are 0 is found, not assumed.

    times: the step t of each loss; its number in the list, if it was made outside the steps.
    """

    def __init__(self, parameter: Tensor, times: list[int], found: list[Use]) -> None:
        self.name = name_of(parameter)
        self.times = times  # the step t of each loss
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
        """The sum of the terms with t − k = 0, 1, 2, …, (steps, *shape of θ)."""
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

    def __str__(self) -> str:
        t, k = np.nonzero(self.norms)
        t = np.array(self.times)[t]
        k = k + 1
        shape = "diagonal" if (t == k).all() else "lower triangular" if (t >= k).all() else "full"
        title = f"‖C[t, k]‖ for dL_t/d{self.name} through its use in step k: {shape}"
        return f"{title}\n{heat_map(self.norms, 't', 'k', self.times)}"

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
    seeds = []
    for t, loss in enumerate(losses, 1):
        if not isinstance(loss, Tensor) or loss.size != 1:
            shape = f"has shape {loss.shape}" if isinstance(loss, Tensor) else f"is {loss!r:.40}"
            raise ValueError(f"triangle: loss {t} {shape}; each loss is a tensor of one element")
        one = np.zeros((len(losses), *loss.shape), loss.dtype)
        one[t - 1] = seed(loss, None, record=False)
        seeds.append(one)
    found = uses(losses, seeds, parameter, many=True)
    check_uses("triangle", found, parameter)
    for use in found:
        if use.step is None:
            raise ValueError(
                f"triangle: {name_of(parameter)} is used by {use.op} outside the steps, which is "
                "no column; `contributions` lists such a use, too"
            )
    times = [loss.step or t for t, loss in enumerate(losses, 1)]
    return Triangle(parameter, times, found)


# ---------------------------------------------------------------------------------------- in words


def explain(loss: Tensor, parameter: Tensor, at: tuple[int, ...] | None = None) -> str:
    """dL/dθ as the sum over its uses, with the numbers: "dL/dw = 0.036 + 0.036 + 0.036 = 0.108".

    at: the element of θ; by default the one with the largest gradient. Errors as for
    `contributions`; an element that is not there is an IndexError.
    """
    found = contributions(loss, parameter)
    whole = found.total
    if at is None:
        at = tuple(int(i) for i in np.unravel_index(np.argmax(np.abs(whole)), whole.shape))
    elif len(at) != whole.ndim or any(not 0 <= i < n for i, n in zip(at, whole.shape, strict=True)):
        raise IndexError(f"explain: {found.name} has shape {whole.shape}, and no element {at}")
    element = f"[{', '.join(map(str, at))}]" if at else ""
    left = f"dL/d{found.name}{element}"
    where = f"one in each of the steps {_runs(found.steps)}"
    if len(found.steps) < len(found):
        where = f"in the steps {_runs(found.steps)}"
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
