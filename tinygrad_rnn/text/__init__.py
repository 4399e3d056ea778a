"""Text: classes for characters, corpora and how to walk them, yardsticks to beat, generation."""

from .corpus import Corpus, TextError, language_reference, read, split, walk
from .generate import draw_class, generate
from .ngrams import best_k, ngram_loss
from .vocabulary import Vocabulary

__all__ = [
    "Corpus",
    "TextError",
    "Vocabulary",
    "best_k",
    "draw_class",
    "generate",
    "language_reference",
    "ngram_loss",
    "read",
    "split",
    "walk",
]
