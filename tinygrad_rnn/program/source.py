"""Source: a schedule as the text of one NumPy function.

Each unit is written with the equation that it is, in the lecture's letters: what is done for all
steps at once, and the loops. The function needs nothing but NumPy.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from .equations import SUM, Read, Roots, Value, readers
from .formulas import Formulas
from .memory import Buffer, Memory
from .names import name_values
from .normal import ordered, uniform
from .operations import (
    HELPERS,
    UFUNCS,
    Operand,
    dtype_text,
    expression,
    flat,
    index_text,
    is_view,
    known,
    lifted,
    moves,
    number_text,
    rows,
    shape_text,
    size_text,
    view,
)
from .schedule import Unit
from .trace import Unsupported

SHORTEST = 4  # below it, a step that is the last could as well be the first


@dataclass(frozen=True)
class Where:
    """Which steps are meant: of t in a loop, or of all t from first to last: sign · t + offset."""

    loop: bool
    sign: int = 1
    offset: int = 0
    first: int = 0
    last: int = 0

    @property
    def count(self) -> int:
        """How many steps they are."""
        return self.last - self.first + 1

    def of(self, read: Read) -> Where | None:
        """The steps that are read there; None of what is shared."""
        if read.sign is None or read.offset is None:
            return None
        return Where(
            self.loop, self.sign * read.sign, read.sign * self.offset + read.offset,
            self.first, self.last,
        )  # fmt: skip


Lines = list[tuple[frozenset[int] | None, str]]  # the steps in which a line runs, and the line


class Writer:
    """Writes the function. inputs: the values of its arguments, in order."""

    def __init__(self, name: str, units: list[Unit], roots: Roots, inputs: list[Value]) -> None:
        self.units, self.roots, self.inputs = units, roots, inputs
        self.memory = Memory(units, roots)
        values = [value for unit in units for value in unit.values if not self.memory.inline(value)]
        for value in readers(roots):
            if not known(value):
                raise Unsupported(f"it is not known how {value.op} is written in NumPy")
        self.constants = [
            value for value in ordered(roots)
            if value.op == "constant" and uniform(value) is None and not _is_range(value)
        ]  # fmt: skip
        for i, value in enumerate(self.constants, 1):
            value.name = value.name or f"constant{i}"
        self.inputs = [*inputs, *self.constants]
        self.names = name_values(values, self.inputs, self.memory.goes_on)
        self.said = set(self.names)
        self.formulas = Formulas(self._formula_name)
        self.T = self.memory.rows[1]
        self.name = name
        self.body: list[str] = []
        self.checked: dict[str, str] = {}
        self.numbered: dict[str, tuple[str, str]] = {}
        self._shown: dict[Buffer, str] = {}
        self._fill_names(values)

    # ---------------------------------------------------------------------------------- the function

    def source(self) -> str:
        """The text of the module: the function, and what helps it."""
        self._write_units()
        results = [self._result(root) for root in self.roots]
        self.body += ["", f"return {', '.join(results)}{',' if len(results) == 1 else ''}"]
        arguments = [self.names[value] for value in self.inputs]
        head = f"def {self.name}({', '.join([*arguments, 'empty=np.empty'])}):"
        sizes, text = self._sizes("\n".join(self.body))
        checks = [line for text in self.checked.values() for line in text.split("\n")]
        lines = [*self._docstring(), *sizes, *self._letters(checks),
                 *text.split("\n")]  # fmt: skip
        body = "\n".join(f"    {line}".rstrip() for line in lines)
        helpers = "\n".join(
            text
            for name, text in HELPERS.items()
            if re.search(rf"^[^#]*(?<![\w.]){name}\(", body, re.MULTILINE)
        )
        return f"import numpy as np\n{helpers}\n\n{_wrapped(head)}\n{body}\n"

    def _docstring(self) -> list[str]:
        shapes = [f"{self.names[v]}: {self._plain(shape_text(v.shape))}" for v in self.inputs]
        results = [self._result(root) for root in self.roots]
        return [
            '"""The derived program of a recorded function.',
            "",
            *_filled(shapes),
            "",
            *_filled([f"Returns {', '.join(re.sub(r'[.]copy..$', '', r) for r in results)}."]),
            '"""',
        ]

    def _write_units(self) -> None:
        pending: list[str] = []
        for i, unit in enumerate(self.units):
            if unit.direction:
                self.body += pending
                pending = []
                self._write_loop(i, unit)
                continue
            (value,) = unit.values
            if self.memory.inline(value):
                continue
            pending += self._begin(i)
            where = None
            if value.steps is not None:
                where = Where(False, 1, 0, min(value.steps), max(value.steps))
            pending += [text for _, text in self._statement(value, where)]
            silent = value.about == "" or value.name in ("e", "s") or value in self.memory.goes_on
            if value not in self.said and self._remark(value, pending):
                pending = []
                continue
            if self._formula_name(value) is not None and not silent:
                at_once = "all steps at once" if value.steps is not None else ""
                if any(r.over is not None for r in value.reads):
                    at_once = "the sum over all steps, as one product"
                    at_once = at_once if value.op == "rows_product" else ""
                self.body += ["", *_comment(self.formulas.equation(value), at_once), *pending]
                pending = []
        self.body += pending

    def _remark(self, value: Value, lines: list[str]) -> bool:
        """Write what a later loop adds to, with the equation of that as far as it goes."""
        part = next((v for v, x in self.memory.in_place.items() if x is value), None)
        if part not in self.said or part is None or value.steps is None:
            return False
        if not self._unit(part).direction:
            return False
        formula = f"{self.formulas.left(part)} = {self.formulas.right(value)} + …"
        self.body += ["", *_comment(formula, "all steps at once"), *lines]
        return True

    def _begin(self, i: int) -> list[str]:
        """The arrays that begin with a unit."""
        lines = []
        for buffer in self.memory.made.get(i, []):
            name = self._name(buffer.values[0])
            if buffer.instead is not None:
                old = self._shown[buffer.instead]
                self._shown[buffer] = name
                if old != name:
                    lines.append(f"{name} = {old}  # which is not needed any more")
                continue
            shape = list(map(size_text, buffer.shape))
            if buffer.rows is not None:
                shape = [self._number(buffer.rows[1] - buffer.rows[0] + 1), *shape]
            self._shown[buffer] = name
            shape_ = ", ".join(shape) + ("," if len(shape) == 1 else "")
            lines.append(f"{name} = empty(({shape_}), {dtype_text(buffer.dtype)})")
        return lines

    def _rename(self, value: Value) -> list[str]:
        """The line that gives an array the name of what it is to hold now."""
        buffer = self.memory.buffer.get(value)
        if buffer is None:
            return []
        name, old = self._name(value), self._shown.get(buffer)
        if old is None or old == name:
            return []
        self._shown[buffer] = name
        step = "" if value.steps is None else "_t"
        return [f"{name} = {old}  # {name}{step} takes the place of {old}{step}"]

    # ------------------------------------------------------------------------------------- the loops

    def _write_loop(self, i: int, unit: Unit) -> None:
        values = [v for v in unit.values if not self.memory.inline(v)]
        inner = [v for v in values if v not in self.memory.goes_on]
        steps = sorted({t for v in inner for t in v.steps or ()})
        if steps != list(range(steps[0], steps[-1] + 1)):
            raise Unsupported("a loop leaves out steps")
        before = self._begin(i)
        lines: Lines = []
        comments: list[str] = []
        for value in values:
            before += self._rename(value)
            if value in self.memory.goes_on:
                before += self._beginning(value)
                continue
            lines += [
                (value.steps if when is None else when, text)
                for when, text in self._statement(value, Where(True))
            ]
            if self._formula_name(value) is not None and value.about != "":
                comments.append(self.formulas.equation(value))
        how = "one step after another" if unit.direction > 0 else "back in time"
        if all(not r.source.steps or r.source not in unit.values for v in values for r in v.reads):
            how = "step by step"
        self.body.append("")
        for n, comment in enumerate(comments):
            self.body += _comment(comment, how if n == 0 else "")
        self.body += before
        first, end = self._number(steps[0]), self._number(steps[-1])
        if unit.direction > 0:
            lines = self._bound(lines, "t - 1", steps[0])
            self.body.append(f"for t in range({first}, {self._number(steps[-1] + 1)}):")
        else:
            lines = self._bound(lines, "t + 1", steps[-1])
            self.body.append(f"for t in range({end}, {self._number(steps[0] - 1)}, -1):")
        condition: str | None = None
        for when, text in lines:
            wanted = self._condition(when, steps)
            if wanted == "":
                self.body.append(f"    {text}")
            else:
                if wanted != condition:
                    self.body.append(f"    if {wanted}:")
                self.body.append(f"        {text}")
            condition = wanted

    def _bound(self, lines: Lines, back: str, first: int) -> Lines:
        """The lines of a loop, with rows that are used more than once taken out once.

        back: the index of the step that the loop comes from. Its rows are remembered from there.
        first: the first step.

        Of an array that has several names, the last one is used.
        """
        last = {self._name(v): self._shown.get(b, "") for v, b in self.memory.buffer.items()
                if b.rows is not None and b.shape}  # fmt: skip
        row = re.compile(r"(?<![\w.])(\w+)\[(t(?: [+-] \d+)?)\]")

        def latest(match: re.Match[str]) -> str:
            return f"{last.get(match[1], match[1])}[{match[2]}]"

        lines = [(when, row.sub(latest, text)) for when, text in lines]
        count: dict[tuple[str, str], int] = {}
        for _, text in lines:
            for name, index in row.findall(text):
                count[name, index] = count.get((name, index), 0) + 1
        words = {"t": "t", "t - 1": "before", "t + 1": "after"}
        taken = set(self.names.values())
        arrays = {name for name in last.values() if name}
        rows_of = {self._shown[b]: b.rows for b in self.memory.buffer.values() if b in self._shown}
        bound = {}
        starts = {}
        for (name, index), n in count.items():
            local = f"{name}_{words.get(index, '')}"
            if name not in arrays or local in taken or index not in words:
                continue
            if index == "t":
                if n > 1:
                    bound[name, index] = local
            elif index == back and (name, "t") in count:
                row_before = first - (1 if back == "t - 1" else -1)
                lo, hi = rows_of[name] or (0, -1)
                starts[local] = self._number(row_before - lo) if lo <= row_before <= hi else ""
                late = all(
                    when is not None and first not in when
                    for when, text in lines if (name, index) in row.findall(text)
                )  # fmt: skip
                if starts[local] or late:
                    bound[name, index] = local
                    bound.setdefault((name, "t"), f"{name}_t")

        def once(match: re.Match[str]) -> str:
            return bound.get((match[1], match[2]), match[0])

        fresh: Lines = []
        carry: Lines = []
        for (name, index), local in bound.items():
            if index == back and (name, "t") in bound:
                carry.append((None, f"{local} = {bound[name, 't']}"))
                if starts[local]:
                    self.body.append(f"{local} = {name}[{starts[local]}]")
            else:
                fresh.append((None, f"{local} = {name}[{index}]"))
        for when, text in lines:
            target, sign, rest = text.partition(" = ")
            if sign and row.fullmatch(target):  # it is a row that is given another value
                fresh.append((when, f"{target} = {row.sub(once, rest)}"))
            else:
                fresh.append((when, row.sub(once, text)))
        return fresh + carry

    def _beginning(self, value: Value) -> list[str]:
        """What a sequence has before its first step, or after its last."""
        lines = []
        for read in value.reads:
            if read.source is self.memory.goes_on[value]:
                continue
            for t in sorted(read.steps or ()):
                x = self._operand(read, Where(True, 0, t))
                lines.append(f"{self._target(value, Where(True, 0, t))} = {x.text}")
        return lines

    def _condition(self, when: frozenset[int] | None, steps: list[int]) -> str:
        """In which of the steps of a loop, as Python; "" for all of them."""
        if when is None or len(when) == len(steps):
            return ""
        there = sorted(when)
        first, last = there[0], there[-1]
        if len(there) == last - first + 1:
            if first == last:
                return f"t == {self._number(first)}"
            low = "" if first == steps[0] else f"t > {self._number(first - 1)}"
            high = "" if last == steps[-1] else f"t < {self._number(last + 1)}"
            return f"{low} and {high}" if low and high else low or high
        missing = sorted(set(steps) - set(when))
        for period in range(2, min(len(steps), 1000)):
            here = [t for t in steps if t % period]
            ends = [t for t in steps[:-1] if t % period]
            if there == here:
                return f"t % {period}"
            if there == ends:
                return f"t % {period} and t < {self._number(steps[-1])}"
            if there == [t for t in steps if not t % period]:
                return f"t % {period} == 0"
            if there == [t for t in steps if t % period == 1 % period]:
                return f"t % {period} == {1 % period}"
        if len(missing) < len(there):
            return f"t not in {tuple(missing)}" if len(missing) > 1 else f"t != {missing[0]}"
        return f"t in {tuple(there)}"

    # ---------------------------------------------------------------------------------- one operation

    def _statement(self, value: Value, where: Where | None) -> Lines:
        """The lines that compute a value."""
        whole = where is not None and not where.loop
        rename = [] if where is not None and where.loop else self._rename(value)
        lines: Lines = [(None, text) for text in rename]
        out = self._target(value, where)
        buffered = value in self.memory.buffer or value in self.memory.part_of
        if value.op == SUM:
            return lines + self._sum(value, where, out)
        xs = [self._operand(read, where) for read in value.reads]
        self._check_integers(value, xs)
        if not buffered and value.op in ("tile", "class_slope", "shifted"):
            shape = shape_text(value.shape)
            lines.append((None, f"{out} = np.empty({shape}, {dtype_text(value.dtype)})"))
        if value.op == "tile":
            for index, x, read in zip(value.attributes["indices"], xs, value.reads, strict=True):
                if read.source in self.memory.part_of:
                    continue
                parts = ", ".join(map(index_text, index))
                lines.append((None, f"{out}[{':, ' if whole else ''}{parts}] = {x.text}"))
            return lines
        if value.op in ("swapaxes", "transpose"):
            return [*lines, (None, f"{out} = np.ascontiguousarray({expression(value, xs, whole)})")]
        special = getattr(self, f"_write_{value.op}", None)
        if special is not None:
            return lines + [(None, line) for line in special(value, xs, out, whole)]
        into = buffered and value.shape and all(x.dtype == value.dtype for x in xs)
        if value.op in UFUNCS and buffered and value.shape:
            return [*lines, (None, self._ufunc_into(value, lifted(value, xs, whole), out))]
        if value.op == "matmul" and into:
            text = self._matmul_into(value, xs, out, whole)
            if text:
                return [*lines, (None, text)]
        return [*lines, (None, self._assigned(value, out, expression(value, xs, whole), where))]

    def _ufunc_into(self, value: Value, xs: list[Operand], out: str) -> str:
        kept = self.memory.in_place.get(value)
        texts = [
            out if kept is not None and read.source is kept and read.aligned else x.text
            for read, x in zip(value.reads, xs, strict=True)
        ]
        signs = {"subtract": "-=", "multiply": "*=", "divide": "/="}
        if value.op in signs and texts[0] == out and texts[1] != out:
            return f"{out} {signs[value.op]} {texts[1]}"
        if value.op == "multiply" and texts[1] == out and texts[0] != out:
            return f"{out} *= {texts[0]}"
        return f"np.{value.op}({', '.join(texts)}, out={out})"

    def _part_of(self, value: Value, xs: Sequence[Operand], whole: bool) -> str:
        """A value inside the expression of another."""
        if value.op != "subtract":
            return expression(value, xs, whole)
        a, b = lifted(value, xs, whole)
        return f"{a.text} - {b.tight}"

    def _assigned(self, value: Value, out: str, text: str, where: Any) -> str:
        """An expression put where the value is kept."""
        if value not in self.memory.buffer or out.endswith("]"):
            return f"{out} = {text}"
        return f"{out}[...] = {text}"

    def _matmul_into(self, value: Value, xs: Sequence[Operand], out: str, whole: bool) -> str:
        a, b = xs
        if whole and (a.stepped or b.stepped):
            if b.stepped or len(b.shape) != 2:
                return ""
            target = rows(Operand(out, value.shape, value.dtype, True))
            return f"np.dot({rows(a)}, {b.text}, out={target})"
        if len(a.shape) == 3 and len(b.shape) == 2:
            target = rows(Operand(out, value.shape, value.dtype))
            return f"np.dot({rows(a)}, {b.text}, out={target})"
        if len(a.shape) <= 2 and len(b.shape) == 2:
            return f"np.dot({a.text}, {b.text}, out={out})"
        return ""

    def _sum(self, value: Value, where: Where | None, out: str) -> Lines:
        """A sum, term by term, each in its steps."""
        lines: Lines = []
        kept = self.memory.in_place.get(value)
        reads = [r for r in value.reads if r.source is not kept or not r.aligned]
        if len(reads) != len(value.reads) and len(reads) + 1 != len(value.reads):
            first = next(r for r in value.reads if r.source is kept)  # the same term twice
            reads = [r for r in value.reads if r is not first]
        started = len(reads) != len(value.reads)
        always = [r for r in reads if value.steps is None or r.steps == value.steps]
        fresh = value not in self.memory.buffer
        if fresh:
            if len(always) != len(reads):
                raise Unsupported("a sum has terms in some steps only, where that is not foreseen")
            xs = [self._term(read, where) for read in always]
            wide = lifted(value, xs, where is not None and not where.loop)
            text = " + ".join(x.text for x in wide)
            if not value.shape and not any(read.source is value for read in always):
                text = text if len(xs) > 1 or always[0].over else f"{text}.copy()"
            elif all(x.shape != value.shape for x in xs) or len(xs) == 1:
                text = f"np.zeros({shape_text(value.shape)}, {dtype_text(value.dtype)}) + {text}"
            return [(None, f"{out} = {text}")]
        if not started:
            overlap = sum(len(r.steps or ()) for r in reads) != len(value.steps or ())
            if len(always) >= 2:
                a, b = sorted(always, key=lambda r: r.source.shape != value.shape)[:2]
                pair = lifted(value, [self._operand(r, where) for r in (a, b)],
                              where is not None and not where.loop)  # fmt: skip
                if value.shape:
                    lines.append((None, f"np.add({pair[0].text}, {pair[1].text}, out={out})"))
                else:
                    lines.append((None, f"{out} = {pair[0].text} + {pair[1].text}"))
                reads = [r for r in reads if r is not a and r is not b]
            elif always:
                x = self._operand(always[0], where)
                lines.append((None, self._assigned(value, out, x.text, where)))
                reads = [r for r in reads if r is not always[0]]
            elif overlap or value.steps is None:
                lines.append((None, self._assigned(value, out, "0", where)))
            else:  # one term in each step
                for read in reads:
                    lines += self._part(value, read, where, "=")
                return lines
        for read in reads:
            lines += self._part(value, read, where, "+=")
        return lines

    def _term(self, read: Read, where: Where | None) -> Operand:
        """A term of a shared sum, which may itself be the sum over all steps."""
        x = self._operand(read, where)
        if read.over is not None:
            return Operand(f"{x.tight}.sum(axis=0)", x.shape, x.dtype)
        return x

    def _part(self, value: Value, read: Read, where: Where | None, sign: str) -> Lines:
        """A term in the steps in which it is there."""
        if where is None:
            return [(None, f"{self._target(value, None)} {sign} {self._term(read, None).text}")]
        when = read.steps or frozenset()
        if where.loop:
            out = self._target(value, where)
            x = self._operand(read, where).text
            line = f"{out} {sign} {x}" if sign == "+=" else self._assigned(value, out, x, where)
            return [(when, line)]
        if len(when) != max(when) - min(when) + 1:
            raise Unsupported("a term is there in some steps only")
        part = Where(False, 1, 0, min(when), max(when))
        (x,) = lifted(value, [self._operand(read, part)], True)  # type: ignore[assignment]
        return [(None, f"{self._target(value, part)} {sign} {x.text}")]  # type: ignore[attr-defined]

    # Operations that are more than one call of NumPy.

    def _write_shifted(self, value: Value, xs: list[Operand], out: str, whole: bool) -> list[str]:
        (z,) = xs
        if value in self.memory.in_place:
            return [f"{out} -= {Operand(out, (), None).tight}.max(axis=-1, keepdims=True)"]
        return [f"np.subtract({z.text}, {z.tight}.max(axis=-1, keepdims=True), out={out})"]

    def _write_relu(self, value: Value, xs: list[Operand], out: str, whole: bool) -> list[str]:
        if value not in self.memory.buffer or not value.shape:
            return [f"{out} = np.maximum({xs[0].text}, 0)"]
        return [f"np.maximum({xs[0].text}, 0, out={out})"]

    def _write_sigmoid(self, value: Value, xs: list[Operand], out: str, whole: bool) -> list[str]:
        (x,) = xs
        if not self.memory.only_for(value, {"multiply", "subtract", SUM}):
            power = f"np.exp(-np.abs({x.text}))"  # exact where it is next to 0, for a logarithm
            half = f"np.maximum({power}, {x.tight} >= 0) / (1 + {power})"
            return [self._assigned(value, out, half, None)]
        if value not in self.memory.buffer or not value.shape:
            return [f"{out} = 0.5 * np.tanh(0.5 * {x.tight}) + 0.5"]
        return [
            f"np.multiply({x.text}, 0.5, out={out})",
            f"np.tanh({out}, out={out})",
            f"{out} *= 0.5",
            f"{out} += 0.5",
        ]

    def _write_class_slope(
        self, value: Value, xs: list[Operand], out: str, whole: bool
    ) -> list[str]:
        e, n, y, *factor = xs
        lines = []
        c = "1"
        if not factor:
            lines.append(f"np.divide({e.text}, {n.tight}[..., None], out={out})")
        elif value.reads[3].source.op == "constant":
            c = self._part_of_mean(value, uniform(value.reads[3].source))
            scale = f"({c} / {n.tight})[..., None]"
            if value in self.memory.in_place:
                lines.append(f"{out} *= {scale}")
            else:
                lines.append(f"np.multiply({e.text}, {scale}, out={out})")
        else:
            (x,) = lifted(value, factor, whole)
            lines.append(f"np.divide({e.text}, {n.tight}[..., None], out={out})")
            lines.append(f"{out} *= {x.text}")
            ndim = len(value.shape) + (whole and e.stepped)
            c = x.text
            if ndim > 1:
                c = f"np.broadcast_to({Operand(c, (), None).tight}[..., 0], {y.tight}.shape)"
                c = f"{c}.reshape(-1)" if ndim > 2 else c
            elif x.shape:
                c = f"{Operand(c, (), None).tight}[0]"
        target = Operand(out, value.shape, value.dtype, whole and e.stepped)
        if len(target.shape) + target.stepped == 1:
            return [*lines, f"{out}[{y.text}] -= {c}"]
        setup, each, classes = self._classes(y)
        return [*setup, *lines, f"{rows(target)}[{each}, {classes}] -= {c}"]

    def _write_pick(self, value: Value, xs: list[Operand], out: str, whole: bool) -> list[str]:
        z, y = xs
        if len(z.shape) + z.stepped == 1:
            return [f"{out} = {z.tight}[{y.text}]"]
        setup, each, classes = self._classes(y)
        text = f"{Operand(rows(z), (), None).tight}[{each}, {classes}]"
        ndim = len(value.shape) + z.stepped
        return [
            *setup,
            f"{out} = {text}" if ndim == 1 else f"{out} = {text}.reshape({y.tight}.shape)",
        ]

    def _classes(self, y: Operand) -> tuple[list[str], str, str]:
        """The classes as one list, and the numbers of their rows, where they are first used."""
        key = flat(y)
        if "t" in re.findall(r"\w+", key):
            return [], f"np.arange({y.tight}.size)", key
        if key not in self.numbered:
            n = len(self.numbered) + 1
            end = str(n) if n > 1 else ""
            self.numbered[key] = (f"each{end}", key if key == y.text else f"classes{end}")
            row, column = self.numbered[key]
            every = f"{row} = np.arange({self._count(y, 0)})"
            return ([every, f"{column} = {key}"] if key != y.text else [every]), row, column
        return [], *self.numbered[key]

    def _count(self, x: Operand, keep: int) -> str:
        """How many rows an array has, all axes but the last `keep` taken together."""
        sizes = [size_text(n) for n in x.shape[: len(x.shape) - keep]]
        return " * ".join([self._number(x.rows), *sizes] if x.stepped else sizes) or "1"

    def _part_of_mean(self, value: Value, c: Any) -> str:
        """A factor as text: as 1 / B, if that is what the mean over the batch makes of it."""
        e = value.reads[0].source
        mean = any(v.about and "mean" in v.about and v.steps == value.steps for v in self.said)
        size = int(np.prod(value.shape[:-1]))
        if mean and e.op == "exp" and size > 1 and c == np.asarray(1 / size, value.dtype):
            return " / ".join(["1", *(size_text(n) for n in value.shape[:-1])])
        return number_text(c)

    def _write_rows_product(
        self, value: Value, xs: list[Operand], out: str, whole: bool
    ) -> list[str]:
        a, g = xs
        return [f"{out} = np.dot({Operand(rows(a), (), None).tight}.T, {rows(g)})"]

    def _write_rows_sum(self, value: Value, xs: list[Operand], out: str, whole: bool) -> list[str]:
        (g,) = xs
        keep = len(value.shape)
        if keep == 0:
            return [f"{out} = {g.tight}.sum()"]
        matrix = rows(g, keep)
        if keep == 1 and len(g.shape) + g.stepped > 1:
            ones = f"np.ones({self._count(g, 1)}, {dtype_text(value.dtype)})"
            return [f"{out} = np.dot({ones}, {matrix})"]
        return [f"{out} = {Operand(matrix, (), None).tight}.sum(axis=0)"]

    def _write_put_rows(self, value: Value, xs: list[Operand], out: str, whole: bool) -> list[str]:
        at = value.attributes["at"]
        index = f"{at[0]}:{at[-1] + 1}" if at == list(range(at[0], at[-1] + 1)) else str(at)
        zeros = f"np.zeros({shape_text(value.shape)}, {dtype_text(value.dtype)})"
        return [f"{out} = {zeros}", f"{out}[{index}] = {xs[0].text}"]

    def _write_rows_scatter(
        self, value: Value, xs: list[Operand], out: str, whole: bool
    ) -> list[str]:
        g, ids = xs
        matrix = rows(g, len(value.shape) - 1)
        if value.shape[0] <= 250 and len(value.shape) == 2:
            hot = f"({flat(ids)} == np.arange({size_text(value.shape[0])})[:, None])"
            return [f"{out} = np.dot({hot}.astype({dtype_text(value.dtype)}), {matrix})"]
        return [f"{out} = scatter({matrix}, {shape_text(value.shape)}, {flat(ids)})"]

    # ------------------------------------------------------------------------------------- arguments

    def _operand(self, read: Read, where: Where | None) -> Operand:
        source = read.source
        if read.over is not None:
            return self._over(source, read.over)
        if read.sign == 0 and read.offset is not None:
            return self._access(source, Where(True, 0, read.offset))
        return self._access(source, None if where is None else where.of(read))

    def _over(self, source: Value, over: list[int]) -> Operand:
        sign = over[-1] - over[0] >= 0 or -1
        sign = 1 if sign is True else -1
        if over == list(range(over[0], over[-1] + sign, sign)):
            lo, hi = min(over), max(over)
            offset = 0 if sign == 1 else lo + hi
            return self._access(source, Where(False, sign, offset, lo, hi))
        every = self._access(source, Where(False, 1, 0, min(over), max(over)))
        index = [t - min(over) for t in over]
        return Operand(f"{every.tight}[{index}]", every.shape, every.dtype, True, len(over))

    def _access(self, value: Value, where: Where | None) -> Operand:
        """A value as text, in the steps that are meant."""
        if value.leaf:
            return Operand(self._leaf(value), value.shape, value.dtype)
        stepped = value.steps is not None and where is not None and not where.loop
        if self.memory.inline(value):
            read = value.reads[0]
            if not is_view(value):
                xs = [self._operand(r, where) for r in value.reads]
                text = self._part_of(value, xs, stepped)
                return Operand(text, value.shape, value.dtype, stepped, xs[0].rows)
            if value.op == "getitem" and any(map(moves, value.attributes["index"])):
                return self._moving(value, where)
            inner = self._operand(read, where)
            stepped_ = inner.stepped and value.op != "rows"
            return Operand(
                view(value, inner, stepped), value.shape, value.dtype, stepped_, inner.rows
            )
        name = self._name(value)
        buffer = self.memory.buffer.get(value)
        if value in self.memory.part_of:
            array, place = self.memory.part_of[value]
            index = ", ".join(map(index_text, place))
            row = self._access(array, where)
            return Operand(f"{row.text}[{index}]", value.shape, value.dtype)
        if value in self.memory.packed:
            assert value.steps is not None
            assert where is not None
            index = self._rows(where, -min(value.steps), len(value.steps))
            return Operand(
                f"{name}[{index}]" if index else name,
                value.shape,
                value.dtype,
                stepped,
                where.count,
            )
        if value.steps is None or buffer is None or buffer.rows is None:
            return Operand(name, value.shape, value.dtype)
        assert where is not None
        index = self._rows(where, -buffer.rows[0], buffer.rows[1] - buffer.rows[0] + 1)
        return Operand(
            f"{name}[{index}]" if index else name, value.shape, value.dtype, stepped, where.count
        )

    def _moving(self, value: Value, where: Where | None) -> Operand:
        """x[t], for one step or for all."""
        assert where is not None
        index = value.attributes["index"]
        axis = next(i for i, part in enumerate(index) if moves(part))
        before, at, after = index[:axis], index[axis], index[axis + 1 :]
        read = value.reads[0]
        plain = all(isinstance(part, slice) for part in before)
        if not plain or any(map(moves, after)) or read.source.steps is not None:
            raise Unsupported("an index moves with the step, and not as one of the first axes")
        array = self._access(read.source, None)
        moved = Where(
            where.loop, at.sign * where.sign, at.sign * where.offset + at.offset,
            where.first, where.last,
        )  # fmt: skip
        taken = self._rows(moved, 0, array.shape[axis])
        parts = [*map(index_text, before), taken or ":", *map(index_text, after)]
        if not where.loop and parts == [":"]:
            return Operand(array.text, value.shape, value.dtype, True, where.count)
        text = f"{array.tight}[{', '.join(parts)}]"
        if where.loop:
            return Operand(text, value.shape, value.dtype)
        text = f"np.moveaxis({text}, {axis}, 0)" if axis else text
        return Operand(text, value.shape, value.dtype, True, where.count)

    def _rows(self, where: Where, base: int, length: int) -> str:
        """An index of rows: t - 1, 1:, :-1. "" for all of them."""
        offset = where.offset + base
        if where.loop:
            if where.sign == 0:
                return self._number(offset)
            if where.sign == 1:
                return f"t {'+' if offset > 0 else '-'} {abs(offset)}" if offset else "t"
            return f"{self._number(offset)} - t"
        a, b = (where.sign * t + offset for t in (where.first, where.last))
        if where.sign == 1 or a == b:
            start = "" if a == 0 else self._number(a)
            stop = "" if b + 1 == length else self._number(b + 1)
            return f"{start}:{stop}" if start or stop else ""
        start = "" if a + 1 == length else self._number(a)
        return f"{start}:{'' if b == 0 else self._number(b - 1)}:-1"

    def _target(self, value: Value, where: Where | None) -> str:
        if value.steps is None or where is None:
            return self._name(value)
        return self._access(value, where).text

    def _leaf(self, value: Value) -> str:
        if value in self.names:
            return self.names[value]
        if _is_range(value):
            return f"np.arange({size_text(value.shape[0])})"
        number = uniform(value)
        text = number_text(number)
        reads = self.memory.read_by.get(value, [])
        plain = "python" in value.attributes or all(
            reader is not None and reader.op in (*UFUNCS, SUM) and reader.dtype == value.dtype
            and any(r.source.shape == reader.shape and r.source is not value
                    and r.source.dtype == value.dtype for r in reader.reads)
            for reader, _ in reads
        )  # fmt: skip
        if plain:
            return f"({text})" if text.startswith("-") else text
        return f"np.full({shape_text(value.shape)}, {text}, {dtype_text(value.dtype)})"

    def _check_integers(self, value: Value, xs: list[Operand]) -> None:
        """NumPy counts negative indices from the end; as classes they are mistakes."""
        where = {"embedding": 1, "pick": 1}.get(value.op)
        if where is None:
            return
        source = value.reads[where].source
        while not source.leaf and self.memory.inline(source):
            source = source.reads[0].source
        if source.op not in ("input", "captured", "constant", "argmax", "argmin"):
            raise Unsupported("classes are computed, and may be below 0")
        if source.op in ("input", "captured") and source.dtype.kind == "i" and all(source.shape):
            name = self.names[source]
            self.checked[name] = (
                f'if {name}.min() < 0:\n    raise IndexError("{name}: a number below 0")'
            )

    def _result(self, root: Read) -> str:
        text = self._operand(root, None).text
        value = root.source
        own = value.steps is None and not self.memory.inline(value) and value.op != "broadcast_to"
        return text if own else f"np.array({text})" if value.leaf else f"{text}.copy()"

    # ----------------------------------------------------------------------------------------- names

    def _fill_names(self, values: list[Value]) -> None:
        """Names for what has none: that of what takes its place, or r, r2, …"""
        count = 0
        taken = set(self.names.values())
        for buffer in dict.fromkeys(self.memory.buffer.values()):
            for value, after in reversed(list(pairwise(buffer.values))):
                near = self._unit(value).direction == 0 == self._unit(after).direction
                same = near or self._unit(value) is self._unit(after) or after.op == SUM
                first = value not in self.memory.in_place
                if after in self.names and same and first:
                    self.names.setdefault(value, self.names[after])
        for value in values:
            if value in self.names or self.memory.inline(value):
                continue
            buffer_ = self.memory.buffer.get(value)
            before = self.memory.in_place.get(value)
            if before in self.names:
                self.names[value] = self.names[before]
                continue
            wanted = "r"
            if value.op in ("swapaxes", "transpose"):
                source = self.names.get(value.reads[0].source, "r")
                wanted = f"{source}_T"
            elif buffer_ is not None and buffer_.instead is not None and buffer_.rows is None:
                old = [self.names[v] for v in buffer_.instead.values if v in self.names]
                if old and old[0].startswith("r"):
                    self.names[value] = old[0]
                    continue
            name = wanted
            while name in taken:
                count += 1
                name = f"{wanted}{count + 1}"
            taken.add(name)
            self.names[value] = name

    def _unit(self, value: Value) -> Unit:
        return self.units[self.memory.unit_of[value]]

    def _name(self, value: Value) -> str:
        return self.names[value]

    def _formula_name(self, value: Value) -> str | None:
        """The name of a value in equations; None of what is written out there."""
        return self.names[value] if value in self.said else None

    # --------------------------------------------------------------------------------------- letters

    def _number(self, n: int) -> str:
        """A step as text, seen from the last one where it is near to that."""
        if self.T >= SHORTEST and abs(n - self.T) <= 1:
            return "T" if n == self.T else f"T {'+' if n > self.T else '-'} 1"
        return str(n)

    def _sizes(self, text: str) -> tuple[list[str], str]:
        """The lines that give the letters their numbers, and the text with letters for them."""
        found = self._candidates()
        meanings: dict[int, set[str]] = {}
        for letter, n, _ in found:
            meanings.setdefault(n, set()).add(letter)
        taken = set(self.names.values())
        clear = {
            letter: (n, array) for letter, n, array in reversed(found)
            if len(meanings[n]) == 1 and letter not in taken
        }  # fmt: skip
        self.letter = {n: letter for letter, (n, _) in clear.items()}
        text = self._plain(text)
        used = [x for x in ("T", "B", "D", "H", "K") if re.search(rf"\b{x}\b", text)]
        lines: list[str] = []
        if "T" in used and "T" not in clear:
            lines.append(f"T = {self.T}")
        for value in self.inputs:
            name = self.names[value]
            letters = [self.letter.get(n, "_") for n in value.shape]
            fresh = [x for x in letters if x in used and clear[x][1] is value]
            if not fresh:
                continue
            given = [x if x in fresh or (x in used and False) else "_" for x in letters]
            given = [x if given.index(x) == i else "_" for i, x in enumerate(given)]
            lines.append(f"{', '.join(given)}{',' if len(given) == 1 else ''} = {name}.shape")
        return lines, text

    def _candidates(self) -> list[tuple[str, int, Value]]:
        """Letters for lengths, and the argument that has an axis of that length."""
        found: list[tuple[str, int, Value]] = []
        sequences = sorted(
            (v for v in self.inputs if v.op == "input" and v.shape[:1] == (self.T,)),
            key=lambda v: -len(v.shape),
        )
        for value in sequences if self.T >= SHORTEST else ():
            found += [(x, n, value) for x, n in zip("TBD", value.shape, strict=False)]
        states = [v.shape[-1] for v in self.memory.goes_on if v.shape]
        logits = [v.shape[-1] for v in self.memory.unit_of if v.op == "shifted"]
        for letter, sizes in (("H", states[:1]), ("K", logits[:1])):
            for n in sizes:
                arrays = [v for v in self.inputs if v.op == "captured" and n in v.shape]
                wide = sorted(arrays, key=lambda v: (len(v.shape) != 2, v.name != "U"))
                found += [(letter, n, v) for v in wide[:1]]
        return found

    def _plain(self, text: str) -> str:
        return re.sub(r"‹(\d+)›", lambda m: self.letter.get(int(m[1]), m[1]), text)

    def _letters(self, lines: list[str]) -> list[str]:
        return [self._plain(line) for line in lines]


def _is_range(value: Value) -> bool:
    if value.op != "constant" or value.constant.ndim != 1 or value.dtype.kind != "i":
        return False
    return bool(np.array_equal(value.constant, np.arange(len(value.constant))))


def _comment(text: str, remark: str) -> list[str]:
    lines = textwrap.wrap(text, 90, subsequent_indent="    ", break_long_words=False)
    if len(lines) > 1 or len(text) + len(remark) > 90:
        lines = [*([remark + ":"] if remark else []), *lines]
        return [f"# {line}" for line in lines]
    return [f"{f'# {text}':<52}  {remark}".rstrip()]


def _filled(parts: list[str]) -> list[str]:
    lines = [""]
    for part in parts:
        if len(lines[-1]) + len(part) > 90:
            lines.append("")
        lines[-1] += ("   " if lines[-1] else "") + part
    return lines


def _wrapped(head: str) -> str:
    return head
