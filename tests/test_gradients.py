"""Gradients as functions, of any order, and the check by central differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.bptt import by_hand
from tinygrad_rnn.engine.check import differences
from tinygrad_rnn.engine.gradients import push_forward

from .oracles import lecture


def unroll(x: Any, y: Any, h: Any, V: Any, W: Any, U: Any, b_h: Any, b_y: Any) -> Any:
    """L of the lecture's network, recorded step by step."""
    losses = []
    for _, x_t, y_t in tg.steps(x, y):
        h = np.tanh(x_t @ V + h @ W + b_h)
        losses.append(tg.cross_entropy(h @ U + b_y, y_t))
    return sum(losses)


@pytest.mark.parametrize("seed", range(11))
def test_backward_is_the_lectures_derivation(seed: int) -> None:
    """For any sizes; at last, where all of them are 1, one class included."""
    rng = np.random.default_rng(seed)
    T, B, D, H, K = rng.integers(1, 12, 5) if seed < 10 else [1] * 5
    x, y, h0, *weights = lecture(T, B, D, H, K, seed)
    parameters = [tg.Parameter(w) for w in weights]
    L = unroll(x, y, h0, *parameters)
    L.backward()
    expected, gradients = by_hand.backward(x, y, h0, *weights)
    assert L.item() == pytest.approx(expected, abs=1e-12)
    for name, parameter in zip(("V", "W", "U", "b_h", "b_y"), parameters, strict=True):
        np.testing.assert_allclose(parameter.grad, gradients[name], rtol=0, atol=1e-12)


def test_the_network_to_second_order() -> None:
    x, y, h0, *weights = lecture(T=3, B=1, D=2, H=3, K=2)
    tg.check_gradients(lambda *ps: unroll(x, y, h0, *ps), *map(tg.Parameter, weights))


def test_grad_writes_nothing_and_differentiates_again_to_any_order() -> None:
    x = tg.tensor(2.0, requires_grad=True)
    y = x**5
    for expected in (80.0, 160.0, 240.0, 240.0, 120.0):
        (y,) = tg.grad(y, x, create_graph=True)
        assert y.item() == expected
    assert x.grad is None


def test_grad_of_several_outputs_inputs_and_intermediates() -> None:
    a, b = (tg.tensor(v, requires_grad=True) for v in ([1.0, 2.0], [3.0, 4.0]))
    c = a * b
    da, dc = tg.grad([c, c * a], [a, c], grad_outputs=[np.ones(2), np.ones(2)], retain_graph=True)
    np.testing.assert_array_equal(da, b.data + 2 * a.data * b.data)
    np.testing.assert_array_equal(dc, 1 + a.data)
    (db,) = tg.grad(c.sum(), b)
    np.testing.assert_array_equal(db, a.data)


def test_grad_of_an_input_that_no_output_depends_on() -> None:
    W, lonely = tg.Parameter([1.0]), tg.Parameter([1.0], name="lonely")
    y = (W * W).sum()
    with pytest.raises(ValueError, match=r"input 1 \(lonely, .*allow_unused=True"):
        tg.grad(y, [W, lonely], retain_graph=True)
    assert tg.grad(y, [W, lonely], allow_unused=True)[1] is None
    with pytest.raises(ValueError, match="requires_grad is not set"):
        tg.grad((W * W).sum(), tg.tensor(1.0))
    with pytest.raises(ValueError, match="1 outputs want as many"):
        tg.grad((W * W).sum(), W, grad_outputs=[np.ones(()), np.ones(())])


def test_backward_with_create_graph_gives_gradients_that_differentiate() -> None:
    x = tg.tensor(3.0, requires_grad=True)
    (x**3).backward(create_graph=True)
    first = x.grad
    assert first.item() == 27.0
    (second,) = tg.grad(first, x)
    assert second.item() == 18.0


def test_derivatives_are_derivatives_inside_no_grad_too() -> None:
    x, cube = tg.Parameter([1.0, 2.0]), lambda x: x**3
    y = cube(x).sum()
    with tg.no_grad():
        (g,) = tg.grad(y, x, create_graph=True)
        assert tg.vjp(cube, x)[1](np.ones(2))[0].data.tolist() == [3.0, 12.0]
        assert tg.jvp(cube, [x], [np.ones(2)])[1].data.tolist() == [3.0, 12.0]
        assert tg.hvp(lambda x: cube(x).sum(), x, np.ones(2)).data.tolist() == [6.0, 12.0]
        tg.check_gradients(cube, x)
        assert not cube(x).requires_grad
        with pytest.raises(ZeroDivisionError):
            tg.vjp(lambda x: 1 / 0, x)
        assert not cube(x).requires_grad
    (second,) = tg.grad(g.sum(), x)
    assert second.data.tolist() == [6.0, 12.0]


def test_unreached_branches_of_a_targeted_pass_cost_no_rule(monkeypatch: Any) -> None:
    x, w = tg.Parameter([1.0]), tg.Parameter([2.0])
    used = np.tanh(x * 1.0)
    y = used * np.exp(w)

    def fail(*_: Any) -> Any:
        raise AssertionError("not on the way to w")

    monkeypatch.setattr(used.primitive, "vjps", (fail,))
    (g,) = tg.grad(y, w)
    np.testing.assert_allclose(g, np.tanh(1.0) * np.exp(2.0))


# ------------------------------------------------------------------------------ check_gradients


def test_the_check_catches_a_wrong_rule_and_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    x = tg.tensor([0.5, 1.0], requires_grad=True)
    entry = np.tanh(x).primitive
    monkeypatch.setattr(entry, "vjps", (lambda g, y, x: g * (1 - y),))
    with pytest.raises(AssertionError, match=r"argument 0 \(x\) at \(0,\).*2 of 2 elements"):
        tg.check_gradients(np.tanh, x)


def test_the_check_catches_a_wrong_second_derivative(monkeypatch: pytest.MonkeyPatch) -> None:
    x = tg.tensor([0.5, 1.0], requires_grad=True)
    entry = np.tanh(x).primitive

    def once(g: Any, y: Any, x: Any) -> Any:
        return g * (1 - np.tanh(x.data if isinstance(x, tg.Tensor) else x) ** 2)

    monkeypatch.setattr(entry, "vjps", (once,))
    tg.check_gradients(np.tanh, x, order=1)
    with pytest.raises(AssertionError, match="of the gradient for argument 0"):
        tg.check_gradients(np.tanh, x)


@pytest.mark.parametrize(("relative", "absolute"), [(1e-5, 0.0), (0.0, 1e-7)])
def test_the_check_is_as_strict_as_promised(
    relative: float, absolute: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One part in 10⁶, and 10⁻⁸ where the slope is 0: ten times that is found, a tenth is not."""
    x = tg.tensor([0.0, 1.0], requires_grad=True)
    entry = np.cos(x).primitive

    def off(by: float) -> None:
        rule = lambda g, y, x: -g * np.sin(x) * (1 + by * relative) + by * absolute  # noqa: E731
        monkeypatch.setattr(entry, "vjps", (rule,))
        tg.check_gradients(lambda x: np.cos(x).sum(), x)

    off(0.01)
    with pytest.raises(AssertionError, match="1 of 2 elements" if relative else "at"):
        off(1.0)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_check_refuses_what_it_cannot_check(dtype: str) -> None:
    with pytest.raises(TypeError, match=rf"{dtype}.*need float64"):
        tg.check_gradients(np.tanh, tg.tensor([1.0], dtype=dtype, requires_grad=True))
    with pytest.raises(ValueError, match="no input has requires_grad"):
        tg.check_gradients(np.tanh, tg.tensor([1.0]))


# ----------------------------------------------------------------------- vjp, jvp, jacobian, hvp


def network(W: Any, x: Any) -> Any:
    return np.tanh(x @ W) * W.sum(axis=0)


def test_jacobian_by_central_differences_and_its_products_forwards_and_backwards() -> None:
    rng = np.random.default_rng(0)
    W, x = (tg.tensor(rng.standard_normal(s), requires_grad=True) for s in ((3, 2), (4, 3)))
    J_W, J_x = tg.jacobian(y := network(W, x), W), tg.jacobian(y, x)
    assert (J_W.shape, J_x.shape) == ((4, 2, 3, 2), (4, 2, 4, 3))
    for place in np.ndindex(4, 2):

        def element(W: Any, x: Any, place: Any = place) -> Any:
            return network(W, x)[place]

        np.testing.assert_allclose(J_W.data[place], differences(element, (W, x), 0), atol=1e-8)
        np.testing.assert_allclose(J_x.data[place], differences(element, (W, x), 1), atol=1e-8)

    v = rng.standard_normal((4, 2))
    value, pull_back = tg.vjp(network, W, x)
    np.testing.assert_array_equal(value.data, y.data)
    for _ in range(2):
        by_W, by_x = pull_back(v)
        np.testing.assert_allclose(by_W, np.tensordot(v, J_W.data, 2), rtol=1e-12)
        np.testing.assert_allclose(by_x, np.tensordot(v, J_x.data, 2), rtol=1e-12)

    dW, dx = rng.standard_normal((3, 2)), rng.standard_normal((4, 3))
    value, moved = tg.jvp(network, (W, x), (dW, dx))
    np.testing.assert_array_equal(value.data, y.data)
    expected = np.tensordot(J_W.data, dW, 2) + np.tensordot(J_x.data, dx, 2)
    np.testing.assert_allclose(moved, expected, rtol=1e-12)


def test_hessian_vector_products() -> None:
    rng = np.random.default_rng(0)
    A = rng.standard_normal((3, 3))
    x, v = tg.tensor(rng.standard_normal(3)), rng.standard_normal(3)
    np.testing.assert_allclose(tg.hvp(lambda x: x @ A @ x, x, v), (A + A.T) @ v, rtol=1e-12)
    np.testing.assert_array_equal(tg.hvp(lambda x: (x * 2.0).sum(), x, v), np.zeros(3))


def test_products_with_the_jacobian_of_what_does_not_depend_are_zero() -> None:
    a, b = tg.tensor([1.0, 2.0]), tg.tensor([3.0])
    _, pull_back = tg.vjp(lambda a, b: a * 2.0, a, b)
    assert [g.data.tolist() for g in pull_back(np.ones(2))] == [[2, 2], [0]]
    _, moved = tg.jvp(lambda a: tg.tensor([5.0]), (a,), (np.ones(2),))
    assert moved.data.tolist() == [0]
    _, moved = tg.jvp(lambda a, b: a + 0.0 * b, (a, b), (np.ones(2), np.ones(1)))
    assert moved.data.tolist() == [1, 1]
    narrow = tg.tensor([1.0, 2.0], dtype=np.float32)
    assert tg.jvp(np.tanh, (narrow,), (np.ones(2),))[1].dtype == np.float32
    v = np.ones(2)
    _, moved = tg.jvp(lambda a: a, (a,), (v,))
    moved.data[0] = 7.0
    assert v.tolist() == [1, 1]
    with pytest.raises(ValueError, match="as many tangents"):
        tg.jvp(np.tanh, (a,), ())
    with pytest.raises(ValueError, match=r"shape \(3,\) for an input of shape \(2,\)"):
        tg.jvp(np.tanh, (a,), (np.ones(3),))


def test_a_jacobian_takes_one_sweep_for_many_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinygrad_rnn.engine import gradients

    W, x = tg.Parameter(np.ones((3, 4))), tg.tensor(np.ones((2, 3)))
    y, calls = np.tanh(x @ W), 0
    sweep = gradients.adjoints

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        return sweep(*args, **kwargs)

    monkeypatch.setattr(gradients, "adjoints", counted)
    whole = tg.jacobian(y, W)
    assert calls == 1
    monkeypatch.setattr(gradients, "AT_ONCE", 3)
    np.testing.assert_array_equal(tg.jacobian(y, W), whole)
    assert calls == 4


def test_a_jacobian_that_is_nowhere_is_refused_and_an_empty_one_is_empty() -> None:
    x, other = tg.Parameter(np.ones(3), name="x"), tg.Parameter([1.0], name="other")
    with pytest.raises(ValueError, match=r"jacobian: the input \(other, shape \(1,\)\) gets no"):
        tg.jacobian(x * 2.0, other)
    assert tg.jacobian(x[:0] * 2.0, x).shape == (0, 3)


def test_forward_mode_keeps_no_tangent_longer_than_it_is_read() -> None:
    class Counted(np.ndarray):
        """The tangent that goes in; what is computed from it is one too."""

        alive = peak = 0

        def __array_finalize__(self, _: Any) -> None:
            Counted.alive += 1
            Counted.peak = max(Counted.peak, Counted.alive)

        def __del__(self) -> None:
            Counted.alive -= 1

    def peak(steps: int) -> int:
        w, y = tg.Parameter([0.5]), tg.tensor([1.0])
        for _ in range(steps):
            y = np.tanh(w * y)
        Counted.peak = 0
        moved = push_forward([y], {w: np.ones(1).view(Counted)})
        (dw,) = tg.grad(y, w)
        assert list(moved) == [y]
        np.testing.assert_allclose(moved[y], dw, rtol=1e-14)
        return Counted.peak

    assert peak(200) == peak(20)


def test_a_recorded_pass_refuses_values_that_were_replaced_since() -> None:
    w = tg.Parameter(3.0, name="w")
    y = w * w
    w.data = np.array(10.0)
    assert tg.grad(y, w, retain_graph=True)[0].item() == 6.0
    with pytest.raises(RuntimeError, match="w was given another value after multiply"):
        tg.grad(y, w, create_graph=True)


def test_functions_are_recorded_where_nothing_else_is() -> None:
    x, v = tg.tensor([1.0, 2.0]), np.ones(2)
    with tg.no_grad():
        assert tg.jvp(lambda x: (x * x).sum(), [x], [v])[1].item() == 6.0
        assert tg.vjp(lambda x: (x * x).sum(), x)[1](1.0)[0].data.tolist() == [2, 4]
        assert tg.hvp(lambda x: (x * x).sum(), x, v).data.tolist() == [2, 2]


def test_functions_take_arrays_and_say_what_they_want() -> None:
    assert tg.jvp(np.tanh, [np.zeros(2)], [np.ones(2)])[1].data.tolist() == [1, 1]
    with pytest.raises(TypeError, match=r"jvp\(f, \[x\], \[v\]\)"):
        tg.jvp(np.tanh, tg.tensor([1.0]), [np.ones(1)])
    with pytest.raises(TypeError, match="complex128; it should be real"):
        tg.jvp(np.tanh, [np.zeros(1)], [1j * np.ones(1)])
    with pytest.raises(TypeError, match="f returned tuple; it should be one tensor"):
        tg.vjp(lambda x: (x, x), np.zeros(1))


@pytest.mark.parametrize("f", [lambda x: tg.relu(x) ** 3, np.abs, lambda x: np.max(x) * x])
def test_forward_mode_through_a_recorded_backward_pass(f: Any) -> None:
    x = tg.tensor([0.5, 2.0, 1.0])

    def slope(x: Any) -> Any:
        (g,) = tg.grad((f(x) * x).sum(), x, create_graph=True)
        return g

    v = np.array([1.0, -1.0, 0.5])
    np.testing.assert_allclose(
        tg.jvp(slope, [x], [v])[1], tg.hvp(lambda x: (f(x) * x).sum(), x, v), rtol=1e-12
    )
