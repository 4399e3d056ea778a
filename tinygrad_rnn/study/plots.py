"""The pictures of what each step contributed, with matplotlib, which is an extra.

Every function returns a figure. They open no file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .network import EachStep
from .report import escaped, visible

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"  # Okabe and Ito: safe for colour blindness
FONT = "DejaVu Sans Mono"  # it comes with matplotlib
DECADES = 8  # of the scale of colours: what is smaller looks as the smallest of these


def all_plots(each: EachStep) -> Iterator[tuple[str, Any]]:
    """The file names and the figures. An ImportError if there is no matplotlib."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # or the report would depend on the user's own settings
        yield "triangles.png", triangles(each)
        yield "contributions.png", contributions(each)
        yield "decay.png", decay(each)


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def triangles(each: EachStep) -> Any:
    """‖C[t, k]‖ for U, W and V side by side, on one logarithmic scale; exactly 0 is left blank."""
    from matplotlib.colors import LogNorm

    figure = _figure(11, 4.1 + _for_labels(each.text))
    sizes = np.array(list(each.terms.values()))
    largest = sizes.max() or 1.0
    smallest = max(sizes[sizes > 0].min(initial=largest), largest / 10**DECADES)
    norm = LogNorm(smallest / 1.01, largest)
    axes = figure.subplots(1, len(sizes), sharey=True)
    for ax, (name, norms) in zip(axes, each.terms.items(), strict=True):
        image = ax.imshow(np.ma.masked_equal(norms, 0), norm=norm, cmap="cividis_r")
        ax.set_title(f"terms of dL/d{name}")
        ax.set_xlabel(f"use of {name} in the step that reads …")
        _characters(ax.xaxis, each.text[:-1])
        ax.yaxis.set_tick_params(length=0)
    _characters(axes[0].yaxis, each.text[1:])
    axes[0].set_ylabel("loss of predicting …")
    bar = figure.colorbar(image, ax=list(axes), shrink=0.85, pad=0.01)
    bar.set_label("size of the term; white: exactly 0")
    bar.minorticks_off()
    return figure


def contributions(each: EachStep) -> Any:
    """The losses, and below them what each use of W contributes to dL/dW."""
    figure = _figure(9, 4.8 + 2 * _for_labels(each.text))
    steps = range(len(each.losses))
    above, below = figure.subplots(2, 1, height_ratios=(2, 3))
    above.bar(steps, each.losses, color=ORANGE)
    above.set_ylabel("loss L_t, in nats")
    above.xaxis.tick_top()
    above.xaxis.set_label_position("top")
    above.set_xlabel("step t predicts …")
    below.bar(steps, each.contributions, color=BLUE)
    below.set_ylabel("size of what the use of W\nin step k contributes to dL/dW")
    below.set_xlabel("step k reads …")
    for ax, text in ((above, each.text[1:]), (below, each.text[:-1])):
        ax.set_xlim(-0.7, len(steps) - 0.3)
        ax.spines[["top", "right"]].set_visible(False)
        _characters(ax.xaxis, text)
    return figure


def decay(each: EachStep) -> Any:
    """The norms ‖∂h_t/∂h_k‖ against t − k, the line fitted to them, and the bound.

    The bound soon leaves the picture, or one would see nothing else.
    """
    figure = _figure(7, 4.0)
    ax = figure.add_subplot()
    lags = np.array(sorted(each.products))
    for lag in lags:
        norms = each.products[lag]
        ax.plot(np.full(norms.shape, lag), norms, ".", color=BLUE, alpha=0.3, markersize=5)
    typical = [each.typical(lag) for lag in lags]
    ax.plot(lags, typical, color=BLUE, linewidth=2, label="typical, of the dots with this t − k")
    if each.rate:
        reach = np.arange(lags[-1] + 1)
        fitted = f"fitted line: a factor of {each.rate:.2f} per step"
        ax.plot(reach, each.start * each.rate**reach, "--", color=ORANGE, label=fitted)
        norms = np.concatenate(list(each.products.values()))
        norms = np.append(norms[norms > 0], [1.0, each.start])
        bound = f"bound: a factor of {each.bound:.2f} per step"
        ax.plot(reach, each.bound**reach, ":", color=GREY, linewidth=2, label=bound)
        ax.set_yscale("log")
        ax.set_ylim(norms.min() / 2, norms.max() * 8)
    ax.set_xlabel("t − k, the number of steps back in time")
    ax.set_ylabel("norm of ∂h_t/∂h_k")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    return figure


def _characters(axis: Any, text: str) -> None:
    """A character below or beside each step."""
    style = {"family": FONT, "size": 9, "parse_math": False}
    axis.set_ticks(range(len(text)), [_label(c) for c in text], **style)
    axis.set_tick_params(length=0)
    for label in axis.get_ticklabels():
        if axis.axis_name == "x" and len(label.get_text()) > 1:
            label.set_rotation(90)
        elif axis.axis_name == "y" and label.get_text() == visible(" "):
            label.set_verticalalignment("baseline")  # it hangs down, to the next line


def _for_labels(text: str) -> float:
    """The inches that characters want below the axes which the font doesn't have."""
    return 0.08 * (max(len(_label(c)) for c in text) - 1)


def _label(c: str) -> str:
    """A character as the font has it, or else its number."""
    from matplotlib.font_manager import findfont, get_font

    shown = visible(c)
    known = get_font(findfont(FONT)).get_char_index
    return shown if all(known(ord(part)) for part in shown) else escaped(c)
