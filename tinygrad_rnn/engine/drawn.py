"""Random numbers, drawn in such a way that a program which is derived later can draw them anew.

This file does not know what the numbers are for.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from .record import recorder
from .tensor import Tensor, from_array

Sample = Callable[[np.random.Generator], npt.NDArray[Any]]


def drawn(rng: np.random.Generator, sample: Sample) -> Any:
    """An array of random numbers, `sample(rng)`; in a function that compile records, a tensor.

    The recording stands for later calls too: the tensor is one of its inputs, and each call draws
    it anew, from the same generator and in the same order, as the function itself would.
    """
    return sample(rng) if recorder.draws is None else recorder.draws.take(rng, sample)


class Draws:
    """What is drawn while a function is recorded: from copies of the generators, so that the call
    that the recording is made for still finds them as they were."""

    def __init__(self) -> None:
        self.taken: list[tuple[np.random.Generator, Sample]] = []
        self.tensors: list[Tensor] = []
        self._copies: dict[int, np.random.Generator] = {}

    def take(self, rng: np.random.Generator, sample: Sample) -> Tensor:
        """Draw, and remember how."""
        if id(rng) not in self._copies:
            self._copies[id(rng)] = copy.deepcopy(rng)
        x = from_array(sample(self._copies[id(rng)]), "mask")
        self.taken.append((rng, sample))
        self.tensors.append(x)
        return x


@contextmanager
def drawing() -> Iterator[Draws]:
    """Remember in the block what `drawn` draws."""
    before, recorder.draws = recorder.draws, Draws()
    try:
        yield recorder.draws
    finally:
        recorder.draws = before
