"""`tinygrad-rnn train`."""

from __future__ import annotations

import math
import shlex
import sys
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ..nn.recurrent import CELLS
from ..optim import cosine
from ..saving import LoadError
from ..tables import columns, say, sentence
from ..tasks.language_model import (
    OPTIMIZERS,
    LanguageModel,
    Reading,
    Sizes,
    about,
    corpus_of,
    fingerprint,
    loss_table,
    write,
    yardsticks,
)
from ..tasks.loss_curve import loss_curve
from ..tasks.training import (
    Plan,
    Row,
    TrainingError,
    best,
    checkpoint_path,
    log_path,
    read_checkpoint,
    train,
)
from ..text import Corpus, TextError, chunks, read
from .options import BadInput, above_0, model_file, printable, share, spare, subparser, whole

DESCRIPTION = """\
Train a language model on a text: a recurrent network that predicts each
character, or word, from those before it. Says how well it predicts the last
tenth of the text, which it does not learn from, beside exact n-gram models.

  tinygrad-rnn train book.txt
  tinygrad-rnn train --words --dropout 0.3 book.txt
  tinygrad-rnn generate book.npz --prefix "It was"

What it leaves: MODEL.npz, the best model so far; MODEL.checkpoint.npz, which
training goes on from; MODEL.csv, the log; MODEL.png, if there is matplotlib.
Ctrl-C ends the training, and --resume goes on from the last checkpoint, bit by
bit as if there had been no end.
"""

UPDATES = 2000
ROUNDS = 30  # a text is read at most so often, by default: a short one would be learned by heart
LOOKS = 10  # at the held-out text
SAMPLE = 300  # characters; of words, a fifth of it


@dataclass(frozen=True)
class Settings:
    """What training depends on, beside the text. It can't be changed when training is resumed."""

    words: bool = False
    cell: str = Sizes.cell
    hidden: int = Sizes.hidden
    layers: int = Sizes.layers
    embedding: int = Sizes.embedding
    dropout: float = Sizes.dropout
    steps: int = 64
    streams: int = 32
    optimizer: str = "adam"
    lr: float | None = None
    seed: int = 0

    @property
    def unit(self) -> str:
        """What is counted."""
        return "words" if self.words else "characters"

    @property
    def sizes(self) -> Sizes:
        """Of the model."""
        return Sizes(self.cell, self.hidden, self.layers, self.embedding, self.dropout)


def add(commands: Any) -> None:
    """Add the command to a parser's."""
    summary = "train a language model on a text of yours"
    parser = subparser(commands, "train", summary, DESCRIPTION)
    option = parser.add_argument
    usual = Settings()
    rates = ", ".join(f"{rate:g} for {name}" for name, (_, rate, _) in OPTIMIZERS.items())
    # fmt: off
    option("texts", nargs="+", metavar="TEXT",
           help="UTF-8 text files, plain or .gz, which are read one after the other")
    option("--words", action="store_true", default=None,
           help="words instead of characters: the 10,000 most frequent, if there more than once")
    option("--cell", choices=CELLS, help=f"the kind of recurrent layer (default: {usual.cell})")
    option("--hidden", type=whole(1, 4096), metavar="H",
           help=f"hidden units of a layer (default: {usual.hidden})")
    option("--layers", type=whole(1, 16), metavar="N",
           help=f"recurrent layers (default: {usual.layers})")
    option("--embedding", type=whole(1, 4096), metavar="D",
           help=f"numbers that stand for a character or word (default: {usual.embedding})")
    option("--dropout", type=share, metavar="P",
           help="share of the units that are dropped in training (default: 0; 0.3, say, if the "
           "held-out loss soon goes up again)")
    option("--steps", type=whole(1, 10**4), metavar="T",
           help=f"how far the gradient goes back in time (default: {usual.steps})")
    option("--streams", type=whole(1, 4096), metavar="B",
           help=f"places of the text that are read side by side (default: {usual.streams})")
    option("--optimizer", choices=OPTIMIZERS, help=f"(default: {usual.optimizer})")
    option("--lr", type=above_0, metavar="X",
           help="the learning rate at the first update; it falls to 0 along half a cosine "
           f"(default: {rates})")
    option("--updates", type=whole(1, 10**9), metavar="N",
           help=f"how long to train (default: {UPDATES:,}, fewer for a short text)")
    option("--patience", type=whole(1, 10**9), metavar="N", default=3,
           help=f"ends the training if the held-out loss was not better for so many of the {LOOKS} "
           "times that it is looked at (default: 3)")
    option("--seed", type=whole(0), metavar="N", help="the same seed, the same model (default: 0)")
    option("--out", type=model_file, metavar="MODEL",
           help="where to save the model (default: as the text is called, here)")
    option("--resume", action="store_true",
           help="go on from the checkpoint beside MODEL, with its settings")
    # fmt: on
    parser.set_defaults(command=run)


def run(given: dict[str, Any]) -> int:
    """Run the command and return its exit status."""
    texts, out, resume = (given.pop(name) for name in ("texts", "out", "resume"))
    updates, patience = given.pop("updates"), given.pop("patience")
    chosen = {name: value for name, value in given.items() if value is not None}
    out = Path(f"{_stem(texts[0])}.npz") if out is None else out
    try:
        text = "\n".join(map(read, texts))
        spare(texts, out)
        if resume:
            chosen, planned = _settings_of(out, text, chosen)
            updates = updates or planned
        corpus = corpus_of(text, _names(texts), Settings(**chosen).unit)
        return _train(corpus, fingerprint(text), Settings(**chosen), updates, patience, out, resume)
    except (TextError, TrainingError, LoadError) as error:
        raise BadInput(str(error)) from None


def _stem(path: str) -> str:
    """What a model of a text is called: book, of books/book.txt.gz."""
    name = Path(path).name
    return name.removesuffix(".gz").removesuffix(".txt") or "model"


def _settings_of(out: Path, text: str, chosen: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """The settings of a checkpoint, and how many updates were planned.

    The text and what is chosen now have to agree with it.
    """
    saved = read_checkpoint(out)
    training = saved.extra["about"].get("training", {})
    settings = training.get("settings")
    if not isinstance(settings, dict) or set(settings) != set(asdict(Settings())):
        raise LoadError(f"{saved.path}: this is not the checkpoint of a language model's training")
    if training.get("text") != fingerprint(text):
        raise BadInput(
            f"{saved.path}: the training was begun with another text; give the same, in the same "
            "order"
        )
    for name, value in chosen.items():
        if settings[name] != value:
            raise BadInput(
                f"{saved.path}: the training was begun with {name} = {settings[name]}; it can't be "
                f"resumed with {value}"
            )
    return settings, saved.extra["planned"]


def _train(
    corpus: Corpus,
    of_the_text: str,
    settings: Settings,
    updates: int | None,
    patience: int,
    out: Path,
    resume: bool,
) -> int:
    unit = settings.unit
    if len(corpus.train) <= settings.streams:
        raise BadInput(f"{corpus.name}: too short to be read as {settings.streams} streams")
    K, N = len(corpus.vocabulary), len(corpus.train)
    rng = np.random.default_rng(settings.seed)
    model = LanguageModel(K, settings.sizes, rng)
    kind, usual_lr, options = OPTIMIZERS[settings.optimizer]
    lr = settings.lr or usual_lr
    in_a_round = chunks(N, settings.streams, settings.steps)
    updates = updates or min(UPDATES, ROUNDS * in_a_round)

    say(sentence(f"Text: {corpus.name}, {_about_text(corpus, unit)}."))
    say(sentence(f"Model: {_about_model(model, settings.sizes)}."))
    say(sentence(
        f"Training: {updates:,} updates of {settings.streams} × {settings.steps} {unit}, which is "
        f"{updates / in_a_round:.1f} times through the text."
    ))  # fmt: skip
    training = {"text": of_the_text, "settings": asdict(settings)}
    facts = about(corpus.vocabulary, settings.sizes, unit, training)
    optimizer = kind(model.parameters(), lr, **options)
    task = Reading(model, optimizer, corpus, settings.streams, settings.steps, unit, facts)
    plan = Plan(
        updates, math.ceil(updates / LOOKS), lambda n: lr * cosine(n, updates), patience=patience
    )
    try:
        log = train(task, plan, out, resume, sys.stderr)
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(f"{interrupt} (the same command with --resume)") from None
    if log[-1].updates < updates:
        say(f"It ended after {log[-1].updates:,} updates: the held-out loss got no better.")
    kept = best(log)
    say(f"Kept: the model of update {kept.updates:,}.")

    others = yardsticks(corpus.train, corpus.held_out, K)
    say(f"\nThe loss on the {len(corpus.held_out):,} {unit} held out:\n")
    say(columns(loss_table([*others, ("this model", kept.held_out_loss)], unit)))
    say("\nWhat it writes (temperature 0.8):\n")
    length = SAMPLE // 5 if settings.words else SAMPLE
    model.eval()
    pieces = write(model, corpus.vocabulary, unit, "\n", np.random.default_rng(0), 0.8)
    say(_indented(printable("".join(islice(pieces, length)))))

    remedy = _plot(log, unit, others, out)
    if remedy:
        say(f"\n{remedy}")
    picture = [] if remedy else [out.with_suffix(".png")]
    files = [out, checkpoint_path(out), log_path(out), *picture]
    say(f"\nWritten: {', '.join(map(str, files))}")
    name = shlex.quote(str(out))
    say(f"Next:    tinygrad-rnn generate {name} --prefix 'some words to begin with'")
    return 0


def _names(paths: list[str]) -> str:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{paths[0]}{more}"


def _about_text(corpus: Corpus, unit: str) -> str:
    N, M = len(corpus.train), len(corpus.held_out)
    return (
        f"{N + M:,} {unit}: the first {N:,} to learn from, {len(corpus.vocabulary.tokens):,} "
        f"different ones, and the last {M:,} held out"
    )


def _about_model(model: LanguageModel, sizes: Sizes) -> str:
    count = sum(parameter.size for parameter in model.parameters())
    layers = "1 layer" if sizes.layers == 1 else f"{sizes.layers} layers"
    return (
        f"{sizes.cell.upper()}, {layers} of {sizes.hidden} units, embeddings of "
        f"{sizes.embedding}, {count:,} parameters"
    )


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.strip("\n").split("\n"))


def _plot(log: list[Row], unit: str, others: list[tuple[str, float]], out: Path) -> str:
    """Save the picture, or return what to do to have one."""
    try:
        loss_curve(log, unit, others[2:]).savefig(out.with_suffix(".png"))
    except ImportError:
        return "There is no picture: matplotlib is not installed (pip install matplotlib)."
    except OSError as error:
        return (
            f"There is no picture: {out.with_suffix('.png')} can't be written ({error.strerror})."
        )
    return ""
