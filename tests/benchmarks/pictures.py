"""Draw one recurrent network here and with torchviz, torchview and TorchLens.

    python tests/benchmarks/pictures.py [--steps T]

The lecture's network with a loss at each step, as an SVG. Nodes and edges are counted there, and
how many boxes the parameter W has. A peer that can't be imported is left out; all need the program
dot.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_rnn as tg

B, D, H, K = 1, 8, 16, 8


def ours(T: int, **options: Any) -> str:
    rng = np.random.default_rng(0)
    V, W, U = (tg.Parameter(rng.standard_normal(s) / 4) for s in ((D, H), (H, H), (H, K)))
    b_h, b_y = tg.Parameter(np.zeros(H)), tg.Parameter(np.zeros(K))
    for name, parameter in (("V", V), ("W", W), ("U", U)):
        parameter.name = name
    x = tg.tensor(rng.standard_normal((T, B, D)))
    y = tg.tensor(rng.integers(0, K, (T, B)))
    h, losses = tg.tensor(np.zeros((B, H))), []
    for _, x_t, y_t in tg.steps(x, y):
        h = np.tanh(x_t @ V + h @ W + b_h)
        L_t = tg.cross_entropy(h @ U + b_y, y_t)
        losses.append(L_t)
    L = tg.add_n(losses)
    with tempfile.TemporaryDirectory() as folder:
        return tg.draw(L, **options).save(Path(folder, "picture.svg")).read_text("utf-8")


def network() -> Any:
    import torch

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, shape in (
                ("V", (D, H)),
                ("W", (H, H)),
                ("U", (H, K)),
                ("b_h", (H,)),
                ("b_y", (K,)),
            ):
                setattr(self, name, torch.nn.Parameter(torch.randn(shape) / 4))

        def forward(self, x: Any, y: Any) -> Any:
            h, losses = torch.zeros(B, H), []
            for x_t, y_t in zip(x, y, strict=True):
                h = torch.tanh(x_t @ self.V + h @ self.W + self.b_h)
                losses.append(torch.nn.functional.cross_entropy(h @ self.U + self.b_y, y_t))
            return torch.stack(losses).sum()

    return Network()  # fmt: skip


def data(T: int) -> Any:
    import torch

    return torch.randn(T, B, D), torch.randint(0, K, (T, B))


def torchviz(T: int) -> str:
    from torchviz import make_dot

    net = network()
    dot = make_dot(net(*data(T)), params=dict(net.named_parameters()))
    return str(dot.pipe(format="svg", encoding="utf-8"))


def torchview(T: int) -> str:
    from torchview import draw_graph

    graph = draw_graph(network(), input_data=data(T), depth=10, device="cpu")
    return str(graph.visual_graph.pipe(format="svg", encoding="utf-8"))


def torchlens(T: int, view: str) -> str:
    from torchlens.options import VisualizationOptions
    from torchlens.visualization import show_model_graph

    here = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            options = VisualizationOptions(view=view, file_format="svg", save_only=True)
            show_model_graph(network(), data(T), visualization=options)
            return next(Path(folder).glob("*.svg")).read_text("utf-8")
        finally:
            os.chdir(here)


PEERS: dict[str, Callable[[int], str]] = {
    "tinygrad_rnn": ours,
    "… cells": lambda T: ours(T, detail="cells"),
    "… folded": lambda T: ours(T, folded=True),
    "torchviz": torchviz,
    "torchview": torchview,
    "TorchLens, unrolled": lambda T: torchlens(T, "unrolled"),
    "TorchLens, rolled": lambda T: torchlens(T, "rolled"),
}


def counts(svg: str) -> tuple[int, int, int]:
    """Nodes, edges, and nodes that are called W."""
    groups = re.findall(r'<g id="[^"]*" class="(node|edge)">(.*?)</g>', svg, re.DOTALL)
    nodes = [body for kind, body in groups if kind == "node"]
    named = [body for body in nodes if re.search(r">[^<]*\bW\b[^<]*</text>", body)]
    return len(nodes), len(groups) - len(nodes), len(named)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=12, metavar="T")
    T = parser.parse_args().steps
    print(f"{f'T = {T}':<22}{'nodes':>8}{'edges':>8}{'boxes of W':>12}{'seconds':>10}")
    for name, make in PEERS.items():
        try:
            start = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()):
                svg = make(T)
            seconds = time.perf_counter() - start
        except ImportError as error:
            print(f"{name:<22}  {error}")
            continue
        nodes, edges, boxes = counts(svg)
        print(f"{name:<22}{nodes:>8}{edges:>8}{boxes:>12}{seconds:>10.2f}", flush=True)


if __name__ == "__main__":
    main()
