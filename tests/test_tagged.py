"""Tagged sentences: the readers of both kinds of files, what they refuse, and text into words."""

from __future__ import annotations

import configparser
import gzip
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn import text
from tinygrad_rnn.text import TaggedSentence, TextError
from tinygrad_rnn.text.tagged import SENTENCES

EWT = os.environ.get("TINYGRAD_RNN_EWT")  # a folder with train, dev and test.conllu.gz
UPOS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X"


def conllu(*rows: str) -> str:
    """Rows of ID FORM UPOS as lines of ten columns; what has no three words stays as it is."""
    lines = []
    for row in rows:
        cells = row.split(" ")
        if len(cells) == 3:
            row = "\t".join([cells[0], cells[1], "_", cells[2], *["_"] * 6])
        lines.append(row)
    return "\n".join(lines)


GOOD = conllu(
    "# text = Don't go, Ann.", "1-2 Don't _", "1 Do AUX", "2 n't PART", "3 go VERB", "4 , PUNCT",
    "4.1 you PRON", "5 Ann PROPN", "6 . PUNCT", "", "", "# next", "1 Yes INTJ", "",
)  # fmt: skip
SENTENCE = TaggedSentence(
    ("Do", "n't", "go", ",", "Ann", "."), ("AUX", "PART", "VERB", "PUNCT", "PROPN", "PUNCT")
)
YES = TaggedSentence(("Yes",), ("INTJ",))


def written(tmp_path: Path, words: str | bytes, name: str = "some.conllu") -> Path:
    data = words.encode() if isinstance(words, str) else words
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


# ----------------------------------------------------------------------------------------- CoNLL-U


@pytest.mark.parametrize("name", ["a.conllu", "a.conllu.gz"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_words_and_tags_are_read_and_the_rest_is_left_out(
    tmp_path: Path, name: str, end: str
) -> None:
    path = written(tmp_path, GOOD.replace("\n", end), name)
    assert text.read_conllu(path) == [SENTENCE, YES] == text.read_sentences(path)
    assert len(SENTENCE) == 6


def test_the_last_empty_line_may_be_missing(tmp_path: Path) -> None:
    assert text.read_conllu(written(tmp_path, conllu("1 Yes INTJ"))) == [YES]


@pytest.mark.parametrize(
    ("rows", "line", "says"),
    [
        (["1 Yes INTJ", "2\tno\t_\tINTJ"], 2, "10 columns in CoNLL-U, and here 4"),
        (["# a", "1 Yes INTJ _ _ _"], 2, "here 1; columns are separated by tabs"),
        (["1 Yes INTJ", "3 no INTJ"], 2, "the id is '3'; expected 2, or an empty line"),
        (["", "0 Yes INTJ"], 2, "the id is '0'; expected 1"),
        (["one Yes INTJ"], 1, "the id is 'one'; expected 1"),
        (["1 Yes INTJ", "1 no INTJ"], 2, "or an empty line before a new sentence"),
        (["1 Yes INTJ", "", "1 no _"], 3, "the word 'no' has no tag"),
        (["1  INTJ"], 1, "the column FORM is empty"),
        (["1 Yes "], 1, "the column UPOS is empty"),
    ],
)
def test_a_malformed_line_is_named_and_what_was_expected(
    tmp_path: Path, rows: list[str], line: int, says: str
) -> None:
    path = written(tmp_path, conllu(*rows))
    with pytest.raises(TextError) as caught:
        text.read_conllu(path)
    assert str(caught.value).startswith(f"{path}, line {line}: ")
    assert says in str(caught.value)


def test_a_line_separator_inside_a_column_ends_no_line(tmp_path: Path) -> None:
    (sentence,) = text.read_conllu(written(tmp_path, conllu("1 a\u2028b\x85c X")))
    assert sentence.words == ("a\u2028b\x85c",)


# ---------------------------------------------------------------------------------------- word/TAG


@pytest.mark.parametrize("name", ["a.txt", "a.gz", "a.conll"])
def test_the_last_slash_separates(tmp_path: Path, name: str) -> None:
    lines = "# a remark/of mine\n1/2/NUM //SYM  #/SYM\n\n\tYes/INTJ \n"
    path = written(tmp_path, lines, name)
    wanted = [TaggedSentence(("1/2", "/", "#"), ("NUM", "SYM", "SYM")), YES]
    assert text.read_tagged(path) == wanted == text.read_sentences(path)


@pytest.mark.parametrize("item", ["word", "word/", "/TAG", "/"])
def test_an_item_without_word_or_tag_is_named(tmp_path: Path, item: str) -> None:
    path = written(tmp_path, f"Yes/INTJ\nYes/INTJ {item} no/INTJ\n")
    with pytest.raises(TextError) as caught:
        text.read_tagged(path)
    assert str(caught.value) == f"{path}, line 2: expected word/TAG, not {item!r}"


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1),
            st.sampled_from(UPOS.split()),
        ),
        min_size=1,
    )
)
def test_what_is_written_is_read_again(tmp_path_factory: Any, pairs: list[tuple[str, str]]) -> None:
    sentence = TaggedSentence(*zip(*pairs, strict=True))
    path = written(tmp_path_factory.mktemp("a"), str(sentence), "a.txt")
    assert text.read_tagged(path) == [sentence]


# --------------------------------------------------------------------------------- files, both ways


@pytest.mark.parametrize("read", [text.read_conllu, text.read_tagged])
@pytest.mark.parametrize("name", ["a.conllu", "a.txt.gz"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"\n  \n# nothing\n", "no sentence in it"),
        (b"Yes\xff/INTJ", "not UTF-8"),
        (b"\0", "no text"),
    ],
)
def test_a_file_without_sentences_is_refused(
    tmp_path: Path, read: Any, name: str, content: bytes, says: str
) -> None:
    path = written(tmp_path, content, name)
    with pytest.raises(TextError, match=says) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_a_damaged_gzip_file_is_refused_at_any_length(tmp_path: Path) -> None:
    whole = gzip.compress(GOOD.encode())
    path = tmp_path / "a.conllu.gz"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(TextError, match=r"gzip file, or it is damaged|the file is empty"):
            text.read_conllu(path)
    with pytest.raises(TextError, match="no such file"):
        text.read_conllu(tmp_path / "no.conllu.gz")


# ------------------------------------------------------------------------------- our own sentences


def test_our_sentences_are_varied_and_say_whose_they_are() -> None:
    sentences = text.example_sentences()
    assert len(sentences) == len(set(sentences)) > 200
    assert {tag for s in sentences for tag in s.tags} == set(UPOS.split())
    head = SENTENCES.read_text("utf-8").partition("\n")[0]
    assert head.startswith("# Sentences written for tinygrad_rnn")
    # words that mean one thing by the guidelines
    always = {"the": "DET", "n't": "PART", "not": "PART", "of": "ADP", "and": "CCONJ", "he": "PRON"}
    for sentence in sentences:
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            assert always.get(word.lower(), tag) == tag, str(sentence)
            assert (tag == "PUNCT") == (
                not any(map(str.isalnum, word)) and tag not in ("SYM", "PART")
            )
    seen: dict[str, set[str]] = {}
    for sentence in sentences:
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            seen.setdefault(word, set()).add(tag)
    assert sum(len(tags) > 1 for tags in seen.values()) > 60  # to be told from the context


def test_our_sentences_are_part_of_the_package() -> None:
    config = configparser.ConfigParser()
    config.read(Path(__file__).parents[1] / "setup.cfg")
    files = config["options.package_data"]["tinygrad_rnn"].split()
    assert SENTENCES.relative_to(Path(text.__file__).parents[1]).as_posix() in files


# --------------------------------------------------------------------------------- text into words


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("I can't; they won't, she's n't.", "I ca n't ; they wo n't , she 's n't ."),
        ("The boys' dogs, Anna’s cat", "The boys ' dogs , Anna ’s cat"),
        ("We'll, I'm, you've, they're, he'd", "We 'll , I 'm , you 've , they 're , he 'd"),
        ("Cannot! gonna? wanna gotta", "Can not ! gon na ? wan na got ta"),
        ("DON'T y'all'd've O'Neill", "DO N'T y'all 'd 've O'Neill"),
        ("(Mr. Hill, etc.) said: “No.”", "( Mr. Hill , etc. ) said : “ No . ”"),
        ("the U.S., e.g. 9:30 a.m.", "the U.S. , e.g. 9:30 a.m."),
        ("$1,200.50 or 3% of 2nd...", "$ 1,200.50 or 3 % of 2nd ..."),
        ("well-known e-mail, non-smoker—really--", "well - known e-mail , non-smoker — really --"),
        ("see https://x.org/a?b=1. or a.b@c.org!", "see https://x.org/a?b=1 . or a.b@c.org !"),
        ("What?! No!!!", "What ?! No !!!"),
        ("  \t ", ""),
    ],
)
def test_sentences_are_cut_as_the_treebanks_have_them(sentence: str, words: str) -> None:
    assert text.tokenize(sentence) == words.split()


@given(st.text(st.sampled_from("abnst'’.-! 1,e@/c")) | st.text())
def test_what_is_cut_already_stays_and_nothing_is_lost(sentence: str) -> None:
    words = text.tokenize(sentence)
    assert "".join(words) == "".join(sentence.split())
    assert all(words)
    assert text.tokenize(" ".join(words)) == words


def test_a_word_may_have_any_length() -> None:
    words = text.tokenize("x" + "'s" * 3000)
    assert words == ["x", *["'s"] * 3000]
    for long in ("a-" * 3000 + "@", "a+" * 3000):  # no mail address, as is found out in linear time
        assert len(text.tokenize(long)) == len(long)
    assert text.tokenize(f"{'a-' * 30}b@c.org") == [f"{'a-' * 30}b@c.org"]


def test_our_own_sentences_are_cut_so() -> None:
    for sentence in text.example_sentences():
        assert tuple(text.tokenize(" ".join(sentence.words))) == sentence.words


# ----------------------------------------------------------------------------------- the real thing


@pytest.mark.skipif(not EWT, reason="TINYGRAD_RNN_EWT names no folder with UD English-EWT")
@pytest.mark.parametrize(
    ("part", "sentences", "words"),
    [("train", 12_544, 204_577), ("dev", 2_001, 25_147), ("test", 2_077, 25_094)],
)
def test_the_english_web_treebank_is_read_whole(part: str, sentences: int, words: int) -> None:
    found = text.read_conllu(Path(str(EWT)) / f"{part}.conllu.gz")
    assert (len(found), sum(map(len, found))) == (sentences, words)
    assert {tag for sentence in found for tag in sentence.tags} == set(UPOS.split())
