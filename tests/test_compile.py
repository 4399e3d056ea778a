"""A call of a compiled function does what the function would do now, and not what it did before."""

from __future__ import annotations

import copy
import types
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg

from .agreement import CLOSE, agree, equal, forget, gradients, leaves, tensors
from .networks import NETWORKS, Sizes


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


@pytest.mark.parametrize("T", [5, 12])
def test_a_state_that_is_kept_outside_is_an_error(T: int) -> None:
    _, x, W = small()
    x = np.resize(x, (T, 1, 2))
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
                    with pytest.raises(IndexError, match=rf"{wrong} at \(1,\) is not in 0 … 4"):
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
    assert "for " not in program.source


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


@pytest.mark.parametrize("H", [1, 3])
def test_a_transposed_parameter_is_no_result_as_it_is(H: int) -> None:
    """Where it is in order already, it would be the parameter's own memory: an optimizer that
    moves the parameter would change a gradient."""
    rng = np.random.default_rng(0)
    W = tg.Parameter(np.asfortranarray(rng.standard_normal((H, H))), name="W")
    P = tg.Parameter(rng.standard_normal((H, H)), name="P")

    def f(x: Any, h: Any) -> Any:
        turned = W.T
        L = (P * turned).sum()
        for _, x_t in tg.steps(x):
            h = np.tanh(x_t + h @ turned)
        L = L + h.sum()
        L.backward()
        return L, turned

    program = agree(f, (rng.standard_normal((12, 2, H)), np.zeros((2, H))), [W, P])
    P.zero_grad()
    _, turned = program(np.zeros((12, 2, H)), np.zeros((2, H)))
    assert P.grad is not None
    for x in (turned, P.grad):
        assert not np.shares_memory(x.array, W.array)


def test_the_report_of_an_empty_batch() -> None:
    f, x, _ = small()
    program = tg.compile(f)
    program(x[:, :0])
    assert "floating-point operations" in program.report(times=True)
