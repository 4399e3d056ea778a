"""Running text as words, and words as running text again.

A token is a word, a punctuation mark or the end of a line:

    “It's well-known,” he said.     “  It's  well-known  ,  ”  he  said  .  ⏎

- A word is a run of letters and digits; apostrophes and hyphens inside it belong to it.
- Every other character that is no blank is a token of its own.
- The end of a line is the token "\\n". Other blanks are forgotten.

Case is kept: `The` and `the` are two words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_TOKEN = re.compile(r"\n|[^\W_]+(?:['’-][^\W_]+)*|[^\w\s]|_")
_CLOSING = set(".,;:!?)]}”’…%\n")  # no blank before
_OPENING = set("([{“‘\n")  # no blank behind
_QUOTES = set("\"'")  # opening, then closing, and so on


def split_words(text: str) -> list[str]:
    """The tokens of a text.

    >>> split_words("He said:\\n  it's a well-known (and old) one.")
    ['He', 'said', ':', '\\n', "it's", 'a', 'well-known', '(', 'and', 'old', ')', 'one', '.']
    """
    return _TOKEN.findall(text)


def spaced(tokens: Iterable[str]) -> Iterator[str]:
    """The tokens with the blanks between them: each token as it comes, behind its blank if any.

    Punctuation stands as it does in English. Of straight quotes, every second one is a closing one.
    """
    opened: set[str] = set()  # quotes
    tight = True  # no blank before what comes next
    for token in tokens:
        closes, opens = token in _CLOSING, token in _OPENING
        if token in _QUOTES:
            closes, opens = token in opened, token not in opened
            opened ^= {token}
        yield token if tight or closes else f" {token}"
        tight = opens


def join_words(tokens: Iterable[str]) -> str:
    """Tokens as a text.

    >>> join_words(split_words('He said: "it is (as  we know)  so."'))
    'He said: "it is (as we know) so."'
    """
    return "".join(spaced(tokens))
