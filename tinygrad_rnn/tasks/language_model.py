"""Language modelling: at each token of a text, a distribution over the next one.

The tokens are characters or words. What is learnt is a text; what the model is good for is to say
how likely a text is, and to write one.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import optim
from ..engine.record import no_grad
from ..engine.rules import cross_entropy
from ..engine.tensor import Tensor
from ..nn import Dropout, Embedding, Linear, Module
from ..nn.init import generator
from ..nn.recurrent import CELLS
from ..program import compile
from ..saving import LoadError
from ..text import (
    Corpus,
    Vocabulary,
    best_k,
    chunks,
    generate,
    kneser_ney_loss,
    ngram_loss,
    spaced,
    split,
    split_words,
    walk,
)
from ..text.vocabulary import Ids
from .training import Task, read_model_file

Array = npt.NDArray[Any]

KIND, VERSION = "language model", 1
OPTIMIZERS: dict[str, tuple[Any, float, dict[str, Any]]] = {  # and the learning rate to begin with
    "adam": (optim.Adam, 0.004, {}),
    "rmsprop": (optim.RMSprop, 0.002, {}),
    "adagrad": (optim.Adagrad, 0.05, {}),
    "sgd": (optim.SGD, 0.5, {"momentum": 0.9}),
}
LEAST = 2  # times that a word is there; the rarer ones teach what an unknown word is like
MOST = 10_000  # words in a vocabulary
AT_ONCE = 32  # streams in which a text is read to be predicted
SHORTEST_STREAM = 1000  # tokens
WARM_UP = 64  # tokens that a stream reads before its own
AT_A_TIME = 64  # tokens


# --------------------------------------------------------------------------------------- the model


@dataclass(frozen=True)
class Sizes:
    """What a model is made of, beside its vocabulary."""

    cell: str = "gru"
    hidden: int = 256
    layers: int = 1
    embedding: int = 64
    dropout: float = 0.0


class LanguageModel(Module):
    """A recurrent network that reads tokens and predicts, at each of them, the next.

        x_t = E[token_t]                    embedding: E (K, D)
        h_t, … = cell(x_t, h_{t-1}, …)      one layer or more of an RNN, LSTM or GRU
        ŷ_t = h_t U + b                     logits: U (H, K), b (K,)

    y_hat, state = model(ids, state)

    ids: (T, B) integers in 0 … K−1          y_hat: (T, B, K)
    state, before and after: as the recurrent layers have it; `initial_state` is 0

    Dropout is of the embeddings, between the layers, and of what goes to the output: Zaremba,
    Sutskever, Vinyals 2014, arXiv 1409.2329, section 3.1.
    """

    def __init__(self, K: int, sizes: Sizes, rng: np.random.Generator | None = None) -> None:
        if sizes.cell not in CELLS:
            raise ValueError(f"LanguageModel: cell={sizes.cell!r}; it is one of {', '.join(CELLS)}")
        rng = generator(rng)
        cell, D, H = CELLS[sizes.cell], sizes.embedding, sizes.hidden
        self.embedding = Embedding(K, D, rng=rng)
        self.recurrent = cell(D, H, sizes.layers, dropout=sizes.dropout, rng=rng)
        self.output = Linear(H, K, rng=rng)
        self.dropout = Dropout(sizes.dropout, rng=rng)

    def forward(self, ids: Any, state: Any) -> tuple[Tensor, Any]:
        x = self.dropout(self.embedding(ids))
        h, state = self.recurrent(x, state)
        return self.output(self.dropout(h)), state

    def training_step(self, xs: Any, ys: Any, *state: Any) -> tuple[Tensor, ...]:
        """The mean loss of predicting ys (T, B) from xs (T, B), and the next state, in its parts.

        The gradient of the loss is left in `.grad`.
        """
        y_hat, following = self(xs, _whole(state))
        L = cross_entropy(y_hat, ys)
        L.backward()
        return L, *_parts(following)

    def initial_state(self, B: int) -> Any:
        """0 for all layers: (layers, B, H), or of an LSTM two of them."""
        cells = self.recurrent.cells
        start = cells[0].initial_state(B)
        if isinstance(start, tuple):
            return tuple(Tensor(np.stack([part.data] * len(cells))) for part in start)
        return Tensor(np.stack([start.data] * len(cells)))


# ------------------------------------------------------------------------------------ its training


class Reading(Task):
    """A language model learns from a text, read as streams side by side.

    From one chunk of `steps` tokens to the next the state is carried over and its history is cut
    off: truncated backpropagation through time. The training step is a derived program.
    """

    model: LanguageModel

    def __init__(
        self,
        model: LanguageModel,
        optimizer: optim.Optimizer,
        corpus: Corpus,
        streams: int,
        steps: int,
        unit: str,
        about: dict[str, Any],
    ) -> None:
        self.model, self.optimizer, self.about, self.unit = model, optimizer, about, unit
        self.corpus, self.streams, self.steps = corpus, streams, steps
        self._state = _parts(model.initial_state(streams))
        self._step = compile(model.training_step)

    def batches(self, n: int) -> Iterator[tuple[bool, Ids, Ids]]:
        ids = self.corpus.train
        in_a_round = chunks(len(ids), self.streams, self.steps)
        return islice(walk(ids, self.streams, self.steps), n % in_a_round, None)

    def gradient(self, batch: tuple[bool, Ids, Ids]) -> tuple[float, int]:
        first, xs, ys = batch
        if first:
            self._state = _parts(self.model.initial_state(self.streams))
        L, *state = self._step(xs, ys, *self._state)
        self._state = [part.detach() for part in state]
        return L.item() * ys.size, ys.size

    def evaluate(self) -> float:
        return mean_loss(self.model, self.corpus.train, self.corpus.held_out)

    @property
    def carried(self) -> Any:
        """The state of each stream."""
        return [part.data.tolist() for part in self._state]

    @carried.setter
    def carried(self, value: Any) -> None:
        likes = _parts(self.model.initial_state(self.streams))
        self._state = [
            Tensor(np.array(part, like.dtype).reshape(like.shape))
            for part, like in zip(value, likes, strict=True)
        ]


def _parts(state: Any) -> list[Tensor]:
    """A state as a list: of an LSTM, it is a tuple."""
    return list(state) if isinstance(state, tuple) else [state]


def _whole(parts: Any) -> Any:
    """What `_parts` came from."""
    return tuple(parts) if len(parts) > 1 else parts[0]


def tokens_of(text: str, unit: str) -> str | list[str]:
    """A text as what a model reads: characters, or words."""
    return split_words(text) if unit == "words" else text


def corpus_of(text: str, name: str, unit: str) -> Corpus:
    """A text to learn from, its last tenth held out; a `TextError` if it is too short."""
    if unit == "words":
        return split(split_words(text), name, least=LEAST, most=MOST)
    return split(text, name)


# ------------------------------------------------------------------------------- how good it is


def mean_loss(model: LanguageModel, before: Ids, text: Ids) -> float:
    """The mean of −log p over a text, each token of it predicted once, in nats.

    before: what stands before it, one token or more.

    The text is read as some streams side by side. Each of them reads 64 tokens before its own,
    where there are so many, and begins with the state that they leave.
    """
    N = len(text)
    whole = np.concatenate([before[-WARM_UP - 1 :], text])
    first = len(whole) - N - 1  # what is read to predict text[0]
    B = max(1, min(AT_ONCE, N // SHORTEST_STREAM))
    length = math.ceil(N / B)
    starts = np.linspace(0, N - length, B).round().astype(int)
    losses = np.empty(N)
    with no_grad():
        reading = first + starts - np.arange(WARM_UP, 0, -1)[:, None]
        missing = max(0, WARM_UP - first)  # of what the first stream would read
        state = model.initial_state(B)
        for before_it in (reading[:missing], reading[missing:]):
            for part in _parts(state):
                part.data[:, 0] = 0  # it has read nothing yet
            if len(before_it):
                _, state = model(whole[np.maximum(before_it, 0)], state)
        for t in range(0, length, AT_A_TIME):
            at = starts + np.arange(t, min(t + AT_A_TIME, length))[:, None]
            y_hat, state = model(whole[first + at], state)
            losses[at] = cross_entropy(y_hat, whole[first + at + 1], reduction="none").data
    return float(losses.mean())


def yardsticks(train: Ids, text: Ids, K: int) -> list[tuple[str, float]]:
    """The losses of models that count: names and nats, over a text that follows the training's."""
    rows = []
    for n, name in enumerate(("uniform", "unigram", "bigram", "trigram")):
        k = best_k(train, n, K)
        smoothed = f"{name}, add {k:g}" if n else name
        rows.append((smoothed, ngram_loss(train, text, n, K, k)))
    return [*rows, ("5-gram, Kneser-Ney", kneser_ney_loss(train, text, 5, K))]


def loss_table(rows: list[tuple[str, float]], unit: str) -> list[list[str]]:
    """The rows of a table of losses, its head first: of characters in bits, of words perplexities.

    The perplexity is exp(loss): among so many words, all equally likely, one would be as unsure.
    """
    one = unit.removesuffix("s")
    if unit == "words":
        cells = [[name, f"{loss:.3f}", f"{np.exp(loss):,.1f}"] for name, loss in rows]
        return [["model", f"nats per {one}", "perplexity"], *cells]
    cells = [[name, f"{loss:.3f}", f"{loss / math.log(2):.3f}"] for name, loss in rows]
    return [["model", f"nats per {one}", f"bits per {one}"], *cells]


# --------------------------------------------------------------------------------- what it writes


def write(
    model: LanguageModel,
    vocabulary: Vocabulary,
    unit: str,
    prefix: str,
    rng: np.random.Generator,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Iterator[str]:
    """What a model writes after a prefix, piece by piece and without end.

    temperature, top_k, top_p: see `text.distribution`.

    A piece is a character, or a word with the blank before it. The unknown class is never drawn:
    there is no character and no word to write for it. What of the prefix is unknown is read as
    such.
    """
    tokens = tokens_of(prefix, unit) or "\n"

    def step(c: int, state: Any) -> tuple[Array, Any]:
        with no_grad():
            y_hat, state = model(np.array([[c]]), state)
        logits = y_hat.data[0, 0].copy()
        logits[vocabulary.unknown] = -np.inf
        return logits, state

    read = vocabulary.encode(tokens)
    drawn = generate(step, model.initial_state(1), read, temperature, rng, top_k, top_p)
    written = (vocabulary.tokens[c] for c in drawn)
    if unit == "words":
        return islice(spaced(chain(tokens, written)), len(tokens), None)
    return written


# ---------------------------------------------------------------------------------------- its file


def about(vocabulary: Vocabulary, sizes: Sizes, unit: str, training: dict[str, Any]) -> Any:
    """What is in a model's file beside its parameters."""
    return {
        "kind": KIND,
        "version": VERSION,
        "unit": unit,
        "vocabulary": vocabulary.tokens,
        "sizes": asdict(sizes),
        "training": training,
    }


def fingerprint(text: str) -> str:
    """What tells a text from any other: its SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read_model(path: str | os.PathLike[str]) -> tuple[LanguageModel, Vocabulary, dict[str, Any]]:
    """A model, its vocabulary, and what else its file says; the model is set to use.

    A `LoadError` says what is wrong with the file, or that it is of something else.
    """
    saved = read_model_file(path, KIND, VERSION)
    extra = saved.extra
    try:
        vocabulary = Vocabulary(map(str, extra["vocabulary"]))
        if vocabulary.tokens != extra["vocabulary"] or extra["unit"] not in ("characters", "words"):
            raise ValueError("its vocabulary is none")
        if not isinstance(extra["training"], dict):
            raise ValueError("how it was trained is missing")
        sizes = Sizes(**extra["sizes"])
        _check_sizes(sizes, saved.parameters)
        model = LanguageModel(len(vocabulary), sizes)
    except (KeyError, TypeError, ValueError) as error:
        raise LoadError(
            f"{saved.path}: this is no language model that can be made: {error}"
        ) from None
    saved.restore(model)
    return model.eval(), vocabulary, extra


def _check_sizes(sizes: Sizes, parameters: dict[str, Array]) -> None:
    """A ValueError if they are not those of the arrays: what is claimed may fit into no memory."""
    *_, D = parameters["embedding.E"].shape
    H, *_ = parameters["output.U"].shape
    cells = {name.split(".")[2] for name in parameters if name.startswith("recurrent.cells.")}
    for name, number in (("embedding", D), ("hidden", H), ("layers", len(cells))):
        claimed = getattr(sizes, name)
        if claimed != number:
            raise ValueError(f"it says {name} = {claimed!r:.40}, and its arrays have {number}")
