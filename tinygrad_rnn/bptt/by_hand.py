"""The lecture's derivation of BPTT, written by hand in plain NumPy: the witness.

This file imports nothing of this package, records nothing and differentiates nothing. Each line is
one equation of the lecture, for the network

    h_t = tanh(x_t V + h_{t-1} W + b_h)        ŷ_t = h_t U + b_y
    L_t = mean over the batch of −log softmax(ŷ_t)[y_t]        L = Σ_t L_t
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def forward(
    x: Array, y: Array, h0: Array, V: Array, W: Array, U: Array, b_h: Array, b_y: Array
) -> tuple[Array, Array, Array]:
    """The hidden states, the predictions and the losses of the steps.

    x: (T, B, D)   y: (T, B) integers   h0: (B, H)
    V: (D, H)   W: (H, H)   U: (H, K)   b_h: (H,)   b_y: (K,)

    Returns h (T+1, B, H), where h[t] is h_t and h[0] is h0; p (T, B, K), where p[t-1] is
    softmax(ŷ_t); and losses (T,), where losses[t-1] is L_t in nats.
    """
    T = len(x)
    h = np.concatenate([h0[None], np.empty((T, *h0.shape), h0.dtype)])
    for t in range(1, T + 1):
        h[t] = np.tanh(x[t - 1] @ V + h[t - 1] @ W + b_h)
    y_hat = h[1:] @ U + b_y
    shifted = y_hat - y_hat.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    losses = -np.take_along_axis(log_p, y[..., None], axis=-1)[..., 0].mean(axis=1)
    return h, np.exp(log_p), losses


def backward(
    x: Array, y: Array, h0: Array, V: Array, W: Array, U: Array, b_h: Array, b_y: Array
) -> tuple[float, dict[str, Array]]:
    """The loss L and its gradients {"U", "W", "V", "b_h", "b_y"}; arguments as for `forward`.

    Back in time, t = T … 1, with a_t = x_t V + h_{t-1} W + b_h:

        dL/dŷ_t = (softmax(ŷ_t) − one_hot(y_t)) / B
        dL/dh_t = dL/dŷ_t Uᵀ + dL/da_{t+1} Wᵀ              vertical + horizontal
        dL/da_t = dL/dh_t · (1 − h_t²)
        dL/dU   = Σ_t h_tᵀ dL/dŷ_t        dL/db_y = Σ_t dL/dŷ_t
        dL/dW   = Σ_t h_{t-1}ᵀ dL/da_t    dL/dV   = Σ_t x_tᵀ dL/da_t    dL/db_h = Σ_t dL/da_t
    """
    T, B, _ = x.shape
    h, p, losses = forward(x, y, h0, V, W, U, b_h, b_y)
    d = {"U": np.zeros_like(U), "W": np.zeros_like(W), "V": np.zeros_like(V),
         "b_h": np.zeros_like(b_h), "b_y": np.zeros_like(b_y)}  # fmt: skip
    da_next = np.zeros_like(h0)
    for t in range(T, 0, -1):
        dy_hat = p[t - 1].copy()
        dy_hat[np.arange(B), y[t - 1]] -= 1
        dy_hat /= B
        d["U"] += h[t].T @ dy_hat
        d["b_y"] += dy_hat.sum(axis=0)
        dh = dy_hat @ U.T + da_next @ W.T
        da = dh * (1 - h[t] ** 2)
        d["W"] += h[t - 1].T @ da
        d["V"] += x[t - 1].T @ da
        d["b_h"] += da.sum(axis=0)
        da_next = da
    return float(losses.sum()), d
