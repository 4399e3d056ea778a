"""The Jacobians that a gradient comes back through: ∂h_t/∂h_{t-1}, their products, and ∂⁺h_k/∂θ.

    dL_t/dW = ∂L_t/∂ŷ_t · ∂ŷ_t/∂h_t · Σ_{k≤t} ( Π_{i=k+1..t} ∂h_i/∂h_{i-1} ) · ∂⁺h_k/∂W

Where the product shrinks with t − k, gradients vanish; where it grows, they explode. Pascanu,
Mikolov, Bengio 2013, arXiv 1211.5063.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine.sweep import adjoints, total
from ..engine.tensor import Tensor
from ..tables import columns
from .plots import plot_decay
from .uses import check_uses, listed, name_of, uses

Array = npt.NDArray[Any]
State = Tensor | tuple[Tensor, ...]


def immediate(h: Tensor, parameter: Tensor) -> Array:
    """∂⁺h_k/∂θ: how h_k depends on θ through the uses of step k alone, with h_{k-1} held constant.

    h: a tensor made in step k.

    Returns an array of h's shape, batch and all, followed by that of θ. The total derivative,
    through the uses of all steps, is `tg.jacobian(h, parameter)`. A ValueError says that h was made
    outside the steps, or does not use the parameter in its step.
    """
    if h.step is None:
        raise ValueError(
            f"immediate: {h.name or 'this tensor'} was not made in a time step; give the state of "
            "a step, recorded in `for t, x in tg.steps(xs):`"
        )
    seeds = np.eye(h.size, dtype=h.dtype).reshape(h.size, *h.shape)
    found = uses([h], [seeds], parameter, many=True)
    check_uses("immediate", found, parameter)
    here = (h.label.loop, h.step)
    now = [use.term for use in found if (use.loop, use.step) == here]
    if not now:
        raise ValueError(f"immediate: step {h.step} itself does not use {name_of(parameter)}")
    array: Array = total(now).reshape((*h.shape, *parameter.shape))
    return array


class Jacobians:
    """The Jacobians between successive states s_0 … s_T of N numbers each, and their products.

    one_step: (T, N, N); one_step[i][a, b] = ∂s_{i+1}[a] / ∂s_i[b], of the states laid flat.

    As an array: `one_step`. Printed: the norms of the products by their lag.
    """

    def __init__(self, one_step: Array) -> None:
        self.one_step = one_step
        self._log_norms: dict[str, Array] = {}

    def product(self, t: int, k: int) -> Array:
        """∂s_t/∂s_k = Π_{i=k+1..t} ∂s_i/∂s_{i-1}, (N, N): the later factor stands to the left."""
        T, N, _ = self.one_step.shape
        if not 0 <= k <= t <= T:
            raise IndexError(f"product: 0 ≤ k ≤ t ≤ {T} is wanted, not t = {t} and k = {k}")
        P: Array = np.eye(N, dtype=self.one_step.dtype)
        for J in self.one_step[k:t]:
            P = J @ P
        return P

    @cached_property
    def singular_values(self) -> Array:
        """Those of each one-step Jacobian, the largest first, (T, N)."""
        return np.linalg.svd(self.one_step, compute_uv=False)

    def log_norms(self, kind: str = "spectral") -> Array:
        """log ‖∂s_t/∂s_k‖ for 0 ≤ k ≤ t ≤ T, (T+1, T+1); −inf for t < k and for a product of 0.

        kind: "spectral", the largest singular value, or "frobenius".

        A logarithm, because the norm itself under- or overflows over a few hundred steps.
        """
        if kind not in ("spectral", "frobenius"):
            raise ValueError(f"log_norms: kind={kind!r}; it is 'spectral' or 'frobenius'")
        if kind not in self._log_norms:
            self._log_norms[kind] = self._find_log_norms(kind)
        return self._log_norms[kind]

    def _find_log_norms(self, kind: str) -> Array:
        if not np.isfinite(self.one_step).all():
            raise ValueError("jacobians: a Jacobian is not finite, so its products have no norm")
        T, N, _ = self.one_step.shape
        logs = np.full((T + 1, T + 1), -np.inf)
        # All products that end in s_t at once: P[k] is ∂s_t/∂s_k up to the factor e^scale[k].
        P, scale = np.empty((0, N, N)), np.empty(0)
        for t in range(T + 1):
            if t:
                P = self.one_step[t - 1] @ P
            P = np.concatenate([P, np.eye(N)[None]])
            scale = np.append(scale, 0.0)
            sizes = np.linalg.norm(P, axis=(1, 2))
            P /= np.where(sizes, sizes, 1.0)[:, None, None]
            with np.errstate(divide="ignore"):
                scale += np.log(sizes)
                size = np.linalg.norm(P, 2 if kind == "spectral" else "fro", axis=(1, 2))
                logs[t, : t + 1] = scale + np.log(size)
        return logs

    def decay(self, kind: str = "spectral") -> Array:
        """The typical ‖∂s_t/∂s_k‖: the geometric mean over all t − k = lag, for the lags 0 … T.

        As in `rate`, products that are 0 are left out; 0 where there are no others.
        """
        logs = self.log_norms(kind)
        return np.exp([_mean(np.diagonal(logs, -lag)) for lag in range(len(logs))])

    def rate(self, kind: str = "spectral") -> float:
        """The factor per step: r of the line log ‖∂s_t/∂s_k‖ ≈ c + (t − k) log r, least squares.

        Below 1 gradients vanish, above 1 they explode. Products that are 0 are left out.
        """
        t, k = np.tril_indices(len(self.one_step) + 1, -1)
        logs = self.log_norms(kind)[t, k]
        kept = np.isfinite(logs)
        lags = (t - k)[kept]
        if not len(lags):
            return 0.0
        if lags.min() == lags.max():
            return float(np.exp(logs[kept].mean() / lags[0]))
        return float(np.exp(np.polyfit(lags, logs[kept], 1)[0]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.one_step, dtype=dtype)

    def __str__(self) -> str:
        T = len(self.one_step)
        logs = self.log_norms()
        rows = [["t − k", "smallest", "typical", "largest"]]
        for lag in [lag for lag in range(1, T + 1) if lag & (lag - 1) == 0 or lag == T]:
            line = np.diagonal(logs, -lag)
            numbers = np.exp([line.min(), _mean(line), line.max()])
            rows.append([str(lag), *(f"{number:.3g}" for number in numbers)])
        return (
            f"‖∂h_t/∂h_k‖, from {T} one-step Jacobians; per step a factor of {self.rate():.4g}:\n"
            f"{columns(rows)}"
        )

    __repr__ = __str__

    def plot(self, ax: Any = None, label: str | None = None) -> Any:
        """The decay: norms against lag, on a logarithmic scale. Returns matplotlib's axes."""
        return plot_decay(self.log_norms(), label, ax)


def jacobians(states: Iterable[State]) -> Jacobians:
    """∂s_i/∂s_{i-1} for successive states of a recurrence, as they were recorded.

    states: s_0 … s_T, each a tensor, or a tuple of tensors such as an LSTM's (h, c). They are laid
        flat and joined to N numbers each; a batch of B states of H units has N = B·H. The first
        state, if it was not computed, has to have requires_grad; else leave it out.

    s_{i-1} is what is moved, all its parts at once, so a way from older states past s_{i-1} does
    not count. A state that does not depend on the one before, as behind `detach()`, has zeros. A
    ValueError says that the first state is data, that no state depends on the one before it, or
    that they differ in size.
    """
    states = listed("jacobians", states)
    parts = [parts_of(state) for state in states]
    sizes = {sum(x.size for x in state) for state in parts}
    if len(parts) < 2 or len(sizes) != 1:
        raise ValueError(
            f"jacobians: two or more states of one size are wanted, not {len(parts)} of {sizes}"
        )
    for x in parts[0]:
        if not x.requires_grad:
            raise ValueError(
                f"jacobians: the first state, {x.name or 's_0'}, is data, and how data move what "
                "follows is not recorded; make it with requires_grad=True, or leave it out"
            )
    (N,) = sizes
    one_step = np.zeros((len(parts) - 1, N, N), parts[0][0].dtype)
    cut = True
    for J, before, after in zip(one_step, parts[:-1], parts[1:], strict=True):
        ends = np.cumsum([0, *(x.size for x in after)])
        seeds = [
            np.eye(N, dtype=x.dtype)[:, a:b].reshape(N, *x.shape)
            for x, a, b in zip(after, ends, ends[1:], strict=False)
        ]
        found = adjoints(after, seeds, before, retain=True, many=True, stop=set(before))
        start = 0
        for x in before:
            if x in found:
                cut = False
                J[:, start : start + x.size] = found[x].reshape(N, x.size)
            start += x.size
    if cut:
        raise ValueError(
            "jacobians: no state depends on the one before it; give them in the order of time"
        )
    return Jacobians(one_step)


def _mean(logs: Array) -> float:
    """The mean of those that are finite."""
    finite = logs[np.isfinite(logs)]
    return float(finite.mean()) if len(finite) else -np.inf


def parts_of(state: Any) -> tuple[Tensor, ...]:
    """The tensors that a state consists of; a TypeError for what is none."""
    parts = tuple(state) if isinstance(state, (tuple, list)) else (state,)
    for part in parts:
        if not isinstance(part, Tensor):
            raise TypeError(f"a state is a tensor or several, and not {type(part).__name__}")
    return parts


def bound(W: npt.ArrayLike, slope: float = 1.0) -> float:
    """The most by which one step can multiply a gradient: γ σ_max(W), for h_t = f(… + h_{t-1} W).

    slope: γ, the largest |f′|: 1 for tanh, ¼ for the sigmoid.

    Below 1, gradients must vanish; above 1, they may explode. Pascanu, Mikolov, Bengio 2013, arXiv
    1211.5063, section 2.1.
    """
    array = np.atleast_2d(np.asarray(W.data if isinstance(W, Tensor) else W))
    return slope * float(np.linalg.norm(array, 2))
