"""Optimizers: how a parameter moves, given its gradient.

They know nothing of networks, graphs or time. Parameters move in place. A parameter without a
gradient stays where it is, and one that a recording still holds is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
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

    parameters: leaves that require a gradient; a TypeError for anything else.
    lr: the learning rate; it may be changed between steps, `optimizer.lr = …`.
    """

    options: Sequence[str] = ("lr",)  # the attributes that are its settings
    keeps: Sequence[str] = ()  # the arrays that it keeps for each parameter that it has moved

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
            value -= self.change(value, g, state)

    def zero_grad(self) -> None:
        """Forget the gradients: each becomes None."""
        for parameter in self.parameters:
            parameter.zero_grad()

    def change(self, value: Array, g: Array, state: State) -> Array:
        """What to subtract from a parameter, given its value, its gradient and what was kept."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """The settings, and copies of what is kept for each parameter, in their order.

        With the parameters' own values, and those settings that are changed between steps, this is
        all that the next steps depend on.
        """
        return {
            "optimizer": type(self).__name__,
            "options": {name: getattr(self, name) for name in self.options},
            "state": [{k: _copied(v) for k, v in state.items()} for state in self.state],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave, for parameters in the same order.

        A ValueError says what is of another optimizer, is missing or has another shape or dtype;
        then nothing has changed.
        """
        state = self.fitting(state)
        for name, value in state["options"].items():
            setattr(self, name, value)
        self.state = state["state"]

    def fitting(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of a state dict, if it fits; else the error of `load_state_dict`."""
        name = type(self).__name__
        if not isinstance(state, Mapping) or set(state) != {"optimizer", "options", "state"}:
            raise ValueError(f"{name}: this is not what an optimizer's state_dict() gave")
        if state["optimizer"] != name:
            raise ValueError(f"{name}: this is the state of {state['optimizer']!r:.40}")
        options, kept = state["options"], state["state"]
        if not isinstance(options, Mapping) or set(options) != set(self.options):
            raise ValueError(f"{name}: the options are {', '.join(self.options)}, not {options!r}")
        options = {key: _like(getattr(self, key), value) for key, value in options.items()}
        if None in options.values():
            raise ValueError(f"{name}: these are no values of options: {state['options']!r:.200}")
        if len(kept) != len(self.parameters):
            raise ValueError(
                f"{name}: the state is of {len(kept)} parameters, not of {len(self.parameters)}"
            )
        for i, (parameter, entries) in enumerate(zip(self.parameters, kept, strict=True)):
            called = f" ({parameter.name})" if parameter.name else ""
            what = f"{name}: the state of parameter {i}{called}"
            if entries and set(entries) != set(self.keeps):
                raise ValueError(f"{what} has {sorted(entries)}, not {sorted(self.keeps)}")
            for key, value in entries.items():
                if key == "updates":
                    if type(value) is not int or value < 1:
                        raise ValueError(f"{what} has updates={value!r:.40}, not a count")
                    continue
                kind, wanted = _kind(value), _kind(parameter.array)
                if kind != wanted:
                    raise ValueError(f"{what} has {key} of {kind}; the parameter is {wanted}")
        copies = [{k: _copied(v) for k, v in entries.items()} for entries in kept]
        return {"optimizer": name, "options": options, "state": copies}


def _like(option: Any, value: Any) -> Any:
    """The value of an option, which JSON may have made a list of; None if it can't be one."""
    several = isinstance(option, tuple)
    values = tuple(value) if several and isinstance(value, (tuple, list)) else (value,)
    if len(values) != np.size(option) or not all(isinstance(v, (int, float)) for v in values):
        return None
    return values if several else value


def _kind(x: Any) -> str:
    return f"{x.dtype} {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__


def _copied(x: Any) -> Any:
    return x.copy() if isinstance(x, np.ndarray) else x


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
    """v ← μ v + g + λ θ, θ ← θ − lr v: stochastic gradient descent.

    momentum: μ, as PyTorch has it, where v is not scaled by 1 − μ.
    nesterov: θ ← θ − lr (g + λ θ + μ v) instead. Sutskever, Martens, Dahl, Hinton 2013, ICML,
        equations 3 and 4, in the form that needs the gradient at θ only.
    weight_decay: λ, of the penalty ½ λ |θ|².
    """

    options = ("lr", "momentum", "nesterov", "weight_decay")
    keeps = ("velocity",)

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr)
        if nesterov and not momentum > 0:
            raise ValueError("SGD: nesterov=True looks ahead along the momentum, which is 0")
        self.momentum = momentum
        self.nesterov = nesterov
        self.weight_decay = weight_decay

    def change(self, value: Array, g: Array, state: State) -> Array:
        if self.weight_decay:
            g = g + self.weight_decay * value
        if not self.momentum:
            return self.lr * g
        v = _kept(state, "velocity", g)
        v *= self.momentum
        v += g
        return self.lr * (g + self.momentum * v if self.nesterov else v)


class Adagrad(Optimizer):
    """s ← s + g², θ ← θ − lr g / (√s + ε). Duchi, Hazan, Singer 2011, JMLR 12, diagonal G."""

    options = ("lr", "eps")
    keeps = ("sum",)

    def __init__(self, parameters: Iterable[Tensor], lr: float = 0.01, eps: float = 1e-10) -> None:
        super().__init__(parameters, lr)
        self.eps = eps

    def change(self, value: Array, g: Array, state: State) -> Array:
        s = _kept(state, "sum", g)
        s += g * g
        return self.lr * g / (np.sqrt(s) + self.eps)


class RMSprop(Optimizer):
    """s ← α s + (1−α) g², θ ← θ − lr g / (√s + ε). Tieleman, Hinton 2012, Coursera, lecture 6.5."""

    options = ("lr", "alpha", "eps")
    keeps = ("square",)

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, lr)
        self.alpha = alpha
        self.eps = eps

    def change(self, value: Array, g: Array, state: State) -> Array:
        s = _kept(state, "square", g)
        s += (1 - self.alpha) * (g * g - s)
        return self.lr * g / (np.sqrt(s) + self.eps)


class Adam(Optimizer):
    """m ← β₁ m + (1−β₁) g, s ← β₂ s + (1−β₂) g², θ ← θ − lr m̂ / (√ŝ + ε).

    m̂ = m / (1−β₁ⁿ) and ŝ = s / (1−β₂ⁿ) at step n take out the bias towards the zeros that m and s
    start from. Kingma, Ba 2015, arXiv 1412.6980, Algorithm 1.
    """

    options: Sequence[str] = ("lr", "betas", "eps")
    keeps = ("mean", "square", "updates")

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

    def change(self, value: Array, g: Array, state: State) -> Array:
        b1, b2 = self.betas
        m, s = _kept(state, "mean", g), _kept(state, "square", g)
        n = state["updates"] = state.get("updates", 0) + 1
        m *= b1
        m += (1 - b1) * g
        moved = np.empty_like(g)  # one array for all that follows: a table of words is large
        np.multiply(g, g, out=moved)
        moved *= 1 - b2
        s *= b2
        s += moved
        np.sqrt(s, out=moved)
        moved /= math.sqrt(1 - b2**n)
        moved += self.eps
        np.divide(m, moved, out=moved)
        moved *= self.lr / (1 - b1**n)
        return moved


class AdamW(Adam):
    """Adam, and θ ← θ − lr λ θ beside it: decay that the scaling by 1/√ŝ does not touch.

    weight_decay: λ. Loshchilov, Hutter 2019, arXiv 1711.05101, Algorithm 2.
    """

    options = ("lr", "betas", "eps", "weight_decay")

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, lr, betas, eps)
        self.weight_decay = weight_decay

    def change(self, value: Array, g: Array, state: State) -> Array:
        return super().change(value, g, state) + self.lr * self.weight_decay * value


# --------------------------------------------------------------------------------------- clipping


def clip_grad_norm(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients together so that their joint Euclidean norm is at most `max_norm`.

    Returns the norm before. If that is nan or inf, because an element is, the gradients stay as
    they are: no scaling mends them. Such an update is better left out, `if np.isfinite(norm): …`.

    Pascanu, Mikolov, Bengio 2013, arXiv 1211.5063, Algorithm 1.
    """
    if not max_norm > 0:
        raise ValueError(f"clip_grad_norm: max_norm={max_norm}; it is positive")
    graded = [(p, p.grad) for p in _listed("clip_grad_norm", parameters) if p.grad is not None]
    norm = math.hypot(*(_norm(g.data) for _, g in graded))
    if max_norm < norm < math.inf:
        for p, g in graded:
            p.grad = g * (max_norm / norm)
    return norm


def _norm(g: Array) -> float:
    """The Euclidean norm; squares that overflow or vanish don't spoil it."""
    total = float(np.vdot(g, g))
    if np.finfo(g.dtype).tiny / np.finfo(g.dtype).eps < total < math.inf:
        return math.sqrt(total)
    largest = float(np.abs(g).max(initial=0))
    if largest == 0 or not math.isfinite(largest):
        return largest
    return largest * math.sqrt(np.square(g / np.float64(largest), dtype=np.float64).sum())


def clip_grad_value(parameters: Iterable[Tensor], max_value: float) -> None:
    """Cut each element of each gradient to [−max_value, max_value]; nan stays nan."""
    if not max_value > 0:
        raise ValueError(f"clip_grad_value: max_value={max_value}; it is positive")
    for p in _listed("clip_grad_value", parameters):
        if p.grad is not None:
            p.grad = clip(p.grad, -max_value, max_value)


# -------------------------------------------------------------------------- learning-rate schedules
# Factors, given how many updates there were: `optimizer.lr = 0.01 * warmup(n, 100) * cosine(n, N)`.
# They remember nothing, so that training goes on from n as if it had never stopped.


def staircase(n: int, every: int, factor: float = 0.1) -> float:
    """1, then `factor` from update `every` on, `factor`² from 2 · `every` on, …"""
    return float(factor ** (n // every))


def cosine(n: int, updates: int, lowest: float = 0.0) -> float:
    """From 1 at n = 0 along half a cosine to `lowest` at n = `updates`, and there it stays.

    Loshchilov, Hutter 2017, arXiv 1608.03983, equation 5, without restarts.
    """
    done = min(n / updates, 1.0)
    return lowest + (1 - lowest) * 0.5 * (1 + math.cos(math.pi * done))


def warmup(n: int, updates: int) -> float:
    """1/`updates` at the first update, n = 0, and so on up to 1 at the last of them, then 1."""
    return min((n + 1) / updates, 1.0)
