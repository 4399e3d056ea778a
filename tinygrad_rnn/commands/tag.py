"""`tinygrad-rnn tag`."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from ..nn.recurrent import CELLS
from ..saving import LoadError
from ..tables import columns, say, sentence
from ..tasks import tagger_plots as plots
from ..tasks.scores import MostFrequentTag, Scores, accuracy_table, confusion_table, score
from ..tasks.tagger import Tagging, load_tagger, tag
from ..tasks.training import Row, TrainingError, best, checkpoint_path, log_path, train
from ..text import TaggedSentence, TextError, example_sentences, read_sentences, tokenize
from .options import BadInput, file, model_file, printable, spare, subparser, whole

DESCRIPTION = """\
Train a part-of-speech tagger, a recurrent network that reads a sentence in both
directions, or tag sentences with it:

  tinygrad-rnn tag --train                      on 218 sentences of this package
  tinygrad-rnn tag --train train.conllu --dev dev.conllu --test test.conllu
  tinygrad-rnn tag --model tagger.npz "Don't watch the old clock."
  tinygrad-rnn tag --model tagger.npz < sentences.txt > tagged.txt

Files are CoNLL-U by their name (.conllu, .conllu.gz), such as those of Universal
Dependencies, or else lines of word/TAG word/TAG … (.gz, too). Sentences to tag
are cut into words as the English treebanks have them: do n't, Hill 's.
"""

EPOCHS = 10  # by default, or more, if these are fewer updates than
UPDATES = 300
AT_ONCE = 512  # lines to tag
COLOURS = {  # of a terminal
    "34": "NOUN PROPN PRON NUM",
    "31": "VERB AUX",
    "32": "ADJ ADV",
    "35": "ADP SCONJ CCONJ DET PART",
    "33": "INTJ SYM X",
    "2": "PUNCT",
}
COLOUR_OF = {name: code for code, names in COLOURS.items() for name in names.split()}


def add(commands: Any) -> None:
    """Add the command to a parser's."""
    parser = subparser(commands, "tag", "train a part-of-speech tagger, or tag", DESCRIPTION)
    parser.argument_default = argparse.SUPPRESS
    # fmt: off
    parser.add_argument("sentences", nargs="*", metavar="SENTENCE", default=[],
                        help="a sentence to tag (default: the lines of standard input)")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--train", type=file, nargs="?", const=None, metavar="FILE",
                       help="train on tagged sentences (default: those of this package)")
    which.add_argument("--model", type=file, metavar="MODEL", help="tag with a trained model")
    training = parser.add_argument_group("for training")
    option = training.add_argument
    option("--dev", type=file, metavar="FILE",
           help="sentences that say which epoch was best (default: every tenth of those to "
           "train on, held out)")
    option("--test", type=file, metavar="FILE",
           help="sentences that it is measured on in the end (default: those held out)")
    option("--cell", choices=CELLS, help="the kind of recurrent layer (default: lstm)")
    option("--hidden", type=whole(1, 4096), metavar="H",
           help="the number of hidden units in each direction (default: 64)")
    option("--one-direction", action="store_true", help="read from left to right only")
    option("--words-only", action="store_true",
           help="don't look at the last letters of words, nor at capitals and digits")
    option("--epochs", type=whole(1, 10**6), metavar="N",
           help=f"rounds through the sentences (default: {EPOCHS}, more if they are few)")
    option("--seed", type=whole(0), metavar="N", help="the same seed, the same tagger (default: 0)")
    option("--out", type=model_file, metavar="MODEL",
           help="where to save it (default: tagger.npz)")
    option("--resume", action="store_true",
           help="go on from the checkpoint beside MODEL; the other options as before")
    # fmt: on
    parser.set_defaults(command=run)


def run(given: dict[str, Any]) -> int:
    """Run the command and return its exit status."""
    sentences = given.pop("sentences")
    try:
        if "train" in given:
            if sentences:
                raise BadInput(f"--train takes one FILE; what is {sentences[0]!r:.40}?")
            _train(given.pop("train"), **given)
        else:
            model = given.pop("model")
            if given:
                name = next(iter(given)).replace("_", "-")
                raise BadInput(f"--{name} is for --train; a model has been trained already")
            _tag(model, sentences)
    except (TextError, LoadError, TrainingError) as error:
        raise BadInput(str(error)) from None
    return 0


# ---------------------------------------------------------------------------------------- to train


def _train(
    path: Path | None,
    dev: Path | None = None,
    test: Path | None = None,
    cell: str = "lstm",
    hidden: int = 64,
    one_direction: bool = False,
    words_only: bool = False,
    epochs: int | None = None,
    seed: int = 0,
    out: Path = Path("tagger.npz"),
    resume: bool = False,
) -> None:
    sentences, held_out, where = _divided(path, dev)
    tested = held_out if test is None else read_sentences(test)
    spare(filter(None, (path, dev, test)), out)
    task = Tagging(sentences, held_out, cell, hidden, not one_direction, words_only, seed)
    epochs = max(EPOCHS, -(-UPDATES // task.per_round)) if epochs is None else epochs
    tags = len(task.lexicon.tags.tokens)
    say(
        sentence(
            f"Training: {_about(sentences)}, {tags} tags; held out: {_about(held_out)}{where}."
        )
    )
    directions = "one direction" if one_direction else "both directions"
    looks = "words" if words_only else "words, last letters and shapes"
    count = sum(parameter.size for parameter in task.model.parameters())
    say(
        sentence(
            f"Tagger: {cell.upper()}, {hidden} units, {directions}; {looks}; {count:,} parameters."
        )
    )
    try:
        log = train(task, task.plan(epochs), out, resume, sys.stderr)
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(f"{interrupt} (the same command with --resume)") from None
    kept, seconds = best(log).updates // task.per_round, log[-1].seconds
    say(f"Trained: {epochs} epochs in {seconds:,.0f} s; the model is that of epoch {kept}.")

    lexicon = task.lexicon
    words = [sentence.words for sentence in tested]
    yardstick = MostFrequentTag(sentences)
    found = score(tested, tag(task.model.eval(), lexicon, words), lexicon.knows)
    counted = score(tested, [yardstick.tag(sentence) for sentence in words], lexicon.knows)
    say(f"\nMeasured on {_about(tested)}{f' of {test}' if test else ', those held out'}:")
    if test is None:
        say("(They chose the epoch, too, which makes this look better; --test takes others.)")
    say("")
    say(columns(accuracy_table({"most frequent tag": counted, "tagger": found})))
    if found.right < found.words:
        say("\nThe most frequent confusions:\n")
        say(columns(confusion_table(found)))
    _say_unseen(tested, lexicon.tags.tokens)
    files = [out, checkpoint_path(out), log_path(out)]
    files += _plot(found, log, task.per_round, out)
    say(f"\nWritten: {', '.join(map(str, files))}")
    say(f"Next:    tinygrad-rnn tag --model {shlex.quote(str(out))} 'A sentence to tag.'")


def _divided(
    path: Path | None, dev: Path | None
) -> tuple[list[TaggedSentence], list[TaggedSentence], str]:
    """The sentences to learn from, those held out, and a remark on where these are from."""
    sentences = example_sentences() if path is None else read_sentences(path)
    what = "the sentences of this package" if path is None else path
    if len({name for sentence in sentences for name in sentence.tags}) < 2:
        raise BadInput(
            f"{what}: every word has the tag {sentences[0].tags[0]}, so there is nothing to learn"
        )
    if dev is not None:
        return sentences, read_sentences(dev), f" of {dev}"
    if len(sentences) < 2:
        raise BadInput(f"{what}: of one sentence none can be held out; give more, or --dev FILE")
    if len(sentences) < 10:
        return sentences[:-1], sentences[-1:], ", the last"
    kept = [sentence for place, sentence in enumerate(sentences, 1) if place % 10]
    return kept, sentences[9::10], ", every tenth"


def _about(sentences: Sequence[TaggedSentence]) -> str:
    plural = "" if len(sentences) == 1 else "s"
    return f"{len(sentences):,} sentence{plural}, {sum(map(len, sentences)):,} words"


def _say_unseen(sentences: Iterable[TaggedSentence], known: Sequence[str]) -> None:
    """Name the tags that can't be found, because training never has them."""
    tags = Counter(name for sentence in sentences for name in sentence.tags if name not in known)
    if tags:
        listed = ", ".join(f"{name} ({count:,})" for name, count in sorted(tags.items()))
        say(f"\nTraining never has these tags, so that their words count as wrong: {listed}")


def _plot(found: Scores, log: list[Row], per_round: int, out: Path) -> list[Path]:
    """Save the pictures; returns their paths."""
    figures: dict[str, Callable[[], Any]] = {
        "confusions": lambda: plots.confusion_figure(found),
        "progress": lambda: plots.progress_figure(log, per_round),
    }
    paths = []
    try:
        for name, figure in figures.items():
            path = out.with_suffix(f".{name}.png")
            figure().savefig(path)
            paths.append(path)
    except ImportError:
        say("\nThere are no pictures: matplotlib is not installed (pip install matplotlib).")
    except OSError as error:
        say(f"\nThere are no more pictures: {path} can't be written ({error.strerror}).")
    return paths


# ------------------------------------------------------------------------------------------ to tag


def _tag(model: Path, sentences: list[str]) -> None:
    tagger, lexicon = load_tagger(model)
    if not all(map(str.strip, sentences)):
        raise BadInput("the sentence is empty; give some words to tag")
    for group in [sentences] if sentences else _groups_of_lines():
        words = [tuple(tokenize(line)) for line in group]
        for some, tags in zip(words, tag(tagger, lexicon, words), strict=True):
            say(_shown(TaggedSentence(some, tags)))


def _groups_of_lines() -> Iterator[list[str]]:
    """The lines of standard input: from a terminal as they come, else many at once."""
    if sys.stdin is None:
        raise BadInput("there is no standard input; give a sentence to tag")
    if sys.stdin.isatty():
        print("Type a sentence a line; Ctrl-D ends.", file=sys.stderr)
    with suppress(AttributeError):
        sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    while group := list(islice(sys.stdin, 1 if sys.stdin.isatty() else AT_ONCE)):
        yield group


def _shown(sentence: TaggedSentence) -> str:
    """word/TAG word/TAG …, as it can be read again; in a terminal that has them, in colours."""
    if not sys.stdout.isatty():
        return str(sentence)
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    pairs = zip(map(printable, sentence.words), sentence.tags, strict=True)
    return " ".join(f"{word}/{name if plain else _coloured(name)}" for word, name in pairs)


def _coloured(name: str) -> str:
    return f"\x1b[{COLOUR_OF.get(name, '36')}m{name}\x1b[0m"
