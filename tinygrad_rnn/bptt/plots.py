"""Plots of what is found, with matplotlib, which is an extra: pip install "tinygrad_rnn[demos]".

Each function draws on the axes it is given, or on new ones, and returns them; `ax.figure.savefig`
writes the file. Colours are those of Okabe and Ito, safe for colour-blind readers; curves differ in
their dashes too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BLUE = "#0072B2"
CURVES = [("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", "-."), ("#CC79A7", ":")]
DECADES = 8  # of a logarithmic colour scale: what is smaller looks as the smallest of these


def new_axes(ax: Any, size: tuple[float, float]) -> Any:
    """The axes given, or those of a new figure of so many inches."""
    if ax is not None:
        return ax
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(
            "a plot needs matplotlib: pip install matplotlib. Without it, print the result: it "
            "shows as text"
        ) from None
    return Figure(figsize=size, dpi=150, layout="constrained").add_subplot()


def plot_triangle(norms: Array, times: Sequence[int], name: str, ax: Any = None) -> Any:
    """‖C[t, k]‖ as a logarithmic heat map: losses downwards, uses to the right, 0 left blank."""
    ax = new_axes(ax, (5.0, 4.2))
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import LogLocator

    rows, steps = norms.shape
    largest = norms.max() or 1.0
    smallest = norms[norms > 0].min(initial=largest)
    image = ax.imshow(
        np.ma.masked_equal(norms, 0),
        norm=LogNorm(max(smallest / 1.01, largest / 10**DECADES), largest),
        cmap="cividis_r",  # dark is large, and the white of 0 is beyond small
        interpolation="nearest",
    )  # fmt: skip
    ticks = np.unique(np.linspace(0, steps - 1, min(steps, 8)).round().astype(int))
    ax.set_xticks(ticks, [str(k + 1) for k in ticks])
    ticks = np.unique(np.linspace(0, rows - 1, min(rows, 8)).round().astype(int))
    ax.set_yticks(ticks, [str(times[t]) for t in ticks])
    ax.set_xlabel(f"use of {name} in step k")
    ax.set_ylabel("loss of step t")
    near = largest < 1000 * smallest
    bar = ax.figure.colorbar(
        image, ax=ax, label="norm of the term C[t, k]; white: 0", shrink=0.8,
        ticks=LogLocator(subs=(1, 2, 5) if near else (1,)), format="%g" if near else None,
    )  # fmt: skip
    bar.minorticks_off()
    return ax


def plot_decay(log_norms: Array, label: str | None = None, ax: Any = None) -> Any:
    """Norms against lag on a logarithmic scale: every product a dot, the geometric mean a line."""
    ax = new_axes(ax, (5.5, 3.8))
    colour, dashes = CURVES[len(ax.lines) // 2 % len(CURVES)]
    t, k = np.nonzero(np.isfinite(log_norms))
    lags = np.unique(t - k)
    mean = [np.diagonal(log_norms, -lag)[np.isfinite(np.diagonal(log_norms, -lag))].mean()
            for lag in lags]  # fmt: skip
    ax.plot(t - k, np.exp(log_norms[t, k]), ".", color=colour, alpha=0.25, markersize=3)
    ax.plot(lags, np.exp(mean), dashes, color=colour, linewidth=2, label=label)
    ax.set_yscale("log")
    ax.set_xlabel("t − k, in steps")
    ax.set_ylabel("norm of ∂h_t/∂h_k")
    if label:
        ax.legend(frameon=False)
    return ax


def plot_bars(
    steps: Sequence[int], sizes: Sequence[float], name: str, labels: Sequence[str] | None = None,
    ax: Any = None,
) -> Any:  # fmt: skip
    """The size of the contribution of each step, with what was read in the step below it."""
    ax = new_axes(ax, (max(4.0, 1.5 + 0.22 * len(steps)), 3.0))
    ax.bar(steps, sizes, color=BLUE)
    if labels is not None:
        if len(labels) != len(steps):
            raise ValueError(f"plot: {len(steps)} steps want as many labels, not {len(labels)}")
        ax.set_xticks(list(steps), list(labels))
    ax.set_xlabel("step k" if labels is None else "what step k reads")
    ax.set_ylabel(f"norm of the term of dL/d{name}")
    return ax
