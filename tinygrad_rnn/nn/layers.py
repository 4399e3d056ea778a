"""Layers without time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine.rules import embedding
from ..engine.tensor import Parameter
from .init import uniform
from .module import Module


class Linear(Module):
    """y = x U + b, with x (…, in_features) and y (…, out_features).

    U: (in_features, out_features)   b: (out_features,), unless bias is False

    Both start uniform in ±1/√in_features, as PyTorch's do.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        dtype: npt.DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        if in_features < 1 or out_features < 1:
            raise ValueError(f"Linear: sizes are positive, not {in_features} and {out_features}")
        bound = 1 / np.sqrt(in_features)
        self.U = Parameter(uniform((in_features, out_features), bound, dtype, rng))
        self.b = Parameter(uniform((out_features,), bound, dtype, rng)) if bias else None

    def forward(self, x: Any) -> Any:
        return x @ self.U if self.b is None else x @ self.U + self.b


class Embedding(Module):
    """The rows of a table for integers: ids (…) in 0 … num_embeddings−1 to (…, embedding_dim).

    E: (num_embeddings, embedding_dim), starting from N(0, 1), as PyTorch's does.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        dtype: npt.DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        rng = np.random.default_rng() if rng is None else rng
        self.E = Parameter(rng.standard_normal((num_embeddings, embedding_dim)).astype(dtype))

    def forward(self, ids: Any) -> Any:
        return embedding(self.E, ids)
