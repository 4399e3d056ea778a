"""What the benchmarks share: peers that may be missing, threads, equal results, medians, rows."""

from __future__ import annotations

import ctypes
import importlib.util
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np

Step = Callable[[], tuple[float, list[Any]]]
"""A loss and its gradients."""

OURS = "tinygrad_rnn"
MODULES = {
    "PyTorch": "torch",
    "PyTorch loop": "torch",
    "PyTorch layer": "torch",
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


def keep_freed_memory() -> None:
    """Have glibc keep what is freed: else page faults are timed, of whom they happen to hit."""
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        trim_threshold, mmap_threshold = -1, -3
        mallopt(trim_threshold, 2**30)
        mallopt(mmap_threshold, 2**25)


def agree(steps: dict[str, Step], rtol: float, atol: float) -> None:
    """Equal loss and gradients first: only equal work is worth timing."""
    loss, gradients = steps[OURS]()
    for name, step in steps.items():
        other_loss, other_gradients = step()
        assert np.isclose(loss, other_loss, rtol=1e-4), (name, loss, other_loss)
        for g, other in zip(gradients, other_gradients, strict=True):
            assert np.allclose(g, other, rtol=rtol, atol=atol), name


def medians(steps: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds a step, with the peers taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            step()  # undoes what the peer before left in the caches and in the thread pools
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def row(label: str, *cells: Any) -> None:
    print(f"{label:<42}" + "".join(f"{cell:>24}" for cell in cells), flush=True)
