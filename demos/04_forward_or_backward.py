"""The gradient of a recurrent network forwards in time or backwards: which costs what, and when?

Backwards is BPTT. Forwards is real-time recurrent learning (RTRL; Williams and Zipser 1989), where
dh_t/dθ is carried along beside h_t, and the past is never looked at again: the same gradient.

Predicted, for one sequence of T steps, H hidden units and few inputs and outputs (Williams and
Zipser 1995, "Gradient-based learning algorithms for recurrent networks and their computational
complexity"): BPTT takes time as T H² and remembers T H numbers; RTRL takes time as T H⁴ and
remembers H³, whatever T is. Both are measured here; the times are of this machine at this moment,
and only their growth is compared with the prediction.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from _show import COLOURS, DASHES, Demo, apart, figure

import tinygrad_rnn as tg
from tinygrad_rnn.bptt import by_hand

Array = npt.NDArray[Any]
Weights = dict[str, Array]

D = K = 4  # inputs and outputs
NAMES = ("V", "W", "U", "b_h", "b_y")


def problem(T: int, H: int) -> tuple[tuple[Array, Array, Array], Weights]:
    """x (T, 1, D), y (T, 1), h_0 (1, H), and the weights."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((T, 1, D)), rng.integers(0, K, (T, 1))
    weights = {
        "V": rng.standard_normal((D, H)) / 2,
        "W": rng.standard_normal((H, H)) / np.sqrt(H),
        "U": rng.standard_normal((H, K)) / np.sqrt(H),
        "b_h": np.zeros(H),
        "b_y": np.zeros(K),
    }
    return (x, y, np.zeros((1, H))), weights


# -------------------------------------------------------------------------------- the four methods


def backwards(data: tuple[Array, Array, Array], weights: Weights) -> Weights:
    """BPTT, by hand: all states are remembered."""
    return by_hand.backward(*data, **weights)[1]


def forwards(data: tuple[Array, Array, Array], weights: Weights) -> Weights:
    """RTRL by hand, for one sequence, in which nothing of the past is kept.

    dh_t/dθ = ∂h_t/∂h_{t-1} · dh_{t-1}/dθ + ∂⁺h_t/∂θ, with all of V, W and b_h in one matrix θ,
    (D + H + 1, H): it multiplies z_t = (x_t, h_{t-1}, 1). `by_hand.forward_mode` is the same in the
    lecture's words, and keeps more.
    """
    V, W, U, b_h, b_y = (weights[name] for name in NAMES)
    (x, y, h0), H = data, len(weights["W"])
    theta = np.concatenate([V, W, b_h[None]])
    h = h0[0]
    dh_dtheta = np.zeros((H, *theta.shape))  # [i, m, n]: of h_i, by θ[m, n]
    d, dU, db_y = np.zeros_like(theta), np.zeros_like(U), np.zeros_like(b_y)
    units = np.arange(H)
    for x_t, y_t in zip(x[:, 0], y[:, 0], strict=True):
        z = np.concatenate([x_t, h, [1.0]])
        h = np.tanh(z @ theta)
        slope = 1 - h * h
        dh_dtheta = (slope[:, None] * W.T @ dh_dtheta.reshape(H, -1)).reshape(dh_dtheta.shape)
        dh_dtheta[units, :, units] += slope[:, None] * z  # unit i has column i of θ
        y_hat = h @ U + b_y
        p = np.exp(y_hat - y_hat.max())
        p /= p.sum()
        p[y_t] -= 1  # ∂L_t/∂ŷ_t
        dU += h[:, None] * p
        db_y += p
        d += np.tensordot(U @ p, dh_dtheta, axes=1)
    return {"V": d[:D], "W": d[D:-1], "U": dU, "b_h": d[-1], "b_y": db_y}


def recorded(data: tuple[Array, Array, Array], weights: Weights) -> tuple[tg.Tensor, list[Any]]:
    """The same network, recorded: L, and the parameters in the order of NAMES."""
    V, W, U, b_h, b_y = parameters = [tg.Parameter(weights[name], name=name) for name in NAMES]
    x, y, h = data
    losses = []
    for _t, x_t, y_t in tg.steps(x, y):
        h = np.tanh(x_t @ V + h @ W + b_h)
        losses.append(tg.cross_entropy(h @ U + b_y, y_t))
    return tg.add_n(losses), parameters


def recorded_backwards(data: tuple[Array, Array, Array], weights: Weights) -> Weights:
    """`backward()` through a recording."""
    L, parameters = recorded(data, weights)
    L.backward()
    return {name: p.grad.data for name, p in zip(NAMES, parameters, strict=True)}


def recorded_forwards(data: tuple[Array, Array, Array], weights: Weights) -> Weights:
    """Forward mode through the same recording."""
    L, parameters = recorded(data, weights)
    return {n: g.data for n, g in zip(NAMES, tg.bptt.rtrl(L, parameters), strict=True)}


# -------------------------------------------------------------------------------- the measurements


def seconds(method: Callable[..., Weights], T: int, H: int) -> float:
    """The shortest of up to five runs, but of not much more than half a second of them."""
    arguments = problem(T, H)
    taken: list[float] = []
    while len(taken) < 5 and sum(taken) < 0.5:
        began = time.perf_counter()
        method(*arguments)
        taken.append(time.perf_counter() - began)
    return min(taken)


def peak(method: Callable[..., Weights], T: int, H: int) -> float:
    """The bytes that are needed at most, beyond the data and the gradient that is returned."""
    arguments = problem(T, H)
    tracemalloc.start()
    d = method(*arguments)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most - sum(g.nbytes for g in d.values())


def exponent(sizes: list[int], costs: list[float]) -> float:
    """p of cost ≈ c · size^p: least squares of the logarithms over the three largest sizes."""
    return float(np.polyfit(np.log(sizes[-3:]), np.log(costs[-3:]), 1)[0])


def in_bytes(number: float) -> str:
    scale, unit = (1e6, "MB") if number >= 1e6 else (1e3, "kB")
    return f"{number / scale:.3g} {unit}"


def in_seconds(number: float) -> str:
    return f"{number:.3g} s" if number >= 1 else f"{1000 * number:.3g} ms"


Costs = dict[str, tuple[list[int], list[float], float]]  # sizes, costs, the predicted exponent


def growth(
    demo: Demo, letter: str, sizes: dict[str, list[int]], at: Callable[[int], tuple[int, int]],
    predicted: dict[str, float],
) -> Costs:  # fmt: skip
    """Time and memory of both methods by T or by H: a table, with the exponents."""
    methods = {"BPTT": backwards, "RTRL": forwards}
    measures = {"time": (seconds, in_seconds), "memory": (peak, in_bytes)}
    costs: Costs = {}
    cells: dict[str, list[str]] = {}
    everything = sorted({size for line in sizes.values() for size in line})
    for measure, (measured, words) in measures.items():
        for name, method in methods.items():
            what = f"{measure}, {name}"
            found = [measured(method, *at(size)) for size in sizes[name]]
            costs[what] = (sizes[name], found, predicted[what])
            cells[what] = [words(cost) for cost in found]
            cells[what] += ["–"] * (len(everything) - len(found))
            cells[what] += [f"{exponent(sizes[name], found):.2f}", f"{predicted[what]:g}"]
    rows = [[letter, *cells]]
    heads = [*map(str, everything), "exponent", "predicted"]
    rows += [[head, *line] for head, *line in zip(heads, *cells.values(), strict=True)]
    demo.table(rows)
    return costs


def same_gradient(demo: Demo, T: int, H: int) -> None:
    """All methods, once."""
    demo.heading(f"One gradient, T = {T} and H = {H}")
    whole = backwards(*problem(T, H))
    methods: dict[str, Callable[..., Weights]] = {
        "BPTT by hand": backwards,
        "RTRL by hand, keeping nothing": forwards,
        "`backward()` on a recording": recorded_backwards,
        "forward mode on the recording": recorded_forwards,
    }
    rows = [["", "differs from BPTT by", "time", "memory"]]
    worst = 0.0
    for name, method in methods.items():
        d = method(*problem(T, H))
        worst = max(worst, difference := max(apart(d[n], whole[n]) for n in NAMES))
        costs = in_seconds(seconds(method, T, H)), in_bytes(peak(method, T, H))
        rows.append([name, f"{difference:.1e}", *costs])
    demo.table(rows)
    demo.say(
        f"They differ by at most {worst:.1e}. Forward mode on a recording has the recording to "
        "keep, and moves every weight through it: it shows that the gradient is the same, and has "
        "none of the advantages."
    )


def who_wins(demo: Demo, by_T: Costs, by_H: Costs, H: int) -> None:
    """From which T on RTRL needs less memory, and how many times slower it is."""
    demo.heading("Where each wins")
    steps, bytes_, _ = by_T["memory, BPTT"]
    per_unit = (bytes_[-1] - bytes_[-2]) / (steps[-1] - steps[-2]) / H  # of a step
    sizes, memory, _ = by_H["memory, RTRL"]
    slow = by_H["time, RTRL"][1]
    rows = [["H", "RTRL needs less memory from T =", "it takes, times the time of BPTT"]]
    for i, size in enumerate(sizes):
        least = memory[i] / (per_unit * size)
        rows.append([str(size), f"{least:,.0f}", f"{slow[i] / by_H['time, BPTT'][1][i]:.1f}"])
    demo.table(rows)
    T = steps[-1]
    less = {name: by_T[f"memory, {name}"][1][-1] for name in ("BPTT", "RTRL")}
    demo.say(
        f"Estimated from what BPTT keeps for each unit and step, {per_unit:.0f} bytes. Measured at "
        f"T = {T:,} and H = {H}: {min(less, key=lambda name: less[name])} needs less."
    )
    demo.say(
        "RTRL wins where sequences are long, units few and memory short, or where a gradient is "
        "wanted after every step without an end. BPTT wins everywhere else: its time grows with "
        "H² and not with H⁴, and truncation (03_truncation.py) bounds its memory."
    )


# ------------------------------------------------------------------------------------- the picture


def plot(by_T: Costs, by_H: Costs, H: int, T: int) -> Any:
    fig = figure(8.6, 6.0)
    axes = fig.subplots(2, 2, sharex="col")
    for column, (costs, letter, other) in enumerate(
        ((by_T, "T", f"$H$ = {H}"), (by_H, "H", f"$T$ = {T}"))
    ):
        for (what, (sizes, found, _)), n in zip(costs.items(), range(4), strict=True):
            row, method = divmod(n, 2)
            ax = axes[row, column]
            name = what.split(", ")[1]
            growth = f"{name}: ${letter}^{{{exponent(sizes, found):.1f}}}$".replace("-", "−")
            shown = np.array(found) * (1000 if row == 0 else 1e-6)
            ax.plot(
                sizes, shown, DASHES[method], marker="os"[method], markersize=4, linewidth=2,
                color=COLOURS[method], label=growth,
            )  # fmt: skip
            ax.set_xscale("log", base=2)
            ax.set_yscale("log")
            ax.grid(color="0.9")
            ax.legend(frameon=False, loc="upper left", title="growth at the end")
        largest = sorted({size for sizes, _, _ in costs.values() for size in sizes})
        for ax in axes[:, column]:
            ax.set_xticks(largest, [str(size) for size in largest])
            ax.minorticks_off()
            ax.set_ylim(top=ax.get_ylim()[1] * 30)
        axes[0, column].set_title(other)
        axes[1, column].set_xlabel({"T": "$T$, in steps", "H": "$H$, hidden units"}[letter])
    axes[0, 0].set_ylabel("time, in ms")
    axes[1, 0].set_ylabel("memory, in MB")
    return fig


def main() -> None:
    demo = Demo(__file__, __doc__)
    many_T = [32, 64, 128, 256] if demo.quick else [64, 128, 256, 512, 1024, 2048]
    many_H = [4, 8, 16, 32] if demo.quick else [8, 16, 32, 64, 128]
    more_H = [] if demo.quick else [256, 512, 1024]
    H, T = 16, 32
    same_gradient(demo, *((6, 4) if demo.quick else (24, 16)))

    demo.heading(f"By the number of steps T, with H = {H}")
    by_T = growth(
        demo, "T", {"BPTT": many_T, "RTRL": many_T}, lambda T: (T, H),
        {"time, BPTT": 1, "time, RTRL": 1, "memory, BPTT": 1, "memory, RTRL": 0},
    )  # fmt: skip
    demo.heading(f"By the number of hidden units H, with T = {T}")
    by_H = growth(
        demo, "H", {"BPTT": many_H + more_H, "RTRL": many_H}, lambda H: (T, H),
        {"time, BPTT": 2, "time, RTRL": 4, "memory, BPTT": 1, "memory, RTRL": 3},
    )  # fmt: skip
    demo.say(
        "Exponents are those of the three largest sizes. Where they are below the prediction, H is "
        "still too small for products to outweigh the calls that do them."
    )
    who_wins(demo, by_T, by_H, H)
    demo.plot("costs.png", lambda: plot(by_T, by_H, H, T))
    demo.end()


if __name__ == "__main__":
    main()
