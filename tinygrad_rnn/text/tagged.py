"""Tagged sentences: words with their parts of speech, from two kinds of files; and sentences cut
into words as those files have them.

It knows files, words and tags, and nothing of the models that read them. Whatever is wrong with a
file is a `TextError` that names the file and the line, and says what was expected.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from .corpus import TextError, read

COLUMNS = 10  # of CoNLL-U
SENTENCES = Path(__file__).parent / "sentences.txt"


@dataclass(frozen=True)
class TaggedSentence:
    """Words, and as many tags. As a string it is `word/TAG word/TAG …`, as `read_tagged` reads."""

    words: tuple[str, ...]
    tags: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.words)

    def __str__(self) -> str:
        return " ".join(f"{w}/{tag}" for w, tag in zip(self.words, self.tags, strict=True))


# ------------------------------------------------------------------------------------------ readers


def read_conllu(path: str | os.PathLike[str]) -> list[TaggedSentence]:
    """The sentences of a CoNLL-U file, plain or .gz: the columns FORM and UPOS.

    Comments, ranges of words that are written as one (1-2) and empty nodes (1.1) are left out. A
    `TextError` names the line that is not as the format has it.

    https://universaldependencies.org/format.html
    """
    sentences = []
    words: list[str] = []
    tags: list[str] = []
    for number, line in enumerate([*read(path).split("\n"), ""], 1):
        where = f"{os.fspath(path)}, line {number}"
        if line.startswith("#"):
            continue
        if not line.strip():
            if words:
                sentences.append(TaggedSentence(tuple(words), tuple(tags)))
            words, tags = [], []
            continue
        columns = line.split("\t")
        if len(columns) != COLUMNS:
            spaces = "; columns are separated by tabs" if "\t" not in line else ""
            raise TextError(
                f"{where}: there are {COLUMNS} columns in CoNLL-U, and here {len(columns)}{spaces}"
            )
        place, form, _, tag, *_ = columns
        if re.fullmatch(r"\d+-\d+|\d+\.\d+", place):
            continue
        if place != str(len(words) + 1):
            new = ", or an empty line before a new sentence" if words else ""
            raise TextError(f"{where}: the id is {place!r:.40}; expected {len(words) + 1}{new}")
        for what, column in (("FORM", form), ("UPOS", tag)):
            if not column.strip():
                raise TextError(f"{where}: the column {what} is empty; expected a word or a tag")
        if tag == "_":
            raise TextError(
                f"{where}: the word {form!r:.40} has no tag (UPOS is _); expected one like NOUN"
            )
        words.append(form)
        tags.append(tag)
    return _some(sentences, path)


def read_tagged(path: str | os.PathLike[str]) -> list[TaggedSentence]:
    """The sentences of a file of lines `word/TAG word/TAG …`, plain or .gz.

    The last slash of each item separates, so that 1/2/NUM is a number. Empty lines and those that
    begin with "# " are left out. A `TextError` names the line and the item that has no tag.
    """
    sentences = []
    for number, line in enumerate(read(path).split("\n"), 1):
        if line.startswith("# ") or not line.strip():
            continue
        words, tags = [], []
        for item in line.split():
            word, _, tag = item.rpartition("/")
            if not word or not tag:
                where = f"{os.fspath(path)}, line {number}"
                raise TextError(f"{where}: expected word/TAG, not {item!r:.40}")
            words.append(word)
            tags.append(tag)
        sentences.append(TaggedSentence(tuple(words), tuple(tags)))
    return _some(sentences, path)


def _some(sentences: list[TaggedSentence], path: str | os.PathLike[str]) -> list[TaggedSentence]:
    if not sentences:
        raise TextError(f"{os.fspath(path)}: there is no sentence in it")
    return sentences


def read_sentences(path: str | os.PathLike[str]) -> list[TaggedSentence]:
    """`read_conllu` of a .conllu or .conllu.gz file, else `read_tagged`."""
    name = os.fspath(path).removesuffix(".gz")
    return read_conllu(path) if name.endswith(".conllu") else read_tagged(path)


def example_sentences() -> list[TaggedSentence]:
    """The sentences that come with this package, some two hundred, written and tagged for it.

    For a first try, and for tests: there is nothing to download. The tags are the universal ones,
    by the guidelines of Universal Dependencies for English.
    """
    return read_tagged(SENTENCES)


# --------------------------------------------------------------------------------- text into words

_CLITIC = re.compile(r"(.+)(n['’]t|['’](?:s|m|d|re|ve|ll))", re.IGNORECASE)
_FUSED = re.compile(r"(can)(not)|(gon|wan)(na)|(got)(ta)", re.IGNORECASE)
_PREFIXES = "anti|co|e|ex|mid|multi|non|post|pre|re|semi|sub|un"
_TOKEN = re.compile(
    rf"""
      (?:https?://|www\.)\S*[\w/]                           # an address
    | [\w.+-]{{1,64}}@\w[\w-]*(?:\.\w[\w-]*)+  # as much as RFC 5321 allows
    | (?:[^\W\d_]\.){{2,}}                                  # U.S., e.g.
    | (?:mr|mrs|ms|dr|prof|st|jr|sr|vs|etc|inc|co|ltd)\.(?!\w)
    | ['’](?:s|m|d|re|ve|ll)(?![\w'’-])                     # a clitic that stands alone
    | \d+(?:[.,:]\d+)+
    | (?:(?:{_PREFIXES})-)?\w+(?:['’]\w+)*
    | \.{{2,}} | -{{2,}} | [!?]{{2,}}
    | \S
    """,
    re.IGNORECASE | re.VERBOSE,
)


def tokenize(sentence: str) -> list[str]:
    """A sentence as words, cut as the English treebanks of Universal Dependencies have them.

    Punctuation is a word of its own. Dots in a row are one word, and so are dashes, ! and ?.
    Abbreviations (Mr., U.S.), numbers (1,000 9:30) and addresses keep what they have inside.

    n't, 's, 'm, 'd, 're, 've and 'll are words of their own, and so are the parts of cannot, gonna,
    wanna and gotta; and those of what has a hyphen, except behind prefixes (e-mail, non-smoker).

    It knows no more than these rules. Words that are apart already stay as they are.

    >>> " ".join(tokenize("Don't worry: it's Mr. Hill's well-known café (open 9:30-18:00)!"))
    "Do n't worry : it 's Mr. Hill 's well - known café ( open 9:30 - 18:00 ) !"
    """
    return [word for token in _TOKEN.findall(sentence) for word in _parts(token)]


def _parts(token: str) -> list[str]:
    ends = []  # the last one first
    while not (fused := _FUSED.fullmatch(token)) and (clitic := _CLITIC.fullmatch(token)):
        token, end = clitic.groups()
        ends.append(end)
    starts = [part for part in fused.groups() if part] if fused else [token]
    return starts + ends[::-1]
