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
