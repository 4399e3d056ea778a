"""Measure the tape: what recording and sweeping cost, whatever the operations compute.

    python tests/benchmarks/tape.py [--only chain,paths,pending,freed]

chain: 10⁶ operations on a number, each run in a process of its own: seconds, and bytes per node.
paths: 2⁶⁰ paths through 60 nodes.
pending: how many terms wait at most in the sweep over a recurrent network, by spelling.
freed: objects that are left of a graph when it is dropped, with the garbage collector off.

A peer that can't be imported is left out.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from timing import OURS, available, medians, row

import tinygrad_rnn as tg
from tinygrad_rnn.engine import sweep

# -------------------------------------------------------------------------------- a chain, its cost

LENGTH = 1_000_000


def chain_of_ours(length: int) -> tuple[Any, Callable[[], Any]]:
    y = tg.Parameter(1.0)
    for _ in range(length):
        y = y * 1.0
    return y, y.backward


def chain_of_pytorch(length: int) -> tuple[Any, Callable[[], Any]]:
    import torch

    y = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    for _ in range(length):
        y = y * 1.0
    return y, y.backward


def chain_of_hips(length: int) -> tuple[Any, Callable[[], Any]]:
    from autograd import make_vjp

    def f(y: Any) -> Any:
        for _ in range(length):
            y = y * 1.0
        return y

    back, _ = make_vjp(f, 0)(1.0)
    return back, lambda: back(1.0)


CHAINS = {OURS: chain_of_ours, "PyTorch": chain_of_pytorch, "HIPS autograd": chain_of_hips}


def memory(key: str) -> float:
    """Bytes that this process holds (VmRSS) or held at most (VmHWM); nan where Linux isn't."""
    with suppress(FileNotFoundError):
        text = Path("/proc/self/status").read_text()
        return 1024.0 * int(text.split(f"{key}:")[1].split()[0])
    return float("nan")


def costs_of_a_chain(name: str, collector: bool) -> list[str]:
    """Run in a fresh process: seconds forward, backward, to free it unswept; bytes per node."""
    build = CHAINS[name]
    build(10)[1]()
    if not collector:
        gc.disable()
    held: Any = None
    backward: Any = None

    def forward() -> None:
        nonlocal held, backward
        held, backward = build(LENGTH)

    def drop() -> None:
        nonlocal held, backward
        held = backward = None

    before = memory("VmRSS")
    seconds = [timed(forward)]
    grown = memory("VmRSS") - before
    seconds.append(timed(backward))
    most = memory("VmHWM") - before
    forward()
    seconds.append(timed(drop))
    cells = [f"{s:.2f} s" for s in seconds]
    return [*cells, *(f"{bytes / LENGTH:.0f} B" for bytes in (grown, most))]


def timed(f: Callable[[], Any]) -> float:
    start = time.perf_counter()
    f()
    return time.perf_counter() - start


def chain() -> None:
    columns = ["forward", "backward", "freed unswept", "node, forward", "node, at most"]
    row(f"a chain of {LENGTH:,} nodes", *columns)
    for name in available(CHAINS):
        for collector in (True, False):
            label = name if collector else f"{name}, garbage collector off"
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                row(label, *process.submit(costs_of_a_chain, name, collector).result())


# --------------------------------------------------------------------------------- paths, and terms


def paths() -> None:
    def ladder() -> None:
        x = y = tg.Parameter(1.0)
        for _ in range(60):
            y = y + y
        y.backward()
        assert x.grad.item() == 2.0**60

    row("2⁶⁰ paths through 60 nodes", f"{1e3 * medians({OURS: ladder}, 20)[OURS]:.2f} ms")


class Watched(defaultdict[Any, list[Any]]):
    """The sweep's dictionary of terms that wait; counts them as each node's turn comes."""

    peak = 0

    def pop(self, *key: Any) -> Any:
        Watched.peak = max(Watched.peak, sum(map(len, self.values())))
        return super().pop(*key)


SPELLINGS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    # what a step does with the loss so far and its own, and what is done afterwards with the list
    "loss + l": (lambda loss, l_t: loss + l_t, lambda loss, losses: loss),
    "l + loss": (lambda loss, l_t: l_t + loss, lambda loss, losses: loss),
    "l of the last step": (lambda loss, l_t: l_t, lambda loss, losses: loss),
    "sum(list of l)": (lambda loss, l_t: l_t, lambda loss, losses: sum(losses)),
    "add_n(list of l)": (lambda loss, l_t: l_t, lambda loss, losses: tg.add_n(losses)),
}


def peak(T: int, h_first: bool, in_step: Callable[..., Any], at_end: Callable[..., Any]) -> int:
    """Terms that wait at most in the sweep over a network of T steps."""
    V, W, h = tg.Parameter(np.eye(3)), tg.Parameter(np.eye(3) / 2), tg.tensor(np.zeros((1, 3)))
    loss, losses = tg.tensor(0.0), []
    for _, x in tg.steps(np.ones((T, 1, 3))):
        h = np.tanh(h @ W + x @ V if h_first else x @ V + h @ W)
        losses.append(h.sum())
        loss = in_step(loss, losses[-1])
    loss = at_end(loss, losses)
    Watched.peak = 0
    with mock.patch.object(sweep, "defaultdict", Watched):
        loss.backward()
    assert Watched.peak, "the sweep's dictionary was not watched"
    return Watched.peak


def pending() -> None:
    lengths = (10, 100, 1000)
    row("terms that wait, at most", *(f"T = {T:,}" for T in lengths))
    for order in ("x@V + h@W", "h@W + x@V"):
        for spelling, loss in SPELLINGS.items():
            peaks = [peak(T, order.startswith("h"), *loss) for T in lengths]
            row(f"{order}; {spelling}", *peaks)


# ------------------------------------------------------------------------------------ what is left


def dropped(length: int) -> None:
    chain_of_ours(length)


def swept(length: int) -> None:
    chain_of_ours(length)[1]()


def unrolled(length: int) -> None:
    w, h = tg.Parameter(0.5), tg.tensor(1.0)
    for _ in tg.steps(range(length)):
        h = np.tanh(w * h)
    h.backward()


def differentiated_twice(length: int) -> None:
    x = y = tg.Parameter(1.0)
    for _ in range(length):
        y = y * x
    tg.grad(tg.grad(y, x, create_graph=True)[0], x)


def freed() -> None:
    row("objects left, garbage collector off", "operations", "left")
    gc.collect()
    gc.disable()
    for make, length in (
        (dropped, 100_000),
        (swept, 100_000),
        (unrolled, 50_000),
        (differentiated_twice, 10_000),
    ):
        make(10)  # fills the caches: the sites of these lines
        before = len(gc.get_objects())
        make(length)
        row(make.__name__.replace("_", " "), f"{length:,}", len(gc.get_objects()) - before)
    gc.enable()


def main() -> None:
    tables = {"chain": chain, "paths": paths, "pending": pending, "freed": freed}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(tables), help="some of: %(default)s")
    for name in parser.parse_args().only.split(","):
        tables[name]()
        print()


if __name__ == "__main__":
    main()
