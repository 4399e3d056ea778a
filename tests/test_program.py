"""The derived program: equal to running the function, in all spellings; and its text."""

from __future__ import annotations

import copy
import subprocess
import sys
import types
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.program import Program

from . import test_fold as loops
from .networks import NETWORKS, Sizes
from .programs import random_program

CLOSE = 1e-12  # relative, in float64


def leaves(tree: Any) -> list[np.ndarray]:
    if isinstance(tree, (list, tuple)):
        return [leaf for part in tree for leaf in leaves(part)]
    return [tree.numpy() if isinstance(tree, tg.Tensor) else np.asarray(tree)]


def tensors(args: Any) -> list[Any]:
    return [x if isinstance(x, tg.Tensor) else tg.tensor(x) for x in args]


def gradients(parameters: Any) -> list[np.ndarray | None]:
    return [None if p.grad is None else p.grad.numpy() for p in parameters]


def forget(parameters: Any) -> None:
    for p in parameters:
        p.zero_grad()


def agree(f: Callable[..., Any], args: Any, parameters: Any, close: float = CLOSE) -> Program:
    """Running a function, running its program, and running the program's text by itself."""
    everything = [*parameters, *(x for x in args if isinstance(x, tg.Tensor) and x.requires_grad)]
    forget(everything)
    wanted = [*leaves(f(*tensors(args))), *gradients(everything)]
    program = tg.compile(f)
    for _ in range(3):
        forget(everything)
        found = [*leaves(program(*args)), *gradients(everything)]
        equal(found, wanted, close)
    forget(everything)
    derived = program._last
    assert derived is not None
    assert derived.prepare is not None, derived.why
    given = [x.numpy() if isinstance(x, tg.Tensor) else x for x in args]
    given += [x.numpy() for x in derived.captured] + derived.constants
    before = [x.copy() for x in given]
    space: dict[str, Any] = {}
    exec(program.source, space)
    alone = space[f.__name__](*given)
    for x, y in zip(given, before, strict=True):
        assert np.array_equal(x, y), "the program wrote to an argument"
    equal([np.asarray(x) for x in alone[: derived.returned]], wanted[: derived.returned], close)
    return program


def equal(found: list[Any], wanted: list[Any], close: float) -> None:
    for a, b in zip(found, wanted, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            np.testing.assert_allclose(a, b, rtol=close, atol=close * max(np.abs(b).max(), 1e-300))


# ---------------------------------------------------------------------------------------- agreement

SIZES = [Sizes(2, 3, 4, 5, 9), Sizes(1, 1, 1, 2, 4), Sizes(2, 3, 5, 4, 1), Sizes(4, 4, 4, 4, 3)]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_a_program_is_equal_to_the_function(name: str, sizes: Sizes) -> None:
    f, args, parameters = NETWORKS[name](sizes)
    program = agree(f, args, parameters)
    derived = program._last
    assert derived is not None
    assert not derived.why, derived.why
    if sizes.T >= 4 and "no steps" not in name:
        assert derived.facts["loops"] >= 1
        assert derived.facts["loops"] <= 4


@pytest.mark.parametrize("spelling", loops.LOOPS)
@pytest.mark.parametrize("T", [7])
def test_all_spellings_of_the_fold(spelling: str, T: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network = loops.LOOPS[spelling]
    made: dict[Any, tg.Parameter] = {}
    original = loops.parameter

    def parameter(name: str, *shape: int) -> tg.Parameter:
        return made.setdefault((name, shape), original(name, *shape))

    monkeypatch.setattr(loops, "parameter", parameter)
    monkeypatch.setattr(loops, "data", lambda T: current)
    x, y = np.random.default_rng(T).standard_normal((T, loops.B, loops.D)), None
    y = np.random.default_rng(T).integers(0, loops.K, (T, loops.B))
    current: Any = (tg.tensor(x, name="x"), y)
    network(T)
    parameters = list(made.values())

    def step(x: Any, y: Any) -> Any:
        nonlocal current
        assert len(parameters)
        current = (x, y)
        L = network(T)
        L.backward()
        return L

    agree(step, (x, y), parameters)


def test_single_precision() -> None:
    for name in ("lecture", "LSTM", "GRU", "embedding"):
        f, args, parameters = NETWORKS[name](Sizes(3, 4, 5, 6, 7), np.float32)
        agree(f, args, parameters, close=2e-5)


def test_all_spellings_of_a_loss_are_one_program() -> None:
    sources = set()
    for name in ("lecture", "total + loss", "total - log p", "loss with add_n"):
        f, args, parameters = NETWORKS[name](Sizes(2, 3, 4, 5, 6))
        program = agree(f, args, parameters)
        source = program.source
        sources.add(len(program._last.facts) and source.count("\n    for "))  # type: ignore[union-attr]
    assert sources == {2}


# ----------------------------------------------------------------------------------------- the text


def test_the_program_of_the_lecture_as_text() -> None:
    f, args, parameters = NETWORKS["lecture"](Sizes(2, 3, 4, 5, 9))
    assert agree(f, args, parameters).source == LECTURE


def test_the_text_runs_by_itself(tmp_path: Path) -> None:
    f, args, parameters = NETWORKS["lecture"](Sizes(2, 3, 4, 5, 9))
    source = agree(f, args, parameters).source
    names = ["x", "y", "h0", "V", "W", "U", "b_h", "b_y"]
    arrays = [*args, *(p.numpy() for p in parameters)]
    np.savez(tmp_path / "data.npz", **dict(zip(names, arrays, strict=True)))
    run = f"""
data = np.load("data.npz")
L, *_ = step(*(data[name] for name in {names}))
print(repr(float(L)))
"""
    (tmp_path / "program.py").write_text(source + run, encoding="utf-8")
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert float(done.stdout) == pytest.approx(f(*tensors(args)).item(), rel=1e-12)


def test_nothing_to_show_before_the_first_call() -> None:
    program = tg.compile(lambda x: x)
    with pytest.raises(RuntimeError, match="call the program first"):
        program.source  # noqa: B018


# ---------------------------------------------------------------------------------------- semantics


def small() -> tuple[Any, Any, tg.Parameter]:
    W = tg.Parameter(np.eye(2) / 2, name="W")

    def f(x: Any) -> Any:
        h = x[0]
        for _, x_t in tg.steps(x):
            h = np.tanh(x_t + h @ W)
        L = (h * h).sum()
        L.backward()
        return L

    return f, np.arange(10.0).reshape(5, 1, 2) / 10, W


def test_gradients_accumulate() -> None:
    f, x, W = small()
    f(tg.tensor(x))
    once = W.grad.numpy()  # type: ignore[union-attr]
    program = tg.compile(f)
    program(x)
    np.testing.assert_allclose(W.grad.numpy(), 2 * once)  # type: ignore[union-attr]
    program(x)
    np.testing.assert_allclose(W.grad.numpy(), 3 * once)  # type: ignore[union-attr]


def test_gradients_that_f_forgets_first_do_not_accumulate() -> None:
    f, x, W = small()

    def fresh(x: Any) -> Any:
        W.zero_grad()
        return f(x)

    program = tg.compile(fresh)
    program(x)
    once = W.grad.numpy()  # type: ignore[union-attr]
    program(x)
    np.testing.assert_array_equal(W.grad.numpy(), once)  # type: ignore[union-attr]


def test_parameters_are_read_as_they_are() -> None:
    f, x, W = small()
    program = tg.compile(f)
    program(x)
    W.data[...] = 0.1  # it can be written to: nothing holds it
    assert program(x).item() == pytest.approx(f(tg.tensor(x)).item(), rel=1e-12)
    W.data = np.array([[0.2, 0.1], [0.0, -1.0]])
    assert program(x).item() == pytest.approx(f(tg.tensor(x)).item(), rel=1e-12)


def test_results_are_the_callers_own() -> None:
    f, x, W = small()
    program = tg.compile(lambda x: (f(x), x, W, W @ W))
    L, same, parameter, square = program(x)
    grad = W.grad
    same.data[...] = 7
    parameter.data[...] = 9
    square.data[...] = 9
    assert x[0, 0, 1] == 0.1
    assert W.numpy()[0, 0] == 0.5
    L2, *_ = program(2 * x)
    assert L.item() != L2.item()
    assert grad is not W.grad


def test_a_replaced_parameter() -> None:
    model = tg.nn.RNNCell(2, 2, dtype=np.float64, rng=np.random.default_rng(0))

    def f(x: Any) -> Any:
        outputs, _ = tg.nn.unroll(model, x)
        L = outputs.sum()
        L.backward()
        return L

    x = np.ones((4, 1, 2))
    program = tg.compile(f)
    program(x)
    old = model.W
    before = old.grad.numpy()  # type: ignore[union-attr]
    model.W = tg.Parameter(old.numpy() * 2)
    found = program(x).item()
    np.testing.assert_array_equal(old.grad.numpy(), before)  # type: ignore[union-attr]
    g = model.W.grad.numpy()  # type: ignore[union-attr]
    model.W.zero_grad()
    assert f(tg.tensor(x)).item() == pytest.approx(found, rel=1e-12)
    np.testing.assert_allclose(model.W.grad.numpy(), g)  # type: ignore[union-attr]


def test_what_is_closed_over_and_changes_is_never_stale() -> None:
    W = tg.Parameter(np.eye(2), name="W")
    y = np.zeros(2)
    settings = {"scale": 1.0}

    def f(x: Any) -> Any:
        return ((x @ W - y) * settings["scale"]).sum()

    program = tg.compile(f)
    x = np.ones((3, 2))
    assert program(x).item() == 6
    y[...] = 1
    assert program(x).item() == 0
    settings["scale"] = 2.0
    y[...] = 0
    assert program(x).item() == 12


class Settings:
    scale = 1.0

    @property
    def twice(self) -> float:
        return 2 * self.scale


class Slotted:
    __slots__ = ("scale", "unset")


CHANGES: dict[str, tuple[Any, Callable[[Any], Any], Callable[[Any, float], Any]]] = {
    "class": (Settings, lambda k: k.scale, lambda k, n: setattr(k, "scale", n)),
    "class of an instance": (
        Settings(), lambda k: k.twice, lambda k, n: setattr(Settings, "scale", n),
    ),
    "slot": (Slotted(), lambda k: k.scale, lambda k, n: setattr(k, "scale", n)),
    "set": ({1.0}, max, lambda k, n: (k.clear(), k.add(n))),
    "deque": (deque([1.0]), lambda k: k[0], lambda k, n: k.__setitem__(0, n)),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_settings_of_all_kinds_are_never_stale(name: str) -> None:
    settings, read, change = CHANGES[name]
    program = tg.compile(lambda x: (x * read(settings)).sum())
    for n in (1.0, 5.0, 5.0, 3.0):
        change(settings, n)
        wanted = 2 * read(settings)
        assert program(np.ones(2)).item() == wanted


class Batch:
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, x: Any) -> None:
        self.x = x


def test_objects_among_the_arguments_are_never_stale() -> None:
    w = tg.Parameter(np.full(2, 2.0), name="w")
    program = tg.compile(lambda batch: (w * batch.x).sum())
    for n in range(4):  # each has the place in memory of the one before
        assert program(Batch(np.full(2, float(n)))).item() == 4 * n
    batch = Batch(np.ones(2))
    for n in (1, 2):
        batch.x[...] = n
        assert program(batch).item() == 4 * n
    drop = tg.nn.Dropout(0.5, rng=np.random.default_rng(0))
    program = tg.compile(lambda layer, x: layer(x) * 1)
    assert 0 in program(drop, np.ones(20)).numpy()
    drop.eval()
    np.testing.assert_array_equal(program(drop, np.ones(20)).numpy(), np.ones(20))
    program = tg.compile(lambda members, x: (x * len(members)).sum())
    members = {1}
    for n in (1, 2):
        members.add(n)
        assert program(members, np.ones(1)).item() == n


def test_a_model_among_the_arguments() -> None:
    cell = tg.nn.RNN(2, 2, dtype=np.float64, rng=np.random.default_rng(0))

    def f(model: Any, x: Any) -> Any:
        L = model(x)[0].sum()
        L.backward()
        return L

    program = tg.compile(f)
    x = np.ones((12, 1, 2))
    for _ in range(2):
        forget(cell.parameters())
        wanted = f(cell, tg.tensor(x)).item(), gradients(cell.parameters())
        forget(cell.parameters())
        assert program(cell, x).item() == pytest.approx(wanted[0], rel=CLOSE)
        equal(gradients(cell.parameters()), wanted[1], CLOSE)
        cell.cells[0].W = tg.Parameter(np.eye(2))
    assert "for any number of steps" in program.source


def test_a_tensor_that_is_returned_inside_an_object() -> None:
    W = tg.Parameter(np.eye(2), name="W")

    def f(x: Any) -> Any:
        y = x @ W
        return y.sum(), Batch(y)

    program = tg.compile(f)
    for n in (1.0, 2.0):
        total, result = program(np.full((1, 2), n))
        assert total.item() == 2 * n
        np.testing.assert_array_equal(result.x.detach().numpy(), [[n, n]])
    with pytest.raises(RuntimeError, match="is returned inside an object"):
        program.source  # noqa: B018


def from_detached(x: Any, W: Any) -> Any:
    return (x[0] @ W).detach().sum()


def from_a_detached_parameter(x: Any, W: Any) -> Any:
    return (x.detach().detach() * W.detach()[0]).sum()


def towards_a_target(x: Any, W: Any) -> Any:
    h: Any = np.zeros((1, 2))
    L: Any = 0
    for _, x_t in tg.steps(x):
        after = np.tanh(x_t + h @ W)
        L = L + ((h - np.sin(after @ W).detach()) ** 2).sum()
        h = after
    return L


def straight_through(x: Any, W: Any) -> Any:
    y = np.tanh(x @ W)
    return (y + (np.sign(y) - y).detach()).sum()


DETACHED = [from_detached, from_a_detached_parameter, towards_a_target, straight_through]


@pytest.mark.parametrize("f", DETACHED, ids=lambda f: f.__name__)
@pytest.mark.parametrize("T", [5, 12])
def test_what_only_a_detached_copy_leads_to(f: Any, T: int) -> None:
    W = tg.Parameter(np.eye(2) / 2, name="W")

    def step(x: Any) -> Any:
        L = f(x, W)
        if L.requires_grad:
            L.backward()
        return L

    program = tg.compile(step)
    for n in range(3):
        x = np.random.default_rng(n).standard_normal((T, 1, 2))
        forget([W])
        wanted = step(tg.tensor(x)), *gradients([W])
        forget([W])
        found = program(x), *gradients([W])
        equal(leaves(found[0]), leaves(wanted[0]), CLOSE)
        equal(found[1:], wanted[1:], CLOSE)
        W.data = 1.1 * W.numpy()


def test_a_state_that_is_kept_outside_is_an_error() -> None:
    _, x, W = small()
    carried = {"h": tg.tensor(np.zeros((1, 2)))}
    h: Any = tg.tensor(np.zeros((1, 2)))

    def in_a_dict(x: Any) -> Any:
        h = carried["h"]
        for _, x_t in tg.steps(x):
            h = np.tanh(x_t + h @ W)
        carried["h"] = h.detach()
        return h.sum()

    def in_a_variable(x: Any) -> Any:
        nonlocal h
        for _, x_t in tg.steps(x):
            h = np.tanh(x_t + h @ W)
        h = h.detach()
        return h.sum()

    for f, where in ((in_a_dict, "'h'"), (in_a_variable, "a variable outside")):
        with pytest.raises(RuntimeError, match=f"puts another one in its place, at {where}"):
            tg.compile(f)(x)


def test_what_a_hook_reads_is_never_stale() -> None:
    settings = {"scale": 2.0}
    w = tg.Parameter(np.ones(2), name="w")
    w.register_hook(lambda g: settings["scale"] * g)

    def f(x: Any) -> Any:
        L = (x * w).sum()
        L.backward()
        return L

    program = tg.compile(f)
    for n in (2.0, 5.0):
        settings["scale"] = n
        w.zero_grad()
        program(np.ones(2))
        np.testing.assert_array_equal(w.grad.numpy(), [n, n])  # type: ignore[union-attr]


def test_a_frozen_parameter_and_a_hook() -> None:
    f, x, W = small()
    U = tg.Parameter(np.eye(2), name="U")

    def g(x: Any) -> Any:
        L = f(x) + (x @ U).sum()
        (x @ U).sum().backward()
        return L

    program = tg.compile(g)
    program(x)
    once = U.grad.numpy()  # type: ignore[union-attr]
    U.register_hook(lambda g: 2 * g)
    U.zero_grad()
    program(x)
    np.testing.assert_allclose(U.grad.numpy(), 2 * once)  # type: ignore[union-attr]
    W.requires_grad = False
    W.zero_grad()
    with pytest.raises(RuntimeError, match="nothing that requires_grad"):
        program(x)


def test_within_other_recordings() -> None:
    W = tg.Parameter(np.eye(2) / 2, name="W")
    inner = tg.compile(lambda x: np.tanh(x @ W))
    x = np.ones((3, 2))
    inner(x)

    def outer(x: Any) -> Any:
        L = inner(x * 2).sum()
        L.backward()
        return L

    program = tg.compile(outer)  # which records through the inner function
    assert program(x).item() == program(x).item() == pytest.approx(6 * np.tanh(1.0))
    np.testing.assert_allclose(W.grad.numpy(), 2 * 3 * 2 * (1 - np.tanh(1.0) ** 2))  # type: ignore[union-attr]
    x_grad = tg.tensor(x, requires_grad=True)
    L = inner(x_grad * 2).sum()  # a part of a graph that goes on before it
    L.backward()
    assert x_grad.grad is not None
    with tg.no_grad():
        assert not inner(x).requires_grad
    with tg.trace_errors():
        assert inner(x).requires_grad


def test_other_shapes_lengths_and_dtypes() -> None:
    f, _, _ = NETWORKS["lecture"](Sizes(2, 3, 4, 5, 6))
    program = tg.compile(f)
    rng = np.random.default_rng(1)
    for T, B in ((6, 2), (12, 2), (3, 2), (12, 5), (1, 1), (6, 2)):
        x, y = rng.standard_normal((T, B, 3)), rng.integers(0, 5, (T, B))
        h = rng.standard_normal((B, 4))
        wanted = f(*tensors((x, y, h)))
        assert program(x, y, h).item() == pytest.approx(wanted.item(), rel=1e-12)
        single = program(x.astype(np.float32), y.astype(np.int32), h)
        assert single.item() == pytest.approx(wanted.item(), rel=1e-5)


def test_keywords_lists_and_flags() -> None:
    W = tg.Parameter(np.eye(2), name="W")

    def f(xs: Any, *, twice: bool = False, **more: Any) -> Any:
        y = (xs[0] @ W + xs[1]).sum() + more["z"].sum()
        return {"y": 2 * y if twice else y, "shape": xs[0].shape}

    program = tg.compile(f)
    xs = [np.ones((2, 2)), np.ones((2, 2))]
    z = np.zeros(3)
    assert program(xs, z=z)["y"].item() == 8
    assert program(xs, twice=True, z=z)["y"].item() == 16
    assert program(xs, twice=False, z=z + 1)["y"].item() == 11
    assert program(xs, z=z)["shape"] == (2, 2)


READINGS: dict[str, Callable[[tg.Tensor], Any]] = {
    "copy": lambda L: copy.deepcopy(L.detach()),
    "item": lambda L: L.item(), "float": lambda L: float(L), "if": lambda L: 1 if L > 3 else 2,
    "print": lambda L: f"{L}", "numpy": lambda L: L.numpy(), "data": lambda L: L.data,
    "asarray": lambda L: np.asarray(L.detach()), "tensor": lambda L: tg.tensor(L),
    "int": lambda L: int(L), "all": lambda L: np.all(L), "jacobian": lambda L: tg.jacobian(L, L),
}  # fmt: skip


@pytest.mark.parametrize("how", READINGS)
def test_reading_a_value_while_recording_is_an_error(how: str) -> None:
    W = tg.Parameter(np.eye(2), name="W")

    def f(x: Any) -> Any:
        L = (x @ W).sum()
        READINGS[how](L)
        return L

    with pytest.raises(RuntimeError, match="recorded by compile"):
        tg.compile(f)(np.ones((2, 2)))
    READINGS[how]((tg.tensor(np.ones((2, 2))) @ W).sum())  # and outside it is none


def test_bad_functions() -> None:
    with pytest.raises(TypeError, match="returned float, and no tensor"):
        tg.compile(lambda x: 3.0)(np.ones(2))
    with pytest.raises(TypeError, match="not a function"):
        tg.compile(3)  # type: ignore[arg-type]

    def broken(x: Any) -> Any:
        raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"):
        tg.compile(broken)(np.ones(2))
    f, args, _ = NETWORKS["lecture"](Sizes(2, 3, 4, 5, 6))
    with pytest.raises(ValueError, match="matmul"):
        tg.compile(f)(args[0][:, :, :2], *args[1:])


def test_classes_out_of_range() -> None:
    for name in ("lecture", "embedding"):
        f, args, parameters = NETWORKS[name](Sizes(2, 3, 4, 5, 6))
        program = agree(f, args, parameters)
        for wrong in (-1, 5):
            for i, x in enumerate(args):
                if x.dtype.kind == "i":
                    bad = x.copy()
                    bad[2, 1] = wrong
                    with pytest.raises(IndexError):
                        program(*args[:i], bad, *args[i + 1 :])


def test_what_is_no_loop_is_a_list_of_operations() -> None:
    W = tg.Parameter(np.eye(2) / 2, name="W")

    def f(x: Any) -> Any:
        h = x[0]
        for t, x_t in tg.steps(x):
            h = np.tanh(x_t + h @ W) if t != 3 else np.sin(h)
        L = h.sum()
        L.backward()
        return L

    program = agree(f, (np.ones((6, 1, 2)),), [W])
    assert program.source.count("np.tanh") == 5
    assert "for t in" not in program.source


def test_a_tensor_from_nowhere_runs_the_function() -> None:
    def make() -> Any:
        keeper = {"w": tg.Parameter(np.eye(2), name="W")}
        view = types.MappingProxyType(keeper)
        return (lambda x: (x @ view["w"]).sum()), keeper

    f, keeper = make()
    program = tg.compile(f)
    x = np.ones((2, 2))
    assert program(x).item() == 4
    keeper["w"] = tg.Parameter(np.zeros((2, 2)))
    assert program(x).item() == 0
    with pytest.raises(RuntimeError, match="no program was derived"):
        program.source  # noqa: B018


shadow = [np.zeros(3)]


def test_an_attribute_is_not_the_global_of_its_name() -> None:
    class Model:
        shadow = tg.Parameter(np.ones(3))

    model = Model()

    def f(x: Any) -> Any:
        return (x * model.shadow).sum()

    program = tg.compile(f)
    assert program(np.ones(3)).item() == 3
    assert program._last is not None
    first = program._last.prepare
    shadow[0] = np.ones(3)
    assert program(np.ones(3)).item() == 3
    assert program._last.prepare is first


def test_gradients_that_are_equal_are_two_arrays() -> None:
    a, b = tg.Parameter(np.ones((2, 3)), name="a"), tg.Parameter(np.ones((2, 3)), name="b")

    def f(x: Any) -> Any:
        loss = (a @ x + b @ x).sum()
        loss.backward()
        return loss, loss

    x = np.random.default_rng(0).standard_normal((3, 3))
    program = tg.compile(f)
    program(x)
    assert a.grad is not None
    assert b.grad is not None
    assert not np.shares_memory(a.grad.array, b.grad.array)
    tg.optim.clip_grad_norm([a, b], 0.5)  # in place
    assert tg.optim.clip_grad_norm([a, b], 1.0) == pytest.approx(0.5)
    assert "Returns loss, loss, db, db." in " ".join(program.source.split())


@pytest.mark.parametrize("seed", range(6))
def test_random_programs(seed: int) -> None:
    drawn = random_program(seed)
    inputs = [tg.tensor(x, requires_grad=True) for x in drawn.arrays]

    def f(*xs: Any) -> Any:
        L = drawn.run(xs)
        L.backward()
        return L

    agree(f, inputs, [], close=1e-9)


def test_a_logarithm_of_sigmoid_is_exact_in_the_tail() -> None:
    W = tg.Parameter(np.full((2, 2), -20.0), name="W")

    def f(x: Any) -> Any:
        L = np.log(tg.sigmoid(x @ W)).sum()
        L.backward()
        return L

    agree(f, (np.ones((3, 2)),), [W])


def test_parts_that_change_places_between_two_arrays() -> None:
    rng = np.random.default_rng(0)
    V, W = (
        tg.Parameter(rng.standard_normal((n, 8)), name=name) for name, n in (("V", 3), ("W", 4))
    )

    def step(x, h):  # type: ignore[no-untyped-def]
        L = 0
        for _, x_t in tg.steps(x):
            v = x_t @ V
            w = h @ W
            a = v[:, :4] + w[:, 4:]
            g = v[:, 4:] + w[:, :4]
            h = np.tanh(a) * tg.sigmoid(g)
            L = L + (h * h).sum()
        L.backward()
        return L

    text = agree(step, (rng.standard_normal((6, 2, 3)), np.zeros((2, 4))), [V, W]).source
    assert "    dv[:, :, :4] = dw[:, :, 4:]\n    dv[:, :, 4:] = dw[:, :, :4]\n" in text


def test_a_name_with_the_step_in_it_is_not_given_another() -> None:
    W, U = (tg.Parameter(np.eye(3), name=name) for name in "WU")

    def step(x, y, h):  # type: ignore[no-untyped-def]
        L = 0
        h_t = h
        for _, x_t, y_t in tg.steps(x, y):
            h_t = np.tanh(x_t + h_t @ W)
            L_t = tg.cross_entropy(h_t @ U, y_t)
            L = L + L_t
        L.backward()
        return L

    args = np.ones((6, 2, 3)), np.ones((6, 2), int), np.zeros((2, 3))
    text = agree(step, args, [W, U]).source
    assert "# h_t = tanh(" in text
    assert "    h[0] = h0\n" in text
    assert "# L = Σ_t L_t\n    L = L_t.sum(axis=0)\n" in text  # L is another one
    assert "_t_" not in text


LECTURE = '''\
import numpy as np


def step(x, y, h0, V, W, U, b_h, b_y, empty=np.empty):
    """What step computes, for any number of steps, derived from a recording of 7 steps.

    x: (T, B, D)   y: (T, B)   h0: (B, H)   V: (D, H)   W: (H, H)   U: (H, K)   b_h: (H,)
    b_y: (K,)

    Returns L, db_y, db_h, dW, dV, dU.
    """
    T, B, D = x.shape
    H, K = U.shape
    if y.min() < 0:
        raise IndexError("y: a number below 0")

    # a_t = x_t V + b_h                                   all steps at once
    a = empty((T + 1, B, H), np.float64)
    np.dot(x.reshape(-1, D), V, out=a[1:].reshape(-1, H))
    a[1:] += b_h

    # h_t = tanh(a_t + h_{t-1} W)                         one step after another
    r = empty((B, H), np.float64)
    h = a  # h_t takes the place of a_t
    h[0] = h0
    h_before = h[0]
    for h_t in h[1:]:
        np.dot(h_before, W, out=r)
        h_t += r
        np.tanh(h_t, out=h_t)
        h_before = h_t

    # z_t = h_t U + b_y                                   all steps at once
    z = empty((T, B, K), np.float64)
    np.dot(h[1:].reshape(-1, H), U, out=z.reshape(-1, K))
    z += b_y

    # loss_t = −log softmax(z_t)[y_t], the mean over the batch  all steps at once
    z -= z.max(axis=-1, keepdims=True)
    each = np.arange(T * B)
    classes = y.reshape(-1)
    picked = z.reshape(-1, K)[each, classes].reshape(y.shape)
    e = z  # e_t takes the place of z_t
    np.exp(e, out=e)
    s = np.dot(e.reshape(-1, K), np.ones(K, np.float64)).reshape(e.shape[:-1])
    loss = (np.log(s) - picked).sum(axis=1) / B

    # L = Σ_t loss_t
    L = loss.sum(axis=0)

    # dz_t = (softmax(z_t) − one_hot(y_t)) / B            all steps at once
    dz = e  # dz_t takes the place of e_t
    dz *= (1 / B / s)[..., None]
    dz.reshape(-1, K)[each, classes] -= 1 / B

    # db_y = Σ_t dz_t
    ones = np.ones(T * B, np.float64)
    db_y = np.dot(ones, dz.reshape(-1, K))

    # dU = Σ_t h_tᵀ dz_t                                  the sum over all steps, as one product
    dU = np.dot(h[1:].reshape(-1, H).T, dz.reshape(-1, K))

    # dh_t = dz_t Uᵀ + …                                  all steps at once
    W_T = np.ascontiguousarray(W.T)
    dh = empty((T, B, H), np.float64)
    np.dot(dz.reshape(-1, K), U.T, out=dh.reshape(-1, H))

    # slope_t = 1 − h_t²                                  all steps at once
    slope = empty((T, B, H), np.float64)
    np.multiply(h[1:], h[1:], out=slope)
    np.subtract(1, slope, out=slope)

    # dh_t = da_{t+1} Wᵀ + dz_t Uᵀ                        back in time
    # da_t = dh_t · slope_t
    da = dh  # da_t takes the place of dh_t
    for t, da_t, slope_t in zip(range(T, 0, -1), da[::-1], slope[::-1]):
        if t < T:
            np.dot(da_after, W_T, out=r)
            da_t += r
        da_t *= slope_t
        da_after = da_t

    # db_h = Σ_t da_t
    db_h = np.dot(ones, da.reshape(-1, H))

    # dW = Σ_t h_{t-1}ᵀ da_t                              the sum over all steps, as one product
    dW = np.dot(h[:T].reshape(-1, H).T, da.reshape(-1, H))

    # dV = Σ_t x_tᵀ da_t                                  the sum over all steps, as one product
    dV = np.dot(x.reshape(-1, D).T, da.reshape(-1, H))

    return L, db_y, db_h, dW, dV, dU
'''


def test_the_report_of_an_empty_batch() -> None:
    f, x, _ = small()
    program = tg.compile(f)
    program(x[:, :0])
    assert "floating-point operations" in program.report(times=True)
