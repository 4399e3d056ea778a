"""What vanishes and what explodes in backpropagation through time, and how fast?

The product of Jacobians ∂h_t/∂h_k between two states is measured by their distance t − k, in
networks at random: the simple recurrent one, linear and tanh, with W = ρQ and Q orthogonal, at
ρ = 0.5, 1 and 1.5; and an LSTM, written here by hand. Then the terms C[t, k] of dL/dW: which of
them vanish.

Predictions: linear, ‖∂h_t/∂h_k‖ = ρ^(t−k) exactly. tanh, at most that: its slope is at most 1
(Pascanu, Mikolov, Bengio 2013, arXiv 1211.5063, section 2.1). LSTM, on the direct way from c_{t-1}
to c_t a factor of f_t, the forget gate (Gers, Schmidhuber, Cummins 2000).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from _show import COLOURS, DASHES, Demo, figure, norm

import tinygrad_rnn as tg

Array = npt.NDArray[Any]

RADII = (0.5, 1.0, 1.5)
FORGET_BIASES = (0.0, 1.0, 3.0, 5.0)
D = 8  # inputs
SCALE = 0.1  # of the inputs' weights


@dataclass
class Recorded:
    """A network run over a sequence: its states s_0 … s_T, its losses and its recurrent matrix."""

    states: list[tg.Tensor]
    losses: list[tg.Tensor]
    W: tg.Tensor
    forget: float = 0.0  # the mean of an LSTM's forget gates


def simple(
    x: Array, y: Array, H: int, rho: float, linear: bool, normal: bool = True, scale: float = SCALE
) -> Recorded:
    """h_t = f(x_t V + h_{t-1} W), f the identity or tanh, the spectral radius of W being ρ.

    normal: W = ρQ with Q orthogonal, so that all its singular values are ρ, too; else they are not.
    """
    rng = np.random.default_rng(0)
    A = rng.standard_normal((H, H))
    Q = np.linalg.qr(A)[0] if normal else A / np.abs(np.linalg.eigvals(A)).max()
    W = tg.Parameter(rho * Q, name="W")
    V = tg.Parameter(scale * rng.standard_normal((D, H)))
    U = tg.Parameter(rng.standard_normal((H, D)) / np.sqrt(H))
    h = tg.tensor(np.zeros((1, H)), requires_grad=True)
    states, losses = [h], []
    for _t, x_t, y_t in tg.steps(x, y):
        a = x_t @ V + h @ W
        h = a if linear else np.tanh(a)
        losses.append(tg.cross_entropy(h @ U, y_t))
        states.append(h)
    return Recorded(states, losses, W)


def lstm(x: Array, y: Array, H: int, forget_bias: float) -> Recorded:
    """The LSTM, by hand. Its state is s_t = (h_t, c_t), side by side in one tensor (1, 2H).

    i_t, f_t, o_t = σ(x_t V + h_{t-1} W + b)        g_t = tanh(x_t V + h_{t-1} W + b)
    c_t = f_t c_{t-1} + i_t g_t                     h_t = o_t tanh(c_t)

    each of the four with its own quarter of V, W and b.
    """
    rng = np.random.default_rng(0)
    V = tg.Parameter(SCALE * rng.standard_normal((D, 4 * H)))
    W = tg.Parameter(
        np.concatenate([np.linalg.qr(rng.standard_normal((H, H)))[0] for _ in range(4)], axis=1),
        name="W",
    )
    b = tg.Parameter(np.repeat([0.0, forget_bias, 0.0, 0.0], H))
    U = tg.Parameter(rng.standard_normal((H, D)) / np.sqrt(H))
    s = tg.tensor(np.zeros((1, 2 * H)), requires_grad=True)
    states, losses, forget = [s], [], []
    for _t, x_t, y_t in tg.steps(x, y):
        h, c = s[:, :H], s[:, H:]
        z = x_t @ V + h @ W + b
        i, f, o = (tg.sigmoid(z[:, n * H : (n + 1) * H]) for n in range(3))
        c = f * c + i * np.tanh(z[:, 3 * H :])
        h = o * np.tanh(c)
        s = tg.concatenate([h, c], axis=1)
        losses.append(tg.cross_entropy(h @ U, y_t))
        states.append(s)
        forget.append(f.data.mean())
    return Recorded(states, losses, W, float(np.mean(forget)))


# -------------------------------------------------------------------------------------- the curves


def decay_of_parts(found: Any, H: int) -> tuple[Array, Array]:
    """The geometric means of ‖∂h_t/∂h_k‖ and ‖∂c_t/∂c_k‖ by lag: blocks of the product for s."""
    T = len(found.one_step)
    logs = np.full((2, T + 1, T + 1), np.nan)
    for k in range(T + 1):
        P = np.eye(2 * H)
        for t in range(k, T + 1):
            P = P if t == k else found.one_step[t - 1] @ P
            logs[:, t, k] = [np.log(np.linalg.norm(block, 2)) for block in (P[:H, :H], P[H:, H:])]
    of_h, of_c = (
        np.exp([np.nanmean(np.diagonal(part, -lag)) for lag in range(T + 1)]) for part in logs
    )
    return of_h, of_c


def rate(decay: Array) -> float:
    """The factor per step of a decay curve: that of the line through its logarithm from lag 1."""
    lags = np.arange(1, len(decay))
    return float(np.exp(np.polyfit(lags, np.log(decay[1:]), 1)[0]))


def curves(demo: Demo, x: Array, y: Array, H: int) -> dict[str, list[tuple[str, Array]]]:
    """‖∂h_t/∂h_k‖ by lag for every network, printed with rates and bounds; for the picture."""
    T = len(x)
    far = T // 2
    drawn: dict[str, list[tuple[str, Array]]] = {"linear": [], "tanh": [], "LSTM": []}

    demo.heading("The simple recurrent network, W = ρQ: how large ∂h_t/∂h_k is")
    rows = [["", "ρ", "predicted", "rate per step", "t − k = 1", f"t − k = {far}", "above"]]
    worst = 0.0
    for linear in (True, False):
        for rho in RADII:
            found = tg.bptt.jacobians(simple(x, y, H, rho, linear).states)
            decay = found.decay()
            kind = "linear" if linear else "tanh"
            drawn[kind].append((f"ρ = {rho:g}", decay))
            predicted = f"{'= ' if linear else '≤ '}{rho:g}"
            numbers = f"{found.rate():.4f}", f"{decay[1]:.3g}", f"{decay[far]:.3g}"
            rows.append([kind, f"{rho:g}", predicted, *numbers])
            if linear:
                lags = np.arange(len(decay))
                worst = max(worst, np.abs(decay / rho**lags - 1).max())
                continue
            t, k = np.tril_indices(T + 1, -1)
            above = (found.log_norms()[t, k] > (t - k) * np.log(rho) + 1e-9).sum()
            rows[-1].append(f"{above} of {len(t):,}")
    crowded = tg.bptt.jacobians(simple(x, y, H, RADII[-1], False, scale=5 * SCALE).states)
    decay = crowded.decay()
    numbers = f"{crowded.rate():.4f}", f"{decay[1]:.3g}", f"{decay[far]:.3g}"
    rows.append(["tanh, inputs × 5", f"{RADII[-1]:g}", f"≤ {RADII[-1]:g}", *numbers])
    demo.table([[*row, ""][:7] for row in rows])
    demo.say(
        "Norms are spectral: their geometric means over all pairs t, k; the last column counts the "
        "pairs above the bound. Linear: ρ^(t−k) to within "
        f"{worst:.0e}, relative. tanh: its slope 1 − h² takes its part in every step, so "
        "that ρ = 1 vanishes, too. ρ = 1.5 may explode and need not: with larger inputs, which "
        "flatten tanh, it vanishes."
    )

    demo.heading("The same spectral radius, but W not orthogonal: one step is not like many")
    rows = [["linear", "ρ", "bound σ_max(W)", "rate per step", "t − k = 1", f"t − k = {far}"]]
    for rho in RADII:
        run = simple(x, y, H, rho, linear=True, normal=False)
        found = tg.bptt.jacobians(run.states)
        decay = found.decay()
        numbers = f"{found.rate():.3f}", f"{decay[1]:.3g}", f"{decay[far]:.3g}"
        rows.append(["", f"{rho:g}", f"{tg.bptt.bound(run.W):.3f}", *numbers])
    demo.table(rows)
    demo.say(
        "In the long run it is the radius that decides, at first the largest singular value. The "
        "bound below 1 is enough for vanishing, and not necessary."
    )

    demo.heading("The LSTM: how large ∂h_t/∂h_k and ∂c_t/∂c_k are")
    head = ["bias of f", "mean f", "rate of c", "rate of h"]
    rows = [[*head, "c, t − k = 1", f"c, t − k = {far}", f"h, t − k = {far}"]]
    for forget_bias in FORGET_BIASES:
        run = lstm(x, y, H, forget_bias)
        of_h, of_c = decay_of_parts(tg.bptt.jacobians(run.states), H)
        numbers = run.forget, rate(of_c), rate(of_h)
        rows.append([
            f"{forget_bias:g}", *(f"{number:.3f}" for number in numbers),
            *(f"{number:.3g}" for number in (of_c[1], of_c[far], of_h[far])),
        ])  # fmt: skip
        if forget_bias == 1:
            drawn["LSTM"] += [
                (r"$\partial c_t/\partial c_k$, bias 1", of_c),
                (r"$\partial h_t/\partial h_k$, bias 1", of_h),
            ]
        if forget_bias == 5:
            drawn["LSTM"] += [
                (r"$\partial c_t/\partial c_k$, bias 5", of_c),
                (r"$\partial h_t/\partial h_k$, bias 5", of_h),
            ]
    demo.table(rows)
    demo.say(
        "The direct way alone, c_{t-1} → c_t, would give a factor of f per step. This is the whole "
        "derivative, in which c_{t-1} → h_{t-1} → gates → c_t counts, too, so that the rate is "
        "above the mean of f, and follows it. The bias sets it at the start. With a bias of 0 the "
        "LSTM vanishes as a simple network does, with 5 it explodes: it does not abolish either, "
        "but has a gate to learn in between."
    )
    return drawn


# --------------------------------------------------------------------------------------- the terms


def terms(demo: Demo, x: Array, y: Array, H: int) -> dict[str, Any]:
    """The triangles C[t, k] for dL/dW, and what is left of the terms with their lag."""
    T = len(x)
    lags = [0, T // 6, T // 3, 2 * T // 3]
    runs = {f"tanh, ρ = {rho:g}": simple(x, y, H, rho, linear=False) for rho in RADII}
    runs |= {f"LSTM, bias {bias:g}": lstm(x, y, H, bias) for bias in (1.0, 5.0)}
    demo.heading("What vanishes: the terms C[t, k] of dL/dW with k far before t, not the gradient")
    rows = [["", "‖dL/dW‖", *(f"t − k = {lag}" for lag in lags), "lag > 10 alone"]]
    triangles = {}
    for name, run in runs.items():
        triangle = triangles[name] = tg.bptt.triangle(run.losses, run.W)
        sizes = (np.diagonal(triangle.norms, -lag).mean() for lag in lags)
        rest = norm(triangle.lags[11:].sum(axis=0)) / norm(triangle.total)
        numbers = (f"{size:.2g}" for size in sizes)
        rows.append([name, f"{norm(triangle.total):.3g}", *numbers, f"{rest:.1%}"])
    demo.table(rows)
    demo.say(
        "The columns are mean norms of the terms with that lag. The last one is the norm of the "
        "sum of all terms with t − k > 10, against that of the gradient. Where terms vanish, the "
        "gradient does not: it is made of what is near, and blind to what is far. Where they do "
        "not vanish, what is far is in it, too. (Column k = 1 of the picture is empty: the first "
        "step multiplies W by h_0 = 0.)"
    )
    return triangles


# ------------------------------------------------------------------------------------ the pictures


def plot_curves(drawn: dict[str, list[tuple[str, Array]]]) -> Any:
    fig = figure(9.0, 3.6)
    axes = fig.subplots(1, 3, sharey=True)
    for ax, (kind, lines) in zip(axes, drawn.items(), strict=True):
        for (label, decay), colour, dashes in zip(lines, COLOURS, DASHES, strict=False):
            ax.plot(np.arange(len(decay)), decay, dashes, color=colour, linewidth=2, label=label)
        ax.axhline(1, color="0.6", linewidth=0.8, zorder=0)
        ax.set_title(kind if kind == "LSTM" else f"{kind}, $W = ρQ$")
        ax.set_xlabel("$t - k$, in steps")
        ax.legend(frameon=False, loc="upper left")
    axes[0].set_yscale("log")
    axes[0].set_ylim(1e-12, 1e12)
    axes[0].set_ylabel(r"norm of $\partial h_t/\partial h_k$")
    return fig


def plot_terms(triangles: dict[str, Any]) -> Any:
    from matplotlib.colors import LogNorm

    fig = figure(10.0, 2.7)
    axes = fig.subplots(1, len(triangles), sharey=True)
    for ax, (name, triangle) in zip(axes, triangles.items(), strict=True):
        T = len(triangle.norms)
        sizes = np.ma.masked_equal(triangle.norms, 0)
        image = ax.imshow(
            sizes / np.diagonal(triangle.norms).mean(),
            norm=LogNorm(1e-4, 1e1), cmap="cividis", interpolation="nearest",
            extent=(0.5, T + 0.5, T + 0.5, 0.5),
        )  # fmt: skip
        ax.set_title(name, fontsize=10)
        ax.set_xlabel("use of $W$ in step $k$")
    axes[0].set_ylabel("loss of step $t$")
    fig.colorbar(image, ax=axes, extend="both", label="term, relative to the diagonal")
    return fig


def main() -> None:
    demo = Demo(__file__, __doc__)
    T, H = (16, 8) if demo.quick else (60, 32)
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((T, 1, D)), rng.integers(0, D, (T, 1))
    demo.say(
        f"T = {T} steps of random inputs and targets, H = {H} hidden units, weights at random, "
        "float64. Nothing is trained."
    )
    drawn = curves(demo, x, y, H)
    triangles = terms(demo, x, y, H)
    demo.plot("curves.png", lambda: plot_curves(drawn))
    demo.plot("terms.png", lambda: plot_terms(triangles))
    demo.end()


if __name__ == "__main__":
    main()
