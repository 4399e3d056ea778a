"""Modules, layers, the cell and the loop over time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.engine.record import history


class Tagger(tg.nn.Module):
    def __init__(self, rng: np.random.Generator) -> None:
        self.embed = tg.nn.Embedding(5, 3, rng=rng)
        self.layers = [tg.nn.Linear(3, 3, rng=rng), tg.nn.Linear(3, 2, bias=False, rng=rng)]

    def forward(self, ids: Any) -> Any:
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x)
        return x


def test_parameters_have_dotted_names_in_order_and_each_appears_once() -> None:
    model = Tagger(np.random.default_rng(0))
    names = [name for name, _ in model.named_parameters()]
    assert names == ["embed.E", "layers.0.U", "layers.0.b", "layers.1.U"]
    assert model.layers[0].U.name == "U"
    model.tied = model.layers[0]
    assert [name for name, _ in model.named_parameters()] == names
    assert [name for name, _ in model.named_modules()] == ["", "embed", "layers.0", "layers.1"]
    tied = model.tied(np.ones((1, 3), np.float32))
    assert tied.scope == ("layers.0",), "the first name stays"


def test_calls_are_scoped_by_the_names_of_the_attributes() -> None:
    y = Tagger(np.random.default_rng(0))(np.array([1, 2]))
    scopes = [node.scope for node in history(y) if node.primitive]
    assert scopes == [
        ("Tagger", "embed"), ("Tagger", "layers.0"), ("Tagger", "layers.0"), ("Tagger", "layers.1")
    ]  # fmt: skip


def test_the_same_generator_gives_the_same_weights() -> None:
    a, b = (Tagger(np.random.default_rng(3)).parameters() for _ in range(2))
    for p, q in zip(a, b, strict=True):
        np.testing.assert_array_equal(p.data, q.data)
        assert p.dtype == np.float32


def test_zero_grad_and_repr() -> None:
    model = Tagger(np.random.default_rng(0))
    model(np.array([1])).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())
    assert repr(model).splitlines()[:2] == ["Tagger, 33 parameters", "  embed.E: 5×3"]
    with pytest.raises(NotImplementedError, match="forward"):
        tg.nn.Module()()


def test_linear_and_embedding() -> None:
    rng = np.random.default_rng(0)
    linear, embed = tg.nn.Linear(3, 2, rng=rng), tg.nn.Embedding(4, 3, rng=rng)
    ids = np.array([[0, 3], [3, 3]])
    y = linear(embed(ids))
    np.testing.assert_allclose(y.data, embed.E.data[ids] @ linear.U.data + linear.b.data, rtol=1e-6)
    with pytest.raises(IndexError, match="id 4"):
        embed([4])


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_unroll_is_the_loop_written_out(nonlinearity: str) -> None:
    rng = np.random.default_rng(0)
    cell = tg.nn.RNNCell(3, 4, nonlinearity, dtype=np.float64, rng=rng)
    xs = rng.standard_normal((5, 2, 3))
    outputs, last = tg.nn.unroll(cell, xs)
    h = np.zeros((2, 4))
    for t, x in enumerate(xs):
        a = x @ cell.V.data + h @ cell.W.data + cell.b_h.data
        h = np.tanh(a) if nonlinearity == "tanh" else np.maximum(a, 0)
        np.testing.assert_allclose(outputs.data[t], h, rtol=1e-12)
    np.testing.assert_array_equal(last.data, outputs.data[-1])


def test_unroll_carries_a_state_and_chunks_equal_the_whole_in_value() -> None:
    rng = np.random.default_rng(0)
    cell = tg.nn.RNNCell(3, 4, rng=rng)
    xs = rng.standard_normal((6, 2, 3)).astype(np.float32)
    whole, _ = tg.nn.unroll(cell, xs)
    first, state = tg.nn.unroll(cell, xs[:3])
    second, _ = tg.nn.unroll(cell, xs[3:], state.detach())
    np.testing.assert_array_equal(whole.data, np.concatenate([first.data, second.data]))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_network_stays_in_its_precision(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    embed, cell = tg.nn.Embedding(4, 3, dtype=dtype, rng=rng), tg.nn.RNNCell(3, 5, dtype=dtype)
    out = tg.nn.Linear(5, 4, dtype=dtype, rng=rng)
    ids = np.array([[0, 3], [1, 1], [2, 0]])
    outputs, last = tg.nn.unroll(cell, embed(ids))
    loss = 0.5 * tg.cross_entropy(out(outputs), ids) + 1e-3 * (cell.W**2).mean()
    assert {outputs.dtype, last.dtype, loss.dtype} == {np.dtype(dtype)}
    loss.backward()
    for module in (embed, cell, out):
        assert {p.grad.dtype for p in module.parameters()} == {np.dtype(dtype)}


def test_a_batch_without_rows_has_outputs_without_rows_and_gradients_of_0() -> None:
    cell, out = tg.nn.RNNCell(3, 5), tg.nn.Linear(5, 4)
    outputs, last = tg.nn.unroll(cell, np.zeros((3, 0, 3), np.float32))
    assert (outputs.shape, last.shape) == ((3, 0, 5), (0, 5))
    tg.cross_entropy(out(outputs), np.zeros((3, 0), int), "sum").backward()
    for p in (*cell.parameters(), *out.parameters()):
        np.testing.assert_array_equal(p.grad, np.zeros(p.shape))


def test_a_cell_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="nonlinearity='sine'"):
        tg.nn.RNNCell(2, 2, "sine")
    with pytest.raises(ValueError, match="empty"):
        tg.nn.unroll(tg.nn.RNNCell(2, 2), np.zeros((0, 1, 2)))


# ------------------------------------------------------------------------------------- the module


def test_state_dict_is_a_copy_and_comes_back_in_place() -> None:
    model, other = (Tagger(np.random.default_rng(seed)) for seed in (0, 1))
    held = other.layers[0].U
    state = model.state_dict()
    assert list(state) == [name for name, _ in model.named_parameters()]
    other.load_state_dict(state)
    assert other.layers[0].U is held
    for name, parameter in other.named_parameters():
        np.testing.assert_array_equal(parameter.data, state[name])
    state["embed.E"][:] = 9
    assert not (other.embed.E.data == 9).any()
    assert not (model.embed.E.data == 9).any()


def test_a_state_dict_that_does_not_fit_changes_nothing_and_names_all_that_is_wrong() -> None:
    model = Tagger(np.random.default_rng(0))
    before = model.state_dict()
    state = {name: array + 1 for name, array in before.items()}
    state["old.U"] = state.pop("layers.0.U")
    state["layers.1.U"] = np.ones((3, 3), np.float32)
    state["layers.0.b"] = np.ones(3)
    state["extra"] = np.ones(7)
    with pytest.raises(ValueError, match=r"^Tagger: the state dict does not fit") as error:
        model.load_state_dict(state)
    for part in (
        r"'layers.0.U' (3, 3) is missing; renamed to 'old.U'?",
        r"'layers.1.U' has shape (3, 3), not (3, 2)",
        r"'layers.0.b' is float64, not float32; call astype('float64') first",
        r"'extra' (7,) is not in the module",
    ):
        assert part in str(error.value)
    with pytest.raises(ValueError, match=r"'embed.E' is object, not float32$"):
        model.load_state_dict({**before, "embed.E": np.full((5, 3), None)})
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_loading_keeps_the_layout_in_memory() -> None:
    """The last bits of a product depend on it, and so does whether training goes on bit by bit."""
    linear = tg.nn.Linear(3, 2)
    module = tg.nn.Module()
    module.F = tg.Parameter(np.asfortranarray(np.ones((3, 2))))
    linear.load_torch_state_dict(linear.torch_state_dict())
    module.load_state_dict(module.state_dict())
    assert linear.U.data.flags.c_contiguous
    assert module.F.data.flags.f_contiguous


def test_a_recording_keeps_the_values_that_it_was_made_with() -> None:
    linear = tg.nn.Linear(2, 1, bias=False, dtype=np.float64)
    x = tg.tensor(np.ones((1, 2)), requires_grad=True)
    before = linear.U.numpy()
    y = linear(x).sum()
    linear.load_state_dict({"U": before + 1})
    y.backward()
    np.testing.assert_array_equal(x.grad.data, before.T)


def test_train_and_eval_reach_every_module() -> None:
    model = Tagger(np.random.default_rng(0))
    assert model.training
    assert model.eval() is model
    assert not any(module.training for _, module in model.named_modules())
    assert model.train() is model
    assert model.layers[1].training


def test_astype_turns_all_parameters_in_place() -> None:
    model = Tagger(np.random.default_rng(0))
    ids, parameters = np.array([1, 2]), model.parameters()
    single = model(ids)
    single.sum().backward()
    assert model.astype(np.float64) is model
    assert model.parameters() == parameters
    assert all(p.dtype == np.float64 and p.grad is None for p in parameters)
    double = model(ids)
    assert double.dtype == np.float64
    np.testing.assert_allclose(double.data, single.data, rtol=1e-5)
    double.sum().backward()
    parameters[0].data[0] = 1.0  # and it can be written to
    assert parameters[0].grad.dtype == np.float64
    with pytest.raises(TypeError, match="astype: int64"):
        model.astype(int)


def test_repr_shows_modules_without_parameters_and_counts_what_is_shared_once() -> None:
    model = Tagger(np.random.default_rng(0))
    model.drop = tg.nn.Dropout(0.25, over_time=True)
    model.tied = model.layers[1].U
    assert repr(model) == "\n".join([
        "Tagger, 33 parameters", "  tied: 3×2", "  embed.E: 5×3", "  layers.0.U: 3×3",
        "  layers.0.b: 3", "  layers.1.U: 3×2", "  drop: Dropout(p=0.25, over_time=True)",
    ])  # fmt: skip


# ------------------------------------------------------------------------------------- the layers


def test_padding_has_a_vector_of_zeros_and_no_gradient() -> None:
    embed = tg.nn.Embedding(4, 3, padding_idx=1, rng=np.random.default_rng(0))
    assert not embed.E.data[1].any()
    embed.E.data[1] = np.nan  # whatever stands there
    ids = np.array([[0, 1], [1, 3]])
    x = embed(ids)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x.data[0, 0], embed.E.data[0])
    assert not x.data[0, 1].any()
    x.sum().backward()
    np.testing.assert_array_equal(embed.E.grad.data, np.array([[1], [0], [0], [1]]) * np.ones(3))
    with pytest.raises(ValueError, match="padding_idx=4 is not in 0 … 3"):
        tg.nn.Embedding(4, 3, padding_idx=4)


def test_dropout_keeps_the_mean_and_does_nothing_in_use() -> None:
    drop = tg.nn.Dropout(0.25, rng=np.random.default_rng(0))
    x = tg.tensor(np.ones((200, 50), np.float32), requires_grad=True)
    y = drop(x)
    assert y.dtype == np.float32
    assert set(np.unique(y.data)) == {np.float32(0), np.float32(4 / 3)}
    assert abs((y.data == 0).mean() - 0.25) < 0.02
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.data, y.data)
    assert drop.eval()(x) is x
    assert tg.nn.Dropout(0.0)(x) is x
    with pytest.raises(ValueError, match="p=1"):
        tg.nn.Dropout(1)


def test_dropout_over_time_drops_the_same_at_all_steps() -> None:
    x = np.ones((7, 4, 5))
    masks = tg.nn.Dropout(0.5, over_time=True, rng=np.random.default_rng(0))(x)
    assert (masks == masks[0]).all()
    assert 0 < (masks == 0).mean() < 1
    each = tg.nn.Dropout(0.5, rng=np.random.default_rng(0))(x)
    assert not (each == each[0]).all()


def test_layer_norm_is_its_equation() -> None:
    rng = np.random.default_rng(0)
    norm = tg.nn.LayerNorm(5, dtype=np.float64)
    norm.g.data, norm.b.data = rng.standard_normal(5), rng.standard_normal(5)
    x = rng.standard_normal((3, 2, 5))
    z = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(norm(x).data, norm.g.data * z + norm.b.data, rtol=1e-12)
    tg.check_gradients(norm, tg.tensor(x, requires_grad=True))
    constant = tg.tensor(np.ones((1, 5)), requires_grad=True)
    norm(constant).sum().backward()
    assert np.isfinite(constant.grad.data).all()
    assert tg.nn.LayerNorm(2)(np.ones((1, 2), np.float32)).dtype == np.float32
    with pytest.raises(ValueError, match=r"x \(3, 1\) wants a last axis of length 5"):
        norm(np.ones((3, 1)))  # which would broadcast


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tg.nn.Linear(0, 2), "Linear: in_features=0"),
        (lambda: tg.nn.Embedding(3, 0), "Embedding: embedding_dim=0"),
        (lambda: tg.nn.LayerNorm(0), "LayerNorm: size=0"),
    ],
)
def test_sizes_are_positive(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# ----------------------------------------------------------------------- what parameters start from


def test_initialisers() -> None:
    rng = np.random.default_rng(0)
    init = tg.nn.init
    for shape in ((4, 7), (7, 4), (5, 5)):
        Q = init.orthogonal(shape, np.float64, rng)
        assert Q.shape == shape
        product = Q @ Q.T if shape[0] < shape[1] else Q.T @ Q
        np.testing.assert_allclose(product, np.eye(min(shape)), atol=1e-12)
    bound = np.sqrt(6 / 500)
    X = init.xavier((200, 300), rng=rng)
    assert X.dtype == np.float32
    assert 0.99 * bound < np.abs(X).max() <= bound
    np.testing.assert_array_equal(init.identity((2, 2), 0.5), [[0.5, 0], [0, 0.5]])
    assert init.identity((2, 2)).dtype == np.float32
    for make in (init.xavier, init.orthogonal):
        a, b = (make((3, 3), rng=np.random.default_rng(5)) for _ in range(2))
        np.testing.assert_array_equal(a, b)


def test_orthogonal_matrices_are_drawn_evenly() -> None:
    """Their determinant is 1 as often as −1, and no element has a sign of its own."""
    rng = np.random.default_rng(0)
    drawn = np.array([tg.nn.init.orthogonal((2, 2), np.float64, rng) for _ in range(400)])
    assert 160 < (np.linalg.det(drawn) > 0).sum() < 240
    assert ((drawn > 0).sum(axis=0) > 160).all()
    assert ((drawn > 0).sum(axis=0) < 240).all()


def test_an_irnn_keeps_its_state_until_something_comes_in() -> None:
    cell = tg.nn.RNNCell(1, 3, "relu", dtype=np.float64)
    cell.W.data = tg.nn.init.identity((3, 3), dtype=np.float64)
    cell.b_h.data = np.zeros(3)
    start = np.array([[1.0, 0.0, 2.0]])
    _, h = tg.nn.unroll(cell, np.zeros((50, 1, 1)), start)
    np.testing.assert_array_equal(h.data, start)
