"""Layers without time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine.drawn import drawn
from ..engine.rules import embedding
from ..engine.tensor import Parameter, Tensor
from .init import generator, uniform
from .module import Array, Module, assign


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
        positive("Linear", in_features=in_features, out_features=out_features)
        rng = generator(rng)
        bound = 1 / np.sqrt(in_features)
        self.U = Parameter(uniform((in_features, out_features), bound, dtype, rng))
        self.b = Parameter(uniform((out_features,), bound, dtype, rng)) if bias else None

    def forward(self, x: Any) -> Any:
        return x @ self.U if self.b is None else x @ self.U + self.b

    def torch_state_dict(self) -> dict[str, Array]:
        weight = {"weight": self.U.numpy().T}
        return weight if self.b is None else weight | {"bias": self.b.numpy()}

    def _take_torch(self, arrays: Mapping[str, Array]) -> None:
        assign(self.U, arrays["weight"].T)
        if self.b is not None:
            assign(self.b, arrays["bias"])


class Embedding(Module):
    """The rows of a table for integers: ids (…) in 0 … num_embeddings−1 to (…, embedding_dim).

    E: (num_embeddings, embedding_dim), starting from N(0, 1), as PyTorch's does.
    padding_idx: the id that fills up short sequences. Its vector is 0, and its row of E has no
    part in anything: the gradient there is 0.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        dtype: npt.DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        positive("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None and not 0 <= padding_idx < num_embeddings:
            raise ValueError(
                f"Embedding: padding_idx={padding_idx} is not in 0 … {num_embeddings - 1}"
            )
        E = generator(rng).standard_normal((num_embeddings, embedding_dim)).astype(dtype)
        if padding_idx is not None:
            E[padding_idx] = 0
        self.E = Parameter(E)
        self.padding_idx = padding_idx

    def forward(self, ids: Any) -> Any:
        x = embedding(self.E, ids)
        if self.padding_idx is None:
            return x
        ids = ids if isinstance(ids, Tensor) else np.asarray(ids)
        return np.where((ids == self.padding_idx)[..., None], 0.0, x)

    def torch_state_dict(self) -> dict[str, Array]:
        return {"weight": self.E.numpy()}

    def _take_torch(self, arrays: Mapping[str, Array]) -> None:
        assign(self.E, arrays["weight"])


class Dropout(Module):
    """In training, each element of x becomes 0 with probability p, and the rest x / (1 − p).

    x: (…), of any shape. In use, after `eval()`, x stays as it is.
    over_time: x is (T, …), and what is dropped is dropped in all time steps: there is one mask for
        x_t, instead of one for each t. Gal, Ghahramani 2016, arXiv 1512.05287, section 4.
    rng: where the masks come from. `tg.save` keeps its state.

    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov 2014, JMLR 15.
    """

    def __init__(
        self, p: float = 0.5, over_time: bool = False, rng: np.random.Generator | None = None
    ) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: p={p}; a probability of being dropped is in [0, 1)")
        self.p = p
        self.over_time = over_time
        self.rng = generator(rng)

    def forward(self, x: Any) -> Any:
        if not self.training or not self.p:
            return x
        shape = (1, *x.shape[1:]) if self.over_time else x.shape
        p, dtype = self.p, x.dtype

        def mask(rng: np.random.Generator) -> Array:
            return ((rng.random(shape) >= p) / (1 - p)).astype(dtype)

        return x * drawn(self.rng, mask)

    def __repr__(self) -> str:
        return f"Dropout(p={self.p}{', over_time=True' if self.over_time else ''})"


class LayerNorm(Module):
    """y = g (x − mean) / √(var + ε) + b, with mean and variance over the last axis of x.

    x, y: (…, size)   g: (size,), starting from 1   b: (size,), starting from 0

    Ba, Kiros, Hinton 2016, arXiv 1607.06450, equation 3 (without ε).
    """

    def __init__(self, size: int, eps: float = 1e-5, dtype: npt.DTypeLike = np.float32) -> None:
        positive("LayerNorm", size=size)
        self.g = Parameter(np.ones(size, dtype))
        self.b = Parameter(np.zeros(size, dtype))
        self.eps = eps

    def forward(self, x: Any) -> Any:
        if x.shape[-1:] != self.g.shape:
            raise ValueError(f"LayerNorm: x {x.shape} wants a last axis of length {self.g.size}")
        centred = x - np.mean(x, axis=-1, keepdims=True)
        var = np.mean(centred * centred, axis=-1, keepdims=True)
        return self.g * (centred / np.sqrt(var + self.eps)) + self.b

    def torch_state_dict(self) -> dict[str, Array]:
        return {"weight": self.g.numpy(), "bias": self.b.numpy()}

    def _take_torch(self, arrays: Mapping[str, Array]) -> None:
        assign(self.g, arrays["weight"])
        assign(self.b, arrays["bias"])


def positive(layer: str, **sizes: int) -> None:
    """A ValueError for the first of the sizes that is less than 1."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{layer}: {name}={size}; it is at least 1")
