"""Does a recurrent network find out what can be predicted, and what cannot? Elman's letters.

A thousand consonants b, d and g in random order; then each is replaced: b by ba, d by dii, g by
guuu. A simple recurrent network reads the letters, as six bits each, and predicts the next one.
Which consonant comes next, nobody can know; which vowels follow it, and how many, it can learn.

Published: Elman 1990, "Finding structure in time", Cognitive Science 14, figures 4 and 5: the error
is large at the consonants and small at the vowels, and even of a consonant the bits that all three
share are predicted. The figures have no table. What is best possible follows from the codes: at a
consonant two bits are 1 with probability 1/3, so that the error is √(2/9) for these two, √(2/27) =
0.2722 over all six, and 0 at the vowels. With 20 units, Adam at 0.003, ten streams and chunks of 50
steps, others have reached 0.273 to 0.278 and 0.017 to 0.019.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from _elman import B, T, step_of
from _show import COLOURS, Demo, compiled_or_not, figure

import tinygrad_rnn as tg
from tinygrad_rnn.progress import Progress
from tinygrad_rnn.text import walk

Array = npt.NDArray[Any]

SYLLABLES = {"b": "ba", "d": "dii", "g": "guuu"}
BITS = ("consonant", "vowel", "interrupted", "high", "back", "voiced")
CODES = {
    "b": "101001", "d": "101101", "g": "101011", "a": "010011", "i": "010101", "u": "010111"
}  # fmt: skip
LETTERS = "".join(CODES)
CODE = np.array([[int(bit) for bit in code] for code in CODES.values()], float)  # (6, 6)
CONSONANTS, BEST = 3, np.sqrt(2 / 27)  # the first three letters; at one of them
H = 20


def letters(count: int, rng: np.random.Generator) -> Array:
    """So many consonants with their vowels, as places in LETTERS."""
    consonants = rng.choice(list(SYLLABLES), count)
    return np.array([LETTERS.index(c) for c in "".join(SYLLABLES[c] for c in consonants)])


class Network(tg.nn.Module):
    """h_t = tanh(x_t V + h_{t-1} W + b_h), ŷ_t = h_t U + b_y, L_t = |ŷ_t − y_t|²."""

    def __init__(self, rng: np.random.Generator) -> None:
        def normal(*shape: int) -> Array:
            return rng.standard_normal(shape) / np.sqrt(H)

        self.V = tg.Parameter(normal(6, H))
        self.W = tg.Parameter(normal(H, H))
        self.b_h = tg.Parameter(np.zeros(H))
        self.U = tg.Parameter(normal(H, 6))
        self.b_y = tg.Parameter(np.zeros(6))

    def forward(self, xs: Any, h: Any) -> tuple[list[tg.Tensor], tg.Tensor]:
        """xs (T, B, 6) and h_0 (B, H) to ŷ_1 … ŷ_T and h_T."""
        predictions = []
        for _t, x in tg.steps(xs):
            h = np.tanh(x @ self.V + h @ self.W + self.b_h)
            y_hat = h @ self.U + self.b_y
            predictions.append(y_hat)
        return predictions, h


def train(
    network: Network, ids: Array, updates: int, through: Callable[..., Any] = tg.compile
) -> list[float]:
    """Ten streams, in chunks of 50 steps; the state is carried over. The losses per letter."""
    step = through(step_of(network))
    optimizer = tg.optim.Adam(network.parameters(), lr=0.003)
    zeros = h = np.zeros((B, H))
    losses = []
    for first, xs, ys in islice(walk(ids, B, T), updates):
        L, h = step(CODE[xs], CODE[ys], zeros if first else h)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(L.item() / len(xs))
    return losses


class Errors(NamedTuple):
    """Of each prediction of a sequence: the letter that came, and how far its bits were off."""

    came: Array  # (T,)
    bits: Array  # (T, 6)

    def rms(self, consonants: bool) -> float:
        """Over all six bits, at the consonants or at the vowels."""
        return float(np.sqrt((self.bits[(self.came < CONSONANTS) == consonants] ** 2).mean()))

    def some(self, count: int) -> Errors:
        """So many steps, from the first consonant on."""
        start = int(np.argmax(self.came < CONSONANTS))
        return Errors(*(array[start : start + count] for array in self))

    def by_bit(self, letter: int) -> Array:
        """(6,): where this letter came."""
        return np.sqrt((self.bits[self.came == letter] ** 2).mean(axis=0))


def test(network: Network, ids: Array) -> Errors:
    """Read a sequence from h_0 = 0."""
    with tg.no_grad():
        predictions, _ = network(CODE[ids[:-1], None], np.zeros((1, H)))
    return Errors(ids[1:], np.concatenate([y_hat.data for y_hat in predictions]) - CODE[ids[1:]])


def as_a_figure(demo: Demo, errors: Errors) -> None:
    """Elman's figure 4, in characters: the error in each step, above the letter that came."""
    demo.heading("The error in each step, over six bits, and the letter that came (figure 4)")
    steps = np.sqrt((errors.bits**2).mean(axis=1))
    for level in (0.30, 0.24, 0.18, 0.12, 0.06):
        line = "".join("█" if e > level - 0.03 else " " for e in steps)
        demo.show(f"{level:.2f} {line}".rstrip())
    demo.show("     " + "".join(LETTERS[c] for c in errors.came))


def plot(errors: Errors) -> Any:
    """Elman's figures 4 and 5: over all bits, and for two of them."""
    fig = figure(8.6, 5.2)
    axes = fig.subplots(3, 1, sharex=True)
    came, bits = errors
    lines = {
        "all six bits": np.sqrt((bits**2).mean(axis=1)),
        "“consonant”": np.abs(bits[:, BITS.index("consonant")]),
        "“high”": np.abs(bits[:, BITS.index("high")]),
    }
    at = np.arange(len(came))
    for ax, (name, line), colour in zip(axes, lines.items(), COLOURS, strict=False):
        ax.plot(at, line, "-o", color=colour, linewidth=1.2, markersize=3)
        ax.set_ylabel(f"error,\n{name}")
        ax.set_ylim(0, 1.15 * max(line.max(), 0.4))
        for t in at[came < CONSONANTS]:
            ax.axvline(t, color="0.9", linewidth=4, zorder=0)
    best = "best possible: root mean square over the consonants"
    axes[0].axhline(BEST, color="0.4", linewidth=0.8, linestyle=":", label=best)
    axes[0].legend(frameon=False, loc="upper right")
    axes[-1].set_xticks(at, [LETTERS[c] for c in came])
    axes[-1].set_xlabel("the letter that came; consonants are shaded")
    return fig


def main() -> None:
    demo = Demo(__file__, __doc__)
    passes, seeds = (100, 1) if demo.quick else (200, 3)
    demo.say(
        f"{H} hidden units, {passes} passes over the sequence (as many as Elman: 200), then a new "
        "sequence of as many consonants."
    )
    ids = letters(1000, np.random.default_rng(0))
    compiled_or_not(
        demo, lambda through: train(Network(np.random.default_rng(0)), ids, 20, through)
    )
    found = []
    with Progress("training", seeds, "networks", sys.stderr) as progress:
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            known, new = letters(1000, rng), letters(1000, rng)
            network = Network(rng)
            chunks = -(-((len(known) - 1) // B) // T)
            losses = train(network, known, passes * chunks)
            found.append(test(network, new))
            progress.show(seed + 1, seed + 1, f"loss {losses[-1]:.3f}")

    as_a_figure(demo, found[0].some(75))
    demo.heading("Root mean square errors at the letters that came, bit by bit (figure 5)")
    rows = [["", *BITS, "all six"]]
    for letter in range(len(LETTERS)):
        by_bit = found[0].by_bit(letter)
        cells = [f"{e:.3f}" for e in (*by_bit, np.sqrt((by_bit**2).mean()))]
        rows.append([LETTERS[letter], *cells])
    demo.table(rows)
    demo.say(
        "Of a consonant it is known that it comes, hence “consonant”, “vowel”, “interrupted” and "
        "“voiced”; “high” and “back” tell b, d and g apart, and cannot be known."
    )
    demo.heading("Root mean square errors over all six bits, each seed on a new sequence")
    rows = [["", "best possible", "reached elsewhere", *(f"seed {s}" for s in range(seeds))]]
    for name, consonants, best, elsewhere in (
        ("consonants", True, f"{BEST:.4f}", "0.273 … 0.278"),
        ("vowels", False, "0", "0.017 … 0.019"),
    ):
        rows.append([name, best, elsewhere, *(f"{e.rms(consonants):.4f}" for e in found)])
    demo.table(rows)
    demo.say(
        "What differs: Elman's units are logistic, and his gradient goes back one step, since his "
        "context is an input like any other. Here hidden units are tanh, outputs are linear, and "
        "the gradient goes back to the start of the chunk."
    )
    demo.plot("letters.png", lambda: plot(found[0].some(60)))
    demo.end()


if __name__ == "__main__":
    main()
