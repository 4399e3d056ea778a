"""Truncated BPTT: what is left of a gradient when one doesn't go back all the way.

The losses are taken in groups of k1 steps. From the end of a group one goes back k2 steps, k2 ≥ k1,
and no further: the state before is a constant. Williams and Peng 1990, whose BPTT(h; h′) has h = k2
and h′ = k1. Three schemes are in use, and they are not the same:

    chunks(n)               k1 = k2 = n   the state is carried over, `h = h.detach()` after n steps
    williams_peng(k1, k2)   k1 < k2       every k1 steps, k2 steps back
    sliding(n)              k1 = 1        n steps back from every loss, its own step included

All the states are those of the one recording; only the way back is cut. `mask` says which C[t, k]
a scheme keeps, and `bias` how far its gradient is from the whole one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..engine.sweep import adjoints
from ..engine.tensor import Tensor, from_array, seed
from .jacobians import State, parts_of
from .uses import listed

Array = npt.NDArray[Any]


def williams_peng(
    losses: Iterable[Tensor],
    states: Iterable[State],
    parameters: Iterable[Tensor],
    k1: int,
    k2: int,
) -> tuple[Tensor, ...]:
    """The truncated gradient of Σ_t L_t for each parameter: every k1 steps, k2 steps back.

    losses: L_1 … L_T, one element each.
    states: h_0 … h_T, each a tensor, or a tuple of tensors such as the states of two layers: all
        that goes from one step to the next.
    k1, k2: 1 ≤ k1 ≤ k2. A shorter last group goes back to where it would if it were complete.

    The graph is kept. A parameter that no loss reaches within its steps gets zeros. A ValueError
    says that the numbers do not fit.
    """
    losses, states = listed("truncation", losses), listed("truncation", states)
    parameters = listed("truncation", parameters)
    if len(states) != len(losses) + 1:
        raise ValueError(
            f"truncation: losses, states, parameters are wanted, in this order; {len(losses)} "
            f"losses want {len(losses) + 1} states, h_0 … h_T, not {len(states)}"
        )
    sums = [np.zeros_like(parameter.array) for parameter in parameters]
    for cut, first, end in groups(len(losses), k1, k2):
        outputs = losses[first:end]
        seeds = [seed(loss, function="truncation") for loss in outputs]
        stop = set(parts_of(states[cut]) if cut else ())
        found = adjoints(outputs, seeds, parameters, retain=True, stop=stop)
        for whole, parameter in zip(sums, parameters, strict=True):
            if parameter in found:
                whole += found[parameter]
    return tuple(map(from_array, sums))


def chunks(
    losses: Iterable[Tensor], states: Iterable[State], parameters: Iterable[Tensor], n: int
) -> tuple[Tensor, ...]:
    """The gradient of chunks of n steps, with a state that is carried over and detached.

    Arguments as for `williams_peng`. It is the gradient that a loop computes in which
    `h = h.detach()` follows every n-th step.
    """
    return williams_peng(losses, states, parameters, n, n)


def sliding(
    losses: Iterable[Tensor], states: Iterable[State], parameters: Iterable[Tensor], n: int
) -> tuple[Tensor, ...]:
    """The gradient of n steps back from every loss, its own step included.

    Arguments as for `williams_peng`.
    """
    return williams_peng(losses, states, parameters, 1, n)


def groups(T: int, k1: int, k2: int) -> Iterator[tuple[int, int, int]]:
    """(cut, first, end) of each group of losses first+1 … end: its way back ends at state h_cut."""
    if not (isinstance(k1, int) and isinstance(k2, int) and 1 <= k1 <= k2):
        raise ValueError(f"truncation: 1 ≤ k1 ≤ k2 is wanted, not k1 = {k1} and k2 = {k2}")
    for first in range(0, T, k1):
        yield max(first + k1 - k2, 0), first, min(first + k1, T)


def mask(T: int, k1: int, k2: int) -> npt.NDArray[np.bool_]:
    """Which terms C[t, k] are kept, (T, T), for `Triangle.masked`: index 0 is step 1.

    Those of chunks(n) are mask(T, n, n), those of sliding(n) are mask(T, 1, n).
    """
    kept = np.zeros((T, T), bool)
    for cut, first, end in groups(T, k1, k2):
        kept[first:end, cut:end] = True
    return np.tril(kept)


class Bias(NamedTuple):
    """How far a truncated gradient is from the whole one.

    relative: ‖g_truncated − g‖ / ‖g‖.   degrees: the angle between the two.
    """

    relative: float
    degrees: float


def bias(truncated: Iterable[Any], whole: Iterable[Any]) -> Bias:
    """The bias of a truncated gradient: of all parameters together, laid flat.

    truncated, whole: gradients of the same parameters in the same order, tensors or arrays.
    """
    a, g = (np.concatenate([np.zeros(0), *(np.ravel(_array(x)) for x in side)])
            for side in (truncated, whole))  # fmt: skip
    if a.shape != g.shape or not np.linalg.norm(g):
        raise ValueError(
            f"bias: gradients of the same parameters are wanted, the whole one not 0; these have "
            f"{a.size} and {g.size} elements"
        )
    size, whole_size = np.linalg.norm(a), np.linalg.norm(g)
    relative = float(np.linalg.norm(a - g) / whole_size)
    if not size:
        return Bias(relative, 90.0)
    u, v = a / size, g / whole_size  # arccos(u · v) would be inexact near 0
    degrees = np.degrees(2 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v)))
    return Bias(relative, float(degrees))


def _array(x: Any) -> Array:
    return x.array if isinstance(x, Tensor) else np.asarray(x)
