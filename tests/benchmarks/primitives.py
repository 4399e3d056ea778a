"""Time each operation, forward and backward, against PyTorch, HIPS autograd and a bare tape.

    python tests/benchmarks/primitives.py [--rounds N] [--threads N]

Chains of one expression, in float64, in µs per operation. Small arrays show what the tape costs,
large ones the arithmetic. "closures" is a tape in Python with nothing but the tape. The peers take
turns, round after round in one process; the table gives medians, and their ratios. A peer that
can't be imported is left out.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from timing import OURS, Step, agree, available, keep_freed_memory, limit_threads, medians, row

import tinygrad_rnn as tg

SIZES = {(1, 32): 100, (256, 256): 10}  # the shape of x, and how often x = expression is repeated

EXPRESSIONS = {  # the expression, and how many operations it records
    "x + b": 1,
    "x * b": 1,
    "x / b": 1,
    "x**1.01": 1,
    "tanh(x)": 1,
    "exp(log(x))": 2,
    "sigmoid(x)": 1,
    "relu(x)": 1,
    "maximum(x, b)": 1,
    "where(mask, x, b)": 1,
    "b * x.sum(axis=-1, keepdims=True)": 2,
    "b * sum(x, axis=-1, keepdims=True)": 2,
    "b * mean(x, axis=-1, keepdims=True)": 2,
    "b * max(x, axis=-1, keepdims=True)": 2,
    "b * logsumexp(x, axis=-1, keepdims=True)": 2,
    "b * cross_entropy(x, classes)": 2,
    "softmax(x)": 1,
    "x @ A": 1,
    "einsum('ij,jk->ik', x, A)": 1,
    "x.T.T": 2,
    "x.reshape(flat).reshape(wide)": 2,
    "reshape(reshape(x, flat), wide)": 2,
    "concatenate([x, b], axis=-1)[:, middle]": 2,
    "x[:, columns]": 1,
    "x + embedding(E, rows)": 2,
}
OF_NUMPY = ["exp", "log", "tanh", "maximum", "where", "sum", "mean", "max", "einsum"]
OF_NUMPY += ["reshape", "concatenate"]


def leaves_of(expression: str) -> list[str]:
    """x, and which of the other leaves the expression reads."""
    return ["x", *(leaf for leaf in "bAE" if re.search(rf"\b{leaf}\b", expression))]


def repeated(expression: str, names: dict[str, Any], times: int) -> Callable[..., Any]:
    """x = expression, so many times; its leaves are the arguments, x first."""
    f = eval(f"lambda {', '.join(leaves_of(expression))}: {expression}", names)

    def run(x: Any, *others: Any) -> Any:
        for _ in range(times):
            x = f(x, *others)
        return x

    return run


def data(expression: str, shape: tuple[int, int]) -> tuple[list[Any], dict[str, Any]]:
    """The arrays of the leaves, and the constants by name."""
    N, M = shape
    rng = np.random.default_rng(0)
    x, b = rng.uniform(0.9, 1.1, (2, N, M))
    A, E = np.linalg.qr(rng.standard_normal((M, M)))[0], rng.standard_normal((M, M))
    leaves = {"x": x, "b": b, "A": A, "E": E}
    constants = {
        "mask": rng.random((N, M)) < 0.5,
        "classes": rng.integers(0, M, N),
        "columns": rng.integers(0, M, M),
        "rows": rng.integers(0, M, N),
        "middle": slice(M // 2, M // 2 + M),
        "flat": (-1,),
        "wide": (N, M),
    }
    return [leaves[name] for name in leaves_of(expression)], constants


def ours(expression: str, shape: tuple[int, int], times: int) -> Step:
    leaves, constants = data(expression, shape)
    names = {name: getattr(np, name) for name in OF_NUMPY} | vars(tg) | constants
    run, leaves = repeated(expression, names, times), [tg.Parameter(leaf) for leaf in leaves]

    def step() -> tuple[float, list[Any]]:
        for leaf in leaves:
            leaf.zero_grad()
        loss = run(*leaves).sum()
        loss.backward()
        return loss.item(), [leaf.grad.data for leaf in leaves]

    return step


def pytorch(expression: str, shape: tuple[int, int], times: int) -> Step:
    import torch
    from torch.nn import functional

    leaves, constants = data(expression, shape)
    names = {name: getattr(torch, name) for name in OF_NUMPY} | {
        k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in constants.items()
    }
    names |= {"max": torch.amax, "logsumexp": torch.logsumexp, "sigmoid": torch.sigmoid}
    names |= {"relu": torch.relu, "cross_entropy": functional.cross_entropy}
    names |= {"embedding": lambda table, ids: functional.embedding(ids, table)}
    names |= {"softmax": lambda x: torch.softmax(x, -1)}
    run = repeated(expression, names, times)
    leaves = [torch.from_numpy(leaf).requires_grad_() for leaf in leaves]

    def step() -> tuple[float, list[Any]]:
        for leaf in leaves:
            leaf.grad = None
        loss = run(*leaves).sum()
        loss.backward()
        return loss.item(), [leaf.grad.numpy() for leaf in leaves]

    return step


def hips(expression: str, shape: tuple[int, int], times: int) -> Step:
    import autograd.numpy as anp
    from autograd import value_and_grad
    from autograd.scipy.special import expit, logsumexp

    leaves, constants = data(expression, shape)
    names = {name: getattr(anp, name) for name in OF_NUMPY} | constants
    names |= {"logsumexp": logsumexp, "sigmoid": expit}
    run = repeated(expression, names, times)
    both = value_and_grad(lambda *leaves: run(*leaves).sum(), argnum=tuple(range(len(leaves))))

    def step() -> tuple[float, list[Any]]:
        value, gradients = both(*leaves)
        return float(value), list(gradients)

    return step


_tape: list[Closure] = []


class Closure:
    """The least that a tape in Python can do: an array, its parents, and a closure per operation.

    It neither undoes broadcasting nor takes constants, has one tape, and is used up by `backward`.
    """

    __slots__ = ("array", "back", "grad", "parents")

    def __init__(self, array: Any, parents: tuple[Any, ...] = (), back: Any = None) -> None:
        self.array, self.parents, self.back, self.grad = array, parents, back, None
        if back is not None:
            _tape.append(self)

    def __add__(self, other: Closure) -> Closure:
        return Closure(self.array + other.array, (self, other), lambda g: (g, g))

    def __mul__(self, other: Closure) -> Closure:
        a, b = self.array, other.array
        return Closure(a * b, (self, other), lambda g: (g * b, g * a))

    def __matmul__(self, other: Closure) -> Closure:
        a, b = self.array, other.array
        return Closure(a @ b, (self, other), lambda g: (g @ b.T, a.T @ g))

    def tanh(self) -> Closure:
        y = np.tanh(self.array)
        return Closure(y, (self,), lambda g: (g * (1 - y * y),))

    def backward(self, g: Any) -> None:
        self.grad = g
        while _tape:
            node = _tape.pop()
            if node.grad is not None:
                for x, term in zip(node.parents, node.back(node.grad), strict=True):
                    x.grad = term if x.grad is None else x.grad + term
                node.grad = None


def closures(expression: str, shape: tuple[int, int], times: int) -> Step:
    arrays, _ = data(expression, shape)
    if expression not in ("x + b", "x * b", "tanh(x)", "x @ A"):
        raise NameError(expression)
    leaves = [Closure(array) for array in arrays]
    run = repeated(expression, {"tanh": Closure.tanh}, times)

    def step() -> tuple[float, list[Any]]:
        for leaf in leaves:
            leaf.grad = None
        y = run(*leaves)
        y.backward(np.ones(shape))
        return float(y.array.sum()), [leaf.grad for leaf in leaves]

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    limit_threads(arguments.threads)
    keep_freed_memory()
    peers = available({OURS: ours, "PyTorch": pytorch, "HIPS autograd": hips, "closures": closures})
    for shape, times in SIZES.items():
        print()
        row(f"{shape}, µs per operation", *peers)
        for expression, operations in EXPRESSIONS.items():
            steps = {}
            for name, make in peers.items():
                with suppress(NameError):  # where a peer has no such primitive
                    step = make(expression, shape, times)
                    step()
                    steps[name] = step
            agree(steps, rtol=1e-6, atol=1e-9)
            seconds = medians(steps, arguments.rounds)
            each = {name: 1e6 * s / times / operations for name, s in seconds.items()}
            row(
                expression,
                *(
                    f"{each[p]:.1f} {each[p] / each[OURS]:6.2f}×" if p in each else "–"
                    for p in peers
                ),
            )


if __name__ == "__main__":
    main()
