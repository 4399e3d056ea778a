"""Memory: where each value is kept.

A value over time is kept in an array in which row t is step t, so that the steps together are a
view, and the steps before them are another. What is read in its own step of a loop only has no
row for each step. A value takes the place of an argument that nobody reads later; what nobody reads
any more is written over. Arguments of the program are never written to, and results are new arrays.

Nothing here knows what the values mean, nor how anything is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .equations import SUM, Read, Roots, Value, readers
from .operations import ELEMENTWISE, UFUNCS
from .rewriting import uniform
from .schedule import Unit
from .views import is_view

INTO = {*ELEMENTWISE, "matmul", "class_slope", "tile"}
"""What can be computed into an array that is there already."""


@dataclass(eq=False, slots=True)
class Buffer:
    """An array of the program. rows: from which step to which; None without steps.

    values: what is kept in it, one after another. instead: the buffer that it takes the memory of.
    """

    rows: tuple[int, int] | None
    shape: tuple[int, ...]
    dtype: Any
    values: list[Value] = field(default_factory=list)
    instead: Buffer | None = None

    @property
    def kind(self) -> Any:
        """What another is to have in common to take its memory."""
        length = None if self.rows is None else self.rows[1] - self.rows[0]
        return length, self.shape, self.dtype


class Memory:
    """The places of the values of a schedule.

    buffer: of each value that is kept in an array. made: the buffers that begin in each unit.
    goes_on: sums that only add a beginning or an end to a value, which is kept in their place.
    part_of: values that are computed at their place in an array of parts, and that place.
    packed: values over time that are kept without a buffer.
    In no buffer are inline values, which are written where they are read, and those of an
    expression that makes an array of its own.
    """

    def __init__(self, units: list[Unit], roots: Roots) -> None:
        self.units = units
        self.read_by = readers(roots)
        self.unit_of = {value: i for i, unit in enumerate(units) for value in unit.values}
        self.place = {v: j for unit in units for j, v in enumerate(unit.values)}
        self.buffer: dict[Value, Buffer] = {}
        self.in_place: dict[Value, Value] = {}
        self.made: dict[int, list[Buffer]] = {}
        self.results = {root.source for root in roots}
        self.uses = {value: list(self._uses(value)) for value in self.unit_of}
        steps = [t for unit in units for v in unit.values for t in v.steps or ()]
        self.rows = (min(0, *steps), max(steps)) if steps else (0, 0)
        self.packed: set[Value] = set()
        self.ends_in = dict(self._continued())
        self.goes_on = {reader: value for value, reader in self.ends_in.items()}
        self.part_of = dict(self._parts())
        for part, (whole, index) in self.part_of.items():
            self.uses[whole] += self._uses_of_part(part, whole, index)
        self._plan()

    def inline(self, value: Value) -> bool:
        """Whether a value is written where it is read."""
        if value.leaf:
            return True
        if is_view(value):
            return not self.kept_transposed(value)
        return self._one_expression(value)

    def _one_expression(self, value: Value) -> bool:
        """Whether a small value is written inside the expression of its only reader."""
        if value.op not in ("log", "subtract", "negative") or value.steps is None:
            return False
        readers = self.read_by.get(value, ())
        if len(readers) != 1 or readers[0][0] is None or not readers[0][1].aligned:
            return False
        reader = readers[0][0]
        if len(value.shape) > 1 or reader.steps != value.steps or value in self.results:
            return False
        if reader.op not in ("subtract", "mean", "sum") or value.name or uniform(value) is not None:
            return False
        units = [self.units[self.unit_of[x]] for x in (value, reader)]
        return not any(unit.direction for unit in units)

    def only_for(self, value: Value, ops: set[str]) -> bool:
        """Whether a value, as a whole or in parts, is read by these operations only."""
        waiting = [value]
        while waiting:
            for reader, _ in self.read_by[waiting.pop()]:
                if reader is not None and is_view(reader):
                    waiting.append(reader)
                elif reader is None or reader.op not in ops:
                    return False
        return True

    def kept_transposed(self, value: Value) -> bool:
        """Whether a matrix that loops read transposed is to be kept so: they read it often."""
        if value.op not in ("swapaxes", "transpose") or value.steps is not None:
            return False
        return any(
            reader is not None and self.units[self.unit_of[reader]].direction
            for reader, _ in self.read_by.get(value, ())
            if reader in self.unit_of
        )

    def scratch(self, value: Value) -> bool:
        """Whether a value of a loop is read in its own step only."""
        unit = self.unit_of[value]
        if not self.units[unit].direction or value in self.results or value in self.ends_in:
            return False
        return all(at == unit and aligned for at, _, aligned, _ in self.uses[value])

    def _uses(self, value: Value) -> Iterator[tuple[int, int, bool, bool]]:
        """Where a value is read: the unit, the place in it, whether in the same step, and whether
        as it is, and not a part of it."""
        waiting = [(value, True, True)]
        seen = set()
        while waiting:
            x, aligned, direct = waiting.pop()
            if (x, aligned) in seen:
                continue
            seen.add((x, aligned))
            for reader, read in self.read_by[x]:
                if reader is None:
                    yield len(self.units), 0, False, False
                elif self.inline(reader):
                    moved = aligned and read.aligned
                    waiting.append((reader, moved, False))
                else:
                    same = aligned and read.aligned and read.over is None
                    yield self.unit_of[reader], self.place[reader], same, direct

    # ------------------------------------------------------------------------------------- the plan

    def _plan(self) -> None:
        free: dict[Any, list[Buffer]] = {}
        alive: list[Buffer] = []
        for i, unit in enumerate(self.units):
            for value in unit.values:
                if value in self.part_of:
                    continue
                if self.inline(value) or not self._wants_buffer(value):
                    continue
                into = self._in_place_of(value)
                if into is not None:
                    buffer = self.buffer[into]
                    self.in_place[value] = into
                else:
                    rows = self._rows(value)
                    buffer = Buffer(rows, value.shape, value.dtype)
                    same = free.get(buffer.kind, [])
                    if same:
                        buffer.instead = same.pop()
                    self.made.setdefault(i, []).append(buffer)
                    alive.append(buffer)
                self.buffer[value] = buffer
                buffer.values.append(value)
            for buffer in list(alive):
                if all(at <= i for v in buffer.values for at, *_ in self.uses[v]):
                    alive.remove(buffer)
                    free.setdefault(buffer.kind, []).append(buffer)

    def _rows(self, value: Value) -> tuple[int, int] | None:
        """The rows of a new array: its steps, and those of the sequence that takes its place."""
        if value.steps is None or self.scratch(value):
            return None
        steps = value.steps
        for _ in range(20):
            if value in self.ends_in:
                steps = steps | (self.ends_in[value].steps or frozenset())
            readers = [*dict.fromkeys(r for r, _ in self.read_by[value] if r is not None)]
            if len(readers) != 1 or readers[0].op not in INTO or readers[0] not in self.unit_of:
                break
            value = readers[0]
            if self.inline(value):
                break
        return min(steps), max(steps)

    def _pack(self, value: Value) -> bool:
        """Whether an expression over all steps is kept as it is: its first row is the first step.

        That is so for what is read for all steps at once only.
        """
        if value.steps is None or self.units[self.unit_of[value]].direction:
            return False
        if (value.op in INTO and value.shape) or value in self.ends_in or value in self.results:
            return False
        if value.op == SUM or any(self.units[at].direction for at, *_ in self.uses[value]):
            return False
        self.packed.add(value)
        return True

    def _wants_buffer(self, value: Value) -> bool:
        if self._pack(value):
            return False
        if value.steps is not None and not self.scratch(value):
            return True
        return value.op in INTO and bool(value.shape) and value not in self.results

    def _in_place_of(self, value: Value) -> Value | None:
        """An argument whose place the value can take."""
        here, place = self.unit_of[value], self.place[value]
        if value in self.goes_on:
            return self.goes_on[value]
        if value.op not in ELEMENTWISE and value.op not in ("class_slope", "tile"):
            return None
        reads = value.reads
        if value.op == "tile":  # an array that has some of its parts, at their place
            parts = [self.part_of[r.source][0] for r in reads if r.source in self.part_of]
            reads = [Read(x, 1, 0) for x in dict.fromkeys(parts) if x is not value]
        if value.op == SUM:  # those that are there in all steps, and not more than twice
            reads = [r for r in reads if r.steps == value.steps] if value.steps else reads
            times = Counter(r.source for r in value.reads)
            reads = [r for r in reads if times[r.source] <= 2]
        elif value.op == "class_slope":
            reads = reads[:1]
        for read in reads:
            x = read.source
            buffer = self.buffer.get(x)
            if buffer is None or read.over is not None or not read.aligned:
                continue
            if (x.shape, x.dtype) != (value.shape, value.dtype):
                continue
            if (x.steps is None) != (value.steps is None):
                continue
            if buffer.rows is None and value.steps is not None and not self.scratch(value):
                continue
            if value.steps is not None and not value.steps <= (x.steps or frozenset()):
                continue
            if buffer.rows is not None and self.scratch(value) is False:
                lo, hi = min(value.steps or {0}), max(value.steps or {0})
                if lo < buffer.rows[0] or hi > buffer.rows[1]:
                    continue
            if not self._done_with(buffer, value, here, place):
                continue
            return x
        return None

    def _done_with(self, buffer: Buffer, value: Value, here: int, place: int) -> bool:
        """Whether nobody reads what is in a buffer after the value was computed."""
        loop = bool(self.units[here].direction)
        for kept in buffer.values:
            for at, j, aligned, direct in self.uses[kept]:
                if at > here:
                    return False
                if at == here and loop and (not aligned or j > place):
                    return False
                if at == here and j == place and not (aligned and direct):
                    return False
        return True

    def _parts(self) -> Iterator[tuple[Value, tuple[Value, Any]]]:
        """Values of a loop that only an array of parts reads: they are computed at their part."""
        for unit in self.units:
            for whole in unit.values if unit.direction else ():
                if whole.op != "tile":
                    continue
                for read, index in zip(whole.reads, whole.attributes["indices"], strict=True):
                    part = read.source
                    here = part in unit.values and part.steps == whole.steps and read.aligned
                    others = [r for r, _ in self.read_by[part] if r is not whole]
                    later = all(
                        r is not None and r.op == "tile" and r not in unit.values for r in others
                    )
                    if here and later and part.op in UFUNCS:
                        yield part, (whole, index)

    def _uses_of_part(
        self, part: Value, whole: Value, index: Any
    ) -> Iterator[tuple[int, int, bool, bool]]:
        """The uses of a part beside its array: in another array, at the same place or elsewhere."""
        for reader, read in self.read_by[part]:
            if reader is None or reader is whole:
                continue
            same = read.aligned and index == reader.attributes["indices"][reader.reads.index(read)]
            yield self.unit_of[reader], self.place[reader], same, same

    def _continued(self) -> Iterator[tuple[Value, Value]]:
        """Values that only one reads, which goes on from there: h, which is h after h_0."""
        for value in self.unit_of:
            if len(self.read_by[value]) != 1 or value.steps is None or self.inline(value):
                continue
            reader, read = self.read_by[value][0]
            if reader is None or reader.op != SUM or reader.steps is None:
                continue
            once = sum(len(r.steps or ()) for r in reader.reads) == len(reader.steps)
            same = (reader.shape, reader.dtype) == (value.shape, value.dtype)
            elsewhere = all(
                r is read or r.source not in self.unit_of or not self._in_loop_of(r, reader)
                for r in reader.reads
            )
            if once and same and elsewhere and read.sign == 1 and read.offset == 0:
                yield value, reader

    def _in_loop_of(self, read: Read, reader: Value) -> bool:
        unit = self.unit_of[reader]
        return bool(self.units[unit].direction) and self.unit_of[read.source] == unit
