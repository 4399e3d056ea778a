"""Loops: the lines of a loop over the steps, and the arrays that begin before it."""

from __future__ import annotations

import re
import textwrap

from .access import Where
from .equations import Value
from .formulas import Formulas
from .phrases import Phrases
from .schedule import Unit
from .statements import Lines
from .text import dtype_text, size_text
from .trace import Unsupported


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
        for n, equation in enumerate(comments):
            self.body += comment(equation, how if n == 0 else "")
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


def comment(text: str, remark: str) -> list[str]:
    lines = textwrap.wrap(text, 90, subsequent_indent="    ", break_long_words=False)
    if len(lines) > 1 or len(text) + len(remark) > 90:
        lines = [*([remark + ":"] if remark else []), *lines]
        return [f"# {line}" for line in lines]
    return [f"{f'# {text}':<52}  {remark}".rstrip()]
