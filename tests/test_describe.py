"""The recording as text, and where a nan came from."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg


def test_the_recording_of_two_steps_reads_as_a_program() -> None:
    W = tg.Parameter(np.ones((2, 2)))
    x = tg.tensor(np.ones((2, 1, 2)))
    h = tg.tensor(np.zeros((1, 2)))
    for _, x_t in tg.steps(x):
        h = np.tanh(x_t + h @ W)
    with tg.scope("loss"):
        L = (h * 0.5).sum(axis=1)
    assert (
        tg.describe(L)
        == """\
outside the steps:
  n1 W = parameter  2×2
  n2 h = data  1×2
step 1:
  n3 x = data  1×2
  n4 = matmul(n2, n1)  1×2
  n5 = add(n3, n4)  1×2
  n6 h = tanh(n5)  1×2
step 2:
  n7 x = data  1×2
  n8 = matmul(n6, n1)  1×2
  n9 = add(n7, n8)  1×2
  n10 h = tanh(n9)  1×2
outside the steps, loss:
  n11 = multiply(n10, 0.5)  1×2
  n12 L = sum(n11, axis=1, keepdims=False)  1"""
    )


def test_array_constants_are_described_by_their_shape_and_long_chains_are_no_matter() -> None:
    x = tg.Parameter([1.0, 2.0])
    assert tg.describe(x * np.ones((3, 1))).endswith("n2 = multiply(n1, array(3, 1))  3×2")
    for _ in range(20_000):
        x = x * 1.0
    assert tg.describe(x).count("\n") == 20_001


def test_two_to_the_sixty_paths_are_sixty_lines() -> None:
    y = tg.Parameter(1.0)
    for _ in range(60):
        y = y + y
    assert tg.describe(y).count("\n") == 61
    assert tg.draw(y).source.count(" -> ") == 2 * 60 + 1  # and one from the last sum to its name


def test_a_nan_in_the_backward_pass_is_reported_with_its_line() -> None:
    x = tg.tensor([0.0, 1.0], requires_grad=True)
    with np.errstate(all="ignore"):
        with tg.scope("norm"):
            y = np.sqrt(x * 2.0)
        y.sum().backward(retain_graph=True)
        with (
            tg.trace_errors(),
            pytest.raises(FloatingPointError, match=r"sqrt.*norm.*test_describe\.py:\d+"),
        ):
            y.sum().backward(retain_graph=True)
        y.sum().backward()


def test_what_was_nan_before_is_not_blamed_on_the_rules_after() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = np.tanh(x)
    with tg.trace_errors():
        y.backward(np.array([np.nan, 1.0]))
    assert np.isnan(x.grad.data[0])


def test_a_nan_that_begins_in_a_sum_is_reported_too() -> None:
    a = tg.tensor(1.0, requires_grad=True)
    with np.errstate(over="ignore"):
        y = a * 1e308 + a * 1e308
    begins = pytest.raises(FloatingPointError, match="the sum of the terms of the gradient of a is")
    with tg.trace_errors(), np.errstate(over="ignore"), begins:
        y.backward()


def test_only_tensors_are_described() -> None:
    with pytest.raises(TypeError, match=r"list is not a tensor; describe\(a, b\)"):
        tg.describe([tg.tensor(1.0)])
