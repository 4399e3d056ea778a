"""`tinygrad-rnn study`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..study import job
from ..text import TextError
from .options import BadInput, folder, prefix, subparser, temperature, whole

DESCRIPTION = """\
Train the lecture's simple recurrent network on the characters of a text, and
study it: how well it predicts held-out text, against exact n-gram models; what
it writes; whether its gradient is the one that the derivation of BPTT by hand
gives; its pictures, unrolled and folded; and what each step contributed to its
gradient. Takes about half a minute. Ctrl-C ends the training early, and the
report is on what was learned so far.
"""


def add(commands: Any) -> None:
    """Add the command to a parser's."""
    summary = "train on a text; check the gradient, draw the network, write a report"
    parser = subparser(commands, "study", summary, DESCRIPTION)
    option = parser.add_argument
    # fmt: off
    option("text", nargs="?", metavar="TEXT",
           help="a UTF-8 text file (default: Python's language reference)")
    option("--out", type=folder, default=Path("study"), metavar="FOLDER",
           help="where to write report.md, its pictures and network.npz (default: study)")
    option("--updates", type=whole(1, 10**9), metavar="N",
           help="how long to train (default: 2500, fewer for a short text)")
    option("--hidden", type=whole(1, 4096), default=128, metavar="H",
           help="the number of hidden units (default: 128)")
    option("--seed", type=whole(0), default=0, metavar="N",
           help="the same seed gives the same report (default: 0)")
    option("--prefix", type=prefix, metavar="WORDS",
           help="what the network goes on writing from (default: the first line of the text)")
    option("--temperature", type=temperature, default=0.7, metavar="X",
           help="how freely it writes: 0 takes the likeliest character, 1 draws as it predicts "
           "(default: 0.7)")
    # fmt: on
    parser.set_defaults(command=run)


def run(given: dict[str, Any]) -> int:
    """Run the command and return its exit status."""
    try:
        return job.run(job.Options(**given))
    except (TextError, job.OutputError) as error:
        raise BadInput(str(error)) from None
