"""The vocabulary: characters as classes 0 … K−1, and back.

It knows which characters a text has, and nothing of how often or in which order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]


class Vocabulary:
    """The characters of a text, in the order of their code points, and one class for all others.

    The last class, `unknown`, keeps the promise that whatever was not in the text has a probability
    too: what is held out, and what a user types, may have characters that training never saw.

    >>> vocabulary = Vocabulary("banana")
    >>> len(vocabulary), vocabulary.encode("nab?")
    (4, array([2, 0, 1, 3]))
    >>> vocabulary.decode([1, 0, 2, 3])
    'ban�'
    """

    def __init__(self, text: str) -> None:
        self.characters = "".join(sorted(set(text)))
        self._points = _code_points(self.characters)

    def __len__(self) -> int:
        return len(self.characters) + 1

    @property
    def unknown(self) -> int:
        """The class of every character that is not in the vocabulary."""
        return len(self.characters)

    def encode(self, text: str) -> Ids:
        """A text of N characters as N classes."""
        points = _code_points(text)
        ids = np.searchsorted(self._points, points)
        known = np.append(self._points, -1)[ids] == points
        return np.where(known, ids, self.unknown)

    def decode(self, ids: Iterable[int] | npt.NDArray[Any]) -> str:
        """Classes as a text; the unknown class is U+FFFD, the replacement character."""
        return "".join((self.characters + "\ufffd")[i] for i in ids)


def _code_points(text: str) -> Ids:
    # a command line may hold lone surrogates, which stand for bytes that are no text
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.int64)
