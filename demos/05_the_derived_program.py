"""Backpropagation through time, derived: which line of the program is which of the lecture's?

`tg.compile` records one training step, with its gradient, and writes it down as a NumPy program.
Here it stands beside the lecture's equations (below each of them, where a terminal is narrower than
100 columns). Then its gradient is compared with those of the recording and of the derivation by
hand, and the program is timed against running the same function operation by operation, turn by
turn, and part by part against what this machine's matrix products allow. The times are of this
machine at this moment.
"""

from __future__ import annotations

import re
import shutil
import textwrap
import time
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from _show import COLOURS, INDENT, Demo, apart, figure

import tinygrad_rnn as tg
from tinygrad_rnn.bptt import by_hand

Array = npt.NDArray[Any]

LEFT = 38  # columns for the equations
EQUATIONS = {  # by what a part of the program computes, and whether a later loop adds to it
    "a": ["a_t = x_t V + h_{t-1} W + b_h,", "without its term in h_{t-1}"],
    "h": ["h_t = tanh(a_t)"],
    "y_hat": ["ŷ_t = h_t U + b_y"],
    "loss": ["L_t = −log softmax(ŷ_t)[y_t]"],
    "L": ["L = Σ_t L_t"],
    "dy_hat": ["dL/dŷ_t =", "    (softmax(ŷ_t) − one_hot(y_t)) / B"],
    "dh …": ["dL/dh_t: its vertical term,", "    dL/dŷ_t Uᵀ"],
    "slope": ["∂h_t/∂a_t = 1 − h_t²"],
    "dh": ["for t = T … 1:", "dL/dh_t = dL/dŷ_t Uᵀ + dL/da_{t+1} Wᵀ"],
    "da": ["dL/da_t = dL/dh_t · (1 − h_t²)"],
    "dU": ["dL/dU = Σ_t h_tᵀ dL/dŷ_t"],
    "dW": ["dL/dW = Σ_t h_{t-1}ᵀ dL/da_t"],
    "dV": ["dL/dV = Σ_t x_tᵀ dL/da_t"],
    "db_y": ["dL/db_y = Σ_t dL/dŷ_t"],
    "db_h": ["dL/db_h = Σ_t dL/da_t"],
}


class Case(NamedTuple):
    """A training step, its data, and the parameters that it reads."""

    f: Callable[..., tg.Tensor]
    data: tuple[Array, Array, Array]
    parameters: dict[str, tg.Parameter]

    def gradient(self, f: Callable[..., tg.Tensor]) -> tuple[float, dict[str, Array]]:
        """The loss and the gradients that a call leaves behind."""
        for p in self.parameters.values():
            p.zero_grad()
        L = f(*self.data).item()
        return L, {name: p.grad.numpy() for name, p in self.parameters.items()}  # type: ignore[union-attr]


def case(T: int, B: int, D: int, H: int, K: int, dtype: Any = np.float64) -> Case:
    """The lecture's network, with random weights and data."""
    rng = np.random.default_rng(0)
    shapes = {"V": (D, H), "W": (H, H), "U": (H, K), "b_h": (H,), "b_y": (K,)}
    weights = {name: rng.standard_normal(shape) / np.sqrt(H) for name, shape in shapes.items()}
    parameters = {name: tg.Parameter(w.astype(dtype), name=name) for name, w in weights.items()}
    x = rng.standard_normal((T, B, D)).astype(dtype)
    data = x, rng.integers(0, K, (T, B)), np.zeros((B, H), dtype)
    return Case(network(**parameters), data, parameters)


def network(V: Any, W: Any, U: Any, b_h: Any, b_y: Any) -> Callable[..., tg.Tensor]:
    def training_step(x: Any, y: Any, h: Any) -> tg.Tensor:
        losses = []
        for _t, x_t, y_t in tg.steps(x, y):
            h = np.tanh(x_t @ V + h @ W + b_h)
            y_hat = h @ U + b_y
            losses.append(tg.cross_entropy(y_hat, y_t))
        L = tg.add_n(losses)
        L.backward()
        return L

    return training_step


# ------------------------------------------------------------------------------------ side by side


def parts(source: str) -> list[tuple[list[str], list[str]]]:
    """The equations and the lines of each part of a program: its body, between blank lines."""
    body = textwrap.dedent(source[source.rindex('"""\n') + 4 :])
    found = []
    for part in body.strip("\n").split("\n\n"):
        lines = part.splitlines()
        formulas = [re.match(r"# (\w+?)(?:_t)? = (.*?)(?: {2,}.*)?$", line) for line in lines]
        keys = [f"{m[1]} …" if m[2].endswith("…") else m[1] for m in formulas if m]
        equations = [line for key in keys for line in EQUATIONS.get(key, [])]
        found.append((equations, lines))
    return found


def wrapped(line: str, width: int) -> list[str]:
    """A line of the program in a column: what goes on is indented."""
    line = re.sub(r"(?<=\S) {3,}", "  ", line)  # before a remark
    lead = len(line) - len(line.lstrip())
    more = "#     " if line.lstrip().startswith("#") else " " * (lead + 8)
    return textwrap.wrap(line, width, subsequent_indent=more, break_long_words=False) or [""]


def beside(source: str, columns: int) -> list[str]:
    """The equations on the left and the program on the right; or above it, in a narrow terminal."""
    lines: list[str] = []
    wide = columns >= 100
    width = columns - len(INDENT) - (LEFT + 2 if wide else 2)
    for equations, program in parts(source):
        right = [piece for line in program for piece in wrapped(line, width)]
        if wide:
            rows = max(len(equations), len(right))
            left = equations + [""] * (rows - len(equations))
            right += [""] * (rows - len(right))
            lines += [f"{a:<{LEFT}}  {b}".rstrip() for a, b in zip(left, right, strict=True)]
        else:
            lines += [*equations, *(f"  {line}" for line in right)]
        lines.append("")
    return lines[:-1]


# ------------------------------------------------------------------------------------ measurements


def agreement(demo: Demo, small: Case, step: Any) -> None:
    """Loss and gradients three ways, and by the text alone."""
    demo.heading("The same loss and gradient")
    L, recorded = small.gradient(small.f)
    arrays = {name: p.numpy() for name, p in small.parameters.items()}
    space: dict[str, Any] = {}
    exec(step.source, space)
    alone = space["training_step"](*small.data, *arrays.values())
    order = re.findall(r"d(\w+)", step.source.partition("Returns ")[2].partition(".")[0])
    ways = {
        "the program": small.gradient(step),
        "its text, executed by itself": (float(alone[0]), dict(zip(order, alone[1:], strict=True))),
        "BPTT by hand": by_hand.backward(*small.data, **arrays),
    }
    rows = [["", "loss", "largest difference from backward()"]]
    worst = 0.0
    for name, (loss, gradients) in ways.items():
        difference = max(abs(loss - L), *(apart(gradients[n], recorded[n]) for n in recorded))
        worst = max(worst, difference)
        rows.append([name, f"{loss:.6f}", f"{difference:.1e}"])
    demo.table(rows)
    demo.say(f"They differ by at most {worst:.1e}.")


def times(one: Case, repeats: int) -> tuple[list[float], list[float], float]:
    """Seconds of the function and of its program, turn by turn; and of the first call."""
    step = tg.compile(one.f)
    began = time.perf_counter()
    one.gradient(step)
    first = time.perf_counter() - began
    taken: tuple[list[float], list[float]] = [], []
    for turn in range(repeats + 1):
        for f, into in zip((one.f, step), taken, strict=True):
            began = time.perf_counter()
            one.gradient(f)
            if turn:  # the first is for warming up
                into.append(time.perf_counter() - began)
    return *taken, first


def timed(demo: Demo, sizes: list[tuple[int, int, int, int]], repeats: int) -> list[list[float]]:
    """A table of the medians, and the medians."""
    demo.heading(f"What it saves: float32, medians of {repeats}, in ms")
    rows = [["B, T, H, K", "operation by operation", "program", "ratio", "first call"]]
    found = []
    for B, T, H, K in sizes:
        *taken, first = times(case(T, B, 64, H, K, np.float32), repeats)
        medians = [1000 * median(seconds) for seconds in taken]
        found.append(medians)
        cells = [f"{number:.2f}" for number in (*medians, medians[1] / medians[0])]
        rows.append([f"{B}, {T}, {H}, {K}", *cells, f"{1000 * first:.0f}"])
    demo.table(rows)
    demo.say(
        "The ratio is that of the program's time to the other: what is saved is the recording, its "
        "sweep, the arrays that each operation allocates, and T small products where one large one "
        "does. The first call records the function, and derives the program."
    )
    return found


def taken_apart(demo: Demo, sizes: tuple[int, int, int, int]) -> None:
    """The program's own report, of one size."""
    B, T, H, K = sizes
    one = case(T, B, 64, H, K, np.float32)
    step = tg.compile(one.f)
    step(*one.data)
    demo.heading(f"Where its time goes: B = {B}, T = {T}, H = {H}, K = {K}, float32")
    demo.show(step.report(times=True))


def plot(sizes: list[tuple[int, int, int, int]], found: list[list[float]]) -> Any:
    fig = figure(7.4, 0.9 + 0.7 * len(sizes))
    ax = fig.subplots()
    at = np.arange(len(sizes))
    for i, name in enumerate(("operation by operation", "program")):
        bars = ax.barh(at + 0.4 * i, [row[i] for row in found], 0.38, color=COLOURS[i], label=name)
        ax.bar_label(bars, fmt=" %.2f")
    ax.set_yticks(at + 0.2, [", ".join(map(str, size)) for size in sizes])
    ax.invert_yaxis()
    ax.set_xscale("log")
    ax.margins(x=0.15)
    ax.set_xlabel("ms for loss and gradient")
    ax.set_ylabel("$B$, $T$, $H$, $K$")
    ax.legend(frameon=False, loc="upper right")
    return fig


def main() -> None:
    demo = Demo(__file__, __doc__)
    small = case(12, 2, 3, 4, 5)
    step = tg.compile(small.f)
    step(*small.data)

    demo.heading("The lecture's equations, and the derived program")
    demo.show("\n".join(beside(step.source, shutil.get_terminal_size().columns)))
    agreement(demo, small, step)

    sizes = [(1, 25, 100, 64), (16, 64, 128, 64), (32, 64, 256, 64)]
    sizes, repeats = (sizes[:1], 5) if demo.quick else (sizes, 21)
    found = timed(demo, sizes, repeats)
    taken_apart(demo, sizes[-1])
    demo.plot("times.png", lambda: plot(sizes, found))
    demo.end()


if __name__ == "__main__":
    main()
