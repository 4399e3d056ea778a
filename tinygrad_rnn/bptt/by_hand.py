"""The lecture's derivation of BPTT, written by hand in plain NumPy: the witness.

It is the witness of what the rest of the package gets from a recording by generic differentiation:
the gradient of a shared parameter (`backward`), its terms, one by one (`terms`), the Jacobians that
they came through (`jacobians`, `products`), the same gradient forwards in time (`forward_mode`),
and what is left of it when one doesn't go back all the way (`truncated`). This file imports nothing
of this package, records nothing and differentiates nothing. Each line is one equation of the
lecture, for the network

    h_t = tanh(x_t V + h_{t-1} W + b_h)        ŷ_t = h_t U + b_y
    L_t = mean over the batch of −log softmax(ŷ_t)[y_t]        L = Σ_t L_t

Steps are counted from 1, as in the lecture. h[t] is h_t, because h[0] is the initial state; what
has no initial value has step t at index t − 1. Losses are in nats, and gradients in nats per unit
of what they are the gradient with respect to. The 1/B of the mean is in ∂L_t/∂ŷ_t, so that all the
rest is a sum over the sequences of the batch.
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

    Source: Werbos 1990, "Backpropagation through time: what it does and how to do it".
    """
    h, p, losses = forward(x, y, h0, V, W, U, b_h, b_y)
    return float(losses.sum()), _back_in_time(x, h, _at_predictions(p, y), W, U)


def _at_predictions(p: Array, y: Array) -> Array:
    """∂L_t/∂ŷ_t of all steps, (T, B, K)."""
    one_hot = np.zeros_like(p)
    np.put_along_axis(one_hot, y[..., None], 1, axis=-1)
    dy_hat: Array = (p - one_hot) / p.shape[1]
    return dy_hat


def _back_in_time(x: Array, h: Array, dy_hat: Array, W: Array, U: Array) -> dict[str, Array]:
    """The equations of `backward` over the steps of x; h[0] is held constant."""
    T = len(x)
    da = np.zeros_like(h)  # (T+1, B, H): da[t] is dL/da_{t+1}, and nothing comes from after T
    for t in range(T, 0, -1):
        dh = dy_hat[t - 1] @ U.T + da[t] @ W.T
        da[t - 1] = dh * (1 - h[t] ** 2)
    da = da[:T]
    return {
        "U": np.einsum("tbi,tbj->ij", h[1:], dy_hat),
        "W": np.einsum("tbi,tbj->ij", h[:-1], da),
        "V": np.einsum("tbi,tbj->ij", x, da),
        "b_h": np.einsum("tbj->j", da),
        "b_y": np.einsum("tbj->j", dy_hat),
    }


def jacobians(h: Array, W: Array) -> Array:
    """The one-step Jacobians ∂h_t/∂h_{t-1} = diag(1 − h_t²) Wᵀ, (T, B, H, H).

    J[t-1][b, i, j] = ∂h_t[b, i] / ∂h_{t-1}[b, j], for each sequence b: i is the unit that is moved,
    j the unit that moves it. h is (T+1, B, H), from `forward`. (W is transposed because h_{t-1} W
    has its state in a row, while a Jacobian takes a change of h_{t-1} as a column.)
    """
    return (1 - h[1:] ** 2)[..., None] * W.T


def products(J: Array) -> Array:
    """∂h_t/∂h_k = Π_{i=k+1..t} ∂h_i/∂h_{i-1} for all t ≥ k ≥ 0, (T+1, T+1, B, H, H).

    P[t, k][b, i, j] = ∂h_t[b, i] / ∂h_k[b, j], the later factor to the left of the earlier one.
    P[t, t] is the identity, and P[t, k] is zero for t < k. J is (T, B, H, H), from `jacobians`.
    Source: Pascanu, Mikolov, Bengio 2013 (arXiv 1211.5063), eq. 5.
    """
    T, B, H, _ = J.shape
    P = np.zeros((T + 1, T + 1, B, H, H), J.dtype)
    for k in range(T + 1):
        P[k, k] = np.eye(H)
        for t in range(k + 1, T + 1):
            P[t, k] = J[t - 1] @ P[t - 1, k]
    return P


def immediate(x_k: Array, h_before: Array, h_k: Array) -> dict[str, Array]:
    """The immediate derivatives ∂⁺h_k/∂θ for θ = W, V, b_h: h_{k-1} is held constant.

    x_k: (B, D)   h_before: h_{k-1}, (B, H)   h_k: (B, H)

    Returns {"W": (B, H, H, H), "V": (B, H, D, H), "b_h": (B, H, H)}: the axes of h_k, then those of
    θ. Unit i of a_k = x_k V + h_{k-1} W + b_h uses column i of W and of V, and element i of b_h:

        ∂⁺h_k[b, i] / ∂W[m, n] = (1 − h_k[b, i]²) · h_{k-1}[b, m] · (1 if i = n else 0)
        ∂⁺h_k[b, i] / ∂V[m, n] = (1 − h_k[b, i]²) · x_k[b, m]     · (1 if i = n else 0)
        ∂⁺h_k[b, i] / ∂b_h[n]  = (1 − h_k[b, i]²)                 · (1 if i = n else 0)
    """
    slope, one = 1 - h_k**2, np.eye(h_k.shape[1], dtype=h_k.dtype)
    return {
        "W": np.einsum("bi,bm,in->bimn", slope, h_before, one),
        "V": np.einsum("bi,bm,in->bimn", slope, x_k, one),
        "b_h": np.einsum("bi,in->bin", slope, one),
    }


def terms(
    x: Array, y: Array, h0: Array, V: Array, W: Array, U: Array, b_h: Array, b_y: Array
) -> dict[str, Array]:
    """Every term of every gradient: {"U", "W", "V", "b_h", "b_y"}, each (T, T, *shape of θ).

    C[t-1, k-1] is the term of loss t and use k: the derivative of L_t with respect to the copy of θ
    that step k uses. Row sums are dL_t/dθ, column sums are dL/d(the copy of step k), and the sum
    of all is dL/dθ. The copy of U and b_y in step k reaches L_k only: a diagonal. That of W, V and
    b_h makes h_k, which reaches every loss from L_k on: a lower triangle.

        dL_t/dU = ∂L_t/∂ŷ_t · ∂ŷ_t/∂U
        dL_t/dW = ∂L_t/∂ŷ_t · ∂ŷ_t/∂h_t · Σ_{k≤t} ( Π_{i=k+1..t} ∂h_i/∂h_{i-1} ) · ∂⁺h_k/∂W

    Written as the formula is, with every Jacobian, to be read: `backward` is much cheaper.
    Arguments as for `forward`. Source: the lecture's total derivative; Pascanu, Mikolov, Bengio
    2013 (arXiv 1211.5063), eqs. 3–5; Werbos 1990.
    """
    T = len(x)
    h, p, _ = forward(x, y, h0, V, W, U, b_h, b_y)
    dy_hat = _at_predictions(p, y)
    dh = dy_hat @ U.T  # (T, B, H): ∂L_t/∂ŷ_t · ∂ŷ_t/∂h_t
    P = products(jacobians(h, W))
    C = _zeros((T, T), U=U, W=W, V=V, b_h=b_h, b_y=b_y)
    for t in range(1, T + 1):
        C["U"][t - 1, t - 1] = h[t].T @ dy_hat[t - 1]
        C["b_y"][t - 1, t - 1] = dy_hat[t - 1].sum(axis=0)
        for k in range(1, t + 1):
            dh_k = np.einsum("bi,bij->bj", dh[t - 1], P[t, k])  # (B, H): ∂L_t/∂h_k
            for name, dh_k_dtheta in immediate(x[k - 1], h[k - 1], h[k]).items():
                C[name][t - 1, k - 1] = np.tensordot(dh_k, dh_k_dtheta, axes=2)
    return C


def _zeros(leading: tuple[int, ...], **parameters: Array) -> dict[str, Array]:
    return {name: np.zeros(leading + p.shape, p.dtype) for name, p in parameters.items()}


def forward_mode(
    x: Array, y: Array, h0: Array, V: Array, W: Array, U: Array, b_h: Array, b_y: Array
) -> tuple[float, dict[str, Array]]:
    """The same as `backward`, going forwards in time: real-time recurrent learning (RTRL).

    dh_t/dθ is carried along for θ = W, V, b_h, beside h_t. The past is never looked at again:

        dh_0/dθ = 0
        dh_t/dθ = ∂h_t/∂h_{t-1} · dh_{t-1}/dθ + ∂⁺h_t/∂θ
        dL/dθ   = Σ_t ∂L_t/∂ŷ_t · ∂ŷ_t/∂h_t · dh_t/dθ

    The method has to remember B·H numbers per weight, whatever T is, where `backward` has to
    remember T states. (Here `forward` goes first all the same, to say its equations once.)
    Arguments as for `forward`. Source: Williams and Zipser 1989, "A learning algorithm for
    continually running fully recurrent neural networks", where the weights also move in each step.
    """
    h, p, losses = forward(x, y, h0, V, W, U, b_h, b_y)
    dy_hat = _at_predictions(p, y)
    dh = dy_hat @ U.T  # (T, B, H): ∂L_t/∂ŷ_t · ∂ŷ_t/∂h_t
    J = jacobians(h, W)
    d = _zeros((), U=U, W=W, V=V, b_h=b_h, b_y=b_y)
    dh_dtheta = _zeros(h0.shape, W=W, V=V, b_h=b_h)  # (B, H, *shape of θ)
    for t in range(1, len(x) + 1):
        d["U"] += h[t].T @ dy_hat[t - 1]
        d["b_y"] += dy_hat[t - 1].sum(axis=0)
        for name, now in immediate(x[t - 1], h[t - 1], h[t]).items():
            dh_dtheta[name] = np.einsum("bij,bj...->bi...", J[t - 1], dh_dtheta[name]) + now
            d[name] += np.tensordot(dh[t - 1], dh_dtheta[name], axes=2)
    return float(losses.sum()), d


def truncated(
    x: Array, y: Array, h0: Array, V: Array, W: Array, U: Array, b_h: Array, b_y: Array,
    *, k1: int, k2: int,
) -> tuple[float, dict[str, Array]]:  # fmt: skip
    """The loss L, and the gradients of truncated BPTT; otherwise as `backward`.

    The losses are taken in groups of k1 steps (the last may be shorter). From the end e of a group
    one goes back to step e − k2 + 1 and no further: h_{e-k2} is a constant.

        k1 = k2          chunks, each with the state of the one before, detached
        k1 = 1, k2 = n   n steps back from every loss: Σ of the `terms` with t − k < n
        k1 = k2 ≥ T      all of it: `backward`

    A shorter last group goes back to where it would if it were complete, so that chunks stay
    chunks. With k2 < k1 nothing would reach the first losses of a group: a ValueError. Source:
    Williams and Peng 1990, "An efficient gradient-based algorithm for on-line training of recurrent
    network trajectories": their BPTT(h; h') has h = k2, h' = k1.
    """
    if not 1 <= k1 <= k2:
        raise ValueError(f"truncated wants 1 <= k1 <= k2, not k1 = {k1} and k2 = {k2}")
    h, p, losses = forward(x, y, h0, V, W, U, b_h, b_y)
    dy_hat = _at_predictions(p, y)
    d = _zeros((), U=U, W=W, V=V, b_h=b_h, b_y=b_y)
    for before in range(0, len(x), k1):  # the group is the steps before + 1 … end
        end = min(before + k1, len(x))
        cut = max(before + k1 - k2, 0)  # h_cut is the constant
        of_group = dy_hat[cut:end].copy()
        of_group[: before - cut] = 0
        for name, g in _back_in_time(x[cut:end], h[cut : end + 1], of_group, W, U).items():
            d[name] += g
    return float(losses.sum()), d
