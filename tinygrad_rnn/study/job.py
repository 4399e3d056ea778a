"""The job of `tinygrad-rnn study`: study a text, say what is found, leave a report.

The order of things, and the files. What is computed is in network.py, what is said in report.py.
Files are written into a folder of their own and moved into place at the end: a job that fails or is
given up leaves nothing behind.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import text
from ..draw import GraphvizNotFound, Picture
from ..progress import Progress
from ..tables import columns, say, sentence
from . import plots, report
from .network import (
    STEPS,
    STREAMS,
    EachStep,
    Network,
    each_step,
    enough_updates,
    four_steps,
    held_out_loss,
    train,
    write_on,
    yardsticks,
)

INTERRUPTED = 130
SAMPLE = 400  # characters
WEIGHTS, REPORT = "network.npz", "report.md"
DRAWINGS = "unrolled.png", "unrolled.dot", "folded.png", "folded.dot"
FILES = *DRAWINGS, "triangles.png", "contributions.png", "decay.png", WEIGHTS, REPORT
DEFAULT_UPDATES = 2500


class OutputError(ValueError):
    """The results can't be written there; the message says why, and what to do."""


@dataclass(frozen=True)
class Options:
    """What a user may choose."""

    text: str | None = None  # a path; None is Python's language reference
    out: Path = Path("study")
    updates: int | None = None
    hidden: int = 128
    seed: int = 0
    prefix: str | None = None
    temperature: float = 0.7

    def command(self) -> str:
        """The command line that gives these options."""
        words = ["tinygrad-rnn", "study"]
        for field, default in vars(Options()).items():
            value = getattr(self, field)
            if field != "text" and value != default:
                words.append(f"--{field}={value}")
        if self.text is not None:
            words += ["--", self.text] if self.text.startswith("-") else [self.text]
        return " ".join(map(_shell_word, words))


def _shell_word(word: str) -> str:
    """A word as a shell reads it, on one line and in letters that can be printed."""
    if word.isprintable():
        return shlex.quote(word)
    plain = (c if c.isprintable() and c not in "\\'" else _escaped(c) for c in word)
    return f"$'{''.join(plain)}'"


def _escaped(c: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(c))


def run(options: Options) -> int:
    """Do the job. Returns the exit status: 0, 1 if the gradients differ, 130 if it was interrupted.

    A `TextError` or an `OutputError` says what is wrong with the text or the folder.
    """
    corpus = _corpus(options.text)
    with _results_in(options.out) as folder:
        network = Network.at_random(
            len(corpus.vocabulary), options.hidden, np.random.default_rng(options.seed)
        )
        say(sentence(f"Text: {report.about_text(corpus)}."))
        say(sentence(f"Network: {report.about_network(network)}."))
        say(f"\n{textwrap.indent(report.EQUATIONS, '    ')}\n")
        updates = options.updates or enough_updates(corpus, DEFAULT_UPDATES)
        losses, interrupted = _train(network, corpus, updates)
        loss = float(np.mean(losses[-100:]))
        trained = report.about_training(len(losses), updates, loss)
        say(sentence(f"Training: {trained}."))

        table = [*yardsticks(corpus), ("network", None, held_out_loss(network, corpus))]
        say("\nThe loss on the held-out text:\n")
        say(columns(report.loss_table(table)))

        prefix = _first_line(corpus) if options.prefix is None else options.prefix
        sample = write_on(
            network, corpus.vocabulary, prefix, SAMPLE, options.temperature, options.seed
        )
        say(f"\nWhat it writes, given the first {len(prefix)} characters:\n")
        say(report.quoted(sample))

        four = four_steps(network, corpus)
        say("\nFour of its steps, by backward() and by hand:\n")
        say(columns(report.gradient_table(four)))
        say(f"\n{report.verdict(four)}")

        each = each_step(network, corpus)
        say("\nWhat each step contributed: the terms of dL/dW, by loss t and use k of W:\n")
        say(textwrap.indent(report.terms_as_text(each, "W"), "  "))
        say("\n" + sentence(report.about_reach(each)))
        say(sentence(report.about_decay(each)))

        found = report.Findings(
            corpus, network, options.seed, len(losses), updates, loss,
            table, prefix, options.temperature, sample, four, each,
        )  # fmt: skip
        with _explained(options.out):
            missing = _save(found, options, folder)
            files = [name for name in FILES if (folder / name).exists() and name != REPORT]
    for remedy in missing:
        say("\n" + sentence(remedy))
    beside = textwrap.fill(", ".join(files), 80, initial_indent="  ", subsequent_indent="  ")
    say(f"\nWritten: {options.out / REPORT}, and beside it\n{beside}")
    if not four.agree():
        print(f"tinygrad-rnn: backward() and by hand: {report.verdict(four)}", file=sys.stderr)
        return 1
    return INTERRUPTED if interrupted else 0


def _corpus(path: str | None) -> text.Corpus:
    if path is not None:
        return text.split(text.read(path), path)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return text.split(text.language_reference(), f"the language reference of Python {version}")


def _first_line(corpus: text.Corpus) -> str:
    """The first line that is not blank, or the start of it."""
    start = corpus.vocabulary.decode(corpus.train[:1000])
    return (start.lstrip() or start).split("\n")[0][:40]


def _train(network: Network, corpus: text.Corpus, updates: int) -> tuple[list[float], bool]:
    """The losses, and whether Ctrl-C ended the training. What was learned until then is kept."""
    losses: list[float] = []
    try:
        with Progress("training", updates, "characters", sys.stderr) as progress:
            for loss in train(network, corpus.train, updates):
                losses.append(loss)
                done, recent = len(losses), np.mean(losses[-100:])
                progress.show(done, done * STREAMS * STEPS, f"loss {recent:.3f}")
    except KeyboardInterrupt:
        if not losses:
            raise
        print(
            f"tinygrad-rnn: interrupted after {len(losses):,} of {updates:,} updates; the report "
            "will be on what was learned so far (Ctrl-C again to have none)",
            file=sys.stderr,
        )
        return losses, True
    return losses, False


def _save(found: report.Findings, options: Options, folder: Path) -> list[str]:
    """Write the files. Returns what to do about pictures that are not there, a sentence each."""
    undrawn = _draw(found.four.pictures, folder)
    unplotted = _plot(found.each, folder)
    words = report.markdown(found, options.command(), undrawn, unplotted)
    # A command line may hold bytes that are no text; a path of such bytes is in the report.
    (folder / REPORT).write_text(words, encoding="utf-8", errors="replace")
    characters = np.array("".join(found.corpus.vocabulary.tokens))
    weights: dict[str, Any] = found.network.arrays()
    np.savez(folder / WEIGHTS, characters=characters, **weights)
    missing = [f"There are no pictures of the four steps: {undrawn}."] if undrawn else []
    if unplotted:
        missing.append(f"There are no pictures of what each step contributed: {unplotted}.")
    return missing


def _draw(pictures: dict[str, Picture], folder: Path) -> str:
    """Save the pictures, or the DOT text of all and return what to do to have them."""
    try:
        for name, picture in pictures.items():
            picture.save(folder / f"{name}.png")
    except GraphvizNotFound:
        commands = [f"dot -Kneato -n2 -Tpng {name}.dot -o {name}.png" for name in pictures]
        remedy = (
            "no Graphviz engine was found; pip install graphviz-pure, or install Graphviz, "
            f"then {' and '.join(commands)}"
        )
    except RuntimeError as error:  # the engine failed
        remedy = str(error)
    else:
        return ""
    for name, picture in pictures.items():
        (folder / f"{name}.png").unlink(missing_ok=True)
        picture.save(folder / f"{name}.dot")
    return remedy


def _plot(each: EachStep, folder: Path) -> str:
    """Save the plots, or return what to do to have them."""
    try:
        for name, figure in plots.all_plots(each):
            figure.savefig(folder / name)
    except ImportError:
        return "matplotlib is not installed (pip install matplotlib)"
    return ""


@contextmanager
def _results_in(out: Path) -> Iterator[Path]:
    """A folder to write results in, which are moved to `out` if the block ends well.

    Files of the same names are replaced. No file is deleted: it may be none of ours.
    """
    made: list[Path] = []
    folder = None
    try:
        with _explained(out):
            made += [parent for parent in (out, *out.parents) if not parent.exists()]
            out.mkdir(parents=True, exist_ok=True)
            for name in FILES:
                if (out / name).is_dir():
                    raise OutputError(
                        f"{out / name}: a folder is in the way; choose another --out, or rename it"
                    )
            folder = Path(tempfile.mkdtemp(dir=out, prefix=".unfinished-"))
        yield folder
        with _undisturbed(), _explained(out):
            for name in FILES:
                if (folder / name).exists():
                    os.replace(folder / name, out / name)
    finally:
        with _undisturbed():
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            for parent in made:
                with suppress(OSError):  # it is not empty: there are results
                    parent.rmdir()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C does nothing in this block. It is short, and half of it is worse than all of it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Ctrl-C never comes here, and only the main thread may set what it does
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        # None is a handler that was not set from Python and can't be set again from here.
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)


@contextmanager
def _explained(out: Path) -> Iterator[None]:
    """Say what to do about an error in writing."""
    try:
        yield
    except (FileExistsError, NotADirectoryError):
        raise OutputError(
            f"{out}: a file is in the way of this folder; choose another one with --out"
        ) from None
    except OSError as error:
        raise OutputError(
            f"{out}: can't be written to ({error.strerror}); choose another folder with --out"
        ) from None
