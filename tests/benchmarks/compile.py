"""What deriving a program costs, what it needs, and how far it is from the function it stands for.

    python tests/benchmarks/compile.py [first] [memory] [agreement]
        [--runs N] [--limit SECONDS] [--lengths T ...] [--draws N]

first      Seconds until the first loss and gradient are there, in a fresh process, from its start:
           import, recording or tracing, deriving or compiling, and the call. Then what compiling
           alone takes: the first call minus the median of the calls after it. The network is the
           lecture's, with B = 16, D = K = 64 and H = 128, in float32. The peers are torch.compile
           of the loop (without what an earlier process left in its cache) and jax.jit of a scan,
           and of the loop. One thread for each; compilers may use more.
memory     The largest sum of all arrays and Python objects in a training step, as tracemalloc
           counts them, which NumPy reports its arrays to; data and parameters are not counted.
agreement  The largest relative difference of results and gradients, max |a − b| / max |b|, in
           float64, between a program and running its function operation by operation; and of the
           program's text, executed in an empty namespace with arrays, from the same. Networks of
           tests/networks.py, each at random sizes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import program as benchmark
from timing import ONE_THREAD, table

import tinygrad_rnn as tg
from tests.networks import NETWORKS, Sizes

ROOT = Path(__file__).resolve().parents[2]

# ---------------------------------------------------------------------------------- the first call

DATA = """
import json, sys, time
import numpy as np

T = int(sys.argv[1])
B, D, H, K = 16, 64, 128, 64
rng = np.random.default_rng(0)
shapes = {"V": (D, H), "W": (H, H), "U": (H, K), "b_h": (H,), "b_y": (K,)}
p = {n: (rng.standard_normal(s) / H**0.5).astype(np.float32) for n, s in shapes.items()}
x = rng.standard_normal((T, B, D)).astype(np.float32)
y = rng.integers(0, K, (T, B))
h0 = np.zeros((B, H), np.float32)
"""

TAKEN = """
began = time.perf_counter()
loss = run()
first = time.perf_counter() - began
print(float(loss), flush=True)
later = []
for _ in range(5):
    began = time.perf_counter()
    run()
    later.append(time.perf_counter() - began)
print(json.dumps({"first": first, "later": sorted(later)[2]}), flush=True)
"""

OURS = """
import tinygrad_rnn as tg

V, W, U, b_h, b_y = (tg.Parameter(a, name=n) for n, a in p.items())

@tg.compile
def step(x, y, h):
    losses = []
    for t, x_t, y_t in tg.steps(x, y):
        h = np.tanh(x_t @ V + h @ W + b_h)
        losses.append(tg.cross_entropy(h @ U + b_y, y_t))
    L = tg.add_n(losses)
    L.backward()
    return L

def run():
    for q in (V, W, U, b_h, b_y):
        q.zero_grad()
    return step(x, y, h0).item()
"""

TORCH = """
import torch

torch.set_num_threads(1)
p = {n: torch.tensor(a, requires_grad=True) for n, a in p.items()}
x, y, h0 = torch.tensor(x), torch.tensor(y), torch.tensor(h0)

@torch.compile
def step(x, y, h, V, W, U, b_h, b_y):
    states = []
    for x_t in x:
        h = torch.tanh(x_t @ V + h @ W + b_h)
        states.append(h)
    z = torch.stack(states) @ U + b_y
    return torch.nn.functional.cross_entropy(z.view(-1, K), y.view(-1)) * len(x)

def run():
    L = step(x, y, h0, **p)
    torch.autograd.grad(L, list(p.values()))
    return L.item()
"""

JAX = """
import jax
import jax.numpy as jnp

def loss(p, x, y, h):
    def cell(h, x_t):
        h = jnp.tanh(x_t @ p["V"] + h @ p["W"] + p["b_h"])
        return h, h

    {states}
    z = jax.nn.log_softmax(states @ p["U"] + p["b_y"])
    return -jnp.take_along_axis(z, y[..., None], -1).mean() * len(x)

step = jax.jit(jax.value_and_grad(loss))

def run():
    L, g = jax.block_until_ready(step(p, x, y, h0))
    return float(L)
"""
SCAN = "_, states = jax.lax.scan(cell, h, x)"
LOOP = "states = jnp.stack([h := cell(h, x_t)[0] for x_t in x])"
SCRIPTS = {
    "the program": OURS,
    "torch.compile": TORCH,
    "jax.jit, scan": JAX.replace("{states}", SCAN),
    "jax.jit, loop": JAX.replace("{states}", LOOP),
}
NEEDS = {"torch.compile": "torch", "jax.jit, scan": "jax", "jax.jit, loop": "jax"}
LOSSES: dict[int, float] = {}  # by T: those of all peers are equal
AGREE = {
    "simple": "lecture", "LSTM": "LSTM", "GRU": "GRU", "stacked": "two layers",
    "bidirectional": "two directions", "truncated after 3": "truncated after 3", "masked": "mask",
}  # fmt: skip


def fresh(script: str, T: int, limit: float) -> tuple[float, float]:
    """Seconds to the first result, and of compiling alone, in a process of its own.

    A `RuntimeError` says why there are none.
    """
    told = {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "OMP", "MKL")}
    told |= {"XLA_FLAGS": ONE_THREAD, "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryFile("w+") as errors:
        told |= {"TORCHINDUCTOR_CACHE_DIR": cache}
        command = [sys.executable, "-c", DATA + script + TAKEN, str(T)]
        began = time.perf_counter()
        process = subprocess.Popen(
            command, env={**os.environ, **told}, stdout=subprocess.PIPE, stderr=errors, text=True,
            start_new_session=True,
        )  # fmt: skip
        # A compiler that it started ends with it.
        stop = threading.Timer(limit, lambda: os.killpg(process.pid, signal.SIGKILL))
        stop.start()
        assert process.stdout is not None
        loss = process.stdout.readline()
        until_first = time.perf_counter() - began
        rest = process.stdout.read()
        late = not stop.is_alive()
        stop.cancel()
        process.wait()
        if not rest:
            errors.seek(0)
            said = errors.read().strip().splitlines() or [f"ended with {process.returncode}"]
            raise RuntimeError(f"over {limit:g} s" if late else said[-1][:150])
    LOSSES.setdefault(T, float(loss))
    assert np.isclose(float(loss), LOSSES[T], rtol=1e-4), (loss, LOSSES)
    taken = json.loads(rest)
    return until_first, taken["first"] - taken["later"]


def first(runs: int, limit: float, lengths: list[int]) -> None:
    names = [name for name in SCRIPTS if importlib.util.find_spec(NEEDS.get(name, "numpy"))]
    until: dict[int, dict[str, float]] = {T: {} for T in lengths}
    compiling: dict[int, dict[str, float]] = {T: {} for T in lengths}
    for T in lengths:
        for name in names:
            try:
                pairs = [fresh(SCRIPTS[name], T, limit) for _ in range(runs)]
            except RuntimeError as why:
                print(f"{name}, T = {T}: left out: {why}", flush=True)
                continue
            medians = map(statistics.median, zip(*pairs, strict=True))
            until[T][name], compiling[T][name] = medians
    for title, found in (("until the first result", until), ("of compiling alone", compiling)):
        print(f"\nSeconds {title}, with those of a peer ÷ those of the program, median of {runs}")
        show = table("", *(f"{name:>17}" for name in names))
        for T, seconds in found.items():
            base = seconds.get(names[0], np.nan)
            cells = {name: f"{n / base:.2f}: {n:.2f} s" for name, n in seconds.items()}
            show(f"T = {T}", *(cells.get(name, "-") for name in names))


# ---------------------------------------------------------------------------------------- memory


def memory() -> None:
    """For each network and size, the program's peak and that of its function."""
    print("\nMB at the peak of a training step, with operation by operation ÷ the program")
    show = table("(B, T, H, K)", "ratio", "the program", "by operations", "its first call")
    for network in benchmark.GATES:
        for sizes in benchmark.SIZES:
            peaks = []
            for make in (benchmark.ours, benchmark.by_operations):
                tracemalloc.start()
                step = make(benchmark.Data(network, *sizes))
                before, _ = tracemalloc.get_traced_memory()
                calls = []
                for _ in range(3):
                    tracemalloc.reset_peak()
                    step()
                    calls.append((tracemalloc.get_traced_memory()[1] - before) / 1e6)
                tracemalloc.stop()
                peaks.append(calls)
                del step
            (derive, *_, program), (*_, operations) = peaks
            cells = [
                f"{operations / program:.1f}",
                *(f"{x:.2f}" for x in (program, operations, derive)),
            ]
            show(f"{network} {sizes}", *cells)


# ------------------------------------------------------------------------------------- agreement


def agreement(draws: int) -> None:
    print(f"\nLargest relative difference from operation by operation, {draws} random sizes each")
    show = table("", "the program", "its text alone")
    rng = np.random.default_rng(0)
    for label, name in AGREE.items():
        worst = np.zeros(2)
        for _ in range(draws):
            B, D, H, K, T = (int(n) for n in rng.integers([1, 1, 1, 2, 4], [9, 17, 33, 17, 41]))
            worst = np.maximum(worst, apart(*NETWORKS[name](Sizes(B, D, H, K, T), np.float64)))
        show(label, *(f"{x:.1e}" for x in worst))


def apart(f: Any, args: Any, parameters: Any) -> tuple[float, float]:
    """How far the program, and its text alone, are from running the function."""

    def called(function: Any, *given: Any) -> list[Any]:
        for p in parameters:
            p.zero_grad()
        returned = function(*given)
        results = returned if isinstance(returned, tuple) else [returned]
        return [x.numpy() for x in results] + [p.grad.numpy() for p in parameters]

    wanted = called(f, *map(tg.tensor, args))
    program = tg.compile(f)
    program(*args)
    found = called(program, *args)
    derived = program._last
    assert derived is not None
    assert derived.prepare is not None, derived.why
    space: dict[str, Any] = {}
    exec(program.source, space)
    arrays = [*args, *(p.numpy() for p in derived.captured), *derived.constants]
    results = space[f.__name__](*arrays)
    of = {id(g.tensor): results[g.output] for g in derived.gradients if g.output is not None}
    alone = [*results[: len(wanted) - len(parameters)], *(of[id(p)] for p in parameters)]
    return relative(found, wanted), relative(alone, wanted)


def relative(found: list[Any], wanted: list[Any]) -> float:
    pairs = zip(found, wanted, strict=True)
    return max(float(np.abs(a - b).max() / (np.abs(b).max() or 1)) for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tables", nargs="*", metavar="TABLE", help="first, memory or agreement")
    parser.add_argument("--runs", type=int, default=3, help="processes for each figure of `first`")
    parser.add_argument("--limit", type=float, default=900, help="seconds for each of them")
    parser.add_argument("--lengths", type=int, nargs="+", default=[25, 128, 1000], metavar="T")
    parser.add_argument("--draws", type=int, default=20, help="random sizes for `agreement`")
    args = parser.parse_args()
    chosen = args.tables or ["first", "memory", "agreement"]
    if "agreement" in chosen:
        agreement(args.draws)
    if "memory" in chosen:
        memory()
    if "first" in chosen:
        first(args.runs, args.limit, args.lengths)


if __name__ == "__main__":
    main()
