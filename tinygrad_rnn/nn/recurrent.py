"""Recurrent layers: cells on top of each other, in one direction of time or both.

They are `unroll` with names. What an equation is, its cell says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine.functions import concatenate, stack
from ..engine.tensor import Tensor
from .cells import Cell, GRUCell, LSTMCell, RNNCell, inside_of, unroll
from .init import generator
from .layers import Dropout, positive
from .module import Array, Module


class Recurrent(Module):
    """What RNN, LSTM and GRU have in common: cells that are run layer by layer.

    cells: of the layers, running forwards.   reverse_cells: running backwards, or none.
    """

    def __init__(
        self,
        cell: Callable[..., Cell],
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bidirectional: bool,
        dropout: float,
        rng: np.random.Generator,
    ) -> None:
        positive(type(self).__name__, num_layers=num_layers)
        directions = 2 if bidirectional else 1
        sizes = [input_size] + [hidden_size * directions] * (num_layers - 1)
        self.cells = [cell(size, hidden_size) for size in sizes]
        self.reverse_cells = [cell(size, hidden_size) for size in sizes if bidirectional]
        self.dropout = Dropout(dropout, rng=rng) if dropout else None

    def forward(self, x: Any, state: Any = None, lengths: Any = None) -> tuple[Tensor, Any]:
        x = stack(x) if isinstance(x, (list, tuple)) else x
        T, B = self._checked(x)
        states = self._split(state, B)
        for layer in range(len(self.cells)):
            if layer and self.dropout is not None:
                x = self.dropout(x)
            outputs = []
            for cell, k, reverse in self._layer(layer):
                output, states[k] = unroll(cell, x, states[k], lengths, reverse)
                outputs.append(output)
            x = concatenate(outputs, axis=-1) if self.reverse_cells else outputs[0]
            if lengths is not None:
                x = np.where(inside_of(lengths, T, B)[..., None], x, 0.0)
        return x, self._joined(states)

    def _layer(self, layer: int) -> list[tuple[Cell, int, bool]]:
        """The cells of a layer, with their place among all states, and whether they run back."""
        if not self.reverse_cells:
            return [(self.cells[layer], layer, False)]
        return [
            (self.cells[layer], 2 * layer, False),
            (self.reverse_cells[layer], 2 * layer + 1, True),
        ]

    def _checked(self, x: Any) -> tuple[int, int]:
        size = self.cells[0].input_size
        if x.ndim != 3 or x.shape[2] != size:
            raise ValueError(f"{type(self).__name__}: x is (T, B, {size}), not {x.shape}")
        return x.shape[0], x.shape[1]

    def _split(self, state: Any, B: int) -> list[Any]:
        """A state of all layers as one for each cell; None for each if none is given."""
        count = len(self.cells) + len(self.reverse_cells)
        if state is None:
            return [None] * count
        start = self.cells[0].initial_state(B)
        if isinstance(start, tuple):
            if not isinstance(state, (tuple, list)) or len(state) != len(start):
                raise ValueError(f"{type(self).__name__}: the state is a tuple of {len(start)}")
            parts = [self._part(part, like, count) for part, like in zip(state, start, strict=True)]
            return list(zip(*parts, strict=True))
        return self._part(state, start, count)

    def _part(self, state: Any, like: Tensor, count: int) -> list[Any]:
        shape = (count, *like.shape)
        if np.shape(state) != shape:
            raise ValueError(
                f"{type(self).__name__}: the state {like.name} is (layers × directions, B, H) = "
                f"{shape}, not {np.shape(state)}"
            )
        return [state[k] for k in range(count)]

    def _joined(self, states: list[Any]) -> Any:
        if isinstance(states[0], tuple):
            return tuple(stack(parts) for parts in zip(*states, strict=True))
        return stack(states)

    def torch_state_dict(self) -> dict[str, Array]:
        return {
            f"{name}{suffix}": array
            for cell, suffix in self._suffixes()
            for name, array in cell.torch_state_dict().items()
        }

    def _take_torch(self, arrays: Mapping[str, Array]) -> None:
        for cell, suffix in self._suffixes():
            cell._take_torch({name: arrays[name + suffix] for name in cell.torch_state_dict()})

    def _suffixes(self) -> list[tuple[Cell, str]]:
        """What PyTorch adds to the names of each cell's parameters."""
        return [
            (cell, f"_l{layer}{'_reverse' if reverse else ''}")
            for layer in range(len(self.cells))
            for cell, _, reverse in self._layer(layer)
        ]


class RNN(Recurrent):
    """Layers of the lecture's network: h_t = f_h(x_t V + h_{t-1} W + b_h), as `RNNCell` has it.

        outputs, state = rnn(x, state=None, lengths=None)

    x: (T, B, input_size)                 outputs: (T, B, hidden_size · directions)
    state, before and after: (num_layers · directions, B, hidden_size); by default it starts at 0

    With one layer and one direction it is the same as

        h, outputs = state[0], []
        for t, x_t in tg.steps(x):
            h = cell(x_t, h)
            outputs.append(h)
        outputs, state = tg.stack(outputs), tg.stack([h])

    num_layers: the outputs of a layer are the x of the next one. States stand in the order layer 1
        forwards, layer 1 backwards, layer 2 forwards, …
    bidirectional: each layer runs forwards and backwards; the outputs at t are those of both
        directions at t, side by side. The state of the backward direction is the one after t = 1.
    lengths: B integers in 1 … T, in any order. What stands beyond a row's end is not read, and may
        be nan; the outputs there are 0, and the state is the one at the row's own end. The backward
        direction starts at each row's own last step.
    nonlinearity: f_h, "tanh" or "relu".
    dropout: in training, between the layers, with this probability; see `Dropout`.
    rng: the same generator, the same weights. Dropout draws its masks from it.

    A ValueError names an x or a state of another shape, a T of 0, and the row of a length that is
    not in 1 … T.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        nonlinearity: str = "tanh",
        dropout: float = 0.0,
        dtype: npt.DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        rng = generator(rng)

        def cell(size: int, hidden_size: int) -> Cell:
            return RNNCell(size, hidden_size, nonlinearity, dtype, rng)

        super().__init__(cell, input_size, hidden_size, num_layers, bidirectional, dropout, rng)


class LSTM(Recurrent):
    """Layers of long short-term memory; the equations are those of `LSTMCell`.

        outputs, (h, c) = lstm(x, state=None, lengths=None)

    x: (T, B, input_size)                 outputs: (T, B, hidden_size · directions)
    h, c, before and after: (num_layers · directions, B, hidden_size); by default they start at 0

    With one layer and one direction it is the same as

        h, c, outputs = state[0][0], state[1][0], []
        for t, x_t in tg.steps(x):
            h, c = cell(x_t, (h, c))
            outputs.append(h)
        outputs, state = tg.stack(outputs), (tg.stack([h]), tg.stack([c]))

    forget_bias: what the forget gates' biases start from; see `LSTMCell`. All else is as in `RNN`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        forget_bias: float | None = None,
        dropout: float = 0.0,
        dtype: npt.DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        rng = generator(rng)

        def cell(size: int, hidden_size: int) -> Cell:
            return LSTMCell(size, hidden_size, forget_bias, dtype, rng)

        super().__init__(cell, input_size, hidden_size, num_layers, bidirectional, dropout, rng)


class GRU(Recurrent):
    """Layers of gated recurrent units; the equations are those of `GRUCell`.

        outputs, state = gru(x, state=None, lengths=None)

    x: (T, B, input_size)                 outputs: (T, B, hidden_size · directions)
    state, before and after: (num_layers · directions, B, hidden_size); by default it starts at 0

    With one layer and one direction it is the same as

        h, outputs = state[0], []
        for t, x_t in tg.steps(x):
            h = cell(x_t, h)
            outputs.append(h)
        outputs, state = tg.stack(outputs), tg.stack([h])

    All else is as in `RNN`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        dtype: npt.DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        rng = generator(rng)

        def cell(size: int, hidden_size: int) -> Cell:
            return GRUCell(size, hidden_size, dtype, rng)

        super().__init__(cell, input_size, hidden_size, num_layers, bidirectional, dropout, rng)


CELLS: dict[str, Any] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
"""The layers by the names of their cells."""
