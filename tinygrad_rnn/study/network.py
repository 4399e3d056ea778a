"""A study of the lecture's recurrent network on a text: how the parts of this library fit together.

The network is written as its equations, in a loop over time steps, with a loss at each step:

    h_t = tanh(x_t V + h_{t-1} W + b_h)        ŷ_t = h_t U + b_y        L = Σ_t L_t

`L.backward()` knows nothing of time, and yet what runs is backpropagation through time: in
`four_steps` its gradients are compared with the derivation written by hand, and in `each_step` they
are taken apart.

Every function here returns what it found. What is said about it is in report.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

import tinygrad_rnn as tg

from ..bptt import bound, by_hand, contributions, jacobians, triangle
from ..draw import Picture
from ..text import Corpus, Vocabulary, best_k, generate, ngram_loss, walk

Array = npt.NDArray[Any]

STREAMS = 32  # B, read side by side
STEPS = 32  # T, between two updates; the state is carried over, the gradient is not
LEARNING_RATE = 0.01  # at the first update; it falls to 0 along half a cosine
LARGEST_GRADIENT = 10.0  # its norm, for the sum of the losses of T steps
ROUNDS = 15  # a text is read at most so often: a short one would be learned by heart
EXACT = 1e-12  # how far the two gradients may be apart, in float64
STRETCH = 24  # steps whose contributions are listed: as many as have room on an axis
WARM_UP = 50  # characters to read before, so that h_0 is not 0
ALL_PAIRS = 128  # hidden units up to which the Jacobians between all pairs of states are looked at


# ------------------------------------------------------------------------------------ the network


class Network(tg.nn.Module):
    """The lecture's simple recurrent network: from a character to a prediction of the next.

    V: (K, H)   W: (H, H)   U: (H, K)   b_h: (H,)   b_y: (K,)

    x_t: (B, K) is the character, one-hot, so that these are all the parameters that there are.
    """

    def __init__(self, V: Array, W: Array, U: Array, b_h: Array, b_y: Array) -> None:
        self.V = tg.Parameter(V)
        self.W = tg.Parameter(W)
        self.U = tg.Parameter(U)
        self.b_h = tg.Parameter(b_h)
        self.b_y = tg.Parameter(b_y)

    @classmethod
    def at_random(cls, K: int, H: int, rng: np.random.Generator) -> Network:
        """A network that has learned nothing, in float32.

        W is orthogonal: at the start, what flows back through it neither vanishes nor explodes.
        """
        W, _ = np.linalg.qr(rng.standard_normal((H, H)))
        V = rng.standard_normal((K, H))
        U = rng.standard_normal((H, K)) / math.sqrt(H)
        return cls(*(a.astype(np.float32) for a in (V, W, U, np.zeros(H), np.zeros(K))))

    def step(self, x: Any, h: Any) -> tuple[Any, Any]:
        """One time step: x_t (B, K) and h_{t-1} (B, H) to h_t (B, H) and ŷ_t (B, K)."""
        h = np.tanh(x @ self.V + h @ self.W + self.b_h)
        y_hat = h @ self.U + self.b_y
        return h, y_hat

    def forward(self, xs: Any, ys: Any, h: Any) -> tuple[tg.Tensor, tg.Tensor]:
        """All time steps: xs (T, B, K), ys (T, B) and h_0 to L = Σ_t L_t, in nats, and h_T."""
        losses = []
        for _t, x, y in tg.steps(xs, ys):
            h, y_hat = self.step(x, h)
            L_t = tg.cross_entropy(y_hat, y)
            losses.append(L_t)
        L = tg.add_n(losses)
        return L, h

    def one_hot(self, ids: Any) -> tg.Tensor:
        """Characters (…) as what the network reads, (…, K)."""
        return tg.tensor(tg.one_hot(ids, len(self.V), self.V.dtype), name="x")

    def initial_state(self, B: int) -> tg.Tensor:
        """h_0 = 0, (B, H)."""
        return tg.tensor(np.zeros((B, len(self.W)), self.W.dtype), name="h")

    def arrays(self) -> dict[str, Array]:
        """The values of the parameters, by their letters."""
        return {name: parameter.data for name, parameter in self.named_parameters()}


# ----------------------------------------------------------------------------------- what it learns


def train(network: Network, ids: Array, updates: int) -> Iterator[float]:
    """Train on a text, and yield the loss per character, in nats, after each update.

    The text is read as streams side by side. From one chunk to the next the state is carried over
    and its history is cut off, so the gradient reaches back to the start of the chunk. What runs is
    the program that is derived from the first chunk.
    """

    @tg.compile
    def gradient(xs: Any, ys: Any, h: Any) -> tuple[tg.Tensor, tg.Tensor]:
        L, h = network.forward(xs, ys, h)
        L.backward()
        return L, h

    parameters = network.parameters()
    optimizer = tg.optim.Adam(parameters, LEARNING_RATE)
    h = network.initial_state(STREAMS)
    for n, (first, xs, ys) in enumerate(islice(walk(ids, STREAMS, STEPS), updates)):
        h = network.initial_state(STREAMS) if first else h
        L, h = gradient(network.one_hot(xs), ys, h)
        tg.optim.clip_grad_norm(parameters, LARGEST_GRADIENT)
        optimizer.lr = LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * n / updates))
        optimizer.step()
        optimizer.zero_grad()
        yield L.item() / len(xs)


def enough_updates(corpus: Corpus, at_most: int) -> int:
    """The number of updates that reads the text `ROUNDS` times, but not more than `at_most`."""
    per_round = math.ceil((len(corpus.train) - 1) // STREAMS / STEPS)
    return min(at_most, ROUNDS * per_round)


def held_out_loss(network: Network, corpus: Corpus) -> float:
    """The mean of −log p over all held-out characters, each predicted once, in nats.

    The held-out text is read as streams side by side, of some length, since each begins at h_0 = 0
    and its first characters are hard to predict. Where two streams overlap, the later one counts.
    """
    ids = np.append(corpus.train[-1:], corpus.held_out)
    N = len(corpus.held_out)
    B = max(1, min(STREAMS, N // 1000))
    length = math.ceil(N / B)
    starts = np.linspace(0, N - length, B).round().astype(int)
    losses = np.empty(N)
    h: Any = network.initial_state(B)
    with tg.no_grad():
        for at in starts + np.arange(length)[:, None]:
            h, y_hat = network.step(network.one_hot(ids[at]), h)
            losses[at] = tg.cross_entropy(y_hat, ids[at + 1], reduction="none").data
    return float(losses.mean())


def yardsticks(corpus: Corpus) -> list[tuple[str, float | None, float]]:
    """The losses to beat, of models that count: (name, k, nats), over the same characters."""
    K = len(corpus.vocabulary)
    rows: list[tuple[str, float | None, float]] = []
    for n, name in enumerate(("uniform", "unigram", "bigram", "trigram")):
        k = best_k(corpus.train, n, K)
        loss = ngram_loss(corpus.train, corpus.held_out, n, K, k)
        rows.append((name, k if n else None, loss))
    return rows


def write_on(
    network: Network,
    vocabulary: Vocabulary,
    prefix: str,
    length: int,
    temperature: float,
    seed: int,
) -> str:
    """A text that the network writes: the prefix, then `length` characters of its own."""

    def step(c: int, h: Any) -> tuple[Array, Any]:
        with tg.no_grad():
            h, y_hat = network.step(network.one_hot([c]), h)
        return y_hat.data[0], h

    read = vocabulary.encode(prefix)
    rng = np.random.default_rng(seed)
    written = generate(step, network.initial_state(1), read, temperature, rng)
    return vocabulary.decode([*read, *islice(written, length)])


# ------------------------------------------------------------------------------------ the gradient


@dataclass(frozen=True)
class FourSteps:
    """Four steps of a network, and their gradient found in two ways."""

    text: str  # five characters: x_1, then y_1 = x_2 … y_3 = x_4, then y_4
    loss: float  # L, in nats
    by_backward: dict[str, Array]
    by_hand: dict[str, Array]
    pictures: dict[str, Picture]  # unrolled, and folded

    def differences(self) -> dict[str, float]:
        """The largest difference between the two, for each parameter."""
        return {
            name: float(np.abs(self.by_backward[name] - self.by_hand[name]).max())
            for name in ("U", "W", "V", "b_h", "b_y")
        }

    def agree(self) -> bool:
        """Whether the two are the same, up to rounding."""
        return all(difference < EXACT for difference in self.differences().values())


def four_steps(network: Network, corpus: Corpus) -> FourSteps:
    """The first four steps of the held-out text, in float64, by `backward()` and by hand."""
    network, h = _before_the_held_out_text(network, corpus)
    ids = corpus.held_out[:5, None]  # B = 1
    x, y = network.one_hot(ids[:-1]), tg.tensor(ids[1:], name="y")

    L, _ = network.forward(x, y, h)
    # Now: backward() releases the recording.
    pictures = {"unrolled": tg.draw(L), "folded": tg.draw(L, folded=True)}
    L.backward()
    named = network.named_parameters()
    by_backward = {name: p.grad.data for name, p in named if p.grad is not None}

    loss, gradients = by_hand.backward(x.data, y.data, h.data, **network.arrays())
    text = corpus.vocabulary.decode(ids[:, 0])
    return FourSteps(text, loss, by_backward, gradients, pictures)


def _before_the_held_out_text(network: Network, corpus: Corpus) -> tuple[Network, tg.Tensor]:
    """The network in float64, and its state after the last characters before the held-out text."""
    network = Network(**{name: a.astype(np.float64) for name, a in network.arrays().items()})
    h = network.initial_state(1)
    with tg.no_grad():
        for c in corpus.train[-WARM_UP:]:
            h, _ = network.step(network.one_hot([c]), h)
    return network, tg.tensor(h, name="h")


# -------------------------------------------------------------------- the gradient, step by step


@dataclass(frozen=True)
class EachStep:
    """What each of T steps contributed to the gradients, and how far back in time they reach.

    Step t reads text[t-1], predicts text[t] and has the loss L_t. Index 0 is step 1.
    """

    text: str  # T + 1 characters
    warm_up: int  # characters read before
    losses: Array  # (T,): L_t, in nats
    terms: dict[str, Array]  # of dL/dU, dL/dW, dL/dV, each (T, T): ‖C[t, k]‖ of loss t and use k
    contributions: Array  # (T,): the norm of what the use of W in step k contributes to dL/dW
    gradient: float  # ‖dL/dW‖
    difference: float  # the largest between a sum of contributions and the gradient by backward()
    products: dict[int, Array]  # by t − k: the norms ‖∂h_t/∂h_k‖
    rate: float  # per step, of the straight line fitted to log ‖∂h_t/∂h_k‖ against t − k
    start: float  # where that line begins, at t − k = 0
    bound: float  # γ σ_max(W), the most by which one step can multiply a gradient

    def shape(self, name: str) -> str:
        """Where the terms are that are not 0: "diagonal", "triangle" or "square"."""
        t, k = np.nonzero(self.terms[name])
        return "diagonal" if (t == k).all() else "triangle" if (t >= k).all() else "square"

    def typical(self, lag: int) -> float:
        """The geometric mean of ‖∂h_t/∂h_k‖ over all t − k = lag."""
        with np.errstate(divide="ignore"):
            return float(np.exp(np.log(self.products[lag]).mean()))


def each_step(network: Network, corpus: Corpus) -> EachStep:
    """The first steps of the held-out text, in float64: the terms that the gradient is a sum of."""
    network, h = _before_the_held_out_text(network, corpus)
    ids = corpus.held_out[: STRETCH + 1]
    if len(ids) < 2:
        raise ValueError(f"each_step: two held-out characters make a step, not {len(ids)}")
    h = tg.tensor(h, name="h", requires_grad=True)
    states, losses = [h], []
    for _t, x, y in tg.steps(network.one_hot(ids[:-1, None]), ids[1:, None]):  # B = 1
        h, y_hat = network.step(x, h)
        states.append(h)
        losses.append(tg.cross_entropy(y_hat, y))
    L = tg.add_n(losses)

    parameters = {"U": network.U, "W": network.W, "V": network.V}
    terms = {name: triangle(losses, p).norms for name, p in parameters.items()}
    uses = {name: contributions(L, p) for name, p in parameters.items()}
    products, rate, start = _decay(states)

    L.backward()
    gradients = {name: p.grad.data for name, p in parameters.items() if p.grad is not None}
    differences = [np.abs(uses[name].total - g).max() for name, g in gradients.items()]
    return EachStep(
        text=corpus.vocabulary.decode(ids),
        warm_up=min(WARM_UP, len(corpus.train)),
        losses=np.array([L_t.item() for L_t in losses]),
        terms=terms,
        contributions=np.array([use.norm for use in uses["W"]]),
        gradient=float(np.linalg.norm(gradients["W"])),
        difference=float(max(differences)),
        products=products,
        rate=rate,
        start=start,
        bound=bound(network.W),
    )


def _decay(states: list[tg.Tensor]) -> tuple[dict[int, Array], float, float]:
    """The norms ‖∂h_t/∂h_k‖ by t − k; rate and start of the straight line through their logarithms.

    The time goes as T² H³. With more units than `ALL_PAIRS`, it is every second state, or every
    third, …, that is looked at, so that it grows no faster than H.
    """
    stride = min(math.ceil(states[0].size / ALL_PAIRS), len(states) - 1)
    found = jacobians(states[::stride])
    logs = found.log_norms()
    by_lag = {n * stride: np.diagonal(logs, -n) for n in range(1, len(logs))}
    products = {lag: np.exp(line) for lag, line in by_lag.items()}
    points = [(lag, y) for lag, line in by_lag.items() for y in line[np.isfinite(line)]]
    if not points:  # every product is 0
        return products, 0.0, 0.0
    rate = found.rate() ** (1 / stride)
    lag, y = np.mean(points, axis=0)  # which the line of least squares goes through
    return products, rate, math.exp(y - lag * math.log(rate))
