"""What the options add to a picture: second lines, gradients, emphasis, numbers, words, letters."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.draw import Picture
from tinygrad_rnn.draw.annotate import annotate
from tinygrad_rnn.draw.cells import contract
from tinygrad_rnn.draw.curves import up_to
from tinygrad_rnn.draw.dot import dot
from tinygrad_rnn.draw.folded import of_fold
from tinygrad_rnn.draw.grid import arrange
from tinygrad_rnn.draw.labels import CUT
from tinygrad_rnn.draw.labels import labels as labels_of
from tinygrad_rnn.draw.legend import LINES, MEANING, legend
from tinygrad_rnn.draw.look import _LINES, _SHAPES
from tinygrad_rnn.draw.options import check
from tinygrad_rnn.draw.recorded import of_recording
from tinygrad_rnn.draw.routes import route
from tinygrad_rnn.draw.scene import Scene, compose
from tinygrad_rnn.engine.record import history
from tinygrad_rnn.networks import NETWORKS

from .test_draw_scene import faults, find, labels, lecture
from .test_fold import LOOPS, with_backward

rnn = NETWORKS["rnn"]

DEFAULTS: dict[str, Any] = {
    "title": None, "folded": False, "steps": None, "detail": "operations", "show": (),
    "backward": False, "highlight": None, "annotate": None, "notation": "lecture",
    "direction": "right", "legend": False, "theme": "color",
}  # fmt: skip


def scene_of(roots: Any, **given: Any) -> Scene:
    roots = roots if isinstance(roots, list) else [roots]
    options = check(**DEFAULTS | given)
    items = of_fold(roots) if options.folded else of_recording(roots, None, 24)
    return compose(contract(items) if options.detail == "cells" else items, options)


def placed(roots: Any, **given: Any) -> Scene:
    scene = scene_of(roots, **given)
    route(scene, arrange(scene))
    return scene


def named(root: tg.Tensor, name: str) -> list[Any]:
    return [node for node in history(root) if getattr(node, "name", None) == name]


def lines(scene: Scene) -> set[tuple[int, int]]:
    number = {box: i for i, box in enumerate(scene.boxes)}
    return {(number[line.source], number[line.target]) for line in scene.lines}


# ------------------------------------------------------------------------------------ second lines


def test_what_is_shown_stands_in_the_second_line() -> None:
    (L,) = lecture(2)
    scene = scene_of(L, show=("shapes", "values", "gradients"))
    assert find(scene, "L₁ = cross-entropy").more.startswith("scalar: ")
    assert re.fullmatch(r"1×3: −?0\.\d+, −?0\.\d+, .*; grad –", find(scene, "h₁ = tanh").more)
    assert find(scene, "x₁").more == "1×2: 1, 1"  # for data, no gradient is wanted
    assert find(scene, "W  3×3  ×2").more.endswith("; grad –")


def test_an_unset_gradient_is_a_dash_and_a_zero_gradient_a_zero() -> None:
    w = tg.Parameter(np.ones(2), name="w")
    y = np.sum(w * np.zeros(2))
    assert find(scene_of(y, show="gradients"), "w  2").more == "grad –"
    y.backward(retain_graph=True)
    assert find(scene_of(y, show="gradients"), "w  2").more == "|grad| 0"


def test_a_fold_shows_the_values_of_all_its_steps() -> None:
    w = tg.Parameter(1.0, name="w")
    total: Any = 0
    for _, x in tg.steps([1.0, 5.0, 9.0, 2.0]):
        y = w * x
        total = total + y
    assert find(scene_of(total, folded=True, show="values"), "yₜ").more == "1 … 9"


# ---------------------------------------------------------------------------------- the way back


def test_the_adjoints_go_back_along_what_carries_a_gradient() -> None:
    (L,) = lecture(3)
    scene = scene_of(L, backward=True)
    assert lines(scene) == lines(scene_of(L))  # the way back adds no line of its own
    for line in scene.lines:
        wanted = any(node.requires_grad for node in line.source.nodes)
        assert line.adjoint == wanted, (line.source.label, line.target.label)
    source = tg.draw(L, backward=True).source
    assert source.count("dir=back") == sum(line.adjoint for line in scene.lines)


@pytest.mark.parametrize("folded", [False, True])
def test_in_cells_a_gradient_goes_to_every_parameter_on_a_line(folded: bool) -> None:
    L = rnn(4, cut=2)
    scene = scene_of(L, backward=True, detail="cells", folded=folded)
    parameters = {box for box in scene.boxes if box.kind == "parameter"}
    reached = [line for line in scene.lines if line.adjoint or line.learns]
    assert {box for line in reached for box in line.written} == parameters
    for line in scene.lines:
        assert line.learns == (bool(line.written) and not line.adjoint)
    short = {(line.source.label, line.target.label) for line in scene.lines if line.learns}
    if folded:
        assert short == {("xₜ", "hₜ")}
    else:
        assert short == {(f"x{t}", f"h{t}") for t in "₁₂₃₄"} | {("h₀", "h₁"), ("h₂", "h₃")}
    words = tg.draw(L, backward=True, detail="cells", folded=folded).describe()
    (W,) = (line for line in words.splitlines() if "parameter W" in line)
    assert len(re.findall(r"n\d+", W.partition("; gradient <- ")[2])) == (1 if folded else 4)


def test_the_way_back_to_a_parameter_ends_at_its_name_and_passes_no_cut() -> None:
    scene = scene_of(rnn(4, cut=2), backward=True, detail="cells")
    route(scene, arrange(scene))
    found = [label for label in labels_of(scene.lines) if label.line and label.line.learns]
    cuts = {label.line: label.x for label in found if label.text == CUT}
    names = [label for label in found if label.text != CUT]
    assert (len(names), len(cuts)) == (6, 1)
    for label in names:
        assert label.line is not None
        way = up_to(label.line.back, label.x, label.y, label.width, 14.0)
        gap = max(abs(way[0][0] - label.x) - label.width / 2, abs(way[0][1] - label.y) - 7.0)
        assert 0 <= gap < 8
        assert way[-1] == label.line.back[-1]
        if label.line in cuts:
            assert cuts[label.line] < label.x < min(x for x, _ in way)


def starting_from(h_0: Any, T: int = 3) -> Any:
    """A network without biases, whose output matrix only the last step uses."""
    V, W, U = (tg.tensor(np.eye(2), requires_grad=True) for _ in range(3))
    V.name, W.name, U.name = "V", "W", "U"
    h = h_0
    for _, x in tg.steps(np.ones((T, 1, 2))):
        h = np.tanh(x @ V + h @ W)
        y_hat = h @ U
    return np.sum(y_hat)


@pytest.mark.parametrize("T", [1, 3])
@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("detail", ["operations", "cells"])
def test_a_gradient_goes_to_an_initial_state_that_wants_one_and_it_is_no_parameter(
    detail: str, folded: bool, T: int
) -> None:
    h_0 = tg.tensor(np.ones((1, 2)), requires_grad=True, name="h_0")
    scene = scene_of(starting_from(h_0, T), backward=True, detail=detail, folded=folded)
    assert {box.name for box in scene.boxes if box.kind == "parameter"} == {"V", "W", "U"}
    (box,) = (box for box in scene.boxes if box.kind == "initial")
    assert box.label == "h₀"
    (line,) = (line for line in scene.lines if line.source is box)
    assert line.adjoint
    assert line.kind == ("start" if folded and T > 1 else "initial")


@pytest.mark.parametrize("folded", [False, True])
def test_an_initial_state_that_is_learnt_stands_in_its_place_also_in_cells(folded: bool) -> None:
    h_0 = tg.Parameter(np.ones((1, 2)), name="h_0")
    scene = scene_of(starting_from(h_0), backward=True, detail="cells", folded=folded)
    box = find(scene, "h₀  1×2")
    assert box.kind == "parameter"
    (line,) = (line for line in scene.lines if line.source is box)
    assert line.adjoint
    assert line.target.label == ("1" if folded else "h₁")
    assert all("h_0" not in word for line in scene.lines for word, _ in line.words)


def test_no_gradient_passes_a_cut() -> None:
    scene = scene_of(LOOPS["truncated"](4), backward=True)
    time = [line for line in scene.lines if line.kind == "time"]
    assert [(line.source.label[1], line.adjoint) for line in time] == [
        ("₁", True), ("₂", False), ("₃", True)]  # fmt: skip


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("detail", ["operations", "cells"])
@pytest.mark.parametrize("name", [*NETWORKS, "cut"])
def test_the_way_back_runs_through_no_box(name: str, detail: str, turned: bool) -> None:
    T = 6 if detail == "cells" else 3
    L = NETWORKS[name](T) if name in NETWORKS else rnn(T, cut=2)
    for folded in (False, True):
        scene = scene_of(L, backward=True, detail=detail, folded=folded)
        if turned:
            scene.turn()
        route(scene, arrange(scene))
        if turned:
            scene.turn()
        assert any(line.back for line in scene.lines)
        assert all(bool(line.back) == (line.adjoint or line.learns) for line in scene.lines)
        assert faults(scene) == []


def test_a_flat_way_back_arrives_at_the_edge_that_the_line_leaves() -> None:
    scene = scene_of(rnn(6, cut=2), backward=True, detail="cells")
    route(scene, arrange(scene))
    for line in scene.lines:
        if line.target.kind == "total":
            loss, (x, y) = line.source, line.back[0]
            assert y == pytest.approx(loss.y + loss.height / 2)
            assert abs(x - loss.x) < loss.width / 2 - 4


def test_the_check_for_faults_finds_a_way_back_through_a_box() -> None:
    scene = scene_of(rnn(3), backward=True, detail="cells")
    route(scene, arrange(scene))
    line = next(line for line in scene.lines if line.target.kind == "total")
    line.back = [(x, y - 20) for x, y in line.back]
    line.back[0] = (line.back[0][0], line.source.y)
    y_2 = find(scene, "y₂")
    line.back[-1] = (y_2.x, y_2.y)
    assert any("goes through" in fault for fault in faults(scene))


@pytest.mark.parametrize("every", [1, 2])
def test_in_a_fold_a_gradient_goes_back_if_it_does_in_any_step(every: int) -> None:
    W, h = tg.Parameter(np.eye(2), name="W"), tg.tensor(np.zeros((1, 2)), name="h")
    losses = []
    for t, x in tg.steps(np.ones((6, 1, 2))):
        h = np.tanh(x + h @ W)
        losses.append(h.sum())
        if t % every == 0:
            h = h.detach()
    scene = scene_of(sum(losses), backward=True, folded=True)
    time = [line for line in scene.lines if line.kind == "time"]
    assert [line.adjoint for line in time] == [every == 2] * len(time)


@pytest.mark.parametrize("folded", [False, True])
def test_a_recorded_backward_pass_has_its_own_look_and_runs_back_in_time(folded: bool) -> None:
    roots = with_backward(LOOPS["sum"], 4)
    scene = scene_of(roots, folded=folded)
    names = {label.partition(" ")[0] for label in labels(scene)}
    assert {"dL/dV", "dL/dW", "dL/dU", "dL/db_h", "dL/db_y"} <= names
    back = [line for line in scene.lines
            if line.kind == "time" and line.target.backward and line.source.backward]  # fmt: skip
    assert back
    if not folded:
        assert {"dL/dh₁", "dL/dh₂"} <= names
        assert all(line.source.column > line.target.column for line in back)
    source = tg.draw(roots, folded=folded).source
    assert source.count('fillcolor="#F1E6F7"') == sum(
        box.backward for box in scene.boxes if box.kind != "delay"
    )


# ---------------------------------------------------------------------------------- the emphasis


def test_what_is_not_highlighted_is_pale() -> None:
    (L,) = lecture(3)
    states = [node for node in named(L, "h") if node.primitive]
    scene = scene_of(L, highlight=states)
    strong = [box.label for box in scene.boxes if box not in scene.pale]
    assert strong == ["h₁ = tanh", "h₂ = tanh", "h₃ = tanh"]
    assert not scene_of(L).pale


@pytest.mark.parametrize("folded", [False, True])
def test_a_path_is_its_boxes_and_its_lines(folded: bool) -> None:
    (L,) = lecture(3)
    (W,) = named(L, "W")
    path = next(p for p in tg.bptt.paths(L, W) if p.steps == [3, 2])
    scene = scene_of(L, highlight=path, folded=folded)
    rails = [line for line in scene.lines if line.source.name == "W" and line not in scene.pale]
    assert len(rails) == 1
    strong = [box.label for box in scene.boxes if box not in scene.pale]
    if folded:
        assert "1" in strong
    else:
        assert [label for label in strong if label.startswith("h")] == ["h₂ = tanh", "h₃ = tanh"]
        assert rails[0].target.column.step == 2
        time = [line for line in scene.lines if line.kind == "time" and line not in scene.pale]
        assert [line.source.label for line in time] == ["h₂ = tanh"]


# ------------------------------------------------------------------------------- numbers on lines


def test_contributions_are_written_at_the_uses() -> None:
    (L,) = lecture(3)
    (W,) = named(L, "W")
    found = tg.bptt.contributions(L, W)
    scene = scene_of(L)
    annotate(scene, found)
    written = [line.words[0][0] for line in scene.lines if line.source.name == "W"]
    assert written == [f"{use.norm:.2g}" for use in sorted(found, key=lambda use: use.step or 0)]
    widths = [line.width for line in scene.lines if line.words]
    assert max(widths) == 5.0
    assert sum(bool(line.words) for line in scene.lines) == 3


def test_jacobians_are_written_on_the_way_through_time() -> None:
    (L,) = lecture(4)
    states = [node for node in named(L, "h") if node.primitive]
    J = tg.bptt.jacobians(states)
    scene = scene_of(L)
    annotate(scene, [J])
    written = {line.source.label: line.words[0][0] for line in scene.lines if line.words}
    norms = [f"{np.linalg.norm(one, 2):.2g}" for one in J.one_step]
    assert written == dict(zip(("h₁ = tanh", "h₂ = tanh", "h₃ = tanh"), norms, strict=True))


def test_numbers_of_ones_own_are_given_by_source_and_reader() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True, name="x")
    y = np.tanh(x)
    scene = scene_of(y)
    annotate(scene, {(x, y): 0.25})
    assert [(line.words, line.width) for line in scene.lines] == [((("0.25", ""),), 5.0)]
    with pytest.raises(ValueError, match="dict of no line"):
        tg.draw(y, annotate={(y, x): 1.0})
    with pytest.raises(TypeError, match="takes contributions, jacobians or a mapping, not float"):
        tg.draw(y, annotate=0.5)


# ------------------------------------------------------------------------ letters, themes, legends


@pytest.mark.parametrize(
    ("notation", "names"),
    [
        ("lecture", ["V", "W", "U", "b_h", "b_y"]),
        ("goodfellow", ["U", "W", "V", "b", "c"]),
        ("karpathy", ["Wxh", "Whh", "Why", "bh", "by"]),
        ("pytorch", ["weight_ih", "weight_hh", "weight", "bias_ih", "bias"]),
    ],
)
def test_other_letters_change_the_labels_only(notation: str, names: list[str]) -> None:
    (L,) = lecture(2)
    scene = scene_of(L, notation=notation)
    assert sorted(box.name for box in scene.boxes if box.name) == sorted(names)
    assert lines(scene) == lines(scene_of(L))


def test_the_print_theme_is_black_and_white() -> None:
    source = tg.draw(lecture(2), theme="print", legend=True).source
    colors = set(re.findall(r"#[0-9A-F]{6}", source))
    assert all(len(set(re.findall("..", color[1:]))) == 1 for color in colors)
    assert "peripheries=2" in source


def test_the_legend_has_the_kinds_that_are_drawn() -> None:
    source = tg.draw(lecture(2), legend=True, folded=True).source
    assert "one step later" in source
    assert "named value" in source
    assert "one step later" not in tg.draw(lecture(2), legend=True).source


def test_every_kind_of_box_and_of_line_has_a_meaning() -> None:
    assert {*MEANING, "delay", "gap"} == set(_SHAPES)
    assert {*LINES, "initial"} == {*_LINES, "parameter"}


def explained(scene: Scene) -> set[str]:
    return {s.text or s.box.label for s in legend(scene) if s.text or s.box}  # type: ignore[union-attr]


def test_the_legend_explains_what_occurs_and_nothing_else() -> None:
    L = rnn(30, cut=2)
    (W,) = named(L, "W")
    scene = placed(L, backward=True, detail="cells", highlight=W)
    drawn = next(line for line in scene.lines if line.source.nodes and line.target.nodes)
    annotate(scene, {(drawn.source.nodes[0], drawn.target.nodes[0]): 1.0})
    words = explained(scene)
    assert words >= {
        "… steps …: left out", "through time", "the gradient, the other way",
        "pale: not highlighted", "//: cut, no gradient passes", "a value, read in its step",
        "a name on a line: a parameter, used there", "a number on a line, and its width: how large",
    }  # fmt: skip
    assert not words & {"operation", "in the first step", "a use of a parameter"}
    assert not any("backward pass" in word for word in words)
    plain = explained(placed(rnn(3)))
    assert plain == set(MEANING.values()) | {LINES[k] for k in ("plain", "parameter", "time")}
    assert explained(placed(rnn(3), folded=True)) == plain | {"1", "one step later", LINES["start"]}


def test_what_a_backward_pass_made_is_in_the_legend() -> None:
    L = rnn(3)
    (g,) = tg.grad(L, named(L, "W"), create_graph=True)
    samples = legend(placed(g, folded=True))
    purple = {sample.box.label for sample in samples if sample.box and sample.box.backward}
    assert purple == {"result", "made by a backward pass"}


def test_a_line_in_the_legend_is_drawn_beside_its_words() -> None:
    source = tg.draw(rnn(2), legend=True, backward=True).source
    lines = re.findall(r"(k\d+) -> \1 \[.*?pos=\"[es],([\d.-]+),([\d.-]+) ", source)
    assert len(lines) == 4
    for name, x, y in lines:
        at = re.search(rf'\t{name} \[.*pos="([\d.-]+),([\d.-]+)!".*width="?([\d.]+)', source)
        assert at is not None
        assert float(y) == float(at[2])
        assert float(x) <= float(at[1]) - float(at[3]) * 36  # where its words begin
    assert "named value" not in tg.draw(lecture(2)).source


@pytest.mark.parametrize("folded", [False, True])
def test_up_is_right_turned(folded: bool) -> None:
    (L,) = lecture(3)
    picture = tg.draw(L, direction="up", folded=folded)
    places = {label: tuple(map(float, place)) for label, *place in re.findall(
        r'label=(?:"|<)([^ "]+).*?pos="([\d.-]+),([\d.-]+)!"', picture.source)}  # fmt: skip
    x, h, y_hat = (places[c + ("ₜ" if folded else "₂")] for c in ("x", "h", "ŷ"))
    assert x[0] < h[0] < y_hat[0]
    assert x[1] == h[1]
    if not folded:
        assert places["h₁"][1] < places["h₂"][1] < places["h₃"][1]
        assert places["h₁"][0] == places["h₂"][0]


WAYS: dict[str, dict[str, Any]] = {
    "unrolled": {},
    "folded": {"folded": True},
    "cells": {"detail": "cells"},
    "folded cells": {"folded": True, "detail": "cells"},
    "up": {"direction": "up"},
    "folded up": {"folded": True, "direction": "up"},
    "shown": {"show": ("shapes", "values", "gradients"), "backward": True},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["sum", "lstm", "bidirectional", "truncated", "layer_after_layer"])
def test_a_recorded_backward_pass_is_drawn_without_overlaps_in_every_way(
    name: str, way: str
) -> None:
    scene = scene_of(with_backward(LOOPS[name], 3), **WAYS[way])
    up = WAYS[way].get("direction") == "up"
    if up:
        scene.turn()
    route(scene, arrange(scene))
    if up:
        scene.turn()
    assert faults(scene) == []


# ---------------------------------------------------------------------------------------- in words


def test_the_description_names_every_box_and_line() -> None:
    picture = tg.draw(lecture(3), title="The lecture", backward=True)
    words = picture.describe().splitlines()
    scene = placed(lecture(3))
    assert words[0].startswith(f"The lecture: {len(scene.boxes)} boxes and {len(scene.lines)}")
    assert len(words) == 1 + len(scene.boxes)
    forward = [line.partition("; gradient <- ")[0].partition("<- ")[2] for line in words]
    assert sum(len(re.findall(r"n\d+", line)) for line in forward) == len(scene.lines)
    said = {line.split()[0]: line for line in words[1:]}
    (state,) = (line for line in words if "state h₂ = tanh, step 2" in line)
    entry = re.findall(r"<- (n\d+)", state)[0]
    assert "operation +" in said[entry]


def test_the_description_of_a_fold_says_what_the_square_is() -> None:
    words = tg.draw(lecture(3), folded=True).describe()
    assert "the loop, folded" in words
    assert "t = 1 … 3" in words
    assert "black square: 1 step later" in words


def test_the_description_says_what_is_highlighted() -> None:
    L = lecture(3)[0]
    (W,) = named(L, "W")
    way = next(way for way in tg.bptt.paths(L, W) if way.steps == [3, 2])
    words = tg.draw(L, highlight=way).describe().splitlines()
    scene = scene_of(L, highlight=way)
    boxes = len(scene.boxes) - len(scene.pale.intersection(scene.boxes))
    lines = len(scene.lines) - len(scene.pale.intersection(scene.lines))
    assert f"Highlighted: {boxes} of the boxes, {lines} of the lines" in words[1]
    assert sum(", highlighted" in line for line in words) == boxes
    assert sum(line.count("highlighted)") for line in words) == lines
    (state,) = (line for line in words if "state h₃" in line)
    assert "step 3, highlighted  <-" in state
    assert "highlighted" not in next(line for line in words if "state h₁" in line)
    assert "highlighted" not in tg.draw(L).describe()


def test_a_notebook_gets_the_picture_and_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = tg.draw(lecture(1))
    monkeypatch.setattr(Picture, "_repr_svg_", lambda self: "<svg/>")
    assert picture._repr_mimebundle_() == {
        "text/plain": picture.describe(), "image/svg+xml": "<svg/>"
    }  # fmt: skip

    def fail(self: Picture) -> str:
        raise tg.GraphvizNotFound("none")

    monkeypatch.setattr(Picture, "_repr_svg_", fail)
    assert list(picture._repr_mimebundle_()) == ["text/plain"]


def test_an_svg_says_what_its_boxes_are() -> None:
    picture = tg.draw(lecture(1))
    try:
        svg = picture._repr_svg_()
    except tg.GraphvizNotFound:
        pytest.skip("no Graphviz engine")
    said = re.findall(r"<title>([^<]*)</title>", svg)
    assert "state h₁ = tanh, step 1" in said
    assert "parameter W  3×3" in said
    assert "x₁ → @" in said
    assert not [title for title in said if re.match(r"n\d", title)]


def test_the_same_options_give_the_same_text() -> None:
    def text() -> str:
        return tg.draw(lecture(4), show="shapes", backward=True, legend=True, folded=True).source

    assert text() == text()
    assert dot(placed(lecture(2)), check(**DEFAULTS)) == tg.draw(lecture(2)).source
