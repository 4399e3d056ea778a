"""The corpus: a text, read from a file or from Python itself, split for training, cut into streams.

It knows files and classes, and nothing of the models that read them. Whatever is wrong with a text
is a `TextError` that says what to do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .vocabulary import Ids, Vocabulary

SHORTEST = 1000
"""A text with fewer characters than this has nothing to teach and nothing to hold out."""


class TextError(ValueError):
    """This text can't be learned from; the message says why, and what to do."""


@dataclass(frozen=True)
class Corpus:
    """A text as classes, in two parts.

    vocabulary: that of the part to learn from.
    train, held_out: the parts, one after the other in the text, an array of classes each.
    """

    name: str
    vocabulary: Vocabulary
    train: Ids
    held_out: Ids


def split(text: str, name: str, held_out: float = 0.1) -> Corpus:
    """A text in two parts, to learn from and to test on.

    name: what messages call it.
    held_out: the fraction that is held out, at the end of the text.

    A `TextError` if the text has fewer than 1,000 characters, or one character only.
    """
    if len(text) < SHORTEST:
        raise TextError(
            f"{name}: {len(text):,} characters are too few to learn from; "
            f"give a text of {SHORTEST:,} or more"
        )
    cut = round(len(text) * (1 - held_out))
    vocabulary = Vocabulary(text[:cut])
    if len(vocabulary.characters) < 2:
        raise TextError(
            f"{name}: the text to learn from is the character {text[0]!r} over and over, so there "
            "is nothing to predict; give a text in words"
        )
    ids = vocabulary.encode(text)
    return Corpus(name, vocabulary, ids[:cut], ids[cut:])


def read(path: str | os.PathLike[str]) -> str:
    """The text of a UTF-8 file, its line ends as newlines. A `TextError` if it is not one."""
    name = os.fspath(path) or "''"
    missing = f"{name}: there is no such file; give the path of a text file"
    if not os.fspath(path):  # to Path, this is the current folder
        raise TextError(missing)
    file = Path(path)
    try:
        device = file.is_char_device() or file.is_block_device()  # it may have no end
        data = b"" if device else file.read_bytes()
    except FileNotFoundError:
        raise TextError(missing) from None
    except IsADirectoryError:
        raise TextError(f"{name}: this is a folder; give one of the text files in it") from None
    except OSError as error:
        raise TextError(f"{name}: can't be read ({error.strerror}); give another file") from None
    except ValueError:  # a NUL in the path
        raise TextError(f"{name!r}: this is no path of a file; give a text file") from None
    if device:
        raise TextError(f"{name}: this is not a text file, but a device; give a text file")
    if not data:
        raise TextError(f"{name}: the file is empty; give a text of {SHORTEST:,} characters")
    if b"\0" in data:
        raise TextError(
            f"{name}: this is no text: byte {data.index(0):,} is zero; give a UTF-8 text file"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TextError(
            f"{name}: this is not UTF-8: byte 0x{data[error.start]:02x} at {error.start:,}; "
            "save it as UTF-8 (iconv -t utf-8 converts)"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def language_reference() -> str:
    """Python's language reference, as `help()` has it: some 370,000 characters of English.

    Its topics quote one another at length. A paragraph is taken once, where it comes first, so that
    nothing in the held-out part has been read before.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise TextError(
            "this Python comes without its language reference (pydoc_data); give a text file"
        ) from None
    paragraphs = "\n\n".join(topics[name] for name in sorted(topics)).split("\n\n")
    return "\n\n".join(dict.fromkeys(paragraphs))


def walk(ids: Ids, streams: int, steps: int) -> Iterator[tuple[bool, Ids, Ids]]:
    """Read a text as B streams side by side, T steps at a time, over and over.

    The text is cut into B pieces of one length; at most B−1 characters at its end are left out.
    Yields (first, xs, ys): xs (T, B), and ys (T, B) one character later. Each stream goes on where
    the chunk before left it, so a state may be carried over, except when `first` says that the text
    begins again. The last chunk of a round may be shorter.

    >>> import numpy as np
    >>> for first, xs, ys in walk(np.arange(11), streams=2, steps=3):
    ...     print(first, xs.tolist(), ys.tolist())
    ...     if not first:
    ...         break
    True [[0, 5], [1, 6], [2, 7]] [[1, 6], [2, 7], [3, 8]]
    False [[3, 8], [4, 9]] [[4, 9], [5, 10]]
    """
    length = (len(ids) - 1) // streams
    if length < 1:
        raise ValueError(f"walk: {len(ids)} characters can't be cut into {streams} streams")
    xs = ids[: streams * length].reshape(streams, length).T
    ys = ids[1 : streams * length + 1].reshape(streams, length).T
    while True:
        for t in range(0, length, steps):
            yield t == 0, xs[t : t + steps], ys[t : t + steps]
