"""Networks in many spellings: what a program is derived from, with its data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tinygrad_rnn as tg


class Sizes(NamedTuple):
    """Batch, input, hidden units, classes, steps."""

    B: int
    D: int
    H: int
    K: int
    T: int

    def __str__(self) -> str:
        return "x".join(map(str, self))


Network = tuple[Callable[..., Any], tuple[Any, ...], list[tg.Tensor]]  # f, arguments, parameters
NETWORKS: dict[str, Callable[..., Network]] = {}


class Data:
    """Arrays of one dtype, and parameters."""

    def __init__(self, sizes: Sizes, dtype: Any) -> None:
        B, D, H, K, T = sizes
        self.rng = np.random.default_rng(sum(sizes))
        self.dtype = dtype
        self.x = self.rng.standard_normal((T, B, D)).astype(dtype)
        self.y, self.ids = self.rng.integers(0, K, (2, T, B))
        self.h = self.rng.standard_normal((B, H)).astype(dtype)
        self.V, self.W, self.U = self.p("V", D, H), self.p("W", H, H), self.p("U", H, K)
        self.b_h, self.b_y = self.p("b_h", H), self.p("b_y", K)
        self.all = [self.V, self.W, self.U, self.b_h, self.b_y]

    def p(self, name: str, *shape: int) -> tg.Parameter:
        array = self.rng.standard_normal(shape) / np.sqrt(max(shape))
        return tg.Parameter(array.astype(self.dtype), name=name)


def network(name: str) -> Callable[[Any], Any]:
    def register(make: Any) -> Any:
        NETWORKS[name] = lambda sizes, dtype=np.float64: make(sizes, Data(sizes, dtype))
        return make

    return register


def lecture(name: str, add_up: Callable[[Any, Any], Any]) -> None:
    """The lecture's network, with the losses added up in some way."""

    @network(name)
    def make(sizes: Sizes, d: Data) -> Network:
        V, W, U, b_h, b_y = d.all

        def step(x: Any, y: Any, h: Any) -> Any:
            losses = []
            for _, x_t, y_t in tg.steps(x, y):
                h = np.tanh(x_t @ V + h @ W + b_h)
                loss = tg.cross_entropy(h @ U + b_y, y_t)
                losses.append(loss)
            L = add_up(losses, y)
            L.backward()
            return L

        return step, (d.x, d.y, d.h), d.all


lecture("lecture", lambda losses, y: sum(losses))
lecture("loss with add_n", lambda losses, y: tg.add_n(losses))
lecture("mean of stack", lambda losses, y: tg.stack(losses).mean())
lecture("last loss", lambda losses, y: losses[-1])


def losses_as(name: str, change: Callable[[Any, Any, Any, Any], Any]) -> None:
    """The lecture's network with the loss of a step and the total in some other form."""

    @network(name)
    def make(sizes: Sizes, d: Data) -> Network:
        V, W, U, b_h, b_y = d.all
        weights = d.rng.random((sizes.T, sizes.B)).astype(d.dtype)

        def step(x: Any, y: Any, w: Any, h: Any) -> Any:
            total: Any = 0
            for _, x_t, y_t, w_t in tg.steps(x, y, w):
                h = np.tanh(x_t @ V + h @ W + b_h)
                total = change(total, h @ U + b_y, y_t, w_t)
            total.backward()
            return total, h

        return step, (d.x, d.y, weights, d.h), d.all


losses_as("total + loss", lambda total, z, y, w: total + tg.cross_entropy(z, y))
losses_as(
    "total - log p",
    lambda total, z, y, w: (
        total - (tg.log_softmax(z) * tg.one_hot(y, z.shape[1], dtype=z.dtype)).sum() / len(z)
    ),
)
losses_as(
    "weighted losses",
    lambda total, z, y, w: total + (w * tg.cross_entropy(z, y, reduction="none")).sum(),
)
losses_as("summed losses", lambda total, z, y, w: total + tg.cross_entropy(z, y, reduction="sum"))
losses_as("squared error", lambda total, z, y, w: total + ((z - w[:, None]) ** 2).mean())


@network("embedding")
def embedding(sizes: Sizes, d: Data) -> Network:
    V, W, U, b_h, b_y = d.all
    E = d.p("E", sizes.K, sizes.D)

    def step(ids: Any, y: Any, h: Any) -> Any:
        losses = []
        for _, i, y_t in tg.steps(ids, y):
            h = np.tanh(tg.embedding(E, i) @ V + h @ W + b_h)
            losses.append(tg.cross_entropy(h @ U + b_y, y_t))
        L = sum(losses)
        L.backward()  # type: ignore[union-attr]
        return L, h

    return step, (d.ids, d.y, d.h), [E, *d.all]


@network("embedding of all steps, stacked states")
def embedding_at_once(sizes: Sizes, d: Data) -> Network:
    V, W, U, b_h, b_y = d.all
    E = d.p("E", sizes.K, sizes.D)

    def step(ids: Any, y: Any, h: Any) -> Any:
        states = []
        for _, x_t in tg.steps(tg.embedding(E, ids)):
            h = np.tanh(x_t @ V + h @ W + b_h)
            states.append(h)
        L = tg.cross_entropy(tg.stack(states) @ U + b_y, y)
        L.backward()
        return L

    return step, (d.ids, d.y, d.h), [E, *d.all]


@network("one-hot inputs")
def one_hot(sizes: Sizes, d: Data) -> Network:
    _, W, U, b_h, b_y = d.all
    V = d.p("V", sizes.K, sizes.H)

    def step(ids: Any, y: Any, h: Any) -> Any:
        total: Any = 0
        for _, i, y_t in tg.steps(ids, y):
            h = np.tanh(tg.one_hot(i, sizes.K) @ V + h @ W + b_h)
            total = total + tg.cross_entropy(h @ U + b_y, y_t)
        total.backward()
        return total

    return step, (d.ids, d.y, d.h), [V, W, U, b_h, b_y]


@network("mask")
def masked(sizes: Sizes, d: Data) -> Network:
    V, W, U, b_h, b_y = d.all
    mask = d.rng.random((sizes.T, sizes.B, 1)) < 0.7

    def step(x: Any, y: Any, mask: Any, h: Any) -> Any:
        total: Any = 0
        for _, x_t, y_t, m in tg.steps(x, y, mask):
            h = np.where(m, np.tanh(x_t @ V + h @ W + b_h), h)
            total = total + tg.cross_entropy(h @ U + b_y, y_t)
        total.backward()
        return total

    return step, (d.x, d.y, mask, d.h), d.all


@network("forward only")
def forward_only(sizes: Sizes, d: Data) -> Network:
    V, W, U, b_h, _ = d.all

    def step(x: Any, h: Any) -> Any:
        predictions = []
        with tg.no_grad():
            for _, x_t in tg.steps(x):
                h = np.tanh(x_t @ V + h @ W + b_h)
                predictions.append(h @ U)
            return tg.softmax(tg.stack(predictions)), h

    return step, (d.x, d.h), []


@network("list of states")
def states(sizes: Sizes, d: Data) -> Network:
    V, W, _, b_h, _ = d.all

    def step(x: Any, h: Any) -> Any:
        states = []
        for _, x_t in tg.steps(x):
            h = np.tanh(x_t @ V + h @ W + b_h)
            states.append(h)
        return states, states[-1]

    return step, (d.x, d.h), []


@network("gradients returned")
def gradients(sizes: Sizes, d: Data) -> Network:
    V, W, U, b_h, b_y = d.all

    def step(x: Any, y: Any, h: Any) -> Any:
        losses = []
        for _, x_t, y_t in tg.steps(x, y):
            h = np.tanh(x_t @ V + h @ W + b_h)
            losses.append(tg.cross_entropy(h @ U + b_y, y_t))
        L = tg.add_n(losses)
        return L, tg.grad(L, d.all)

    return step, (d.x, d.y, d.h), []


@network("gradient of the initial state")
def initial_state(sizes: Sizes, d: Data) -> Network:
    f, (x, y, h), parameters = NETWORKS["loss with add_n"](sizes, d.dtype)
    return f, (x, y, tg.tensor(h, requires_grad=True, name="h")), parameters


@network("unroll and Linear")
def layers(sizes: Sizes, d: Data) -> Network:
    cell = tg.nn.RNNCell(sizes.D, sizes.H, dtype=d.dtype, rng=d.rng)
    linear = tg.nn.Linear(sizes.H, sizes.K, dtype=d.dtype, rng=d.rng)

    def step(x: Any, y: Any) -> Any:
        outputs, state = tg.nn.unroll(cell, x)
        L = tg.cross_entropy(linear(outputs), y)
        L.backward()
        return L, state

    return step, (d.x, d.y), [*cell.parameters(), *linear.parameters()]


@network("relu")
def relu(sizes: Sizes, d: Data) -> Network:
    V, W, U, b_h, b_y = d.all

    def step(x: Any, y: Any, h: Any) -> Any:
        total: Any = 0
        for _, x_t, y_t in tg.steps(x, y):
            h = tg.relu(x_t @ V + h @ W + b_h)
            total = total + tg.cross_entropy(h @ U + b_y, y_t)
        total.backward()
        return total

    return step, (d.x, d.y, d.h), d.all


@network("vectors, no batch")
def vectors(sizes: Sizes, d: Data) -> Network:
    f, (x, y, h), parameters = NETWORKS["lecture"](sizes, d.dtype)
    return f, (x[:, 0], y[:, 0], h[0]), parameters


@network("LSTM")
def lstm(sizes: Sizes, d: Data) -> Network:
    H = sizes.H
    V, R, b = d.p("V", sizes.D, 4 * H), d.p("R", H, 4 * H), d.p("b", 4 * H)

    def step(x: Any, y: Any, h: Any, c: Any) -> Any:
        losses = []
        for _, x_t, y_t in tg.steps(x, y):
            z = x_t @ V + h @ R + b
            i, f, o = (tg.sigmoid(z[:, k * H : (k + 1) * H]) for k in range(3))
            c = f * c + i * np.tanh(z[:, 3 * H :])
            h = o * np.tanh(c)
            losses.append(tg.cross_entropy(h @ d.U + d.b_y, y_t))
        L = tg.add_n(losses)
        L.backward()
        return L, h, c

    return step, (d.x, d.y, d.h, d.h / 2), [V, R, b, d.U, d.b_y]


@network("LSTM, concatenated")
def lstm_concatenated(sizes: Sizes, d: Data) -> Network:
    H = sizes.H
    W, b = d.p("W", sizes.D + H, 4 * H), d.p("b", 4 * H)

    def step(x: Any, y: Any, h: Any, c: Any) -> Any:
        losses = []
        for _, x_t, y_t in tg.steps(x, y):
            z = tg.concatenate([x_t, h], axis=1) @ W + b
            i, f, o = (tg.sigmoid(z[:, k * H : (k + 1) * H]) for k in range(3))
            c = f * c + i * np.tanh(z[:, 3 * H :])
            h = o * np.tanh(c)
            losses.append(tg.cross_entropy(h @ d.U + d.b_y, y_t))
        L = tg.add_n(losses)
        L.backward()
        return L, h, c

    return step, (d.x, d.y, d.h, d.h / 2), [W, b, d.U, d.b_y]


@network("GRU")
def gru(sizes: Sizes, d: Data) -> Network:
    H = sizes.H
    V, R, b = d.p("V", sizes.D, 3 * H), d.p("R", H, 3 * H), d.p("b", 3 * H)

    def step(x: Any, y: Any, h: Any) -> Any:
        losses = []
        for _, x_t, y_t in tg.steps(x, y):
            v, w = x_t @ V + b, h @ R
            r, z = (tg.sigmoid(v[:, k : k + H] + w[:, k : k + H]) for k in (0, H))
            n = np.tanh(v[:, 2 * H :] + r * w[:, 2 * H :])
            h = (1 - z) * n + z * h
            losses.append(tg.cross_entropy(h @ d.U + d.b_y, y_t))
        L = tg.add_n(losses)
        L.backward()
        return L, h

    return step, (d.x, d.y, d.h), [V, R, b, d.U, d.b_y]


def truncated(k: int) -> None:
    @network(f"truncated after {k}")
    def make(sizes: Sizes, d: Data) -> Network:
        V, W, U, b_h, b_y = d.all

        def step(x: Any, y: Any, h: Any) -> Any:
            losses = []
            for t, x_t, y_t in tg.steps(x, y):
                h = np.tanh(x_t @ V + h @ W + b_h)
                losses.append(tg.cross_entropy(h @ U + b_y, y_t))
                if t % k == 0:
                    h = h.detach()
            L = tg.add_n(losses)
            L.backward()
            return L, h

        return step, (d.x, d.y, d.h), d.all


truncated(2)
truncated(3)


@network("two layers")
def two_layers(sizes: Sizes, d: Data) -> Network:
    V, W, U, b_h, b_y = d.all
    V2, W2 = d.p("V2", sizes.H, sizes.H), d.p("W2", sizes.H, sizes.H)

    def step(x: Any, y: Any, h: Any, h2: Any) -> Any:
        losses = []
        for _, x_t, y_t in tg.steps(x, y):
            h = np.tanh(x_t @ V + h @ W + b_h)
            h2 = np.tanh(h @ V2 + h2 @ W2)
            losses.append(tg.cross_entropy(h2 @ U + b_y, y_t))
        L = sum(losses)
        L.backward()  # type: ignore[union-attr]
        return L, h, h2

    return step, (d.x, d.y, d.h, d.h / 3), [*d.all, V2, W2]


@network("two directions")
def two_directions(sizes: Sizes, d: Data) -> Network:
    V, W, U, _, b_y = d.all
    V2, W2, U2 = d.p("V2", sizes.D, sizes.H), d.p("W2", sizes.H, sizes.H), d.p("U2", *U.shape)

    def step(x: Any, y: Any, h: Any) -> Any:
        there, _ = tg.nn.unroll(lambda x, h: np.tanh(x @ V + h @ W), x, h)
        back, _ = tg.nn.unroll(lambda x, h: np.tanh(x @ V2 + h @ W2), x[::-1], h)
        L = tg.cross_entropy(there @ U + back[::-1] @ U2 + b_y, y)
        L.backward()
        return L

    return step, (d.x, d.y, d.h), [V, W, U, b_y, V2, W2, U2]


@network("penalty")
def penalty(sizes: Sizes, d: Data) -> Network:
    V, W, U, b_h, b_y = d.all

    def step(x: Any, y: Any, h: Any) -> Any:
        total: Any = 0
        for _, x_t, y_t in tg.steps(x, y):
            h = np.tanh(x_t @ V + h @ W + b_h)
            total = total + tg.cross_entropy(h @ U + b_y, y_t)
        total = total + 0.01 * (W * W).sum() + 0.1 * (h * h).sum()
        total.backward()
        return total

    return step, (d.x, d.y, d.h), d.all


@network("attention")
def attention(sizes: Sizes, d: Data) -> Network:
    V, W, U, b_h, b_y = d.all

    def step(x: Any, y: Any, h: Any) -> Any:
        states = []
        for _, x_t in tg.steps(x):
            h = np.tanh(x_t @ V + h @ W + b_h)
            states.append(h)
        S = tg.stack(states)
        a = tg.softmax((S * h).sum(axis=2), axis=0)
        L = tg.cross_entropy((S * a[:, :, None]).sum(axis=0) @ U + b_y, y[0])
        L.backward()
        return L

    return step, (d.x, d.y, d.h), d.all


@network("batch first")
def batch_first(sizes: Sizes, d: Data) -> Network:
    V, W, U, b_h, b_y = d.all

    def step(x: Any, y: Any, h: Any) -> Any:
        states = []
        for _, x_t in tg.steps(x.swapaxes(0, 1)):
            h = np.tanh(x_t @ V + h @ W + b_h)
            states.append(h)
        L = tg.cross_entropy(tg.stack(states, axis=1) @ U + b_y, y)
        L.backward()
        return L

    return step, (d.x.swapaxes(0, 1).copy(), d.y.T.copy(), d.h), d.all


@network("no steps are labelled")
def no_steps(sizes: Sizes, d: Data) -> Network:
    V, W, U, b_h, b_y = d.all

    def step(x: Any, y: Any, h: Any) -> Any:
        total: Any = 0
        for t in range(len(x)):
            h = np.tanh(x[t] @ V + h @ W + b_h)
            total = total + tg.cross_entropy(h @ U + b_y, y[t])
        total.backward()
        return total

    return step, (d.x, d.y, d.h), d.all
