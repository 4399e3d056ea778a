"""How good a tagger is: the words that it tags right, those that it confuses, and a yardstick.

This file knows words and tags, and nothing of networks.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..text import TaggedSentence


class MostFrequentTag:
    """The yardstick: each word has the tag that it has most often in training.

    A word that is not there has the most frequent tag of all. So has, of two tags that a word has
    equally often, the one that is the more frequent of all words.
    """

    def __init__(self, sentences: Sequence[TaggedSentence]) -> None:
        every: Counter[str] = Counter(tag for sentence in sentences for tag in sentence.tags)
        of_word: dict[str, Counter[str]] = defaultdict(Counter)
        for sentence in sentences:
            for word, tag in zip(sentence.words, sentence.tags, strict=True):
                of_word[word][tag] += 1
        self.of_all = min(every, key=lambda tag: (-every[tag], tag))
        self.of_word = {
            word: min(tags, key=lambda tag: (-tags[tag], -every[tag], tag))
            for word, tags in of_word.items()
        }

    def tag(self, words: Sequence[str]) -> tuple[str, ...]:
        """The tags of a sentence."""
        return tuple(self.of_word.get(word, self.of_all) for word in words)


@dataclass(frozen=True)
class Scores:
    """What came out on a set of sentences.

    confusions: how often a word of the first tag was given the second; on equal tags it is right.
    """

    words: int
    right: int
    unknown: int  # words that training has not
    unknown_right: int
    confusions: Counter[tuple[str, str]]

    @property
    def accuracy(self) -> float:
        """The share of the words that have the right tag."""
        return self.right / self.words

    @property
    def accuracy_unknown(self) -> float | None:
        """The same of the words that training has not; None if there are none."""
        return self.unknown_right / self.unknown if self.unknown else None

    def most_confused(self, count: int = 10) -> list[tuple[str, str, int]]:
        """The most frequent confusions: the right tag, the one that was given, how often."""
        wrong = [(*pair, n) for pair, n in self.confusions.items() if pair[0] != pair[1]]
        return sorted(wrong, key=lambda row: (-row[2], row))[:count]


def score(
    sentences: Sequence[TaggedSentence],
    found: Sequence[Sequence[str]],
    known: Callable[[str], bool],
) -> Scores:
    """Compare the tags that were found with those that the sentences have.

    known: whether training has a word.
    """
    words = right = unknown = unknown_right = 0
    confusions: Counter[tuple[str, str]] = Counter()
    for sentence, given in zip(sentences, found, strict=True):
        for word, tag, other in zip(sentence.words, sentence.tags, given, strict=True):
            confusions[tag, other] += 1
            words += 1
            right += tag == other
            if not known(word):
                unknown += 1
                unknown_right += tag == other
    return Scores(words, right, unknown, unknown_right, confusions)


# -------------------------------------------------------------------------------------- for people


def accuracy_table(rows: dict[str, Scores]) -> list[list[str]]:
    """A table for `tables.columns`: the accuracy of each tagger on the same words."""
    first = next(iter(rows.values()))
    table = [["", f"all words ({first.words:,})", f"unknown words ({first.unknown:,})"]]
    for name, scores in rows.items():
        table.append([name, _percent(scores.accuracy), _percent(scores.accuracy_unknown)])
    return table


def confusion_table(scores: Scores, count: int = 10) -> list[list[str]]:
    """A table for `tables.columns`: the most frequent confusions, and their share of all errors."""
    errors = scores.words - scores.right
    rows = [["tag", "given", "times", "of all errors"]]
    for right, given, n in scores.most_confused(count):
        rows.append([right, given, f"{n:,}", _percent(n / errors)])
    return rows


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"
