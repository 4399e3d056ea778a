"""Networks to draw, and to derive programs of: one training step of each, at any number of steps.

The equations are the lecture's, with LSTM gates in the order i, f, g, o, and GRU gates r, z, n with
the reset applied after the product, as PyTorch has them. Each is a function of x (T, B, D), of
y (T, B), of initial states (B, H) and of parameters. The numbers mean nothing.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .engine.record import history, steps
from .engine.rules import cross_entropy, sigmoid
from .engine.tensor import Parameter, Tensor, tensor


def rnn(x: Any, y: Any, h: Any, V: Any, W: Any, U: Any, b_h: Any, b_y: Any, cut: int = 0) -> Tensor:
    """The lecture's simple recurrent network; `cut` detaches the state after so many steps."""
    losses = []
    for t, x_t, y_t in steps(x, y):
        h = np.tanh(x_t @ V + h @ W + b_h)
        y_hat = h @ U + b_y
        losses.append(_loss(y_hat, y_t))
        if cut and t % cut == 0:
            h = h.detach()
    return _sum(losses)


def lstm(x: Any, y: Any, h: Any, c: Any, V: Any, W: Any, b: Any, U: Any, b_y: Any) -> Tensor:
    """Long short-term memory: the cell state c is only ever multiplied and added to."""
    H, losses = h.shape[-1], []
    for _, x_t, y_t in steps(x, y):
        a = x_t @ V + h @ W + b
        i = sigmoid(a[:, :H])
        f = sigmoid(a[:, H : 2 * H])
        g = np.tanh(a[:, 2 * H : 3 * H])
        o = sigmoid(a[:, 3 * H :])
        c = f * c + i * g
        h = o * np.tanh(c)
        y_hat = h @ U + b_y
        losses.append(_loss(y_hat, y_t))
    return _sum(losses)


def gru(x: Any, y: Any, h: Any, V: Any, W: Any, U: Any, b_y: Any) -> Tensor:
    """The gated recurrent unit: z mixes the old state and a new one."""
    H, losses = h.shape[-1], []
    for _, x_t, y_t in steps(x, y):
        v = x_t @ V
        w = h @ W
        r = sigmoid(v[:, :H] + w[:, :H])
        z = sigmoid(v[:, H : 2 * H] + w[:, H : 2 * H])
        n = np.tanh(v[:, 2 * H :] + r * w[:, 2 * H :])
        h = (1 - z) * n + z * h
        y_hat = h @ U + b_y
        losses.append(_loss(y_hat, y_t))
    return _sum(losses)


def two_layers(
    x: Any, y: Any, h1: Any, h2: Any, V1: Any, W1: Any, V2: Any, W2: Any, U: Any, b_y: Any
) -> Tensor:
    """Two simple layers: the states of the first are the inputs of the second."""
    losses = []
    for _, x_t, y_t in steps(x, y):
        h1 = np.tanh(x_t @ V1 + h1 @ W1)
        h2 = np.tanh(h1 @ V2 + h2 @ W2)
        y_hat = h2 @ U + b_y
        losses.append(_loss(y_hat, y_t))
    return _sum(losses)


def bidirectional(
    x: Any, y: Any, h1: Any, h2: Any, V1: Any, W1: Any, V2: Any, W2: Any, U1: Any, U2: Any
) -> Tensor:
    """One layer that reads from the left, one from the right, and predictions from both."""
    h, forwards = h1, []
    for _, x_t in steps(x):
        h1 = np.tanh(x_t @ V1 + h @ W1)
        h = h1
        forwards.append(h1)
    h, backwards = h2, []
    for _, x_t in steps(x[::-1]):
        h2 = np.tanh(x_t @ V2 + h @ W2)
        h = h2
        backwards.append(h2)
    losses = []
    for _, a, b, y_t in steps(forwards, backwards[::-1], y):
        y_hat = a @ U1 + b @ U2
        losses.append(_loss(y_hat, y_t))
    return _sum(losses)


Shapes = dict[str, tuple[str, ...]]


class Step(NamedTuple):
    """A training step, what to call it with, and the parameters that it reads."""

    f: Callable[..., Tensor]
    arguments: tuple[npt.NDArray[Any], ...]
    parameters: dict[str, Parameter]


class Network(NamedTuple):
    """Equations, the names of their states, and the shapes of their parameters, in letters."""

    equations: Callable[..., Tensor]
    states: tuple[str, ...]
    shapes: Shapes

    def __call__(self, T: int, **options: Any) -> Tensor:
        """The loss of one sequence of T steps, recorded."""
        sizes = {"D": 8, "H": 16, "K": 8}
        parameters = self._parameters(sizes)
        x, y, *states = (
            tensor(array, name=name)
            for name, array in zip(("x", "y", *self.states), self._data(T, 1, sizes), strict=True)
        )
        return self.equations(x, y, *states, **parameters, **options)

    def step(self, T: int) -> Step:
        """A training step for two sequences of T steps, for `compile`.

        Letters stand for lengths in a derived program: no two lengths of it are equal.
        """
        sizes = {"D": 9, "H": 10, "K": 12}
        parameters = self._parameters(sizes)
        f: Any = functools.partial(_step, self.equations, **parameters)
        f.__name__ = "training_step"
        f.__signature__ = inspect.signature(functools.partial(self.equations, **parameters))
        return Step(f, self._data(T, 2, sizes), parameters)

    def _data(self, T: int, B: int, sizes: dict[str, int]) -> tuple[npt.NDArray[Any], ...]:
        """x, y and the initial states."""
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((T, B, sizes["D"])), rng.integers(0, sizes["K"], (T, B))
        return x, y, *(np.zeros((B, sizes["H"])) for _ in self.states)

    def _parameters(self, sizes: dict[str, int]) -> dict[str, Parameter]:
        rng = np.random.default_rng(0)
        lengths = {**sizes, "3H": 3 * sizes["H"], "4H": 4 * sizes["H"]}
        return {
            name: Parameter(rng.standard_normal([lengths[n] for n in letters]) / 4, name=name)
            for name, letters in self.shapes.items()
        }


V, W, U, b_y = ("D", "H"), ("H", "H"), ("H", "K"), ("K",)
NETWORKS = {
    "rnn": Network(rnn, ("h",), {"V": V, "W": W, "U": U, "b_h": ("H",), "b_y": b_y}),
    "lstm": Network(
        lstm, ("h", "c"),
        {"V": ("D", "4H"), "W": ("H", "4H"), "b": ("4H",), "U": U, "b_y": b_y},
    ),
    "gru": Network(gru, ("h",), {"V": ("D", "3H"), "W": ("H", "3H"), "U": U, "b_y": b_y}),
    "two-layers": Network(
        two_layers, ("h1", "h2"), {"V1": V, "W1": W, "V2": W, "W2": W, "U": U, "b_y": b_y}
    ),
    "bidirectional": Network(
        bidirectional, ("h1", "h2"), {"V1": V, "W1": W, "V2": V, "W2": W, "U1": U, "U2": U}
    ),
}  # fmt: skip


def _step(equations: Callable[..., Tensor], *arguments: Any, **parameters: Any) -> Tensor:
    L = equations(*arguments, **parameters)
    for node in history(L):  # pictures call the losses of the steps L, too, with their step
        if isinstance(node, Tensor) and node.name == "L" and node.step is not None:
            node.name = "loss"
    L.backward()
    return L


def _loss(y_hat: Any, y: Any) -> Tensor:
    L: Tensor = cross_entropy(y_hat, y)
    L.name = "L"
    return L


def _sum(losses: list[Tensor]) -> Tensor:
    L: Any = sum(losses)
    L.name = "L"
    return L  # type: ignore[no-any-return]
