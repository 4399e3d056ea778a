"""Phrases: operations that are several calls of NumPy, or one that takes some arranging."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from .equations import SUM, Value
from .operations import lifted
from .rewriting import uniform
from .statements import Statements
from .text import Operand, dtype_text, flat, rows, shape_text, size_text


class Phrases(Statements):
    """Writes what patterns.py recognises, and activations."""

    numbered: dict[str, tuple[str, str]]

    def special(self, value: Value, xs: list[Operand], out: str, whole: bool) -> list[str] | None:
        write = getattr(self, f"_write_{value.op}", None)
        return None if write is None else write(value, xs, out, whole)

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
            n = sum(row.startswith("each") for row, _ in self.numbered.values()) + 1
            end = str(n) if n > 1 else ""
            self.numbered[key] = (f"each{end}", key if key == y.text else f"classes{end}")
            row, column = self.numbered[key]
            every = f"{row} = np.arange({self._count(y, 0)})"
            return ([every, f"{column} = {key}"] if key != y.text else [every]), row, column
        return [], *self.numbered[key]

    def _ones(self, of: str) -> tuple[list[str], str]:
        """A vector of ones, made where it is first used."""
        if of in self.numbered:
            return [], self.numbered[of][0]
        n = sum(row.startswith("ones") for row, _ in self.numbered.values())
        name = f"ones{n + 1}" if n else "ones"
        self.numbered[of] = (name, "")
        return [f"{name} = np.ones({of})"], name

    def _part_of_mean(self, value: Value, c: Any) -> str:
        """A factor as text: as 1 / B, if that is what the mean over the batch makes of it."""
        e = value.reads[0].source
        mean = any(v.about and "mean" in v.about and v.steps == value.steps for v in self.said)
        size = int(np.prod(value.shape[:-1]))
        if mean and e.op == "exp" and size > 1 and c == np.asarray(1 / size, value.dtype):
            return " / ".join(["1", *(size_text(n) for n in value.shape[:-1])])
        return self._constant(c, value.dtype)

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
            setup, ones = self._ones(f"{self._count(g, 1)}, {dtype_text(value.dtype)}")
            return [*setup, f"{out} = np.dot({ones}, {matrix})"]
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
