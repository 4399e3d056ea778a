"""Functions of the public interface that NumPy does not have, and a few that it has.

`np.stack`, `np.concatenate` and `np.where` take tensors, too; under `tg` they are found by those
who look there, with what has to be known of their gradients.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import rules
from .tensor import Tensor, as_array


def add_n(terms: Sequence[Any]) -> Any:
    """The sum of one or more terms of one shape, as one node; a ValueError for other shapes."""
    terms = list(terms)
    shapes = {as_array(term).shape for term in terms}
    if len(shapes) != 1:
        raise ValueError(f"add_n: one or more terms of one shape are wanted, not of {shapes}")
    return rules.add_n(*terms)


def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Arrays of one shape along a new axis, as `np.stack`."""
    return np.stack(arrays, axis)


def concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    """Arrays one after another along an axis, as `np.concatenate`."""
    return np.concatenate(arrays, axis)


def where(condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds, b elsewhere, as `np.where`.

    Both are computed. A nan or inf in the branch not taken still reaches its gradient as 0 · nan:
    guard its argument too, `where(x > 0, log(where(x > 0, x, 1)), 0)`.
    """
    return np.where(condition, a, b)


def gelu(x: Any) -> Any:
    """½ x (1 + tanh(√(2/π) (x + 0.044715 x³))), elementwise.

    The tanh form of x Φ(x). Hendrycks, Gimpel 2016, arXiv 1606.08415, section 2. Beyond ±40 it is
    x or 0, and said so: x³ would overflow, and −inf · 0 is nan.
    """
    x = x if isinstance(x, Tensor) else np.asarray(x)
    z = np.clip(x, -40.0, 40.0)
    near = 0.5 * z * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z * z * z)))
    return near + (rules.relu(x) - rules.relu(z))
