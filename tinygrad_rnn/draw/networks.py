"""Networks to draw: a training step of each, recorded at any number of time steps.

The equations are the lecture's, with LSTM gates in the order i, f, g, o, and GRU gates r, z, n with
the reset applied after the product, as PyTorch has them. Sizes are small; the numbers mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine.record import steps
from ..engine.rules import cross_entropy, sigmoid
from ..engine.tensor import Parameter, Tensor, tensor

D, H, K = 8, 16, 8  # inputs, hidden units, classes


def rnn(T: int, cut: int = 0) -> Tensor:
    """The lecture's simple recurrent network; `cut` detaches the state after so many steps."""
    V, W, U, b_h, b_y = _parameters(V=(D, H), W=(H, H), U=(H, K), b_h=(H,), b_y=(K,))
    xs, ys = _data(T)
    h, losses = _state("h"), []
    for t, x, y in steps(xs, ys):
        h = np.tanh(x @ V + h @ W + b_h)
        y_hat = h @ U + b_y
        losses.append(_loss(y_hat, y))
        if cut and t % cut == 0:
            h = h.detach()
    return _sum(losses)


def lstm(T: int) -> Tensor:
    """Long short-term memory: the cell state c is only ever multiplied and added to."""
    V, W, b, U, b_y = _parameters(V=(D, 4 * H), W=(H, 4 * H), b=(4 * H,), U=(H, K), b_y=(K,))
    xs, ys = _data(T)
    h, c, losses = _state("h"), _state("c"), []
    for _, x, y in steps(xs, ys):
        a = x @ V + h @ W + b
        i = sigmoid(a[:, :H])
        f = sigmoid(a[:, H : 2 * H])
        g = np.tanh(a[:, 2 * H : 3 * H])
        o = sigmoid(a[:, 3 * H :])
        c = f * c + i * g
        h = o * np.tanh(c)
        y_hat = h @ U + b_y
        losses.append(_loss(y_hat, y))
    return _sum(losses)


def gru(T: int) -> Tensor:
    """The gated recurrent unit: z mixes the old state and a new one."""
    V, W, U, b_y = _parameters(V=(D, 3 * H), W=(H, 3 * H), U=(H, K), b_y=(K,))
    xs, ys = _data(T)
    h, losses = _state("h"), []
    for _, x, y in steps(xs, ys):
        v = x @ V
        w = h @ W
        r = sigmoid(v[:, :H] + w[:, :H])
        z = sigmoid(v[:, H : 2 * H] + w[:, H : 2 * H])
        n = np.tanh(v[:, 2 * H :] + r * w[:, 2 * H :])
        h = (1 - z) * n + z * h
        y_hat = h @ U + b_y
        losses.append(_loss(y_hat, y))
    return _sum(losses)


def two_layers(T: int) -> Tensor:
    """Two simple layers: the states of the first are the inputs of the second."""
    V1, W1, V2, W2 = _parameters(V1=(D, H), W1=(H, H), V2=(H, H), W2=(H, H))
    U, b_y = _parameters(U=(H, K), b_y=(K,))
    xs, ys = _data(T)
    h1, h2, losses = _state("h1"), _state("h2"), []
    for _, x, y in steps(xs, ys):
        h1 = np.tanh(x @ V1 + h1 @ W1)
        h2 = np.tanh(h1 @ V2 + h2 @ W2)
        y_hat = h2 @ U + b_y
        losses.append(_loss(y_hat, y))
    return _sum(losses)


def bidirectional(T: int) -> Tensor:
    """One layer that reads from the left, one from the right, and predictions from both."""
    V1, W1, V2, W2 = _parameters(V1=(D, H), W1=(H, H), V2=(D, H), W2=(H, H))
    U1, U2 = _parameters(U1=(H, K), U2=(H, K))
    xs, ys = _data(T)
    h, forwards = _state("h1"), []
    for _, x in steps(xs):
        h1 = np.tanh(x @ V1 + h @ W1)
        h = h1
        forwards.append(h1)
    h, backwards = _state("h2"), []
    for _, x in steps(xs[::-1]):
        h2 = np.tanh(x @ V2 + h @ W2)
        h = h2
        backwards.append(h2)
    losses = []
    for _, a, b, y in steps(forwards, backwards[::-1], ys):
        y_hat = a @ U1 + b @ U2
        losses.append(_loss(y_hat, y))
    return _sum(losses)


NETWORKS: dict[str, Callable[[int], Tensor]] = {
    "rnn": rnn,
    "lstm": lstm,
    "gru": gru,
    "two-layers": two_layers,
    "bidirectional": bidirectional,
}


def _parameters(**shapes: tuple[int, ...]) -> list[Parameter]:
    rng = np.random.default_rng(0)
    return [Parameter(rng.standard_normal(shape) / 4, name=name) for name, shape in shapes.items()]


def _data(T: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    xs = tensor(rng.standard_normal((T, 1, D)), name="x")
    return xs, tensor(rng.integers(0, K, (T, 1)), name="y")


def _state(name: str) -> Any:
    return tensor(np.zeros((1, H)), name=name)


def _loss(y_hat: Any, y: Any) -> Tensor:
    L: Tensor = cross_entropy(y_hat, y)
    L.name = "L"
    return L


def _sum(losses: list[Tensor]) -> Tensor:
    L: Any = sum(losses)
    L.name = "L"
    return L  # type: ignore[no-any-return]
