"""Random programs, whose gradients are compared with the complex step.

A program is a list of calls of NumPy functions and operators. Run on tensors it records itself; run
on complex arrays it is its own derivative, f(x + ih).imag / h. So no other library is needed, and
no rule is trusted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg

Values = list[Any]
LENGTH = 40

ONE: list[Callable[[Any], Any]] = [
    np.tanh, np.sin, np.cos, np.negative, np.square, lambda x: np.exp(np.sin(x)),
    lambda x: np.log(np.square(x) + 1.5), lambda x: np.sqrt(np.square(x) + 0.5),
    lambda x: 1 / (np.square(x) + 1.0), lambda x: (np.square(x) + 0.5) ** 1.5, lambda x: x - 0.5,
]  # fmt: skip
TWO: list[Callable[[Any, Any], Any]] = [
    np.add, np.subtract, np.multiply, lambda a, b: a / (np.square(b) + 1.0), lambda a, b: a * a + b,
]  # fmt: skip


def program(rng: np.random.Generator, shapes: list[tuple[int, ...]]) -> Callable[..., Any]:
    """A function of arrays of these shapes to a scalar: up to 40 calls, with shared values."""
    calls: list[Callable[[Values], Any]] = []
    known = list(shapes)

    def add(call: Callable[[Values], Any]) -> None:
        try:
            known.append(np.shape(call([np.full(shape, 0.3) for shape in known])))
        except ValueError:
            return  # the shapes do not fit: another draw
        calls.append(call)

    for _ in range(rng.integers(5, LENGTH)):
        i, j = (int(k) for k in rng.integers(max(0, len(known) - 6), len(known), 2))
        shape = known[i]
        kind = rng.integers(9)
        if kind <= 1:
            f = ONE[rng.integers(len(ONE))]
            add(lambda v, f=f, i=i: f(v[i]))
        elif kind <= 3:
            g = TWO[rng.integers(len(TWO))]
            add(lambda v, g=g, i=i, j=j: g(v[i], v[j]))
        elif kind == 4:
            add(lambda v, i=i, j=j: np.matmul(v[i], v[j]))
        elif kind == 5 and shape:
            axis, keep = int(rng.integers(-len(shape), len(shape))), bool(rng.integers(2))
            reduce = (np.sum, np.mean, np.prod)[rng.integers(3)]
            add(lambda v, r=reduce, i=i, a=axis, k=keep: r(v[i], axis=a, keepdims=k))
        elif kind == 6 and len(shape) > 1:
            order = tuple(int(k) for k in rng.permutation(len(shape)))
            add(lambda v, i=i, o=order: np.transpose(v[i], o))
        elif kind == 7 and shape and shape[0]:
            rows = rng.integers(-shape[0], shape[0], int(rng.integers(1, 4)))
            picks: list[Any] = [rows, slice(None, None, -1), (..., None), (int(rows[0]), ...)]
            index = picks[rng.integers(len(picks))]
            add(lambda v, i=i, index=index: v[i][index])
        elif kind == 8 and shape and len(shape) < 3:
            join = (np.concatenate, np.stack)[rng.integers(2)]
            add(lambda v, i=i, join=join: join([v[i], 2.0 * v[i]], -1))

    def run(*inputs: Any) -> Any:
        values: Values = list(inputs)
        for call in calls:
            values.append(call(values))
        return sum(np.sum(np.tanh(value)) for value in values[len(inputs) :])

    return run


@pytest.mark.parametrize("seed", range(150))
def test_gradients_of_random_programs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shapes = [
        tuple(int(n) for n in rng.choice([1, 2, 3], rng.integers(0, 4)))
        for _ in range(rng.integers(1, 4))
    ]
    run = program(rng, shapes)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    inputs = [tg.tensor(array, requires_grad=True) for array in arrays]
    y = run(*inputs)
    assert y.item() == pytest.approx(float(run(*arrays)), rel=1e-12)
    found = tg.grad(y, inputs, allow_unused=True, retain_graph=True)
    again = tg.grad(y, inputs, allow_unused=True, create_graph=True)
    for slot, (g, h) in enumerate(zip(found, again, strict=True)):
        expected = np.zeros(shapes[slot])
        for place in np.ndindex(*shapes[slot]):
            moved: list[Any] = [array.astype(complex) for array in arrays]
            moved[slot][place] += 1e-20j
            expected[place] = np.imag(run(*moved)) / 1e-20
        for ours in (g, h):
            value = np.zeros(shapes[slot]) if ours is None else ours.numpy()
            np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("seed", range(150, 200))
def test_second_derivatives_of_random_programs(seed: int) -> None:
    """H v, against central differences of the gradient."""
    rng = np.random.default_rng(seed)
    run = program(rng, [(2, 3)])
    x, v = rng.standard_normal((2, 3)), rng.standard_normal((2, 3))

    def gradient(at: np.ndarray) -> np.ndarray:
        moved = tg.tensor(at, requires_grad=True)
        (g,) = tg.grad(run(moved), moved)
        assert g is not None
        return g.data

    h = 1e-6
    expected = (gradient(x + h * v) - gradient(x - h * v)) / (2 * h)
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(
        tg.hvp(run, tg.tensor(x), v).data / scale, expected / scale, rtol=1e-5, atol=1e-6
    )
