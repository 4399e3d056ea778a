"""`tinygrad-rnn generate`."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ..saving import LoadError
from ..tasks.language_model import read_model, write
from .options import BadInput, printable, probability, subparser, temperature, whole

DESCRIPTION = """\
Let a language model write: each character, or word, is drawn from what it
predicts, and fed back as what it reads next.

  tinygrad-rnn generate book.npz --prefix "It was" --temperature 0.7
"""


def add(commands: Any) -> None:
    """Add the command to a parser's."""
    parser = subparser(commands, "generate", "let a language model write", DESCRIPTION)
    option = parser.add_argument
    # fmt: off
    option("model", type=Path, metavar="MODEL", help="what `tinygrad-rnn train` made")
    option("--prefix", default="", metavar="WORDS",
           help="what it goes on from (default: the start of a line)")
    option("--length", type=whole(1, 10**9), default=500, metavar="N",
           help="how many characters, or words, to write (default: 500)")
    option("--temperature", type=temperature, default=0.8, metavar="X",
           help="1 draws as it predicts, less prefers the likely, 0 takes the likeliest "
           "(default: 0.8)")
    option("--top-k", type=whole(1), metavar="N", help="draw from the N likeliest only")
    option("--top-p", type=probability, metavar="P",
           help="draw from the likeliest only, as few as have this probability together")
    option("--seed", type=whole(0), metavar="N",
           help="the same seed, the same text (default: another one each time)")
    # fmt: on
    parser.set_defaults(command=run)


def run(given: dict[str, Any]) -> int:
    """Run the command and return its exit status."""
    try:
        model, vocabulary, facts = read_model(given["model"])
    except LoadError as error:
        raise BadInput(str(error)) from None
    prefix, rng = given["prefix"], np.random.default_rng(given["seed"])
    drawing = (given[name] for name in ("temperature", "top_k", "top_p"))
    pieces = write(model, vocabulary, facts["unit"], prefix, rng, *drawing)
    sys.stdout.write(printable(prefix))
    for piece in islice(pieces, given["length"]):
        sys.stdout.write(printable(piece))
        sys.stdout.flush()
    sys.stdout.write("\n")
    return 0
