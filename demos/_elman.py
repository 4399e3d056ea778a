"""What Elman's two experiments share: streams of bits, and the step that trains on a chunk of them.

A network is called with xs (T, B, D) and h_0 (B, H), and returns ŷ_1 … ŷ_T and h_T.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tinygrad_rnn as tg

B, T = 10, 50  # streams, and the steps of a chunk


def step_of(network: Any) -> Callable[..., tuple[tg.Tensor, tg.Tensor]]:
    """xs (T, B, D), ys (T, B, K) and h_0 to L = Σ_t |ŷ_t − y_t|² / B and h_T, with gradients."""

    def training_step(xs: Any, ys: Any, h: Any) -> tuple[tg.Tensor, tg.Tensor]:
        predictions, h = network(xs, h)
        losses = []
        for t, y in tg.steps(ys):
            e = predictions[t - 1] - y
            losses.append((e * e).sum() / B)
        L = tg.add_n(losses)
        L.backward()
        return L, h.detach()

    return training_step
