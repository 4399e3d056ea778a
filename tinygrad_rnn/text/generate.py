"""Generation: each output is drawn, and fed back as the next input.

It knows a step of a model as a function from class and state to logits and state, and not what the
model is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .vocabulary import Ids

State = TypeVar("State")


def generate(
    step: Callable[[int, State], tuple[npt.NDArray[Any], State]],
    state: State,
    prefix: Ids,
    temperature: float,
    rng: np.random.Generator,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Iterator[int]:
    """Read a prefix, then write on without end: yields the classes drawn after the prefix.

    step: maps (class, state) to (logits (K,), next state).
    prefix: one class or more.
    temperature, top_k, top_p: as for `distribution`.
    """
    if not len(prefix):
        raise ValueError("generate: the prefix is empty; a model needs something to read first")
    for c in prefix:
        logits, state = step(int(c), state)
    while True:
        drawn = draw_class(logits, temperature, rng, top_k, top_p)
        yield drawn
        logits, state = step(drawn, state)


def distribution(
    logits: npt.NDArray[Any],
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> npt.NDArray[np.float64]:
    """What the next class is drawn from: softmax(logits / temperature), without its tail.

    temperature: 1 is the model's own distribution, less makes the likely likelier, 0 takes the
        likeliest.
    top_k: only so many of the likeliest can be drawn. Fan, Lewis, Dauphin 2018, arXiv 1805.04833.
    top_p: only the likeliest can, as few as have this probability together. Holtzman et al. 2020,
        arXiv 1904.09751, section 3.1.

    Of classes that are equally likely, the first is taken first.
    """
    if not temperature >= 0:
        raise ValueError(f"distribution: temperature={temperature}; it is 0 or more")
    if top_k is not None and top_k < 1:
        raise ValueError(f"distribution: top_k={top_k}; it is 1 or more")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"distribution: top_p={top_p}; a probability is wanted, above 0")
    shifted = logits.astype(np.float64) - logits.max()
    if temperature == 0:
        top_k, temperature = 1, 1.0
    with np.errstate(over="ignore"):  # −inf is a probability of 0
        p = np.exp(shifted / temperature)
    p /= p.sum()
    order = np.argsort(-p, kind="stable")
    kept = len(p) if top_k is None else top_k
    if top_p is not None:
        below = np.cumsum(p[order]) / p[order[:kept]].sum() < top_p
        kept = min(kept, int(below.sum()) + 1)
    p[order[kept:]] = 0
    return np.asarray(p / p.sum())


def draw_class(
    logits: npt.NDArray[Any],
    temperature: float,
    rng: np.random.Generator,
    top_k: int | None = None,
    top_p: float | None = None,
) -> int:
    """Draw a class.

    logits: (K,)
    temperature, top_k, top_p: as for `distribution`.
    """
    p = distribution(logits, temperature, top_k, top_p)
    return int(rng.choice(len(p), p=p))
