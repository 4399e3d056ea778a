"""Access: the arguments of an operation as text, for one step of a loop or for all steps at once.

A value over time is an array whose rows are steps; here it is found out which rows are meant, and
what the array is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from .equations import SUM, Read, Roots, Value
from .memory import Buffer, Memory
from .names import name_values
from .operations import UFUNCS, expression, lifted, moves
from .rewriting import ordered, uniform
from .schedule import Unit
from .text import Operand, dtype_text, index_text, number_in, number_text, shape_text, size_text
from .trace import Unsupported
from .views import is_view, view

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


class Access:
    """Knows the places and names of the values of a schedule. inputs: its arguments, in order.

    any_length: whether T may be another number of steps than was recorded. It becomes False where
    a step is seen neither from the first nor from the last.
    numbers: those that were written. elsewhere: what they were in a recording of another length.
    """

    def __init__(
        self, units: list[Unit], roots: Roots, inputs: list[Value], any_length: bool,
        elsewhere: Sequence[Any],
    ) -> None:  # fmt: skip
        self.units, self.roots = units, roots
        self.memory = Memory(units, roots)
        every = [value for unit in units for value in unit.values]
        self.parts = {v: v.reads[0].source for v in every if self._named_part(v)}
        values = [v for v in every if v in self.parts or not self.memory.inline(v)]
        self.constants = [
            value for value in ordered(roots)
            if value.op == "constant" and uniform(value) is None and not is_range(value)
        ]  # fmt: skip
        for i, value in enumerate(self.constants, 1):
            value.name = value.name or f"constant{i}"
        self.inputs = [*inputs, *self.constants]
        self.names = name_values(values, self.inputs, self.memory.goes_on)
        self.said = set(self.names)  # what has a name in the equations, too
        self.T = self.memory.rows[1]
        self.any_length = any_length and self.T >= SHORTEST
        self.numbers: list[Any] = []
        self.elsewhere = elsewhere
        self._shown: dict[Buffer, str] = {}
        self._fill_names(values)

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
        if self.memory.inline(value) and value not in self.parts:
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
        buffer = self.memory.buffer.get(self.parts.get(value, value))
        if value in self.memory.part_of:
            array, place = self.memory.part_of[value]
            index = ", ".join(map(index_text, place))
            row = self._access(array, where)
            every = ":, " if stepped else ""
            return Operand(
                f"{row.text}[{every}{index}]", value.shape, value.dtype, stepped, row.rows
            )
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
        if not where.loop or where.sign == 0:
            ends = [where.sign * t + where.offset for t in (where.first, where.last)]
            if not buffer.rows[0] <= min(ends) <= max(ends) <= buffer.rows[1]:
                raise Unsupported(f"there is no row for each step of {name}")
        index = self._rows(where, -buffer.rows[0], buffer.rows[1] - buffer.rows[0] + 1)
        return Operand(
            f"{name}[{index}]" if index else name, value.shape, value.dtype, stepped, where.count
        )

    def _named_part(self, value: Value) -> bool:
        """Whether a value is a part of an array over time that the function has a name for."""
        if value.op != "getitem" or not value.name or value.steps is None or not is_view(value):
            return False
        (read,) = value.reads
        kept = read.source in self.memory.buffer and read.source not in self.memory.part_of
        return kept and read.sign == 1 and read.offset == 0 and not any(
            map(moves, value.attributes["index"])
        )  # fmt: skip

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
        if is_range(value):
            return range_text(value)
        text = self._constant(uniform(value), value.dtype)
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

    def _fill_names(self, values: list[Value]) -> None:
        """Names for what has none: that of what takes its place, or r, r2, …"""
        count = 0
        taken = set(self.names.values())
        for buffer in dict.fromkeys(self.memory.buffer.values()):
            for value, after in reversed(list(pairwise(buffer.values))):
                near = self._unit(value).direction == 0 == self._unit(after).direction
                same = near or self._unit(value) is self._unit(after) or after.op == SUM
                earlier = buffer.values[: buffer.values.index(value)]
                first = not any(v in self.names for v in earlier)
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

    def _number(self, n: int) -> str:
        """A step as text, seen from the last one where it is near to that."""
        if self.T >= SHORTEST and abs(n - self.T) <= 1:
            return "T" if n == self.T else f"T {'+' if n > self.T else '-'} 1"
        self.any_length = self.any_length and n <= 2
        return str(n)

    def _constant(self, x: Any, dtype: Any) -> str:
        """A number as text; as one that T is in, if T may be any and it looks like that, and if it
        is not known to be the same at another length."""
        i = len(self.numbers)
        self.numbers.append(x)
        same = i < len(self.elsewhere) and x == self.elsewhere[i]
        in_T = number_in(self.T, x, dtype) if self.any_length and not same else ""
        return in_T or number_text(x)

    def _part_of(self, value: Value, xs: Sequence[Operand], whole: bool) -> str:
        """A value inside the expression of another."""
        if value.op != "subtract":
            return expression(value, xs, whole)
        a, b = lifted(value, xs, whole)
        return f"{a.text} - {b.tight}"


def is_range(value: Value) -> bool:
    """Whether a constant is 0, 1, 2, … or 1, 2, 3, …, along its first axis."""
    if value.op != "constant" or value.dtype.kind != "i" or value.constant.ndim == 0:
        return False
    flat = value.constant.reshape(-1)
    if len(flat) != len(value.constant) or flat[0] not in (0, 1):
        return False
    return bool(np.array_equal(flat, np.arange(flat[0], flat[0] + len(flat))))


def range_text(value: Value) -> str:
    size = size_text(value.shape[0])
    text = f"np.arange({size})" if value.constant.flat[0] == 0 else f"np.arange(1, {size} + 1)"
    return text + (f"[:{', None' * (len(value.shape) - 1)}]" if len(value.shape) > 1 else "")
