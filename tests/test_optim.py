"""Optimizers and clipping, against their equations and closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg


def trajectory(optimizer: Any, gradients: list[np.ndarray], **options: Any) -> list[np.ndarray]:
    p = tg.Parameter([1.0, -2.0])
    opt = optimizer([p], **options)
    path = []
    for g in gradients:
        p.grad = tg.tensor(g)
        opt.step()
        path.append(p.data.copy())
    return path


GRADIENTS = [np.array([1.0, -3.0]), np.array([0.5, 2.0]), np.array([-1.0, 0.1])]


def test_sgd_and_momentum() -> None:
    theta = np.array([1.0, -2.0])
    plain = trajectory(tg.optim.SGD, GRADIENTS, lr=0.1)
    np.testing.assert_allclose(plain[-1], theta - 0.1 * sum(GRADIENTS))
    a, b, c = GRADIENTS
    velocities = [a, 0.9 * a + b, 0.81 * a + 0.9 * b + c]
    path = trajectory(tg.optim.SGD, GRADIENTS, lr=0.1, momentum=0.9)
    np.testing.assert_allclose(path[-1], theta - 0.1 * sum(velocities))


def test_adagrad() -> None:
    path = trajectory(tg.optim.Adagrad, GRADIENTS, lr=0.1)
    theta, s = np.array([1.0, -2.0]), np.zeros(2)
    for g, reached in zip(GRADIENTS, path, strict=True):
        s = s + g**2
        theta = theta - 0.1 * g / np.sqrt(s)
        np.testing.assert_allclose(reached, theta, rtol=1e-9)


def test_adam() -> None:
    """The first step is lr · sign(g), whatever the size of g: the bias corrections cancel."""
    path = trajectory(tg.optim.Adam, GRADIENTS, lr=0.1)
    np.testing.assert_allclose(path[0], [1.0 - 0.1, -2.0 + 0.1], rtol=1e-6)
    a, b, c = GRADIENTS
    m = 0.1 * (0.81 * a + 0.9 * b + c) / (1 - 0.9**3)
    s = 0.001 * (0.999**2 * a**2 + 0.999 * b**2 + c**2) / (1 - 0.999**3)
    np.testing.assert_allclose(path[1] - path[2], 0.1 * m / (np.sqrt(s) + 1e-8), rtol=1e-9)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: tg.optim.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
        tg.optim.Adagrad, tg.optim.RMSprop, tg.optim.Adam, tg.optim.AdamW,
    ],
)  # fmt: skip
def test_parameters_keep_their_dtype_and_wait_without_gradient(make: Any) -> None:
    p = tg.Parameter(np.ones(2, np.float32))
    still = tg.Parameter(np.ones(2, np.float32))
    opt = make([p, still])
    p.grad = tg.tensor(np.ones(2, np.float32))
    opt.step()
    assert p.dtype == np.float32
    assert (p.data < 1).all()
    np.testing.assert_array_equal(still.data, 1.0)
    opt.zero_grad()
    assert p.grad is None


def test_a_parameter_that_a_recording_holds_is_not_moved_and_neither_are_the_others() -> None:
    v, w = tg.Parameter(1.0), tg.Parameter(2.0)
    for _ in tg.steps("a"):
        y = w * w * w
    v.grad = w.grad = tg.tensor(1.0)
    optimizer = tg.optim.Adam([v, w], lr=1.0)
    with pytest.raises(ValueError, match=r"'w' .* multiply of time step 1 holds.* backward\(\)"):
        optimizer.step()
    assert (v.item(), w.item(), optimizer.state) == (1.0, 2.0, [{}, {}])
    w.zero_grad()
    y.backward()
    assert w.grad.item() == 12.0
    optimizer.step()
    assert v.item() != 1.0


def test_parameters_move_in_place() -> None:
    w = tg.Parameter([2.0])
    array = id(w.array)
    w.grad = tg.tensor([1.0])
    tg.optim.SGD([w], lr=0.5).step()
    assert id(w.array) == array
    assert w.item() == 1.5


def test_minimum_of_a_parabola() -> None:
    p = tg.Parameter([3.0, -4.0])
    opt = tg.optim.Adam([p], lr=0.1)
    for _ in range(300):
        opt.zero_grad()
        ((p - np.array([1.0, 2.0])) ** 2).sum().backward()
        opt.step()
    np.testing.assert_allclose(p.data, [1.0, 2.0], atol=1e-3)


def test_clipping_by_norm_scales_all_together_and_returns_the_norm() -> None:
    a, b, c = tg.Parameter([0.0]), tg.Parameter([0.0, 0.0]), tg.Parameter([0.0])
    a.grad, b.grad = tg.tensor([3.0]), tg.tensor([0.0, 4.0])
    assert tg.optim.clip_grad_norm([a, b, c], 10.0) == 5.0
    np.testing.assert_array_equal(b.grad, [0, 4])
    assert tg.optim.clip_grad_norm([a, b, c], 1.0) == 5.0
    np.testing.assert_allclose(a.grad, [0.6])
    np.testing.assert_allclose(b.grad, [0, 0.8])


def test_clipping_by_value() -> None:
    a = tg.Parameter([0.0, 0.0])
    a.grad = tg.tensor([3.0, -0.5])
    tg.optim.clip_grad_value([a], 1.0)
    np.testing.assert_array_equal(a.grad, [1.0, -0.5])


def test_adam_counts_the_updates_of_each_parameter() -> None:
    p = tg.Parameter([1.0])
    opt = tg.optim.Adam([p], lr=0.1)
    for _ in range(4):
        opt.step()
    p.grad = tg.tensor([5.0])
    opt.step()
    np.testing.assert_allclose(p.data, [0.9], rtol=1e-6)


def test_clipping_survives_half_precision_and_recorded_gradients() -> None:
    p = tg.Parameter(np.zeros(2, np.float16))
    p.grad = tg.tensor(np.array([300.0, 0.0], np.float16))
    assert tg.optim.clip_grad_norm([p], 1.0) == 300.0
    np.testing.assert_allclose(p.grad, [1.0, 0.0], rtol=1e-3)
    a, b = tg.Parameter([1.0, 2.0]), tg.Parameter([1.0, 2.0])
    (a + b).backward(np.array([3.0, 4.0]), create_graph=True)
    assert not np.shares_memory(a.grad.data, b.grad.data)
    assert tg.optim.clip_grad_norm([a, b], 1.0) == pytest.approx(np.sqrt(50))
    np.testing.assert_allclose(a.grad.data**2 + b.grad.data**2, [18 / 50, 32 / 50])


def test_parameters_come_as_a_list_of_leaves() -> None:
    p = tg.Parameter([1.0])
    with pytest.raises(TypeError, match=r"SGD: give a list of parameters, \[p\]"):
        tg.optim.SGD(p, 0.1)
    with pytest.raises(TypeError, match=r"made by multiply.*is not a parameter"):
        tg.optim.SGD([p * 2], 0.1)
    with pytest.raises(TypeError, match="clip_grad_norm: give a list"):
        tg.optim.clip_grad_norm(p, 1.0)
    with pytest.raises(ValueError, match="max_norm=-1"):
        tg.optim.clip_grad_norm([p], -1)


def test_nothing_to_move_or_no_way_to_move() -> None:
    with pytest.raises(ValueError, match="no parameters"):
        tg.optim.SGD([], lr=0.1)
    with pytest.raises(ValueError, match="lr=0"):
        tg.optim.SGD([tg.Parameter([1.0])], lr=0)


# --------------------------------------------------------------------------- clipping, at the edges


def test_a_norm_that_is_not_finite_is_returned_and_changes_nothing() -> None:
    for value in (np.nan, np.inf, -np.inf):
        a, b = tg.Parameter([0.0]), tg.Parameter([0.0, 0.0])
        a.grad, b.grad = tg.tensor([3.0]), tg.tensor([value, 4.0])
        norm = tg.optim.clip_grad_norm([a, b], 1.0)
        assert not np.isfinite(norm)
        np.testing.assert_array_equal(a.grad, [3.0])
        np.testing.assert_array_equal(b.grad, [value, 4.0])


def test_a_norm_whose_square_overflows_or_vanishes_is_right() -> None:
    for size in (1e200, 1e-200):
        a, b = tg.Parameter([0.0]), tg.Parameter([0.0])
        a.grad, b.grad = tg.tensor([3 * size]), tg.tensor([4 * size])
        norm = tg.optim.clip_grad_norm([a, b], size)
        np.testing.assert_allclose(norm, 5 * size, rtol=1e-14)
        np.testing.assert_allclose([a.grad.item(), b.grad.item()], [0.6 * size, 0.8 * size])
    assert tg.optim.clip_grad_norm([tg.Parameter([1.0])], 1.0) == 0.0


def test_clipping_by_value_leaves_nan_and_refuses_what_is_not_positive() -> None:
    a = tg.Parameter([0.0, 0.0])
    a.grad = tg.tensor([np.nan, -np.inf])
    tg.optim.clip_grad_value([a], 2.0)
    np.testing.assert_array_equal(a.grad, [np.nan, -2.0])
    with pytest.raises(ValueError, match="max_value=-1"):
        tg.optim.clip_grad_value([a], -1)


# ------------------------------------------------------------------------------------ what is kept


MAKERS: list[Any] = [
    lambda p: tg.optim.SGD(p, 0.1),
    lambda p: tg.optim.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    tg.optim.Adagrad,
    tg.optim.RMSprop,
    tg.optim.Adam,
    lambda p: tg.optim.AdamW(p, 0.01, betas=(0.5, 0.75), weight_decay=0.3),
]


@pytest.mark.parametrize("make", MAKERS)
def test_going_on_from_a_saved_state_is_bit_equal(make: Any) -> None:
    rng = np.random.default_rng(0)
    gradients = rng.standard_normal((6, 3))

    def move(parameters: list[Any], optimizer: Any, rows: Any) -> None:
        for g in rows:
            parameters[0].grad = tg.tensor(g)  # the other one has none yet
            optimizer.step()

    whole = [tg.Parameter(np.ones(3)), tg.Parameter(np.ones(2))]
    optimizer = make(whole)
    optimizer.lr *= 0.7
    move(whole, optimizer, gradients[:3])
    state = optimizer.state_dict()
    halves = [tg.Parameter(p.numpy()) for p in whole]
    move(whole, optimizer, gradients[3:])
    again = make(halves)
    again.load_state_dict(state)
    assert again.lr == optimizer.lr
    again.state_dict()["state"][0].clear()  # a copy, as
    for entry in state["state"][0].values():  # what was loaded is
        if isinstance(entry, np.ndarray):
            entry[:] = 99
    move(halves, again, gradients[3:])
    np.testing.assert_array_equal(halves[0].data, whole[0].data)
    for kept, like in zip(again.state, optimizer.state, strict=True):
        assert kept.keys() == like.keys()
        for name in kept:
            np.testing.assert_array_equal(kept[name], like[name])


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    p, q = tg.Parameter([1.0, 2.0]), tg.Parameter([3.0])
    optimizer = tg.optim.Adam([p, q], lr=0.1)
    p.grad = tg.tensor([1.0, 1.0])
    optimizer.step()
    good = optimizer.state_dict()
    kept = good["state"][0]

    def instead(**entries: Any) -> dict[str, Any]:
        return {**good, "options": {**good["options"], "lr": 7.0},
                "state": [{**kept, **entries}, {}]}  # fmt: skip

    wrong: list[tuple[Any, str]] = [
        (tg.optim.SGD([p, q], 0.1).state_dict(), "^Adam: this is the state of 'SGD'"),
        (tg.optim.Adam([p]).state_dict(), "is of 1 parameters, not of 2"),
        ({}, "not what an optimizer's state_dict"),
        ({**good, "options": {"lr": 1.0}}, r"the options are lr, betas, eps, not"),
        ({**good, "options": {**good["options"], "betas": [0.9]}}, "no values of options"),
        ({**good, "options": {**good["options"], "lr": "fast"}}, "no values of options"),
        (
            instead(mean=np.ones(3)),
            r"parameter 0 has mean of float64 \(3,\); the parameter is float64 \(2,\)",
        ),
        (instead(square=np.ones(2, np.float32)), r"has square of float32 \(2,\); the"),
        (instead(mean=None), "has mean of NoneType"),
        (instead(updates=-1), "updates=-1"),
        (instead(velocity=np.ones(2)), r"has \['mean', 'square', 'updates', 'velocity'\], not"),
    ]
    for state, message in wrong:
        with pytest.raises(ValueError, match=message):
            optimizer.load_state_dict(state)
        assert optimizer.lr == 0.1
        np.testing.assert_array_equal(optimizer.state[0]["mean"], kept["mean"])
        assert optimizer.state[0]["updates"] == 1


def test_nesterov_needs_momentum() -> None:
    with pytest.raises(ValueError, match="looks ahead along the momentum, which is 0"):
        tg.optim.SGD([tg.Parameter([1.0])], 0.1, nesterov=True)


# -------------------------------------------------------------------------- learning-rate schedules


def test_schedules_are_factors_of_the_number_of_updates() -> None:
    optim = tg.optim
    assert [optim.staircase(n, 2, 0.5) for n in range(5)] == [1, 1, 0.5, 0.5, 0.25]
    assert [optim.warmup(n, 4) for n in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    np.testing.assert_allclose(
        [optim.cosine(n, 4) for n in range(6)], [1, (2 + 2**0.5) / 4, 0.5, (2 - 2**0.5) / 4, 0, 0],
        atol=1e-15,
    )  # fmt: skip
    assert optim.cosine(9, 4, lowest=0.1) == 0.1
    assert optim.cosine(0, 4, lowest=0.1) == 1
