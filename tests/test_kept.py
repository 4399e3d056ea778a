"""What a program does once, and what in each call: texts of programs, divided."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_rnn.program.execute import Buffers, prepared
from tinygrad_rnn.program.kept import divided

HEAD = "def f(x, y, empty=np.empty):\n"


def program(body: str) -> str:
    lines = "\n".join(f"    {line}" for line in body.strip("\n").split("\n"))
    return f"import numpy as np\n\n\n{HEAD}{lines}\n"


def rest(body: str) -> str:
    """What is left to be done in each call, as text without its head."""
    (function,) = (x for x in ast.parse(program(body)).body if isinstance(x, ast.FunctionDef))
    *_, inner, _ = divided(function).body
    assert isinstance(inner, ast.FunctionDef)
    return "\n".join(ast.unparse(ast.fix_missing_locations(x)) for x in inner.body)


def agree(body: str, *calls: tuple[Any, Any]) -> Callable[..., Any]:
    """Calls of a text, and of what it is divided into, one after another: the results are equal."""
    source = program(body)
    space: dict[str, Any] = {}
    exec(source, space)
    prepare = prepared(source, "f")
    run = prepare(*calls[0])
    for _ in range(2):
        for x, y in calls:
            wanted = space["f"](x.copy(), y.copy())
            found = run(x, y)
            for a, b in zip(wanted, found, strict=True):
                np.testing.assert_array_equal(a, b)
    return prepare


def numbers(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


CALLS = [(numbers(0, 5, 3), numbers(1, 3)), (numbers(2, 5, 3), numbers(3, 3))]

RECURRENCE = """
T, H = x.shape
h = empty((T + 1, 2, H), np.float64)
h[1:] = x[:, None]
h[1:] += y
h[0] = y
before = h[0]
for t, h_t in zip(range(1, T + 1), h[1:]):
    if t > 1:
        h_t[:, :2] += before[:, 1:]
    np.tanh(h_t, out=h_t)
    before = h_t
ones = np.ones(2 * T, np.float64)
return h[1:].copy(), np.dot(ones, h[1:].reshape(-1, H))
"""


def test_a_recurrence_does_its_views_once() -> None:
    agree(RECURRENCE, *CALLS)
    text = rest(RECURRENCE)
    assert "reshape" not in text
    assert "shape" not in text
    assert "empty" not in text
    assert "range" not in text
    assert "h[1:] = " in text, "an assignment to a part is one to its elements"
    assert text.count("[") == text.count("h[0] = ") + text.count("h[1:] = ") + 2, text
    assert "x[:, None]" in text
    assert "before[:, 1:]" in text


CASES = {
    "another name of an argument": ("a = x\nb = a[1:]\nreturn a + 1, b + y", "a = x"),
    "a value computed from an argument": ("a = x.sum(axis=0)\nreturn a, a + y", "x.sum(axis=0)"),
    "a row that is a number": (
        "T, H = x.shape\na = empty((T,), np.float64)\nnp.add(x[:, 0], 1, out=a)\nz = a[1]\n"
        "s = 0.0\nfor a_t in a:\n    s += a_t\nreturn z, s",
        "for a_t in a:",
    ),
    "numbers of which an array is made": (
        "T, H = x.shape\na = empty((T, H), np.float64)\nnp.add(x, y, out=a)\nb = a[0, 1]\n"
        "return a.copy(), b",
        "b = a[0, 1]",
    ),
    "two arrays that are asked for in the same words": (
        "T, H = x.shape\na = empty((T, H), np.float64)\nb = empty((T, H), np.float64)\n"
        "np.add(x, y, out=a)\nnp.multiply(x, y, out=b)\nreturn a.copy(), b.copy()",
        "np.multiply(x, y, out=b)",
    ),
    "an array that is asked for in a loop": (
        "T, H = x.shape\ns = 0.0\nfor t in range(T):\n    a = empty((H,), np.float64)\n"
        "    np.add(x[t], y, out=a)\n    s = s + a\nreturn s, a + 0",
        "a = empty((H,), np.float64)",
    ),
    "a name with two values": (
        "T, H = x.shape\na = empty((T, H), np.float64)\nb = empty((T, H), np.float64)\n"
        "np.add(x, y, out=a)\nnp.subtract(x, y, out=b)\nc = a[0]\nd = c + 1\nc = b[0]\n"
        "return c + d, d",
        "c = ",
    ),
    "ones that are written to": (
        "T, H = x.shape\na = np.ones(H)\na += x[0]\nb = np.arange(3)\nb[1] = 7\n"
        "c = np.ones(H)\nnp.add(c, y, out=c)\nreturn a, b, c",
        "a = np.ones(H)",
    ),
    "a shape of what is not in one piece": (
        "T, H = x.shape\na = empty((T, H), np.float64)\nnp.add(x, y, out=a)\n"
        "b = a[:, 1:].reshape(-1)\nc = a.T.reshape(-1)\nd = a[::2].reshape(-1)\n"
        "return b + 0, c + 0, d + 0",
        "reshape",
    ),
    "rows chosen by an array": (
        "T, H = x.shape\na = empty((T, H), np.float64)\nnp.add(x, y, out=a)\n"
        "at = np.arange(T)\nb = a[at[::-1]]\nc = a[at, x[:, 0] > 0] if H == T else b\n"
        "return b, c",
        "b = a[at[::-1]]",
    ),
    "a part that is not there unless it is read": (
        "T, H = x.shape\na = empty((T, H), np.float64)\nnp.add(x, y, out=a)\ns = y\n"
        "for t, a_t in zip(range(T), a):\n    if t + 1 < T:\n        s = s + a[t + 1]\n"
        "r = a[9] if T > 9 else a[0]\nif T > 9:\n    s = s + a[9]\nreturn s, r + 0",
        "a[t + 1]",
    ),
    "rows of an argument beside rows that are kept": (
        "T, H = x.shape\na = empty((T, H), np.float64)\nfor x_t, a_t in zip(x, a):\n"
        "    np.add(x_t, y, out=a_t)\n    a_t[1:] *= 2\nreturn a.copy(), y + 0",
        "in zip(x, kept",
    ),
    "a loop that gives a row's name another value": (
        "T, H = x.shape\na = empty((T, H), np.float64)\nb = empty((T, H), np.float64)\n"
        "np.add(x, y, out=b)\ns = y\nfor a_t, b_t in zip(a, b):\n    np.add(b_t, 1, out=a_t)\n"
        "    a_t = b_t[1:]\n    s = s + a_t.sum()\nreturn s, a.copy()",
        "zip(a, kept",
    ),
    "a number that a loop changes": (
        "T, H = x.shape\nn = 0\nfor t in range(T):\n    n += t\n    t -= 1\nreturn n, x + t",
        "for t in range(T):",
    ),
    "rows chosen by numbers that are kept": (
        "T, H = x.shape\na = empty((T, H), np.float64)\nnp.add(x, y, out=a)\n"
        "at = np.arange(T)\nb = a[at]\nreturn b, y + 0",
        "b = a[at]",
    ),
    "parts as long as the numbers say": (
        "T, H = x.shape\na = empty((T, H), np.float64)\nnp.add(x, y, out=a)\n"
        "n = int(x[0, 0] > 0) + 1\nb = a[:n]\nc = empty((n, H), np.float64)\n"
        "np.add(b, 1, out=c)\ns = y\n"
        "for t, a_t in zip(range(n), a):\n    s = s + t * a_t\nreturn b + 0, c.copy(), s",
        "a[:n]",
    ),
    "a shape that depends on the numbers": (
        "T, H = x.shape\na = empty((T, H), np.float64)\nnp.add(x, y, out=a)\n"
        "b = a[a[:, 0] > 0]\nn, _ = b.shape\nc = np.ones(n)\nreturn c, b",
        "b.shape",
    ),
    "an argument that is given another value": (
        "x = x[1:]\nT, H = x.shape\na = empty((T, H), np.float64)\nnp.add(x, y, out=a)\n"
        "return a.copy(), y + 0",
        "T, H = x.shape",
    ),
    "a length that is changed": (
        "T, H = x.shape\nT -= 1\na = empty((T, H), np.float64)\nnp.add(x[1:], y, out=a)\n"
        "return a.copy(), y + T",
        "T, H = x.shape",
    ),
    "a length that is given another value": (
        "T, H = x.shape\nT = T - 1\na = empty((T, H), np.float64)\nnp.add(x[1:], y, out=a)\n"
        "return a.copy(), y + T",
        "T, H = x.shape",
    ),
    "a row by a number that a loop changes": (
        "T, H = x.shape\na = empty((T, H), np.float64)\nnp.add(x, y, out=a)\n"
        "s = y\nfor t, a_t in zip(range(T), a):\n    a_t[1:] += 1\n    t -= 1\n"
        "    s = s + t * a[t]\nreturn s, a.copy()",
        "a[t]",
    ),
    "a shape of rows that are not in one piece": (
        "T, H = x.shape\na = empty((T, 2, H), np.float64)\nnp.add(x[:, None], y, out=a)\ns = 0\n"
        "for a_t in a[:, :, 1:]:\n    s = s + a_t.reshape(-1)\nreturn s, a.copy()",
        "a_t.reshape(-1)",
    ),
    "ones of which some are written to": (
        "T, H = x.shape\na = np.ones(T)\na[x[:, 0] > 0] = 7\nreturn a, y + 0",
        "a = np.ones(T)",
    ),
    "a row that is not there in a loop that never runs": (
        "T, H = x.shape\na = empty((T, H), np.float64)\nnp.add(x, y, out=a)\n"
        "s = y\nfor t, x_t in zip(range(T), x[T:]):\n    s = s + x_t + a[9]\n"
        "return s + 0, a.copy()",
        "a[9]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_may_differ_is_done_in_each_call(case: str) -> None:
    body, stays = CASES[case]
    agree(body, *CALLS)
    assert stays in rest(body)


def test_results_are_not_kept() -> None:
    prepare = agree(RECURRENCE, *CALLS)
    run = prepare(*CALLS[0])
    first, second = run(*CALLS[0]), run(*CALLS[1])
    for a, b in zip(first, second, strict=True):
        assert not np.shares_memory(a, b)
    for a, b in zip(first, run(*CALLS[0]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_buffers_prepare_anew_for_other_kinds_and_keep_their_memory() -> None:
    prepare, prepared_for = prepared(program(RECURRENCE), "f"), []

    def counted(x: Any, y: Any, empty: Any) -> Any:
        prepared_for.append(len(x))
        return prepare(x, y, empty=empty)

    buffers, kinds = Buffers(), {5: object(), 9: object(), 2: object()}
    sizes = []
    for T in (5, 5, 9, 5, 2, 2, 9):
        x, y = numbers(T, T, 3), numbers(0, 3)
        found = buffers.run(counted, [x, y], kinds[T])
        for a, b in zip(found, prepare(x, y)(x, y), strict=True):
            np.testing.assert_array_equal(a, b)
        sizes.append(buffers.size)
    assert prepared_for == [5, 9, 5, 2, 9]
    assert sizes == [6 * 48, 6 * 48, *[10 * 48] * 5]


def test_an_array_that_is_read_before_it_is_written_shows() -> None:
    buffers = Buffers()
    for T in (3, 9):
        empty = buffers.start()
        assert np.isnan(empty((T, 2), np.float32)).all()
        assert empty((T,), np.int64).all()


def test_the_quick_way_is_not_one_that_numpy_warns_of() -> None:
    lines = ["T, H = x.shape", "a = empty((T, H), np.float64)", "s = []"]
    for name in ("add", "maximum", "minimum", "multiply", "tanh(x, out=a) + np.divide"):
        lines += [f"np.{name}(x, y, out=a)", "s.append(a.sum())"]
    body = "\n".join([*lines, "return *s, np.dot(a, y, out=np.empty(T))"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agree(body, *CALLS)


def test_names_of_the_text_are_not_taken() -> None:
    body = "T, H = x.shape\nkept1 = empty((T, H), np.float64)\nkept1[1:] = 0\nkept1[1:] += x[1:]\n"
    body += "kept1[0] = y\nreturn kept1.copy(), y + 0"
    agree(body, *CALLS)
    assert re.search(r"kept2 \+= x\[1:\]", rest(body))
