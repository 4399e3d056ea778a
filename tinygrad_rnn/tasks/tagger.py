"""Part-of-speech tagging: a recurrent network reads a sentence, and says at each word its tag.

    words → features → embeddings x_t → states of both directions → a distribution over the tags

The inputs are those of a language model; the output at each step is a distribution over tags. A
word's tag depends on what comes after it as much as on what came before, hence the two directions.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..engine.functions import concatenate
from ..engine.record import no_grad
from ..engine.rules import cross_entropy
from ..engine.tensor import Tensor
from ..nn import Dropout, Embedding, Linear, Module
from ..nn.recurrent import CELLS
from ..optim import Adam, cosine
from ..program import compile
from ..saving import LoadError
from ..text import TaggedSentence, Vocabulary, pad, rounds
from .scores import score
from .training import Plan, Task, read_model_file

Array = npt.NDArray[Any]

KIND, VERSION = "tagger", 1  # of the files
BATCH = 32  # sentences
PADDING = -1  # the class that is none
DROPOUT = 0.4  # of embeddings and of states
WORD_DROPOUT = 0.5  # of words that training has once
SMALL = 0.1  # what embeddings start from: N(0, SMALL²)
LEARNING_RATE = 5e-3  # at the first update; it falls to 0 along half a cosine
LARGEST_GRADIENT = 5.0  # its norm


# ------------------------------------------------------------------------------ what a word is like


def suffix(word: str) -> str:
    """The last three letters, in lower case.

    >>> suffix("Walking"), suffix("a")
    ('ing', 'a')
    """
    return word[-3:].lower()


def shape(word: str) -> str:
    """Capital letters as X, other letters as x, digits as d; of the same in a row, two remain.

    >>> shape("Berlin"), shape("I"), shape("UN"), shape("don't"), shape("1,250")
    ('Xxx', 'X', 'XX', "xx'x", 'd,dd')
    """
    kinds = "".join(
        "X" if c.isupper() else "x" if c.isalpha() else "d" if c.isdigit() else c for c in word
    )
    return re.sub(r"(.)\1{2,}", r"\1\1", kinds)


class Feature(NamedTuple):
    """What is looked up of a word, in a table of embeddings."""

    of: Callable[[str], str]
    size: int  # of its embedding
    least: int  # how often training has it, or it is unknown


FEATURES = {
    "word": Feature(str, 64, 1),
    "suffix": Feature(suffix, 32, 2),
    "shape": Feature(shape, 16, 2),
}


class Lexicon:
    """What a tagger knows words and tags by: the vocabulary of each feature, and the tags.

    features: some of `FEATURES`, the word itself first.
    """

    def __init__(self, features: Mapping[str, Vocabulary], tags: Vocabulary) -> None:
        self.features = dict(features)
        self.tags = tags

    @classmethod
    def of(cls, sentences: Sequence[TaggedSentence], words_only: bool = False) -> Lexicon:
        """The lexicon of sentences to learn from."""
        words = [word for sentence in sentences for word in sentence.words]
        features = {
            name: Vocabulary(map(feature.of, words), feature.least)
            for name, feature in FEATURES.items()
            if name == "word" or not words_only
        }
        return cls(features, Vocabulary(tag for sentence in sentences for tag in sentence.tags))

    def encode(self, words: Sequence[str]) -> list[Array]:
        """A sentence of T words as T classes of each feature."""
        return [
            vocabulary.encode([FEATURES[name].of(word) for word in words])
            for name, vocabulary in self.features.items()
        ]

    def knows(self, word: str) -> bool:
        """Whether training has seen the word."""
        words = self.features["word"]
        return int(words.encode([word])[0]) != words.unknown


# ---------------------------------------------------------------------------------------- the model


class Tagger(Module):
    """A recurrent network from words to distributions over tags, by the words on both sides.

        x_t = [E_word[w_t], E_suffix[s_t], E_shape[z_t]]      embeddings, one beside the other
        h_t, … = cell(x_t, h_{t-1}, …)                        from left to right
        g_t, … = cell'(x_t, g_{t+1}, …)                       from right to left, if bidirectional
        ŷ_t = [h_t, g_t] U + b                                logits: f_y is the softmax

    y_hat = tagger(ids, lengths)

    rows: how many classes each feature has; the features are the first ones of `FEATURES`.
    ids: for each feature (T, B) integers      lengths: (B,)      y_hat: (T, B, tags)

    What stands behind the end of a sentence has no part in anything: each row is what it would be
    if its sentence were alone.
    """

    def __init__(
        self,
        rows: Sequence[int],
        tags: int,
        cell: str = "lstm",
        hidden: int = 64,
        bidirectional: bool = True,
        rng: np.random.Generator | None = None,
    ) -> None:
        if cell not in CELLS:
            raise ValueError(f"Tagger: cell={cell!r}; it is one of {', '.join(CELLS)}")
        rng = np.random.default_rng() if rng is None else rng
        sizes = [feature.size for feature in FEATURES.values()][: len(rows)]
        self.embeddings = [Embedding(n, size, rng=rng) for n, size in zip(rows, sizes, strict=True)]
        for embedding in self.embeddings:
            embedding.E.data *= SMALL  # noise is not to drown what is learnt
        self.recurrent = CELLS[cell](sum(sizes), hidden, bidirectional=bidirectional, rng=rng)
        self.output = Linear(hidden * (2 if bidirectional else 1), tags, rng=rng)
        self.dropout = Dropout(DROPOUT, rng=rng)

    def forward(self, ids: Sequence[Any], lengths: Any) -> Tensor:
        x = [embedding(i) for embedding, i in zip(self.embeddings, ids, strict=True)]
        h, _ = self.recurrent(self.dropout(concatenate(x, axis=-1)), lengths=lengths)
        y_hat: Tensor = self.output(self.dropout(h))
        return y_hat

    def training_step(self, ids: Sequence[Any], lengths: Any, tags: Any) -> Tensor:
        """The mean loss of the words of a batch, whose gradient it leaves in `.grad`.

        tags: (T, B) classes, and `PADDING` where there is no word
        """
        L: Tensor = cross_entropy(self(ids, lengths), tags, ignore_index=PADDING)
        L.backward()
        return L


def tag(
    tagger: Tagger, lexicon: Lexicon, sentences: Sequence[Sequence[str]]
) -> list[tuple[str, ...]]:
    """The likeliest tag of each word of each sentence. The tagger is set to use, by `eval()`."""
    found: list[tuple[str, ...]] = [()] * len(sentences)
    order = sorted(range(len(sentences)), key=lambda place: len(sentences[place]))
    order = [place for place in order if len(sentences[place])]
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        ids, lengths = _padded([lexicon.encode(sentences[place]) for place in places])
        with no_grad():
            likeliest = tagger(ids, lengths).data.argmax(axis=-1)
        for b, place in enumerate(places):
            found[place] = tuple(lexicon.tags.look_up(likeliest[: lengths[b], b]))
    return found


def _padded(sentences: Sequence[Sequence[Array]]) -> tuple[list[Array], Array]:
    """B sentences of F arrays (T_b,) each as F arrays (T, B), and their lengths (B,)."""
    padded = [pad(arrays) for arrays in zip(*sentences, strict=True)]
    return [ids for ids, _ in padded], padded[0][1]


# ------------------------------------------------------------------------------------------- a task


class Tagging(Task):
    """Learning to tag: the sentences, the tagger, and where its gradient comes from.

    train, held_out: what is learnt from, and what says which epoch was best.

    Words that training has once are drawn to be unknown with probability `WORD_DROPOUT`, each time
    that they come up: so the embedding of the unknown word learns what such words are like.
    """

    unit = "words"
    looked_at = "held-out errors"

    def __init__(
        self,
        train: Sequence[TaggedSentence],
        held_out: Sequence[TaggedSentence],
        cell: str = "lstm",
        hidden: int = 64,
        bidirectional: bool = True,
        words_only: bool = False,
        seed: int = 0,
    ) -> None:
        self.lexicon = lexicon = Lexicon.of(train, words_only)
        rows = [len(vocabulary) for vocabulary in lexicon.features.values()]
        sizes: dict[str, Any] = {"cell": cell, "hidden": hidden, "bidirectional": bidirectional}
        self.model: Tagger = Tagger(
            rows, len(lexicon.tags.tokens), **sizes, rng=np.random.default_rng(seed)
        )
        self.optimizer = Adam(self.model.parameters())
        self.about = {
            "kind": KIND,
            "version": VERSION,
            "sizes": sizes,
            "features": {name: v.tokens for name, v in lexicon.features.items()},
            "tags": lexicon.tags.tokens,
            "seed": seed,
            "sentences": fingerprint(train, held_out),
        }
        self.seed = seed
        self._train = [(lexicon.encode(s.words), lexicon.tags.encode(s.tags)) for s in train]
        self._held_out = held_out
        counts = Counter(word for sentence in train for word in sentence.words)
        words = lexicon.features["word"].tokens
        self._once = np.array([counts[word] == 1 for word in words] + [False])
        self._step = compile(self.model.training_step)

    @property
    def per_round(self) -> int:
        """How many batches there are in a round."""
        return -(-len(self._train) // BATCH)

    def plan(self, epochs: int) -> Plan:
        """To go through the sentences so many times, and look at those held out after each."""
        updates = epochs * self.per_round
        return Plan(
            updates, self.per_round, lambda n: LEARNING_RATE * cosine(n, updates), LARGEST_GRADIENT
        )

    def batches(self, n: int) -> Iterator[Any]:
        lengths = [len(tags) for _, tags in self._train]
        for number, places in enumerate(rounds(lengths, BATCH, self.seed, n), n):
            yield np.random.default_rng([self.seed, number, 1]), places

    def gradient(self, batch: Any) -> tuple[float, int]:
        rng, places = batch
        ids, lengths = _padded([self._train[place][0] for place in places])
        tags, _ = pad([self._train[place][1] for place in places], PADDING)
        words = ids[0]
        dropped = self._once[words] & (rng.random(words.shape) < WORD_DROPOUT)
        ids[0] = np.where(dropped, self.lexicon.features["word"].unknown, words)
        count = int(lengths.sum())
        return self._step(ids, lengths, tags).item() * count, count

    def evaluate(self) -> float:
        """The share of the held-out words that get a wrong tag: the loss that counts here.

        The cross-entropy is least some rounds earlier, and goes up while tags still get better.
        """
        words = [sentence.words for sentence in self._held_out]
        found = tag(self.model, self.lexicon, words)
        return 1 - score(self._held_out, found, self.lexicon.knows).accuracy


def fingerprint(*parts: Sequence[TaggedSentence]) -> str:
    """What tells sentences, and which part they are in, from any others: their SHA-256."""
    text = "\n\n".join("\n".join(map(str, part)) for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


# ------------------------------------------------------------------------------------------ a file


def load_tagger(path: str | os.PathLike[str]) -> tuple[Tagger, Lexicon]:
    """A tagger, set to use, from the file that training left.

    A `LoadError` says what is wrong with the file: damaged, of another kind of model, or of another
    version.
    """
    saved = read_model_file(path, KIND, VERSION)
    about = saved.extra
    try:
        features = {name: Vocabulary(tokens) for name, tokens in about["features"].items()}
        lexicon = Lexicon(features, Vocabulary(about["tags"]))
        sizes = about["sizes"]
        hidden = len(saved.parameters["recurrent.cells.0.W"])
        if list(features) != list(FEATURES)[: len(features)] or hidden != sizes["hidden"]:
            raise ValueError("features or sizes are not those of its arrays")
        rows = [len(vocabulary) for vocabulary in features.values()]
        tagger = Tagger(rows, len(lexicon.tags.tokens), **sizes)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise LoadError(f"{saved.path}: what it says of its tagger is not whole: {error}") from None
    saved.restore(tagger)
    return tagger.eval(), lexicon
