"""Statements: one operation as lines of NumPy, computed into the place where its value is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .access import Access, Where
from .equations import SUM, Read, Value
from .names import at_step
from .operations import UFUNCS, expression, lifted
from .text import Operand, dtype_text, index_text, rows, shape_text, size_text
from .trace import Unsupported

Lines = list[tuple[frozenset[int] | None, str]]  # the steps in which a line runs, and the line


class Statements(Access):
    """Writes operations of one call of NumPy, and sums."""

    checked: dict[str, str]

    def special(self, value: Value, xs: list[Operand], out: str, whole: bool) -> list[str] | None:
        """The lines of an operation that is more than one call; None if it is none of these."""
        raise NotImplementedError

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
        lines += self._check_integers(value, xs, where)
        if not buffered and value.op in ("tile", "class_slope", "shifted"):
            shape = shape_text(value.shape)
            lines.append((None, f"{out} = np.empty({shape}, {dtype_text(value.dtype)})"))
        if value.op == "tile":
            kept = self.memory.in_place.get(value)
            for index, x, read in zip(value.attributes["indices"], xs, value.reads, strict=True):
                array, place = self.memory.part_of.get(read.source, (None, None))
                if array is value or (array is kept and kept is not None and place == index):
                    continue  # it is there
                parts = ", ".join(map(index_text, index))
                lines.append((None, f"{out}[{':, ' if whole else ''}{parts}] = {x.text}"))
            return lines
        if value.op in ("swapaxes", "transpose"):
            text = expression(value, xs, whole)
            if self._for_several_rows(value):
                text = f"np.ascontiguousarray({text})"
            return [*lines, (None, f"{out} = {text}")]
        special = self.special(value, xs, out, whole)
        if special is not None:
            return lines + [(None, line) for line in special]
        into = buffered and value.shape and all(x.dtype == value.dtype for x in xs)
        if value.op in UFUNCS and buffered and value.shape:
            return [*lines, (None, self._ufunc_into(value, lifted(value, xs, whole), out))]
        if value.op == "matmul" and into:
            text = self._matmul_into(value, xs, out, whole)
            if text:
                return [*lines, (None, text)]
        return [*lines, (None, self._assigned(value, out, expression(value, xs, whole), where))]

    def _for_several_rows(self, value: Value) -> bool:
        """Whether a matrix is multiplied with more than a row at a time: then its order matters."""
        return not all(
            reader is not None and reader.op == "matmul" and reader.reads[1] is read
            and reader.reads[0].source.shape[:-1] in ((), (1,))
            for reader, read in self.memory.read_by[value]
        )  # fmt: skip

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
            twice = [r for r in value.reads if r.source is kept]
            first = max(twice, key=lambda r: len(r.steps or ()))
            others = [r for r in value.reads if r is not first]
            reads = sorted(others, key=lambda r: r.source is not kept)  # while it is there
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
                pair = lifted(value, [self._term(r, where) for r in (a, b)],
                              where is not None and not where.loop)  # fmt: skip
                if value.shape:
                    lines.append((None, f"np.add({pair[0].text}, {pair[1].text}, out={out})"))
                else:
                    lines.append((None, f"{out} = {pair[0].text} + {pair[1].text}"))
                reads = [r for r in reads if r is not a and r is not b]
            elif always:
                x = self._term(always[0], where)
                lines.append((None, self._assigned(value, out, x.text, where)))
                reads = [r for r in reads if r is not always[0]]
            elif overlap or value.steps is None:
                lines.append((None, self._assigned(value, out, "0", where)))
            else:  # one term in each step
                for read in reads:
                    lines += self._part(value, read, where, "=")
                return lines
        # What only begins or ends a sequence is there alone in its steps.
        sign = "=" if value in self.memory.goes_on else "+="
        for read in reads:
            lines += self._part(value, read, where, sign)
        return lines

    def _term(self, read: Read, where: Where | None) -> Operand:
        """A term of a shared sum, which may itself be the sum over all steps."""
        if read.over is None:
            return self._operand(read, where)
        if len(read.over) == 1:
            return self._operand(Read(read.source, 0, read.over[0]), where)
        x = self._operand(read, where)
        return Operand(f"{x.tight}.sum(axis=0)", x.shape, x.dtype)

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

    def _check_integers(self, value: Value, xs: list[Operand], where: Where | None) -> Lines:
        """NumPy counts negative indices from the end; as classes they are mistakes."""
        slot = {"embedding": 1, "pick": 1}.get(value.op)
        if slot is None:
            return []
        source = value.reads[slot].source
        while not source.leaf and self.memory.inline(source):
            source = source.reads[0].source
        if source.op in ("argmax", "argmin"):
            return []
        if not source.leaf:
            if where is not None and where.loop:
                raise Unsupported("classes are computed step by step, and may be below 0")
            return [(None, f"if {xs[slot].tight}.min() < 0:"),
                    (None, '    raise IndexError("a class below 0")')]  # fmt: skip
        if source.op != "constant" and source.dtype.kind == "i" and all(source.shape):
            name = self.names[source]
            self.checked[name] = (
                f'if {name}.min() < 0:\n    raise IndexError("{name}: a number below 0")'
            )
        return []

    def _rename(self, value: Value) -> list[str]:
        """The line that gives an array the name of what it is to hold now."""
        buffer = self.memory.buffer.get(value)
        if buffer is None:
            return []
        name, old = self._name(value), self._shown.get(buffer)
        if old is None or old == name:
            return []
        self._shown[buffer] = name
        new, before = (n if value.steps is None else at_step(n) for n in (name, old))
        return [f"{name} = {old}  # {new} takes the place of {before}"]

    def _count(self, x: Operand, keep: int) -> str:
        """How many rows an array has, all axes but the last `keep` taken together."""
        sizes = [size_text(n) for n in x.shape[: len(x.shape) - keep]]
        return " * ".join([self._number(x.rows), *sizes] if x.stepped else sizes) or "1"
