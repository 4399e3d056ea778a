"""The command line: words to options, errors to one line each. What the commands do is not here."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO

from .threads import one_blas_thread

BAD_INPUT, INTERRUPTED = 2, 130

DESCRIPTION = """\
Recurrent networks as their equations, differentiated by a tape: backpropagation
through time, seen and checked.

  tinygrad-rnn study              on Python's own language reference
  tinygrad-rnn study book.txt     on a text of yours
  tinygrad-rnn draw --folded      the network as its loop, in a picture
  tinygrad-rnn derive             its training step as a program, in plain NumPy
"""

STUDY = """\
Train the lecture's simple recurrent network on the characters of a text, and
study it: how well it predicts held-out text, against exact n-gram models; what
it writes; whether its gradient is the one that the derivation of BPTT by hand
gives; its pictures, unrolled and folded; and what each step contributed to its
gradient. Takes about half a minute. Ctrl-C ends the training early, and the
report is on what was learned so far.
"""

DRAW = """\
Draw one training step of a network: time to the right, layers upwards, each
parameter once. Or its loop, folded. PNG, SVG and PDF need a Graphviz engine
(pip install graphviz-pure); DOT text needs none.
"""

DERIVE = """\
Print the program that is derived from one recorded training step of a network:
loss and gradients, backpropagation through time and all, as a function in plain
NumPy. It runs by itself when it is pasted into a file:

  tinygrad-rnn derive > step.py
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that has no ŷ shows a question mark
    try:
        status = _run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:  # as in `| head -1`: nobody reads on, so there is no more to say
        _give_up(sys.stdout)
        return 1
    except OSError as error:  # of a stream: what is wrong with a file is said where it is known
        _give_up(sys.stdout)
        return _fail(f"the output can't be written ({error.strerror})", 1)
    return status


def _run(arguments: Sequence[str] | None) -> int:
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as end:  # of --help, --version or a usage error
        return int(end.code or 0)
    one_blas_thread()
    given = vars(options)
    try:
        return int(given.pop("command")(given))
    except MemoryError:
        return _fail("there is not enough memory; choose a smaller network, or a shorter text")


def _study(given: dict[str, Any]) -> int:
    from .study import job
    from .text import TextError

    try:
        return job.run(job.Options(**given))
    except (TextError, job.OutputError) as error:
        return _fail(str(error), BAD_INPUT)


def _draw(given: dict[str, Any]) -> int:
    from .draw import draw
    from .networks import NETWORKS

    network, T, out = (given.pop(name) for name in ("network", "steps", "out"))
    dpi, ends = given.pop("dpi"), given.pop("ends")
    out = Path(f"{network}.png") if out is None else out
    try:
        picture = draw(NETWORKS[network](T), steps=ends and tuple(ends), **given)
        picture.save(out, dpi)
    except (ValueError, RuntimeError, OSError) as error:
        return _fail(str(error), BAD_INPUT)
    print(out)
    return 0


def _derive(given: dict[str, Any]) -> int:
    from .networks import NETWORKS
    from .program import compile

    step = NETWORKS[given["network"]].step(given["steps"])
    program = compile(step.f)
    program(*step.arguments)
    print(program.source, end="")
    return 0


def _fail(message: str, status: int = BAD_INPUT) -> int:
    try:
        print(f"tinygrad-rnn: {' '.join(message.split())}", file=sys.stderr, flush=True)
    except OSError:  # there is nowhere left to say it
        _give_up(sys.stderr)
    return status


def _give_up(stream: TextIO) -> None:
    """Send what a stream still holds nowhere, or Python would fail again as it ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(_fail(f"{message}; see {self.prog} --help"))


def _parser() -> argparse.ArgumentParser:
    from . import __version__

    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog="tinygrad-rnn", description=DESCRIPTION, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"tinygrad-rnn {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    study = commands.add_parser(
        "study",
        help="train on a text; check the gradient, draw the network, write a report",
        description=STUDY,
        formatter_class=raw,
    )
    option = study.add_argument
    # fmt: off
    option("text", nargs="?", metavar="TEXT",
           help="a UTF-8 text file (default: Python's language reference)")
    option("--out", type=_folder, default=Path("study"), metavar="FOLDER",
           help="where to write report.md, its pictures and network.npz (default: study)")
    option("--updates", type=_whole(1, 10**9), metavar="N",
           help="how long to train (default: 2500, fewer for a short text)")
    option("--hidden", type=_whole(1, 4096), default=128, metavar="H",
           help="the number of hidden units (default: 128)")
    option("--seed", type=_whole(0), default=0, metavar="N",
           help="the same seed gives the same report (default: 0)")
    option("--prefix", type=_prefix, metavar="WORDS",
           help="what the network goes on writing from (default: the first line of the text)")
    option("--temperature", type=_temperature, default=0.7, metavar="X",
           help="how freely it writes: 0 takes the likeliest character, 1 draws as it predicts "
           "(default: 0.7)")
    # fmt: on
    study.set_defaults(command=_study)
    _draw_options(commands)
    _derive_options(commands)
    return parser


def _draw_options(commands: Any) -> None:
    from .draw.options import CHOICES

    draw = _of_a_network(commands, "draw", "draw a recurrent network, unrolled or folded", DRAW)
    option = draw.add_argument
    # fmt: off
    option("--steps", type=_whole(1, 10**4), default=4, metavar="T",
           help="how many time steps are recorded (default: 4)")
    option("--folded", action="store_true", help="the loop instead of its steps")
    option("--ends", type=_whole(1), nargs=2, metavar=("A", "B"),
           help="show the first A steps and the last B (default: up to 24 steps, all)")
    option("--show", action="append", choices=CHOICES["show"], default=[],
           help="write this into the boxes; may be given several times")
    option("--backward", action="store_true", help="draw the way of the gradient, too")
    option("--legend", action="store_true", help="explain the kinds of boxes below the picture")
    for name in ("detail", "notation", "direction", "theme"):
        option(f"--{name}", choices=CHOICES[name], default=CHOICES[name][0],
               help=f"(default: {CHOICES[name][0]})")
    option("--title", help="written above the picture")
    option("--dpi", type=_whole(1, 10**4), default=150, metavar="N",
           help="pixels per inch of a PNG (default: 150)")
    option("--out", type=_file, metavar="FILE",
           help="where to save it: .png, .svg, .pdf or .dot (default: NETWORK.png)")
    # fmt: on
    draw.set_defaults(command=_draw)


def _derive_options(commands: Any) -> None:
    summary = "print a training step, with its gradient, as a NumPy program"
    derive = _of_a_network(commands, "derive", summary, DERIVE)
    # fmt: off
    derive.add_argument("--steps", type=_whole(1, 10**4), default=12, metavar="T",
                        help="how many time steps are recorded; below 4 there is no loop to be "
                        "found in them (default: 12)")
    # fmt: on
    derive.set_defaults(command=_derive)


def _of_a_network(
    commands: Any, name: str, summary: str, description: str
) -> argparse.ArgumentParser:
    """A command whose argument is the name of a network."""
    from .networks import NETWORKS

    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # fmt: off
    parser.add_argument("network", nargs="?", choices=NETWORKS, default="rnn", metavar="NETWORK",
                        help=f"{', '.join(NETWORKS)} (default: rnn)")
    # fmt: on
    return parser


def _whole(least: int, most: int | None = None) -> Callable[[str], int]:
    wanted = f"a whole number, {least} or more" if most is None else f"from {least} to {most}"

    def convert(word: str) -> int:
        try:  # int() takes " 1_0", too
            number = int(word) if word.isascii() and word.isdecimal() else least - 1
        except ValueError:  # thousands of digits
            number = least - 1
        if number < least or (most is not None and number > most):
            raise argparse.ArgumentTypeError(f"{word!r} should be {wanted}")
        return number

    return convert


def _temperature(word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{word!r} should be a number, 0 or more")
    return number


def _folder(word: str) -> Path:
    if not word:
        raise argparse.ArgumentTypeError("give the name of a folder")
    return Path(word)


def _file(word: str) -> Path:
    if not word:
        raise argparse.ArgumentTypeError("give the name of a file")
    return Path(word)


def _prefix(word: str) -> str:
    if not word:
        raise argparse.ArgumentTypeError("give at least one character to go on from")
    return word


if __name__ == "__main__":
    sys.exit(main())
