"""What the commands share: exit statuses, words of a command line to values, kinds of parsers."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..networks import NETWORKS
from ..tasks.training import checkpoint_path, log_path

BAD_INPUT, INTERRUPTED = 2, 130


class BadInput(ValueError):  # noqa: N818 (what the user gave, not what the program did)
    """What was given can't be used; the message says why, and what to do."""


def subparser(commands: Any, name: str, summary: str, description: str) -> argparse.ArgumentParser:
    """A parser for a command, whose description keeps its lines."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def of_a_network(
    commands: Any, name: str, summary: str, description: str
) -> argparse.ArgumentParser:
    """A parser for a command whose argument is the name of a network."""
    parser = subparser(commands, name, summary, description)
    # fmt: off
    parser.add_argument("network", nargs="?", choices=NETWORKS, default="rnn", metavar="NETWORK",
                        help=f"{', '.join(NETWORKS)} (default: rnn)")
    # fmt: on
    return parser


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """A converter to whole numbers in a range."""
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


def temperature(word: str) -> float:
    """A converter to numbers from 0."""
    number = _number(word)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{word!r} should be a number, 0 or more")
    return number


def folder(word: str) -> Path:
    """A converter to paths of folders."""
    if not word:
        raise argparse.ArgumentTypeError("give the name of a folder")
    return Path(word)


def file(word: str) -> Path:
    """A converter to paths of files."""
    if not word:
        raise argparse.ArgumentTypeError("give the name of a file")
    return Path(word)


def prefix(word: str) -> str:
    """A converter for what a network goes on from."""
    if not word:
        raise argparse.ArgumentTypeError("give at least one character to go on from")
    return word


def model_file(word: str) -> Path:
    """A converter to paths of models' files."""
    if Path(word).suffix != ".npz" or Path(word).stem == ".npz":
        raise argparse.ArgumentTypeError(f"{word!r} should end in .npz, as model.npz")
    return Path(word)


def above_0(word: str) -> float:
    """A converter to positive numbers."""
    number = _number(word)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{word!r} should be a number above 0")
    return number


def probability(word: str) -> float:
    """A converter to probabilities that are not 0."""
    number = _number(word)
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"{word!r} should be a number above 0, at most 1")
    return number


def share(word: str) -> float:
    """A converter to probabilities that are not 1."""
    number = _number(word)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"{word!r} should be a number from 0, below 1")
    return number


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return math.nan


def spare(texts: Iterable[str | Path], out: Path) -> None:
    """A `BadInput` if training a model would write over one of the texts that it has read."""
    for path in filter(Path.exists, (out, checkpoint_path(out), log_path(out))):
        for text in texts:
            if path.samefile(text):
                raise BadInput(f"{text}: training would write over it; choose another --out")


def printable(text: str) -> str:
    """A text that can't drive a terminal: of control characters, line ends and tabs stay."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
