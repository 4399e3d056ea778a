"""`tinygrad-rnn evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..saving import LoadError
from ..tables import columns
from ..tasks.language_model import (
    fingerprint,
    loss_table,
    mean_loss,
    read_model,
    tokens_of,
    yardsticks,
)
from ..text import TextError, read
from ..text.corpus import SHORTEST
from .options import BadInput, subparser

DESCRIPTION = """\
Say how well a language model predicts a text: the loss in nats and bits, or
the perplexity.

  tinygrad-rnn evaluate book.npz another-book.txt

The last tenth of the text is looked at by itself, beside n-gram models that
have learned the nine tenths before. For the text that the model has learned
from, it is what was held out.
"""


def add(commands: Any) -> None:
    """Add the command to a parser's."""
    summary = "say how well a language model predicts a text"
    parser = subparser(commands, "evaluate", summary, DESCRIPTION)
    # fmt: off
    parser.add_argument("model", type=Path, metavar="MODEL", help="what `tinygrad-rnn train` made")
    parser.add_argument("texts", nargs="+", metavar="TEXT",
                        help="UTF-8 text files, plain or .gz, one after the other")
    # fmt: on
    parser.set_defaults(command=run)


def run(given: dict[str, Any]) -> int:
    """Run the command and return its exit status."""
    try:
        model, vocabulary, facts = read_model(given["model"])
        text = "\n".join(map(read, given["texts"]))
    except (LoadError, TextError) as error:
        raise BadInput(str(error)) from None
    unit, K = facts["unit"], len(vocabulary)
    ids = vocabulary.encode(tokens_of(text, unit))
    N = len(ids)
    if N < 2:
        raise BadInput(f"{given['texts'][0]}: two {unit} or more are wanted to predict one")
    unknown = int((ids == vocabulary.unknown).sum())
    known = f"of which the model does not know {unknown:,}" if unknown else "all known to the model"
    print(f"Text: {N:,} {unit}, {known}.")
    if facts["training"].get("text") == fingerprint(text):
        print("It is the text whose first nine tenths the model has learned from.")
    else:
        print("\nAll of it:\n")
        loss = mean_loss(model, ids[:1], ids[1:])
        print(columns(loss_table([("the model", loss)], unit)))
    if N < SHORTEST:
        print(f"\nFor n-gram models to learn from, {N:,} {unit} are too few.")
        return 0
    cut = round(N * 0.9)
    rows = yardsticks(ids[:cut], ids[cut:], K)
    rows.append(("the model", mean_loss(model, ids[:cut], ids[cut:])))
    print(f"\nIts last {N - cut:,} {unit}, beside n-gram models of those before:\n")
    print(columns(loss_table(rows, unit)))
    return 0
