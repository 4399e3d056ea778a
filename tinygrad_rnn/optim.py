"""Optimizers: how a parameter moves, given its gradient.

They know nothing of networks, graphs or time. Parameters move in place. A parameter without a
gradient stays where it is, and one that a recording still holds is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from .engine.held import refuse
from .engine.tensor import Tensor

clip: Any = np.clip  # which gives a tensor when it is fed one

Array = npt.NDArray[Any]
State = dict[str, Any]  # what an optimizer keeps for one parameter, by name


class Optimizer:
    """Moves parameters against their gradients; a subclass says by how much.

    lr: the learning rate; it may be changed between steps.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float) -> None:
        self.parameters = _listed(type(self).__name__, parameters)
        if not self.parameters:
            raise ValueError(f"{type(self).__name__}: there are no parameters to move")
        if not lr > 0:
            raise ValueError(f"{type(self).__name__}: lr={lr}; a learning rate is positive")
        self.lr = lr
        self.state: list[State] = [{} for _ in self.parameters]

    def step(self) -> None:
        """Move each parameter once, in place.

        A ValueError says which operation of a recording still holds a parameter: what was recorded
        with it has to be released, by backward(), or dropped.
        """
        moving = []
        for parameter, state in zip(self.parameters, self.state, strict=True):
            if parameter.grad is not None:
                moving.append((parameter.data, parameter.grad.data, state))
                if not moving[-1][0].flags.writeable:
                    refuse(parameter)  # before any of them has moved
        for value, g, state in moving:
            value -= self.change(g, state)

    def zero_grad(self) -> None:
        """Forget the gradients: each becomes None."""
        for parameter in self.parameters:
            parameter.zero_grad()

    def change(self, g: Array, state: State) -> Array:
        """What to subtract, given the gradient and what was kept from earlier steps."""
        raise NotImplementedError


def _kept(state: State, name: str, like: Array) -> Array:
    if name not in state:
        state[name] = np.zeros_like(like)
    array: Array = state[name]
    return array


def _listed(function: str, parameters: Iterable[Tensor]) -> list[Tensor]:
    """The parameters, each a leaf: what was computed can't be moved."""
    if isinstance(parameters, Tensor):
        raise TypeError(f"{function}: give a list of parameters, [p], not one tensor")
    listed = list(dict.fromkeys(parameters))  # none moves twice
    for p in listed:
        if not isinstance(p, Tensor) or p.primitive is not None or not p.requires_grad:
            raise TypeError(f"{function}: {p!r:.60} is not a parameter")
    return listed


class SGD(Optimizer):
    """v ← μ v + g, θ ← θ − lr v: stochastic gradient descent, with momentum μ as PyTorch has it."""

    def __init__(self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.0) -> None:
        super().__init__(parameters, lr)
        self.momentum = momentum

    def change(self, g: Array, state: State) -> Array:
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

    def change(self, g: Array, state: State) -> Array:
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

    def change(self, g: Array, state: State) -> Array:
        b1, b2 = self.betas
        m, s = _kept(state, "mean", g), _kept(state, "square", g)
        n = state["updates"] = state.get("updates", 0) + 1
        m += (1 - b1) * (g - m)
        s += (1 - b2) * (g * g - s)
        m_hat, s_hat = m / (1 - b1**n), s / (1 - b2**n)
        moved: Array = self.lr * m_hat / (np.sqrt(s_hat) + self.eps)
        return moved


def clip_grad_norm(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients together so that their joint Euclidean norm is at most `max_norm`.

    Returns the norm before. Pascanu, Mikolov, Bengio 2013, arXiv 1211.5063, Algorithm 1.
    """
    if not max_norm > 0:
        raise ValueError(f"clip_grad_norm: max_norm={max_norm}; it is positive")
    graded = [(p, p.grad) for p in _listed("clip_grad_norm", parameters) if p.grad is not None]
    squares = [float(np.square(g.data, dtype=np.float64).sum()) for _, g in graded]
    norm = math.sqrt(sum(squares))
    if norm > max_norm:
        for p, g in graded:
            p.grad = g * (max_norm / norm)
    return norm


def clip_grad_value(parameters: Iterable[Tensor], max_value: float) -> None:
    """Cut each element of each gradient to [−max_value, max_value]."""
    for p in _listed("clip_grad_value", parameters):
        if p.grad is not None:
            p.grad = clip(p.grad, -max_value, max_value)
