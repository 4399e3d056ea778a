"""Whether a compiled function does what the function does, with its text run by itself as well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn.program import Program

CLOSE = 1e-12  # relative, in float64


def leaves(tree: Any) -> list[np.ndarray]:
    if isinstance(tree, (list, tuple)):
        return [leaf for part in tree for leaf in leaves(part)]
    return [tree.numpy() if isinstance(tree, tg.Tensor) else np.asarray(tree)]


def tensors(args: Any) -> list[Any]:
    return [x if isinstance(x, tg.Tensor) else tg.tensor(x) for x in args]


def gradients(parameters: Any) -> list[np.ndarray | None]:
    return [None if p.grad is None else p.grad.numpy() for p in parameters]


def forget(parameters: Any) -> None:
    for p in parameters:
        p.zero_grad()


def agree(f: Callable[..., Any], args: Any, parameters: Any, close: float = CLOSE) -> Program:
    """Running a function, running its program, and running the program's text by itself."""
    everything = [*parameters, *(x for x in args if isinstance(x, tg.Tensor) and x.requires_grad)]
    forget(everything)
    returned = leaves(f(*tensors(args)))
    wanted = [*returned, *gradients(everything)]
    program = tg.compile(f)
    for _ in range(3):
        forget(everything)
        found = [*leaves(program(*args)), *gradients(everything)]
        equal(found, wanted, close)
    forget(everything)
    derived = program._last
    assert derived is not None
    assert derived.prepare is not None, derived.why
    given = [x.numpy() if isinstance(x, tg.Tensor) else x for x in args]
    given += [x.numpy() for x in derived.captured] + derived.constants
    before = [x.copy() for x in given]
    space: dict[str, Any] = {}
    exec(program.source, space)
    alone = space[f.__name__](*given)
    for x, y in zip(given, before, strict=True):
        assert np.array_equal(x, y), "the program wrote to an argument"
    equal([np.asarray(x) for x in alone[: len(returned)]], returned, close)
    return program


def equal(found: list[Any], wanted: list[Any], close: float) -> None:
    for a, b in zip(found, wanted, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            np.testing.assert_allclose(a, b, rtol=close, atol=close * max(np.abs(b).max(), 1e-300))
