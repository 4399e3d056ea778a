"""What is said about a study: tables for a terminal, and a report in Markdown.

It turns findings into text. It computes nothing, prints nothing and opens no file.
"""

from __future__ import annotations

import math
import re
import textwrap
from dataclasses import dataclass
from itertools import pairwise

from ..text import Corpus
from .network import EXACT, STEPS, STREAMS, FourSteps, Network

EQUATIONS = """\
h_t = tanh(x_t V + h_{t-1} W + b_h)
ŷ_t = h_t U + b_y
L_t = -log softmax(ŷ_t)[y_t]        L = Σ_t L_t"""


@dataclass(frozen=True)
class Findings:
    """What a study found. Losses are in nats per character."""

    corpus: Corpus
    network: Network
    seed: int
    updates: int
    planned: int  # updates; more than were done if the training was interrupted
    training_loss: float
    losses: list[tuple[str, float | None, float]]  # name, k, held-out loss; the network is the last
    prefix: str
    temperature: float
    sample: str
    four: FourSteps


def about_text(corpus: Corpus) -> str:
    """The text, in words."""
    N, M = len(corpus.train), len(corpus.held_out)
    return (
        f"{corpus.name}, {N + M:,} characters: the first {N:,} to learn from, "
        f"{len(corpus.vocabulary.characters)} different ones, and the last {M:,} held out"
    )


def about_network(network: Network) -> str:
    """The network, in words."""
    count = sum(parameter.size for parameter in network.parameters())
    return f"a simple recurrent one with {len(network.W)} hidden units, {count:,} parameters"


def about_training(updates: int, planned: int, loss: float) -> str:
    """The training, in words."""
    done = f"{updates:,} updates" if updates == planned else f"{updates:,} of {planned:,} updates"
    return (
        f"{done} on {STREAMS} streams of text, {STEPS} steps each; "
        f"{loss:.3f} nats per character at the end"
    )


def loss_table(losses: list[tuple[str, float | None, float]]) -> list[list[str]]:
    """The rows of the table of held-out losses, its head first."""
    rows = [["model", "add-k", "nats/char", "bits/char"]]
    for name, k, loss in losses:
        added = "" if k is None else f"{k:g}"
        rows.append([name, added, f"{loss:.3f}", f"{loss / math.log(2):.3f}"])
    return rows


def gradient_table(four: FourSteps) -> list[list[str]]:
    """The rows of the table of gradients, its head first."""
    rows = [["gradient", "shape", "largest element", "largest difference"]]
    for name, difference in four.differences().items():
        g = four.by_backward[name]
        shape = "×".join(map(str, g.shape))
        rows.append([f"dL/d{name}", shape, f"{abs(g).max():.2e}", f"{difference:.2e}"])
    return rows


def verdict(four: FourSteps) -> str:
    """Whether the two gradients are the same."""
    largest = f"{max(four.differences().values()):.1e}"
    if four.agree():
        return (
            f"The largest difference is {largest}, below {EXACT:g}: they are equal up to rounding."
        )
    return f"THEY DIFFER: the largest difference is {largest}; it should be below {EXACT:g}."


def sentence(words: str) -> str:
    """A sentence for a terminal, in lines."""
    return textwrap.fill(words, 78, subsequent_indent="  ", break_on_hyphens=False)


def quoted(sample: str, width: int = 76) -> str:
    """A text as it is, but for control characters, and indented; long lines are broken."""
    shown = (c if c.isprintable() or c == "\n" else "�" for c in sample.expandtabs())
    lines = []
    for line in "".join(shown).split("\n"):
        lines += textwrap.wrap(line, width, drop_whitespace=False, break_on_hyphens=False) or [""]
    return textwrap.indent("\n".join(lines), "    ")


def markdown(found: Findings, command: str, picture: str | None, remedy: str = "") -> str:
    """The report.

    command: what was typed.
    picture: the file name of the picture; None if there is none, and `remedy` says how to get it.
    """
    four = found.four
    stopped = (
        f"**Interrupted** after {found.updates:,} of {found.planned:,} updates. "
        "All of this is about what was learned until then.\n\n"
        if found.updates < found.planned
        else ""
    )
    shown = (
        f"![Four time steps of the network, unrolled]({picture})"
        if picture
        else f"There is no picture, but its text, [unrolled.dot](unrolled.dot): {_plain(remedy)}"
    )
    pairs = ", ".join(f"{x!r} → {y!r}" for x, y in pairwise(four.text))
    given = len(found.prefix)
    return f"""\
# A recurrent network, its gradient and its picture

{stopped}The text is {_plain(about_text(found.corpus))}.

The network is {about_network(found.network)}. It reads a character, one-hot, and predicts the next:

{textwrap.indent(EQUATIONS, "    ")}

Training: {about_training(found.updates, found.planned, found.training_loss)}; seed {found.seed}.

## How well it predicts

The loss on the held-out characters, against n-gram models. Each predicts the same characters over
the same {len(found.corpus.vocabulary)} classes: the characters learned from, and one class for all
others. An n-gram model adds k to its counts; k was chosen on the last tenth of the text to learn
from.

{_table(loss_table(found.losses))}

## What it writes

Each output is drawn at temperature {found.temperature:g} and fed back as the next input. The first
{given} characters were given.

{quoted(found.sample)}

## Its gradient, found twice

Four steps of the trained network on the held-out text, in float64: {_code(pairs)}.
Generic `backward()`, which knows nothing of time, against the lecture's derivation of BPTT, written
by hand:

{_table(gradient_table(four))}

{verdict(four)}

## Its picture

{shown}

Time runs to the right. Column t reads the character x_t, turns the state h_{{t-1}} into h_t,
predicts ŷ_t and has the loss L_t. A box at the left is a parameter: one array, its shape, and how
often it is used. Since it is *one*, its gradient is the sum over its uses, one for each step. Where
the heavy line enters, a step reads the state of the one before. Back along it, from h_4 to h_1,
runs backpropagation *through time*; U and b_y need only the ways down.

## Again

The same command gives the same report:

    {command}

The network is in `network.npz`: `numpy.load` gives V, W, U, b_h, b_y and the characters.
"""


def _table(rows: list[list[str]]) -> str:
    """A table in Markdown."""
    head, *body = ([f" {cell} " for cell in row] for row in rows)
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("|" + "|".join(row) + "|" for row in [head, rule, *body])


def _plain(text: str) -> str:
    """Text in which nothing is markup."""
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    """Text as inline code, whatever is in it."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"
