"""Labels, places, names and history."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.engine.record import history, recorder


def leaf() -> tg.Tensor:
    return tg.tensor([1.0, 2.0], requires_grad=True)


def test_steps_count_from_one_and_label_what_they_record() -> None:
    x = leaf()
    seen = [(t, e, (x * e).step) for t, e in tg.steps([3, 4, 5])]
    assert seen == [(1, 3, 1), (2, 4, 2), (3, 5, 3)]
    assert (x * 2).step is None


def test_steps_walk_sequences_together_and_refuse_unequal_or_empty_ones() -> None:
    assert list(tg.steps("ab", [1, 2])) == [(1, "a", 1), (2, "b", 2)]
    with pytest.raises(ValueError, match="steps: the sequences have 2 and 1 elements"):
        list(tg.steps("ab", [1]))
    with pytest.raises(ValueError, match="zip"):
        list(tg.steps("ab", iter([1])))
    with pytest.raises(TypeError, match=r"5 is no sequence; write steps\(range\(5\)\)"):
        next(tg.steps(5))
    with pytest.raises(ValueError, match="empty"):
        list(tg.steps([]))
    with pytest.raises(TypeError, match="which sequence"):
        next(tg.steps())


def test_a_break_or_an_error_inside_a_step_restores_the_label() -> None:
    before = recorder.label
    for _ in tg.steps(range(3)):
        break
    assert recorder.label is before
    with pytest.raises(ZeroDivisionError):
        [t / 0 for t, _ in tg.steps(range(3))]
    assert recorder.label is before


def test_loops_and_scopes_may_end_in_any_order() -> None:
    before = recorder.label
    for _ in zip(tg.steps("ab"), tg.steps("ab"), strict=False):
        pass
    assert recorder.label is before
    first, second = tg.steps("a"), tg.steps("abc")
    next(first), next(second)
    list(first), list(second)
    assert recorder.label is before
    kept = tg.steps("ab")
    with tg.scope("enc"):
        next(kept)
    list(kept)
    assert recorder.label is before


def test_a_decorated_function_keeps_threads_apart() -> None:
    x, inside, leave = leaf(), threading.Event(), threading.Event()

    @tg.no_grad()
    def f() -> None:
        inside.set()
        leave.wait(5)

    thread = threading.Thread(target=f)
    with tg.no_grad():
        thread.start()
        inside.wait(5)
    leave.set()
    thread.join()
    assert (x * 2.0).requires_grad


def test_steps_nest() -> None:
    x = leaf()
    inner = [[(x + 0.0).step for _ in tg.steps("ab")] + [(x + 0.0).step] for _ in tg.steps("xyz")]
    assert inner == [[1, 2, 1], [1, 2, 2], [1, 2, 3]]


def test_scopes_nest_and_end() -> None:
    x = leaf()
    with tg.scope("rnn"), tg.scope("cell"):
        assert (x + x).scope == ("rnn", "cell")
    assert (x + x).scope == ()


def test_the_same_place_at_every_step_and_other_places_differ() -> None:
    h = x = leaf()
    made: dict[int, list[tg.Tensor]] = {}
    for t, _ in tg.steps(range(3)):
        a, b = x * 2.0, x * 2.0
        h = np.tanh(h + a)
        made[t] = [a, b, h]
    places = [[node.place for node in nodes] for nodes in made.values()]
    assert places[0] == places[1] == places[2]
    assert len(set(places[0])) == 3


def test_a_condition_does_not_shift_the_places_after_it() -> None:
    x = leaf()
    places = []
    for t, _ in tg.steps(range(3)):
        y = x * 2.0
        if t > 1:
            y = y * 3.0
        places.append(np.tanh(y).place)
    assert len(set(places)) == 1


def test_one_line_in_two_scopes_of_one_name_is_two_places() -> None:
    x = leaf()
    for _ in tg.steps("a"):
        nodes = []
        for _ in range(2):
            with tg.scope("cell"):
                nodes.append(x * 2.0)
    assert nodes[0].place != nodes[1].place


def test_two_loops_over_one_line_are_two_places() -> None:
    x = leaf()
    places = {(x * 2.0).place for _ in range(2) for _ in tg.steps("ab")}
    assert len(places) == 2


def test_gradient_nodes_take_the_step_and_the_place_of_what_they_differentiate() -> None:
    w = tg.tensor(0.2, requires_grad=True)
    h, nodes = tg.tensor(0.9), []
    for _ in tg.steps(range(3)):
        h = w * h
        nodes.append(h)
    (g,) = tg.grad(h, w, create_graph=True)
    made = [n for n in history(g) if n.label.origin is not None]
    assert {n.step for n in made if n.label.origin[1] != "sum"} <= {1, 2, 3}
    products = [n for n in made if n.primitive and n.primitive.name == "multiply"]
    assert [n.step for n in products] == [3, 3, 2, 2, 1]
    assert {n.label.origin[0] for n in products} == {nodes[0].place}


def test_names_are_given_or_read_off_the_assignment() -> None:
    W = tg.Parameter([[1.0]])
    V = tg.Parameter([[1.0]], name="input weights")
    h = np.tanh(W @ V)
    assert (W.name, V.name, h.name) == ("W", "input weights", "h")
    assert np.tanh(W).name is None
    h.name = "state"
    assert h.name == h.detach().name == "state"
    a, b = tg.tensor([1.0, 2.0])
    assert (a.name, b.name) == (None, None)
    with pytest.raises(TypeError, match="5 is not a string"):
        h.name = 5


def test_a_row_of_named_data_bears_the_name() -> None:
    x = tg.tensor(np.zeros((3, 2)))
    assert [row.name for _, row in tg.steps(x)] == ["x", "x", "x"]


def test_history_is_oldest_first_and_complete() -> None:
    x = leaf()
    y = x * 2.0
    z = y + x
    assert history(z) == [x, y, z]


def test_no_grad_nests_survives_exceptions_and_is_per_thread() -> None:
    x = leaf()
    with tg.no_grad():
        with tg.no_grad():
            assert not (x * 2.0).requires_grad
        assert not (x * 2.0).requires_grad
        found: list[bool] = []
        thread = threading.Thread(target=lambda: found.append((x * 2.0).requires_grad))
        thread.start()
        thread.join()
        assert found == [True]
    with pytest.raises(ZeroDivisionError), tg.no_grad():
        1 / 0  # noqa: B018
    assert (x * 2.0).requires_grad

    @tg.no_grad()
    def f() -> tg.Tensor:
        return x * 2.0

    assert not f().requires_grad
