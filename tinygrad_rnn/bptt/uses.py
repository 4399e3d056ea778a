"""Uses: where a recording reads a parameter, and what comes back through each of these places.

Backward adds up the terms that arrive at a parameter. Here the sweep is the same, and the terms are
kept. This file computes no derivative: it asks the sweep for the terms, and knows the time steps.
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
from ..engine.sweep import adjoints, worked_out
from ..engine.tensor import Tensor

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False, repr=False)
class Use:
    """One use of a parameter: an argument slot of an operation, and what came back through it.

    step: the time step of the operation; None outside the steps.
    loop: which loop over steps it belongs to, by a number that only tells loops apart.
    op, slot, scope: its primitive, which of its arguments the parameter is, and its scopes.
    """

    step: int | None
    loop: int | None
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

    def __repr__(self) -> str:
        when = "outside the steps" if self.step is None else f"step {self.step}"
        return f"Use({self.op} at {when}, argument {self.slot}, norm {self.norm:.4g})"


def uses(
    outputs: Sequence[Tensor], seeds: Sequence[Any], parameter: Tensor, many: bool = False
) -> list[Use]:
    """What comes back through each use of a parameter, oldest use first; the graph is kept.

    A use is where a time step reads the parameter. It may read what was made of it before the
    steps, such as W.T; then the term is pulled back from there to the parameter.
    """
    if not isinstance(parameter, Tensor):
        raise TypeError(
            f"{type(parameter).__name__} is not a tensor; the loss comes first, then it"
        )
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
        Use(
            reader.step, reader.label.loop, reader.primitive.name if reader.primitive else "",
            slot, reader.scope, g,
        )
        for reader, slot, g in found
    ]  # fmt: skip


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
    """The Euclidean norms of a term, or of many, over its last `axes`, in float64.

    A product of one row each, aᵀg, need not be done: ‖aᵀg‖ = ‖a‖ ‖g‖.
    """
    if isinstance(term, Product) and term.a.ndim == 2 and len(term.a) == 1:
        return _norm(term.a.ravel()) * _norm(term.g[..., 0, :])
    array = worked_out(term)
    return _norm(array.reshape(*array.shape[: array.ndim - len(axes)], -1))


def _norm(rows: Array) -> Any:
    """The norms along the last axis, where squares would under- or overflow, too."""
    rows = rows.astype(np.float64)
    largest = np.abs(rows).max(axis=-1, keepdims=True, initial=0.0)
    scaled = rows / np.where(largest, largest, 1.0)
    return np.linalg.norm(scaled, axis=-1) * largest[..., 0]


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


def one_loop(function: str, what: str, loops: Iterable[int | None]) -> None:
    """A ValueError if steps are those of several loops, where a number does not say which."""
    count = len({loop for loop in loops if loop is not None})
    if count > 1:
        raise ValueError(
            f"{function}: {what} are in {count} loops over steps, so the number of a step does not "
            "say which it is; look at one loop at a time, or at `contributions`"
        )


def listed(function: str, tensors: Any) -> list[Any]:
    """Tensors of several steps as a list; a TypeError for one tensor, which is not several."""
    if isinstance(tensors, Tensor):
        raise TypeError(f"{function}: give a list with a tensor for each step, not one tensor")
    return list(tensors)


def name_of(x: Tensor, otherwise: str = "θ") -> str:
    """What a tensor is called in a table."""
    return (x.name or otherwise).removesuffix("_t")


def runs_of(steps: list[int]) -> str:
    """Sorted steps in words: 1 … 4, 7."""
    words: list[list[int]] = []
    for step in steps:
        if words and words[-1][-1] == step - 1:
            words[-1] = [words[-1][0], step]
        else:
            words.append([step])
    return ", ".join(" … ".join(map(str, run)) for run in words)
