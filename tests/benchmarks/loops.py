"""Time a training step, run operation by operation, against the same loop elsewhere.

    python tests/benchmarks/loops.py [--rounds N] [--threads N]

Loss and all gradients of a simple RNN language model, written as its equations in a loop, with an
embedding of 64, in float32, at four sizes. The peers take turns, round after round in one process;
the table gives medians, and their ratios. A peer that can't be imported (PyTorch, HIPS autograd) is
left out.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from timing import OURS, Step, agree, available, limit_threads, medians

import tinygrad_rnn as tg

SIZES = [(1, 25, 100, 64), (16, 64, 128, 64), (32, 64, 256, 64), (32, 128, 512, 64)]
D = 64


def data(B: int, T: int, H: int, K: int) -> tuple[Any, Any, list[Any]]:
    """Characters and targets (T, B), and E, V, W, U, b_h, b_y."""
    rng = np.random.default_rng(0)
    shapes = [(K, D), (D, H), (H, H), (H, K), (H,), (K,)]
    weights = [(rng.standard_normal(s) * 0.5 / s[0] ** 0.5).astype(np.float32) for s in shapes]
    return rng.integers(0, K, (T, B)), rng.integers(0, K, (T, B)), weights


def ours(B: int, T: int, H: int, K: int) -> Step:
    xs, ys, weights = data(B, T, H, K)
    parameters = E, V, W, U, b_h, b_y = [tg.Parameter(w) for w in weights]
    zeros = tg.tensor(np.zeros((B, H), np.float32))

    def step() -> tuple[float, list[Any]]:
        for p in parameters:
            p.zero_grad()
        h, losses = zeros, []
        for _t, x, y in tg.steps(xs, ys):
            h = np.tanh(tg.embedding(E, x) @ V + h @ W + b_h)
            losses.append(tg.cross_entropy(h @ U + b_y, y))
        loss = tg.add_n(losses)
        loss.backward()
        return loss.item(), [p.grad.data for p in parameters]

    return step


def pytorch(B: int, T: int, H: int, K: int) -> Step:
    import torch
    from torch.nn.functional import cross_entropy, embedding

    xs, ys, weights = data(B, T, H, K)
    xs, ys = torch.from_numpy(xs), torch.from_numpy(ys)
    parameters = E, V, W, U, b_h, b_y = [torch.from_numpy(w).requires_grad_() for w in weights]
    zeros = torch.zeros(B, H)

    def step() -> tuple[float, list[Any]]:
        for p in parameters:
            p.grad = None
        h, losses = zeros, []
        for x, y in zip(xs, ys, strict=True):
            h = torch.tanh(embedding(x, E) @ V + h @ W + b_h)
            losses.append(cross_entropy(h @ U + b_y, y))
        loss = torch.stack(losses).sum()
        loss.backward()
        return loss.item(), [p.grad.numpy() for p in parameters]

    return step


def hips(B: int, T: int, H: int, K: int) -> Step:
    import autograd.numpy as anp
    from autograd import value_and_grad
    from autograd.scipy.special import logsumexp

    xs, ys, weights = data(B, T, H, K)
    rows = np.arange(B)

    def loss(weights: Any) -> Any:
        E, V, W, U, b_h, b_y = weights
        h, total = np.zeros((B, H), np.float32), 0.0
        for x, y in zip(xs, ys, strict=True):
            h = anp.tanh(E[x] @ V + h @ W + b_h)
            z = h @ U + b_y
            total = total + anp.mean(logsumexp(z, axis=1) - z[rows, y])
        return total

    both = value_and_grad(loss)

    def step() -> tuple[float, list[Any]]:
        value, gradients = both(weights)
        return float(value), list(gradients)

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    peers = available({OURS: ours, "PyTorch": pytorch, "HIPS autograd": hips})
    limit_threads(arguments.threads)
    print(f"{'(B, T, H, K)':<18}" + "".join(f"{name:>24}" for name in peers))
    for size in SIZES:
        steps = {name: make(*size) for name, make in peers.items()}
        agree(steps, rtol=1e-2, atol=2e-4)
        times = medians(steps, arguments.rounds)
        base = times[OURS]
        cells = [f"{1e3 * s:.2f} ms  {s / base:.2f}×" for s in times.values()]
        print(f"{size!s:<18}" + "".join(f"{cell:>24}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
