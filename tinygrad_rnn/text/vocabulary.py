"""The vocabulary: tokens, which are characters or words, as classes 0 … K−1, and back.

It knows which tokens a text has, and nothing of how it was cut into them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
UNKNOWN = "\ufffd"  # the replacement character


class Vocabulary:
    """The tokens of a text, in alphabetical order, and one class for all others.

    tokens: a string, which is an iterable of characters, or words.
    least: how often a token is there at least; the rarer ones are unknown.
    most: how many tokens there are at most: the most frequent ones, and of two that are equally
        frequent the one that comes first in the alphabet.

    The last class, `unknown`, keeps the promise that whatever was not in the text has a probability
    too: what is held out, and what a user types, may have tokens that training never saw.

    >>> vocabulary = Vocabulary("banana")
    >>> len(vocabulary), vocabulary.encode("nab?")
    (4, array([2, 0, 1, 3]))
    >>> vocabulary.decode([1, 0, 2, 3])
    'ban�'
    >>> Vocabulary("the cat and the dog and the bird".split(), least=2).tokens
    ['and', 'the']
    """

    def __init__(self, tokens: Iterable[str], least: int = 1, most: int | None = None) -> None:
        counts = Counter(tokens)
        kept = sorted(token for token, count in counts.items() if count >= least)
        if most is not None:
            kept = sorted(sorted(kept, key=lambda token: -counts[token])[:most])
        self.tokens = kept
        self._ids = {token: i for i, token in enumerate(kept)}

    def __len__(self) -> int:
        return len(self.tokens) + 1

    @property
    def unknown(self) -> int:
        """The class of every token that is not in the vocabulary."""
        return len(self.tokens)

    def encode(self, tokens: Sequence[str]) -> Ids:
        """N tokens as N classes."""
        unknown, ids = self.unknown, self._ids
        return np.fromiter((ids.get(token, unknown) for token in tokens), np.int64, len(tokens))

    def look_up(self, ids: Iterable[int] | npt.NDArray[Any]) -> list[str]:
        """Classes as tokens; the unknown class is U+FFFD, the replacement character."""
        tokens = [*self.tokens, UNKNOWN]
        return [tokens[i] for i in ids]

    def decode(self, ids: Iterable[int] | npt.NDArray[Any]) -> str:
        """Classes as a text: characters one after the other. For words, see `join_words`."""
        return "".join(self.look_up(ids))
