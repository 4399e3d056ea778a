"""Yardsticks: exact n-gram models of a text, by counting.

    p(c | context) = (count(context c) + k) / (count(context) + k K)      context: the n−1 before c

They know no gradient. Uniform, unigram, bigram and trigram are n = 0, 1, 2, 3.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .vocabulary import Ids

CANDIDATES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)


def ngram_loss(train: Ids, text: Ids, n: int, K: int, k: float) -> float:
    """The mean of −log p(c | context) over a text that follows the training text, in nats.

        p(c | context) = (count(context c) + k) / (count(context) + k K)

    train, text: classes in 0 … K−1. The counts are those of `train`, which is n long or longer. All
        of `text` is predicted; the context of its first characters is the end of `train`.
    n: the context is the n−1 characters before c; n = 0 gives each character 1/K.
    """
    return _losses(train, text, n, K, (k,))[0]


def best_k(train: Ids, n: int, K: int) -> float:
    """The k, between 0.001 and 1, with which the last tenth of a text is predicted best from the
    rest; see `ngram_loss`."""
    if n == 0:
        return CANDIDATES[0]
    cut = len(train) * 9 // 10
    return CANDIDATES[int(np.argmin(_losses(train[:cut], train[cut:], n, K, CANDIDATES)))]


def _losses(train: Ids, text: Ids, n: int, K: int, ks: tuple[float, ...]) -> list[float]:
    """The loss for each k; the counting is done once."""
    if n == 0:
        return [float(np.log(K))] * len(ks)
    seen = _codes(train, n, K)
    asked = _codes(np.concatenate([train[len(train) - n + 1 :], text]), n, K)
    together = _count(seen, asked)
    context = _count(seen // K, asked // K)
    return [float(np.mean(np.log(context + k * K) - np.log(together + k))) for k in ks]


def _codes(ids: Ids, n: int, K: int) -> Ids:
    """The n-grams of a text as numbers in base K."""
    count = len(ids) - n + 1
    codes = np.zeros(count, np.int64)
    for i in range(n):
        codes = codes * K + ids[i : i + count]
    return codes


def _count(seen: Ids, asked: Ids) -> npt.NDArray[np.int64]:
    """How often each of `asked` is in `seen`. Sparse: K³ may be large."""
    values, counts = np.unique(seen, return_counts=True)
    at = np.minimum(np.searchsorted(values, asked), len(values) - 1)
    return np.where(values[at] == asked, counts[at], 0)
