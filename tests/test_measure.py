"""What a program says about itself: operations counted by hand, parts, times, fallen-back ones."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.program import Program
from tinygrad_rnn.program.measure import (
    Clock,
    Instrument,
    Part,
    clock,
    count,
    invented,
    is_product,
    watched,
)

from .networks import NETWORKS, Sizes

SIZES = Sizes(3, 4, 5, 6, 7)


def called(name: str, sizes: Sizes = SIZES, dtype: Any = np.float64) -> tuple[Program, Any]:
    f, args, _ = NETWORKS[name](sizes, dtype)
    program = tg.compile(f)
    program(*args)
    return program, args


def instrument(program: Program, args: Any) -> tuple[Instrument, list[Any]]:
    """The program in parts, and all its arguments."""
    derived = program._last
    assert derived is not None
    assert derived.prepare is not None, derived.why
    given = [x.numpy() if isinstance(x, tg.Tensor) else x for x in args]
    given += [x.numpy() for x in derived.captured] + derived.constants
    return Instrument(program.source, derived.prepare.__name__), given


def of(parts: list[Part], beginning: str) -> Part:
    (part,) = (part for part in parts if part.label.startswith(beginning))
    return part


# ---------------------------------------------------------------------------------------- counting


@pytest.mark.parametrize("sizes", [SIZES, Sizes(2, 3, 4, 5, 9), Sizes(2, 1, 1, 3, 4)], ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_operations_of_the_lecture_are_those_counted_by_hand(sizes: Sizes, dtype: Any) -> None:
    B, D, H, K, T = sizes
    program, given = instrument(*called("lecture", sizes, dtype))
    count(program, given)
    # Each: the operations in products of two matrices, and the others.
    by_hand = {
        "a_t": (2 * T * B * D * H, T * B * H),  # x_t V; + b_h
        "loop: h_t": (2 * T * B * H * H, 2 * T * B * H),  # h_{t-1} W; +, tanh
        "z_t": (2 * T * B * H * K, T * B * K),  # h_t U; + b_y
        # max, −, exp, and the sum of e as a product with ones; log s, −, the sum over B; / B
        "loss_t": (0, 5 * T * B * K + 3 * T * B + T),
        "L = ": (0, T),
        "dz_t": (0, T * B * K + T * B + T * B),  # · (1 / B / s); the division; − 1 / B at y
        "db_y": (0, 2 * T * B * K),  # a product with ones
        "dU": (2 * T * B * H * K, 0),
        "dh_t = dz_t": (2 * T * B * K * H, 0),
        "slope": (0, 2 * T * B * H),
        "loop: dh_t, da_t": (2 * (T - 1) * B * H * H, (T - 1) * B * H + T * B * H),  # +; · slope
        "db_h": (0, 2 * T * B * H),
        "dW": (2 * T * B * H * H, 0),
        "dV": (2 * T * B * D * H, 0),
        "lengths and checks": (0, 0),
        "results": (0, 0),
    }
    for name, (products, others) in by_hand.items():
        part = of(program.parts, name)
        assert part.products == ({np.dtype(dtype): products} if products else {}), name
        assert part.operations == products + others, name
    assert len(program.parts) == len(by_hand)
    assert of(program.parts, "loop: h_t").calls == T
    assert of(program.parts, "loop: dh_t, da_t").calls == T - 1
    size = np.dtype(dtype).itemsize
    kept = (3 * T + 1) * B * H + B * H + T * B * K  # a and h_0, dh, slope; r; z
    assert sum(part.bytes for part in program.parts) == kept * size


A, C = np.arange(12.0).reshape(3, 4) + 1, np.arange(8.0).reshape(4, 2)
COUNTED = {  # an expression of a = (3, 4), c = (4, 2) and n = (3, 4) of integers; operations
    "np.dot(a, c)": 2 * 3 * 4 * 2,
    "np.matmul(a[None], c)": 2 * 3 * 4 * 2,
    "a @ c": 2 * 3 * 4 * 2,
    "np.dot(a, c[:, 0])": 2 * 3 * 4,
    'np.einsum("ij,jk->ik", a, c, optimize=True)': 2 * 3 * 4 * 2,
    'np.einsum("ij->j", a)': 12,
    "np.dot(n, n.T)": 0,
    "a + 1": 12,
    "np.add(a, a[0], out=empty((3, 4), a.dtype))": 12,
    "(n * 2 < n)": 0,
    "(a > 2)": 12,
    "n * 0.5": 12,
    "a.sum(axis=0)": 12,
    "a.max(axis=-1, keepdims=True) - a": 24,
    "np.where(a > 2, a, 0) * a": 24,
    "np.concatenate([a, a]) * 2.0": 24,
    "np.cumsum(a, axis=0)": 12,
    "np.zeros((3, 4)) + np.ones((3, 4))": 12,
    "a.T.reshape(2, 6).copy()": 0,
    "a.take(n[0, :2], axis=0)": 0,
    "np.add.at(a.copy(), ([0, 0],), a[:2]) or a": 8,
}


@pytest.mark.parametrize("text", COUNTED)
def test_each_operation_counts(text: str) -> None:
    source = f'def f(a, c, n, empty):\n    """A part."""\n    return {text}\n'
    program = Instrument(source, "f")
    n = np.arange(12).reshape(3, 4)
    count(program, [A, C, n])
    (part,) = program.parts
    assert part.operations == COUNTED[text]


# ------------------------------------------------------------------------------------------- parts


@pytest.mark.parametrize("name", NETWORKS)
def test_parts_are_the_whole_program_and_compute_the_same(name: str) -> None:
    program, args = called(name)
    instrumented, given = instrument(program, args)
    lines = [f"    {x}".rstrip() for part in instrumented.parts for x in [*part.lines, ""]][:-1]
    assert program.source.rstrip("\n").endswith("\n".join(lines))
    assert program._last is not None
    wanted = program._last.run(*given[: len(args)])
    begun: list[int] = []
    found = {
        "counted": count(instrumented, given),
        "timed": instrumented.run(given, np.empty, begun.append),
    }
    assert begun == list(range(len(instrumented.parts)))
    for how, results in found.items():
        for x, y in zip(results, wanted, strict=True):
            assert type(x) is type(y), how
            np.testing.assert_array_equal(x, y, how)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_timed_as_a_product_is_what_is_counted_as_one(name: str) -> None:
    program, given = instrument(*called(name))
    count(program, given)
    times = Clock(len(program.parts))
    functions = {f.__name__: times.around(f) for f in (np.dot, np.matmul, np.einsum)}
    program.run(given, np.empty, times.begin, watched(functions))
    assert [part.calls for part in program.parts] == times.calls
    for part, seconds in zip(program.parts, times.in_products, strict=True):
        assert bool(seconds) == bool(part.calls) == bool(part.products)


def test_products_of_two_matrices_only() -> None:
    assert is_product(np.dot, (A, C))
    assert is_product(np.einsum, ("ij,jk", A, C))
    assert not is_product(np.dot, (np.ones(3), A))
    assert not is_product(np.einsum, ("ij->j", A))


@pytest.mark.parametrize("name", ["lecture", "LSTM", "no steps are labelled"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("T", [1, 7])
def test_times_are_positive_and_products_are_a_part(name: str, dtype: Any, T: int) -> None:
    program, given = instrument(*called(name, SIZES._replace(T=T), dtype))
    count(program, given)
    assert clock(program, given) >= 11
    for part in program.parts:
        assert 0 <= part.in_products <= part.seconds
        assert part.seconds > 0
        assert part.calls or not part.in_products


@pytest.mark.parametrize("name", NETWORKS)
def test_programs_run_on_invented_arrays(name: str) -> None:
    program, args = called(name)
    derived = program._last
    assert derived is not None
    given = [x.array if isinstance(x, tg.Tensor) else x for x in args]
    arrays = invented([(x.shape, x.dtype) for x in given])
    for x, y in zip(arrays, given, strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
    results = derived.run(*arrays)
    assert all(np.isfinite(x).all() for x in results)


# ------------------------------------------------------------------------------------- the report


def numbers(report: str) -> dict[str, int]:
    """The facts, which come first."""
    facts = report.partition("\n\n")[0].splitlines()
    return {
        name.strip(): int(n.replace(",", ""))
        for name, n in (line.rsplit(maxsplit=1) for line in facts)
    }


@pytest.mark.parametrize("times", [False, True])
def test_a_report(times: bool) -> None:
    program, args = called("lecture")
    report = program.report(times=times)
    instrumented, given = instrument(program, args)
    count(instrumented, given)
    derived = program._last
    assert derived is not None
    assert numbers(report) == {
        **derived.facts,
        "bytes of arrays kept between calls": sum(part.bytes for part in instrumented.parts),
        "floating-point operations": sum(part.operations for part in instrumented.parts),
    }
    assert {"recorded nodes", "folded nodes", "loops", "whole-time operations"} <= {*derived.facts}
    assert "loop: h_t = tanh(a_t + h_{t-1} W)" in report
    assert ("GFLOP/s" in report) == times
    assert max(map(len, report.splitlines())) <= 100


@pytest.mark.parametrize("name", ["GRU", "LSTM, concatenated", "attention", "penalty"])
def test_a_report_fits_into_a_terminal(name: str) -> None:
    program, _ = called(name, Sizes(4, 5, 16, 7, 20))
    for report in (program.report(), program.report(times=True)):
        assert max(map(len, report.splitlines())) <= 100
        assert not re.search(r"\bnan\b|\binf\b", report)


def test_a_report_without_a_loop_says_why() -> None:
    W = tg.Parameter(np.eye(2) / 2, name="W")

    def f(x: Any) -> Any:
        h = x[0]
        for t, x_t in tg.steps(x):
            h = np.tanh(x_t + h @ W) if t != 30 else np.sin(h)
        L = h.sum()
        L.backward()
        return L

    program = tg.compile(f)
    program(np.ones((60, 1, 2)))
    report = program.report(times=True)
    assert numbers(report)["loops"] == 0
    why = report[report.index("There is no loop") :].replace("\n", " ")
    assert why.startswith("There is no loop, but a list of operations: step 30 differs: ")
    assert why.endswith(".")
    assert "other parts" in report
    assert len(report.splitlines()) < 60


def test_a_report_of_one_step() -> None:
    report = called("lecture", SIZES._replace(T=1))[0].report(times=True)
    assert numbers(report)["loops"] == 0
    assert "There is no loop" not in report


def test_a_report_of_a_function_that_runs_itself_says_why() -> None:
    def f(x: Any) -> Any:
        W = tg.Parameter(np.eye(2), name="W")
        L = (x @ W).sum()
        L.backward()
        return L

    program = tg.compile(f)
    with pytest.raises(RuntimeError, match="call the program first"):
        program.report()
    program(np.ones((3, 2)))
    assert " ".join(program.report().split()) == (
        "No program was derived, and each call runs the function: the tensor 'W' is made anew in "
        "each call."
    )


def test_a_report_is_of_the_last_call_and_changes_nothing() -> None:
    f, _, parameters = NETWORKS["lecture"](SIZES)
    B, D, H, K, _ = SIZES
    program = tg.compile(f)
    rng = np.random.default_rng(0)
    flops = {}
    for T in (4, 8, 4):
        args = rng.standard_normal((T, B, D)), rng.integers(0, K, (T, B)), np.zeros((B, H))
        L = program(*args).item()
        before = [p.grad.numpy().copy() for p in parameters]  # type: ignore[union-attr]
        n = numbers(program.report(times=True))["floating-point operations"]
        assert flops.setdefault(T, n) == n
        for p, g in zip(parameters, before, strict=True):
            np.testing.assert_array_equal(p.grad.numpy(), g)  # type: ignore[union-attr]
        assert program(*args).item() == L
    assert 1.9 < flops[8] / flops[4] < 2.1
