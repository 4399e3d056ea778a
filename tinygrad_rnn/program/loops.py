"""Loops: the lines of a loop over the steps, and the arrays that begin before it."""

from __future__ import annotations

import re
import textwrap

from .access import Where
from .equations import Value
from .formulas import Formulas
from .names import at_step
from .phrases import Phrases
from .schedule import Unit
from .statements import Lines
from .text import Operand, dtype_text, size_text
from .trace import Unsupported
from .views import view

WORDS = {0: "t", -1: "before", 1: "after"}
ROW = re.compile(r"(?<![\w.])(\w+)\[t( [+-] \d+)?\]")


class Loops(Phrases):
    """Writes a loop into the body."""

    body: list[str]
    formulas: Formulas

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
                before += [*self._beginning(value), *self._named_parts(value)]
                continue
            before += self._named_parts(value)
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
        for n, equation in enumerate(comments):
            self.body += comment(equation, how if n == 0 else "")
        self.body += before
        lines = self._bound(lines, unit.direction > 0, steps)
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

    def _bound(self, lines: Lines, forward: bool, steps: list[int]) -> Lines:
        """The lines of a loop with its rows by name, h_t for h[t]; the head goes to the body.

        The loop runs over the rows of its arrays, which costs less than to index them. A row of the
        step that it comes from is remembered from there. Of an array that has several names, the
        last one is used.
        """
        kept = {self._shown[b]: b.rows for b in self.memory.buffer.values()
                if b in self._shown and b.rows is not None and b.shape}  # fmt: skip
        kept |= {self._name(part): b.rows for part, whole in self.parts.items()
                 if (b := self.memory.buffer[whole]) in self._shown and b.rows}  # fmt: skip
        latest = {self._name(v): self._shown.get(b, "") for v, b in self.memory.buffer.items()}
        taken = set(self.names.values())

        def row(match: re.Match[str]) -> tuple[str, int] | None:
            """An array and whose step of it is meant: 0 of this one, −1 of the one before."""
            name = latest.get(match[1], match[1])
            shift = int((match[2] or "0").replace(" ", "")) + kept.get(name, (0, 0))[0]
            free = shift in WORDS and at_step(name, WORDS[shift]) not in taken
            return (name, shift) if name in kept and free else None

        first = steps[0] if forward else steps[-1]
        read: dict[tuple[str, int], bool] = {}  # whether in the first step, too
        for when, text in lines:
            for match in ROW.finditer(text):
                if found := row(match):
                    read[found] = read.get(found, False) or when is None or first in when
        back = -1 if forward else 1
        over: dict[str, str] = {}  # what the loop runs over, by the name of its row
        local: dict[tuple[str, int], str] = {}
        carry: Lines = []

        def run_over(name: str, shift: int) -> bool:
            rows = self._rows_of(kept[name], shift, forward, steps)
            if rows is not None:
                local[name, shift] = at_step(name, WORDS[shift])
                over[local[name, shift]] = f"{name}[{rows}]" if rows else name
            return rows is not None

        for (name, shift), at_first in sorted(read.items(), key=lambda found: found[0][1] != 0):
            lo, hi = kept[name]
            starts = lo <= first + back <= hi
            if shift != back or (at_first and not (starts and (name, 0) in read)):
                run_over(name, shift)
            elif (name, 0) in local or (at_step(name) not in taken and run_over(name, 0)):
                before = local[name, shift] = at_step(name, WORDS[shift])
                carry.append((None, f"{before} = {local[name, 0]}"))
                if at_first:
                    self.body.append(f"{before} = {name}[{self._number(first + back - lo)}]")

        def named(match: re.Match[str]) -> str:
            found = row(match)
            return local.get(found, match[0]) if found else match[0]

        fresh: Lines = []
        for when, text in lines:
            target, sign, rest = text.partition(" = ")
            row_of = ROW.fullmatch(target) if sign else None
            if row_of and named(row_of) != target:  # it is filled, and not made
                target = f"{named(row_of)}[...]"
            fresh.append((when, ROW.sub(named, f"{target}{sign}{rest}")))
        shown = [text for _, text in fresh]
        shown += [self._condition(when, steps) for when, _ in fresh]
        if not over or any(re.search(r"\bt\b", text) for text in shown):
            ends = self._number(first), self._number(steps[-1] + 1 if forward else steps[0] - 1)
            over = {"t": f"range({', '.join(ends)}{'' if forward else ', -1'})"} | over
        self.body += head(over)
        return fresh + carry

    def _rows_of(
        self, rows: tuple[int, int], shift: int, forward: bool, steps: list[int]
    ) -> str | None:
        """The rows of an array that a loop goes through, as an index; None if some are missing."""
        lo, hi = rows
        sign, offset = (1, shift) if forward else (-1, steps[0] + steps[-1] + shift)
        if not lo <= steps[0] + shift <= steps[-1] + shift <= hi:
            return None
        return self._rows(Where(False, sign, offset, steps[0], steps[-1]), -lo, hi - lo + 1)

    def _named_parts(self, value: Value) -> list[str]:
        """The lines that give names to parts of an array."""
        buffer = self.memory.buffer.get(value)
        whole = buffer is not None and buffer.rows is not None
        array = Operand(self.names.get(value, ""), value.shape, value.dtype, whole)
        return [f"{self._name(part)} = {view(part, array, whole)}"
                for part, of in self.parts.items() if of is value]  # fmt: skip

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
        self.any_length = False
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

    def _formula_name(self, value: Value) -> str | None:
        """The name of a value in equations; None of what is written out there."""
        return self.names[value] if value in self.said else None


def head(over: dict[str, str]) -> list[str]:
    """The head of a loop over the rows of arrays."""
    names, arrays = ", ".join(over), ", ".join(over.values())
    if len(over) == 1:
        return [f"for {names} in {arrays}:"]
    line = f"for {names} in zip({arrays}):"
    if len(line) <= 92:
        return [line]
    wrapped = textwrap.wrap(arrays, 88, break_long_words=False)
    return [f"for {names} in zip(", *(f"    {part}" for part in wrapped), "):"]


def comment(text: str, remark: str) -> list[str]:
    lines = textwrap.wrap(text, 90, subsequent_indent="    ", break_long_words=False)
    if len(lines) > 1 or len(text) + len(remark) > 90:
        lines = [*([remark + ":"] if remark else []), *lines]
        return [f"# {line}" for line in lines]
    return [f"{f'# {text}':<52}  {remark}".rstrip()]
