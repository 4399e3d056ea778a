"""Source: a schedule as the text of one NumPy function.

Each unit is written with the equation that it is, in the lecture's letters: what is done for all
steps at once, and the loops. The function needs nothing but NumPy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .access import SHORTEST, Where
from .equations import Roots, Value, readers
from .formulas import Formulas
from .loops import Loops, comment
from .names import at_step
from .operations import known
from .schedule import Unit
from .text import HELPERS, shape_text
from .trace import Unsupported
from .views import is_view


class Writer(Loops):
    """Writes the function. inputs: the values of its arguments, in order."""

    def __init__(
        self, name: str, units: list[Unit], roots: Roots, inputs: list[Value], any_length: bool,
        elsewhere: Sequence[Any],
    ) -> None:  # fmt: skip
        for value in readers(roots):
            if not known(value):
                raise Unsupported(f"it is not known how {value.op} is written in NumPy")
        super().__init__(units, roots, inputs, any_length, elsewhere)
        self.formulas = Formulas(self._formula_name, self.T)
        self.name = name
        self.body: list[str] = []
        self.checked: dict[str, str] = {}
        self.numbered: dict[str, tuple[str, str]] = {}

    def source(self) -> str:
        """The text of the module: the function, and what helps it."""
        self._write_units()
        results = self._results()
        self.body += ["", f"return {', '.join(results)}{',' if len(results) == 1 else ''}"]
        arguments = [self.names[value] for value in self.inputs]
        head = f"def {self.name}({', '.join([*arguments, 'empty=np.empty'])}):"
        sizes, text = self._sizes("\n".join(self.body))
        checks = [line for text in self.checked.values() for line in text.split("\n")]
        lines = [*self._docstring(), *sizes, *self._letters(checks),
                 *text.split("\n")]  # fmt: skip
        body = "\n".join(f"    {line}".rstrip() for line in lines)
        helpers = "".join(
            f"\n{text}"
            for name, text in HELPERS.items()
            if re.search(rf"^[^#]*(?<![\w.]){name}\(", body, re.MULTILINE)
        )
        return f"import numpy as np\n{helpers}\n\n{head}\n{body}\n"

    def _docstring(self) -> list[str]:
        shapes = [f"{self.names[v]}: {self._plain(shape_text(v.shape))}" for v in self.inputs]
        results = [re.sub(r"[.]copy..$", "", text) for text in self._results()]
        steps = f" of {self.T} steps" if self.T else ""
        given = ", for any number of steps" if self.any_length else ""
        return [
            f'"""What {self.name} computes{given}, derived from a recording{steps}.',
            "",
            *_filled(shapes),
            "",
            *_filled([f"Returns {', '.join(results)}."]),
            '"""',
        ]

    def _write_units(self) -> None:
        pending: list[str] = []
        earlier: Value | None = None  # whose lines are the pending ones, if it has no name
        for i, unit in enumerate(self.units):
            if unit.direction:
                self.body += pending
                pending, earlier = [], None
                self._write_loop(i, unit)
                continue
            (value,) = unit.values
            if self.memory.inline(value):
                continue
            lines = self._begin(i)
            where = None
            if value.steps is not None:
                where = Where(False, 1, 0, min(value.steps), max(value.steps))
            lines += [text for _, text in self._statement(value, where)]
            lines += self._named_parts(value)
            if value not in self.said and self._begins_a_loop(value):
                if earlier is not None:
                    self._write_part(earlier, pending)
                    pending, earlier = [], None
                self._write_part(value, [*pending, *lines])
                pending = []
                continue
            pending += lines
            if self._is_for_later(value, i):
                self.body += ["", *comment(self.formulas.right(value), "all steps at once")]
                self.body += pending
                pending, earlier = [], None
                continue
            earlier = value if value.op not in ("swapaxes", "transpose") else earlier
            if self._has_heading(value):
                at_once = "all steps at once" if value.steps is not None else ""
                if any(r.over is not None for r in value.reads):
                    at_once = "the sum over all steps, as one product"
                    at_once = at_once if value.op == "rows_product" else ""
                self.body += ["", *comment(self.formulas.equation(value), at_once), *pending]
                pending, earlier = [], None
        self.body += pending

    def _has_heading(self, value: Value) -> bool:
        """Whether the lines of a value stand under its equation."""
        silent = value.about == "" or value.name in ("e", "s") or value in self.memory.goes_on
        return self._formula_name(value) is not None and not silent

    def _is_for_later(self, product: Value, i: int) -> bool:
        """Whether a product for all steps, in unit i, is no part of what the next equation says."""
        if product.op != "matmul" or product.steps is None or self._has_heading(product):
            return False
        others = (x for x in self.units[i + 1 :] if x.direction or self._has_heading(x.values[0]))
        later = next(others, None)
        if later is None or later.direction:
            return True
        made = list(later.values)
        for x in made:  # the list grows as we walk it
            sources = [r.source for r in x.reads if self._formula_name(r.source) is None]
            made += [source for source in sources if source not in made]
        return product not in made

    def _begins_a_loop(self, value: Value) -> bool:
        """Whether a later loop adds to a value, in its place."""
        sums = (v for v, x in self.memory.in_place.items() if x is value)
        return any(v in self.said and self._unit(v).direction for v in sums)

    def _write_part(self, value: Value, lines: list[str]) -> None:
        """Lines, under the equation of a value as far as it goes."""
        name, stepped = self._name(value), value.steps is not None
        formula = f"{at_step(name) if stepped else name} = {self.formulas.right(value)} + …"
        self.body += ["", *comment(formula, "all steps at once" if stepped else ""), *lines]

    def _results(self) -> list[str]:
        """What is returned: an array of its own for each result, also where two are equal."""
        texts: list[str] = []
        for root in self.roots:
            text, value = self._operand(root, None).text, root.source
            own = value.steps is None and not self.memory.inline(value) and text not in texts
            own = own and not is_view(value)  # of a parameter, say
            texts.append(text if own else f"np.array({text})" if value.leaf else f"{text}.copy()")
        return texts

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
        used = [x for x in ("T", "B", "D", "H", "K") if re.search(rf"(?<![.\w]){x}\b", text)]
        lines: list[str] = []
        if "T" in used and "T" not in clear:
            lines.append(f"T = {self.T}")
        only = "T" in clear and not self.any_length
        for value in self.inputs:
            name = self.names[value]
            letters = [self.letter.get(n, "_") for n in value.shape]
            fresh = [x for x in letters if x in used and clear[x][1] is value]
            if not fresh:
                continue
            given = [x if x in fresh else "_" for x in letters]
            given = [x if given.index(x) == i else "_" for i, x in enumerate(given)]
            lines.append(f"{', '.join(given)}{',' if len(given) == 1 else ''} = {name}.shape")
        if only:
            name = self.names[clear["T"][1]]
            lines += [
                f"if len({name}) != {self.T}:",
                f'    raise ValueError(f"this program is for {self.T} steps, not {{len({name})}}")',
            ]
        text = re.sub(r"^(# .*?\S) {2,}(\S.*)$", _aligned, text, flags=re.MULTILINE)
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


def _filled(parts: list[str]) -> list[str]:
    lines = [""]
    for part in parts:
        if len(lines[-1]) + len(part) > 90:
            lines.append("")
        lines[-1] += ("   " if lines[-1] else "") + part
    return lines


def _aligned(match: re.Match[str]) -> str:
    """A comment with its remark at one place, now that lengths are letters."""
    return f"{match[1]:<52}  {match[2]}"
