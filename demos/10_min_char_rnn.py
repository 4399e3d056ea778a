"""Does a recurrent network of a hundred units predict text better than counting does? min-char-rnn.

Karpathy's program of a hundred lines, its equations and all its settings: 100 hidden units, weights
from N(0, 0.01²), one stream of text, 25 characters per update, the state carried over, gradients
clipped to ±5 element by element, and Adagrad at 0.1. There the gradient is written by hand; here it
is `L.backward()`, and the training step runs as the program that `tg.compile` derives of it.

The last tenth of the text is held out. The exact trigram model (counts, plus the best small number)
has to be beaten there. At a steady rate the network gets there sooner or later, depending on where
it started. So a fifth as many updates follow, in which the rate falls to 0; min-char-rnn has none.

Source: A. Karpathy, min-char-rnn.py (gist d4dee566867f8291f086), with "The Unreasonable
Effectiveness of Recurrent Neural Networks", 2015. It prints a smoothed loss of 25 characters, which
starts at 25 ln K for K different ones; no curve of it was published. So the same was written once
more, by hand in NumPy, and run on tiny Shakespeare; if that is the text, what it printed is set
beside the numbers here. (Its K is 65: it has no class for characters never seen.) A run that was
reported elsewhere, on a text by Shakespeare with as many different characters, had 54.97 after
22,600 updates and 44.43 after 997,100.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from _show import COLOURS, DASHES, Demo, apart, figure

import tinygrad_rnn as tg
from tinygrad_rnn import text
from tinygrad_rnn.bptt import by_hand
from tinygrad_rnn.progress import Progress

Array = npt.NDArray[Any]

H, T = 100, 25
LR, LARGEST = 0.1, 5.0
MARKS = (0, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
TINY_SHAKESPEARE = 1_115_394  # characters
BY_HAND = {  # what a program in NumPy alone printed there, from three starts
    0: (104.36, 104.36, 104.36),
    1000: (85.36, 85.51, 90.67),
    2000: (70.05, 70.51, 73.63),
    5000: (55.60, 57.10, 56.38),
    10_000: (51.37, 54.44, 54.84),
    20_000: (49.88, 53.08, 52.41),
}


# ------------------------------------------------------------------------------------ the network


class Network(tg.nn.Module):
    """h_t = tanh(x_t V + h_{t-1} W + b_h), ŷ_t = h_t U + b_y, with x_t one-hot: a row of V."""

    def __init__(self, K: int, rng: np.random.Generator, dtype: Any = np.float32) -> None:
        def normal(*shape: int) -> Array:
            return (0.01 * rng.standard_normal(shape)).astype(dtype)

        self.V = tg.Parameter(normal(K, H))
        self.W = tg.Parameter(normal(H, H))
        self.U = tg.Parameter(normal(H, K))
        self.b_h = tg.Parameter(np.zeros(H, dtype))
        self.b_y = tg.Parameter(np.zeros(K, dtype))

    def step(self, c: Any, h: Any) -> tuple[Any, Any]:
        """Characters (B,) and h_{t-1} (B, H) to h_t and ŷ_t (B, K)."""
        h = np.tanh(tg.embedding(self.V, c) + h @ self.W + self.b_h)
        y_hat = h @ self.U + self.b_y
        return h, y_hat

    def forward(self, xs: Any, ys: Any, h: Any) -> tuple[tg.Tensor, tg.Tensor]:
        """xs (T, B), ys (T, B) and h_0 to L = Σ_t L_t, in nats, and h_T."""
        losses = []
        for _t, x, y in tg.steps(xs, ys):
            h, y_hat = self.step(x, h)
            losses.append(tg.cross_entropy(y_hat, y))
        return tg.add_n(losses), h

    def initial_state(self) -> Array:
        return np.zeros((1, H), self.W.dtype)


def step_of(network: Network) -> Callable[..., tuple[tg.Tensor, tg.Tensor]]:
    def training_step(xs: Any, ys: Any, h: Any) -> tuple[tg.Tensor, tg.Tensor]:
        L, h = network(xs, ys, h)
        L.backward()
        return L, h.detach()

    return training_step


def train(
    network: Network, ids: Array, steady: int, cooling: int
) -> Iterator[tuple[float, tg.Tensor]]:
    """Yields after each update L, the loss of 25 characters before it, and the state.

    steady: so many updates at Adagrad's 0.1, as min-char-rnn has them. cooling: as many more, in
    which it falls to 0 along half a cosine.
    """
    step = tg.compile(step_of(network))
    parameters = network.parameters()
    optimizer = tg.optim.Adagrad(parameters, LR)
    h: Any = None
    chunks = islice(text.walk(whole_chunks(ids), 1, T), steady + cooling)
    for n, (first, xs, ys) in enumerate(chunks):
        L, h = step(xs, ys, network.initial_state() if first else h)
        if n >= steady:
            optimizer.lr = LR * tg.optim.cosine(n - steady, cooling)
        tg.optim.clip_grad_value(parameters, LARGEST)
        optimizer.step()
        optimizer.zero_grad()
        yield L.item(), h


def whole_chunks(ids: Array) -> Array:
    """Without the last characters, that are fewer than 25."""
    return ids[: (len(ids) - 1) // T * T + 1]


def three_ways(demo: Demo, network: Network, ids: Array, updates: int) -> None:
    """Loss and gradient at each of the first updates: derived, recorded and by hand."""
    named = dict(network.named_parameters())
    weights = {name: p.data for name, p in named.items()}  # they move in place
    recorded = step_of(network)
    derived = tg.compile(recorded)
    optimizer = tg.optim.Adagrad(named.values(), LR)

    def of(step: Callable[..., Any], *data: Any) -> tuple[dict[str, Array], Any]:
        optimizer.zero_grad()
        L, h = step(*data)
        return {"L": L.data, **{name: p.grad.data.copy() for name, p in named.items()}}, h

    h: Any = None
    worst = dict.fromkeys(("recorded", "by hand"), 0.0)
    for first, xs, ys in islice(text.walk(whole_chunks(ids), 1, T), updates):
        h = network.initial_state() if first else h.numpy()
        L, g = by_hand.backward(np.eye(len(network.V))[xs], ys, h, **weights)
        others = {"recorded": of(recorded, xs, ys, h)[0], "by hand": {"L": np.array(L), **g}}
        found, h = of(derived, xs, ys, h)
        for way, other in others.items():
            differences = (apart(found[name], other[name]) for name in found)
            worst[way] = max(worst[way], *differences)
        tg.optim.clip_grad_value(named.values(), LARGEST)
        optimizer.step()
    demo.heading("The same loss and gradient, before each of the first updates")
    demo.say(
        f"From the derived program (tg.compile) those of backward() differ by at most "
        f"{worst['recorded']:.1e}, and those of BPTT by hand by at most {worst['by hand']:.1e}, in "
        f"{updates} updates in float64. (They are compared at the same weights. Two trainings that "
        "differ by rounding alone part after some ten updates: Adagrad's first step moves every "
        "weight by 0.1, ten times what it was, and for a while the loss jumps about.)"
    )


# --------------------------------------------------------------------------------------- the text


def corpus_of(path: Path | None) -> text.Corpus:
    """Python's language reference, or a file, which may end in .gz."""
    if path is None:
        return text.split(text.language_reference(), "Python's language reference")
    return text.split(text.read(path), str(path))


def held_out_loss(predict: Callable[..., Any], corpus: text.Corpus, h: Any) -> float:
    """Nats per character, each predicted once, from the state that training is in.

    From h_0 = 0 a network may settle in states in which it was never trained.
    """
    ids, total = np.append(corpus.train[-1:], corpus.held_out), 0.0
    with tg.no_grad():
        for at in range(0, len(ids) - 1, 500):
            y = ids[at + 1 : at + 501, None]
            L, h = predict(ids[at : at + len(y), None], y, h)
            total += L.item()
    return total / (len(ids) - 1)


def counting(corpus: text.Corpus) -> dict[str, float]:
    """The losses of exact n-gram models on the held-out text, in nats per character."""
    K, found = len(corpus.vocabulary), {}
    for n, name in enumerate(("uniform", "unigram", "bigram", "trigram")):
        k = text.best_k(corpus.train, n, K)
        found[name] = text.ngram_loss(corpus.train, corpus.held_out, n, K, k)
    return found


def write(network: Network, corpus: text.Corpus, seed: int) -> str:
    """What it writes after a line's end, on one line."""

    def step(c: int, h: Any) -> tuple[Array, Any]:
        with tg.no_grad():
            h, y_hat = network.step(np.array([c]), h)
        return y_hat.data[0], h

    start, rng = corpus.vocabulary.encode("\n"), np.random.default_rng(seed)
    written = text.generate(step, network.initial_state(), start, 1.0, rng)
    return " ".join(corpus.vocabulary.decode(islice(written, 300)).split())


# ------------------------------------------------------------------------------------- the picture


def plot(smoothed: Array, held_out: dict[int, float], exact: dict[str, float], tiny: bool) -> Any:
    fig = figure(7.4, 3.8)
    ax = fig.subplots()
    at = np.unique(np.geomspace(1, len(smoothed), 600).astype(int))
    ax.plot(at, smoothed[at - 1] / T, color=COLOURS[0], label="training, smoothed")
    marks = [n for n in held_out if n]
    ax.plot(marks, [held_out[n] for n in marks], "o", color=COLOURS[1], label="held out")
    if tiny:
        at = [n for n in BY_HAND if 0 < n <= len(smoothed)]
        for start, label in enumerate(("by hand in NumPy", None, None)):
            theirs = [BY_HAND[n][start] / T for n in at]
            ax.plot(at, theirs, "x", color="black", label=label)
    lines = [name for name in exact if name != "uniform"]
    for name, dashes in zip(lines, DASHES[1:], strict=True):
        ax.axhline(exact[name], color="0.5", linestyle=dashes, linewidth=1)
        ax.annotate(
            f"{name}, held out", (1, exact[name]), xytext=(2, 2), textcoords="offset points",
            fontsize=8,
        )  # fmt: skip
    ax.set_xscale("log")
    ax.set_xlabel("update")
    ax.set_ylabel("nats per character")
    ax.legend(frameon=False, loc="upper right")
    return fig


def main() -> None:
    def add(parser: Any) -> None:
        parser.add_argument(
            "text", type=Path, nargs="?", metavar="FILE",
            help="a text, plain or .gz (default: Python's language reference)",
        )  # fmt: skip
        parser.add_argument(
            "--updates", type=int, default=100_000,
            help="at a steady rate, before a fifth as many at a falling one (default: 100000)",
        )  # fmt: skip
        parser.add_argument("--seed", type=int, default=0, help="default: 0")

    demo = Demo(__file__, __doc__, add)
    try:
        corpus = corpus_of(demo.options.text)
    except text.TextError as error:
        sys.exit(str(error))
    steady = 2000 if demo.quick else demo.options.updates
    cooling = steady // 5
    updates = steady + cooling
    K, N = len(corpus.vocabulary), len(corpus.train)
    demo.say(
        f"Text: {corpus.name}, {N:,} characters to learn from and {len(corpus.held_out):,} held "
        f"out, K = {K} with one for all others. {updates:,} updates read it "
        f"{updates * T / N:.1f} times; in the last {cooling:,} the rate falls."
    )

    def at_random(dtype: Any = np.float32) -> Network:
        return Network(K, np.random.default_rng(demo.options.seed), dtype)

    three_ways(demo, at_random(np.float64), corpus.train, 100)

    network = at_random()
    predict = tg.compile(network.forward)
    loss = T * math.log(K)
    smoothed = np.empty(updates)
    held_out = {0: held_out_loss(predict, corpus, network.initial_state())}
    at_marks = {0: loss}
    with Progress("training", updates, "characters", sys.stderr) as progress:
        for n, (L, h) in enumerate(train(network, corpus.train, steady, cooling), 1):
            loss = smoothed[n - 1] = 0.999 * loss + 0.001 * L
            progress.show(n, n * T, f"loss {loss:.2f}")
            if (n in MARKS and n < steady) or n in (steady, updates):
                at_marks[n], held_out[n] = loss, held_out_loss(predict, corpus, h)

    tiny = N + len(corpus.held_out) == TINY_SHAKESPEARE
    demo.heading("The loss as min-char-rnn prints it, smoothed, of 25 characters; in nats")
    rows = [["update", "here", "per character", "held out, per character"]]
    rows += [
        [f"{n:,}", f"{at_marks[n]:.2f}", f"{at_marks[n] / T:.3f}", f"{held_out[n]:.3f}"]
        for n in at_marks
    ]
    if tiny:
        found = [BY_HAND.get(n) for n in at_marks]
        theirs = [f"{min(x):.2f} … {max(x):.2f}" if x else "–" for x in found]
        rows = [[*row, cell] for row, cell in zip(rows, ["by hand", *theirs], strict=True)]
    demo.table(rows)
    demo.say(f"It starts at 25 ln K = {T * math.log(K):.2f}.")

    exact = counting(corpus)
    demo.heading("On the held-out text, nats per character")
    rows = [[name, f"{exact[name]:.3f}"] for name in exact]
    rows.append(["this network, at a steady rate", f"{held_out[steady]:.3f}"])
    demo.table([*rows, ["and at the end", f"{held_out[updates]:.3f}"]])
    better = exact["trigram"] - held_out[updates]
    demo.say(
        f"In the end the network is {abs(better):.3f} nats per character "
        f"{'below' if better > 0 else 'above'} the trigram model."
    )
    demo.heading("It writes, each character drawn and read again:")
    demo.say(f"“{write(network, corpus, demo.options.seed)}”")
    demo.plot("min_char_rnn.png", lambda: plot(smoothed, held_out, exact, tiny))
    demo.end()


if __name__ == "__main__":
    main()
