"""Measure: what a program computes in each of its parts, and how long that takes.

A part is what stands between two blank lines of the text. The text is run with a signal at the
beginning of each part: once on arrays that count what is computed with them, and many times with a
clock. So it is the program that is measured, and no model of it; but as it is written: what a call
does only once (kept.py) is done in each run. Of the text, this file knows the blank lines, and that
a part has its equations above it; not how it is written, nor what it means.

What counts as a floating-point operation: a product of (m, k) and (k, n) is 2 m n k; a function of
NumPy is one for each element that it gives or, as a sum does, goes over, be it an addition or a
tanh. What moves numbers only is none, nor is what is done with integers.
"""

from __future__ import annotations

import math
import time
import types
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .execute import Buffers

Array = npt.NDArray[Any]

LEAST, MOST, SECONDS = 11, 200, 0.25  # runs with a clock, and how long they may take
LARGE = 384  # rows and columns of the matrices whose product is the limit
PRODUCTS = (np.dot, np.matmul, np.einsum)


@dataclass(eq=False)
class Part:
    """A part of a program, and what running it once takes.

    operations: floating-point operations. products: those of them that are in products of two
    matrices, by dtype; with a vector, a product is as slow as a sum. calls: how many such products.
    bytes: of the arrays that begin here and are kept between calls. seconds: of the part, and
    in_products: of such products in it.
    """

    lines: list[str]
    operations: int = 0
    products: Counter[Any] = field(default_factory=Counter)
    calls: int = 0
    bytes: int = 0
    seconds: float = 0.0
    in_products: float = 0.0

    @property
    def label(self) -> str:
        """Its equation, or the names of what several equations define."""
        comments = [line[2:].partition("  ")[0] for line in self.lines if line.startswith("# ")]
        equations = [text for text in comments if " = " in text]
        if len(equations) > 1:
            equations = [", ".join(text.partition(" = ")[0] for text in equations)]
        if not equations and comments:
            return comments[0]
        if not equations:
            return "results" if self.lines[-1].startswith("return ") else "lengths and checks"
        loop = any(line.startswith("for ") for line in self.lines)
        return f"loop: {equations[0]}" if loop else equations[0]


class Instrument:
    """A program's text, made to say which of its parts begins."""

    def __init__(self, source: str, name: str) -> None:
        body = source.rindex('"""\n') + 4  # behind the docstring
        texts = [text.strip("\n") for text in source[body:].split("\n\n") if text.strip()]
        self.parts = [Part([line[4:] for line in text.split("\n")]) for text in texts]
        self._name, self._signal = name, "begin"
        while self._signal in source:
            self._signal += "_"
        text = "\n\n".join(f"    {self._signal}({i})\n{text}" for i, text in enumerate(texts))
        self._space: dict[str, Any] = {}
        exec(compile(source[:body] + text, f"<parts of {name}>", "exec"), self._space)

    def run(
        self,
        arrays: Sequence[Any],
        empty: Callable[..., Any],
        begin: Callable[[int], None],
        numpy: Any = np,
    ) -> Any:
        """Its results; `begin` is called with the number of each part, `numpy` is its `np`."""
        self._space |= {"np": numpy, self._signal: begin}
        return self._space[self._name](*arrays, empty=empty)


def invented(kinds: Sequence[tuple[tuple[int, ...], Any]]) -> list[Array]:
    """Arrays of these shapes and dtypes to run a program on.

    Floating-point numbers are random ones between 0 and 1, which have a logarithm. The others are
    0, which is a class and a row wherever there is one.
    """
    rng = np.random.default_rng(0)
    return [
        rng.random(shape).astype(dtype) if dtype.kind == "f" else np.zeros(shape, dtype)
        for shape, dtype in kinds
    ]


def watched(functions: dict[str, Any]) -> Any:
    """NumPy, with other functions in the place of some."""
    return types.SimpleNamespace(**{**vars(np), **functions})


def is_product(f: Any, xs: Sequence[Any]) -> bool:
    """Whether a call is a product of two matrices, or of two stacks of them."""
    return len(xs) > 2 if f is np.einsum else all(np.ndim(x) > 1 for x in xs[:2])


# ---------------------------------------------------------------------------------------- counting


class Count:
    """Notes in the parts of a program what is computed, while it runs on counted arrays."""

    def __init__(self, parts: list[Part]) -> None:
        self._parts = parts
        self._here = parts[0]

    def begin(self, i: int) -> None:
        self._here = self._parts[i]

    def empty(self, shape: Any, dtype: Any) -> Any:
        array = np.empty(shape, dtype)
        self._here.bytes += array.nbytes
        return self.counted(array)

    def counted(self, x: Any) -> Any:
        if type(x) is not np.ndarray:
            return x
        array = x.view(_Counted)
        array.count = self
        return array

    def around(self, f: Any) -> Any:
        """A function of NumPy whose result is counted, as its arguments may be."""

        def call(*xs: Any, **keywords: Any) -> Any:
            if f not in PRODUCTS:
                return self.counted(f(*xs, **keywords))
            y = f(*map(_plain, xs), **{key: _plain(x) for key, x in keywords.items()})
            self.product(f, xs, y)
            return keywords.get("out", self.counted(y))

        return call

    def product(self, f: Any, xs: Sequence[Any], y: Any) -> None:
        if y.dtype.kind != "f":
            return
        operations = _of_einsum(*xs) if f is np.einsum else 2 * y.size * xs[0].shape[-1]
        self._here.operations += operations
        if is_product(f, xs):
            self._here.products[y.dtype] += operations
            self._here.calls += 1

    def elements(self, of: Any) -> None:
        self._here.operations += np.size(of)


class _Counted(np.ndarray[Any, Any]):
    """An array that tells a count what is computed with it."""

    count: Count

    def __array_finalize__(self, of: Any) -> None:
        if isinstance(of, _Counted):
            self.count = of.count

    def __array_ufunc__(
        self, ufunc: Any, method: Any, *inputs: Any, out: Any = None, **keywords: Any
    ) -> Any:
        xs = list(map(_plain, inputs))
        if out is not None:
            keywords["out"] = tuple(map(_plain, out))
        y = getattr(ufunc, method)(*xs, **keywords)
        if ufunc is np.matmul:
            self.count.product(ufunc, xs, y)
        elif any(getattr(x, "dtype", np.dtype(int)).kind == "f" for x in [*xs, y]):
            self.count.elements(y if method == "__call__" else xs[-1])
        return self.count.counted(y) if out is None else out[0]


def _plain(x: Any) -> Any:
    return x.view(np.ndarray) if isinstance(x, _Counted) else x


def _of_einsum(subscripts: str, *xs: Any) -> int:
    """Operations: one for each array at each combination of the indices."""
    parts = subscripts.partition("->")[0].split(",")
    lengths = {c: n for part, x in zip(parts, xs, strict=True)
               for c, n in zip(part, x.shape, strict=True)}  # fmt: skip
    return len(xs) * int(math.prod(lengths.values()))


def count(program: Instrument, arrays: Sequence[Any]) -> tuple[Any, ...]:
    """Note in the parts of a program what one run of it computes; returns its results."""
    tally = Count(program.parts)
    functions = {
        name: tally.around(f)
        for name, f in vars(np).items()
        if callable(f) and not isinstance(f, (type, np.ufunc))
    }
    with np.errstate(all="ignore"):
        given = map(tally.counted, arrays)
        results = program.run([*given], tally.empty, tally.begin, watched(functions))
    return tuple(map(_plain, results))


# ------------------------------------------------------------------------------------------ timing


class Clock:
    """Seconds of the parts of one run, and of the products in them."""

    def __init__(self, parts: int) -> None:
        self.in_products, self.calls = [0.0] * parts, [0] * parts
        self._began: list[float] = []
        self._here = 0

    def begin(self, i: int) -> None:
        self._here = i
        self._began.append(time.perf_counter())

    def seconds(self) -> Array:
        """Of each part; the last one ends now."""
        self._began.append(time.perf_counter())
        return np.diff(self._began)

    def around(self, f: Any) -> Any:
        """A function of NumPy with a clock around its products of matrices."""

        def call(*xs: Any, **keywords: Any) -> Any:
            if not is_product(f, xs):
                return f(*xs, **keywords)
            began = time.perf_counter()
            y = f(*xs, **keywords)
            self.in_products[self._here] += time.perf_counter() - began
            self.calls[self._here] += 1
            return y

        return call


def _price() -> tuple[float, float]:
    """Seconds that a clock around a product adds: to what it shows, and to the part besides."""
    shown, besides = [], []
    x = np.empty((1, 1))
    for _ in range(100):
        began = time.perf_counter()
        shown.append(time.perf_counter() - began)
        times = Clock(1)
        call = times.around(lambda *xs, **keywords: None)
        times.begin(0)
        for _ in range(10):
            call(x, x, out=x)
        besides.append((times.seconds()[0] - times.in_products[0]) / 10)
    return float(np.median(shown)), float(np.median(besides))


def clock(program: Instrument, arrays: Sequence[Any]) -> int:
    """Note in the parts of a program the medians of their seconds; returns of how many runs.

    Runs take turns with runs in which the products have clocks, too. How much of a part its
    products are is told from the latter, without what the clocks add.
    """
    buffers, (shown, besides) = Buffers(), _price()
    seconds: list[Array] = []
    shares: list[Array] = []
    runs = LEAST + 1
    while len(seconds) < runs:
        plain, full = Clock(len(program.parts)), Clock(len(program.parts))
        functions = {f.__name__: full.around(f) for f in PRODUCTS}
        with np.errstate(all="ignore"):
            program.run(arrays, buffers.start(), plain.begin)
            seconds.append(plain.seconds())
            program.run(arrays, buffers.start(), full.begin, watched(functions))
        whole, calls = full.seconds(), np.array(full.calls)
        inner = np.array(full.in_products) - shown * calls
        shares.append(inner / np.maximum(whole - (shown + besides) * calls, 1e-9))
        if len(seconds) == 2:  # the first one made its arrays
            runs = max(runs, min(MOST, int(SECONDS / 2 / seconds[1].sum())))
    medians = np.median(seconds[1:], axis=0).tolist()
    of_products = np.clip(np.median(shares[1:], axis=0), 0, 1).tolist()
    for part, total, share in zip(program.parts, medians, of_products, strict=True):
        part.seconds, part.in_products = total, share * total
    return runs - 1


def rate(dtype: Any) -> float:
    """Floating-point operations a second in a product of two large matrices, at best."""
    a, b, out = np.random.default_rng(0).random((3, LARGE, LARGE)).astype(dtype)
    seconds = []
    for _ in range(12):
        began = time.perf_counter()
        np.dot(a, b, out=out)
        seconds.append(time.perf_counter() - began)
    return 2 * LARGE**3 / min(seconds)
