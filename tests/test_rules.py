"""Every function of the table: its value, its derivatives, its edges and its errors.

The rows are data in tests/table.py. What is said here is said of all rows at once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.engine import functions
from tinygrad_rnn.engine.record import composites, primitives

from .oracles import complex_step
from .table import PAIRS, ROWS, SHAPES, Bad, Call, Kink, Row, normal


def _each(what: str, wanted: Callable[[Row], bool]) -> list[Any]:
    """(row, x) for each x in a column of the rows that are wanted."""
    return [
        pytest.param(row, x, id=f"{row.name}-{i}")
        for row in ROWS
        if wanted(row)
        for i, x in enumerate(getattr(row, what))
    ]


every = pytest.mark.parametrize(("row", "call"), _each("samples", lambda row: True))
differentiable = pytest.mark.parametrize(
    ("row", "call"), _each("samples", lambda row: row.differentiable)
)
constant = pytest.mark.parametrize(
    ("row", "call"), _each("samples", lambda row: not row.differentiable)
)


def tensors(call: Call, dtype: Any = np.float64, **facts: Any) -> list[tg.Tensor]:
    """The arrays of a call as tensors: gradients are wanted for floating ones, others are data."""
    return [
        tg.tensor(a, dtype=dtype if a.dtype.kind == "f" else None,
                  requires_grad=a.dtype.kind == "f", **facts)
        for a in call.arrays
    ]  # fmt: skip


def gradients(row: Row, call: Call, xs: list[tg.Tensor], weights: Any = None) -> list[Any]:
    """The value, and dL/dx for each x that has a gradient, where L is its weighted sum."""
    y = call.on(row.call, *xs)
    y.backward(np.ones(y.shape, y.dtype) if weights is None else weights(y.shape))
    return [y.data, *(x.grad.data for x in xs if x.grad is not None)]


def weights_of(shape: tuple[int, ...]) -> np.ndarray:
    return np.linspace(1.0, 2.0, int(np.prod(shape))).reshape(shape)


# ------------------------------------------------------------------------------ the table itself


def test_every_primitive_composite_and_function_has_a_row() -> None:
    ours = {f for _, f in inspect.getmembers(functions, inspect.isfunction)
            if f.__module__ == functions.__name__ and not f.__name__.startswith("_")}  # fmt: skip
    rows = [row.function for row in ROWS]
    assert set(rows) == {*primitives, *composites, *ours}
    assert len(rows) == len(set(rows))


def test_every_row_has_samples_and_errors_and_says_whether_anything_flows_back() -> None:
    for row in ROWS:
        assert row.samples, row.name
        assert row.errors, row.name
        entry = primitives.get(row.function)
        if entry is not None:
            assert row.differentiable == bool(entry.vjps), row.name


def test_every_row_has_samples_without_elements() -> None:
    """And elementwise ones have them without axes, and of every pair of shapes."""
    for row in ROWS:
        shapes = [a.shape for call in row.samples for a in call.arrays]
        assert any(0 in shape for shape in shapes), row.name
        if isinstance(row.function, np.ufunc) and row.function.signature is None:
            assert set(SHAPES) <= set(shapes) or set(sum(PAIRS, ())) <= set(shapes), row.name


# ---------------------------------------------------------------------------- values and gradients


@every
def test_values_are_those_of_the_reference(row: Row, call: Call) -> None:
    ours = call.on(row.call, *tensors(call))
    with np.errstate(all="ignore"):
        wanted = np.asarray(call.on(row.plain, *call.arrays))
    assert isinstance(ours, tg.Tensor)
    assert (ours.shape, ours.dtype) == (wanted.shape, wanted.dtype)
    np.testing.assert_allclose(ours.data, wanted, rtol=1e-13, atol=1e-15)


@differentiable
def test_first_and_second_derivatives_against_central_differences(row: Row, call: Call) -> None:
    def f(*xs: tg.Tensor) -> tg.Tensor:
        value: tg.Tensor = call.on(row.call, *xs)
        return value

    tg.check_gradients(f, *tensors(call), order=2)


def _complex_steppable(row: Row, call: Call) -> bool:
    """A sample in another spelling is computed as it is spelled, so its row must be analytic."""
    return row.differentiable and (row.analytic or call.spelled is None)


@pytest.mark.parametrize(
    ("row", "call"), [p for p in _each("samples", lambda _: True) if _complex_steppable(*p.values)]
)
def test_the_complex_step_agrees_to_rounding(row: Row, call: Call) -> None:
    arrays = call.arrays
    xs = tensors(call)
    y = call.on(row.call, *xs)
    weights = weights_of(y.shape)
    found = tg.grad((y * weights).sum(), xs, allow_unused=True) if y.requires_grad else [None] * 9
    for slot, (x, g) in enumerate(zip(arrays, found, strict=False)):
        if x.dtype.kind != "f":
            assert g is None
            continue

        def scalar(z: Any, slot: int = slot) -> Any:
            given = [*arrays[:slot], z, *arrays[slot + 1 :]]
            return np.sum(call.on(row.complex or row.plain, *given) * weights)

        ours = np.zeros(x.shape) if g is None else g.data
        assert ours.shape == x.shape
        np.testing.assert_allclose(ours, complex_step(scalar, x), rtol=1e-12, atol=1e-13)


@differentiable
def test_low_precision_stays(row: Row, call: Call) -> None:
    for dtype in (np.float16, np.float32):
        xs = tensors(call, dtype)
        y = call.on(row.call, *xs)
        assert y.dtype == dtype
        if y.requires_grad:
            y.backward(np.ones(y.shape, dtype))
        assert all(x.grad is None or x.grad.dtype == dtype for x in xs)


@differentiable
def test_low_precision_computes_the_same(row: Row, call: Call) -> None:
    """float32, to its precision: no rule is a formula that holds in float64 only."""
    single = gradients(row, call, tensors(call, np.float32))
    double = gradients(row, call, tensors(call))
    for a, b in zip(single, double, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a,
    "reversed": lambda a: np.flip(np.array(np.flip(a))),
    "Fortran": lambda a: np.array(a, order="F"),
}


@differentiable
def test_non_contiguous_inputs_give_the_same(row: Row, call: Call) -> None:
    plain = gradients(row, call, tensors(call))
    for layout, laid_out in LAYOUTS.items():
        xs = tensors(call)
        for x, a in zip(xs, call.arrays, strict=True):
            x.array = laid_out(a)
        other = gradients(row, call, xs, lambda shape: np.ones(shape, order="F"))
        for a, b in zip(plain, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13, err_msg=layout)


@differentiable
def test_gradients_have_their_arguments_shape_and_are_nobody_elses(row: Row, call: Call) -> None:
    xs = tensors(call)
    before = [x.numpy() for x in xs]
    y = call.on(row.call, *xs)
    if y.requires_grad:
        y.backward(weights_of(y.shape))
    grads = [x.grad for x in xs if x.grad is not None]
    assert all(x.grad is None or x.grad.shape == x.shape for x in xs)
    for g in grads:
        g.data[...] = 99.0
    for x, a in zip(xs, before, strict=True):
        np.testing.assert_array_equal(x.data, a)
    assert len({g.data.__array_interface__["data"][0] for g in grads if g.size}) == sum(
        g.size > 0 for g in grads
    )


@differentiable
def test_many_adjoints_at_once_are_as_many_sweeps(row: Row, call: Call) -> None:
    """The Jacobian from one sweep, and its product with a vector from forward mode."""
    xs = tensors(call)
    y = call.on(row.call, *xs)
    wanted = [x for x in xs if x.requires_grad]
    if y.requires_grad:
        seeds = np.eye(y.size).reshape(y.size, *y.shape)
        rows = [tg.grad(y, wanted, v, retain_graph=True) for v in seeds]
        for slot, x in enumerate(wanted):
            J = tg.jacobian(y, x)
            assert J.shape == y.shape + x.shape
            each = np.array([r[slot] for r in rows]).reshape(J.shape)
            np.testing.assert_allclose(J, each, rtol=1e-13, atol=1e-15)
    tangents = [weights_of(x.shape) for x in wanted]

    def of_floats(*zs: tg.Tensor) -> Any:
        rest = iter(zs)
        return call.on(row.call, *(next(rest) if x.requires_grad else x for x in xs))

    _, pushed = tg.jvp(of_floats, wanted, tangents)
    assert pushed.shape == y.shape
    if y.requires_grad:
        pairs = zip(wanted, tangents, strict=True)
        terms = [np.tensordot(tg.jacobian(y, x).data, v, v.ndim) for x, v in pairs]
        np.testing.assert_allclose(pushed, sum(terms), rtol=1e-12, atol=1e-14)


@constant
def test_nothing_flows_back_through_what_has_no_derivative(row: Row, call: Call) -> None:
    xs = tensors(call)
    y = call.on(row.call, *xs)
    assert not y.requires_grad
    for x in xs:
        if x.requires_grad:
            (x.sum() + (y * 1.0).sum()).backward()
            np.testing.assert_array_equal(x.grad, np.ones(x.shape))


# ----------------------------------------------------------------------------- kinks and errors


@pytest.mark.parametrize(("row", "kink"), _each("kinks", lambda row: True))
def test_the_kinks(row: Row, kink: Kink) -> None:
    xs = tensors(kink.call)
    with np.errstate(divide="ignore", invalid="ignore"):
        y = kink.call.on(row.call, *xs)
        y.sum().backward()
    np.testing.assert_array_equal(y.data, kink.value)
    slopes = [x.grad.data for x in xs if x.requires_grad]
    assert len(slopes) == len(kink.slopes)
    for ours, promised in zip(slopes, kink.slopes, strict=True):
        np.testing.assert_array_equal(ours, promised)


@pytest.mark.parametrize(("row", "bad"), _each("errors", lambda row: True))
def test_errors_say_what_is_wrong(row: Row, bad: Bad) -> None:
    xs = tensors(bad.call)
    for x, name in zip(xs, "xyz", strict=False):
        x.name = name
    with pytest.raises(bad.error, match=bad.message):
        bad.call.on(row.call, *xs)
    for x in xs:
        assert x.grad is None


# ------------------------------------------------------------------------------- beyond the table


def slope(f: Callable[..., Any], *values: Any) -> Any:
    xs = [tg.tensor(v, dtype=np.float64, requires_grad=True) for v in values]
    f(*xs).sum().backward()
    slopes = [x.grad.data.tolist() for x in xs]
    return slopes if len(slopes) > 1 else slopes[0]


def test_gelu_of_a_few_numbers() -> None:
    np.testing.assert_allclose(tg.gelu([0.0, 1.0, -1.0]), [0.0, 0.841192, -0.158808], atol=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_gelu_far_out(dtype: Any) -> None:
    largest = np.finfo(dtype).max
    x = tg.tensor([-np.inf, -largest, -50, -40, 40, 41.5, largest, np.inf], dtype, True)
    y = tg.gelu(x)
    assert y.data.tolist() == [0, 0, 0, 0, *x.data[4:].tolist()]
    y.backward(np.ones(8, dtype))
    assert x.grad.data.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_nan_is_passed_on_to_values() -> None:
    x = tg.tensor([np.nan, 0.5])
    for f in (
        tg.relu, tg.sigmoid, tg.softplus, tg.gelu, tg.softmax, tg.log_softmax, tg.logsumexp,
        np.tanh, np.abs, np.sum, np.mean, np.max, np.min, np.prod, np.std, np.linalg.norm,
        lambda x: tg.cross_entropy(x, np.array(1)), lambda x: np.clip(x, 0, 1),
    ):  # fmt: skip
        with np.errstate(invalid="ignore"):
            assert np.isnan(f(x).data).any()


def test_nan_is_passed_on_to_gradients() -> None:
    for f in (tg.relu, lambda x: np.maximum(x, 0.0), lambda x: np.clip(x, 0, 1)):
        assert slope(f, [np.nan, 0.5]) == [1, 1]


def test_the_tails_of_sigmoid_are_exact() -> None:
    x = np.array([-700.0, -40.0, -12.0, 3.0])
    np.testing.assert_allclose(tg.sigmoid(x), np.exp(-np.logaddexp(0, -x)), rtol=1e-14)


def test_what_is_cast_to_integers_has_no_gradient() -> None:
    x = tg.tensor([1.7, 2.2], requires_grad=True)
    y = sum(x.astype(kind) * 2.5 for kind in (int, np.uint8, bool)) + x
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


@pytest.mark.parametrize("given", [list, np.array])
def test_axes_changed_later_change_no_gradient(given: Any) -> None:
    x, w = tg.tensor(normal(2, 3, 4), requires_grad=True), normal(2, 4, 3)
    axes = given([0, 2, 1])
    y = (np.transpose(x, axes) * w).sum()
    axes[:] = [2, 1, 0]
    y.backward()
    np.testing.assert_array_equal(x.grad, w.transpose(0, 2, 1))


def test_half_precision_sums_do_not_overflow() -> None:
    z = tg.tensor(np.zeros((40_000, 10)), dtype=np.float16)
    loss = tg.cross_entropy(z, np.zeros(40_000, int))
    assert loss.dtype == np.float16
    assert loss.item() == pytest.approx(np.log(10), rel=1e-3)
    assert tg.tensor(np.ones(70_000), dtype=np.float16).mean().item() == 1.0


def test_a_sum_of_mixed_precision_is_what_numpy_makes_of_it() -> None:
    narrow, wide = np.ones(2, np.float32), np.full(2, 1e-12)
    assert tg.add_n([tg.tensor(narrow), narrow, wide]).data.tolist() == [2 + 1e-12] * 2


def test_extended_precision_stays() -> None:
    x = tg.tensor(np.ones(2, np.longdouble), requires_grad=True)
    y = tg.logsumexp(tg.softmax(x) * x)
    y.backward()
    assert (y.dtype, x.grad.dtype) == (np.longdouble, np.longdouble)


def test_where_passes_a_nan_branch_on_and_the_remedy_works() -> None:
    with np.errstate(all="ignore"):
        assert np.isnan(slope(lambda x: np.where(x > 0, np.sqrt(x), 0.0), [-1.0]))
    safe = lambda x: np.where(x > 0, np.log(np.where(x > 0, x, 1.0)), 0.0)  # noqa: E731
    assert slope(safe, [-1.0, 2.0]) == [0, 0.5]


# ------------------------------------------------------------------------------------- numerics


@pytest.mark.filterwarnings("error")
def test_extreme_arguments_neither_overflow_nor_warn() -> None:
    assert tg.sigmoid(tg.tensor([-800.0, 800.0])).data.tolist() == [0, 1]
    assert np.tanh(tg.tensor([-800.0, 800.0])).data.tolist() == [-1, 1]
    assert slope(tg.sigmoid, [-800.0, 800.0]) == slope(np.tanh, [-800.0, 800.0]) == [0, 0]
    assert (-tg.softplus(-tg.tensor([-800.0]))).item() == -800  # log σ
    assert slope(lambda x: -tg.softplus(-x), [-800.0]) == [1]
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


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_logsumexp_with_an_infinity(dtype: Any) -> None:
    x = tg.tensor([[np.inf, 0, -np.inf], [-np.inf, 3, -np.inf]], dtype, True)
    y = tg.logsumexp(x, axis=1)
    assert y.data.tolist() == [np.inf, 3]
    y.backward(np.ones(2, dtype))
    assert x.grad.data.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert x.grad.dtype == dtype


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


def test_arguments_by_keyword_are_arguments() -> None:
    z, classes = tg.tensor(normal(1, 3), requires_grad=True), np.array([0])
    by_position = tg.grad(tg.cross_entropy(z, classes), z)[0].data
    L = tg.cross_entropy(z=z, classes=classes)
    classes[0] = 2  # a copy was taken
    np.testing.assert_array_equal(tg.grad(L, z)[0], by_position)
    np.testing.assert_array_equal(tg.softmax(x=z).data, tg.softmax(z).data)
    assert tg.embedding(table=z, ids=[0]).shape == (1, 3)
    assert tg.logsumexp(z, axis=[0, 1]).shape == ()


def test_small_integers_index_large_tables() -> None:
    E = tg.tensor(np.zeros((300, 2)), requires_grad=True)
    ids = np.array([255, 255, 3], np.uint8)
    for rows in (tg.embedding(E, ids), E[ids]):
        E.zero_grad()
        rows.sum().backward()
        assert E.grad.data[[255, 3, 0], 0].tolist() == [2, 1, 0]


def test_einsum_says_which_letter_does_not_fit_and_takes_numbers() -> None:
    x = tg.tensor(normal(3, 4), requires_grad=True)
    with pytest.raises(ValueError, match="j in 'ij,ij->ij' has the lengths 4, 1"):
        np.einsum("ij,ij->ij", x, x[:, :1])
    np.einsum(",ij->ij", 2.0, x).sum().backward()
    assert (x.grad.data == 2).all()


def test_indices_that_broadcast_are_taken_along_an_axis() -> None:
    a = np.arange(12.0).reshape(3, 4)
    for indices, axis in (([[1]], 1), ([[2, 1, 0, 0]], 0), ([[1], [2], [0]], 1)):
        found = np.take_along_axis(tg.tensor(a), np.array(indices), axis).data
        np.testing.assert_array_equal(found, np.take_along_axis(a, np.array(indices), axis))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_ignored_classes_take_no_part_though_their_logits_be_nan(reduction: str) -> None:
    z = np.random.default_rng(0).standard_normal((4, 3))
    z[[1, 3]] = [np.nan, np.inf, -np.inf]
    classes, kept = np.array([2, -1, 0, -1]), [0, 2]
    x, y = tg.tensor(z, requires_grad=True), tg.tensor(z[kept], requires_grad=True)
    loss = tg.cross_entropy(x, classes, reduction, ignore_index=-1)
    alone = tg.cross_entropy(y, classes[kept], reduction)
    if reduction == "none":
        np.testing.assert_array_equal(loss.data[[1, 3]], 0)
        loss, alone = loss.sum(), alone.sum()
    assert loss.item() == pytest.approx(alone.item(), rel=1e-15)
    (g,) = tg.grad(loss, [x], create_graph=True)
    (h,) = tg.grad((g * g).sum(), [x])
    (g_alone,) = tg.grad(alone, [y], create_graph=True)
    (h_alone,) = tg.grad((g_alone * g_alone).sum(), [y])
    for found, expected in ((g, g_alone), (h, h_alone)):
        assert not found.data[[1, 3]].any()
        np.testing.assert_allclose(found.data[kept], expected.data, rtol=1e-14)
    half = tg.cross_entropy(z.astype(np.float16), classes, reduction, -1)
    assert np.isfinite(half).all()
    assert half.dtype == np.float16
