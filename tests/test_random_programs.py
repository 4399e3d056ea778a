"""Random programs of up to 40 calls, whose gradients are compared with the complex step.

Programs are drawn from the table (tests/programs.py). So no other library is needed, and no rule is
trusted. `tests/benchmarks/random_programs.py` compares the same programs with PyTorch.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest

import tinygrad_rnn as tg

from .oracles import complex_step
from .programs import Program, complex_function, random_program
from .table import ROWS

PROGRAMS = 150
NOT_DRAWN = {"np.einsum"}  # another spelling of the primitive einsum, which takes part


@cache
def drawn(seed: int) -> Program:
    return random_program(seed)


def relative(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference, relative to the largest number or to 1."""
    return float(np.abs(a - b).max() / max(1.0, np.abs(b).max()))


def gradients(
    program: Program, arrays: list[np.ndarray], create_graph: bool = False
) -> list[np.ndarray]:
    xs = [tg.tensor(a, requires_grad=True) for a in arrays]
    found = tg.grad(program.run(xs), xs, allow_unused=True, create_graph=create_graph)
    return [np.zeros(x.shape) if g is None else g.numpy() for x, g in zip(xs, found, strict=True)]


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_values_and_gradients_of_random_programs(seed: int) -> None:
    program = drawn(seed)
    arrays = program.arrays
    y = program.run([tg.tensor(a, requires_grad=True) for a in arrays])
    wanted = program.run(arrays, lambda row: row.plain)
    assert y.item() == pytest.approx(float(wanted), rel=1e-12, abs=1e-12)
    plain, recorded = gradients(program, arrays), gradients(program, arrays, create_graph=True)
    for slot, x in enumerate(arrays):

        def moved(z: np.ndarray, slot: int = slot) -> complex:
            inputs = [*arrays[:slot], z, *arrays[slot + 1 :]]
            return program.run(inputs, complex_function)

        expected = complex_step(moved, x)
        assert relative(plain[slot], expected) < 1e-10
        assert relative(recorded[slot], expected) < 1e-10


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_second_derivatives_of_random_programs(seed: int) -> None:
    """H v, against central differences of the gradient, along the program's direction v."""
    program = drawn(seed)
    xs = [tg.tensor(a, requires_grad=True) for a in program.arrays]
    found = tg.grad(program.run(xs), xs, create_graph=True, allow_unused=True)
    pairs = zip(found, program.direction, strict=True)
    moved = sum((g * v).sum() for g, v in pairs if g is not None)
    products = [None] * len(xs)
    if isinstance(moved, tg.Tensor) and moved.requires_grad:
        products = tg.grad(moved, xs, allow_unused=True)
    h = 1e-6
    ends = [
        gradients(
            program, [a + s * v for a, v in zip(program.arrays, program.direction, strict=True)]
        )
        for s in (h, -h)
    ]
    for x, product, right, left in zip(xs, products, *ends, strict=True):
        ours = np.zeros(x.shape) if product is None else product.data
        assert relative(ours, (right - left) / (2 * h)) < 1e-5


def test_the_programs_use_the_whole_table() -> None:
    """Every row through which gradients flow takes part, and not in one program only."""
    counts = Counter({row.name: 0 for row in ROWS if row.differentiable})
    for seed in range(PROGRAMS):
        counts.update({step.row.name for step in drawn(seed).steps})
    print("programs that use each row:", dict(counts.most_common()))
    assert {name for name, count in counts.items() if count < 10} == NOT_DRAWN
