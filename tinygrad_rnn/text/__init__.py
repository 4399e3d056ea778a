"""Text: tokens as classes, corpora and how to walk them, yardsticks to beat, generation."""

from .batches import buckets, chunks, pad, rounds, walk
from .corpus import Corpus, TextError, king_james, language_reference, read, split
from .generate import distribution, draw_class, generate
from .ngrams import best_k, kneser_ney_loss, ngram_loss
from .tagged import (
    TaggedSentence,
    example_sentences,
    read_conllu,
    read_sentences,
    read_tagged,
    tokenize,
)
from .vocabulary import Vocabulary
from .words import join_words, spaced, split_words

__all__ = [
    "Corpus",
    "TaggedSentence",
    "TextError",
    "Vocabulary",
    "best_k",
    "buckets",
    "chunks",
    "distribution",
    "draw_class",
    "example_sentences",
    "generate",
    "join_words",
    "king_james",
    "kneser_ney_loss",
    "language_reference",
    "ngram_loss",
    "pad",
    "read",
    "read_conllu",
    "read_sentences",
    "read_tagged",
    "rounds",
    "spaced",
    "split",
    "split_words",
    "tokenize",
    "walk",
]
