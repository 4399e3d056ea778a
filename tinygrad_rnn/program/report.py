"""The report: the facts of a program, and what its parts take, as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

from ..tables import columns
from .derive import Derived
from .measure import Instrument, Part, clock, count, invented, rate

WIDTH, LABEL = 95, 40  # of lines, and of the names of parts
ROWS = 30  # of the parts
FLOP = {1: "flop", 1e3: "kflop", 1e6: "Mflop", 1e9: "Gflop"}
TIME = {1e-6: "µs", 1e-3: "ms", 1: "s"}


def report(derived: Derived, times: bool) -> str:
    """What a program consists of; with `times`, also how long its parts take."""
    if derived.prepare is None or derived.source is None:
        return _sentence(f"No program was derived, and each call runs the function: {derived.why}")
    program = Instrument(derived.source, derived.prepare.__name__)
    arrays = [*invented(derived.kinds), *(x.array for x in derived.captured), *derived.constants]
    count(program, arrays)
    whole = _together(program.parts)
    facts = {
        **derived.facts,
        "bytes of arrays kept between calls": whole.bytes,
        "floating-point operations": whole.operations,
    }
    lines = [columns([[name, f"{n:,}"] for name, n in facts.items()]), ""]
    if times:
        runs = clock(program, arrays)
        lines += _timed(program.parts, runs)
    else:
        lines += [_counted(program.parts)]
    if derived.why:
        why = derived.why.removeprefix("no loop: ").removeprefix("fold: ")
        lines += ["", _sentence(f"There is no loop, but a list of operations: {why}")]
    return "\n".join(lines)


def _counted(parts: list[Part]) -> str:
    """A table of operations."""
    whole = _together(parts)
    scale, unit = _unit(whole.operations, 1e5, FLOP)
    rows = [["part", unit, "in products"]]
    for label, part in _rows(parts, lambda part: part.operations):
        share = _share(sum(part.products.values()), part.operations)
        rows.append([label, f"{part.operations / scale:,.0f}", share])
    return columns(rows)


def _timed(parts: list[Part], runs: int) -> list[str]:
    """A table of operations and times, and what its columns mean."""
    whole = _together(parts)
    rates = {dtype: rate(dtype) for dtype in whole.products}
    flops, flop = _unit(whole.operations, 1e5, FLOP)
    seconds, second = _unit(whole.seconds, 2e3, TIME)
    rows = [["part", flop, second, "GFLOP/s", "of the limit", "in products"]]
    for label, part in _rows(parts, lambda part: part.seconds):
        limit = sum(n / rates[dtype] for dtype, n in part.products.items() if n)
        rows.append([
            label, f"{part.operations / flops:,.0f}", f"{part.seconds / seconds:.2f}",
            f"{part.operations / max(part.seconds, 1e-9) / 1e9:.1f}",
            _share(limit, part.seconds), _share(part.in_products, part.seconds),
        ])  # fmt: skip
    limits = " and ".join(f"{r / 1e9:.0f} GFLOP/s in {dtype}" for dtype, r in rates.items())
    text = f"Medians of {runs} runs. "
    if limits:
        text += (
            f"A product of large matrices makes {limits} here; the limit is the time that the "
            f"products of a part would take at this rate. The last column is how much of the time "
            f"is inside products of two matrices."
        )
    return [columns(rows), "", *textwrap.wrap(text, WIDTH)]


def _rows(parts: list[Part], size: Callable[[Part], float]) -> list[tuple[str, Part]]:
    """The largest parts, in their order, with the others together, and all of them."""
    there = [part for part in parts if size(part)]
    shown = sorted(there, key=size, reverse=True)[:ROWS]
    others = [part for part in there if part not in shown]
    rows = [(_cut(part.label), part) for part in there if part in shown]
    if others:
        rows.append((f"{len(others)} other parts", _together(others)))
    return [*rows, ("all", _together(parts))]


def _together(parts: list[Part]) -> Part:
    whole = Part([])
    for part in parts:
        whole.operations += part.operations
        whole.products += part.products
        whole.calls += part.calls
        whole.bytes += part.bytes
        whole.seconds += part.seconds
        whole.in_products += part.in_products
    return whole


def _unit(largest: float, below: float, units: dict[float, str]) -> tuple[float, str]:
    """The smallest unit in which a number is below a bound, with its name."""
    scale = next((scale for scale in units if largest / scale < below), max(units))
    return scale, units[scale]


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if part and whole else "-"


def _cut(text: str) -> str:
    return text if len(text) <= LABEL else f"{text[: LABEL - 2].rstrip()} …"


def _sentence(text: str) -> str:
    text = text if text.endswith(".") else f"{text}."
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)
