"""What is said about a study: tables for a terminal, and a report in Markdown.

It turns findings into text. It computes nothing, prints nothing and opens no file.
"""

from __future__ import annotations

import math
import re
import textwrap
import unicodedata
from dataclasses import dataclass
from itertools import pairwise

from ..tables import columns, heat_map
from ..text import Corpus
from .network import EXACT, STEPS, STREAMS, EachStep, FourSteps, Network

EQUATIONS = """\
h_t = tanh(x_t V + h_{t-1} W + b_h)
ŷ_t = h_t U + b_y
L_t = -log softmax(ŷ_t)[y_t]        L = Σ_t L_t"""
SYMBOLS = {" ": "␣", "\n": "⏎", "\t": "⇥"}
MEANING = {"␣": "a space", "⏎": "the end of a line", "⇥": "a tab", "\ufffd": "any other character"}


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
    each: EachStep


def about_text(corpus: Corpus) -> str:
    """The text, in words."""
    N, M = len(corpus.train), len(corpus.held_out)
    return (
        f"{corpus.name}, {N + M:,} characters: the first {N:,} to learn from, "
        f"{len(corpus.vocabulary.tokens)} different ones, and the last {M:,} held out"
    )


def about_network(network: Network) -> str:
    """The network, in words."""
    count = sum(parameter.size for parameter in network.parameters())
    return f"a simple recurrent one with {len(network.W)} hidden units, {count:,} parameters"


def about_training(updates: int, planned: int, loss: float) -> str:
    """The training, in words."""
    done = f"{updates:,} updates" if updates == planned else f"{updates:,} of {planned:,} updates"
    return (
        f"{done} by Adam, on {STREAMS} places of the text side by side, {STEPS} characters each; "
        f"{loss:.3f} nats per character in the last 100 updates"
    )


def loss_table(losses: list[tuple[str, float | None, float]]) -> list[list[str]]:
    """The rows of the table of held-out losses, its head first."""
    rows = [["model", "α", "nats/char", "bits/char"]]
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


def visible(text: str) -> str:
    """A text on one line, every character of which can be seen."""
    return "".join(map(_symbol, text))


def _symbol(c: str) -> str:
    if c in SYMBOLS:
        return SYMBOLS[c]
    seen = c.isprintable() and unicodedata.category(c)[0] != "M"  # which would sit on another
    return c if seen else escaped(c)


def escaped(c: str) -> str:
    """A character as Python writes it in ASCII: \\u4e2d."""
    return c.encode("unicode_escape").decode("ascii")


def about_symbols(text: str) -> str:
    """What the symbols in a text that was made visible stand for, in words; or nothing."""
    return ", ".join(f"{c} is {words}" for c, words in MEANING.items() if c in visible(text))


def terms_as_text(each: EachStep, name: str) -> str:
    """‖C[t, k]‖ of a parameter as a heat map, with the characters that the steps read."""
    T = len(each.losses)
    head, *lines, legend = heat_map(each.terms[name], "t", "k").split("\n")
    left = head.index("k")
    read = visible(each.text[:-1])
    head = f"{head:{left + T}}   reads → predicts"
    if len(read) == T and not any(unicodedata.east_asian_width(c) in "WF" for c in read):
        head += f"\n{'':{left}}{read}"
    pairs = pairwise(map(visible, each.text))
    lines = [f"{line:{left + T}}   {x} → {y}" for line, (x, y) in zip(lines, pairs, strict=True)]
    return "\n".join([head, *lines, legend])


def bars_as_text(each: EachStep, width: int = 24) -> str:
    """What each use of W contributed, in columns, with bars."""
    rows = [["k", "L_k", "contribution"]]
    for k, (loss, size) in enumerate(zip(each.losses, each.contributions, strict=True), 1):
        rows.append([str(k), f"{loss:.2f}", f"{size:.3g}"])
    head, *lines = columns(rows).split("\n")
    unit = each.contributions.max() / width or 1.0
    bars = ["█" * round(size / unit) for size in each.contributions]
    pairs = pairwise(map(visible, each.text))
    shown = [
        f"{line}  {bar:{width}}  {x} → {y}"
        for line, bar, (x, y) in zip(lines, bars, pairs, strict=True)
    ]
    return "\n".join([head, *shown])


def decay_table(each: EachStep) -> list[list[str]]:
    """The rows of the table of the products of Jacobians, its head first."""
    rows = [["t − k", "smallest", "typical", "largest"]]
    lags = sorted(each.products)
    for lag in [lag for n, lag in enumerate(lags, 1) if n & (n - 1) == 0 or lag == lags[-1]]:
        norms = each.products[lag]
        numbers = norms.min(), each.typical(lag), norms.max()
        rows.append([str(lag), *(f"{x:.3g}" for x in numbers)])
    return rows


def about_reach(each: EachStep) -> str:
    """Through which uses the losses depend on the parameters, in a sentence."""
    reach: dict[str, list[str]] = {}
    for name in ("U", "W", "V"):
        reach.setdefault(each.shape(name), []).append(name)
    words = {
        "diagonal": "through its own step alone",
        "triangle": "through its own step and the steps before it",
        "square": "through later steps, too",
    }
    parts = [f"on {' and '.join(names)} {words[shape]}" for shape, names in reach.items()]
    return f"Loss t depends {', and '.join(parts)}."


def about_decay(each: EachStep) -> str:
    """How the products of Jacobians change with t − k, in a sentence."""
    lags = sorted(each.products)
    near, far = (f"{each.typical(lag):.3g}" for lag in (lags[0], lags[-1]))
    steps = "one step" if lags[0] == 1 else f"{lags[0]} steps"
    over = f"{near} over {steps}" + (f", {far} over {lags[-1]} (one pair)" if len(lags) > 1 else "")
    return (
        f"On the way from h_t back to h_k, a gradient is multiplied by ∂h_t/∂h_k, whose norm is "
        f"typically {over}: a factor of {each.rate:.2f} per step; the bound is {each.bound:.2f}."
    )


def quoted(sample: str, width: int = 76) -> str:
    """A text as it is, but for control characters, and indented; long lines are broken."""
    shown = (c if c.isprintable() or c == "\n" else "�" for c in sample.expandtabs())
    lines = []
    for line in "".join(shown).split("\n"):
        lines += textwrap.wrap(line, width, drop_whitespace=False, break_on_hyphens=False) or [""]
    return textwrap.indent("\n".join(lines), "    ")


def markdown(found: Findings, command: str, undrawn: str = "", unplotted: str = "") -> str:
    """The report.

    command: what was typed.
    undrawn: how to get the pictures of the four steps, if there are none.
    unplotted: how to get the plots, if there are none.
    """
    four = found.four
    stopped = (
        f"**Interrupted** after {found.updates:,} of {found.planned:,} updates. "
        "All of this is about what was learned until then.\n\n"
        if found.updates < found.planned
        else ""
    )
    unrolled, folded = (
        "![Four time steps of the network, unrolled](unrolled.png)",
        "![The network as its loop](folded.png)",
    )
    if undrawn:
        unrolled, folded = (
            "There are no pictures, but their text, [unrolled.dot](unrolled.dot) and "
            f"[folded.dot](folded.dot): {_plain(undrawn)}",
            "The text of this one is [folded.dot](folded.dot).",
        )
    pairs = ", ".join(f"{x!r} → {y!r}" for x, y in pairwise(four.text))
    given = len(found.prefix)
    return f"""\
# A recurrent network, its gradient and its pictures

{stopped}The text is {_plain(about_text(found.corpus))}.

The network is {about_network(found.network)}. It reads a character, one-hot, and predicts the next:

{textwrap.indent(EQUATIONS, "    ")}

Training: {about_training(found.updates, found.planned, found.training_loss)}; seed {found.seed}.
From each {STEPS} characters to the next, the state is carried over and its history is cut off: that
is truncated backpropagation through time.

## How well it predicts

The loss on the held-out characters, against n-gram models. Each predicts the same characters over
the same {len(found.corpus.vocabulary)} classes: the characters learned from, and one class for all
others. An n-gram model adds α to its counts; α was chosen on the last tenth of the text to learn
from.

{_table(loss_table(found.losses))}

A loss of ℓ nats per character is the mean of −ln p, where p is the probability that the character
that came was given: as unsure as among e^ℓ equally likely ones. A bit is ln 2 nats.

## What it writes

Each output is drawn at temperature {found.temperature:g}, by which the logits are divided: 0 takes
the likeliest character, 1 draws as predicted. It is fed back as the next input. The first {given}
characters were given.

{quoted(found.sample)}

## Its gradient, found twice

Four steps of the trained network on the held-out text, in float64: {_code(pairs)}.
Generic `backward()`, which knows nothing of time, against the lecture's derivation of BPTT, written
by hand:

{_table(gradient_table(four))}

{verdict(four)}

## Its pictures

{unrolled}

In the picture, time runs to the right. Column t reads the character x_t, turns the state h_{{t-1}}
into h_t, predicts ŷ_t and has the loss L_t. A box at the left is a parameter: one array, its shape,
and how often it is used. Since it is *one*, its gradient is the sum over its uses, one for each
step. Where the heavy line enters, a step reads the state of the one before. Back along it, from h_4
to h_1, runs backpropagation *through time*; U and b_y need only the ways down.

The same recording, folded into its loop: each line of the program is one box, for any number of
steps, and what goes into the black square comes out one step later.

{folded}

## What each step contributed

{_each_step(found.each, unplotted)}

## Again

The same command gives the same report:

    {command}

The network is in `network.npz`: `numpy.load` gives V, W, U, b_h, b_y and the characters.
"""


def _each_step(each: EachStep, unplotted: str) -> str:
    """The section on what each step contributed."""
    T, k = len(each.losses), int(each.contributions.argmax()) + 1
    read, symbols = _code(visible(each.text[:-1])), about_symbols(each.text)
    triangles = [
        "![The size of each term of dL/dU, dL/dW and dL/dV, by loss and use](triangles.png)"
    ]
    bars = "![The losses, and the size of what each use of W contributes](contributions.png)"
    decay = "![The norm of the product of Jacobians, against the number of steps](decay.png)"
    if unplotted:
        triangles = [f"In text, since {_plain(unplotted)}:"]
        for name in each.terms:
            triangles += [f"dL/d{name}:", _block(terms_as_text(each, name))]
        bars, decay = _block(bars_as_text(each)), _block(columns(decay_table(each)))
    back = each.shape("W") == each.shape("V") == "triangle"
    also = " So V, too, needs the way back in time: every earlier state depends on it." * back
    paragraphs = [
        f"{T} step{'s' * (T > 1)} of the trained network, from the same place in the held-out "
        f"text as the four, in float64, reading {read}{f' ({symbols})' if symbols else ''}. The "
        f"network has read the {each.warm_up} characters before, so h_0, the state it begins with, "
        "is not 0.",
        "All steps use the same U, W and V, and the gradient of each is a sum of terms. C[t, k] is "
        "the one that comes from the loss L_t through the use in step k. One backward pass gives "
        "all of them, if what comes from each loss is kept apart. The size of a term is its norm: "
        "the root of the sum of the squares of its elements.",
        *triangles,
        "A row is a loss, a column a use; where nothing is shown, the term is exactly 0. "
        f"{about_reach(each)} That is not a rule of the engine, which only follows what was "
        f"recorded; it is what it found.{also}",
        "The sum of a column is what the use of W in step k contributes to dL/dW, through all the "
        "losses. Its size, below the losses:",
        bars,
        "A loss near 0 sends next to nothing back; a large one sends much, to its own step and to "
        f"those before. The largest contribution is that of step {k}, which reads "
        f"{_code(visible(each.text[k - 1]))}: "
        f"{each.contributions[k - 1]:.3g}. All the sizes add up to {each.contributions.sum():.3g}, "
        f"but dL/dW has the size {each.gradient:.3g}: the contributions point in different "
        "directions, and cancel in part. Their sums are the gradients that `backward()` gives; for "
        f"U, W and V, the largest difference is {each.difference:.1e}.",
        f"How far back does a loss reach? {about_decay(each)}",
        decay,
        "∂h_t/∂h_k is a product of Jacobians, one for each step: matrices that say by how much "
        "each unit moves when one of the units of the step before is moved. Its norm is the most "
        "by which it can lengthen a vector; the typical one is the geometric mean over all pairs "
        "of steps with the same t − k. The factor per step is that of a straight line, fitted to "
        f"the logarithms of all of them. {_fate(each.rate)}",
        "The bound is γ σ_max(W). γ is the largest slope of tanh, 1; σ_max(W) is the most by which "
        "W can lengthen a vector. Below 1, gradients would have to vanish; above 1, they may "
        "explode. It is seldom reached: tanh is flat where a unit is near −1 or 1, and what one "
        "step lengthens most is not what the next one does. (Pascanu, Mikolov, Bengio 2013, arXiv "
        "1211.5063.)",
    ]
    return "\n\n".join(map(_wrapped, paragraphs))


def _fate(rate: float) -> str:
    if abs(rate - 1) < 0.005:
        return "It is close to 1: what comes from far back neither vanishes nor explodes."
    if rate < 1:
        return "It is below 1: what comes from far back vanishes."
    return "It is above 1: what comes from far back explodes."


def _wrapped(paragraph: str) -> str:
    """A paragraph of words in lines; pictures and blocks stay as they are."""
    if paragraph.startswith(("!", "    ")):
        return paragraph
    return textwrap.fill(paragraph, 100, break_long_words=False, break_on_hyphens=False)


def _block(lines: str) -> str:
    """Lines as they are, in Markdown."""
    return textwrap.indent(lines, "    ")


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
