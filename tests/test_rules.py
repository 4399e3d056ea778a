"""The table of primitives: every one has a row of samples here, and is checked twice over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.engine import rules
from tinygrad_rnn.engine.record import composites, primitives

from .oracles import complex_step

rng = np.random.default_rng(0)
CLASSES = np.array([[2, 0], [1, 1]])


def normal(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape)


def positive(*shape: int) -> np.ndarray:
    return rng.uniform(0.5, 2.0, shape)


# For each primitive: calls, each a function of tensors and the arrays to call it with.
SAMPLES: dict[Any, list[tuple[Callable[..., Any], tuple[np.ndarray, ...]]]] = {
    np.add: [(np.add, (normal(2, 3), normal(3))), (np.add, (normal(2, 1), normal(1, 3)))],
    np.subtract: [(np.subtract, (normal(2, 3), normal(3)))],
    np.multiply: [(np.multiply, (normal(2, 3), normal(2, 1))), (lambda x: x * x, (normal(3),))],
    np.divide: [(np.divide, (normal(2, 3), positive(3))), (lambda x: 1 / x, (positive(3),))],
    np.power: [
        (np.power, (positive(2, 3), normal(3))),
        (lambda x: x**3, (normal(3),)),
        (lambda x: x**0, (np.zeros(2),)),
        (lambda x: 2.0**x, (normal(3),)),
        (np.power, (positive(3), np.zeros(3))),
    ],
    np.maximum: [(np.maximum, (normal(2, 3), normal(3)))],
    np.minimum: [(np.minimum, (normal(2, 3), normal(3)))],
    np.remainder: [(np.remainder, (normal(2, 3), positive(3))), (lambda x: x % 1, (normal(3),))],
    np.where: [(lambda a, b: np.where(np.eye(2) > 0, a, b), (normal(2, 2), normal(2)))],
    rules.add_n: [(lambda *xs: tg.add_n(xs), (normal(2, 3), normal(2, 3), normal(2, 3)))],
    np.negative: [(np.negative, (normal(3),))],
    np.positive: [(np.positive, (normal(3),))],
    np.exp: [(np.exp, (normal(3),))],
    np.expm1: [(np.expm1, (normal(3),))],
    np.log: [(np.log, (positive(3),))],
    np.log1p: [(np.log1p, (positive(3),))],
    np.sqrt: [(np.sqrt, (positive(3),))],
    np.square: [(np.square, (normal(3),))],
    np.reciprocal: [(np.reciprocal, (positive(3),))],
    np.absolute: [(abs, (normal(3),))],
    np.sin: [(np.sin, (normal(3),))],
    np.cos: [(np.cos, (normal(3),))],
    np.tanh: [(np.tanh, (normal(2, 3),)), (tg.Tensor.tanh, (normal(3),))],
    rules.sigmoid: [(tg.sigmoid, (normal(3),))],
    rules.relu: [(tg.relu, (normal(3),))],
    rules.softplus: [(tg.softplus, (normal(3),))],
    np.clip: [(lambda x: np.clip(x, -0.5, 0.5), (normal(5),))],
    rules.astype: [(lambda x: x.astype(np.float64).astype(x.dtype), (normal(3),))],
    np.sum: [
        (np.sum, (normal(2, 3),)),
        (lambda x: x.sum(axis=-1), (normal(2, 3),)),
        (lambda x: x.sum(axis=(0, 2), keepdims=True), (normal(2, 3, 2),)),
    ],
    np.mean: [
        (np.mean, (normal(2, 3),)),
        (lambda x: x.mean(axis=1, keepdims=True), (normal(2, 3),)),
        (lambda x: x.mean(axis=(0, -1)), (normal(2, 3, 2),)),
    ],
    np.max: [(np.max, (normal(2, 3),)), (lambda x: x.max(axis=1), (normal(2, 3),))],
    np.min: [(lambda x: x.min(axis=0, keepdims=True), (normal(2, 3),))],
    np.cumsum: [(np.cumsum, (normal(2, 3),)), (lambda x: np.cumsum(x, axis=1), (normal(2, 3),))],
    rules.softmax: [(tg.softmax, (normal(2, 3),)), (lambda x: tg.softmax(x, 0), (normal(2, 3),))],
    rules.log_softmax: [(tg.log_softmax, (normal(2, 3),))],
    rules.logsumexp: [
        (tg.logsumexp, (normal(2, 3),)),
        (lambda x: tg.logsumexp(x, axis=0, keepdims=True), (normal(2, 3),)),
    ],
    rules.cross_entropy: [
        (lambda z: tg.cross_entropy(z, CLASSES), (normal(2, 2, 3),)),
        (lambda z: tg.cross_entropy(z, CLASSES, "sum"), (normal(2, 2, 3),)),
        (lambda z: tg.cross_entropy(z, CLASSES, "none"), (normal(2, 2, 3),)),
    ],
    np.matmul: [
        (np.matmul, (normal(2, 3), normal(3, 4))),
        (np.matmul, (normal(3), normal(3))),
        (np.matmul, (normal(2, 3), normal(3))),
        (np.matmul, (normal(3), normal(3, 2))),
        (np.matmul, (normal(2, 1, 2, 3), normal(3, 3, 2))),
        (np.matmul, (normal(2, 2, 3), normal(3))),
        (np.matmul, (normal(3), normal(2, 3, 2))),
        (np.matmul, (normal(2, 0), normal(0, 2))),
    ],
    np.reshape: [(lambda x: x.reshape(3, -1), (normal(2, 3),)), (
        lambda x: np.reshape(x, 6), (normal(2, 3),))],
    np.ravel: [(np.ravel, (normal(2, 3),))],
    np.squeeze: [(np.squeeze, (normal(2, 1),)), (lambda x: x.squeeze(0), (normal(1, 2, 1),))],
    np.expand_dims: [(lambda x: np.expand_dims(x, 1), (normal(2, 3),))],
    np.broadcast_to: [(lambda x: np.broadcast_to(x, (4, 2, 3)), (normal(2, 1),))],
    np.transpose: [
        (lambda x: x.T, (normal(2, 3),)),
        (lambda x: x.transpose(2, 0, 1), (normal(2, 3, 4),)),
        (lambda x: np.transpose(x, (1, -1, 0)), (normal(2, 3, 4),)),
    ],
    np.swapaxes: [(lambda x: x.mT, (normal(2, 3, 2),)), (
        lambda x: x.swapaxes(0, 2), (normal(2, 3, 2),))],
    np.moveaxis: [(lambda x: np.moveaxis(x, 0, -1), (normal(2, 3, 2),))],
    np.flip: [(np.flip, (normal(2, 3),)), (lambda x: np.flip(x, 1), (normal(2, 3),))],
    rules.getitem: [
        (lambda x: x[1:, ::-1], (normal(3, 2),)),
        (lambda x: x[..., None, 0], (normal(3, 2),)),
        (lambda x: x[[0, 0, -1]], (normal(3, 2),)),
        (lambda x: x[np.array([0, 1]), 1:], (normal(3, 2),)),
        (lambda x: x[x.data > 0], (np.array([[1.0, -1.0], [2.0, 3.0]]),)),
    ],
    rules.embedding: [(lambda x: tg.embedding(x, CLASSES), (normal(3, 2),))],
    rules.scatter: [
        (lambda g: rules.scatter(g, index=(1, slice(None)), shape=(3, 2)), (normal(2),)),
        (lambda g: rules.scatter(g, np.array([1, 1]), index=rules.LOOKUP, shape=(3, 2)), (
            normal(2, 2),)),
    ],
    np.concatenate: [
        (lambda *xs: np.concatenate(xs, axis=-1), (normal(2, 3), normal(2, 1))),
        (lambda x: tg.concatenate([x, np.ones((1, 3), np.float16), x]), (normal(2, 3),)),
        (lambda *xs: np.concatenate(xs, axis=None), (normal(2, 3), normal(2))),
    ],
    np.stack: [(lambda *xs: np.stack(xs, axis=-1), (normal(2, 3), normal(2, 3)))],
    np.prod: [
        (np.prod, (np.array([[1.0, 0.0, 2.0], [3.0, 4.0, 0.5]]),)),
        (lambda x: np.prod(x, axis=1, keepdims=True), (normal(2, 5),)),
    ],
    np.var: [(np.var, (normal(2, 3),)), (lambda x: np.var(x, axis=1, ddof=1), (normal(2, 3),))],
    np.dot: [
        (np.dot, (normal(2, 3), normal(3, 2))),
        (np.dot, (normal(3), normal(3))),
        (np.dot, (normal(2, 3), normal(2, 3, 2))),
        (np.dot, (normal(2, 2, 3), normal(2, 3, 2))),
        (lambda x: np.dot(x, 2.0), (normal(2),)),
    ],
    rules.einsum: [
        (lambda a, b: np.einsum("ij,jk->ik", a, b), (normal(2, 3), normal(3, 2))),
        (lambda a, b: np.einsum("bij, bj", a, b), (normal(2, 3, 2), normal(2, 2))),
        (lambda a, b: np.einsum("ij,k->k", a, b), (normal(2, 3), normal(2))),
        (lambda *xs: np.einsum("i,ij,j->", *xs), (normal(2), normal(2, 3), normal(3))),
        (lambda a: np.einsum("ijk->kj", a), (normal(2, 3, 2),)),
    ],
    np.einsum: [(lambda a: np.einsum("ij->ji", a), (normal(2, 3),))],
    np.tensordot: [
        (np.tensordot, (normal(2, 3, 4), normal(3, 4, 2))),
        (lambda a, b: np.tensordot(a, b, 1), (normal(2, 3), normal(3, 2))),
        (lambda a, b: np.tensordot(a, b, ((0, -1), (1, 0))), (normal(2, 3, 4), normal(4, 2))),
    ],
    np.std: [(np.std, (normal(2, 3),)), (lambda x: np.std(x, axis=1, ddof=1), (normal(2, 3),))],
    np.linalg.norm: [
        (np.linalg.norm, (normal(2, 3),)),
        (lambda x: np.linalg.norm(x, axis=1, keepdims=True), (normal(2, 3),)),
    ],
    np.take: [
        (lambda x: np.take(x, [3, 0, 3]), (normal(2, 3),)),
        (lambda x: np.take(x, [[0, -1]], axis=1), (normal(2, 3),)),
    ],
    np.take_along_axis: [
        (lambda x: np.take_along_axis(x, np.array([[2, 2], [0, 1]]), 1), (normal(2, 3),)),
        (lambda x: np.take_along_axis(x, np.array([4, 4]), None), (normal(2, 3),)),
    ],
    np.repeat: [
        (lambda x: np.repeat(x, 2), (normal(2, 3),)),
        (lambda x: np.repeat(x, [1, 0, 2], axis=-1), (normal(2, 3),)),
    ],
    np.tile: [(lambda x: np.tile(x, 2), (normal(2, 3),)), (
        lambda x: np.tile(x, (2, 1, 3)), (normal(2, 3),))],
    np.roll: [
        (lambda x: np.roll(x, 2), (normal(2, 3),)),
        (lambda x: np.roll(x, (1, -1), (0, 1)), (normal(2, 3),)),
    ],
    np.split: [
        (lambda x: np.split(x, 2, axis=1)[1], (normal(2, 4),)),
        (lambda x: np.split(x, [1, 3])[1], (normal(4, 2),)),
    ],
    np.pad: [
        (lambda x: np.pad(x, 1), (normal(2, 3),)),
        (lambda x: np.pad(x, ((0, 1), (2, 0)), constant_values=5.0), (normal(2, 3),)),
    ],
    np.outer: [(np.outer, (normal(2), normal(3)))],
}  # fmt: skip
CASES = [
    pytest.param(f, arrays, id=f"{getattr(key, '__name__', key)}-{i}")
    for key, calls in SAMPLES.items()
    for i, (f, arrays) in enumerate(calls)
]


def test_every_primitive_with_a_rule_and_every_composite_has_samples() -> None:
    wanted = {f for f, entry in primitives.items() if entry.vjps} | set(composites)
    assert wanted == set(SAMPLES)


@pytest.mark.parametrize(("f", "arrays"), CASES)
def test_first_and_second_derivatives_against_central_differences(
    f: Any, arrays: tuple[np.ndarray, ...]
) -> None:
    tg.check_gradients(f, *(tg.tensor(a, requires_grad=True) for a in arrays), order=2)


@pytest.mark.parametrize(("f", "arrays"), CASES)
def test_float32_stays_float32(f: Any, arrays: tuple[np.ndarray, ...]) -> None:
    xs = [tg.tensor(a, dtype=np.float32, requires_grad=True) for a in arrays]
    y = f(*xs)
    assert y.dtype == np.float32
    if y.requires_grad:
        y.backward(np.ones(y.shape, np.float32))
        assert all(x.grad is None or x.grad.dtype == np.float32 for x in xs)


@pytest.mark.parametrize(("f", "arrays"), CASES)
def test_non_contiguous_inputs_give_the_same(f: Any, arrays: tuple[np.ndarray, ...]) -> None:
    def run(wrap: Callable[[np.ndarray], np.ndarray]) -> list[np.ndarray]:
        xs = [tg.tensor(a, requires_grad=True) for a in arrays]
        for x, a in zip(xs, arrays, strict=True):
            x.array = wrap(a)
        y = f(*xs)
        y.backward(np.array(np.ones(y.shape), order="F"))
        return [y.data, *(x.grad.data for x in xs if x.grad is not None)]

    plain = run(np.array)
    strided = run(lambda a: np.repeat(a, 2, axis=-1)[..., ::2])
    for a, b in zip(plain, strided, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


ANALYTIC = {
    np.exp: np.exp, np.sin: np.sin, np.cos: np.cos, np.tanh: np.tanh, np.square: np.square,
    tg.sigmoid: lambda z: 1 / (1 + np.exp(-z)), tg.softplus: lambda z: np.log(1 + np.exp(z)),
    tg.softmax: lambda z: np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True),
    tg.logsumexp: lambda z: np.log(np.exp(z).sum()),
}  # fmt: skip


@pytest.mark.parametrize(("ours", "plain"), ANALYTIC.items())
def test_complex_step_agrees_to_rounding(ours: Any, plain: Any) -> None:
    x = tg.tensor(normal(2, 3), requires_grad=True)
    weights = np.arange(1.0, 7.0).reshape(2, 3)
    (ours(x) * weights).sum().backward()
    expected = complex_step(lambda z: (plain(z) * weights).sum(), x.data)
    np.testing.assert_allclose(x.grad, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("f", "arrays"), [p for p in CASES if p.id.split("-")[0] in {f.__name__ for f in composites}]
)
def test_composites_compute_what_numpy_computes(f: Any, arrays: tuple[np.ndarray, ...]) -> None:
    ours = f(*(tg.tensor(a) for a in arrays))
    np.testing.assert_allclose(ours.data, f(*arrays), rtol=1e-13)


def test_gelu() -> None:
    x = tg.tensor(normal(4), requires_grad=True)
    tg.check_gradients(tg.gelu, x)
    np.testing.assert_allclose(tg.gelu([0.0, 1.0, -1.0]), [0.0, 0.841192, -0.158808], atol=1e-6)


# ---------------------------------------------------------------------------------- at the kinks


def slope(f: Callable[..., Any], *values: Any) -> Any:
    xs = [tg.tensor(v, dtype=np.float64, requires_grad=True) for v in values]
    f(*xs).sum().backward()
    slopes = [x.grad.data.tolist() for x in xs]
    return slopes if len(slopes) > 1 else slopes[0]


def test_the_kinks() -> None:
    assert slope(tg.relu, [0.0, -1.0, 1.0]) == [0, 0, 1]
    assert slope(np.abs, [0.0, -2.0]) == [0, -1]
    assert slope(np.maximum, [1.0, 2.0, 3.0], [1.0, 3.0, 2.0]) == [[0.5, 0, 1], [0.5, 1, 0]]
    assert slope(np.minimum, [1.0, 2.0], [1.0, 3.0]) == [[0.5, 1], [0.5, 0]]
    assert slope(np.max, [3.0, 1.0, 3.0]) == [0.5, 0, 0.5]
    assert slope(lambda x: np.clip(x, 0, 1), [0.0, 0.5, 1.0, 2.0]) == [1, 1, 1, 0]
    assert slope(lambda x: x**0, [0.0]) == [0]
    assert slope(lambda b: 0.0**b, [2.0]) == [0]
    with np.errstate(divide="ignore"):
        assert slope(np.sqrt, [0.0]) == [np.inf]
    assert slope(np.prod, [0.0, 2.0, 3.0]) == [6, 0, 0]
    assert slope(np.std, [2.0, 2.0]) == [0, 0]
    assert slope(np.linalg.norm, [0.0, 0.0]) == [0, 0]


def test_nan_is_passed_on_to_gradients() -> None:
    for f in (tg.relu, lambda x: np.maximum(x, 0.0), lambda x: np.clip(x, 0, 1)):
        assert slope(f, [np.nan, 0.5]) == [1, 1]


def test_the_tails_of_sigmoid_are_exact() -> None:
    x = np.array([-700.0, -40.0, -12.0, 3.0])
    np.testing.assert_allclose(tg.sigmoid(x), np.exp(-np.logaddexp(0, -x)), rtol=1e-14)


def test_what_is_cast_to_integers_has_no_gradient() -> None:
    x = tg.tensor([1.7, 2.2], requires_grad=True)
    y = x.astype(int) * 2.5 + x
    y.backward(np.ones(2))
    assert x.grad.data.tolist() == [1, 1]


def test_arguments_are_as_numpy_has_them() -> None:
    x = tg.tensor([[3.0, -1.0], [-2.0, 0.5]], requires_grad=True)
    a = x.data
    np.testing.assert_array_equal(np.argsort(x, axis=None).data, np.argsort(a, axis=None))
    np.testing.assert_array_equal(x[np.where(x > 0)].data, a[np.where(a > 0)])
    np.testing.assert_array_equal(np.clip(x, 0, None).data, np.clip(a, 0, None))
    np.testing.assert_array_equal(np.var(x, 0, None, None, 1).data, np.var(a, 0, None, None, 1))
    assert sum([tg.tensor([True]), tg.tensor([True])]).item() == 2
    assert np.prod(tg.tensor(np.array([100, 100], np.int8))).item() == 10_000
    assert np.prod(tg.tensor(np.ones((3, 0))), axis=0).shape == (0,)
    assert tg.softmax([1, 2]).sum() == 1
    assert tg.logsumexp(tg.tensor(2.0)).item() == 2.0
    with pytest.raises(ValueError, match="out of bounds"):
        np.prod(x, axis=2)
    with pytest.raises(TypeError, match=r"np\.prod of tensors does not take dtype="):
        np.prod(x, 0, np.float64)
    with pytest.raises(TypeError, match="a_min is a tensor"):
        np.clip(x, tg.tensor(0.0), 1)
    with pytest.raises(TypeError, match="matmul"):
        2 @ x
    for subscripts in ("ii->i", "...i->i"):
        with pytest.raises(TypeError, match="ellipsis or a diagonal"):
            np.einsum(subscripts, x)
    with pytest.raises(ValueError, match="einsum"):
        np.einsum("ijk->i", x)
    with pytest.raises(TypeError, match="softmax: takes 2 arguments, not 3"):
        tg.softmax(x, 0, 1)


def test_a_list_of_axes_changed_later_changes_no_gradient() -> None:
    x, axes, w = tg.tensor(normal(2, 3, 4), requires_grad=True), [0, 2, 1], normal(2, 4, 3)
    y = (np.transpose(x, axes) * w).sum()
    axes[:] = [2, 1, 0]
    y.backward()
    np.testing.assert_array_equal(x.grad, w.transpose(0, 2, 1))


def test_half_precision_sums_do_not_overflow() -> None:
    z = tg.tensor(np.zeros((40_000, 10)), dtype=np.float16)
    loss = tg.cross_entropy(z, np.zeros(40_000, int))
    assert loss.dtype == np.float16
    assert loss.item() == pytest.approx(np.log(10), rel=1e-3)


def test_where_passes_a_nan_branch_on_and_the_remedy_works() -> None:
    with np.errstate(all="ignore"):
        assert np.isnan(slope(lambda x: np.where(x > 0, np.sqrt(x), 0.0), [-1.0]))
    safe = lambda x: np.where(x > 0, np.log(np.where(x > 0, x, 1.0)), 0.0)  # noqa: E731
    assert slope(safe, [-1.0, 2.0]) == [0, 0.5]


# ------------------------------------------------------------------------------------- numerics


@pytest.mark.filterwarnings("error")
def test_extreme_arguments_neither_overflow_nor_warn() -> None:
    assert tg.sigmoid(tg.tensor([-800.0, 800.0])).data.tolist() == [0, 1]
    assert tg.softplus(tg.tensor([800.0, -800.0])).data.tolist() == [800, 0]
    assert slope(tg.softplus, [800.0, -800.0]) == [1, 0]
    z = tg.tensor([[1e4, -1e4], [1e4, -1e4]], requires_grad=True)
    losses = tg.cross_entropy(z, np.array([0, 1]), "none")
    assert losses.data.tolist() == [0, 2e4]
    losses.sum().backward()
    assert z.grad.data.tolist() == [[0, 0], [1, -1]]
    assert tg.logsumexp(tg.tensor([1000.0, 1000.0])).item() == 1000 + np.log(2)


@pytest.mark.filterwarnings("error")
def test_logsumexp_of_all_minus_infinity() -> None:
    x = tg.tensor([-np.inf, -np.inf], requires_grad=True)
    y = tg.logsumexp(x)
    assert y.item() == -np.inf
    y.backward()
    assert x.grad.data.tolist() == [0, 0]
    assert tg.softmax(tg.tensor([-np.inf, 0.0])).data.tolist() == [0, 1]


def test_empty_arrays() -> None:
    x = tg.tensor(np.ones((0, 3)), requires_grad=True)
    assert x.sum().item() == 0
    assert np.prod(x, axis=0).data.tolist() == [1, 1, 1]
    with np.errstate(invalid="ignore"):
        assert np.isnan(x.mean().item())
    with pytest.raises(ValueError, match=r"max.*zero-size"):
        x.max()
    (x @ np.ones((3, 2))).sum().backward()
    assert x.grad.shape == (0, 3)


# ------------------------------------------------------------------------------------ functions


def test_classes_and_ids_out_of_range_are_named_with_their_place() -> None:
    z = tg.tensor(np.zeros((2, 3)), requires_grad=True)
    with pytest.raises(IndexError, match=r"class 3 at \(1,\) is not in 0 … 2"):
        tg.cross_entropy(z, [0, 3])
    with pytest.raises(IndexError, match=r"class -1 at \(0,\)"):
        tg.cross_entropy(z, [-1, 0])
    with pytest.raises(IndexError, match=r"id 5 at \(0, 1\) is not in 0 … 1"):
        tg.embedding(z, [[0, 5]])
    with pytest.raises(IndexError, match="class 3"):
        tg.one_hot([3], 3)


def test_cross_entropy_says_what_it_wants() -> None:
    z = tg.tensor(np.zeros((2, 3)), requires_grad=True)
    with pytest.raises(ValueError, match=r"\(2, 3\) want classes \(2,\), not \(3,\)"):
        tg.cross_entropy(z, [0, 1, 2])
    with pytest.raises(TypeError, match="class: integers are wanted, not float64"):
        tg.cross_entropy(z, [0.0, 1.0])
    with pytest.raises(ValueError, match="reduction='total'"):
        tg.cross_entropy(z, [0, 1], "total")
    with pytest.raises(ValueError, match=r"\(K, D\)"):
        tg.embedding(tg.tensor([1.0]), [0])
    with pytest.raises(ValueError, match="one shape"):
        tg.add_n([z, tg.tensor(1.0)])


def test_functions_take_arrays_and_give_arrays() -> None:
    for f in (tg.sigmoid, tg.relu, tg.softplus, tg.softmax, tg.log_softmax):
        assert type(f(np.ones((2, 3)))) is np.ndarray
        np.testing.assert_array_equal(f([[1.0, 2.0]]), f(tg.tensor([[1.0, 2.0]])).data)
    assert tg.one_hot([[1], [0]], 2).tolist() == [[[0, 1]], [[1, 0]]]
    assert tg.where(True, 1.0, 2.0) == 1.0
    assert tg.stack([np.ones(2), np.ones(2)], axis=1).shape == (2, 2)
