"""The witness, against the complex step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_rnn.bptt import by_hand

from .oracles import complex_step, lecture

NAMES = ("V", "W", "U", "b_h", "b_y")


def losses_of_copies(x: Any, y: Any, h: Any, V: Any, W: Any, U: Any, b_h: Any, b_y: Any) -> Any:
    """L_t of each step, (T,), where each parameter has a copy per step, (T, *shape)."""
    losses = []
    for t, (x_t, y_t) in enumerate(zip(x, y, strict=True)):
        h = np.tanh(x_t @ V[t] + h @ W[t] + b_h[t])
        z = h @ U[t] + b_y[t]
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        losses.append(-np.log(p[np.arange(len(y_t)), y_t]).mean())
    return np.array(losses)


def copies(weights: Any, T: int) -> Any:
    return [np.stack([w] * T) for w in weights]


# -------------------------------------------------------------------- against the complex step


@pytest.mark.parametrize("slot", range(5))
def test_the_gradient(slot: int) -> None:
    x, y, h0, *weights = lecture()

    def L(w: np.ndarray) -> Any:
        shared = [w if i == slot else v for i, v in enumerate(weights)]
        return losses_of_copies(x, y, h0, *copies(shared, len(x))).sum()

    loss, gradients = by_hand.backward(x, y, h0, *weights)
    assert loss == pytest.approx(L(weights[slot]), abs=1e-12)
    np.testing.assert_allclose(gradients[NAMES[slot]], complex_step(L, weights[slot]), atol=1e-12)
