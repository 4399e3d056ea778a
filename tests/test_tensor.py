"""The face of a NumPy array: values, dtypes, conversions, NumPy's own functions, error messages."""

from __future__ import annotations

import copy
import pickle
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_rnn as tg


def parameter(*shape: int, dtype: Any = np.float64) -> tg.Tensor:
    return tg.tensor(np.ones(shape), dtype=dtype, requires_grad=True)


def test_the_callers_array_is_copied() -> None:
    array = np.ones(3)
    x = tg.tensor(array)
    array[:] = 5.0
    np.testing.assert_array_equal(x, np.ones(3))


def test_a_constant_operand_changed_later_changes_no_gradient() -> None:
    x, buffer = parameter(2), np.array([3.0, 4.0])
    y = (x * buffer).sum()
    (g,) = tg.grad((x**2 * buffer).sum(), x, create_graph=True)
    z = (x**2 * buffer).sum()
    buffer[:] = 0.0
    y.backward()
    np.testing.assert_array_equal(x.grad, [3.0, 4.0])
    for first in (g, *tg.grad(z, x, create_graph=True)):
        np.testing.assert_array_equal(tg.grad(first.sum(), x)[0], [6.0, 8.0])


@pytest.mark.parametrize("data", [1j, "text", None, [[1.0], [1.0, 2.0]], [object()], [1, "a"]])
def test_what_is_no_array_of_real_numbers_is_refused(data: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="tensor: "):
        tg.tensor(data)
    x = parameter(2)
    with pytest.raises((TypeError, ValueError)):
        x * data


@pytest.mark.parametrize("data", [[1, 2], [True]])
def test_integers_have_no_derivative(data: Any) -> None:
    with pytest.raises(TypeError, match="floating-point"):
        tg.tensor(data, requires_grad=True)
    with pytest.raises(TypeError, match="floating-point"):
        tg.Parameter(data)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_python_numbers_never_promote(dtype: Any) -> None:
    x = parameter(2, 3, dtype=dtype)
    y = tg.log_softmax(np.tanh(2 * x + 0.5) / 3 - 1, axis=1) ** 2
    loss = tg.cross_entropy(y, np.array([0, 2])) + y.mean() + tg.sigmoid(y).sum() * 0.1
    assert loss.dtype == dtype
    loss.backward()
    assert x.grad.dtype == dtype


def test_arrays_and_tensors_mix_in_either_order() -> None:
    x, a = parameter(3), np.arange(3.0)
    for y in (a + x, x + a, np.add(a, x), np.float64(2) * x, sum([x, x]), a @ x, [1, 2, 3] * x):
        assert isinstance(y, tg.Tensor)
        assert y.requires_grad


def test_zero_is_not_recorded_by_sum() -> None:
    x = parameter(2)
    assert sum([x]) is x


def test_comparisons_are_elementwise_and_record_nothing() -> None:
    x = parameter(3)
    for y in (x == 1, x != 1, x < 2, x <= 1, x > 0, x >= 1, np.equal(x, 1)):
        assert y.dtype == bool
        assert not y.requires_grad
    assert (x == "text") is False
    assert len({x, x, parameter(3)}) == 2


def test_conversions_of_one_element_and_of_many() -> None:
    one, many = tg.tensor([2.0]), tg.tensor([1.0, 2.0])
    assert (float(one), int(one), bool(one), one.item()) == (2.0, 2, True, 2.0)
    for convert in (float, int, bool, tg.Tensor.item):
        with pytest.raises(ValueError, match="2 elements"):
            convert(many)
    assert [10, 20, 30][tg.tensor(1)] == 20


def test_len_and_iter() -> None:
    assert len(tg.tensor([[1.0], [2.0]])) == 2
    assert [row.item() for row in tg.tensor([1.0, 2.0])] == [1.0, 2.0]
    for f in (len, iter):
        with pytest.raises(TypeError, match="without axes"):
            f(tg.tensor(1.0))


def test_an_array_made_of_a_recorded_tensor_would_lose_its_gradient() -> None:
    x = parameter(2)
    with pytest.raises(TypeError, match=r"lose its gradient.*numpy\(\)"):
        np.asarray(x)
    assert isinstance(np.asarray(x.detach()), np.ndarray)
    copied = x.numpy()
    copied[:] = 9.0
    assert x.data[0] == 1.0


def test_data_is_replaced_by_its_like_only() -> None:
    x = tg.tensor([1.0, 1.0], requires_grad=True)
    array = np.array([5.0, 6.0])
    x.data = array
    array[:] = 0.0
    assert x.data[1] == 6.0
    with pytest.raises(ValueError, match=r"'x' is float64 of shape \(2,\).*float32 of shape"):
        x.data = np.ones(3, np.float32)


def test_what_a_recording_holds_is_read_only_until_it_is_released_or_dropped() -> None:
    W = tg.Parameter([1.0, 2.0])
    x = tg.tensor([3.0, 4.0])
    W.data[0] = 5.0
    for _ in tg.steps("a"):
        h = W * x
    y = np.tanh(h)

    def add(array: Any) -> None:
        array += 1.0

    writes: list[Any] = [
        lambda a: a.__setitem__(0, 9.0), lambda a: a[:1].__setitem__(0, 9.0), add,
        lambda a: np.add(a, 1, out=a), lambda a: np.add.at(a, [0], 1.0),
    ]  # fmt: skip
    for write in writes:
        for held, name in ((W, "W"), (x, "x")):
            message = rf"'{name}' can't be written to: multiply of time step 1 holds its value"
            with pytest.raises(ValueError, match=message):
                write(held.data)
        with pytest.raises(ValueError, match=r"'h' .* computed, by multiply of time step 1"):
            write(h.data)
    with pytest.raises(ValueError, match="read-only"):
        np.copyto(W.data, 0.0)
    y.backward(np.ones(2))
    for free in (W, x):
        free.data[0] = 9.0
    y = W * x
    del y
    W.data -= 1.0
    assert W.data.tolist() == [8.0, 1.0]


def test_a_value_that_was_looked_at_while_it_was_held_is_free_again_afterwards() -> None:
    w = tg.Parameter([1.0, 2.0])
    y = (w * w).sum()
    kept = w.data
    y.backward()
    w.data[0] = 5.0
    np.copyto(w.data[1:], 6.0)
    assert w.data.tolist() == kept.tolist() == [5.0, 6.0]
    with pytest.raises(
        ValueError, match=r"'w' can't .* taken while a recording held .* x\.data again"
    ):
        kept[0] = 7.0


def test_a_view_that_is_kept_does_not_look_like_a_recording() -> None:
    x = tg.tensor([1.0, 2.0])
    for fresh in (
        x, x.astype(int), x.detach(), x * 2.0, tg.jvp(np.tanh, [x], [x])[1],
        tg.hvp(lambda x: (x * 2.0).sum(), x, x),
    ):  # fmt: skip
        kept = fresh.data
        fresh.data[0] = 7
        assert kept[0] == 7


def test_a_recording_keeps_the_value_that_was_replaced() -> None:
    w = tg.Parameter(3.0)
    y = w * w
    w.data = np.array(100.0)
    y.backward()
    assert (w.item(), w.grad.item()) == (100.0, 6.0)
    y = w * w
    with pytest.raises(ValueError, match=r"'y' was computed; detach\(\)"):
        y.data = np.array(1.0)


def test_a_parameter_is_not_replaced_by_mistake() -> None:
    W = tg.Parameter([1.0])
    with pytest.raises(TypeError, match=r"p\.data \+= array"):
        W -= 0.1
    with pytest.raises(
        TypeError, match=r"write the tensor's value, as in p\.data -= lr \* p\.grad\.data"
    ):
        W.data -= tg.tensor([1.0])
    total = tg.tensor([1.0])
    total += 1.0
    assert total.item() == 2.0


def test_rows_and_detached_tensors_do_not_open_a_back_door() -> None:
    x, w = tg.tensor(np.ones((2, 2))), tg.Parameter([1.0, 2.0])
    row = x[0]
    loss = (w * row).sum()
    x.data[:] = 7.0
    h = w * 2.0
    d, y = h.detach(), (h * h).sum()
    d.data[:] = 7.0
    loss.backward()
    assert w.grad.data.tolist() == [1.0, 1.0]
    y.backward()
    assert w.grad.data.tolist() == [9.0, 17.0]
    turned = x.T
    held = (w * x[0]).sum()
    with pytest.raises(ValueError, match="read-only"):
        np.copyto((w * 1.0).reshape(2, 1).data, 5.0)
    np.copyto(turned.data, 5.0)
    held.backward()
    assert w.grad.data.tolist() == [16.0, 24.0]


def test_what_is_computed_from_read_only_values_is_plain_and_free() -> None:
    w = tg.Parameter([[1.0, 2.0], [3.0, 4.0]])
    y = np.tanh(w)
    held = w.data
    assert repr(held) == repr(np.array(held))
    for made in (held + 1, held @ held, np.exp(held), np.stack([held]), np.add.reduce(held)):
        assert type(made) is np.ndarray
    copied = held.copy()
    copied[0] = 5.0
    held[0].copy()[:] = 5.0
    assert w.data[0, 0] == 1.0
    del y


def test_reading_a_value_keeps_no_recording_alive() -> None:
    y = np.tanh(tg.Parameter([1.0]))
    value, watch = y.data, weakref.ref(y)
    del y
    assert watch() is None
    with pytest.raises(ValueError, match="this tensor can't be written to"):
        value[0] = 2.0


def test_copying_and_pickling_leaves_but_not_histories() -> None:
    x = tg.Parameter([1.0, 2.0], name="W")
    for y in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert type(y) is tg.Parameter
        assert (y.name, y.requires_grad) == ("W", True)
        np.testing.assert_array_equal(y.data, x.data)
        assert y.data is not x.data
    for f in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="detach"):
            f(x * 2)


def test_repr_says_value_dtype_and_origin() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    assert repr(x) == "tensor([1., 2.], dtype=float64, name='x', requires_grad=True)"
    assert repr(np.tanh(x)).endswith("dtype=float64, made by tanh)")
    for _ in tg.steps("a"):
        h = np.tanh(x)
    assert repr(h).endswith("dtype=float64, name='h', made by tanh at step 1)")


def test_shape_errors_name_the_primitive_the_tensors_and_the_shapes() -> None:
    W = tg.Parameter(np.ones((3, 4)))
    x = tg.tensor(np.ones((2, 5)))
    with pytest.raises(ValueError, match=r"matmul\(x: float64 of shape \(2, 5\), W: .*\(3, 4\)\)"):
        x @ W
    with pytest.raises(ValueError, match=r"add\(x: .*broadcast"):
        x + W
    with pytest.raises(ValueError, match=r"sum.*axis 7"):
        W.sum(axis=7)


def test_functions_and_arguments_without_a_rule_are_refused_by_name() -> None:
    x = parameter(3)
    with pytest.raises(TypeError, match=r"np\.median is not a primitive.*numpy\(\)"):
        np.median(x)
    with pytest.raises(TypeError, match=r"np\.arctan is not a primitive"):
        np.arctan(x)
    with pytest.raises(TypeError, match=r"np\.sum of tensors does not take dtype="):
        np.sum(x, dtype=np.float32)
    with pytest.raises(TypeError, match=r"np\.add: an array does not take a tensor in place"):
        np.add(x, 1, out=np.ones(3))
    with pytest.raises(TypeError, match=r"np\.add\.reduce"):
        np.add.reduce(x)


def test_backward_says_what_is_missing() -> None:
    x = tg.tensor(np.ones(3), requires_grad=True)
    with pytest.raises(ValueError, match=r"'x' has shape \(3,\), not one element.*gradient="):
        x.backward()
    with pytest.raises(ValueError, match=r"gradient has shape \(2,\), .* has \(3,\)"):
        (x * 2).backward(np.ones(2))
    with pytest.raises(TypeError, match="gradient is complex128; it should be real"):
        (x * 2).backward(1j * np.ones(3))
    with pytest.raises(RuntimeError, match="nothing to differentiate"):
        tg.tensor(1.0).backward()


@pytest.mark.parametrize(
    ("index", "error"),
    [(5, IndexError), (np.array([9]), IndexError), (1.0, TypeError), ([0.5], TypeError),
     ("a", TypeError), ((0, 0, 0), IndexError), (np.array([1.0]), TypeError)],
)  # fmt: skip
def test_bad_indices(index: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        parameter(3, 4)[index]


shapes = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=3)


@settings(max_examples=150, deadline=None)
@given(shapes, st.sampled_from(["add", "subtract", "multiply", "divide", "maximum"]))
def test_gradients_are_summed_over_broadcast_axes(found: Any, name: str) -> None:
    """Against NumPy on operands that are broadcast beforehand, so that nothing is left to sum."""
    function = getattr(np, name)
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(1, 2, shape) for shape in found.input_shapes]
    seed = rng.standard_normal(found.result_shape)
    a, b = (tg.tensor(array, requires_grad=True) for array in arrays)
    function(a, b).backward(seed)
    for slot, x in enumerate((a, b)):
        wide = [
            tg.tensor(np.broadcast_to(array, found.result_shape), requires_grad=True)
            for array in arrays
        ]
        function(*wide).backward(seed)
        extra = len(found.result_shape) - x.ndim
        axes = tuple(range(extra)) + tuple(
            extra + i for i, n in enumerate(x.shape) if n == 1 != found.result_shape[extra + i]
        )
        expected = wide[slot].grad.data.sum(axis=axes).reshape(x.shape)
        np.testing.assert_allclose(x.grad, expected, rtol=1e-12, atol=1e-12)


basic = hnp.array_shapes(min_dims=1, max_dims=3, max_side=4).flatmap(
    lambda shape: st.tuples(
        st.just(shape),
        st.one_of(
            hnp.basic_indices(shape, allow_newaxis=True),
            hnp.integer_array_indices(shape),
            hnp.arrays(bool, shape),
        ),
    )
)


@settings(max_examples=200, deadline=None)
@given(basic)
def test_indexing_as_numpy_and_repeated_indices_accumulate(case: Any) -> None:
    shape, index = case
    array = np.arange(float(np.prod(shape))).reshape(shape)
    x = tg.tensor(array, requires_grad=True)
    y = x[index]
    np.testing.assert_array_equal(y.data, array[index])
    seed = np.random.default_rng(0).standard_normal(y.shape)
    y.backward(seed)
    expected = np.zeros(shape)
    np.add.at(expected, index, seed)
    np.testing.assert_allclose(x.grad, expected, rtol=1e-12, atol=1e-12)


def test_views_of_a_parameter_do_not_follow_it_when_their_recording_is_gone() -> None:
    W = tg.Parameter(np.eye(2))
    WT = W.T
    (np.ones((1, 2)) @ WT).sum().backward()
    h = tg.tensor(np.ones((1, 2)), requires_grad=True)
    y = (h @ WT.detach()).sum() + (h @ WT).sum()
    W.data[...] = 0.0
    assert WT.data.tolist() == [[1, 0], [0, 1]]
    (g,) = tg.grad(y, h)
    assert g.data.tolist() == [[2, 2]]


def test_an_array_that_was_taken_under_the_tape_says_so() -> None:
    w = tg.Parameter([1.0], name="w")
    y = w * w
    taken = w.data
    y.backward()
    with pytest.raises(ValueError, match=r"taken while a recording held the value.*x\.data again"):
        taken[0] = 2.0
    w.data[0] = 2.0


def test_an_array_taken_before_the_recording_changes_no_gradient() -> None:
    w = tg.Parameter([3.0])
    taken = w.data
    y = (w * w).sum()
    taken[:] = 100.0
    (g,) = tg.grad(y, w, retain_graph=True)
    assert (g.item(), w.item()) == (6.0, 100.0)
    with pytest.raises(RuntimeError, match="w was given another value"):
        tg.grad(y, w, create_graph=True)
    del taken, y
    y = (w * w).sum()
    with pytest.raises(ValueError, match="multiply holds its value"):
        w.data[0] = 1.0
    assert tg.grad(y, w, create_graph=True)[0].item() == 200.0


def test_a_view_that_is_not_recorded_opens_no_back_door_to_what_is() -> None:
    w = tg.Parameter(np.ones((2, 2)))
    h = w * 2.0
    y = (h * h).sum()
    with tg.no_grad():
        row, turned = h[0], h.T
    row.data[...] = 7.0
    turned.data[...] = 7.0
    y.backward()
    assert (w.grad.data == 8.0).all()


def test_what_is_no_operand_is_named_and_the_commonest_slip_is_explained() -> None:
    W = parameter(3, 3)
    x = next(tg.steps(np.ones((2, 1, 3))))  # and not t, x
    with pytest.raises(TypeError, match=r"matmul: \(1, .* steps yields \(t, x\): write `for t, x"):
        x @ W
    with pytest.raises(TypeError, match=r"add: 'text' is not a number, an array or a tensor$"):
        W + "text"


def test_a_tensor_is_not_written_to_by_index() -> None:
    W = tg.Parameter([1.0], name="W")
    with pytest.raises(TypeError, match=r"'W' is not written to by index; write x\.data"):
        W[0] = 2.0
    with pytest.raises(TypeError, match=r"sum\(\) got an unexpected keyword argument 'dim'"):
        W.sum(dim=0)


def test_what_is_no_tensor_is_refused_by_name() -> None:
    W = tg.Parameter([1.0])
    L = W.sum()
    for call in (
        lambda: tg.grad(L, "W"), lambda: tg.grad(1.0, W), lambda: tg.jacobian([L], W),
        lambda: tg.bptt.contributions(1.0, W), lambda: tg.bptt.contributions(L, "W"),
        lambda: tg.bptt.triangle([L], [W]), lambda: tg.bptt.explain(None, W),
    ):  # fmt: skip
        with pytest.raises(TypeError, match="is not a tensor"):
            call()
