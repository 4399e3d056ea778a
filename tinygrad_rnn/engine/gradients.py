"""Gradients as functions: of outputs with respect to inputs, writing nothing anywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .sweep import adjoints
from .tensor import Tensor, as_array, as_gradient, from_array, seed


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
    pairs = zip(outputs, grad_outputs, strict=True)
    seeds = [seed(y, g, create_graph, "grad_outputs") for y, g in pairs]
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


def vjp(
    f: Callable[..., Tensor], *inputs: Tensor
) -> tuple[Tensor, Callable[[Any], tuple[Tensor, ...]]]:
    """f(*inputs), and the function that maps v, of that value's shape, to vᵀJ for each input.

    The function may be called again; zeros stand for an input that f does not depend on.
    """
    fresh = [Tensor(x, requires_grad=True, name=x.name) for x in inputs]
    y = f(*fresh)

    def pull_back(v: Any) -> tuple[Tensor, ...]:
        found: Sequence[Tensor | None] = [None] * len(fresh)
        if y.requires_grad:
            found = grad(y, fresh, [v], retain_graph=True, allow_unused=True)
        return tuple(_or_zeros(g, x) for g, x in zip(found, fresh, strict=True))

    return y.detach(), pull_back


def jvp(
    f: Callable[..., Tensor], inputs: Sequence[Tensor], tangents: Sequence[Any]
) -> tuple[Tensor, Tensor]:
    """f(*inputs), and J v: how it changes when the inputs move by the tangents.

    inputs, tangents: sequences of one length; a tangent has the shape of its input.

    There is no second table of rules. vᵀJ is linear in v, so differentiating it with respect to v
    gives J: two reverse passes make a forward one.
    """
    if len(inputs) != len(tangents):
        raise ValueError(f"jvp: {len(inputs)} inputs want as many tangents, not {len(tangents)}")
    fresh = [Tensor(x, requires_grad=True, name=x.name) for x in inputs]
    y = f(*fresh)
    if not y.requires_grad:
        return y, _or_zeros(None, y)
    v = Tensor(np.zeros_like(y.array), requires_grad=True)
    rows = grad(y, fresh, [v], create_graph=True, allow_unused=True)
    reached = [(g, as_array(u)) for g, u in zip(rows, tangents, strict=True) if g is not None]
    for g, u in reached:
        if g.shape != u.shape:
            raise ValueError(f"jvp: a tangent of shape {u.shape} for an input of shape {g.shape}")
    reached = [(g, u) for g, u in reached if g.requires_grad]
    if not reached:
        return y.detach(), _or_zeros(None, y)
    outputs, seeds = zip(*reached, strict=True)
    (moved,) = grad(outputs, v, seeds, allow_unused=True)
    return y.detach(), _or_zeros(moved, y)


def jacobian(output: Tensor, input: Tensor) -> Tensor:
    """∂output/∂input, of shape output.shape + input.shape: one reverse pass per output element.

    The graph is kept.
    """
    seeds = np.eye(output.size, dtype=output.dtype).reshape(-1, *output.shape)
    rows = [grad(output, input, [v], retain_graph=True)[0] for v in seeds]
    stacked = np.stack([row.array for row in rows if row is not None])
    return from_array(stacked.reshape(*output.shape, *input.shape))


def hvp(f: Callable[[Tensor], Tensor], x: Tensor, v: Any) -> Tensor:
    """H v, the product of the Hessian of a scalar function at x with v, of x's shape."""
    fresh = Tensor(x, requires_grad=True, name=x.name)
    (g,) = grad(f(fresh), fresh, create_graph=True)
    assert g is not None
    product = grad(g, fresh, [v], allow_unused=True)[0] if g.requires_grad else None
    return _or_zeros(product, fresh)


def _or_zeros(g: Tensor | None, x: Tensor) -> Tensor:
    """g, or zeros like x where nothing depends on x."""
    return from_array(np.zeros_like(x.array)) if g is None else g
