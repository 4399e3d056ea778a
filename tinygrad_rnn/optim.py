"""Optimizers: how a parameter moves, given its gradient.

They know nothing of networks, graphs or time. A parameter gets a new array; a recording made before
keeps the old one. A parameter without a gradient stays where it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from .engine.tensor import Tensor

Array = npt.NDArray[Any]


class Optimizer:
    """Moves parameters against their gradients; a subclass says by how much.

    lr: the learning rate; it may be changed between steps.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float) -> None:
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError(f"{type(self).__name__}: there are no parameters to move")
        if not lr > 0:
            raise ValueError(f"{type(self).__name__}: lr={lr}; a learning rate is positive")
        self.lr = lr
        self.updates = 0
        self.state: list[dict[str, Array]] = [{} for _ in self.parameters]

    def step(self) -> None:
        """Move each parameter once."""
        self.updates += 1
        for parameter, state in zip(self.parameters, self.state, strict=True):
            if parameter.grad is not None:
                change = self.change(parameter.grad.data, state)
                moved = parameter.data - change
                parameter.data = moved.astype(parameter.dtype, copy=False)

    def zero_grad(self) -> None:
        """Forget the gradients: each becomes None."""
        for parameter in self.parameters:
            parameter.zero_grad()

    def change(self, g: Array, state: dict[str, Array]) -> Array:
        """What to subtract, given the gradient and what was kept from earlier steps."""
        raise NotImplementedError


def _kept(state: dict[str, Array], name: str, like: Array) -> Array:
    if name not in state:
        state[name] = np.zeros_like(like)
    return state[name]


class SGD(Optimizer):
    """v ← μ v + g, θ ← θ − lr v: stochastic gradient descent, with momentum μ as PyTorch has it."""

    def __init__(self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.0) -> None:
        super().__init__(parameters, lr)
        self.momentum = momentum

    def change(self, g: Array, state: dict[str, Array]) -> Array:
        if not self.momentum:
            return self.lr * g
        v = _kept(state, "velocity", g)
        v *= self.momentum
        v += g
        return self.lr * v


class Adagrad(Optimizer):
    """s ← s + g², θ ← θ − lr g / (√s + ε). Duchi, Hazan, Singer 2011, JMLR 12, diagonal G."""

    def __init__(self, parameters: Iterable[Tensor], lr: float = 0.01, eps: float = 1e-10) -> None:
        super().__init__(parameters, lr)
        self.eps = eps

    def change(self, g: Array, state: dict[str, Array]) -> Array:
        s = _kept(state, "sum", g)
        s += g * g
        return self.lr * g / (np.sqrt(s) + self.eps)


class Adam(Optimizer):
    """m ← β₁ m + (1−β₁) g, s ← β₂ s + (1−β₂) g², θ ← θ − lr m̂ / (√ŝ + ε).

    m̂ = m / (1−β₁ⁿ) and ŝ = s / (1−β₂ⁿ) at step n take out the bias towards the zeros that m and s
    start from. Kingma, Ba 2015, arXiv 1412.6980, Algorithm 1.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, lr)
        self.betas = betas
        self.eps = eps

    def change(self, g: Array, state: dict[str, Array]) -> Array:
        b1, b2 = self.betas
        m, s = _kept(state, "mean", g), _kept(state, "square", g)
        m += (1 - b1) * (g - m)
        s += (1 - b2) * (g * g - s)
        m_hat, s_hat = m / (1 - b1**self.updates), s / (1 - b2**self.updates)
        return self.lr * m_hat / (np.sqrt(s_hat) + self.eps)


def clip_grad_norm(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients together so that their joint Euclidean norm is at most `max_norm`.

    Returns the norm before. Pascanu, Mikolov, Bengio 2013, arXiv 1211.5063, Algorithm 1.
    """
    gradients = [p.grad.data for p in parameters if p.grad is not None]
    norm = float(np.sqrt(sum(float(np.vdot(g, g)) for g in gradients)))
    if norm > max_norm:
        for g in gradients:
            g *= max_norm / norm
    return norm


def clip_grad_value(parameters: Iterable[Tensor], max_value: float) -> None:
    """Cut each element of each gradient to [−max_value, max_value]."""
    for p in parameters:
        if p.grad is not None:
            np.clip(p.grad.data, -max_value, max_value, out=p.grad.data)
