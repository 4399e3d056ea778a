"""Gradients as functions: of outputs with respect to inputs, writing nothing anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .sweep import adjoints
from .tensor import Tensor, as_gradient, seed


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """dL/d(input) for each input, where L is the sum of the outputs, weighted by grad_outputs.

    outputs: one tensor or several. inputs: one tensor or several, leaves or not; each has
    requires_grad. grad_outputs: dL/d(output) for each output, of its shape; 1 by default, for
    outputs of one element. retain_graph: keep the graph for another pass; by default, only if
    `create_graph`. create_graph: record the pass, so that the results can be differentiated again.
    allow_unused: None for an input that no output depends on; otherwise that is a ValueError.
    """
    outputs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if grad_outputs is None:
        grad_outputs = [None] * len(outputs)
    elif isinstance(grad_outputs, Tensor) or not isinstance(grad_outputs, (list, tuple)):
        grad_outputs = [grad_outputs]
    if len(grad_outputs) != len(outputs):
        raise ValueError(
            f"grad: {len(outputs)} outputs want as many grad_outputs, not {len(grad_outputs)}"
        )
    seeds = [seed(y, g, create_graph) for y, g in zip(outputs, grad_outputs, strict=True)]
    retain = create_graph if retain_graph is None else retain_graph
    found = adjoints(outputs, seeds, inputs, record=create_graph, retain=retain)
    if not allow_unused:
        for i, x in enumerate(inputs):
            if x not in found:
                why = "no output depends on it" if x.requires_grad else "requires_grad is not set"
                raise ValueError(
                    f"grad: input {i} ({x.name or 'no name'}, shape {x.shape}) gets no gradient: "
                    f"{why}. allow_unused=True gives None for it"
                )
    return tuple(as_gradient(found[x]) if x in found else None for x in inputs)
