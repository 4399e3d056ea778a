"""Text: classes for characters, corpora and how to walk them, yardsticks to beat, generation."""

from .corpus import Corpus, TextError, language_reference, read, split, walk
from .generate import draw_class, generate
from .ngrams import best_k, ngram_loss
from .tagged import (
    TaggedSentence,
    example_sentences,
    read_conllu,
    read_sentences,
    read_tagged,
    tokenize,
)
from .vocabulary import Vocabulary

__all__ = [
    "Corpus",
    "TaggedSentence",
    "TextError",
    "Vocabulary",
    "best_k",
    "draw_class",
    "example_sentences",
    "generate",
    "language_reference",
    "ngram_loss",
    "read",
    "read_conllu",
    "read_sentences",
    "read_tagged",
    "split",
    "tokenize",
    "walk",
]
