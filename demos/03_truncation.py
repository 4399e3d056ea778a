"""What does truncated backpropagation through time leave out, and how much does it matter?

Three schemes are in use. Each sums up some of the terms C[t, k] of the gradient (the loss of step t
through the use of a weight in step k), and leaves out the others:

  chunks(n)              n steps, then the state is carried over and detached
  Williams–Peng(n/2, n)  every n/2 steps, n steps back (Williams and Peng 1990: BPTT(h; h'))
  sliding(n)             n steps back from every loss

On real text (Python's language reference, characters), by a simple recurrent network before and
after a short training: is the truncated gradient the sum of the terms kept, and how far is it from
the whole gradient, as a function of n? Predicted: to rounding, it is; sliding is off by what the
products of Jacobians leave after n steps, a factor for each step; chunks are off by what is lost at
the T/n cuts, which is as n⁻¹ if the losses at the cuts are alike, and as n^(−1/2) if they are
independent of each other.
"""

from __future__ import annotations

import math
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from _show import COLOURS, DASHES, Demo, apart, figure, norm

import tinygrad_rnn as tg
from tinygrad_rnn import text
from tinygrad_rnn.bptt import truncation

Array = npt.NDArray[Any]

NAMES = ("V", "W", "U", "b_h", "b_y")
SCHEMES = ("chunks(n)", "Williams–Peng(n/2, n)", "sliding(n)")


def k1_k2(scheme: str, n: int) -> tuple[int, int]:
    """Groups of k1 losses, and k2 steps back from the end of each."""
    return {SCHEMES[0]: (n, n), SCHEMES[1]: (n // 2, n), SCHEMES[2]: (1, n)}[scheme]


# ------------------------------------------------------------------------------------ the network


class Network(tg.nn.Module):
    """h_t = tanh(x_t V + h_{t-1} W + b_h), ŷ_t = h_t U + b_y, with x_t one-hot: a row of V."""

    def __init__(self, K: int, H: int, rng: np.random.Generator) -> None:
        def normal(*shape: int) -> Array:
            return rng.standard_normal(shape).astype(np.float32)

        self.V = tg.Parameter(normal(K, H))
        self.W = tg.Parameter(np.linalg.qr(normal(H, H))[0])
        self.b_h = tg.Parameter(np.zeros(H, np.float32))
        self.U = tg.Parameter(normal(H, K) / math.sqrt(H))
        self.b_y = tg.Parameter(np.zeros(K, np.float32))

    def float64(self) -> Network:
        """A copy in float64, to compare gradients by."""
        copy = Network(*self.V.shape, np.random.default_rng())
        for name, p in self.named_parameters():
            setattr(copy, name, tg.Parameter(p.data.astype(np.float64)))
        return copy

    def run(self, xs: Array, ys: Array, h: Any) -> tuple[list[tg.Tensor], list[tg.Tensor]]:
        """Characters xs, ys (T, B) and h_0 (B, H) to h_0 … h_T and L_1 … L_T."""
        states, losses = [h], []
        for _t, x, y in tg.steps(xs, ys):
            h = np.tanh(tg.embedding(self.V, x) + h @ self.W + self.b_h)
            losses.append(tg.cross_entropy(h @ self.U + self.b_y, y))
            states.append(h)
        return states, losses

    def zero_state(self, B: int) -> tg.Tensor:
        return tg.tensor(np.zeros((B, len(self.W)), self.W.dtype))


def train(network: Network, ids: Array, updates: int) -> None:
    """Adam, in chunks of 25 steps of 32 streams."""
    parameters = network.parameters()
    optimizer, h = tg.optim.Adam(parameters, 0.005), network.zero_state(32)
    for first, xs, ys in islice(text.walk(ids, 32, 25), updates):
        h = network.zero_state(32) if first else h.detach()
        states, losses = network.run(xs, ys, h)
        h, L = states[-1], tg.add_n(losses)
        L.backward()
        tg.optim.clip_grad_norm(parameters, 10.0)
        optimizer.step()
        optimizer.zero_grad()


def recorded(
    network: Network, ids: Array, T: int, B: int
) -> tuple[Network, list[tg.Tensor], list[tg.Tensor]]:
    """T steps of B streams of text, in float64, from the state after 50 steps before."""
    network = network.float64()
    _, xs, ys = next(text.walk(ids, B, 50 + T))
    with tg.no_grad():
        states, _ = network.run(xs[:50], ys[:50], network.zero_state(B))
    h = tg.tensor(states[-1], requires_grad=True)  # so that ∂h_1/∂h_0 is recorded, too
    return network, *network.run(xs[50:], ys[50:], h)


# ----------------------------------------------------------------------------------- what is kept


def masks(demo: Demo) -> None:
    """Which terms each scheme keeps."""
    T, n = 12, 4
    demo.heading(f"Which C[t, k] each scheme keeps, for T = {T} losses (down) and n = {n}")
    kept = [truncation.mask(T, *k1_k2(scheme, n)) for scheme in SCHEMES]
    width = max(map(len, SCHEMES)) + 4
    lines = ["".join(scheme.ljust(width) for scheme in SCHEMES)]
    for t in range(T):
        rows = ("".join("█" if m[t, i] else "·" for i in range(t + 1)) for m in kept)
        lines.append("".join(row.ljust(width) for row in rows))
    lines.append("".join(f"{m.sum()} of {T * (T + 1) // 2}".ljust(width) for m in kept))
    demo.show("\n".join(line.rstrip() for line in lines))


def masked_sums(demo: Demo, network: Network, states: Any, losses: Any, n: int) -> Array:
    """The truncated gradient, against the sum of the terms that the mask keeps; their norms."""
    demo.heading(f"The truncated gradient of dL/dW is the sum of the terms kept (n = {n})")
    triangle = tg.bptt.triangle(losses, network.W)
    rows = [["scheme", "norm", "masked sum differs by", "left out", "and the rest: whole dL/dW"]]
    worst = 0.0
    for scheme in SCHEMES:
        k1, k2 = k1_k2(scheme, n)
        mask = truncation.mask(len(losses), k1, k2)
        (g,) = truncation.williams_peng(losses, states, [network.W], k1, k2)
        rest = triangle.masked(~mask)
        difference = apart(g, triangle.masked(mask))
        whole = apart(g.data + rest, triangle.total)
        worst = max(worst, difference, whole)
        numbers = f"{norm(g):.4f}", f"{difference:.1e}", f"{norm(rest):.4f}", f"{whole:.1e}"
        rows.append([scheme, *numbers])
    demo.table(rows)
    demo.say(
        f"Truncated gradients and masked sums differ by at most {worst:.1e}; ‖dL/dW‖ is "
        f"{norm(triangle.total):.4f}."
    )
    norms: Array = triangle.norms
    return norms


# --------------------------------------------------------------------------------------- the bias


def biases(
    demo: Demo, when: str, network: Network, ids: Array, T: int, ns: list[int]
) -> dict[str, Array]:
    """How far each scheme is from the whole gradient, of all five parameters together, by n."""
    wide, states, losses = recorded(network, ids, T, 16)
    parameters = [getattr(wide, name) for name in NAMES]
    whole = tg.grad(tg.add_n(losses), parameters, retain_graph=True)
    found = {scheme: np.full((len(ns), 2), np.nan) for scheme in SCHEMES}
    for scheme, line in found.items():
        for i, n in enumerate(ns):
            k1, k2 = k1_k2(scheme, n)
            if k1 >= 1:
                g = truncation.williams_peng(losses, states, parameters, k1, k2)
                line[i] = truncation.bias(g, whole)
    loss = sum(L_t.item() for L_t in losses) / T
    _, one_stream, _ = recorded(network, ids, T, 1)
    rate = tg.bptt.jacobians(one_stream).rate()
    size = math.sqrt(sum(norm(g) ** 2 for g in whole))
    demo.heading(
        f"{when}: {loss:.2f} nats per character, ‖g‖ = {size:.3g}, ‖∂h_t/∂h_k‖ falls by a factor "
        f"of {rate:.3f} per step"
    )
    rows = [["", "off by", "", "", "angle", "", ""]]
    rows.append(["n", *(scheme.split("(")[0] for scheme in SCHEMES * 2)])
    for i, n in enumerate(ns):
        off = ["–" if np.isnan(line[i, 0]) else f"{line[i, 0]:.2%}" for line in found.values()]
        angle = ["–" if np.isnan(line[i, 1]) else f"{line[i, 1]:.2f}°" for line in found.values()]
        rows.append([str(n), *off, *angle])
    demo.table(rows)
    long = [i for i, n in enumerate(ns) if 4 <= n <= 16 and n < T]
    power, per_step = (
        np.polyfit(x, np.log(found[scheme][long, 0]), 1)[0]
        for x, scheme in ((np.log(ns)[long], SCHEMES[0]), (np.array(ns)[long], SCHEMES[2]))
    )
    demo.say(
        f"From n = 4 to {ns[long[-1]]}: chunks off as n^({power:.2f}); "
        f"sliding by a factor of {math.exp(per_step):.3f} per step (the Jacobians: {rate:.3f})."
    )
    return found


# ------------------------------------------------------------------------------------ the pictures


def in_italics(scheme: str) -> str:
    """A scheme as matplotlib sets it."""
    name, numbers = scheme.split("(")
    return f"{name}({numbers.replace('n', '$n$')}"


def plot_masks(norms: Array, n: int) -> Any:
    """The terms of a real gradient; those that are left out in grey."""
    from matplotlib.colors import LogNorm

    T = len(norms)
    fig = figure(9.0, 3.3)
    axes = fig.subplots(1, 3, sharey=True)
    sizes = np.ma.masked_equal(norms, 0)
    for ax, scheme in zip(axes, SCHEMES, strict=True):
        kept = truncation.mask(T, *k1_k2(scheme, n))
        extent = (0.5, T + 0.5, T + 0.5, 0.5)
        left_out = np.ma.masked_where(kept | (np.tri(T) == 0), np.ones((T, T)))
        ax.imshow(left_out, cmap="Greys", vmin=0, vmax=6, extent=extent, interpolation="nearest")
        image = ax.imshow(
            np.ma.masked_where(~kept, sizes), norm=LogNorm(norms.max() / 1e2, norms.max()),
            cmap="cividis", extent=extent, interpolation="nearest",
        )  # fmt: skip
        ax.set_title(f"{in_italics(scheme)}, $n$ = {n}", fontsize=10)
        ax.set_xlabel("use of $W$ in step $k$")
        ax.text(0.97, 0.95, "grey: left out", transform=ax.transAxes, ha="right", va="top")
    axes[0].set_ylabel("loss of step $t$")
    fig.colorbar(image, ax=axes, extend="min", label="norm of the term", shrink=0.85)
    return fig


def plot_bias(ns: list[int], found: dict[str, dict[str, Array]]) -> Any:
    """By n < T, how far each scheme is from the whole gradient."""
    fig = figure(8.6, 5.6)
    axes = fig.subplots(2, 2, sharex=True, sharey="row")
    for column, (when, lines) in enumerate(found.items()):
        for row, ylabel in enumerate(("off by (relative norm)", "angle, in degrees")):
            ax = axes[row, column]
            for (scheme, line), colour, dashes in zip(lines.items(), COLOURS, DASHES, strict=False):
                ax.plot(
                    ns, line[: len(ns), row], dashes, marker="o", markersize=4, linewidth=2,
                    color=colour, label=in_italics(scheme),
                )  # fmt: skip
            ax.set_xscale("log", base=2)
            ax.set_yscale("log")
            ax.set_xticks(ns, [str(n) for n in ns])
            ax.minorticks_off()
            ax.grid(color="0.9")
            if not column:
                ax.set_ylabel(ylabel)
        axes[0, column].set_title(when)
        axes[1, column].set_xlabel("$n$, in steps")
    axes[0, 0].legend(frameon=False, loc="lower left")
    return fig


def main() -> None:
    demo = Demo(__file__, __doc__)
    corpus = text.split(text.language_reference(), "Python's language reference")
    H, updates, T = (16, 30, 16) if demo.quick else (96, 800, 64)
    ns = [n for n in (1, 2, 4, 8, 16, 32, 64) if n <= T]
    network = Network(len(corpus.vocabulary), H, np.random.default_rng(0))
    demo.say(
        f"{H} hidden units; 16 streams of {T} characters of held-out text, in float64. Angles and "
        "norms are of the gradients of V, W, U, b_h and b_y together."
    )
    masks(demo)
    found = {"before training": biases(demo, "Before training", network, corpus.held_out, T, ns)}
    train(network, corpus.train, updates)
    when = f"after {updates} updates"
    found[when] = biases(demo, when.capitalize(), network, corpus.held_out, T, ns)
    demo.say(
        "Off by 100 % means an error as large as the gradient. A chunk of n gives its first loss "
        "one step, and its last one n; sliding gives n to every loss, and goes back n times as "
        "many steps for it. Williams–Peng goes back twice as many as chunks do."
    )
    n = 4 if demo.quick else 8
    norms = masked_sums(demo, *recorded(network, corpus.held_out, 3 * n, 16), n)
    demo.plot("masks.png", lambda: plot_masks(norms, n))
    demo.plot("bias.png", lambda: plot_bias(ns[:-1], found))
    demo.end()


if __name__ == "__main__":
    main()
