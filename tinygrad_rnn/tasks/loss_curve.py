"""The picture of a training, with matplotlib, which is an extra."""

from __future__ import annotations

from typing import Any

from .training import Row, best

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"  # Okabe and Ito: safe for colour blindness


def loss_curve(log: list[Row], unit: str, yardsticks: list[tuple[str, float]]) -> Any:
    """The losses of training and of held-out data by the number of updates, as a figure.

    unit: what the losses are counted by, "characters", say.
    yardsticks: names and held-out losses of other models, as lines to be below of.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), dpi=150, layout="constrained")
    ax = figure.add_subplot()
    updates = [row.updates for row in log]
    dots: dict[str, Any] = {"marker": "o", "markersize": 3.5}
    ax.plot(updates, [row.training_loss for row in log], "--", color=BLUE, label="training", **dots)
    ax.plot(updates, [row.held_out_loss for row in log], color=ORANGE, label="held out", **dots)
    kept = best(log)
    ax.plot(
        kept.updates, kept.held_out_loss, "o", color=ORANGE, markersize=9, fillstyle="none",
        label="kept",
    )  # fmt: skip
    for name, loss in yardsticks:
        ax.axhline(loss, color=GREY, linewidth=1, linestyle=":")
        ax.annotate(
            name, (1, loss), (-4, 2), xycoords=("axes fraction", "data"),
            textcoords="offset points", ha="right", color=GREY, size=8,
        )  # fmt: skip
    ax.set_xlim(0)
    ax.set_xlabel("updates")
    ax.set_ylabel(f"loss, in nats per {unit.removesuffix('s')}")
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="outside upper center", ncols=3)
    return figure
