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
) -> Iterator[int]:
    """Read a prefix, then write on without end: yields the classes drawn after the prefix.

    step: maps (class, state) to (logits (K,), next state).
    prefix: one class or more.
    temperature: as for `draw_class`.
    """
    if not len(prefix):
        raise ValueError("generate: the prefix is empty; a model needs something to read first")
    for c in prefix:
        logits, state = step(int(c), state)
    while True:
        drawn = draw_class(logits, temperature, rng)
        yield drawn
        logits, state = step(drawn, state)


def draw_class(logits: npt.NDArray[Any], temperature: float, rng: np.random.Generator) -> int:
    """Draw a class with probability softmax(logits / temperature).

    1 is the model's own distribution, less makes the likely likelier, 0 takes the likeliest.
    """
    if temperature < 0:
        raise ValueError(f"draw_class: temperature={temperature}; it is 0 or more")
    shifted = logits.astype(np.float64) - logits.max()
    if temperature == 0:
        return int(np.argmax(shifted))
    with np.errstate(over="ignore"):  # −inf is a probability of 0
        p = np.exp(shifted / temperature)
    return int(rng.choice(len(p), p=p / p.sum()))
