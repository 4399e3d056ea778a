"""tinygrad_rnn.text against brute force: vocabularies, corpora, n-gram yardsticks, generation."""

from collections import Counter
from itertools import islice
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn import text
from tinygrad_rnn.text import ngrams

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
