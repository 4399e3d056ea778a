"""Compare random programs with PyTorch: values, gradients and second derivatives, in float64.

    python tests/benchmarks/random_programs.py [--programs N] [--first SEED]

The programs are those of tests/test_random_programs.py: up to 40 calls, drawn from the table of
functions. The second derivatives are H v for all inputs at once, v being a random direction. A
difference is max |a − b| / max(1, max |b|), over one program; the largest one is printed, with the
seed of its program.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import tinygrad_rnn as tg
from tests.programs import DRAWN, Program, random_program
from tests.table import Row
from tinygrad_rnn.engine import rules
from tinygrad_rnn.engine.record import history


def axes(x: Any, axis: Any) -> Any:
    return tuple(range(x.ndim)) if axis is None else axis


def extremum(function: Any) -> Any:
    """`amax` and `amin` share the gradient among ties, as we do; `max` along an axis does not."""
    return lambda x, axis=None, keepdims=False: function(x, axes(x, axis), keepdims)


def moved(x: Any, flat: np.ndarray) -> Any:
    """The elements of x laid flat, at integers that NumPy computed: any way of indexing."""
    return x.reshape(-1)[torch.from_numpy(np.array(flat, order="C"))]


def places(x: Any) -> np.ndarray:
    return np.arange(x.numel()).reshape(tuple(x.shape))


def prod(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    axis = (axis,) if isinstance(axis, int) else axes(x, axis)
    for i in sorted((i % x.ndim for i in axis), reverse=True):
        x = torch.prod(x, i, keepdim=keepdims)
    return x


def var(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return torch.var(x, axes(x, axis), correction=0, keepdim=keepdims)


def std(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Of constants 0, with slope 0; PyTorch's own slope is nan there."""
    square = var(x, axis, keepdims)
    flat = square == 0
    return torch.where(flat, 0.0, torch.sqrt(torch.where(flat, 1.0, square)))


def norm(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    square = (x * x).sum(axes(x, axis), keepdim=keepdims)
    flat = square == 0
    return torch.where(flat, 0.0, torch.sqrt(torch.where(flat, 1.0, square)))


def cross_entropy(z: Any, classes: np.ndarray, reduction: str = "mean") -> Any:
    rows, y = z.reshape(-1, z.shape[-1]), torch.from_numpy(classes.reshape(-1))
    loss = torch.nn.functional.cross_entropy(rows, y, reduction=reduction)
    return loss.reshape(classes.shape) if reduction == "none" else loss


def scatter(g: Any, ids: np.ndarray, index: Any, shape: tuple[int, ...]) -> Any:
    return torch.zeros(shape, dtype=g.dtype).index_add(0, torch.from_numpy(ids), g)


def concatenate(xs: Sequence[Any], axis: int = 0) -> Any:
    return torch.cat(tuple(xs), axis)


def dot(a: Any, b: Any) -> Any:
    if not a.ndim or not b.ndim:
        return a * b
    return torch.tensordot(a, b, ([a.ndim - 1], [max(b.ndim - 2, 0)]))


def tensordot(a: Any, b: Any, pairs: Any) -> Any:
    return torch.tensordot(a, b, pairs)


def pad(x: Any, widths: Any, constant_values: float) -> Any:
    flat = [n for pair in reversed(widths) for n in pair]
    return torch.nn.functional.pad(x, flat, value=constant_values)


def clip(x: Any, low: Any, high: Any) -> Any:
    return torch.clamp(x, low, high)


def take(x: Any, indices: Any, axis: int | None) -> Any:
    return moved(x, np.take(places(x), indices, axis))


def gelu(x: Any) -> Any:
    return torch.nn.functional.gelu(x, approximate="tanh")


TORCH: dict[Callable[..., Any], Callable[..., Any]] = {
    np.add: torch.add, np.subtract: torch.subtract, np.multiply: torch.multiply,
    np.divide: torch.divide, np.power: torch.pow, np.maximum: torch.maximum,
    np.minimum: torch.minimum, np.remainder: torch.remainder,
    np.where: lambda condition, a, b: torch.where(torch.as_tensor(condition), a, b),
    rules.add_n: lambda *xs: torch.stack(xs).sum(0), tg.add_n: lambda xs: torch.stack(xs).sum(0),
    np.negative: torch.negative, np.positive: torch.positive, np.exp: torch.exp,
    np.expm1: torch.expm1, np.log: torch.log, np.log1p: torch.log1p, np.sqrt: torch.sqrt,
    np.square: torch.square, np.reciprocal: torch.reciprocal, np.absolute: torch.abs,
    np.sin: torch.sin, np.cos: torch.cos, np.tanh: torch.tanh, rules.sigmoid: torch.sigmoid,
    rules.relu: torch.relu,
    rules.softplus: lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    tg.gelu: gelu, np.clip: clip, rules.astype: lambda x, dtype: x.to(torch.float64),
    np.sum: lambda x, axis=None, keepdims=False: torch.sum(x, axes(x, axis), keepdim=keepdims),
    np.mean: lambda x, axis=None, keepdims=False: torch.mean(x, axes(x, axis), keepdim=keepdims),
    np.max: extremum(torch.amax), np.min: extremum(torch.amin),
    np.cumsum: torch.cumsum, np.prod: prod, np.var: var, np.std: std, np.linalg.norm: norm,
    rules.softmax: torch.softmax, rules.log_softmax: torch.log_softmax,
    rules.logsumexp: lambda x, axis=None, keepdims=False: torch.logsumexp(
        x, axes(x, axis), keepdim=keepdims),
    rules.cross_entropy: cross_entropy, np.matmul: torch.matmul, np.dot: dot,
    np.outer: lambda a, b: torch.outer(a.reshape(-1), b.reshape(-1)),
    rules.einsum: lambda *xs, subscripts: torch.einsum(subscripts, *xs),
    np.tensordot: tensordot, np.reshape: torch.reshape, np.ravel: torch.ravel,
    np.squeeze: torch.squeeze, np.expand_dims: lambda x, axis: torch.unsqueeze(x, axis),
    np.broadcast_to: torch.broadcast_to,
    np.transpose: torch.permute, np.swapaxes: torch.swapaxes, np.moveaxis: torch.moveaxis,
    np.flip: lambda x, axis: torch.flip(x, (axis,)),
    np.concatenate: concatenate, tg.concatenate: concatenate,
    np.stack: lambda xs, axis=0: torch.stack(tuple(xs), axis),
    tg.stack: lambda xs, axis=0: torch.stack(tuple(xs), axis),
    rules.getitem: lambda x, index: moved(x, places(x)[index]),
    rules.embedding: lambda table, ids: torch.nn.functional.embedding(torch.from_numpy(ids), table),
    rules.scatter: scatter, np.take: take,
    np.take_along_axis: lambda x, at, axis: torch.take_along_dim(
        x, torch.from_numpy(at) % x.shape[axis], axis),
    np.repeat: lambda x, n, axis=None: torch.repeat_interleave(x, torch.as_tensor(n), axis),
    np.tile: torch.tile,
    np.roll: lambda x, shift, axis=None: torch.roll(x, shift, axis),
    np.split: lambda x, cuts, axis=0: torch.tensor_split(x, cuts, axis)[-1],
    np.pad: pad,
}  # fmt: skip
TORCH[tg.where] = TORCH[np.where]


def torch_function(row: Row) -> Callable[..., Any]:
    return TORCH[row.function]


def results(
    program: Program, inputs: list[Any], function_of: Callable[[Row], Any], differentiate: Any
) -> tuple[float, list[np.ndarray], list[np.ndarray]]:
    """The value, the gradients, and H v."""
    y = program.run(inputs, function_of)
    found = differentiate(y, inputs, create_graph=True, allow_unused=True)
    terms = [
        (g * v).sum()
        for g, v in zip(found, directions(program, inputs), strict=True)
        if g is not None and g.requires_grad
    ]
    products = [None] * len(inputs)
    if terms:
        products = differentiate(sum(terms), inputs, allow_unused=True)
    return y.item(), arrays_of(found, inputs), arrays_of(products, inputs)


def directions(program: Program, inputs: list[Any]) -> list[Any]:
    plain = isinstance(inputs[0], tg.Tensor)
    return [v if plain else torch.from_numpy(np.array(v)) for v in program.direction]


def arrays_of(found: Sequence[Any], inputs: list[Any]) -> list[np.ndarray]:
    """Gradients as arrays, zeros for what does not depend on an input."""
    pairs = zip(found, inputs, strict=True)
    return [np.zeros(x.shape) if g is None else plain(g) for g, x in pairs]


def plain(x: Any) -> np.ndarray:
    return x.data if isinstance(x, tg.Tensor) else x.detach().numpy()


def difference(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> float:
    """max |a − b| / max(1, max |b|) over all arrays."""
    a = np.concatenate([np.ravel(x) for x in ours])
    b = np.concatenate([np.ravel(x) for x in theirs])
    return float(np.abs(a - b).max() / max(1.0, np.abs(b).max()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=500)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    counts = Counter({row.name: 0 for row in DRAWN})
    calls = nodes = 0
    worst = dict.fromkeys(("value", "gradient", "second derivative"), (-1.0, -1))
    for seed in range(arguments.first, arguments.first + arguments.programs):
        program = random_program(seed)
        counts.update(step.row.name for step in program.steps)
        inputs = [tg.tensor(a, requires_grad=True) for a in program.arrays]
        y, g, h = results(program, inputs, lambda row: row.call, tg.grad)
        calls += len(program.steps)
        nodes += len(history(program.run(inputs)))
        theirs = [torch.from_numpy(np.array(a)).requires_grad_() for a in program.arrays]
        pairs = results(program, theirs, torch_function, torch.autograd.grad)
        for what, a, b in zip(worst, ([y], g, h), ([pairs[0]], *pairs[1:]), strict=True):
            found = difference(a, b)
            if not found <= worst[what][0]:  # nan is the worst
                worst[what] = found, seed
    seconds = time.perf_counter() - start
    print(f"PyTorch {torch.__version__}")
    print(f"{arguments.programs} programs, {calls} calls, {nodes} nodes, {seconds:.0f} s")
    for what, (found, seed) in worst.items():
        print(f"largest relative difference of a {what}: {found:.1e} (program {seed})")
    print(f"calls of each of the {len(counts)} functions:")
    for name, count in counts.most_common():
        print(f"  {name:<16}{count:>7}")
    if not all(found < 1e-8 for found, _ in worst.values()):
        sys.exit("the gradients differ")


if __name__ == "__main__":
    main()
