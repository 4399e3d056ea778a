"""Batches: what is read side by side.

A text is cut into streams, which go on from one batch to the next. Sequences of many lengths, such
as sentences, are put together with others of about their length, and padded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from .vocabulary import Ids

POOL = 50  # batches, within which sequences are sorted by their lengths


def walk(ids: Ids, streams: int, steps: int) -> Iterator[tuple[bool, Ids, Ids]]:
    """Read a text as B streams side by side, T steps at a time, over and over.

    The text is cut into B pieces of one length; at most B−1 tokens at its end are left out. Yields
    (first, xs, ys): xs (T, B), and ys (T, B) one token later. Each stream goes on where the chunk
    before left it, so a state may be carried over, except when `first` says that the text begins
    again. The last chunk of a round may be shorter; `chunks` is how many there are in a round.

    >>> import numpy as np
    >>> for first, xs, ys in walk(np.arange(11), streams=2, steps=3):
    ...     print(first, xs.tolist(), ys.tolist())
    ...     if not first:
    ...         break
    True [[0, 5], [1, 6], [2, 7]] [[1, 6], [2, 7], [3, 8]]
    False [[3, 8], [4, 9]] [[4, 9], [5, 10]]
    """
    length = (len(ids) - 1) // streams
    if length < 1:
        raise ValueError(f"walk: {len(ids)} tokens can't be cut into {streams} streams")
    xs = ids[: streams * length].reshape(streams, length).T
    ys = ids[1 : streams * length + 1].reshape(streams, length).T
    while True:
        for t in range(0, length, steps):
            yield t == 0, xs[t : t + steps], ys[t : t + steps]


def chunks(N: int, streams: int, steps: int) -> int:
    """How many chunks `walk` makes of N tokens before it begins again."""
    return -(-((N - 1) // streams) // steps)


def buckets(
    lengths: Sequence[int], size: int, rng: np.random.Generator
) -> list[npt.NDArray[np.intp]]:
    """Put sequences together by their lengths: the places of those in each batch, in random order.

    size: how many sequences a batch has; one batch has what is left over.

    All sequences are shuffled, those that are near one another sorted by length and cut into
    batches, and these shuffled. So every round has other batches, and there is little to pad.

    >>> import numpy as np
    >>> for batch in buckets([3, 9, 2, 8, 9], 2, np.random.default_rng(0)):
    ...     print(batch)
    [1]
    [2 0]
    [3 4]
    """
    order = rng.permutation(len(lengths))
    near = [order[i : i + POOL * size] for i in range(0, len(order), POOL * size)]
    batches = []
    for pool in near:
        pool = pool[np.argsort(np.asarray(lengths)[pool], kind="stable")]
        batches += [pool[i : i + size] for i in range(0, len(pool), size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def rounds(
    lengths: Sequence[int], size: int, seed: int, n: int = 0
) -> Iterator[npt.NDArray[np.intp]]:
    """The `buckets` of one round after the other, without end, from batch n on.

    The order within a round is drawn from a generator of its own, seeded with `seed` and the number
    of the round: batch n is a function of n, and training goes on from it as if it had not stopped.
    """
    per_round = -(-len(lengths) // size)
    for number in count(n // per_round):
        batches = buckets(lengths, size, np.random.default_rng([seed, number]))
        yield from batches[n % per_round if number == n // per_round else 0 :]


def pad(sequences: Sequence[Any], fill: int = 0) -> tuple[Ids, Ids]:
    """B sequences of integers as one array (T, B), filled up at their ends, and their lengths (B,).

    >>> pad([[1, 2, 3], [4]])
    (array([[1, 4],
           [2, 0],
           [3, 0]]), array([3, 1]))
    """
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    padded = np.full((lengths.max(initial=0), len(sequences)), fill, np.int64)
    for b, sequence in enumerate(sequences):
        padded[: len(sequence), b] = sequence
    return padded, lengths
