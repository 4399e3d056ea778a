"""Witnesses that know nothing of the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def complex_step(f: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    """The derivative of f at x, from f(x + ih).imag / h with h = 1e-20: exact to rounding.

    f is plain NumPy, analytic, and takes complex arrays. Its own axes come first: the result is
    (*f(x).shape, *x.shape), which for a scalar f is the gradient.
    """
    J = np.zeros((*np.shape(f(x)), *x.shape))
    for place in np.ndindex(*x.shape):
        z = x.astype(complex)
        z[place] += 1e-20j
        J[(..., *place)] = f(z).imag / 1e-20
    return J


def lecture(T: int = 4, B: int = 2, D: int = 5, H: int = 6, K: int = 4, seed: int = 0) -> Any:
    """x (T, B, D), y (T, B), h0 (B, H) and V, W, U, b_h, b_y for the lecture's network, float64."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((T, B, D)), rng.integers(0, K, (T, B))
    shapes = (D, H), (H, H), (H, K), (H,), (K,)
    return x, y, rng.standard_normal((B, H)), *(0.5 * rng.standard_normal(s) for s in shapes)
