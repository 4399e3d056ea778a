"""Time what itemising a gradient costs, beyond finding it.

    python tests/benchmarks/bptt.py [--rounds N]

The lecture's network in float64. `contributions` is compared with the backward pass that it
itemises, and a triangle with the backward pass of the sum of its losses; each pair takes turns in
one process, and the table gives medians. The graph is kept in all of them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_rnn as tg

SIZES = [(25, 1, 64), (50, 1, 64), (100, 1, 64), (200, 1, 64), (400, 1, 64), (64, 16, 128)]
K = 64


def recorded(T: int, B: int, H: int) -> tuple[list[tg.Tensor], tg.Tensor, tg.Parameter]:
    """The losses of the steps, their sum, and W."""
    rng = np.random.default_rng(0)
    V, W, U = (tg.Parameter(rng.standard_normal(s) / H**0.5) for s in ((K, H), (H, H), (H, K)))
    b_h, b_y = tg.Parameter(np.zeros(H)), tg.Parameter(np.zeros(K))
    h, losses = tg.tensor(np.zeros((B, H))), []
    for _, x, y in tg.steps(rng.standard_normal((T, B, K)), rng.integers(0, K, (T, B))):
        h = np.tanh(x @ V + h @ W + b_h)
        losses.append(tg.cross_entropy(h @ U + b_y, y))
    return losses, tg.add_n(losses), W


def medians(calls: list[Callable[[], Any]], rounds: int) -> list[float]:
    """Seconds of each call, the calls taking turns."""
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, times in zip(calls, seconds, strict=True):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return [statistics.median(times) for times in seconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    names = ["grad of W", "contributions", "their .grad", "triangle .norms", "… .terms too"]
    print(f"{'(T, B, H)':<16}" + "".join(f"{name:>20}" for name in names))
    for T, B, H in SIZES:
        losses, L, W = recorded(T, B, H)
        seconds = medians(
            [
                lambda: tg.grad(L, W, retain_graph=True),
                lambda: tg.bptt.contributions(L, W),
                lambda: np.asarray(tg.bptt.contributions(L, W)),
                lambda: tg.bptt.triangle(losses, W).norms,
                lambda: tg.bptt.triangle(losses, W).terms,
            ],
            rounds,
        )
        cells = [f"{1e3 * s:.1f} ms {s / seconds[0]:.2f}×" for s in seconds]
        print(f"{(T, B, H)!s:<16}" + "".join(f"{cell:>20}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
