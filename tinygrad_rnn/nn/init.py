"""What parameters start from: arrays of a shape and dtype, from a generator.

The same generator gives the same numbers. To start a parameter from one of them:

    cell.W.data = tg.nn.init.orthogonal(cell.W.shape, rng=rng)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def uniform(
    shape: tuple[int, ...],
    bound: float,
    dtype: npt.DTypeLike = np.float32,
    rng: np.random.Generator | None = None,
) -> Array:
    """Uniform in [−bound, bound)."""
    return generator(rng).uniform(-bound, bound, shape).astype(dtype)


def xavier(
    shape: tuple[int, int],
    dtype: npt.DTypeLike = np.float32,
    rng: np.random.Generator | None = None,
) -> Array:
    """Uniform in ±√(6 / (rows + columns)): values and gradients keep their variance in a product.

    Glorot, Bengio 2010, AISTATS, equation 16.
    """
    return uniform(shape, math.sqrt(6 / sum(shape)), dtype, rng)


def orthogonal(
    shape: tuple[int, int],
    dtype: npt.DTypeLike = np.float32,
    rng: np.random.Generator | None = None,
) -> Array:
    """A random matrix whose rows, or columns if they are fewer, are orthonormal.

    Then what flows through W keeps its length. Saxe, McClelland, Ganguli 2014, arXiv 1312.6120.
    The matrix is drawn evenly from all such (Mezzadri 2007, arXiv math-ph/0609050).
    """
    rows, columns = shape
    gauss = generator(rng).standard_normal((max(shape), min(shape)))
    Q, R = np.linalg.qr(gauss)
    Q = Q * np.where(np.diagonal(R) < 0, -1.0, 1.0)  # without this it depends on LAPACK
    return np.ascontiguousarray(Q if rows >= columns else Q.T, dtype=dtype)


def identity(
    shape: tuple[int, int], scale: float = 1.0, dtype: npt.DTypeLike = np.float32
) -> Array:
    """`scale` on the diagonal, 0 elsewhere: W of the IRNN, whose units are rectified linear.

    An RNNCell with nonlinearity="relu", this W and b_h = 0 keeps its state until something comes
    in. Le, Jaitly, Hinton 2015, arXiv 1504.00941, section 2.
    """
    return np.asarray(scale * np.eye(*shape), dtype)


def generator(rng: np.random.Generator | None) -> np.random.Generator:
    """The generator that was given, or a new one."""
    return np.random.default_rng() if rng is None else rng
