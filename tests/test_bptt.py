"""BPTT read off the graph, against the derivation by hand and against formulas."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.bptt import by_hand, truncation

from .oracles import lecture

NAMES = ("V", "W", "U", "b_h", "b_y")
EXACT = 1e-12


class Recorded:
    """The lecture's network, recorded: x, y, h0 and weights as arrays, and the tensors."""

    def __init__(self, T: int = 5, B: int = 2, D: int = 3, H: int = 4, K: int = 3, seed: int = 0):
        self.net = x, y, h0, *weights = lecture(T, B, D, H, K, seed)
        self.parameters = dict(zip(NAMES, map(tg.Parameter, weights), strict=True))
        for name, parameter in self.parameters.items():
            parameter.name = name
        V, W, U, b_h, b_y = self.parameters.values()
        self.states = [tg.tensor(h0, requires_grad=True, name="h")]
        self.losses = []
        for _t, x_t, y_t in tg.steps(x, y):
            h = np.tanh(x_t @ V + self.states[-1] @ W + b_h)
            L_t = tg.cross_entropy(h @ U + b_y, y_t)
            self.states.append(h)
            self.losses.append(L_t)
        self.L = tg.add_n(self.losses)


def random_sizes(seed: int) -> tuple[int, int, int, int, int]:
    T, *others = np.random.default_rng(seed).integers(1, [13, 4, 6, 7, 6])
    return int(T), *(int(n) for n in others)


def scalar_chain(steps: int = 3) -> tuple[tg.Tensor, tg.Tensor]:
    w, h = tg.Parameter(0.2, name="w"), tg.tensor(0.9)
    for _ in tg.steps(range(steps)):
        h = w * h
    return h, w


# -------------------------------------------------------------------------------------- every term


@pytest.mark.parametrize("seed", range(12))
def test_every_term_of_every_gradient_is_that_of_the_derivation_by_hand(seed: int) -> None:
    r = Recorded(*random_sizes(seed), seed=seed)
    expected = by_hand.terms(*r.net)
    _, gradients = by_hand.backward(*r.net)
    for name, parameter in r.parameters.items():
        C = expected[name]
        triangle = tg.bptt.triangle(r.losses, parameter)
        norms = np.linalg.norm(C.reshape(*C.shape[:2], -1), axis=-1)
        for found, wanted in (
            (triangle.terms, C),
            (np.asarray(triangle), C),
            (triangle.norms, norms),
            (triangle.rows, C.sum(axis=1)),
            (triangle.columns, C.sum(axis=0)),
            (triangle.total, gradients[name]),
        ):
            np.testing.assert_allclose(found, wanted, rtol=0, atol=EXACT)
        np.testing.assert_array_equal(triangle.at(len(C), 1), triangle.terms[-1, 0])
        for lag, total in enumerate(triangle.lags):
            diagonal = sum(C[t, t - lag] for t in range(lag, len(C)))
            np.testing.assert_allclose(total, diagonal, rtol=0, atol=EXACT)

        uses = tg.bptt.contributions(r.L, parameter)
        assert [use.step for use in uses] == list(range(1, len(C) + 1))
        np.testing.assert_allclose(np.asarray(uses), C.sum(axis=0), rtol=0, atol=EXACT)
        np.testing.assert_allclose(uses.total, gradients[name], rtol=0, atol=EXACT)
        assert {(use.op, use.slot) for use in uses} == {("add" if "b" in name else "matmul", 1)}


def test_which_terms_there_are_is_found() -> None:
    r = Recorded(T=6)
    filled = {
        name: tg.bptt.triangle(r.losses, parameter).norms != 0
        for name, parameter in r.parameters.items()
    }
    for name in ("U", "b_y"):
        np.testing.assert_array_equal(filled[name], np.eye(6, dtype=bool))
    for name in ("V", "W", "b_h"):
        np.testing.assert_array_equal(filled[name], np.tri(6, dtype=bool))


def test_the_golden_toy_has_three_terms_of_exactly_0036() -> None:
    h, w = scalar_chain()
    uses = tg.bptt.contributions(h, w)
    assert [use.grad.item() for use in uses] == pytest.approx([0.036] * 3, abs=1e-16)
    assert uses.total == pytest.approx(0.108, abs=1e-16)
    assert (
        str(uses)
        == """\
dL/dw, a sum over 3 uses:
  step   used by  argument   term
  1     multiply         0  0.036
  2     multiply         0  0.036
  3     multiply         0  0.036
  sum                       0.108"""
    )
    assert (
        tg.bptt.explain(h, w)
        == """\
dL/dw = Σ over the 3 uses of w, one in each of the steps 1 … 3
      = 0.036 + 0.036 + 0.036
      = 0.108"""
    )


def test_a_long_sum_is_explained_in_short_and_one_element_at_a_time() -> None:
    h, w = scalar_chain(20)
    assert "(12 more: " in tg.bptt.explain(h, w)
    r = Recorded(T=3)
    (dW,) = tg.grad(r.L, r.parameters["W"], retain_graph=True)
    words = tg.bptt.explain(r.L, r.parameters["W"], at=(1, 2))
    assert words.startswith("dL/dW[1, 2] = Σ over the 3 uses of W")
    assert words.endswith(f" = {dW.data[1, 2]:.4g}")
    with pytest.raises(IndexError, match=r"W has shape \(4, 4\), and no element \(4, 0\)"):
        tg.bptt.explain(r.L, r.parameters["W"], at=(4, 0))


# ------------------------------------------------------------------------- any graph with its steps


def lstm(x: Any, h: Any, c: Any, W: Any, b: Any) -> tuple[Any, Any]:
    z = tg.concatenate([x, h], axis=1) @ W + b
    H = h.shape[1]
    i, f, o = (tg.sigmoid(z[:, k * H : (k + 1) * H]) for k in (0, 1, 2))
    c = f * c + i * np.tanh(z[:, 3 * H :])
    return o * np.tanh(c), c


def graph(kind: str) -> tuple[tg.Tensor, list[tg.Tensor]]:
    """A loss of six steps, and the parameters."""
    rng = np.random.default_rng(0)
    B, D, H = 2, 3, 4
    xs = rng.standard_normal((6, B, D))

    def parameter(name: str, *shape: int) -> tg.Parameter:
        return tg.Parameter(0.5 * rng.standard_normal(shape), name=name)

    zeros, loss = np.zeros((B, H)), tg.tensor(0.0)
    if kind == "lstm":
        W, b = parameter("W", D + H, 4 * H), parameter("b", 4 * H)
        h, c = tg.tensor(zeros), tg.tensor(zeros)
        for _, x in tg.steps(xs):
            h, c = lstm(x, h, c, W, b)
            loss = loss + (h * h).sum()
        return loss, [W, b]
    if kind == "gru":
        V, W, R = parameter("V", D, 3 * H), parameter("W", H, 2 * H), parameter("R", H, H)
        h = tg.tensor(zeros)
        for _, x in tg.steps(xs):
            v, w = x @ V, h @ W
            r, z = (tg.sigmoid(v[:, k : k + H] + w[:, k : k + H]) for k in (0, H))
            h = (1 - z) * np.tanh(v[:, 2 * H :] + r * (h @ R)) + z * h
            loss = loss + (h * h).sum()
        return loss, [V, W, R]
    if kind == "two layers":
        V, W, V2, W2 = (parameter(n, a, H) for n, a in (("V", D), ("W", H), ("V2", H), ("W2", H)))
        h = h2 = tg.tensor(zeros)
        for _, x in tg.steps(xs):
            h = np.tanh(x @ V + h @ W)
            h2 = np.tanh(h @ V2 + h2 @ W2)
            loss = loss + (h2 * h2).sum()
        return loss, [V, W, V2, W2]
    if kind == "bidirectional":
        V, W, V2, W2 = (parameter(n, a, H) for n, a in (("V", D), ("W", H), ("V2", D), ("W2", H)))
        there, back = tg.nn.unroll(lambda x, h: np.tanh(x @ V + h @ W), xs, zeros)[0], []
        h = tg.tensor(zeros)
        for _, x in tg.steps(xs[::-1]):
            h = np.tanh(x @ V2 + h @ W2)
            back.append(h)
        return (there * tg.stack(back[::-1])).sum(), [V, W, V2, W2]
    V, W = parameter("V", D, H), parameter("W", H, H)
    states = [tg.tensor(zeros)]
    turned, penalty = W.T, 0.01 * (W * W).sum()
    for _, x in tg.steps(xs):  # reads of every earlier state, a transposed W, a penalty
        scores = tg.softmax(tg.stack([(h * states[-1]).sum() for h in states]))
        read = sum(scores[i] * h for i, h in enumerate(states))
        states.append(np.tanh(x @ V + (turned @ read.T).T))
        loss = loss + states[-1].sum()
    return loss + penalty, [V, W]


GRAPHS = ["lstm", "gru", "two layers", "bidirectional", "attention"]


@pytest.mark.parametrize("kind", GRAPHS)
def test_in_any_graph_the_contributions_sum_to_the_gradient(kind: str) -> None:
    loss, parameters = graph(kind)
    found = [tg.bptt.contributions(loss, p) for p in parameters]
    forwards = tg.bptt.rtrl(loss, parameters)
    loss.backward()
    for uses, forward, p in zip(found, forwards, parameters, strict=True):
        np.testing.assert_allclose(uses.total, p.grad, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(np.asarray(uses).sum(axis=0), p.grad, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(forward, p.grad, rtol=1e-11, atol=1e-12)
        assert uses.steps == [1, 2, 3, 4, 5, 6]


def test_forward_mode_moves_some_weights_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinygrad_rnn.bptt.forward_mode.AT_ONCE", 3)
    r = Recorded()
    (forward,) = tg.bptt.rtrl(r.L, [r.parameters["W"]])
    (dW,) = tg.grad(r.L, r.parameters["W"])
    np.testing.assert_allclose(forward, dW, rtol=0, atol=EXACT)


def test_uses_of_what_was_made_of_a_parameter_before_the_steps_are_uses_of_it() -> None:
    loss, (_, W) = graph("attention")
    uses = tg.bptt.contributions(loss, W)
    assert [(use.step, use.op, use.slot) for use in uses] == [
        *((step, "matmul", 0) for step in range(1, 7)),
        (None, "add", 1),
    ]
    np.testing.assert_allclose(uses[-1].grad, 0.02 * W.data, rtol=1e-12)
    assert "  –" in str(uses)
    with pytest.raises(ValueError, match=r"W is used by add outside the steps"):
        tg.bptt.triangle([loss], W)


def test_several_uses_in_one_step_are_added_up_for_it() -> None:
    w = tg.tensor(0.2, requires_grad=True, name="w")
    h = tg.tensor(0.9)
    for _ in tg.steps(range(2)):
        h = w * (w * h)  # h_2 = w⁴ h_0: each of the four uses contributes w³ h_0
    uses = tg.bptt.contributions(h, w)
    assert [use.step for use in uses] == [1, 1, 2, 2]
    for step in uses.steps:
        np.testing.assert_allclose(uses.at(step), 2 * 0.2**3 * 0.9, rtol=1e-14)


def test_losses_at_some_steps_only_keep_their_steps() -> None:
    r = Recorded(T=6)
    C = by_hand.terms(*r.net)["W"]
    triangle = tg.bptt.triangle([r.losses[2], r.losses[5]], r.parameters["W"])
    assert triangle.times == [3, 6]
    np.testing.assert_allclose(triangle.terms, C[[2, 5]], rtol=0, atol=EXACT)
    np.testing.assert_allclose(triangle.lags[3], C[5, 2], rtol=0, atol=EXACT)
    np.testing.assert_allclose(triangle.lags[0], C[2, 2] + C[5, 5], rtol=0, atol=EXACT)


def test_the_triangle_takes_one_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinygrad_rnn.bptt import contributions

    module = sys.modules["tinygrad_rnn.bptt.uses"]
    sweep, calls = module.adjoints, []
    monkeypatch.setattr(module, "adjoints", lambda *a, **k: calls.append(1) or sweep(*a, **k))
    r = Recorded(T=7)
    tg.bptt.triangle(r.losses, r.parameters["W"]).terms.sum()
    assert len(calls) == 1
    contributions(r.L, r.parameters["W"])
    assert len(calls) == 2


def test_the_triangle_prints_as_a_heat_map() -> None:
    w, h, losses = tg.Parameter(0.01, name="w"), tg.tensor(1.0), []
    for _ in tg.steps(range(3)):
        h = np.tanh(w * h + 1.0)
        losses.append(h * 1.0)
    words = str(tg.bptt.triangle(losses, w))
    assert words.splitlines()[:5] == [
        "‖C[t, k]‖ for dL_t/dw through its use in step k: lower triangular",
        "       k = 1 … 3",
        "t = 1  █",
        "t = 2  ▒█",
        "t = 3  ·▒█",
    ]
    assert words.splitlines()[5].endswith("blank: 0")


# ------------------------------------------------------------------------------------- jacobians


@pytest.mark.parametrize("seed", range(5))
def test_one_step_jacobians_their_products_and_immediate_derivatives(seed: int) -> None:
    r = Recorded(*random_sizes(seed), seed=seed)
    x, W = r.net[0], r.net[4]
    h = np.stack([state.data for state in r.states])
    one_step, products = by_hand.jacobians(h, W), by_hand.products(by_hand.jacobians(h, W))
    found = tg.bptt.jacobians(r.states)
    T, B, H, _ = one_step.shape
    for t in range(T + 1):
        for k in range(t + 1):
            P = found.product(t, k).reshape(B, H, B, H)
            for b in range(B):
                np.testing.assert_allclose(P[b, :, b], products[t, k, b], rtol=0, atol=EXACT)
                assert not P[b][:, np.arange(B) != b].any()
            np.testing.assert_allclose(
                np.exp(found.log_norms("frobenius")[t, k]),
                np.linalg.norm(P.reshape(B * H, B * H)),
                rtol=1e-11,
            )
    np.testing.assert_array_equal(np.asarray(found), found.one_step)
    np.testing.assert_allclose(
        found.singular_values[:, 0], np.linalg.norm(found.one_step, 2, axis=(1, 2)), rtol=1e-12
    )
    for k in (1, T):
        wanted = by_hand.immediate(x[k - 1], h[k - 1], h[k])
        for name, parameter in r.parameters.items():
            if name in wanted:
                now = tg.bptt.immediate(r.states[k], parameter)
                np.testing.assert_allclose(now, wanted[name], rtol=0, atol=EXACT)
    total = tg.jacobian(r.states[T], r.parameters["W"]).data
    assert np.allclose(total, now if T == 1 else total)
    if T > 1:
        now = tg.bptt.immediate(r.states[T], r.parameters["W"])
        assert not np.allclose(total, now)


@pytest.mark.parametrize("rho", [0.5, 1.0, 1.5])
def test_the_rate_of_a_linear_network_is_the_spectral_radius(rho: float) -> None:
    """W = ρQ with Q orthogonal: ‖∂h_t/∂h_k‖ = ρ^(t−k), exactly, and far beyond the float range."""
    Q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))
    W = tg.Parameter(rho * Q)
    states = [tg.tensor(np.zeros((1, 5)), requires_grad=True)]
    for _, x in tg.steps(np.ones((40, 1, 5))):
        states.append(x + states[-1] @ W)
    found = tg.bptt.jacobians(states)
    t, k = np.tril_indices(41)
    np.testing.assert_allclose(found.log_norms()[t, k], (t - k) * np.log(rho), atol=1e-11)
    np.testing.assert_allclose(found.decay(), rho ** np.arange(41.0), rtol=1e-11)
    assert found.rate() == pytest.approx(rho, rel=1e-12)
    assert tg.bptt.bound(W) == pytest.approx(rho, rel=1e-12)
    assert tg.bptt.bound(W.data, slope=0.25) == pytest.approx(rho / 4, rel=1e-12)
    assert f"per step a factor of {rho:.4g}:" in str(found)
    far = type(found)(found.one_step.repeat(30, axis=0))
    assert far.rate("frobenius") == pytest.approx(rho, rel=1e-12)


def test_no_product_is_larger_than_the_bound() -> None:
    r = Recorded(T=10)
    found = tg.bptt.jacobians(r.states)
    limit = np.log(tg.bptt.bound(r.parameters["W"]))
    lags = np.subtract.outer(np.arange(11), np.arange(11))
    assert (found.log_norms() <= lags * limit + 1e-12)[np.tril_indices(11)].all()


def test_parts_of_a_state_are_moved_all_at_once() -> None:
    one = [tg.tensor([1.0], requires_grad=True), tg.tensor([1.0], requires_grad=True)]
    states = [tuple(one)]
    for _ in tg.steps(range(2)):
        h, c = states[-1]
        c = 2.0 * c + h
        h = 3.0 * c
        states.append((h, c))
    np.testing.assert_array_equal(tg.bptt.jacobians(states).one_step, [[[3, 6], [1, 2]]] * 2)


def test_immediate_of_a_scalar_state() -> None:
    h, w = scalar_chain()
    assert tg.bptt.immediate(h, w) == pytest.approx(0.04 * 0.9)


def test_states_of_several_parts_and_a_state_that_was_cut() -> None:
    rng = np.random.default_rng(0)
    W, b = tg.Parameter(rng.standard_normal((5, 8))), tg.Parameter(rng.standard_normal(8))
    h, c = (tg.tensor(np.zeros((1, 2)), requires_grad=True) for _ in range(2))
    states = [(h, c)]
    for t, x in tg.steps(rng.standard_normal((3, 1, 3))):
        states.append(lstm(x, *states[-1], W, b))
        if t == 2:
            states[-1] = tuple(part.detach() for part in states[-1])
    found = tg.bptt.jacobians([states[0], states[1]]).one_step[0]
    for row, y in enumerate(states[1]):
        for column, x in enumerate(states[0]):
            J = tg.jacobian(y, x).data.reshape(2, 2)
            np.testing.assert_allclose(
                found[2 * row : 2 * row + 2, 2 * column : 2 * column + 2], J, atol=1e-14
            )
    cut = tg.bptt.jacobians(states[:3])
    assert not cut.one_step[1].any()
    assert cut.decay()[1] == pytest.approx(cut.rate()) == np.linalg.norm(cut.one_step[0], 2)
    assert cut.decay()[2] == 0


# ---------------------------------------------------------------------------------- split and paths


def test_the_gradient_of_a_state_is_its_vertical_and_its_horizontal_part() -> None:
    r = Recorded(T=4)
    _, y, h0, _, W, U, _, _ = r.net
    h, p, _ = by_hand.forward(*r.net)
    dy_hat = p.copy()
    np.put_along_axis(
        dy_hat, y[..., None], np.take_along_axis(dy_hat, y[..., None], -1) - 1, axis=-1
    )
    dy_hat /= p.shape[1]
    after = np.zeros_like(h0)
    for t in range(4, 0, -1):
        parts = tg.bptt.split(r.L, r.states[t])
        np.testing.assert_allclose(parts.vertical, dy_hat[t - 1] @ U.T, rtol=0, atol=EXACT)
        np.testing.assert_allclose(parts.horizontal, after @ W.T, rtol=0, atol=EXACT)
        np.testing.assert_allclose(
            parts.total, tg.grad(r.L, r.states[t], retain_graph=True)[0], rtol=0, atol=EXACT
        )
        after = parts.total * (1 - h[t] ** 2)
        assert [(e.step, e.op, e.horizontal) for e in parts.edges] == [
            (t, "matmul", False),
            (t + 1, "matmul", True),
        ][: 2 if t < 4 else 1]
    assert "horizontal" in str(tg.bptt.split(r.L, r.states[1]))


def test_the_paths_and_their_products() -> None:
    r = Recorded(T=4)
    W = r.parameters["W"]
    (dW,) = tg.grad(r.losses[3], W, retain_graph=True)
    found = tg.bptt.paths(r.losses[3], W)
    assert found.count == len(found) == 4
    assert [path.steps for path in found] == [[4], [4, 3], [4, 3, 2], [4, 3, 2, 1]]
    np.testing.assert_allclose(sum(path.grad for path in found), dW, rtol=0, atol=EXACT)
    C = by_hand.terms(*r.net)["W"]
    for path in found:
        np.testing.assert_allclose(path.grad, C[3, path.steps[-1] - 1], rtol=0, atol=EXACT)
    assert "4 paths from the loss to W" in str(found)
    assert "4 ← 3 ← 2 ← 1" in repr(found)
    assert str(found.paths[0]) == "cross_entropy ← add ← matmul ← tanh ← add ← add ← matmul"
    assert tg.bptt.paths(r.L, W).count == 10
    assert len(tg.bptt.paths(r.losses[3], W, limit=4)) == 4
    assert len(tg.bptt.paths(r.losses[3], W, limit=3)) == 0


def test_paths_are_counted_without_being_walked() -> None:
    x = tg.Parameter(1.0, name="x")
    y = x
    for _ in range(60):
        y = y + y
    found = tg.bptt.paths(y, x)
    assert (found.count, len(found)) == (2**60, 0)
    assert str(found) == "1,152,921,504,606,846,976 paths from the loss to x, too many to list"
    assert len(tg.bptt.paths(x * x, x)) == 2


# ------------------------------------------------------------------------------------- truncation


@pytest.mark.parametrize(("k1", "k2"), [(1, 1), (2, 2), (3, 3), (1, 3), (2, 5), (7, 7), (3, 9)])
def test_truncated_gradients_are_the_masked_sum_and_those_by_hand(k1: int, k2: int) -> None:
    r = Recorded(T=7, seed=3)
    parameters = list(r.parameters.values())
    found = truncation.williams_peng(r.losses, r.states, parameters, k1, k2)
    _, by_hands = by_hand.truncated(*r.net, k1=k1, k2=k2)
    mask = truncation.mask(7, k1, k2)
    for (name, parameter), g in zip(r.parameters.items(), found, strict=True):
        masked = tg.bptt.triangle(r.losses, parameter).masked(mask)
        np.testing.assert_allclose(g, by_hands[name], rtol=0, atol=EXACT)
        np.testing.assert_allclose(g, masked, rtol=0, atol=EXACT)
    (dW,) = tg.grad(r.L, r.parameters["W"], retain_graph=True)
    rest = tg.bptt.triangle(r.losses, r.parameters["W"]).masked(~mask)
    np.testing.assert_allclose(found[1].data + rest, dW, rtol=0, atol=EXACT)


def test_chunks_are_what_a_loop_with_detach_computes() -> None:
    r = Recorded(T=7)
    x, y, h0, *_ = r.net
    V, W, U, b_h, b_y = r.parameters.values()
    h, L = tg.tensor(h0), 0
    for t, x_t, y_t in tg.steps(x, y):
        h = np.tanh(x_t @ V + h @ W + b_h)
        L = L + tg.cross_entropy(h @ U + b_y, y_t)
        if t % 3 == 0:
            h = h.detach()
    expected = tg.grad(L, [V, W])
    for g, wanted in zip(truncation.chunks(r.losses, r.states, [V, W], 3), expected, strict=True):
        np.testing.assert_allclose(g, wanted, rtol=0, atol=EXACT)


def test_chunks_and_sliding_keep_other_terms() -> None:
    assert truncation.mask(5, 2, 2).astype(int).tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 0, 1],
    ]
    assert truncation.mask(5, 1, 2).astype(int).tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 1, 1, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 1, 1],
    ]
    r = Recorded(T=5)
    (g,) = truncation.sliding(r.losses, r.states, [r.parameters["W"]], 2)
    C = tg.bptt.triangle(r.losses, r.parameters["W"])
    np.testing.assert_allclose(g, C.masked(truncation.mask(5, 1, 2)), rtol=0, atol=EXACT)


def test_the_state_of_two_layers_is_cut_as_one() -> None:
    rng = np.random.default_rng(0)
    V, W, V2, W2 = (tg.Parameter(0.5 * rng.standard_normal((3, 3))) for _ in range(4))
    zeros = tg.tensor(np.zeros((1, 3)))
    states, losses = [(zeros, zeros)], []
    for _, x in tg.steps(rng.standard_normal((6, 1, 3))):
        h = np.tanh(x @ V + states[-1][0] @ W)
        states.append((h, np.tanh(h @ V2 + states[-1][1] @ W2)))
        losses.append((states[-1][1] ** 2).sum())
    found = truncation.chunks(losses, states, [V, W, V2, W2], 2)
    for g, p in zip(found, (V, W, V2, W2), strict=True):
        masked = tg.bptt.triangle(losses, p).masked(truncation.mask(6, 2, 2))
        np.testing.assert_allclose(g, masked, rtol=0, atol=EXACT)


def test_bias() -> None:
    g = [np.array([3.0, 0.0]), np.array([[4.0]])]
    assert truncation.bias(g, g) == (0.0, 0.0)
    near = truncation.bias([np.array([1.0, 1e-9])], [np.array([1.0, 0.0])])
    assert near.degrees == pytest.approx(np.degrees(1e-9), rel=1e-6)
    half = truncation.bias([np.array([3.0, 0.0]), np.array([[0.0]])], g)
    assert half.relative == pytest.approx(0.8)
    assert half.degrees == pytest.approx(np.degrees(np.arccos(0.6)))
    assert truncation.bias([tg.tensor([0.0])], [tg.tensor([2.0])]) == (1.0, 90.0)
    with pytest.raises(ValueError, match="gradients of the same parameters"):
        truncation.bias([np.ones(2)], [np.ones(3)])


# -------------------------------------------------------------------------------------- bad input


def release(loss: tg.Tensor) -> tg.Tensor:
    loss.backward()
    return loss


@functools.cache
def refusals() -> list[tuple[Callable[[], Any], type[Exception], str]]:
    r = Recorded(T=3)
    W, h = r.parameters["W"], r.states[2]
    lonely = tg.Parameter([1.0], name="lonely")
    flat = tg.Parameter([1.0, 2.0], name="flat")
    plain = (flat * flat).sum()
    gone = Recorded(T=3)
    release(gone.L)
    b = tg.bptt
    states, losses = r.states, r.losses
    # fmt: off
    return [
        (lambda: b.contributions(r.L, lonely), ValueError, "loss does not depend on lonely"),
        (lambda: b.contributions(r.L, tg.tensor([1.0], name="x")), ValueError,
         "on x: its requires_grad is not set"),
        (lambda: b.contributions(plain, flat), ValueError,
         r"no use of flat is labelled with a time step.*tg\.steps"),
        (lambda: b.contributions(gone.L, W), RuntimeError, "released.*retain_graph=True"),
        (lambda: b.contributions(h, W), ValueError, r"\(2, 4\), not one element"),
        (lambda: b.contributions(r.L, W).at(9), ValueError, "W has no use in step 9.*1 … 3"),
        (lambda: b.triangle(r.L, W), TypeError, "triangle: give a list with a tensor for each"),
        (lambda: b.triangle([], W), ValueError, "there are no losses"),
        (lambda: b.triangle([losses[0], h], W), ValueError, r"loss 2 has shape \(2, 4\)"),
        (lambda: b.triangle([losses[0], 1.0], W), ValueError, r"loss 2 is 1\.0"),
        (lambda: b.triangle(losses, lonely), ValueError, "does not depend on lonely"),
        (lambda: b.triangle(losses, W).masked(np.ones(2)), ValueError, r"\(2,\) for a triangle"),
        (lambda: b.immediate(states[0], W), ValueError, "h was not made in a time step"),
        (lambda: b.immediate(h, r.parameters["U"]), ValueError, "does not depend on U"),
        (lambda: b.immediate(b_only(), W), ValueError, "does not depend on W"),
        (lambda: b.split(r.L, states[0]), ValueError, "h was not made in a time step"),
        (lambda: b.split(losses[0], h), ValueError, "does not depend on h of step 2"),
        (lambda: b.paths(r.L, lonely), ValueError, "does not depend on lonely"),
        (lambda: b.paths(W, W), ValueError, "one element"),
        (lambda: b.jacobians(h), TypeError, "a list with a tensor for each step"),
        (lambda: b.triangle(losses, W).at(4, 1), IndexError, "no term of loss 4 and use 1"),
        (lambda: b.jacobians([tg.tensor(np.zeros((2, 4)), name="h_0"), h]), ValueError,
         "first state, h_0, is data.*requires_grad=True"),
        (lambda: b.jacobians([h]), ValueError, "two or more states of one size"),
        (lambda: b.jacobians(states[::-1]), ValueError, "no state depends on the one before"),
        (lambda: b.jacobians(states).product(1, 2), IndexError, "0 ≤ k ≤ t ≤ 3"),
        (lambda: b.jacobians(states).log_norms("nuclear"), ValueError, "kind='nuclear'"),
        (lambda: truncation.chunks(losses, states[1:], [W], 2), ValueError, "want 4 states"),
        (lambda: truncation.williams_peng(losses, states, [W], 3, 2), ValueError, "1 ≤ k1 ≤ k2"),
        (lambda: truncation.chunks(losses, states, [W], 0), ValueError, "k1 = 0"),
        (lambda: b.rtrl(h, [W]), ValueError, "not one element"),
        (lambda: b.rtrl(r.L, W), TypeError, "give a list"),
    ]
    # fmt: on


def b_only() -> tg.Tensor:
    b = tg.Parameter([1.0])
    for _ in tg.steps("a"):
        h = b * 2.0
    return h


REFUSALS = 31


def test_the_refusals_are_counted() -> None:
    assert len(refusals()) == REFUSALS


@pytest.mark.parametrize("case", range(REFUSALS))
def test_what_cannot_be_studied_says_why_and_what_to_do(case: int) -> None:
    call, error, message = refusals()[case]
    with pytest.raises(error, match=message):
        call()


# ------------------------------------------------------------------------------------------- plots


def test_plots_have_labelled_axes_and_say_when_matplotlib_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    r = Recorded(T=4)
    uses = tg.bptt.contributions(r.L, r.parameters["W"])
    results: list[Any] = [
        uses, tg.bptt.triangle(r.losses, r.parameters["W"]), tg.bptt.jacobians(r.states)
    ]  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib.figure", None)
        for result in results:
            with pytest.raises(ImportError, match="pip install matplotlib"):
                result.plot()
    pytest.importorskip("matplotlib")
    for result in results:
        ax = result.plot()
        assert ax.get_xlabel()
        assert ax.get_ylabel()
    axes = uses.plot(labels=list("abcd"))
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list("abcd")
    with pytest.raises(ValueError, match="4 steps want as many labels, not 2"):
        uses.plot(labels=list("ab"))
    both = results[2].plot(label="one")
    assert results[2].plot(ax=both, label="two") is both
    assert len({line.get_color() for line in both.lines}) == 2
