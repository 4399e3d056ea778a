"""The derived program: equal to running the function, in all spellings; and its text."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg

from . import test_fold as loops
from .agreement import CLOSE, agree, equal, forget, gradients, tensors
from .networks import NETWORKS, Sizes
from .programs import random_program

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


def test_a_step_that_is_always_the_same_is_called_by_its_number() -> None:
    f, args, parameters = NETWORKS["attention"](Sizes(2, 3, 4, 5, 9))
    text = agree(f, args, parameters).source
    assert "# dh_t = dS_t + sum(a2 · (da − …) · h_t) + da2_{t+1} Wᵀ + dS_T  back in time" in text
    assert text.startswith("import numpy as np\n\n\ndef scatter(")


def test_what_zeros_hide_is_seen_on_other_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    derive = importlib.import_module("tinygrad_rnn.program.derive")

    def without_the_bias(source: str, name: str) -> Any:
        assert "    a[1:] += b_h\n" in source or "+= b_h" not in source
        return prepared(source.replace("    a[1:] += b_h\n", ""), name)

    f, args, parameters = NETWORKS["lecture"](Sizes(2, 3, 4, 5, 9))
    for p in parameters:
        if p.name == "b_h":
            p.array[...] = 0
    program = tg.compile(f)
    program(*args)
    assert "    a[1:] += b_h\n" in program.source
    prepared = derive.prepared
    monkeypatch.setattr(derive, "prepared", without_the_bias)
    program = tg.compile(f)
    program(*args)
    assert program._last is not None
    assert "no loop: another value came out than was recorded" in program._last.why


def test_a_product_without_a_name_is_no_part_of_the_equation_below_it() -> None:
    V, W, U = (tg.Parameter(np.eye(3), name=name) for name in "VWU")

    def step(x, y, h):  # type: ignore[no-untyped-def]
        losses = []
        for _, x_t, y_t in tg.steps(x, y):
            (h,) = [np.tanh(x_t @ V + h @ W)]
            losses.append(tg.cross_entropy(h @ U, y_t))
        L = tg.add_n(losses)
        L.backward()
        return L

    program = agree(step, (np.ones((9, 2, 3)), np.ones((9, 2), int), np.zeros((2, 3))), [V, W, U])
    parts = program.source.split("\n\n")
    (product,) = (part for part in parts if "U.T, out=" in part)
    assert product.startswith("    # dz_t Uᵀ                                             all steps")
    assert "slope" not in product
    assert re.search(r"^  dz_t Uᵀ +\d+ ", program.report(times=True), re.MULTILINE)


@pytest.mark.parametrize("act", [np.tanh, tg.softmax, tg.relu, np.negative])
def test_a_sequence_that_is_no_loop_begins_with_a_state(act: Any) -> None:
    """Its first row is given a value, and not added to what is there from the call before."""
    rng = np.random.default_rng(0)
    V, W = (tg.Parameter(rng.standard_normal((4, 4)), name=name) for name in "VW")

    def step(x, h, g):  # type: ignore[no-untyped-def]
        for _, x_t in tg.steps(x):
            h = np.tanh(h @ W + g * x_t)
            g = act(x_t @ V)
        L = h.sum()
        L.backward()
        return L

    states = rng.standard_normal((2, 2, 4))
    for T in (6, 12):
        program = agree(step, (rng.standard_normal((T, 2, 4)), *states), [V, W])
        assert not program._last.why  # type: ignore[union-attr]


def twice(a: Any, b: Any) -> Any:
    return a + b + a + b


def three_times(a: Any, b: Any) -> Any:
    c = np.tanh(a + b)
    return c + c + c


@pytest.mark.parametrize("repeated", [twice, three_times])
def test_a_sum_with_a_term_more_than_once(repeated: Any) -> None:
    """A sum that is kept in the place of a term still has that term to add. Zeros hide that it has
    not, so the program is checked with the numbers of a later call, too."""
    rng = np.random.default_rng(0)
    V, W = (tg.Parameter(0.5 * rng.standard_normal((4, 4)), name=name) for name in "VW")

    def step(x, h):  # type: ignore[no-untyped-def]
        for _, x_t in tg.steps(x):
            h = np.tanh(repeated(x_t @ V, h @ W))
        L = h.sum()
        L.backward()
        return L

    parameters = [V, W]
    some = rng.standard_normal((12, 2, 4)), rng.standard_normal((2, 4))
    program = agree(step, some, parameters)
    assert not program._last.why  # type: ignore[union-attr]
    program = tg.compile(step)
    program(*(0 * x for x in some))
    forget(parameters)
    step(*tensors(some))
    wanted = gradients(parameters)
    forget(parameters)
    program(*some)
    equal(gradients(parameters), wanted, CLOSE)


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
