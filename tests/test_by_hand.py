"""The witness, against the complex step, against itself by another way, and in its corners."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_rnn.bptt import by_hand

from .oracles import complex_step, lecture

NAMES = ("V", "W", "U", "b_h", "b_y")


def losses_of_copies(x: Any, y: Any, h: Any, V: Any, W: Any, U: Any, b_h: Any, b_y: Any) -> Any:
    """L_t of each step, (T,), where each parameter has a copy per step, (T, *shape)."""
    losses = []
    for t, (x_t, y_t) in enumerate(zip(x, y, strict=True)):
        h = np.tanh(x_t @ V[t] + h @ W[t] + b_h[t])
        z = h @ U[t] + b_y[t]
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        losses.append(-np.log(p[np.arange(len(y_t)), y_t]).mean())
    return np.array(losses)


def copies(weights: Any, T: int) -> Any:
    return [np.stack([w] * T) for w in weights]


def random_lecture(seed: int) -> Any:
    T, B, D, H, K = np.random.default_rng(seed).integers(1, (13, 4, 7, 8, 6))
    return lecture(T, B, D, H, K, seed)


def assert_equal(gradients: Any, expected: Any) -> None:
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, expected[name], rtol=0, atol=1e-12, err_msg=name)


# -------------------------------------------------------------------- against the complex step


@pytest.mark.parametrize("slot", range(5))
def test_the_gradient(slot: int) -> None:
    x, y, h0, *weights = lecture()

    def L(w: np.ndarray) -> Any:
        shared = [w if i == slot else v for i, v in enumerate(weights)]
        return losses_of_copies(x, y, h0, *copies(shared, len(x))).sum()

    loss, gradients = by_hand.backward(x, y, h0, *weights)
    assert loss == pytest.approx(L(weights[slot]), abs=1e-12)
    np.testing.assert_allclose(gradients[NAMES[slot]], complex_step(L, weights[slot]), atol=1e-12)


@pytest.mark.parametrize("slot", range(5))
@pytest.mark.parametrize("shape", [(4, 2, 3, 4, 3), (6, 1, 2, 3, 2), (1, 1, 1, 1, 1)])
def test_each_term_is_the_derivative_of_one_loss_for_one_copy(shape: Any, slot: int) -> None:
    x, y, h0, *weights = lecture(*shape)
    each = copies(weights, len(x))

    def losses(c: np.ndarray) -> Any:
        return losses_of_copies(x, y, h0, *(c if i == slot else v for i, v in enumerate(each)))

    expected = complex_step(losses, each[slot])  # (T, T, *shape): a loss per row, a copy per column
    C = by_hand.terms(x, y, h0, *weights)[NAMES[slot]]
    np.testing.assert_allclose(C, expected, rtol=0, atol=1e-12)


def test_jacobians_and_their_products() -> None:
    x, y, h0, V, W, U, b_h, b_y = lecture(T=5, B=3, D=2, H=4, K=2)
    T, B, _ = x.shape
    h, _, _ = by_hand.forward(x, y, h0, V, W, U, b_h, b_y)
    J = by_hand.jacobians(h, W)
    P = by_hand.products(J)
    assert (J.shape, P.shape) == ((5, 3, 4, 4), (6, 6, 3, 4, 4))

    for k in range(T + 1):
        for t in range(T + 1):

            def state(h_k: Any, k: int = k, t: int = t) -> Any:
                for i in range(k, t):
                    h_k = np.tanh(x[i] @ V + h_k @ W + b_h)
                return h_k

            dh = complex_step(state, h[k]) if k <= t else np.zeros((3, 4, 3, 4))  # (B, H, B, H)
            for b in range(B):
                np.testing.assert_allclose(P[t, k, b], dh[b, :, b], rtol=0, atol=1e-12)
                dh[b, :, b] = 0
            assert not dh.any(), "one sequence of the batch moved another"
    for t in range(1, T + 1):
        np.testing.assert_array_equal(J[t - 1], P[t, t - 1])


def test_immediate_derivatives() -> None:
    x, y, h0, V, W, U, b_h, b_y = lecture(T=3, B=3, D=2, H=4, K=2)
    h, _, _ = by_hand.forward(x, y, h0, V, W, U, b_h, b_y)
    for k in range(1, 4):
        x_k, before = x[k - 1], h[k - 1]
        ours = by_hand.immediate(x_k, before, h[k])
        plain = {
            "W": complex_step(lambda W, x=x_k, h=before: np.tanh(x @ V + h @ W + b_h), W),
            "V": complex_step(lambda V, x=x_k, h=before: np.tanh(x @ V + h @ W + b_h), V),
            "b_h": complex_step(lambda b, x=x_k, h=before: np.tanh(x @ V + h @ W + b), b_h),
        }
        assert_equal(ours, plain)


# ---------------------------------------------------------------------- the same by another way


@pytest.mark.parametrize("seed", range(20))
def test_the_terms_sum_to_the_gradient(seed: int) -> None:
    problem = random_lecture(seed)
    _, gradients = by_hand.backward(*problem)
    C = by_hand.terms(*problem)
    assert_equal({name: c.sum(axis=(0, 1)) for name, c in C.items()}, gradients)


def test_which_terms_there_are() -> None:
    C = by_hand.terms(*lecture(T=5))
    for name, c in C.items():
        filled = c.reshape(5, 5, -1).any(axis=-1)
        shape = np.eye(5) if name in ("U", "b_y") else np.tri(5)
        np.testing.assert_array_equal(filled, shape, err_msg=name)


@pytest.mark.parametrize("seed", range(20))
def test_forward_mode_gives_the_same_gradient(seed: int) -> None:
    problem = random_lecture(seed)
    loss, gradients = by_hand.backward(*problem)
    same_loss, same = by_hand.forward_mode(*problem)
    assert loss == same_loss
    assert_equal(same, gradients)


# -------------------------------------------------------------------------------------- truncation


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6, 7, 11, 12, 20])
def test_equal_k1_and_k2_are_chunks_with_the_state_carried_over(k: int) -> None:
    x, y, h, *weights = problem = lecture(T=12)
    total, expected = 0.0, dict.fromkeys(NAMES, 0.0)
    for start in range(0, 12, k):
        xs, ys = x[start : start + k], y[start : start + k]
        loss, gradients = by_hand.backward(xs, ys, h, *weights)
        h = by_hand.forward(xs, ys, h, *weights)[0][-1]
        total += loss
        expected = {name: expected[name] + gradients[name] for name in NAMES}
    loss, gradients = by_hand.truncated(*problem, k1=k, k2=k)
    assert loss == pytest.approx(total, abs=1e-12)
    assert_equal(gradients, expected)


@pytest.mark.parametrize("seed", range(10))
def test_what_is_left_is_a_sum_of_terms(seed: int) -> None:
    problem = random_lecture(seed)
    T = len(problem[0])
    C = by_hand.terms(*problem)
    t, k = np.indices((T, T)) + 1
    for k1 in range(1, T + 1):
        end = -(-t // k1) * k1  # of the group that L_t is in, as if the last one were complete
        for k2 in range(k1, T + 2):
            left = k >= end - k2 + 1
            expected = {name: c[left].sum(axis=0) for name, c in C.items()}
            assert_equal(by_hand.truncated(*problem, k1=k1, k2=k2)[1], expected)


def test_n_steps_back_from_every_loss() -> None:
    problem = lecture(T=9)
    C = by_hand.terms(*problem)
    t, k = np.indices((9, 9))
    for n in range(1, 10):
        expected = {name: c[t - k < n].sum(axis=0) for name, c in C.items()}
        assert_equal(by_hand.truncated(*problem, k1=1, k2=n)[1], expected)


def test_chunks_are_not_n_steps_back_from_every_loss() -> None:
    problem = lecture(T=8)
    chunks = by_hand.truncated(*problem, k1=4, k2=4)[1]
    sliding = by_hand.truncated(*problem, k1=1, k2=4)[1]
    full = by_hand.backward(*problem)[1]
    for name in ("W", "V", "b_h"):
        pairs = (chunks, sliding), (chunks, full), (sliding, full)
        assert all(np.abs(a[name] - b[name]).max() > 1e-3 for a, b in pairs)
    for name in ("U", "b_y"):  # these need no time, so nothing of theirs is cut
        np.testing.assert_allclose(chunks[name], full[name], atol=1e-12)
        np.testing.assert_allclose(sliding[name], full[name], atol=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_all_the_way_back_is_no_truncation(seed: int) -> None:
    problem = random_lecture(seed)
    T = len(problem[0])
    loss, gradients = by_hand.backward(*problem)
    for k1, k2 in ((T, T), (1, T), (T, 2 * T), (T + 3, T + 3)):
        same_loss, same = by_hand.truncated(*problem, k1=k1, k2=k2)
        assert same_loss == loss
        assert_equal(same, gradients)


@pytest.mark.parametrize(("k1", "k2"), [(0, 3), (3, 2), (-1, -1)])
def test_groups_that_would_lose_losses_are_refused(k1: int, k2: int) -> None:
    with pytest.raises(ValueError, match=rf"1 <= k1 <= k2, not k1 = {k1} and k2 = {k2}"):
        by_hand.truncated(*lecture(), k1=k1, k2=k2)


# ------------------------------------------------------------------------------------ the corners


@pytest.mark.parametrize(
    "shape", [(1, 2, 3, 4, 3), (4, 1, 3, 4, 3), (4, 2, 3, 1, 3), (4, 2, 1, 4, 1), (1, 1, 1, 1, 1)]
)
def test_one_step_one_sequence_one_unit(shape: Any) -> None:
    problem = lecture(*shape)
    T = shape[0]
    _, gradients = by_hand.backward(*problem)
    C = by_hand.terms(*problem)
    for name, w in zip(NAMES, problem[3:], strict=True):
        assert gradients[name].shape == w.shape
        assert C[name].shape == (T, T, *w.shape)
    assert_equal({name: c.sum(axis=(0, 1)) for name, c in C.items()}, gradients)
    assert_equal(by_hand.forward_mode(*problem)[1], gradients)
    assert_equal(by_hand.truncated(*problem, k1=T, k2=T)[1], gradients)


def test_float32_stays_float32_and_nothing_given_is_written_to() -> None:
    problem = [a if a.dtype.kind == "i" else a.astype(np.float32) for a in lecture()]
    for a in problem:
        a.setflags(write=False)
    x, _, h0, _, W, *_ = problem
    h = by_hand.forward(*problem)[0]
    assert by_hand.products(by_hand.jacobians(h, W)).dtype == np.float32
    results = (
        by_hand.immediate(x[0], h0, h[1]),
        by_hand.backward(*problem)[1],
        by_hand.forward_mode(*problem)[1],
        by_hand.truncated(*problem, k1=2, k2=3)[1],
        by_hand.terms(*problem),
    )
    assert {a.dtype for arrays in results for a in arrays.values()} == {np.dtype(np.float32)}
