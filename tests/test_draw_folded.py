"""The folded picture, the elided one, and the lecture's boxes: what is drawn, and how it lies."""

from __future__ import annotations

import re
import time
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.draw.cells import contract
from tinygrad_rnn.draw.columns import LEFT
from tinygrad_rnn.draw.folded import of_fold
from tinygrad_rnn.draw.grid import arrange
from tinygrad_rnn.draw.options import Options
from tinygrad_rnn.draw.recorded import of_recording
from tinygrad_rnn.draw.routes import route
from tinygrad_rnn.draw.scene import Scene, compose
from tinygrad_rnn.engine.record import history

from .test_draw_scene import faults, find, labels, lecture, two_layers
from .test_fold import LOOPS, two_steps_back

NETWORKS = {**LOOPS, "two_steps_back": two_steps_back}


def scene_of(
    roots: Any, folded: bool = False, cells: bool = False, steps: tuple[int, int] | None = None
) -> Scene:
    roots = roots if isinstance(roots, list) else [roots]
    items = of_fold(roots) if folded else of_recording(roots, steps, 24)
    options = Options(folded=folded, detail="cells" if cells else "operations")
    scene = compose(contract(items) if cells else items, options)
    route(scene, arrange(scene))
    return scene


def squares(scene: Scene) -> list[tuple[str, str, list[str]]]:
    """The black squares: from which box, how many steps later, and to which boxes."""
    return [
        (line.source.label, square.label,
         [out.target.label for out in scene.lines if out.source is square])
        for square in scene.boxes if square.kind == "delay"
        for line in scene.lines if line.target is square and line.kind == "time"
    ]  # fmt: skip


# -------------------------------------------------------------------------------- every picture


@pytest.mark.parametrize("cells", [False, True], ids=["operations", "cells"])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("T", [1, 3, 8])
def test_a_folded_picture_has_no_overlaps(name: str, T: int, cells: bool) -> None:
    assert faults(scene_of(NETWORKS[name](T), folded=True, cells=cells)) == []


@pytest.mark.parametrize("cells", [False, True], ids=["operations", "cells"])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("T", [1, 3, 30])
def test_an_unrolled_picture_has_no_overlaps(name: str, T: int, cells: bool) -> None:
    assert faults(scene_of(NETWORKS[name](T), cells=cells)) == []


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_is_lost_in_a_fold(name: str) -> None:
    L = NETWORKS[name](6)
    drawn = {node for box in scene_of(L, folded=True).boxes for node in box.nodes}
    lost = [node for node in history(L) if node not in drawn and not hasattr(node, "cut")]
    assert lost == []


@pytest.mark.parametrize("name", NETWORKS)
def test_the_folded_picture_is_the_same_for_any_number_of_steps(name: str) -> None:
    def words(T: int) -> list[str]:
        return [re.sub(r"\b\d+\b|×\d+|[₀-₉]+", "", box.label)
                for box in scene_of(NETWORKS[name](T), folded=True).boxes]  # fmt: skip

    if name not in ("truncated", "by_index"):
        assert words(5) == words(9)


# ------------------------------------------------------------------------------------- the loop


def test_the_loop_of_the_lecture() -> None:
    scene = scene_of(lecture(6), folded=True)
    assert squares(scene) == [("hₜ = tanh", "1", ["@"])]
    assert [note.text for note in scene.notes] == ["t = 1 … 6"]
    assert labels(scene, "total") == ["L = Σ Lₜ"]
    assert labels(scene, "data") == ["xₜ", "yₜ"]
    assert labels(scene, "initial") == ["h₀"]
    assert "W  3×3  ×6" in labels(scene, "parameter")
    (start,) = (line for line in scene.lines if line.kind == "start")
    assert (start.source.label, start.target.label) == ("h₀", "1")
    square, h = start.target, find(scene, "hₜ = tanh")
    assert square.y == h.y
    assert h.x < square.x < start.source.x
    assert len({box.x for box in scene.boxes if box.label in ("xₜ", "hₜ = tanh", "ŷₜ")}) == 1
    assert all(box.x < h.x for box in scene.boxes if box.column == LEFT)


def test_the_lag_is_the_number_in_the_square() -> None:
    assert [square[1] for square in squares(scene_of(two_steps_back(6), folded=True))] == ["2"]


def test_a_state_that_reads_nothing_but_itself_is_a_loop_too() -> None:
    h = tg.tensor(np.ones(2), requires_grad=True, name="h")
    for _ in tg.steps(range(4)):
        h = np.tanh(h)
    scene = scene_of(h, folded=True)
    assert squares(scene) == [("hₜ = tanh", "1", ["hₜ = tanh"])]
    assert faults(scene) == []


def test_in_cells_the_ends_of_a_loop_have_no_line_of_their_own() -> None:
    (L,) = lecture(4)
    W = next(x for x in history(L) if getattr(x, "name", None) == "W")
    scene = scene_of([L, *tg.grad(L, W, create_graph=True)], folded=True, cells=True)
    ways = [line for line in scene.lines
            if (line.source.label, line.target.label) == ("dL/dŷₜ", "dL/dhₜ")]  # fmt: skip
    assert [line.words[0][0] for line in ways] == ["U"]  # h_T is read once, the others twice


def test_one_loop_stands_inside_the_other() -> None:
    scene = scene_of(LOOPS["lstm"](5), folded=True)
    inner, outer = sorted((b for b in scene.boxes if b.kind == "delay"), key=lambda b: b.y)
    assert inner.x < outer.x
    assert [square[0][0] for square in squares(scene)] == ["h", "c"]


def test_two_layers_have_two_loops() -> None:
    found = squares(scene_of(two_layers(4), folded=True))
    assert [(source, lag) for source, lag, _ in found] == [("h⁽¹⁾ₜ = tanh", "1"),
                                                           ("h⁽²⁾ₜ = tanh", "1")]  # fmt: skip


@pytest.mark.parametrize("folded", [False, True])
def test_layers_one_after_the_other_stand_one_above_the_other(folded: bool) -> None:
    scene = scene_of(LOOPS["layer_after_layer"](3), folded=folded)
    below, above = sorted({box.y for box in scene.boxes if box.kind == "state"})
    assert len([box for box in scene.boxes if box.label == "stack"]) == 1  # that before the loss
    assert not [box for box in scene.boxes if box.label.startswith("[")]
    states = [box for box in scene.boxes if box.kind == "state"]
    assert {box.x for box in states if box.y == below} == {box.x for box in states
                                                           if box.y == above}  # fmt: skip


def test_what_is_stacked_for_others_too_stays_a_stack() -> None:
    W, hs = tg.Parameter(np.eye(2), name="W"), []
    for _, x in tg.steps(np.ones((3, 1, 2))):
        hs.append(np.tanh(x @ W))
    stacked = tg.stack(hs)
    for _, h in tg.steps(stacked):
        s = np.tanh(h @ W)
    scene = scene_of(s.sum() + stacked.sum())
    assert "stacked = stack" in labels(scene)
    assert not [box for box in scene.boxes if box.label.startswith("[")]


def test_of_two_directions_the_mirrored_one_is_marked() -> None:
    scene = scene_of(LOOPS["bidirectional"](5), folded=True)
    assert [note.text for note in scene.notes] == ["t = 1 … 5", "t = 5 … 1, backwards"]
    assert len(squares(scene)) == 2
    assert [line.words[0][0] for line in scene.lines if line.words] == ["T + 1 − t"]


def test_unrolled_a_backward_direction_stands_above_and_its_time_runs_left() -> None:
    scene = scene_of(LOOPS["bidirectional"](4))
    time = [line for line in scene.lines if line.kind == "time"]
    right = [line for line in time if line.source.x < line.target.x]
    left = [line for line in time if line.source.x > line.target.x]
    assert len(right) == len(left) == 3
    assert max(line.source.y for line in right) < min(line.target.y for line in left)
    (last,) = (box for box in scene.boxes if box.label == "h₅")
    assert last.kind == "initial"


def test_cuts_are_marked_with_every_step() -> None:
    (cut,) = (line for line in scene_of(LOOPS["truncated"](7), folded=True).lines if line.cuts)
    assert cut.cuts == (2, 4, 6)
    unrolled = scene_of(LOOPS["truncated"](7))
    assert [line.source.label[1] for line in unrolled.lines if line.cuts] == ["₂", "₄", "₆"]
    assert {line.kind for line in unrolled.lines if line.cuts} == {"time"}


def test_a_state_that_was_cut_off_what_made_it_is_an_initial_state() -> None:
    W, h = tg.Parameter(np.eye(2), name="W"), tg.tensor(np.zeros((1, 2)), name="h")
    for t, x in tg.steps(np.ones((6, 1, 2))):
        h = np.tanh(x + h @ W)
        if t == 3:
            h = h.detach()
    scene = scene_of(h, folded=True)
    assert squares(scene) == [("hₜ = tanh", "1", ["@"])]
    assert labels(scene, "initial") == ["h₃"]
    assert faults(scene) == []


def test_what_is_no_loop_is_refused_by_the_fold() -> None:
    W, h = tg.Parameter(np.eye(2), name="W"), tg.tensor(np.zeros((1, 2)))
    for t, x in tg.steps(np.ones((6, 1, 2))):
        h = np.tanh(x + h @ W) if t != 3 else np.tanh(x - h @ W)
    with pytest.raises(ValueError, match="fold: step 3 differs"):
        tg.draw(h, folded=True)


# -------------------------------------------------------------------------------- left-out steps


@pytest.mark.parametrize("ends", [(1, 1), (3, 2), (2, 5)])
def test_shown_and_left_out_steps_add_up(ends: tuple[int, int]) -> None:
    scene = scene_of(lecture(12), steps=ends)
    gaps = {box.label for box in scene.boxes if box.kind == "gap"}
    assert gaps == {f"… {12 - sum(ends)} steps …"}
    assert len(labels(scene, "state")) == sum(ends)
    assert "W  3×3  ×12" in labels(scene, "parameter")
    assert faults(scene) == []


def test_the_path_through_time_goes_through_the_gap() -> None:
    scene = scene_of(lecture(12), steps=(2, 2))
    h2, h11 = find(scene, "h₂ = tanh"), find(scene, "h₁₁ = tanh")
    (gap,) = (line.target for line in scene.lines if line.source is h2 and line.kind == "time")
    assert gap.kind == "gap"
    assert h2.x < gap.x < h11.x
    assert [line.kind for line in scene.lines if line.source is gap] == ["time"]


def test_up_to_24_steps_are_drawn_unasked_and_of_more_a_few() -> None:
    assert len(labels(scene_of(lecture(24)), "state")) == 24
    assert len(labels(scene_of(lecture(25)), "state")) == 5


def test_many_steps_are_drawn_at_once() -> None:
    picture = tg.draw(lecture(3000))
    assert "… 2995 steps …" in picture.source
    assert picture.source.count("\n") < 200


@pytest.mark.parametrize("folded", [False, True])
def test_a_recording_of_100_000_nodes_is_drawn_in_seconds(folded: bool) -> None:
    w = tg.Parameter(1.0, name="w")
    h = tg.tensor(0.0, name="h")
    for _ in tg.steps(range(50_000)):
        h = np.tanh(w * h)
    start = time.perf_counter()
    picture = tg.draw(h, folded=folded)
    assert time.perf_counter() - start < 30
    assert ("t = 1 … 50000" if folded else "… 49995 steps …") in picture.source
    assert picture.source.count("\n") < 60


# --------------------------------------------------------------------------------------- the cells


def test_the_boxes_of_the_lecture() -> None:
    scene = scene_of(lecture(2), cells=True)
    kinds = ("data", "initial", "state", "value", "loss", "total")
    assert {kind: labels(scene, kind) for kind in kinds} == {
        "data": ["x₁", "y₁", "x₂", "y₂"], "initial": ["h₀"], "state": ["h₁", "h₂"],
        "value": ["ŷ₁", "ŷ₂"], "loss": ["L₁", "L₂"], "total": ["L = Σ Lₜ"],
    }  # fmt: skip
    assert not labels(scene, "operation")
    words = {(line.source.label, line.target.label): [word for word, _ in line.words]
             for line in scene.lines}  # fmt: skip
    assert words["x₁", "h₁"] == ["V", "b_h"]
    assert words["h₁", "h₂"] == words["h₀", "h₁"] == ["W"]
    assert words["h₁", "ŷ₁"] == ["U", "b_y"]
    assert words["ŷ₁", "L₁"] == words["y₁", "L₁"] == []


def test_a_penalty_is_no_way_from_the_states() -> None:
    W, U = tg.Parameter(np.eye(2), name="W"), tg.Parameter(np.eye(2), name="U")
    x = tg.tensor(np.ones((1, 2)), name="x")
    h = np.tanh(x @ W.T)
    scene = scene_of(np.sum(h @ U) + 0.1 * np.sum(W * W), cells=True)
    words = {(line.source.label[0], line.target.label): [word for word, _ in line.words]
             for line in scene.lines}  # fmt: skip
    assert words == {("x", "h"): ["W"], ("h", "+"): ["U"], ("W", "+"): []}
    assert faults(scene) == []


def test_the_cells_of_a_fold_are_a_loop_of_one_box() -> None:
    scene = scene_of(lecture(5), folded=True, cells=True)
    assert squares(scene) == [("hₜ", "1", ["hₜ"])]
    (back,) = (line for line in scene.lines if line.source.kind == "delay")
    assert [word for word, _ in back.words] == ["W"]


# ----------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"detail": "all"}, ValueError, "detail='all'; it is one of operations, cells"),
        ({"show": ("shapes", "colours")}, ValueError, "show='colours'; it is one of shapes"),
        ({"notation": "mine"}, ValueError, "notation='mine'; .*lecture, goodfellow"),
        ({"direction": "left"}, ValueError, "direction='left'; it is one of right, up"),
        ({"theme": "dark"}, ValueError, "theme='dark'; it is one of color, print"),
        ({"steps": 3}, ValueError, r"steps=3; .*such as \(3, 2\)"),
        ({"steps": (0, 2)}, ValueError, r"steps=\(0, 2\); .*such as \(3, 2\)"),
        ({"steps": (3, 2)}, ValueError, "asks for 5 steps .* its longest loop has 4"),
        ({"steps": (1, 1), "folded": True}, ValueError, "steps are those of the unrolled"),
        ({"highlight": 3}, TypeError, "highlight has int, and takes tensors"),
        ({"colour": "red"}, TypeError, "unexpected keyword argument 'colour'"),
    ],
)
def test_a_wrong_option_is_one_clear_error(
    options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        tg.draw(lecture(4), **options)


def test_steps_of_what_has_none_are_refused() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match="asks for 2 steps of a recording; it has none"):
        tg.draw(x * x, steps=(1, 1))
