"""One program for sequences of all lengths, and random numbers that each call draws anew."""

from __future__ import annotations

import gc
import sys
import threading
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.program import Program

from .agreement import CLOSE, equal, forget, gradients, leaves, tensors
from .networks import NETWORKS, Sizes

NOT_OF_ANY_LENGTH = {
    "list of states",  # it returns T arrays
    "truncated after 2",  # where it cuts depends on where the sequence begins, not on its ends
    "truncated after 3",
    "batch first",  # the first axis is not that of time
    "no steps are labelled",
}


def same(program: Program, f: Any, args: Any, parameters: Any) -> None:
    """A call of the program against running the function."""
    everything = [*parameters, *(x for x in args if isinstance(x, tg.Tensor) and x.requires_grad)]
    forget(everything)
    wanted = [*leaves(f(*tensors(args))), *gradients(everything)]
    for _ in range(2):
        forget(everything)
        equal([*leaves(program(*args)), *gradients(everything)], wanted, CLOSE)


@pytest.mark.parametrize("name", NETWORKS)
def test_one_program_serves_all_lengths(name: str) -> None:
    f, args, parameters = NETWORKS[name](Sizes(5, 3, 10, 6, 13))
    program = tg.compile(f)
    same(program, f, args, parameters)
    first = program._last
    assert first is not None
    assert first.any_length == (name not in NOT_OF_ANY_LENGTH)
    for T in (9, 31, 1, 2, 3, 4, 8, 13):
        _, args, _ = NETWORKS[name](Sizes(5, 3, 10, 6, T))
        same(program, f, args, parameters)
        if first.any_length:
            assert program._last is not None
            assert program._last.prepare is first.prepare


W = tg.Parameter(np.array([[0.5, -0.3], [0.4, 0.6]]), name="W")
b = tg.Parameter(np.zeros(2), name="b")


def states(x: Any, change: Any) -> Any:
    """Of a small network; `change` may do something to the state after step t."""
    h: Any = np.zeros((x.shape[1], 2))
    for t, x_t in tg.steps(x):
        h = np.tanh(x_t + h @ W + b)
        h = change(t, h)
        yield h


def recurrent(x: Any, change: Any) -> list[Any]:
    """The losses of its steps."""
    return [(h * h).sum() for h in states(x, change)]


def cut_late(x: Any) -> Any:
    return sum(recurrent(x, lambda t, h: h.detach() if t == 12 else h))


def double_late(x: Any) -> Any:
    return sum(recurrent(x, lambda t, h: h + h if t > 14 else h))


def long_or_short(x: Any) -> Any:
    return sum(recurrent(x, lambda t, h: h)) * (3 if len(x) > 15 else 2)


def mean_over_steps(x: Any) -> Any:
    losses = recurrent(x, lambda t, h: h)
    return sum(losses) / len(losses)


def by_the_root_of_the_length(x: Any) -> Any:
    losses = recurrent(x, lambda t, h: h)
    return sum(losses) / len(losses) ** 0.5


def third_loss(x: Any) -> Any:
    return recurrent(x, lambda t, h: h)[2]


def fifth_from_the_end(x: Any) -> Any:
    return recurrent(x, lambda t, h: h)[-5]


def three_steps(x: Any) -> Any:
    return sum(recurrent(x[:3], lambda t, h: h))


def last_loss(x: Any) -> Any:
    return recurrent(x, lambda t, h: h)[-1]


FUNCTIONS = [cut_late, double_late, long_or_short, mean_over_steps, by_the_root_of_the_length,
             third_loss, fifth_from_the_end, three_steps, last_loss]  # fmt: skip


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_what_a_function_makes_of_the_length_is_never_wrong(f: Any) -> None:
    def step(x: Any) -> Any:
        L = f(x)
        L.backward()
        return L

    program = tg.compile(step)
    for T in (10, 11, 12, 13, 14, 16, 25, 9, 6, 10):
        x = np.random.default_rng(T).standard_normal((T, 1, 2))
        same(program, step, (x,), [W, b])


def test_a_cut_that_no_number_shows_yet() -> None:
    U = tg.Parameter(np.zeros((2, 1)))  # through which no gradient flows at first

    def step(x: Any) -> Any:
        *_, h = states(x, lambda t, h: h.detach() if t == 12 else h)
        L = (h @ U).sum()
        L.backward()
        return L

    program = tg.compile(step)
    x = np.random.default_rng(0).standard_normal((16, 1, 2))
    same(program, step, (x,), [W, b, U])
    U.data = np.ones((2, 1))
    same(program, step, (x,), [W, b, U])


def test_a_mean_over_the_steps_is_of_any_length() -> None:
    def step(x: Any) -> Any:
        L = mean_over_steps(x)
        L.backward()
        return L

    program = tg.compile(step)
    program(np.ones((10, 1, 2)))
    assert "for any number of steps" in program.source
    assert "/ T" in program.source


@pytest.mark.parametrize("n", [7, 8, 9, 0.5, 3.5, 1 / 7, 7 / 8])
def test_a_number_that_is_that_of_the_recorded_steps_by_chance(n: float) -> None:
    def step(x: Any) -> Any:
        L = sum(recurrent(x, lambda t, h: np.minimum(9 * h, n)))
        L.backward()
        return L

    program = tg.compile(step)
    for T in (12, 30, 15, 4):  # at first no number is so large
        program(-np.ones((T, 1, 2)))
        assert program._last is not None
        assert program._last.any_length
        same(program, step, (np.ones((T, 1, 2)),), [W, b])


@pytest.mark.parametrize("n", [7, 8])
def test_a_class_that_is_that_of_the_recorded_steps_by_chance(n: int) -> None:
    U = tg.Parameter(np.random.default_rng(0).standard_normal((2, 40)), name="U")

    def step(x: Any, y: Any) -> Any:
        hs: list[Any] = []
        recurrent(x, lambda t, h: hs.append(h) or h)
        L = tg.cross_entropy(tg.stack(hs) @ U, y, ignore_index=n)
        L.backward()
        return L

    program = tg.compile(step)
    for T in (12, 30, 15):
        program(np.ones((T, 1, 2)), np.zeros((T, 1), int))
        assert program._last is not None
        assert program._last.any_length
        same(program, step, (np.ones((T, 1, 2)), np.arange(T)[:, None]), [W, b, U])


def half_its_length(x: Any) -> Any:
    return sum(recurrent(x, lambda t, h: np.minimum(9 * h, len(x) / 2)))


def root_of_its_length(x: Any) -> Any:
    return sum(recurrent(x, lambda t, h: np.minimum(9 * h, len(x) ** 0.5)))


@pytest.mark.parametrize("f", [half_its_length, root_of_its_length], ids=lambda f: f.__name__)
def test_a_limit_that_no_number_reaches_at_first(f: Any) -> None:
    program = tg.compile(f)
    for T in (12, 30, 15, 4):
        program(-np.ones((T, 1, 2)))
        same(program, f, (np.ones((T, 1, 2)),), [])


def test_a_text_that_is_not_checked_at_other_lengths_says_so() -> None:
    def step(x: Any) -> Any:
        L = by_the_root_of_the_length(x)
        L.backward()
        return L

    program = tg.compile(step)
    x = np.ones((10, 1, 2))
    program(x)
    space: dict[str, Any] = {}
    exec(program.source, space)
    with pytest.raises(ValueError, match="this program is for 10 steps, not 11"):
        space["step"](np.ones((11, 1, 2)), W.data, b.data)


@pytest.mark.parametrize("name", ["lecture", "LSTM"])
def test_a_batch_as_long_as_the_sequence(name: str) -> None:
    f, _, parameters = NETWORKS[name](Sizes(10, 3, 4, 6, 10))
    program = tg.compile(f)
    for T in (10, 12, 10, 9):
        _, args, _ = NETWORKS[name](Sizes(10, 3, 4, 6, T))
        same(program, f, args, parameters)
        assert program._last is not None
        assert program._last.any_length


def test_nothing_of_the_runs_is_kept() -> None:
    f, args, parameters = NETWORKS["LSTM"](
        Sizes(10, 3, 4, 6, 10)
    )  # it is tried with too short h, c
    gc.disable()
    try:
        tg.compile(f)(*args)
        for p in parameters:
            p.data += 1  # an error, if a recording held the value
    finally:
        gc.enable()


def test_an_error_of_the_function_is_its_own() -> None:
    f, (x, y, h), _ = NETWORKS["lecture"](Sizes(2, 3, 4, 6, 10))
    y[-1, 0] = 6
    with pytest.raises(IndexError, match=r"class 6 .* is not in 0 … 5"):
        tg.compile(f)(x, y, h)


def test_threads_leave_the_gradients_of_all_their_calls() -> None:
    V = tg.Parameter(np.eye(2) / 2, name="V")

    def step(x: Any) -> Any:
        L = sum(recurrent(x @ V, lambda t, h: h))
        L.backward()
        return L

    def work(program: Any, lengths: list[int]) -> None:
        together.wait()
        for T in lengths:
            program(np.ones((T, 1, 2)))

    lengths = [[12, 15, 9], [19, 12, 22], [30, 14, 12], [25, 31, 15]]
    forget([V])
    for T in [T for some in lengths for T in some]:
        step(tg.tensor(np.ones((T, 1, 2))))
    wanted = gradients([V])
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(3):
            forget([V])
            together = threading.Barrier(len(lengths))
            program = tg.compile(step)
            threads = [threading.Thread(target=work, args=(program, some)) for some in lengths]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            equal(gradients([V]), wanted, CLOSE)
    finally:
        sys.setswitchinterval(interval)
        forget([W, b])


def test_arrays_that_are_kept_grow_and_are_used_again() -> None:
    f, _, _ = NETWORKS["lecture"](Sizes(2, 3, 4, 6, 10))
    program = tg.compile(f)
    sizes = []
    for T in (10, 30, 12, 30):
        _, args, _ = NETWORKS["lecture"](Sizes(2, 3, 4, 6, T))
        program(*args)
        assert program._last is not None
        sizes.append(program._last.buffers.size)
    assert sizes[0] < sizes[1] == sizes[2] == sizes[3]


# ---------------------------------------------------------------------------------- at random

CELLS: list[Any] = [
    lambda h, x, V, W, b: np.tanh(x @ V + h @ W + b),
    lambda h, x, V, W, b: tg.sigmoid(x @ V + h @ W) - 0.5,
    lambda h, x, V, W, b: 0.5 * h + np.maximum(x @ V + h @ W, 0) / 2,
    lambda h, x, V, W, b: np.where(x[:, :1] > 0, np.tanh(h @ W), h) + x @ V / 10,
    lambda h, x, V, W, b: tg.softmax(x @ V + h @ W) * b,
    lambda h, x, V, W, b: np.tanh(np.concatenate([x, h], axis=1) @ np.concatenate([V, W])),
]
CHANGES: list[Any] = [
    lambda t, h: h,
    lambda t, h: h if t > 1 else 2 * h,
    lambda t, h: h.detach() if t % 3 == 0 else h,
    lambda t, h: h.detach() if t == 11 else h,
    lambda t, h: h * (1 if t < 15 else 2),
    lambda t, h: h + 0.01 * t,
]
TOTALS: list[Any] = [
    lambda hs, losses, y: sum(losses),
    lambda hs, losses, y: tg.add_n(losses) / len(losses),
    lambda hs, losses, y: losses[-1] + (hs[0] ** 2).sum(),
    lambda hs, losses, y: 3 * tg.stack(losses).mean(),
    lambda hs, losses, y: tg.cross_entropy(tg.stack(hs), y),
    lambda hs, losses, y: (np.mean(tg.stack(hs), axis=0) ** 3).sum() * 7,
]


def network_at_random(seed: int) -> tuple[Any, Any, list[tg.Parameter]]:
    """A training step with a loop in it, its data at T steps, and its parameters."""
    r = np.random.default_rng(seed)
    B, D, H = (int(n) for n in r.integers(1, 5, 3))
    V, W, R, b = (tg.Parameter(r.standard_normal(s) / 2) for s in ((D, H), (H, H), (H, H), (H,)))
    cell, change, total = (kinds[r.integers(len(kinds))] for kinds in (CELLS, CHANGES, TOTALS))
    starts_at_b, two_layers, reads_back = r.random(3) < (0.3, 0.4, 0.3)

    def step(x: Any, y: Any, h: Any) -> Any:
        h = b + np.zeros((x.shape[1], H)) if starts_at_b else h
        g, hs, losses = h, [], []
        for t, x_t, y_t in tg.steps(x, y):
            h = change(t, cell(h, x_t, V, W, b))
            g = np.tanh(h @ R + g @ W) if two_layers else h
            hs.append(g)
            losses.append(tg.cross_entropy(g, y_t))
        if reads_back:
            g = np.zeros((x.shape[1], H))
            for t, h_t in tg.steps(hs[::-1]):
                g = np.tanh(h_t @ R + g @ W)
                hs[len(hs) - t] = g
        L = total(hs, losses, y) + 0.1 * (W * W).sum()
        L.backward()
        return L, h

    def data(T: int) -> Any:
        r = np.random.default_rng(T)
        x, h = r.standard_normal((T, B, D)), r.standard_normal((B, H))
        return x, r.integers(0, H, (T, B)), h

    return step, data, [V, W, R, b]


@pytest.mark.parametrize("seed", range(24))
def test_networks_at_random_at_many_lengths(seed: int) -> None:
    f, data, parameters = network_at_random(seed)
    program = tg.compile(f)
    for T in (12, 17, 3, 9):
        same(program, f, data(T), parameters)


# ----------------------------------------------------------------------------------- random numbers


def tagger(cell: Any, seed: int = 0) -> tuple[Any, list[tg.Parameter], np.random.Generator]:
    """Embeddings with padding, two layers in two directions with dropout, rows of many lengths."""
    rng = np.random.default_rng(seed)
    E = tg.nn.Embedding(11, 3, padding_idx=0, dtype=np.float64, rng=rng)
    layers = cell(3, 4, num_layers=2, dropout=0.3, bidirectional=True, dtype=np.float64, rng=rng)
    U = tg.Parameter(rng.standard_normal((8, 5)))

    def step(ids: Any, lengths: Any, y: Any) -> Any:
        outputs, _ = layers(E(ids), lengths=lengths)
        L = tg.cross_entropy(outputs @ U, y, ignore_index=-1)
        L.backward()
        return L

    return step, [*E.parameters(), *layers.parameters(), U], rng


def batch(T: int, lengths: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(T)
    ids, y = rng.integers(1, 11, (T, len(lengths))), rng.integers(0, 5, (T, len(lengths)))
    for row, length in enumerate(lengths):
        ids[length:, row], y[length:, row] = 0, -1
    return ids, np.array(lengths), y


@pytest.mark.parametrize("cell", [tg.nn.RNN, tg.nn.LSTM, tg.nn.GRU])
def test_dropout_and_lengths_are_those_of_each_call(cell: Any) -> None:
    f, parameters, rng = tagger(cell)
    program = tg.compile(f)
    for T, lengths in ((12, [9, 5, 12]), (12, [3, 12, 12]), (15, [15, 1, 7]), (5, [5, 5, 2])):
        args = batch(T, lengths)
        before = rng.bit_generator.state
        forget(parameters)
        wanted = [*leaves(f(*args)), *gradients(parameters)]
        after = rng.bit_generator.state
        rng.bit_generator.state = before
        forget(parameters)
        found = [*leaves(program(*args)), *gradients(parameters)]
        assert rng.bit_generator.state == after
        equal(found, wanted, CLOSE)
        assert program._last is not None
        assert program._last.any_length, program._last.why
        assert leaves(program(*args))[0] != wanted[0], "the same mask again"


def test_random_numbers_of_a_function_that_runs_as_it_is() -> None:
    rng = np.random.default_rng(0)
    drop = tg.nn.Dropout(0.5, rng=rng)

    def step(x: Any) -> Any:
        w = tg.tensor(2.0, requires_grad=True)  # of which a program knows nothing in later calls
        return drop(x) * w

    program = tg.compile(step)
    x = np.arange(1.0, 9.0)
    again = np.random.default_rng(0)
    for _ in range(3):
        mask = (again.random(8) >= 0.5) * 2
        found = program(x)
        np.testing.assert_array_equal(found.data, 2 * x * mask)
        assert not found.requires_grad, "a program's results have no history"
    assert program._last is not None
    assert program._last.prepare is None


def test_a_program_inside_a_compiled_function_draws_once() -> None:
    rng = np.random.default_rng(0)
    drop = tg.nn.Dropout(0.5, rng=rng)
    inner = tg.compile(lambda x: drop(x) + 0 * x)
    inner(np.ones((10, 2)))
    outer = tg.compile(lambda x: 3 * inner(x))
    again = np.random.default_rng(0)
    again.random((10, 2))
    for _ in range(3):
        mask = (again.random((10, 2)) >= 0.5) * 2
        np.testing.assert_array_equal(outer(np.ones((10, 2))).data, 3 * mask)


def test_a_class_below_0_among_those_that_count_is_an_error() -> None:
    f, _, _ = tagger(tg.nn.RNN)
    program = tg.compile(f)
    ids, lengths, y = batch(12, [9, 5, 12])
    program(ids, lengths, y)
    y[0, 0] = -2
    with pytest.raises(IndexError, match=r"class -2 at \(0, 0\) is not in 0"):
        program(ids, lengths, y)
