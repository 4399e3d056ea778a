"""The command line: words to a command, errors to one line each. What commands do is not here."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn, TextIO

from . import __version__
from .commands import COMMANDS
from .commands.options import BAD_INPUT, INTERRUPTED, BadInput
from .threads import one_blas_thread

DESCRIPTION = """\
Recurrent networks as their equations, differentiated by a tape: backpropagation
through time, seen and checked.

  tinygrad-rnn train book.txt     a language model of a text of yours
  tinygrad-rnn generate book.npz  what it writes
  tinygrad-rnn tag --train        a part-of-speech tagger
  tinygrad-rnn study              the network taken apart, on a text from Python
  tinygrad-rnn draw --folded      the network as its loop, in a picture
  tinygrad-rnn derive             its training step as a program, in plain NumPy
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who called, as in `>&-`
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that has no ŷ shows a question mark
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt as interrupt:  # which may say what it left
        return _fail(str(interrupt) or "interrupted", INTERRUPTED)
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
    except BadInput as error:
        return _fail(str(error))
    except MemoryError:
        return _fail("there is not enough memory; choose a smaller network, or a shorter text")


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
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog="tinygrad-rnn", description=DESCRIPTION, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"tinygrad-rnn {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
