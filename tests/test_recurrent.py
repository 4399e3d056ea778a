"""Cells, the loop over time and recurrent layers, against their equations in plain NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.engine.record import history

LAYERS = {"RNN": tg.nn.RNN, "LSTM": tg.nn.LSTM, "GRU": tg.nn.GRU}
CELLS = {"RNN": tg.nn.RNNCell, "LSTM": tg.nn.LSTMCell, "GRU": tg.nn.GRUCell}
every_kind = pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])

# ----------------------------------------------------------------------------- the equations


def sigma(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def rnn(p: dict[str, Any], x: Any, state: Any) -> Any:
    (h,) = state
    return (np.tanh(x @ p["V"] + h @ p["W"] + p["b_h"]),)


def lstm(p: dict[str, Any], x: Any, state: Any) -> Any:
    h, c = state
    H = h.shape[1]
    i, f, g, o = (
        x @ p["V"][:, k : k + H] + h @ p["W"][:, k : k + H] + p["b_h"][k : k + H]
        for k in range(0, 4 * H, H)
    )
    c = sigma(f) * c + sigma(i) * np.tanh(g)
    return sigma(o) * np.tanh(c), c


def gru(p: dict[str, Any], x: Any, state: Any) -> Any:
    (h,) = state
    H = h.shape[1]
    r, z = (
        sigma(x @ p["V"][:, k : k + H] + h @ p["W"][:, k : k + H] + p["b_h"][k : k + H])
        for k in (0, H)
    )
    inner = h @ p["W"][:, 2 * H :] + p["b_n"]
    n = np.tanh(x @ p["V"][:, 2 * H :] + p["b_h"][2 * H :] + r * inner)
    return ((1 - z) * n + z * h,)


EQUATIONS: dict[str, Callable[..., Any]] = {"RNN": rnn, "LSTM": lstm, "GRU": gru}


def run(kind: str, p: dict[str, Any], xs: Any, state: Any) -> tuple[Any, Any]:
    """One sequence, one row: xs (T, D), state parts (H,), to the outputs (T, H) and the state."""
    outputs = []
    state = tuple(part[None] for part in state)
    for x in xs:
        state = EQUATIONS[kind](p, x[None], state)
        outputs.append(state[0][0])
    return np.array(outputs), tuple(part[0] for part in state)


def parts(state: Any) -> tuple[Any, ...]:
    return state if isinstance(state, tuple) else (state,)


def whole(states: tuple[Any, ...]) -> Any:
    return states if len(states) > 1 else states[0]


@every_kind
def test_a_cell_is_its_equation(kind: str) -> None:
    rng = np.random.default_rng(0)
    cell = CELLS[kind](3, 4, dtype=np.float64, rng=rng)
    x = rng.standard_normal((2, 3))
    state = tuple(rng.standard_normal((2, 4)) for _ in parts(cell.initial_state(2)))
    expected = EQUATIONS[kind](cell.state_dict(), x, state)
    for ours, theirs in zip(parts(cell(x, whole(state))), expected, strict=True):
        np.testing.assert_allclose(ours.data, theirs, rtol=1e-12, atol=1e-15)
    start = [tg.tensor(s, requires_grad=True) for s in (x, *state)]
    tg.check_gradients(lambda x, *s: parts(cell(x, whole(s)))[-1], *start)
    for parameter in cell.parameters():
        tg.check_gradients(lambda _: parts(cell(x, whole(state)))[-1], parameter, order=1)


@every_kind
def test_a_cell_starts_uniform_and_in_float32(kind: str) -> None:
    cells = [CELLS[kind](30, 25, rng=np.random.default_rng(2)) for _ in range(2)]
    for (name, p), q in zip(cells[0].named_parameters(), cells[1].parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
        assert p.dtype == np.float32, name
        assert 0.15 < np.abs(p.data).max() <= 0.2, name
    assert (cells[0].input_size, cells[0].hidden_size) == (30, 25)


def test_the_forget_gate_can_start_open() -> None:
    cell = tg.nn.LSTMCell(2, 3, forget_bias=1.0, rng=np.random.default_rng(0))
    plain = tg.nn.LSTMCell(2, 3, rng=np.random.default_rng(0))
    same = np.ones(12, bool)
    same[3:6] = False
    np.testing.assert_array_equal(cell.b_h.data[3:6], 1.0)
    np.testing.assert_array_equal(cell.b_h.data[same], plain.b_h.data[same])
    layer = tg.nn.LSTM(2, 3, num_layers=2, forget_bias=2.0)
    assert all((c.b_h.data[3:6] == 2).all() for c in layer.cells)


# ------------------------------------------------------------------------------------ the loop


LENGTHS = [3, 5, 1, 3]


def padded(rng: np.random.Generator, T: int, lengths: list[int], D: int) -> np.ndarray:
    x = rng.standard_normal((T, len(lengths), D))
    for row, length in enumerate(lengths):
        x[length:, row] = np.nan
    return x


@every_kind
@pytest.mark.parametrize("reverse", [False, True])
def test_a_padded_batch_equals_its_sequences_run_one_by_one(kind: str, reverse: bool) -> None:
    rng = np.random.default_rng(0)
    cell = CELLS[kind](3, 4, dtype=np.float64, rng=rng)
    start = tuple(rng.standard_normal((4, 4)) for _ in parts(cell.initial_state(4)))
    x = tg.tensor(padded(rng, 5, LENGTHS, 3), requires_grad=True)
    weights = rng.standard_normal((5, 4, 4))
    last_weights = rng.standard_normal((4, 4))

    def loss_of(outputs: Any, state: Any, rows: Any, steps: slice) -> Any:
        kept = outputs * weights[steps][:, rows]
        return kept.sum() + (parts(state)[-1] * last_weights[rows]).sum()

    given = tuple(tg.tensor(s, requires_grad=True) for s in start)
    outputs, state = tg.nn.unroll(cell, x, whole(given), LENGTHS, reverse)
    inside = np.arange(5)[:, None] < np.array(LENGTHS)
    loss = loss_of(np.where(inside[..., None], outputs, 0.0), state, slice(None), slice(None))
    wanted = [*cell.parameters(), x, *given]
    together = [g.data for g in tg.grad(loss, wanted)]

    total, separate = 0.0, [np.zeros(p.shape) for p in wanted]
    for row, length in enumerate(LENGTHS):
        alone = tg.tensor(x.numpy()[:length, row : row + 1], requires_grad=True)
        own = tuple(tg.tensor(s[row : row + 1], requires_grad=True) for s in start)
        order = slice(None, None, -1 if reverse else 1)
        out, last = tg.nn.unroll(cell, alone[order], whole(own))
        out = out[order]
        np.testing.assert_allclose(outputs.data[:length, row], out.data[:, 0], rtol=1e-12)
        plain, end = run(
            kind, cell.state_dict(), alone.numpy()[order, 0], [s[row] for s in start]
        )  # fmt: skip
        np.testing.assert_allclose(out.data[order, 0], plain, rtol=1e-12, atol=1e-14)
        for ours, theirs in zip(parts(state), end, strict=True):
            np.testing.assert_allclose(ours.data[row], theirs, rtol=1e-12, atol=1e-14)
        one = loss_of(out, last, slice(row, row + 1), slice(length))
        total += one.item()
        n = len(cell.parameters())
        found = tg.grad(one, [*cell.parameters(), alone, *own])
        for sum_, g in zip(separate, found[:n], strict=False):
            sum_ += g.data
        separate[n][:length, row] = found[n].data[:, 0]
        for sum_, g in zip(separate[n + 1 :], found[n + 1 :], strict=True):
            sum_[row] = g.data[0]
    assert abs(total - loss.item()) < 1e-12
    for a, b in zip(together, separate, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def test_a_row_that_has_ended_keeps_its_state() -> None:
    cell = tg.nn.RNNCell(2, 3)
    outputs, last = tg.nn.unroll(cell, np.ones((4, 2, 2), np.float32), lengths=[2, 4])
    for t in (2, 3):
        np.testing.assert_array_equal(outputs.data[t, 0], outputs.data[1, 0])
    np.testing.assert_array_equal(last.data, outputs.data[-1])
    assert outputs.dtype == np.float32
    backwards, last = tg.nn.unroll(cell, np.ones((4, 2, 2), np.float32), None, [2, 4], reverse=True)
    assert not backwards.data[2:, 0].any(), "it is still where it starts"
    np.testing.assert_array_equal(last.data, backwards.data[0])


def test_lengths_that_are_all_the_whole_change_nothing() -> None:
    cell = tg.nn.GRUCell(2, 3)
    x = np.random.default_rng(0).standard_normal((4, 2, 2)).astype(np.float32)
    for reverse in (False, True):
        a, _ = tg.nn.unroll(cell, x, reverse=reverse)
        b, _ = tg.nn.unroll(cell, x, lengths=np.array([4, 4]), reverse=reverse)
        np.testing.assert_array_equal(a.data, b.data)


def test_a_sequence_may_be_a_list() -> None:
    model = tg.nn.RNN(2, 3, dtype=np.float64)
    x = np.random.default_rng(0).standard_normal((4, 2, 2))
    rows = [tg.tensor(row, requires_grad=True) for row in x]
    whole, _ = model(x)
    for outputs, _ in (model(rows), tg.nn.unroll(model.cells[0], rows), model(x.tolist())):
        np.testing.assert_array_equal(outputs.data, whole.data)
    model(rows)[0].sum().backward()
    assert all(row.grad.data.all() for row in rows)


def test_cells_may_read_integers() -> None:
    class Reader(tg.nn.RNNCell):
        def forward(self, x: Any, state: Any) -> Any:
            return super().forward(tg.one_hot(x, 4, np.float32), state)

    ids = np.array([[1, 2], [3, 99], [0, 99]])
    cell = Reader(4, 3)
    outputs, _ = tg.nn.unroll(cell, ids, lengths=[3, 1])
    alone, _ = tg.nn.unroll(cell, ids[:1])
    np.testing.assert_array_equal(outputs.data[:1], alone.data)


@pytest.mark.parametrize(
    ("lengths", "error", "message"),
    [
        ([2, 0], ValueError, r"row 1 has length 0, which is not in 1 … 3"),
        ([4, 1], ValueError, r"row 0 has length 4, which is not in 1 … 3"),
        ([2, -1], ValueError, r"row 1 has length -1"),
        ([2], ValueError, r"2 rows want as many lengths, not an array \(1,\)"),
        ([[2], [1]], ValueError, r"not an array \(2, 1\)"),
        ([2.0, 1.0], TypeError, "integers are wanted, not float64"),
    ],
)
def test_lengths_that_cannot_be(lengths: Any, error: Any, message: str) -> None:
    x = np.ones((3, 2, 2))
    with pytest.raises(error, match=message):
        tg.nn.unroll(tg.nn.RNNCell(2, 2), x, lengths=lengths)
    with pytest.raises(error, match=message):
        tg.nn.LSTM(2, 2)(x, lengths=lengths)


# ---------------------------------------------------------------------------------- the layers


@every_kind
@pytest.mark.parametrize("bidirectional", [False, True])
def test_layers_are_cells_on_top_of_each_other(kind: str, bidirectional: bool) -> None:
    rng = np.random.default_rng(0)
    model = LAYERS[kind](3, 4, num_layers=2, bidirectional=bidirectional, dtype=float, rng=rng)
    directions = 2 if bidirectional else 1
    width = len(parts(model.cells[0].initial_state(1)))
    start = tuple(rng.standard_normal((2 * directions, 4, 4)) for _ in range(width))
    x = padded(rng, 5, LENGTHS, 3)
    outputs, state = model(x, whole(start), LENGTHS)
    assert outputs.shape == (5, 4, 4 * directions)
    for row, length in enumerate(LENGTHS):
        y = x[:length, row]
        for layer in range(2):
            both = []
            for d, cells in enumerate([model.cells, model.reverse_cells][:directions]):
                k = layer * directions + d
                order = slice(None, None, -1 if d else 1)
                begin = [s[k, row] for s in start]
                out, end = run(kind, cells[layer].state_dict(), y[order], begin)
                both.append(out[order])
                for ours, theirs in zip(parts(state), end, strict=True):
                    np.testing.assert_allclose(ours.data[k, row], theirs, rtol=1e-12, atol=1e-14)
            y = np.concatenate(both, axis=1)
        np.testing.assert_allclose(outputs.data[:length, row], y, rtol=1e-12, atol=1e-14)
        assert not outputs.data[length:, row].any()


@every_kind
def test_nan_in_the_padding_reaches_no_gradient(kind: str) -> None:
    rng = np.random.default_rng(0)
    model = LAYERS[kind](3, 4, num_layers=2, bidirectional=True, dropout=0.5, rng=rng)
    x = tg.tensor(padded(rng, 5, LENGTHS, 3).astype(np.float32), requires_grad=True)
    outputs, state = model(x, lengths=LENGTHS)
    assert outputs.dtype == np.float32
    assert all(s.dtype == np.float32 for s in parts(state))
    (outputs * outputs).sum().backward()
    for p in [x, *model.parameters()]:
        assert p.grad.dtype == np.float32
        assert np.isfinite(p.grad.data).all()
    for row, length in enumerate(LENGTHS):
        assert not x.grad.data[length:, row].any()


@every_kind
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 3, 2, 1), (4, 1, 1, 3), (3, 0, 2, 2)])
def test_smallest_sizes(kind: str, shape: tuple[int, ...]) -> None:
    T, B, D, H = shape
    model = LAYERS[kind](D, H, num_layers=2, bidirectional=True)
    for lengths in (None, np.ones(B, int)):
        outputs, _ = model(np.ones((T, B, D), np.float32), lengths=lengths)
        assert outputs.shape == (T, B, 2 * H)
        model.zero_grad()
        outputs.sum().backward()
        assert all(p.grad.shape == p.shape and p.grad.dtype == p.dtype for p in model.parameters())
        if not B:
            assert not any(p.grad.data.any() for p in model.parameters())


@every_kind
def test_layers_refuse_what_does_not_fit(kind: str) -> None:
    model = LAYERS[kind](3, 4, num_layers=2)
    x = np.ones((5, 2, 3), np.float32)
    with pytest.raises(ValueError, match="empty"):
        model(x[:0])
    with pytest.raises(ValueError, match="empty"):
        model(x[:0], lengths=[1, 1])
    with pytest.raises(ValueError, match=kind + r": x is \(T, B, 3\), not \(5, 2, 2\)"):
        model(x[..., :2])
    with pytest.raises(ValueError, match=kind + r": x is \(T, B, 3\), not \(5, 3\)"):
        model(x[:, 0])
    _, state = model(x)
    model(x, state)
    for wrong in (parts(state)[0][:, :1], parts(state)[0][0]):  # either would broadcast
        given = (wrong, wrong) if kind == "LSTM" else wrong
        with pytest.raises(ValueError, match=r"the state h is .* = \(2, 2, 4\), not"):
            model(x, given)
    if kind == "LSTM":
        with pytest.raises(ValueError, match="LSTM: the state is a tuple of 2"):
            model(x, state[0])
    with pytest.raises(ValueError, match=kind + "Cell: hidden_size=0"):
        LAYERS[kind](2, 0)
    with pytest.raises(ValueError, match=kind + ": num_layers=0"):
        LAYERS[kind](2, 2, num_layers=0)


@every_kind
def test_chunks_with_the_state_carried_over_equal_the_whole(kind: str) -> None:
    model = LAYERS[kind](3, 4, num_layers=2)
    x = np.random.default_rng(0).standard_normal((6, 2, 3)).astype(np.float32)
    outputs, end = model(x)
    first, state = model(x[:4])
    state = whole(tuple(s.detach() for s in parts(state)))
    second, last = model(x[4:], state)
    np.testing.assert_array_equal(outputs.data, np.concatenate([first.data, second.data]))
    for a, b in zip(parts(end), parts(last), strict=True):
        np.testing.assert_array_equal(a.data, b.data)


def test_dropout_between_the_layers_is_for_training_only() -> None:
    x = np.ones((3, 2, 4), np.float32)
    model = tg.nn.GRU(4, 4, num_layers=2, dropout=0.5, rng=np.random.default_rng(0))
    again = tg.nn.GRU(4, 4, num_layers=2, dropout=0.5, rng=np.random.default_rng(0))
    a, b = model(x)[0].data, model(x)[0].data
    np.testing.assert_array_equal(a, again(x)[0].data)
    assert not np.array_equal(a, b)
    model.eval()
    np.testing.assert_array_equal(model(x)[0].data, model(x)[0].data)


# --------------------------------------------------------------- what others make of the recording


@every_kind
@pytest.mark.parametrize("lengths", [None, [4, 2]])
def test_recordings_fold_are_drawn_and_itemised(kind: str, lengths: Any) -> None:
    rng = np.random.default_rng(0)
    model = LAYERS[kind](3, 2, num_layers=2, bidirectional=True, dtype=np.float64, rng=rng)
    x = tg.tensor(rng.standard_normal((4, 2, 3)), name="x")
    outputs, state = model(x, lengths=lengths)
    loss = (outputs * outputs).sum() + parts(state)[0].sum()
    steps = {node.step for node in history(loss) if node.primitive}
    assert steps == {None, 1, 2, 3, 4}
    folded = tg.fold(loss)
    assert len({node.loop for node in folded.nodes} - {None}) == 4, "a loop per cell"
    assert len(folded.unfold()) > len(folded.nodes)
    assert "digraph" in tg.draw(loss).source
    W = model.cells[0].W
    uses = tg.bptt.contributions(loss, W)
    assert [use.step for use in uses] == [1, 2, 3, 4]
    total = sum(use.grad for use in uses)
    np.testing.assert_allclose(total, tg.grad(loss, [W])[0].data, atol=1e-12)
