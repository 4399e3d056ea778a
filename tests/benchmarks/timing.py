"""What the benchmarks share: peers that may be missing, threads, equal results, medians, rows."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np

Step = Callable[[], tuple[float, list[Any]]]
"""A loss and its gradients."""

OURS = "tinygrad_rnn"
TURN = 2e-3  # seconds, at least
THREADS = "BENCHMARK_THREADS"
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"  # for JAX
MODULES = {
    "PyTorch": "torch",
    "PyTorch loop": "torch",
    "PyTorch layer": "torch",
    "PyTorch compiled": "torch",
    "JAX scan": "jax",
    "HIPS autograd": "autograd",
}
Peer = TypeVar("Peer")


def available(peers: dict[str, Peer]) -> dict[str, Peer]:
    """The peers that can be imported."""
    missing = [p for p in peers if p in MODULES and not importlib.util.find_spec(MODULES[p])]
    for name in missing:
        print(f"{name} is not installed: left out")
    return {name: peer for name, peer in peers.items() if name not in missing}


def limit_threads(threads: int) -> None:
    """As many threads for NumPy and for PyTorch."""
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(threads)
    try:
        from threadpoolctl import threadpool_limits

        threadpool_limits(threads)
    except ImportError:
        print("threadpoolctl is not installed: the number of threads is the libraries' own")


def with_threads(counts: list[int]) -> int:
    """Run this script again for each number of threads; in such a run, the number.

    Each is a process of its own, as NumPy's BLAS, OpenMP and JAX are told before they start. It is
    kept to as many cores, so that nobody can use more, whatever threads a library starts.
    """
    if THREADS in os.environ:
        threads = int(os.environ[THREADS])
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
        limit_threads(threads)
        return threads
    for threads in counts:
        told = {f"{name}_NUM_THREADS": str(threads) for name in ("OPENBLAS", "OMP", "MKL")}
        if threads == 1:
            told["XLA_FLAGS"] = ONE_THREAD
        told |= {THREADS: str(threads)}
        status = subprocess.run([sys.executable, *sys.argv], env={**os.environ, **told}).returncode
        if status:
            raise SystemExit(status)
    return 0


def keep_freed_memory() -> None:
    """Have glibc keep what is freed: else page faults are timed, of whom they happen to hit."""
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        trim_threshold, mmap_threshold = -1, -3
        mallopt(trim_threshold, 2**30)
        mallopt(mmap_threshold, 2**25)


def working(steps: dict[str, Step]) -> dict[str, Step]:
    """The steps that run; of the others, the reason is printed."""
    found = {}
    for name, step in steps.items():
        try:
            step()
        except Exception as error:
            reason = str(error).strip().splitlines() or [""]
            print(f"{name} is left out: {type(error).__name__}: {reason[0][:150]}")
        else:
            found[name] = step
    return found


def agree(steps: dict[str, Step], rtol: float, atol: float) -> None:
    """Equal loss and gradients first: only equal work is worth timing."""
    loss, gradients = steps[OURS]()
    for name, step in steps.items():
        other_loss, other_gradients = step()
        assert np.isclose(loss, other_loss, rtol=1e-4), (name, loss, other_loss)
        for g, other in zip(gradients, other_gradients, strict=True):
            assert np.allclose(g, other, rtol=rtol, atol=atol), name


def medians(steps: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds a step, with the peers taking turns, in another order in each round.

    A turn is as many steps as take 2 ms, and at least one: a training run, too, makes one after
    another, and a single short one is timed with what the peer before left in the caches.
    """
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    order, shuffle = list(steps.items()), random.Random(0).shuffle
    for _ in range(rounds):
        shuffle(order)  # or one of them always follows the one whose threads wait busily
        for name, step in order:
            step()  # undoes what the peer before left in the caches and in the thread pools
            count, start = 0, time.perf_counter()
            while (passed := time.perf_counter() - start) < TURN:
                step()
                count += 1
            seconds[name].append(passed / count)
    return {name: statistics.median(times) for name, times in seconds.items()}


def row(label: str, *cells: Any) -> None:
    print(f"{label:<42}" + "".join(f"{cell:>24}" for cell in cells), flush=True)


def table(*heads: str) -> Callable[..., None]:
    """Print the head of a table; returns what prints a row of it."""
    widths = [27, *(max(9, len(head)) for head in heads[1:])]

    def show(first: str, *cells: str) -> None:
        others = [f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True)]
        print("  ".join([f"{first:<{widths[0]}}", *others]), flush=True)

    show(*heads)
    return show
