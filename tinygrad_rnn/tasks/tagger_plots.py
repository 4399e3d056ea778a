"""The pictures of a tagger: how its training went, and what it confuses. With matplotlib, an extra.

Every function returns a figure. They open no file.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from .scores import Scores
from .training import Row, best

BLUE, ORANGE = "#0072B2", "#D55E00"  # Okabe and Ito: safe for colour blindness
MOST_TAGS = 64
"""In a picture: a row takes some 70 pixels, and thousands of them would fit into no memory."""


def progress_figure(log: list[Row], per_round: int) -> Any:
    """The loss in training, and below it the held-out words that get a wrong tag.

    per_round: how many updates go through the training data once.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = Figure(figsize=(6.4, 5.0), dpi=150, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    rounds = [row.updates / per_round for row in log]
    above.plot(rounds, [row.training_loss for row in log], "-", marker=".", color=BLUE)
    above.set_ylabel("loss in training,\nin nats per word")
    below.plot(rounds, [row.held_out_loss for row in log], "-", marker=".", color=ORANGE)
    least = best(log)
    at = least.updates / per_round, least.held_out_loss
    below.plot(*at, "o", color=ORANGE, markersize=9, markerfacecolor="none")
    below.annotate("kept", at, (0, 10), textcoords="offset points", ha="center")
    below.set_ylabel("held-out words\nwith a wrong tag")
    below.set_xlabel("rounds through the training data")
    below.yaxis.set_major_formatter(PercentFormatter(1))
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    for ax in (above, below):
        ax.set_ylim(bottom=0)
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def confusion_figure(scores: Scores) -> Any:
    """All confusions, with matplotlib: a row for each right tag, a column for each given one.

    The number is how many words; the colour, what share of the right tag's words they are. Of more
    than `MOST_TAGS` tags, the most frequent ones are there.
    """
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    words: Counter[str] = Counter()  # with the right tag
    for (right, given), n in scores.confusions.items():
        words[right] += n
        words[given] += 0
    tags = sorted(tag for tag, _ in words.most_common(MOST_TAGS))
    counts = np.array([[scores.confusions[row, column] for column in tags] for row in tags])
    shares = counts / np.maximum([[words[tag]] for tag in tags], 1)
    side = 2.2 + 0.44 * len(tags)
    figure = Figure(figsize=(side + 0.9, side), dpi=150, layout="constrained")
    ax = figure.add_subplot()
    image = ax.imshow(np.ma.masked_equal(shares, 0), cmap="Blues", norm=PowerNorm(0.5, 0, 1))
    for row, column in np.argwhere(counts):
        number, dark = counts[row, column], shares[row, column] > 0.4
        ax.text(
            column, row, f"{number}" if number < 10_000 else f"{number / 1000:.0f}k",
            ha="center", va="center", size=7, color="white" if dark else "black",
        )  # fmt: skip
    ax.set_xticks(range(len(tags)), tags, rotation=90, parse_math=False)
    ax.set_yticks(range(len(tags)), tags, parse_math=False)
    ax.tick_params(length=0)
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    ax.set_xlabel("tag that was given")
    most = "" if len(tags) == len(words) else f" ({len(tags)} most frequent)"
    ax.set_ylabel(f"right tag{most}")
    ax.set_xticks(np.arange(len(tags) + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(len(tags) + 1) - 0.5, minor=True)
    ax.grid(which="minor", color="#dddddd", linewidth=0.6)
    ax.tick_params(which="minor", length=0)
    ax.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=ax, shrink=0.7, pad=0.02)
    bar.set_label("share of the words with the right tag")
    bar.set_ticks([0, 0.01, 0.05, 0.2, 0.5, 1], labels=["0", "1 %", "5 %", "20 %", "50 %", "100 %"])
    return figure
