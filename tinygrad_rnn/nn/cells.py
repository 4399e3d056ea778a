"""Cells: what happens in one time step. They hold no state; the loop is outside, in `unroll`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine.functions import stack
from ..engine.record import steps
from ..engine.rules import relu
from ..engine.tensor import Parameter, Tensor
from .init import uniform
from .module import Module

NONLINEARITIES: dict[str, Callable[[Any], Any]] = {"tanh": np.tanh, "relu": relu}


class RNNCell(Module):
    """The lecture's hidden layer: h_t = f_h(x_t V + h_{t-1} W + b_h).

    x_t: (B, input_size)   h_t: (B, hidden_size)
    V: (input_size, hidden_size)   W: (hidden_size, hidden_size)   b_h: (hidden_size,)

    f_h is tanh or relu. All parameters start uniform in ±1/√hidden_size, as PyTorch's do.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        nonlinearity: str = "tanh",
        dtype: npt.DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        if nonlinearity not in NONLINEARITIES:
            raise ValueError(f"RNNCell: nonlinearity={nonlinearity!r}; it is 'tanh' or 'relu'")
        if input_size < 1 or hidden_size < 1:
            raise ValueError(f"RNNCell: sizes are positive, not {input_size} and {hidden_size}")
        bound = 1 / np.sqrt(hidden_size)
        self.V = Parameter(uniform((input_size, hidden_size), bound, dtype, rng))
        self.W = Parameter(uniform((hidden_size, hidden_size), bound, dtype, rng))
        self.b_h = Parameter(uniform((hidden_size,), bound, dtype, rng))
        self.nonlinearity = nonlinearity

    def initial_state(self, batch_size: int) -> Tensor:
        """h_0 = 0, (batch_size, hidden_size)."""
        return Tensor(np.zeros((batch_size, self.W.shape[0]), self.W.dtype), name="h")

    def forward(self, x: Any, state: Any) -> Tensor:
        f_h = NONLINEARITIES[self.nonlinearity]
        h: Tensor = f_h(x @ self.V + state @ self.W + self.b_h)
        return h


def unroll(cell: Any, xs: Any, state: Any = None) -> tuple[Tensor, Tensor]:
    """Run a cell over a sequence: xs (T, B, D) to the states (T, B, H) and the last of them (B, H).

    The same as

        for t, x in steps(xs):
            state = cell(x, state)

    state: h_0, (B, H); by default the cell's initial state.
    """
    if state is None:
        state = cell.initial_state(xs.shape[1])
    states = []
    for _t, x in steps(xs):
        state = cell(x, state)
        states.append(state)
    return stack(states), state
