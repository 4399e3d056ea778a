"""The fold: the loop instead of its steps, without loss; and what is no loop."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.engine.record import Node, cut_from, history
from tinygrad_rnn.fold import FoldedGraph, Moving, Unfolded

B, D, H, K = 2, 3, 4, 3
Network = Callable[[int], tg.Tensor]


def parameter(name: str, *shape: int) -> tg.Parameter:
    return tg.Parameter(np.random.default_rng(len(name)).standard_normal(shape) / 2, name=name)


def data(T: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(T)
    return tg.tensor(rng.standard_normal((T, B, D)), name="x"), rng.integers(0, K, (T, B))


def zeros() -> tg.Tensor:
    return tg.tensor(np.zeros((B, H)), name="h")


def weights() -> tuple[tg.Parameter, ...]:
    return (parameter("V", D, H), parameter("W", H, H), parameter("U", H, K),
            parameter("b_h", H), parameter("b_y", K))  # fmt: skip


# ------------------------------------------------------------------------- networks that are loops


def simple(spelling: str) -> Network:
    """The lecture's network, with the sum of the losses spelled in one of many ways."""

    def network(T: int) -> tg.Tensor:
        (x, y), (V, W, U, b_h, b_y) = data(T), weights()
        h, losses, total, tensor, states = zeros(), [], 0, tg.tensor(0.0), []
        for _, x_t, y_t in tg.steps(x, y):
            h = np.tanh(x_t @ V + h @ W + b_h)
            if spelling == "stacked":
                states.append(h)
                continue
            L = tg.cross_entropy(h @ U + b_y, y_t)
            losses.append(L)
            if spelling == "total + L":
                total = total + L
            elif spelling == "L + total":
                total = L + total
            elif spelling == "tensor + L":
                tensor = tensor + L
        return {
            "sum": lambda: sum(losses), "add_n": lambda: tg.add_n(losses), "last": lambda: L,
            "mean": lambda: tg.stack(losses).mean(), "tensor + L": lambda: tensor,
            "stacked": lambda: tg.cross_entropy(tg.stack(states) @ U + b_y, y),
        }.get(spelling, lambda: total)()  # fmt: skip

    return network


def without_initial_state(T: int) -> tg.Tensor:
    (x, _), (V, W, _, b_h, _) = data(T), weights()
    h: Any = None
    for t, x_t in tg.steps(x):
        a = x_t @ V + b_h
        if t > 1:
            a = a + h @ W
        h = np.tanh(a)
    return h.sum()


def two_layers(T: int) -> tg.Tensor:
    (x, y), (V, W, U, _, _) = data(T), weights()
    V2, W2 = parameter("V2", H, H), parameter("W2", H, H)
    h, h2, losses = zeros(), zeros(), []
    for _, x_t, y_t in tg.steps(x, y):
        h = np.tanh(x_t @ V + h @ W)
        h2 = np.tanh(h @ V2 + h2 @ W2)
        losses.append(tg.cross_entropy(h2 @ U, y_t))
    return sum(losses)


def layer_after_layer(T: int) -> tg.Tensor:
    (x, y), (V, W, U, _, _) = data(T), weights()
    V2, W2 = parameter("V2", H, H), parameter("W2", H, H)
    outputs, _ = tg.nn.unroll(lambda x, h: np.tanh(x @ V + h @ W), x, zeros())
    outputs, _ = tg.nn.unroll(lambda x, h: np.tanh(x @ V2 + h @ W2), outputs, zeros())
    return tg.cross_entropy(outputs @ U, y)


def bidirectional(T: int) -> tg.Tensor:
    (x, y), (V, W, U, _, _) = data(T), weights()
    V2, W2, U2 = parameter("V2", D, H), parameter("W2", H, H), parameter("U2", H, K)
    there, back, losses = [], [], []
    h = zeros()
    for _, x_t in tg.steps(x):
        h = np.tanh(x_t @ V + h @ W)
        there.append(h)
    h = zeros()
    for _, x_t in tg.steps(x[::-1]):
        h = np.tanh(x_t @ V2 + h @ W2)
        back.append(h)
    for _, a, b, y_t in tg.steps(there, back[::-1], y):
        losses.append(tg.cross_entropy(a @ U + b @ U2, y_t))
    return tg.add_n(losses)


def encoder_decoder(T: int) -> tg.Tensor:
    (x, y), (V, W, U, _, _) = data(T), weights()
    W2, h = parameter("W2", H, H), zeros()
    for _, x_t in tg.steps(x):
        h = np.tanh(x_t @ V + h @ W)
    losses = []
    for _, y_t in tg.steps(y):
        h = np.tanh(h @ W2)
        losses.append(tg.cross_entropy(h @ U, y_t))
    return tg.add_n(losses)


def lstm(T: int) -> tg.Tensor:
    (x, y), (_, _, U, _, _) = data(T), weights()
    W, h, c, losses = parameter("W", D + H, 4 * H), zeros(), zeros(), []
    for _, x_t, y_t in tg.steps(x, y):
        z = tg.concatenate([x_t, h], axis=1) @ W
        i, f, o = (tg.sigmoid(z[:, k * H : (k + 1) * H]) for k in (0, 1, 2))
        c = f * c + i * np.tanh(z[:, 3 * H :])
        h = o * np.tanh(c)
        losses.append(tg.cross_entropy(h @ U, y_t))
    return tg.add_n(losses)


def gru(T: int) -> tg.Tensor:
    (x, y), (_, _, U, _, _) = data(T), weights()
    V, W, R = parameter("V", D, 3 * H), parameter("W", H, 2 * H), parameter("R", H, H)
    h, losses = zeros(), []
    for _, x_t, y_t in tg.steps(x, y):
        v, w = x_t @ V, h @ W
        r, z = (tg.sigmoid(v[:, k : k + H] + w[:, k : k + H]) for k in (0, H))
        h = (1 - z) * np.tanh(v[:, 2 * H :] + r * (h @ R)) + z * h
        losses.append(tg.cross_entropy(h @ U, y_t))
    return tg.add_n(losses)


def truncated(T: int) -> tg.Tensor:
    (x, y), (V, W, U, _, _) = data(T), weights()
    h, losses = zeros(), []
    for t, x_t, y_t in tg.steps(x, y):
        h = np.tanh(x_t @ V + h @ W)
        losses.append(tg.cross_entropy(h @ U, y_t))
        if t % 2 == 0:
            h = h.detach()
    return tg.add_n(losses)


def by_index(T: int) -> tg.Tensor:
    (_, _), (V, W, _, _, _) = data(T), weights()
    E, h = parameter("E", 5, D), zeros()
    x = tg.embedding(E, np.arange(T * B).reshape(T, B) % 5)
    for t, _ in tg.steps(range(T)):
        h = np.tanh(x[t - 1] @ V + h @ W + x[T - t] @ V)
    return h.sum()


def two_steps_back(T: int) -> tg.Tensor:
    (x, _), (V, W, _, _, _) = data(T), weights()
    h = before = zeros()
    for _, x_t in tg.steps(x):
        h, before = np.tanh(x_t @ V + before @ W), h
    return h.sum() + before.sum()


SPELLINGS = ["sum", "add_n", "last", "mean", "total + L", "L + total", "tensor + L", "stacked"]
LOOPS: dict[str, Network] = {spelling: simple(spelling) for spelling in SPELLINGS} | {
    f.__name__: f
    for f in (without_initial_state, two_layers, layer_after_layer, bidirectional, encoder_decoder,
              lstm, gru, truncated, by_index)
}  # fmt: skip


def with_backward(network: Network, T: int) -> list[tg.Tensor]:
    """The loss, and the gradients of all parameters, recorded too."""
    L = network(T)
    parameters = [x for x in history(L) if x.primitive is None and x.requires_grad]
    return [L, *tg.grad(L, parameters, create_graph=True)]


def written_out(roots: list[Any], recorded: set[Any]) -> list[Any]:
    """Recorded or unfolded nodes below some roots as plain data, numbered as they are met."""
    number: dict[Any, int] = {}
    lines: list[Any] = []
    waiting = list(reversed(roots))

    def inputs(node: Any) -> tuple[Any, ...]:
        if isinstance(node, Node) and cut_from(node) in recorded:
            return (cut_from(node),)
        return node.inputs or ()

    while waiting:
        node = waiting[-1]
        missing = [x for x in inputs(node) if isinstance(x, (Node, Unfolded)) and x not in number]
        if node in number or missing:
            if node in number:
                waiting.pop()
            waiting.extend(reversed(missing))
            continue
        number[node] = len(number)
        args = [number[x] if isinstance(x, (Node, Unfolded)) else np.asarray(x).tolist()
                for x in inputs(node)]  # fmt: skip
        if isinstance(node, Unfolded):
            op, value = node.op, node.node.array
        else:
            op, value = node.primitive.name if node.primitive else None, node.array
        lines.append((op, node.step, args, repr(node.attributes), value.tobytes()))
    return lines


def lossless(roots: list[Any]) -> bool:
    graph = tg.fold(roots)
    unfolded = graph.unfold()
    of = {node.node: node for node in unfolded if not node.cut}
    recorded = set(history(*roots))
    assert len(unfolded) == len(recorded)
    return written_out(roots, recorded) == written_out([of[root] for root in roots], set())


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("T", [1, 2, 3, 7])
def test_unfolding_the_fold_gives_the_recording(kind: str, T: int) -> None:
    assert lossless([LOOPS[kind](T)])
    assert lossless(with_backward(LOOPS[kind], T))


def test_a_lag_of_two_folds_without_loss() -> None:
    assert lossless([two_steps_back(9)])
    assert lossless(with_backward(two_steps_back, 9))
    assert {edge.lag for edge in tg.fold(two_steps_back(9)).edges} == {None, 0, 2}


@pytest.mark.parametrize("kind", LOOPS)
def test_the_fold_does_not_depend_on_the_number_of_steps(kind: str) -> None:
    network = LOOPS[kind]
    assert tg.fold(network(3)) == tg.fold(network(30))
    if kind != "truncated":  # where the cuts fall relative to the ends differs
        assert tg.fold(with_backward(network, 3)) == tg.fold(with_backward(network, 30))
    assert tg.fold(network(4)) != tg.fold(two_steps_back(4))


def test_two_loops_that_differ_are_not_equal() -> None:
    folds: list[FoldedGraph] = []
    for kind in LOOPS:
        graph = tg.fold(LOOPS[kind](4))
        assert graph not in folds, kind
        folds.append(graph)
    assert tg.fold(simple("sum")(4)) != "a loop"


def test_the_loop_of_the_lecture_as_text() -> None:
    assert (
        str(tg.fold(simple("add_n")(5)))
        == """\
    shared  n1 V = parameter
    shared  n2 W = parameter
    shared  n3 U = parameter
    shared  n4 b_h = parameter
    shared  n5 b_y = parameter
    shared  n6 h = data
 t = 1 … 5  n7 x = data
 t = 1 … 5  n8 = matmul(n7[t], n1)
 t = 1 … 5  n9 = matmul(n6 for t = 1 | n12[t-1] for t = 2 … 5, n2)
 t = 1 … 5  n10 = add(n8[t], n9[t])
 t = 1 … 5  n11 = add(n10[t], n4)
 t = 1 … 5  n12 h = tanh(n11[t])
 t = 1 … 5  n13 = matmul(n12[t], n3)
 t = 1 … 5  n14 = add(n13[t], n5)
 t = 1 … 5  n15 L = cross_entropy(n14[t], array(2))
    shared  n16 = add_n(n15[1 … 5])"""
    )


def test_lags_rows_and_cuts() -> None:
    graph = tg.fold(truncated(6))
    (h,) = (node for node in graph.nodes if node.op == "tanh")
    (back,) = (edge for edge in graph.edges if edge.lag)
    assert (back.source, back.lag, back.steps) == (h, 1, range(2, 7))
    assert back.cuts == {3: 2, 5: 4}
    assert h.row == 3
    assert (h.shape, h.shared, h.steps, h.loop) == ((B, H), False, range(1, 7), 1)
    assert graph.steps_of(1) == range(1, 7)


def test_integers_that_move_with_the_step() -> None:
    graph = tg.fold(by_index(6))
    moving = [node.attributes["index"] for node in graph.nodes if node.op == "getitem"]
    assert moving == [(Moving(1, -1),), (Moving(-1, 6),)]
    assert str(moving) == "[(t-1,), (-t+6,)]"
    assert Moving(-1, 6).at(2) == 4


def test_the_other_direction_is_read_mirrored() -> None:
    graph = tg.fold(bidirectional(5))
    mirrored = [edge for edge in graph.edges if edge.sign == -1]
    assert [edge.source_step(2) for edge in mirrored] == [4]
    assert mirrored[0].lag is None


def test_reuse_without_steps_is_no_loop() -> None:
    W, x = parameter("W", H, H), tg.tensor(np.ones((B, H)))
    for _ in range(2):
        x = np.tanh(x @ W)
    graph = tg.fold(x.sum())
    assert all(node.shared for node in graph.nodes)
    assert lossless([x])


def test_the_backward_loop_runs_against_time() -> None:
    graph = tg.fold(with_backward(simple("add_n"), 5))
    lags = {edge.lag for edge in graph.edges if edge.lag}
    assert lags == {1, -1}
    sums = [edge for edge in graph.edges if edge.count > 1]
    assert [(e.source_step(0), e.source_step(e.count - 1)) for e in sums] == [(1, 5)] + 5 * [(5, 1)]


def test_folding_takes_time_in_proportion_to_the_steps() -> None:
    def visits(T: int) -> int:
        graph = tg.fold(simple("add_n")(T))
        return sum(len(node.nodes) for node in graph.nodes) + len(graph.edges)

    assert visits(400) - visits(200) == 2 * (visits(200) - visits(100))
    start = time.perf_counter()
    tg.fold(simple("add_n")(2000))
    assert time.perf_counter() - start < 20


# --------------------------------------------------------------------------------- what is no loop


def irregular(change: Callable[..., Any], T: int = 6) -> tg.Tensor:
    """The loop h = tanh(x V + h W), with a change made to what a step computes."""
    (x, _), (V, W, _, _, _) = data(T), weights()
    states = [zeros()]
    for t, x_t in tg.steps(x):
        states.append(np.tanh(change(t, x_t @ V, states, W)))
    return tg.stack(states[1:]).sum()


def recurrent(a: Any, states: list[Any], W: Any, back: int = 1) -> Any:
    return a + states[-back] @ W


IRREGULAR: dict[str, tuple[Callable[..., Any], str]] = {
    "an operation more": (
        lambda t, a, s, W: recurrent(a * 2.0 if t == 3 else a, s, W),
        r"step 3 differs: (multiply is made there and in no other|argument 0 of add .* multiply)",
    ),
    "an operation less": (
        lambda t, a, s, W: recurrent(a, s, W) if t != 4 else a + s[-1],
        r"step 4 differs: matmul is not made there",
    ),
    "another operation": (
        lambda t, a, s, W: (np.sin if t == 3 else np.cos)(recurrent(a, s, W)),
        r"step 3 differs: it makes sin where others make cos",
    ),
    "from a step on": (
        lambda t, a, s, W: recurrent(a, s, W) * 2.0 if t >= 4 else recurrent(a, s, W),
        r"step 4 differs: multiply is made there and not before",
    ),
    "another lag": (
        lambda t, a, s, W: recurrent(a, s, W, back=2 if t == 4 else 1),
        r"step 4 differs: argument 0 of matmul is the tanh of 2 steps before, and "
        r"the tanh of 1 step before in others",
    ),
    "a growing read": (
        lambda t, a, s, W: recurrent(a, [tg.stack(s).sum(axis=0)], W),
        r"step \d differs: (stack .* arguments|stack is float64 of shape)",
    ),
    "another shape": (
        lambda t, a, s, W: recurrent(a, s, W).reshape((B, H) if t == 3 else (H, B)).reshape(B, H),
        r"step 3 differs: reshape (is float64 of shape \(2, 4\), and|has shape=)",
    ),
    "another dtype": (
        lambda t, a, s, W: recurrent(a, s, W).astype(np.float32 if t == 3 else np.float64) + a,
        r"step 3 differs: astype is float32 .*float64",
    ),
    "another attribute": (
        lambda t, a, s, W: recurrent(a, s, W) + a.sum(axis=0 if t == 3 else 1, keepdims=True),
        r"step 3 differs: sum (is|has axis=0)",
    ),
    "an index that does not go on": (
        lambda t, a, s, W: recurrent(a, s, W) + W[(t * t) % 4],
        r"step \d differs: getitem has index=\(\d,\), which does not go on",
    ),
    "a constant instead": (
        lambda t, a, s, W: recurrent(a, s, W) * (a if t != 3 else 0.5),
        r"step 3 differs: argument 1 of multiply is a constant, and the matmul of the same step",
    ),
    "every other step": (
        lambda t, a, s, W: recurrent(a, s, W) if t % 2 else recurrent(a, s, W) * 0.5,
        r"step [23] differs: (multiply|argument)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", IRREGULAR)
def test_what_is_no_loop_is_refused_with_the_first_step_that_differs(kind: str) -> None:
    change, message = IRREGULAR[kind]
    with pytest.raises(ValueError, match=r"fold: .*test_fold\.py:\d+\. A loop does the same") as e:
        tg.fold(irregular(change))
    assert re.search(message, str(e.value)), str(e.value)


def test_a_difference_at_the_ends_is_none() -> None:
    first = irregular(lambda t, a, s, W: recurrent(a, s, W) * 2.0 if t == 1 else recurrent(a, s, W))
    last = irregular(lambda t, a, s, W: recurrent(a, s, W) * 2.0 if t == 6 else recurrent(a, s, W))
    assert lossless([first])
    assert lossless([last])
    assert tg.fold(first) != tg.fold(last)


def test_only_tensors_fold() -> None:
    with pytest.raises(TypeError, match="fold: ndarray is not a tensor"):
        tg.fold(np.ones(2))  # type: ignore[arg-type]
