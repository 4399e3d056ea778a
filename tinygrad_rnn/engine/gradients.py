"""Gradients as functions: of outputs with respect to inputs, writing nothing anywhere.

Reverse mode is the sweep. Forward mode goes through the same recording with the same rules, oldest
node first: vᵀJ is linear in v, so differentiating a rule with respect to its v gives J.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .record import Node, history, recorder, recording
from .sweep import adjoints, differentiating, pull_back
from .tensor import Tensor, as_array, as_gradient, from_array, seed

AT_ONCE = 256  # so many rows of a Jacobian are found in one sweep


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """dL/d(input) for each input, where L is the sum of the outputs, weighted by grad_outputs.

    outputs: one tensor or several.
    inputs: one tensor or several, leaves or not; each has requires_grad.
    grad_outputs: dL/d(output) for each output, of its shape; 1 by default, for outputs of one
        element.
    retain_graph: keep the graph for another pass; by default, only if `create_graph`.
    create_graph: record the pass, so that the results can be differentiated again.
    allow_unused: None for an input that no output depends on; otherwise that is a ValueError.

    No tensor's `.grad` is changed.
    """
    outputs, inputs = _listed(outputs), _listed(inputs)
    if grad_outputs is None:
        grad_outputs = [None] * len(outputs)
    elif isinstance(grad_outputs, Tensor) or not isinstance(grad_outputs, (list, tuple)):
        grad_outputs = [grad_outputs]
    if len(grad_outputs) != len(outputs):
        raise ValueError(
            f"grad: {len(outputs)} outputs want as many grad_outputs, not {len(grad_outputs)}"
        )
    create_graph = create_graph or recorder.whole is not None
    pairs = zip(outputs, grad_outputs, strict=True)
    seeds = [seed(y, g, create_graph, "grad", "grad_outputs") for y, g in pairs]
    retain = create_graph if retain_graph is None else retain_graph
    found = adjoints(outputs, seeds, inputs, record=create_graph, retain=retain)
    if not allow_unused:
        for i, x in enumerate(inputs):
            if x not in found:
                raise ValueError(
                    f"{_unreached(f'grad: input {i}', x)}. allow_unused=True gives None for it"
                )
    return tuple(as_gradient(found[x]) if x in found else None for x in inputs)


def _listed(tensors: Any) -> tuple[Tensor, ...]:
    """One tensor or several as a tuple; a TypeError for what is none."""
    one = isinstance(tensors, Tensor) or not isinstance(tensors, Iterable)
    several = (tensors,) if one else tuple(tensors)
    for x in several:
        if not isinstance(x, Tensor):
            raise TypeError(f"grad: {type(x).__name__} is not a tensor")
    return several


def vjp(
    f: Callable[..., Tensor], *inputs: Tensor
) -> tuple[Tensor, Callable[[Any], tuple[Tensor, ...]]]:
    """f(*inputs), and the function that maps v, of that value's shape, to vᵀJ for each input.

    The function may be called again; zeros stand for an input that f does not depend on.
    """
    y, fresh = _recorded(f, inputs)

    def times_jacobian(v: Any) -> tuple[Tensor, ...]:
        found: Sequence[Tensor | None] = [None] * len(fresh)
        if y.requires_grad:
            found = grad(y, fresh, [v], retain_graph=True, allow_unused=True)
        return tuple(_or_zeros(g, x) for g, x in zip(found, fresh, strict=True))

    return y.detach(), times_jacobian


def jvp(
    f: Callable[..., Tensor], inputs: Sequence[Tensor], tangents: Sequence[Any]
) -> tuple[Tensor, Tensor]:
    """f(*inputs), and J v: how it changes when the inputs move by the tangents.

    inputs, tangents: sequences of one length; a tangent has the shape of its input.

    Forward mode, through the recording of f.
    """
    if isinstance(inputs, Tensor):
        raise TypeError("jvp: give sequences, jvp(f, [x], [v]), not one tensor")
    if len(inputs) != len(tangents):
        raise ValueError(f"jvp: {len(inputs)} inputs want as many tangents, not {len(tangents)}")
    y, fresh = _recorded(f, inputs)
    moved = {}
    for x, tangent in zip(fresh, tangents, strict=True):
        array = as_array(tangent)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"jvp: a tangent is {array.dtype}; it should be real")
        if array.shape != x.shape:
            raise ValueError(
                f"jvp: a tangent of shape {array.shape} for an input of shape {x.shape}"
            )
        moved[x] = array.astype(x.dtype)
    pushed = push_forward([y], moved).get(y)
    return y.detach(), from_array(np.zeros_like(y.array) if pushed is None else pushed)


def push_forward(
    outputs: Sequence[Node], tangents: Mapping[Any, Any], many: bool = False
) -> dict[Node, Any]:
    """How the outputs move when some nodes move by their tangents: forward mode, oldest first.

    tangents: an array of its node's shape for each node that is moved from outside.
    many: tangents have one more axis in front, of equal length: as many passes in one.

    An output that does not move is left out. A tangent is dropped when its last reader has read it;
    the graph is kept.
    """
    moved: dict[Node, Any] = dict(tangents)
    nodes = history(*outputs, since=min((node.number for node in moved), default=0))
    last: dict[Any, Any] = {
        x: node for node in nodes for x in node.inputs or () if isinstance(x, Node)
    }
    last |= dict.fromkeys(outputs)  # they are read by the caller
    for node in nodes:
        reads = [(i, x) for i, x in enumerate(node.inputs or ()) if isinstance(x, Node)]
        terms = []
        if node.requires_grad and node not in tangents:
            vjps = node.primitive.vjps if node.primitive else ()
            terms = [
                _pushed_through(node, i, moved[x], many)
                for i, x in reads
                if x in moved and vjps[i] is not None
            ]
        if terms:
            moved[node] = sum(terms)
        for _, x in reads:
            if last[x] is node:
                moved.pop(x, None)
    return {y: moved[y] for y in outputs if y in moved}


def _pushed_through(node: Node, slot: int, tangent: Any, many: bool) -> Any:
    """J v for one argument of a node, from its rule g ↦ gᵀJ, which is differentiated by g."""
    with differentiating(node, slot):
        g = Tensor(np.zeros_like(node.array), requires_grad=True)
        row = pull_back(g, node, slot, node.array, node.arguments)
    if not row.requires_grad:  # whatever g is, the rule gives 0
        return np.zeros((*tangent.shape[: tangent.ndim - row.ndim], *node.array.shape))
    return adjoints([row], [tangent], [g], many=many)[g]


def jacobian(output: Tensor, input: Tensor) -> Tensor:
    """∂output/∂input, of shape output.shape + input.shape. The graph is kept.

    The elements of the output are differentiated in one sweep, or 256 in each. A ValueError
    says that the output does not depend on the input.
    """
    for x in (output, input):
        if not isinstance(x, Tensor):
            raise TypeError(f"jacobian: {type(x).__name__} is not a tensor")
    J = np.zeros((output.size, *input.shape), input.dtype)
    for first in range(0, output.size, AT_ONCE):
        count = min(AT_ONCE, output.size - first)
        seeds = np.eye(count, output.size, first, output.dtype).reshape(count, *output.shape)
        found = adjoints([output], [seeds], [input], retain=True, many=True)
        if input not in found:
            raise ValueError(_unreached("jacobian: the input", input))
        J[first : first + count] = found[input]
    return from_array(J.reshape((*output.shape, *input.shape)))


def hvp(f: Callable[[Tensor], Tensor], x: Tensor, v: Any) -> Tensor:
    """H v, the product of the Hessian of a scalar function at x with v, of x's shape."""
    y, (fresh,) = _recorded(f, [x])
    (g,) = grad(y, fresh, create_graph=True)
    assert g is not None
    product = grad(g, fresh, [v], allow_unused=True)[0] if g.requires_grad else None
    return _or_zeros(product, fresh)


def _unreached(what: str, x: Tensor) -> str:
    why = "no output depends on it" if x.requires_grad else "requires_grad is not set"
    return f"{what} ({x.name or 'no name'}, shape {x.shape}) gets no gradient: {why}"


def _recorded(f: Callable[..., Tensor], inputs: Sequence[Any]) -> tuple[Tensor, list[Tensor]]:
    """f of fresh tensors of the inputs' values, recorded also inside `no_grad`; and these."""
    fresh = [Tensor(x, requires_grad=True, name=getattr(x, "name", None)) for x in inputs]
    with recording():
        y = f(*fresh)
    if not isinstance(y, Tensor):
        raise TypeError(f"differentiate: f returned {type(y).__name__}; it should be one tensor")
    return y, fresh


def _or_zeros(g: Tensor | None, x: Tensor) -> Tensor:
    """g, or zeros like x where nothing depends on x."""
    return from_array(np.zeros_like(x.array)) if g is None else g
