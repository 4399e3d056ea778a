import gc
import time
import weakref

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.draw.sums import absorbed_sums
from tinygrad_rnn.engine.record import history
from tinygrad_rnn.fold.places import group, heights


def network(T=4, running=False):
    V, W = tg.Parameter(np.eye(2), name="V"), tg.Parameter(np.eye(2), name="W")
    h = tg.tensor(np.zeros((1, 2)), name="h")
    losses, total = [], 0
    for _, x in tg.steps(tg.tensor(np.ones((T, 1, 2)))):
        h = np.tanh(x @ V + h @ W)
        loss = np.sum(h)
        losses.append(loss)
        total = total + loss
    return total if running else sum(losses)


def by_operation(graph, name):
    return [
        place
        for place in graph.nodes
        if next(iter(place.nodes.values())).primitive
        and next(iter(place.nodes.values())).primitive.name == name
    ]


def test_the_nodes_of_a_place_are_one_node_for_each_step():
    root = network(4)
    graph = group(root)
    assert set(graph.of) == set(history(root))
    for place in graph.nodes:
        assert list(place.nodes) == ([None] if place.shared else [1, 2, 3, 4])
        assert all(graph.of[node] is place for node in place.nodes.values())
    # V, W, h0 and three additions are shared; x, two products, +, tanh and sum are places
    assert sum(place.shared for place in graph.nodes) == 6
    assert sum(not place.shared for place in graph.nodes) == 6


def test_an_edge_has_a_slot_a_lag_and_the_steps_of_its_reader():
    graph = group(network(4))
    (tanh,) = by_operation(graph, "tanh")
    (product,) = (p for p in by_operation(graph, "matmul") if len(graph.inputs[p][0]) == 2)
    first, later = graph.inputs[product][0]
    assert first.source.shared
    assert (first.lag, first.steps) == (None, [1])
    assert later.source is tanh
    assert (later.slot, later.lag, later.steps) == (0, 1, [2, 3, 4])
    assert graph.inputs[product][1][0].steps == [1, 2, 3, 4]  # W
    assert {edge.lag for edge in graph.edges} == {None, 0, 1}


def test_rows_rise_along_the_edges_inside_a_step():
    graph = group(network(4))
    inside = [edge for edge in graph.edges if edge.lag == 0]
    assert inside
    for edge in inside:
        assert edge.target.row > edge.source.row
    (tanh,) = by_operation(graph, "tanh")
    assert tanh.row == 3  # x, the product, the sum, tanh


def test_a_running_total_reads_its_own_step_before():
    graph = group(network(4, running=True))
    (total,) = (
        p for p in by_operation(graph, "add") if any(e.source is p for e in graph.inputs[p][0])
    )
    # step 1 has no addition (0 + loss is loss) so step 2 reads the loss of step 1
    (edge,) = (e for e in graph.inputs[total][0] if e.source is total)
    assert (edge.lag, edge.steps) == (1, [3, 4])


def test_two_loops_on_one_line_are_two_sets_of_places():
    w = tg.Parameter(np.ones(2))
    state = w
    for _ in range(2):
        for _, x in tg.steps([1.0, 2.0]):
            state = state * x
    graph = group(state)
    assert [list(place.nodes) for place in graph.nodes] == [[None], [1, 2], [1, 2]]
    assert len({place.loop for place in graph.nodes[1:]}) == 2


def test_no_node_is_lost_when_a_graph_is_differentiated_twice():
    x = tg.tensor(np.ones(2), requires_grad=True)
    y = x
    for _ in tg.steps([1, 2]):
        y = np.tanh(y)
    total = np.sum(y)
    total.backward(create_graph=True)
    total.backward(create_graph=True)
    nodes = history(x.grad)
    graph = group(x.grad)
    assert sum(len(place.nodes) for place in graph.nodes) == len(nodes)


def test_a_recording_that_was_looked_at_is_freed_at_once():
    y = network(4)
    recorded = [weakref.ref(node) for node in history(y)]
    enabled = gc.isenabled()
    gc.disable()
    try:
        picture = tg.draw(y)
        group(y)
        del y
        assert not any(reference() for reference in recorded)
        assert picture.source
    finally:
        if enabled:
            gc.enable()


def test_heights_cut_a_cycle_of_places():
    row = heights("abcd", [("a", "b", 1), ("b", "c", 1), ("c", "b", 1), ("c", "d", 1)])
    assert row["a"] == 0
    assert row["d"] > row["c"] > row["b"] > row["a"]


def test_heights_are_longest_paths():
    row = heights("abcd", [("a", "d", 1), ("a", "b", 1), ("b", "c", 0), ("c", "d", 1)])
    assert row == {"a": 0, "b": 1, "c": 1, "d": 2}


@pytest.mark.parametrize("shape", ["chain", "doubling", "sum"])
def test_a_long_graph_takes_linear_time_and_no_recursion(shape):
    x = tg.tensor([1.0], requires_grad=True)
    y = x
    for _ in range(60 if shape == "doubling" else 50_000):
        y = {"chain": np.tanh, "doubling": lambda y: y + y, "sum": lambda y: y + x}[shape](y)
    start = time.perf_counter()
    graph = group(y)
    absorbed_sums(history(y), [y], lambda node, reader: False)
    assert time.perf_counter() - start < 10
    assert max(place.row for place in graph.nodes) == len(graph.nodes) - 1


def test_a_sum_that_only_a_sum_reads_is_absorbed():
    a, b, c = (tg.tensor(1.0, requires_grad=True) for _ in range(3))
    inner = a + b
    total = inner + c
    assert absorbed_sums(history(total), [total], lambda n, r: False) == {inner: total}
    assert absorbed_sums(history(total), [total], lambda n, r: True) == {}
    assert absorbed_sums(history(total), [total, inner], lambda n, r: False) == {}  # it is a root
    twice = inner + inner
    assert absorbed_sums(history(twice), [twice], lambda n, r: False) == {}
    last = a + (b + (c + a))
    assert set(absorbed_sums(history(last), [last], lambda n, r: False).values()) == {last}
