"""What the demos share: their options, headings and tables, and a folder of pictures.

A demo goes on without matplotlib and without a Graphviz engine: its text is the same, and one line
at the end says which pictures are missing, and what to install.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn.tables import columns
from tinygrad_rnn.threads import one_blas_thread

WIDTH = 88
INDENT = "   "
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"]  # Okabe and Ito: safe for colour blindness
DASHES = ["-", "--", "-.", ":"]


class Demo:
    """One run of a demo: what it was asked for, what it says, and the files it leaves.

    quick: do with a few seconds; the numbers are then those of a smaller case.
    options: what the command line said, with the arguments that `add` has added to the parser.
    """

    def __init__(
        self, file: str, doc: str, add: Callable[[argparse.ArgumentParser], Any] | None = None
    ) -> None:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")  # a terminal that has no ŷ shows ?
        one_blas_thread()  # a second one gains nothing here, and on a busy machine loses much
        name = Path(file).stem
        raw = argparse.RawDescriptionHelpFormatter
        parser = argparse.ArgumentParser(description=doc, formatter_class=raw)
        parser.add_argument("--quick", action="store_true", help="a smaller case, in seconds")
        parser.add_argument(
            "--out", type=Path, default=Path(name), metavar="FOLDER",
            help=f"where to save the pictures (default: {name})",
        )  # fmt: skip
        if add is not None:
            add(parser)
        self.options = options = parser.parse_args()
        self.quick: bool = options.quick
        self.out: Path = options.out
        self.out.mkdir(parents=True, exist_ok=True)
        self._saved: list[str] = []
        self._missing: dict[str, list[str]] = {}
        print(textwrap.fill(doc.splitlines()[0], WIDTH, break_on_hyphens=False))
        if self.quick:
            print("(--quick: a smaller case; the numbers of the full one differ)")

    def heading(self, words: str) -> None:
        """What comes next."""
        print("\n" + textwrap.fill(words, WIDTH, subsequent_indent=INDENT))

    def say(self, words: str) -> None:
        """A paragraph."""
        print(textwrap.fill(words, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT))

    def show(self, words: Any) -> None:
        """Something that is in lines already, such as a table of `tinygrad_rnn.bptt`."""
        print(textwrap.indent(str(words), INDENT))

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Rows of words, the head first."""
        self.show(columns(rows))

    def plot(self, name: str, make: Callable[[], Any]) -> None:
        """Save a figure of matplotlib's, if there is matplotlib; `make` returns it."""
        try:
            import matplotlib  # noqa: F401
        except ImportError:
            remedy = "matplotlib is not installed (pip install matplotlib)"
            self._missing.setdefault(remedy, []).append(name)
            return
        make().savefig(self.out / name)
        self._saved.append(name)

    def draw(self, name: str, root: tg.Tensor, folded: bool = False) -> None:
        """Save the drawing of a recording, if there is a Graphviz engine."""
        try:
            tg.draw(root, folded=folded).save(self.out / name)
        except tg.GraphvizNotFound:
            remedy = "there is no Graphviz engine (pip install graphviz-pure)"
            self._missing.setdefault(remedy, []).append(name)
            self._saved.append(Path(name).with_suffix(".dot").name)
            return
        self._saved.append(name)

    def end(self) -> None:
        """Say where the files are, and which are missing."""
        print()
        if self._saved:
            print(f"Saved in {self.out}:")
            self.say(", ".join(self._saved))
        for remedy, names in self._missing.items():
            print(f"Not saved: {', '.join(names)}: {remedy}")


def compiled_or_not(demo: Demo, losses: Callable[[Callable[..., Any]], Sequence[float]]) -> None:
    """Say how far the losses of a training are apart when its step is compiled and when it is not.

    losses: trains from the start, with the training step that it is given a way to make.
    """
    derived, recorded = losses(tg.compile), losses(lambda step: step)
    demo.say(
        f"The first {len(derived)} losses with the derived program (tg.compile) and without it "
        f"differ by at most {apart(derived, recorded):.1e}."
    )


def figure(width: float, height: float) -> Any:
    """A new figure of matplotlib's, in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def norm(x: Any) -> float:
    """The Euclidean norm of all elements."""
    return float(np.linalg.norm(np.asarray(x)))


def apart(a: Any, b: Any) -> float:
    """The largest difference between two arrays."""
    return float(np.abs(np.asarray(a) - np.asarray(b)).max())
