"""The pictures of the documentation: one network after the other, drawn in each way.

Writes each picture as DOT text and, if there is a Graphviz engine, as PNG. The tests compare the
DOT text of docs/images with what this file makes, byte by byte.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn.draw import Picture
from tinygrad_rnn.engine.record import history
from tinygrad_rnn.networks import NETWORKS

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
DPI = 115

rnn = NETWORKS["rnn"]


def parameters(L: tg.Tensor) -> dict[str, tg.Parameter]:
    """The parameters of a loss, by name."""
    return {x.name or "": x for x in history(L) if isinstance(x, tg.Parameter)}


def gradients() -> Picture:
    """dL/dW and all that it is computed from, as its loop. Squares, whose slopes are short."""
    V = tg.Parameter(np.ones((8, 16)))
    W = tg.Parameter(np.ones((16, 16)))
    U = tg.Parameter(np.ones((16, 8)))
    x = tg.tensor(np.ones((4, 1, 8)))
    y = tg.tensor(np.ones((4, 1, 8)))
    h, losses = tg.tensor(np.zeros((1, 16))), []
    for _, x_t, y_t in tg.steps(x, y):
        h = np.tanh(x_t @ V + h @ W)
        y_hat = h @ U
        losses.append(np.sum(np.square(y_hat - y_t)))
    (dW,) = tg.grad(tg.add_n(losses), W, create_graph=True)
    return tg.draw(dW, folded=True, detail="cells")


def path() -> Picture:
    """One of the ways that the gradient takes from the loss to W."""
    L = rnn(4)
    ways = tg.bptt.paths(L, parameters(L)["W"])
    return tg.draw(L, highlight=next(way for way in ways if way.steps == [4, 3, 2]))


def numbers() -> Picture:
    """What each use of W contributes, and how large the Jacobians between the states are."""
    L = rnn(4)
    tensors = [x for x in history(L) if isinstance(x, tg.Tensor)]
    states = [x for x in tensors if x.name == "h" and x.requires_grad]
    terms = tg.bptt.contributions(L, parameters(L)["W"])
    return tg.draw(L, annotate=[terms, tg.bptt.jacobians(states)])


PICTURES: dict[str, Callable[[], Picture]] = {
    "unrolled": lambda: tg.draw(rnn(4)),
    "folded": lambda: tg.draw(rnn(4), folded=True),
    "cells": lambda: tg.draw(rnn(4), detail="cells"),
    "cells_folded": lambda: tg.draw(rnn(4), detail="cells", folded=True),
    "elided": lambda: tg.draw(rnn(100)),
    "lstm": lambda: tg.draw(NETWORKS["lstm"](3), detail="cells"),
    "lstm_folded": lambda: tg.draw(NETWORKS["lstm"](3), folded=True),
    "gru_folded": lambda: tg.draw(NETWORKS["gru"](3), folded=True),
    "two_layers": lambda: tg.draw(NETWORKS["two-layers"](3)),
    "two_layers_folded": lambda: tg.draw(NETWORKS["two-layers"](3), folded=True),
    "bidirectional": lambda: tg.draw(NETWORKS["bidirectional"](4), detail="cells"),
    "bidirectional_folded": lambda: tg.draw(NETWORKS["bidirectional"](4), folded=True),
    "backward": lambda: tg.draw(rnn(3), backward=True, legend=True),
    "gradients": gradients,
    "cut": lambda: tg.draw(rnn(6, cut=2), detail="cells", backward=True),
    "cut_folded": lambda: tg.draw(rnn(6, cut=2), folded=True),
    "path": path,
    "numbers": numbers,
    "up": lambda: tg.draw(rnn(3), detail="cells", direction="up"),
    "print": lambda: tg.draw(rnn(3), theme="print", notation="goodfellow", legend=True),
}


def main() -> None:
    """Write all of them."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--out", type=Path, default=IMAGES, metavar="FOLDER",
                        help="where to write them (default: docs/images)")  # fmt: skip
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        picture = draw()
        picture.save(out / f"{name}.dot")
        try:
            picture.save(out / f"{name}.png", dpi=DPI)
        except tg.GraphvizNotFound as error:
            print(f"{name}: {error}")
    print(f"{len(PICTURES)} pictures are in {out}")


if __name__ == "__main__":
    main()
