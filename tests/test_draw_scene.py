import random

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.draw.columns import ABOVE, LEFT
from tinygrad_rnn.draw.grid import arrange
from tinygrad_rnn.draw.options import Options
from tinygrad_rnn.draw.recorded import of_recording
from tinygrad_rnn.draw.routes import route
from tinygrad_rnn.draw.scene import compose as of_items
from tinygrad_rnn.draw.words import at_step, base_of, names_of
from tinygrad_rnn.engine.record import history

# ------------------------------------------------------------------------------ what is drawn


def parameters(D=2, H=3, K=2):
    rng = np.random.default_rng(0)
    shapes = {"V": (D, H), "W": (H, H), "U": (H, K), "b_h": (H,), "b_y": (K,)}
    return [tg.Parameter(rng.standard_normal(shape), name=n) for n, shape in shapes.items()]


def lecture(T=4, loss="sum", arrays=False):
    V, W, U, b_h, b_y = parameters()
    x, y = np.ones((T, 1, 2)), np.zeros((T, 1), int)
    h, total, losses = np.zeros((1, 3)), 0, []
    if not arrays:
        x, y, h = tg.tensor(x, name="x"), tg.tensor(y, name="y"), tg.tensor(h, name="h")
    for _, x_t, y_t in tg.steps(x, y):
        h = np.tanh(x_t @ V + h @ W + b_h)
        y_hat = h @ U + b_y
        L_t = tg.cross_entropy(y_hat, y_t)
        losses.append(L_t)
        total = total + L_t
    if loss == "last":
        return [L_t]
    if loss == "running":
        total.name = "L"
        return [total]
    L = sum(losses)
    L.name = "L"
    return [L]


def gradients():
    (L,) = lecture(3)
    L.backward(create_graph=True)
    return [p.grad for p in history(L) if p.requires_grad and p.primitive is None]


def two_layers(T=3):
    V, W, U, b_h, _ = parameters(3)
    h1, h2 = tg.tensor(np.zeros((1, 3))), tg.tensor(np.zeros((1, 3)))
    losses = []
    for _, x in tg.steps(np.ones((T, 1, 3))):
        h1 = np.tanh(x @ V + h1 @ W + b_h)
        h2 = np.tanh(h1 @ V + h2 @ W + b_h)
        losses.append(np.sum(h2 @ U))
    return [sum(losses) / T]


def perceptron():
    W, b = tg.Parameter(np.ones((2, 2)), name="W"), tg.Parameter(np.ones(2), name="b")
    x = tg.tensor(np.ones((4, 2)), name="x")
    h = np.tanh(x @ W + b)
    return [np.sum(h * h) + 0.1 * np.sum(W * W)]


def square():
    x = tg.tensor([1.0, 2.0], requires_grad=True, name="x")
    return [x * x]


def second_derivative():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    np.sum(np.tanh(x) * x).backward(create_graph=True)
    np.sum(x.grad * x.grad).backward(create_graph=True)
    return [x.grad]


def doubling():
    y = tg.tensor(1.0, requires_grad=True)
    for _ in range(60):
        y = (y + y) / 2
    return [y]


def encoder_decoder():
    W = tg.Parameter(np.eye(2), name="W")
    h = tg.tensor(np.zeros((1, 2)))
    for _, x in tg.steps(np.ones((3, 1, 2))):
        h = np.tanh(x + h @ W)
    context = np.sum(h) * W
    s, total = h, 0
    for _ in tg.steps(range(2)):
        s = np.tanh(s @ context + h)
        total = total + np.sum(s)
    return [total]


def random_graph(seed):
    r = random.Random(seed)
    T = r.randint(1, 5)
    weights = [tg.Parameter(np.ones((2, 2))) for _ in range(r.randint(1, 6))]
    plan = [(r.choice("@+*ts"), r.random(), r.random(), r.randint(0, 3)) for _ in range(8)]
    before, losses = [], []
    for _ in range(r.randint(1, 2)):
        for _, x in tg.steps(tg.tensor(np.ones((T, 2, 2)))):
            values = [x, *weights]
            for operation, a, b, lag in plan:
                u, v = (values[int(i * len(values))] for i in (a, b))
                if lag and len(before) >= lag:
                    v = before[-lag][int(b * len(before[-lag]))]
                if operation == "@":
                    values.append(u @ v)
                elif operation == "+":
                    values.append(u + v)
                elif operation == "*":
                    values.append(u * v)
                else:
                    values.append(np.tanh(u) if operation == "t" else 2 * v)
            before.append(values[-4:])
            losses.append(np.sum(values[-1] * weights[0]))
    return [sum(losses)]


GRAPHS = {
    **{f"lecture {T}": (lambda T=T: lecture(T)) for T in (1, 2, 4, 12)},
    "running": lambda: lecture(4, "running"),
    "last": lambda: lecture(4, "last"),
    "arrays": lambda: lecture(4, arrays=True),
    **{f.__name__: f for f in (gradients, two_layers, perceptron, square, second_derivative)},
    **{f.__name__: f for f in (doubling, encoder_decoder)},
    **{f"random {seed}": (lambda seed=seed: random_graph(seed)) for seed in range(25)},
}


def compose(roots, steps=None):
    return of_items(of_recording(roots, steps, 24), Options())


def placed(roots):
    scene = compose(roots)
    route(scene, arrange(scene))
    return scene


def points(path):
    for start in range(0, len(path) - 1, 3):
        knots = path[start : start + 4]
        for t in np.linspace(0, 1, 15):
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
            yield tuple(
                sum(w * k[axis] for w, k in zip(weights, knots, strict=True)) for axis in (0, 1)
            )


def inside(box, x, y, margin):
    if box.round:
        return (x - box.x) ** 2 + (y - box.y) ** 2 < (box.width / 2 - margin) ** 2
    return abs(x - box.x) < box.width / 2 - margin and abs(y - box.y) < box.height / 2 - margin


def faults(scene):
    """Boxes that overlap, and lines that run through a box."""
    found = []
    for i, a in enumerate(scene.boxes):
        for b in scene.boxes[:i]:
            if (
                abs(a.x - b.x) < (a.width + b.width) / 2
                and abs(a.y - b.y) < (a.height + b.height) / 2
            ):
                found.append((a.label, "overlaps", b.label))
    for line in scene.lines:
        for x, y in points(line.path):
            for box in scene.boxes:
                margin = 2.5 if box in (line.source, line.target) else 0.5
                if inside(box, x, y, margin):
                    found.append((line.source.label, line.target.label, "run through", box.label))
    return found


def labels(scene, kind=None):
    return [box.label for box in scene.boxes if kind in (None, box.kind)]


def find(scene, label):
    (box,) = (box for box in scene.boxes if box.label == label)
    return box


# ------------------------------------------------------------------------------- every picture


@pytest.mark.parametrize("graph", GRAPHS)
def test_no_boxes_overlap_and_no_line_runs_through_a_box(graph):
    assert faults(placed(GRAPHS[graph]())) == []


def test_the_check_for_faults_finds_them():
    scene = placed(lecture(2))
    find(scene, "ŷ₁").y -= 50
    assert faults(scene)


@pytest.mark.parametrize("graph", GRAPHS)
def test_nothing_is_lost(graph):
    roots = GRAPHS[graph]()
    scene = compose(roots)
    recorded = history(*roots)
    assert {node for box in scene.boxes for node in box.nodes} == set(recorded)
    # Every use has its line, but for those inside a merged sum and numbers, which are labels.
    lines = {id(box.nodes): 0 for box in scene.boxes}
    for line in scene.lines:
        lines[id(line.target.nodes)] += line.source.nodes is not line.target.nodes
    for box in scene.boxes:
        uses = [x for node in box.nodes for x in node.inputs]
        inside = sum(x is node for x in uses for node in box.nodes)
        numbers = sum(not hasattr(x, "array") and not np.ndim(x) for x in uses)
        if box.nodes:
            assert lines[id(box.nodes)] == len(uses) - inside - numbers, box.label


# ---------------------------------------------------------------------------- the lecture's net


def test_the_lecture_in_words():
    scene = compose(lecture(2))
    assert sorted(labels(scene, "parameter")) == sorted(
        ["V  2×3  ×2", "W  3×3  ×2", "U  3×2  ×2", "b_h  3  ×2", "b_y  2  ×2"]
    )
    assert labels(scene, "state") == ["h₁ = tanh", "h₂ = tanh"]
    assert labels(scene, "value") == ["ŷ₁", "ŷ₂"]
    assert labels(scene, "loss") == ["L₁ = cross-entropy", "L₂ = cross-entropy"]
    assert labels(scene, "total") == ["L = Σ Lₜ"]
    assert labels(scene, "initial") == ["h₀"]
    assert labels(scene, "data") == [name + t for t in "₁₂" for name in ("x", "y")]
    assert labels(scene, "operation") == ["@", "@", "+", "@", "+"] * 2


def test_time_runs_right_and_layers_stand_on_a_grid():
    scene = placed(lecture(4))
    columns = [find(scene, f"h{t} = tanh") for t in "₁₂₃₄"]
    steps = np.diff([box.x for box in columns])
    assert (steps > 0).all()
    np.testing.assert_allclose(steps, steps[0])
    assert len({box.y for box in columns}) == 1
    h, x, y_hat = columns[0], find(scene, "x₁"), find(scene, "ŷ₁")
    assert x.y < h.y < y_hat.y < find(scene, "L = Σ Lₜ").y
    assert x.x == pytest.approx(h.x)
    assert y_hat.x == pytest.approx(h.x)
    h0 = find(scene, "h₀")
    assert h0.y == h.y
    assert h0.x < h.x
    assert all(box.x < h0.x for box in scene.boxes if box.column == LEFT)


def test_the_path_through_time_is_its_own_kind_of_line():
    scene = compose(lecture(4))
    time = [line for line in scene.lines if line.kind == "time"]
    assert [line.source.label for line in time] == ["h₁ = tanh", "h₂ = tanh", "h₃ = tanh"]
    assert [line.source.label for line in scene.lines if line.kind == "initial"] == ["h₀"]


def test_parameters_have_a_colour_each():
    boxes = [box for box in compose(lecture(2)).boxes if box.kind == "parameter"]
    assert len({box.color for box in boxes}) == 5
    many = [tg.Parameter(1.0) for _ in range(20)]
    boxes = [
        box for box in compose([tg.engine.rules.add_n(*many)]).boxes if box.kind == "parameter"
    ]
    assert len({(box.color, box.dashed) for box in boxes}) == 16


@pytest.mark.parametrize("loss", ["sum", "running"])
def test_the_sum_over_the_steps_is_one_box_however_it_is_written(loss):
    scene = compose(lecture(4, loss))
    total = find(scene, "L = Σ Lₜ")
    assert total.column == ABOVE
    assert len(total.nodes) == 3
    assert [line.source.label[:2] for line in scene.lines if line.target is total] == [
        "L₁", "L₂", "L₃", "L₄",
    ]  # fmt: skip


def test_a_sum_with_its_own_name_or_two_readers_keeps_its_box():
    a, b, c = (tg.tensor(1.0, requires_grad=True, name=n) for n in "abc")
    part = a + b
    whole = part + c
    assert labels(compose([whole])).count("+") == 2
    assert "part" in labels(compose([whole]))
    anonymous = compose([a + b + c])
    assert labels(anonymous).count("+") == 1


def test_one_step_knows_its_initial_state_by_name():
    scene = compose(lecture(1))
    assert labels(scene, "initial") == ["h₀"]
    assert labels(scene, "state") == ["h₁ = tanh"]


def test_arrays_and_numbers_are_shown():
    scene = compose(lecture(2, arrays=True))
    assert labels(scene, "data") == ["array 1×2", "array 1"] * 2
    assert labels(scene, "initial") == ["h₀"]
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    assert "× 0.5" in labels(compose([(x * 0.5).sum()]))
    assert "1 −" in labels(compose([(1 - x).sum()]))
    assert "[0]" in labels(compose([x[0] * x[1]]))


def test_both_uses_of_a_square_are_drawn():
    scene = placed(square())
    paths = [line.path for line in scene.lines if line.kind == "parameter"]
    assert len(paths) == 2
    assert paths[0][-1] != paths[1][-1]
    assert find(scene, "x  2  ×2")


def test_the_second_of_two_loops_stands_to_the_right():
    scene = placed(encoder_decoder())
    first = [b for b in scene.boxes if b.column[0] == 1]
    second = [b for b in scene.boxes if b.column[0] == 3]
    assert max(b.x for b in first) < min(b.x for b in second)


def test_a_loop_that_reads_another_step_by_step_stands_above_it():
    W = tg.Parameter(np.eye(2))
    lower, h = [], tg.tensor(np.zeros((1, 2)))
    for _, x in tg.steps(np.ones((3, 1, 2))):
        h = np.tanh(x + h @ W)
        lower.append(h)
    s = tg.tensor(np.zeros((1, 2)))
    for _, x in tg.steps(lower):
        s = np.tanh(x @ W + s @ W)
    scene = compose([s])
    assert {b.column[:2] for b in scene.boxes if b.kind == "state"} == {(1, 1), (1, 2), (1, 3)}


def test_a_line_to_another_loop_is_not_a_line_through_time():
    W, features = tg.Parameter(np.eye(2)), []
    for _, x in tg.steps(np.ones((3, 1, 2))):
        features.append(np.tanh(x @ W))
    h = tg.tensor(np.zeros((1, 2)))
    for _, x in tg.steps(features[::-1]):
        h = np.tanh(x + h)
    scene = compose([h])
    across = [line for line in scene.lines if line.source.column[0] == 1 != line.target.column[0]]
    assert len(across) == 3
    assert {line.kind for line in across} == {"plain"}
    assert {box.column[0] for box in scene.boxes if box.kind == "state"} == {3}
    assert sum(line.kind == "time" for line in scene.lines) == 2


# ------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("y_hat", "ŷ"), ("y_hat_t", "ŷ"), ("loss", "L"), ("L_t", "L"), ("b_h", "b_h"), ("W1", "W₁"),
        ("W_12", "W₁₂"), ("hidden_state", "hidden_state"), ("b_q", "b_q"),
        ("a\nb\x00", "a\\nb\\x00"),
        ("x" * 500, "x" * 23 + "…"), ("Größe", "Größe"), ("_t", "_t"),
    ],
)  # fmt: skip
def test_names_are_written_as_a_lecture_writes_them(name, shown):
    assert base_of(name) == shown


def test_time_is_below_and_the_layer_above():
    assert at_step("h", 12) == "h₁₂"
    assert at_step("h_t", 1) == "h₁"
    assert at_step("h1", 2) == "h⁽¹⁾₂"
    assert at_step("y_hat", 3) == "ŷ₃"


def test_of_the_nodes_of_one_call_only_the_newest_has_the_name():
    terms = [tg.tensor(1.0, requires_grad=True) for _ in range(2)]
    total = sum(terms + terms)
    named = [node for node, name in names_of(history(total)).items() if name == "total"]
    assert named == [total]


def test_a_gradient_is_not_called_what_its_forward_node_is_called():
    x = tg.tensor([1.0], requires_grad=True, name="x")
    y = np.tanh(x)
    y.backward(np.ones(1), create_graph=True)
    named = names_of(history(x.grad))
    assert [node for node, name in named.items() if name == "y"] == [y]


def test_parameters_of_one_name_are_told_apart_by_the_scope_of_their_use():
    class Twice(tg.nn.Module):
        def __init__(self):
            self.lower, self.upper = tg.nn.RNNCell(2, 2), tg.nn.RNNCell(2, 2)

        def forward(self, x):
            h = k = np.zeros((1, 2), np.float32)
            for _, x_t in tg.steps(x):
                h = self.lower(x_t, h)
                k = self.upper(h, k)
            return k

    scene = compose([Twice()(np.ones((2, 1, 2), np.float32))])
    names = {box.name for box in scene.boxes if box.kind == "parameter"}
    assert names == {f"{layer}.{letter}" for layer in ("lower", "upper") for letter in
                     ("V", "W", "b_h")}  # fmt: skip


def test_a_call_that_makes_several_leaves_names_none_of_them():
    def make():
        q = tg.Parameter(1.0)
        return q

    scene = compose([make() * make()])
    assert [box.name for box in scene.boxes if box.kind == "parameter"] == ["", ""]
