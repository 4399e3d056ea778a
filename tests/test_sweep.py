"""The order, the cost and the memory of the reverse sweep."""

from __future__ import annotations

import gc
import weakref
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.engine import sweep
from tinygrad_rnn.engine.rules import Product


def scalar(value: float) -> tg.Tensor:
    return tg.tensor(value, requires_grad=True)


def test_the_golden_toy() -> None:
    """x_t = w x_{t-1}, x_0 = 0.9, w = 0.2: dx_3/dw = 3 w² x_0 = 0.108, and not 0.288."""
    w, x = scalar(0.2), tg.tensor(0.9)
    for _ in tg.steps(range(3)):
        x = w * x
    x.backward()
    assert w.grad.item() == pytest.approx(0.108, abs=1e-15)


def test_every_use_counts() -> None:
    x, A = scalar(3.0), tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = x * x
    assert y.inputs == (x, x)
    y.backward()
    assert x.grad.item() == 6.0
    x.zero_grad()
    (x + x).backward()
    assert x.grad.item() == 2.0
    (A @ A).sum().backward()
    ones = np.ones((2, 2))
    np.testing.assert_array_equal(A.grad, ones @ A.data.T + A.data.T @ ones)


def test_two_to_the_sixty_paths_cost_sixty_nodes() -> None:
    x = scalar(1.0)
    y = x
    for _ in range(60):
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**60


def test_a_ladder_of_halves_is_exactly_one() -> None:
    x = scalar(1.0)
    y = x
    for _ in range(200):
        y = (y + y) / 2
    y.backward()
    assert x.grad.item() == 1.0


def chain(length: int) -> tuple[tg.Tensor, tg.Tensor]:
    x = scalar(1.0)
    y = x
    for _ in range(length):
        y = y * 1.0
    return x, y


def test_a_long_chain_needs_no_recursion() -> None:
    x, y = chain(100_000)
    y.backward()
    assert x.grad.item() == 1.0


def test_graphs_are_freed_by_reference_counts_alone() -> None:
    gc.collect()
    gc.disable()
    try:
        _, y = chain(100_000)
        middle = y
        for _ in range(50_000):
            middle = middle.inputs[0]
        watch = weakref.ref(middle)
        del middle, y
        assert watch() is None

        w = scalar(0.5)
        loss = np.tanh(w * w)
        watches = [weakref.ref(loss), weakref.ref(loss.inputs[0])]
        (g,) = tg.grad(loss, w, create_graph=True)
        watches.append(weakref.ref(g))
        del loss, g
        assert [watch() for watch in watches] == [None] * 3
    finally:
        gc.enable()


SPELLINGS: dict[str, Callable[[Any, Any], Any]] = {
    "loss + L_t": lambda loss, L_t: L_t if loss is None else loss + L_t,
    "L_t + loss": lambda loss, L_t: L_t if loss is None else L_t + loss,
    "last": lambda loss, L_t: L_t,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("swapped", [False, True])
def test_pending_adjoints_do_not_grow_with_the_sequence(
    spelling: str, swapped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted as each node's turn comes: the terms that wait."""

    class Watched(defaultdict[Any, list[Any]]):
        peak = 0

        def pop(self, *key: Any) -> Any:
            Watched.peak = max(Watched.peak, sum(map(len, self.values())))
            return super().pop(*key)

    def peak(T: int) -> int:
        V, W = (tg.Parameter(0.1 * np.ones((3, 3))) for _ in range(2))
        h, loss = tg.tensor(np.zeros((1, 3))), None
        for _, x in tg.steps(np.ones((T, 1, 3))):
            h = np.tanh(h @ W + x @ V if swapped else x @ V + h @ W)
            loss = SPELLINGS[spelling](loss, h.sum())
        Watched.peak = 0
        monkeypatch.setattr(sweep, "defaultdict", Watched)
        loss.backward()
        return Watched.peak

    assert peak(200) == peak(50) <= 3 * sweep.SUM_AFTER


def test_a_released_graph_names_the_node_its_step_and_the_remedies() -> None:
    w, h = scalar(0.5), tg.tensor(1.0)
    for _ in tg.steps(range(3)):
        h = np.tanh(w * h)
    (h * 2.0).backward()
    with pytest.raises(RuntimeError, match=r"tanh of time step 3.*retain_graph=True.*detach\(\)"):
        (h * 3.0).backward()
    with pytest.raises(RuntimeError, match="released"):
        h.backward()


def test_release_is_always_even_where_no_value_was_needed() -> None:
    x = scalar(1.0)
    y = x + x
    y.backward()
    with pytest.raises(RuntimeError, match="released"):
        y.backward()


def test_retain_graph_keeps_it_and_gradients_accumulate() -> None:
    x = scalar(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 12.0


def test_backward_from_an_intermediate_touches_only_its_ancestors() -> None:
    x, z = scalar(2.0), scalar(5.0)
    y = x * x
    loss = y * z
    y.backward()
    assert x.grad.item() == 4.0
    assert z.grad is None
    assert loss.grad is None
    assert y.grad is None


def test_two_parents_never_share_a_gradient_buffer() -> None:
    a, b = tg.tensor([1.0, 2.0], requires_grad=True), tg.tensor([3.0, 4.0], requires_grad=True)
    seed = np.ones(2)
    (a + b).backward(seed)
    a.grad.data[:] = 7.0
    np.testing.assert_array_equal(b.grad, [1.0, 1.0])
    np.testing.assert_array_equal(seed, [1.0, 1.0])


@pytest.mark.parametrize(
    "uses", [1, 2, sweep.SUM_AFTER, sweep.SUM_AFTER + 1, 5 * sweep.SUM_AFTER + 3]
)
def test_products_put_off_give_the_sum_of_the_products(uses: int) -> None:
    rng = np.random.default_rng(uses)
    W = tg.Parameter(rng.standard_normal((4, 3)))
    xs = rng.standard_normal((uses, 2, 4))
    rows = rng.integers(0, 4, (uses, 5))
    gs = rng.standard_normal((uses, 2, 3))
    loss = tg.add_n(
        [
            (x @ W * g).sum() + tg.embedding(W, r).sum() + W[-1 - r].sum() + W.sum()
            for x, r, g in zip(xs, rows, gs, strict=True)
        ]
    )
    loss.backward()
    expected = sum(x.T @ g for x, g in zip(xs, gs, strict=True)) + float(uses)
    np.add.at(expected, rows, 1.0)
    np.add.at(expected, -1 - rows, 1.0)
    np.testing.assert_allclose(W.grad, expected, rtol=1e-12)


def test_a_product_is_put_off_only_while_arrays_are_swept() -> None:
    W, x = tg.Parameter(np.ones((4, 3))), tg.tensor(np.ones((2, 4)))
    y = x @ W
    assert isinstance(y.primitive.vjps[1](y.data, y.data, x.data, W.data), Product)
    assert isinstance(y.primitive.vjps[1](y, y, x, W), tg.Tensor)
    z = tg.embedding(W, np.array([1, 1]))
    rule = z.primitive.vjps[0]
    assert isinstance(rule(z.data, z.data, W.data, np.array([1, 1])), Product)


def test_mixed_precision_gradients_have_the_dtype_of_their_tensor() -> None:
    a = tg.tensor(np.ones((2, 3)), dtype=np.float32, requires_grad=True)
    b = tg.tensor(np.ones((3, 2)), dtype=np.float64, requires_grad=True)
    (a @ b).sum().backward()
    assert (a.grad.dtype, b.grad.dtype) == (np.float32, np.float64)
    (b @ a).sum().backward()
    assert (a.grad.dtype, b.grad.dtype) == (np.float32, np.float64)
    a.zero_grad()
    a.backward(np.ones(a.shape))
    assert a.grad.dtype == np.float32


# ------------------------------------------------------------------------ hooks, retained gradients


def test_hooks_run_once_with_the_total_gradient_and_may_replace_it() -> None:
    x = scalar(3.0)
    y = x * x
    seen: list[float] = []
    y.register_hook(lambda g: seen.append(g.item()))
    y.register_hook(lambda g: g * 10.0)
    x.register_hook(lambda g: seen.append(g.item()))
    (y + y * 2.0).backward()
    assert seen == [3.0, 180.0]
    assert x.grad.item() == 180.0


def test_what_a_hook_is_given_is_its_own_and_what_it_gives_is_taken_over() -> None:
    a, b = (tg.tensor([1.0, 2.0], dtype=np.float32, requires_grad=True) for _ in range(2))
    y, buffer = a + b, np.array([3.0, 4.0])
    y.register_hook(lambda g: g.data.fill(9.0))
    y.backward(np.ones(2), retain_graph=True)
    assert [x.grad.data.tolist() for x in (a, b)] == [[1, 1], [1, 1]]
    b.register_hook(lambda g: buffer)
    y.backward(np.ones(2))
    buffer.fill(9.0)
    assert b.grad.data.tolist() == [4, 5]
    b.zero_grad()
    b.backward(np.ones(2))
    assert b.grad.dtype == np.float32


def test_a_hook_on_a_recorded_pass_is_differentiated_through() -> None:
    x = scalar(2.0)
    y = x * x
    y.register_hook(lambda g: g * y.detach())
    (g,) = tg.grad(y, x, create_graph=True)
    assert g.item() == 16.0
    (second,) = tg.grad(g, x)
    assert second.item() == 8.0


def test_hooks_are_refused_where_they_would_never_run_or_change_the_shape() -> None:
    with pytest.raises(RuntimeError, match="no gradient is wanted"):
        tg.tensor(1.0).register_hook(print)
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2.0
    y.register_hook(lambda g: g.sum())
    with pytest.raises(ValueError, match=r"shape \(2,\) became \(\)"):
        y.sum().backward()


def test_retained_gradients_of_what_was_computed() -> None:
    x = scalar(3.0)
    y = x * x
    z = y * 2.0
    y.retain_grad()
    y.retain_grad()
    x.retain_grad()
    z.backward(retain_graph=True)
    assert (y.grad.item(), x.grad.item(), z.grad) == (2.0, 12.0, None)
    z.backward()
    assert (y.grad.item(), x.grad.item()) == (4.0, 24.0)


def test_grad_is_pure_even_where_a_gradient_is_retained() -> None:
    x = scalar(3.0)
    y = x * x
    y.retain_grad()
    tg.grad(y * 2.0, x)
    assert (y.grad, x.grad) == (None, None)


def test_hooks_belong_to_a_pass_for_a_loss_and_not_to_jacobians_and_contributions() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    for _ in tg.steps("a"):
        y = x * x
    y.register_hook(lambda g: g * 10.0)
    x.register_hook(lambda g: g * 10.0)
    np.testing.assert_array_equal(tg.jacobian(y * 1.0, x), np.diag([2.0, 4.0]))
    L = y.sum()
    np.testing.assert_array_equal(tg.bptt.contributions(L, x).total, [2.0, 4.0])
    L.backward()
    np.testing.assert_array_equal(x.grad, [200.0, 400.0])


@pytest.mark.parametrize("record", [False, True])
def test_a_hook_may_not_change_the_shape(record: bool) -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    w.register_hook(lambda g: g.sum())
    with pytest.raises(ValueError, match=r"hook: a gradient of shape \(2,\) became \(\)"):
        tg.grad((w * w).sum(), w, create_graph=record)
    v = tg.tensor([1.0, 2.0], requires_grad=True)
    v.register_hook(lambda g: np.ones(2))
    assert tg.grad((v * v).sum(), v, create_graph=record)[0].data.tolist() == [1, 1]


def test_a_pass_to_a_middle_node_keeps_what_is_below_it() -> None:
    x = scalar(2.0)
    h = x * 3.0
    (g,) = tg.grad(h * h, h)
    h.backward(g)
    assert x.grad.item() == 36.0


def test_a_float_condition_gets_no_gradient() -> None:
    x = tg.tensor([0.0, 2.0], requires_grad=True)
    np.where(x, x, 3.0).sum().backward()
    assert x.grad.data.tolist() == [0, 1]


def test_a_targeted_pass_does_not_walk_what_is_older_than_its_targets() -> None:
    x = scalar(2.0)
    old = x * 3.0
    middle = np.tanh(old)
    y = middle * middle
    old.backward()  # releases what is below
    (g,) = tg.grad(y, middle)
    assert g.item() == 2 * middle.item()


def test_retaining_a_gradient_keeps_no_graph_alive() -> None:
    gc.disable()
    try:
        y = scalar(3.0) * 2.0
        y.retain_grad()
        watch = weakref.ref(y)
        del y
        assert watch() is None
    finally:
        gc.enable()
