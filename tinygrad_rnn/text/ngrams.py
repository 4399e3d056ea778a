"""Yardsticks: exact n-gram models of a text, by counting. They know no gradient."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .vocabulary import Ids

CANDIDATES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)


def ngram_loss(train: Ids, text: Ids, n: int, K: int, k: float) -> float:
    """The mean of −log p(c | context) over a text that follows the training text, in nats.

        p(c | context) = (count(context c) + k) / (count(context) + k K)

    train, text: classes in 0 … K−1. The counts are those of `train`, which is n long or longer. All
        of `text` is predicted; the context of its first tokens is the end of `train`.
    n: the context is the n−1 tokens before c; n = 0 gives each token 1/K.
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
    *_, contexts, grams = _codes(np.concatenate([train, text]), n, K)
    seen, asked = np.arange(n - 1, len(train)), np.arange(len(train), len(train) + len(text))
    together = _counts(grams, seen)[grams[asked]]
    context = _counts(contexts, seen - 1)[contexts[asked - 1]]
    return [float(np.mean(np.log(context + k * K) - np.log(together + k))) for k in ks]


def kneser_ney_loss(train: Ids, text: Ids, n: int, K: int) -> float:
    """The mean of −log p(c | context) by interpolated Kneser–Ney smoothing, the best of counting.

        p_m(c | context) = max(count(context c) − D, 0) / count(context) + λ(context) p_{m−1}(c | …)

    λ makes it sum to one; the context of p_{m−1} lacks the oldest token; p_0 is 1/K. The counts of
    all orders m but the highest are of how many different tokens precede. The discount is
    D = N_1 / (N_1 + 2 N_2), with N_r the number of m-grams that are counted r times; or ½, if N_1
    is 0.

    train, text, K: as of `ngram_loss`.
    n: the highest order, 1 or more.

    Kneser, Ney 1995, ICASSP; interpolated: Chen, Goodman 1999, Computer Speech and Language 13,
    section 2.7.
    """
    N = len(train)
    codes = _codes(np.concatenate([train, text]), n, K)
    asked = np.arange(N, N + len(text))
    p = np.full(len(text), 1 / K)
    for m in range(1, n + 1):
        grams, contexts = codes[m], codes[m - 1]
        # the ends of the m-grams that are counted: all, or one for each token before
        ends = np.arange(m - 1, N) if m == n else _first(codes[m + 1], np.arange(m, N))
        counts, totals = _counts(grams, ends), _counts(contexts, ends - 1)
        kinds = _counts(contexts, _first(grams, ends) - 1)
        once, twice = (counts == 1).sum(), (counts == 2).sum()
        D = once / (once + 2 * twice) if once else 0.5
        total = totals[contexts[asked - 1]]
        rest = D * kinds[contexts[asked - 1]]
        known = np.maximum(counts[grams[asked]] - D, 0)
        p = np.where(total > 0, (known + rest * p) / np.maximum(total, 1), p)
    return float(-np.log(p).mean())


def _codes(ids: Ids, n: int, K: int) -> list[Ids]:
    """For m = 0 … n, a number for the m-gram that ends at each place, the same for the same m-gram.

    They are less than the length of the text, so that no K^m overflows. Before the text, there is
    the class K.
    """
    codes = [np.zeros(len(ids), np.int64)]
    for m in range(1, n + 1):
        oldest = np.concatenate([np.full(m - 1, K), ids[: len(ids) - m + 1]])
        codes.append(np.unique(codes[-1] * (K + 1) + oldest, return_inverse=True)[1])
    return codes


def _counts(codes: Ids, places: Ids) -> npt.NDArray[np.int64]:
    """How often each code is at one of the places."""
    return np.bincount(codes[places], minlength=codes.max(initial=0) + 1)


def _first(codes: Ids, places: Ids) -> Ids:
    """Of the places, those at which a code is for the first time."""
    return places[np.unique(codes[places], return_index=True)[1]]
