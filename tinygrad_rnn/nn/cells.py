"""Cells: what happens in one time step. They hold no state; the loop is outside, in `unroll`.

A cell takes x_t and the state of the step before, and returns the next state: one array, or a tuple
of them, the first of which is what the cell puts out. `initial_state(batch_size)` is where it
starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine.functions import stack
from ..engine.record import recorder, steps
from ..engine.rules import relu, sigmoid
from ..engine.tensor import Parameter, Tensor, as_array
from .init import generator, uniform
from .layers import positive
from .module import Array, Module, assign

NONLINEARITIES: dict[str, Callable[[Any], Any]] = {"tanh": np.tanh, "relu": relu}


class Cell(Module):
    """What the three cells have in common: V, W and b_h, with so many blocks of columns.

    V: (input_size, blocks · hidden_size)   W: (hidden_size, blocks · hidden_size)
    b_h: (blocks · hidden_size,)

    All parameters start uniform in ±1/√hidden_size, as PyTorch's do.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        blocks: int,
        dtype: npt.DTypeLike,
        rng: np.random.Generator | None,
    ) -> None:
        positive(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        rng = generator(rng)
        bound, columns = 1 / np.sqrt(hidden_size), blocks * hidden_size
        self.V = Parameter(uniform((input_size, columns), bound, dtype, rng))
        self.W = Parameter(uniform((hidden_size, columns), bound, dtype, rng))
        self.b_h = Parameter(uniform((columns,), bound, dtype, rng))

    @property
    def input_size(self) -> int:
        """The length of the last axis of x_t."""
        return len(self.V)

    @property
    def hidden_size(self) -> int:
        """The length of the last axis of h_t."""
        return len(self.W)

    def initial_state(self, batch_size: int) -> Any:
        """h_0 = 0, (batch_size, hidden_size)."""
        return Tensor(np.zeros((batch_size, self.hidden_size), self.W.dtype), name="h")

    def torch_state_dict(self) -> dict[str, Array]:
        b_h = self.b_h.numpy()
        return {
            "weight_ih": self.V.numpy().T,
            "weight_hh": self.W.numpy().T,
            "bias_ih": b_h,
            "bias_hh": np.zeros_like(b_h),
        }

    def _take_torch(self, arrays: Mapping[str, Array]) -> None:
        assign(self.V, arrays["weight_ih"].T)
        assign(self.W, arrays["weight_hh"].T)
        assign(self.b_h, arrays["bias_ih"] + arrays["bias_hh"])


class RNNCell(Cell):
    """The lecture's hidden layer: h_t = f_h(x_t V + h_{t-1} W + b_h).

    x_t: (B, input_size)   h_t: (B, hidden_size)
    V: (input_size, hidden_size)   W: (hidden_size, hidden_size)   b_h: (hidden_size,)

    f_h is tanh or relu. All parameters start uniform in ±1/√hidden_size, as PyTorch's do.

    Elman 1990, Cognitive Science 14.
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
        super().__init__(input_size, hidden_size, 1, dtype, rng)
        self.nonlinearity = nonlinearity

    def forward(self, x: Any, state: Any) -> Any:
        f_h = NONLINEARITIES[self.nonlinearity]
        h = f_h(x @ self.V + state @ self.W + self.b_h)
        return h


class LSTMCell(Cell):
    """Long short-term memory: a cell state c_t that is added to, and gates around it.

        i_t = σ(x_t V_i + h_{t-1} W_i + b_i)           what comes in
        f_t = σ(x_t V_f + h_{t-1} W_f + b_f)           what is kept
        g_t = tanh(x_t V_g + h_{t-1} W_g + b_g)
        o_t = σ(x_t V_o + h_{t-1} W_o + b_o)           what is shown
        c_t = f_t c_{t-1} + i_t g_t
        h_t = o_t tanh(c_t)

    x_t: (B, input_size)   h_t, c_t: (B, hidden_size)   The state is (h_t, c_t).
    V: (input_size, 4 hidden_size)   W: (hidden_size, 4 hidden_size)   b_h: (4 hidden_size,)

    The four blocks of columns are in the order i, f, g, o. All parameters start uniform in
    ±1/√hidden_size, as PyTorch's do.

    forget_bias: what b_f starts from instead. With 1 the cell remembers from the first update on:
    Gers, Schmidhuber, Cummins 2000, Neural Computation 12; Jozefowicz, Zaremba, Sutskever 2015,
    ICML, section 2.1.

    Hochreiter, Schmidhuber 1997, Neural Computation 9, with the forget gate of Gers et al.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        forget_bias: float | None = None,
        dtype: npt.DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, 4, dtype, rng)
        if forget_bias is not None:
            self.b_h.data[hidden_size : 2 * hidden_size] = forget_bias

    def initial_state(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """h_0 = 0 and c_0 = 0, (batch_size, hidden_size) each."""
        zeros = np.zeros((batch_size, self.hidden_size), self.W.dtype)
        return Tensor(zeros, name="h"), Tensor(zeros, name="c")

    def forward(self, x: Any, state: Any) -> tuple[Any, Any]:
        h, c = state
        a = x @ self.V + h @ self.W + self.b_h  # (B, 4 H)
        a_i, a_f, a_g, a_o = np.split(a, 4, axis=1)
        i = sigmoid(a_i)
        f = sigmoid(a_f)
        g = np.tanh(a_g)
        o = sigmoid(a_o)
        c = f * c + i * g
        h = o * np.tanh(c)
        return h, c


class GRUCell(Cell):
    """The gated recurrent unit: a state that is partly renewed.

        r_t = σ(x_t V_r + h_{t-1} W_r + b_r)                     what of h_{t-1} is read
        z_t = σ(x_t V_z + h_{t-1} W_z + b_z)                     what of h_{t-1} stays
        n_t = tanh(x_t V_n + b_h,n + r_t (h_{t-1} W_n + b_n))
        h_t = (1 − z_t) n_t + z_t h_{t-1}

    x_t: (B, input_size)   h_t: (B, hidden_size)
    V: (input_size, 3 hidden_size)   W: (hidden_size, 3 hidden_size)   b_h: (3 hidden_size,)
    b_n: (hidden_size,)

    The three blocks of columns are in the order r, z, n. The reset is applied after the product
    with W_n, which takes a bias of its own, as PyTorch has it; in Cho et al. it is applied before.
    All parameters start uniform in ±1/√hidden_size, as PyTorch's do.

    Cho et al. 2014, arXiv 1406.1078, section 2.3, where z is 1 − z.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        dtype: npt.DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        rng = generator(rng)
        super().__init__(input_size, hidden_size, 3, dtype, rng)
        self.b_n = Parameter(uniform((hidden_size,), 1 / np.sqrt(hidden_size), dtype, rng))

    def forward(self, x: Any, state: Any) -> Any:
        h = state
        a_r, a_z, a_n = np.split(x @ self.V + self.b_h, 3, axis=1)
        s_r, s_z, s_n = np.split(h @ self.W, 3, axis=1)
        r = sigmoid(a_r + s_r)
        z = sigmoid(a_z + s_z)
        n = np.tanh(a_n + r * (s_n + self.b_n))
        h = (1 - z) * n + z * h
        return h

    def torch_state_dict(self) -> dict[str, Array]:
        arrays = super().torch_state_dict()
        arrays["bias_hh"][2 * self.hidden_size :] = self.b_n.array
        return arrays

    def _take_torch(self, arrays: Mapping[str, Array]) -> None:
        b_n = arrays["bias_hh"][2 * self.hidden_size :]
        rest = arrays["bias_hh"].copy()
        rest[2 * self.hidden_size :] = 0
        super()._take_torch({**arrays, "bias_hh": rest})
        assign(self.b_n, b_n)


def unroll(
    cell: Any, xs: Any, state: Any = None, lengths: Any = None, reverse: bool = False
) -> tuple[Tensor, Any]:
    """Run a cell over a sequence: xs (T, B, …) to the states (T, B, H) and the last of them.

    The same as

        for t, x in steps(xs):
            state = cell(x, state)

    xs: an array or a tensor, or a list of T of them.
    state: where it starts, (B, H) or a tuple of such; by default the cell's initial state. Of a
        state that is a tuple, as (h, c), the first part is in the states, and the last state is a
        tuple again.
    lengths: B integers in 1 … T, in any order. A row whose sequence has ended keeps its state. What
        stands beyond the end is not read: it may be nan, and its gradient is 0.
    reverse: run from the last step to the first, each row beginning at its own last step. The
        states stand in the order of xs still.

    No steps at all, a length outside 1 … T, and a number of lengths other than B are ValueErrors.
    """
    xs = stack(xs) if isinstance(xs, (list, tuple)) else xs
    T, B = xs.shape[:2]
    if state is None:
        state = cell.initial_state(B)
    inside = None if lengths is None or not T else inside_of(lengths, T, B)
    if inside is not None:
        xs = np.where(_wide(inside, xs.ndim), xs, 0.0 if xs.dtype.kind == "f" else 0)
    if reverse:
        xs = xs[::-1]
        inside = None if inside is None else inside[::-1]
    states = []
    for t, x in steps(xs):
        following = cell(x, state)
        state = following if inside is None else _where(inside[t - 1], following, state)
        states.append(state[0] if isinstance(state, tuple) else state)
    return stack(states[::-1] if reverse else states), state


def inside_of(lengths: Any, T: int, B: int) -> Any:
    """(T, B): whether step t of a row is in its sequence; a ValueError for impossible lengths.

    While a function is compiled they are not checked: it is run on fewer steps, too, and what
    lengths it will be called with, its recording does not know.
    """
    lengths = lengths if isinstance(lengths, Tensor) else np.asarray(lengths)
    if lengths.shape != (B,):
        raise ValueError(f"lengths: {B} rows want as many lengths, not an array {lengths.shape}")
    if lengths.size and lengths.dtype.kind not in "iu":
        raise TypeError(f"lengths: integers are wanted, not {lengths.dtype}")
    if recorder.draws is None:
        for row, length in enumerate(as_array(lengths).tolist()):
            if not 1 <= length <= T:
                raise ValueError(f"lengths: row {row} has length {length}, which is not in 1 … {T}")
    return np.arange(T)[:, None] < lengths


def _where(inside: Any, following: Any, state: Any) -> Any:
    """The following state in the rows that are inside their sequence, else the state as it is."""
    if isinstance(following, tuple):
        return tuple(_where(inside, *parts) for parts in zip(following, state, strict=True))
    return np.where(_wide(inside, following.ndim), following, state)


def _wide(inside: Any, ndim: int) -> Any:
    """With axes of length 1 behind, for an array of so many axes."""
    return inside[(..., *(None,) * (ndim - inside.ndim))]
