"""Time the derived program against BPTT by hand in NumPy, and against the frameworks.

    python tests/benchmarks/program.py [--network rnn|lstm|gru] [--rounds N] [--threads 1 2]
        [--sizes N] [--peers NAME ...] [--report]

One training step in float32, loss and all gradients: the lecture's network, or an LSTM or GRU in
its place. All peers compute the same, which is checked first; they take turns in one process, and
the table gives medians, as ratios to the program's. The hand-written steps keep their arrays
between calls, as the program does. Above 1, the program is ahead. There is a process for each
number of threads, kept to as many cores. "PyTorch compiled" is torch.compile of the loop: it needs
a C++ compiler, and minutes for each size. --report prints the program's own report instead: where
the time of the largest size goes, and how much of it is in matrix products.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from timing import (
    OURS,
    Step,
    agree,
    available,
    keep_freed_memory,
    medians,
    table,
    with_threads,
    working,
)

import tinygrad_rnn as tg

SIZES = [(1, 25, 100, 64), (16, 64, 128, 64), (32, 64, 256, 64), (32, 128, 512, 64)]  # B, T, H, K
D = 64
GATES = {"rnn": 1, "lstm": 4, "gru": 3}


class Data:
    """A batch, and parameters: V (D, gH), W (H, gH), U (H, K), b_h (gH,), b_y (K,)."""

    def __init__(self, kind: str, B: int, T: int, H: int, K: int) -> None:
        rng = np.random.default_rng(0)
        g = GATES[kind]
        self.kind, self.sizes = kind, (B, T, H, K)
        self.x = rng.standard_normal((T, B, D)).astype(np.float32)
        self.y = rng.integers(0, K, (T, B))
        self.h = np.zeros((B, H), np.float32)
        shapes = {"V": (D, g * H), "W": (H, g * H), "U": (H, K), "b_h": (g * H,), "b_y": (K,)}
        self.p = {
            name: (rng.standard_normal(shape) / np.sqrt(H)).astype(np.float32)
            for name, shape in shapes.items()
        }


# ------------------------------------------------------------------------------------------- ours


def equations(kind: str, H: int, x: Any, h: Any, c: Any, p: Any, lib: Any) -> tuple[Any, Any]:
    """One step of a cell; `lib` has tanh and sigmoid."""
    V, W, b_h = p["V"], p["W"], p["b_h"]
    if kind == "rnn":
        return lib.tanh(x @ V + h @ W + b_h), c
    if kind == "lstm":
        z = x @ V + h @ W + b_h
        i, f, o = (lib.sigmoid(z[:, k * H : (k + 1) * H]) for k in range(3))
        c = f * c + i * lib.tanh(z[:, 3 * H :])
        return o * lib.tanh(c), c
    v, w = x @ V + b_h, h @ W
    r, z = (lib.sigmoid(v[:, k : k + H] + w[:, k : k + H]) for k in (0, H))
    n = lib.tanh(v[:, 2 * H :] + r * w[:, 2 * H :])
    return (1 - z) * n + z * h, c


class Ours:
    tanh = staticmethod(np.tanh)
    sigmoid = staticmethod(tg.sigmoid)


def recorded(d: Data) -> tuple[Any, list[tg.Parameter]]:
    p = {name: tg.Parameter(a, name=name) for name, a in d.p.items()}
    H, kind = d.sizes[2], d.kind

    def step(x: Any, y: Any, h: Any) -> Any:
        losses = []
        c = h
        for _, x_t, y_t in tg.steps(x, y):
            h, c = equations(kind, H, x_t, h, c, p, Ours)
            loss = tg.cross_entropy(h @ p["U"] + p["b_y"], y_t)
            losses.append(loss)
        L = tg.add_n(losses)
        L.backward()
        return L

    return step, list(p.values())


def ours(d: Data) -> Step:
    step, parameters = recorded(d)
    program = tg.compile(step)

    def run() -> tuple[float, list[Any]]:
        for q in parameters:
            q.grad = None
        L = program(d.x, d.y, d.h)
        return L, [q.grad.array for q in parameters]  # type: ignore[union-attr]

    return run


def by_operations(d: Data) -> Step:
    step, parameters = recorded(d)
    x, y, h = tg.tensor(d.x), tg.tensor(d.y), tg.tensor(d.h)

    def run() -> tuple[float, list[Any]]:
        for q in parameters:
            q.grad = None
        L = step(x, y, h)
        return L, [q.grad.array for q in parameters]  # type: ignore[union-attr]

    return run


# ---------------------------------------------------------------------------------------- by hand


class ByHand:
    """What the hand-written steps share: arrays, the loss, and the sums over time.

    Arrays, and the views of them that the loops go over, are made once and kept between calls;
    products are asked for as methods, which takes 0.1 µs less than np.dot.
    """

    def __init__(self, d: Data) -> None:
        B, T, H, K = d.sizes
        self.d = d
        g = GATES[d.kind]
        self.h = self.empty(T + 1, B, H)
        self.a = self.empty(T, B, g * H) if g > 1 else self.h[1:]
        self.z = self.empty(T, B, K)
        self.dh = self.empty(T, B, H)
        self.r = self.empty(B, g * H)
        self.s = self.empty(B, H)
        self.h_rows, self.dh_rows = list(self.h), list(self.dh)
        self.flat_h, self.before = self.h[1:].reshape(-1, H), self.h[:-1].reshape(-1, H)
        self.flat_a, self.flat_z = self.a.reshape(-1, g * H), self.z.reshape(-1, K)
        self.flat_dh = self.dh.reshape(-1, H)
        self.W_T = self.empty(g * H, H)
        self.each = np.arange(T * B)
        self.ones, self.ones_K = np.ones(T * B, np.float32), np.ones(K, np.float32)

    def empty(self, *shape: int) -> Any:
        return np.empty(shape, np.float32)

    def parts(self, a: Any) -> tuple[Any, ...]:
        """The parts of an array of gates."""
        H = self.d.sizes[2]
        return tuple(a[..., k : k + H] for k in range(0, a.shape[-1], H))

    def losses(self, U: Any, b_y: Any) -> tuple[Any, Any, Any]:
        """L, dU and db_y; dL/dh of this step's loss goes to self.dh."""
        B, T, _H, _K = self.d.sizes
        z, each, y, h = self.flat_z, self.each, self.d.y.reshape(-1), self.flat_h
        h.dot(U, z)
        z += b_y
        z -= z.max(axis=1, keepdims=True)
        picked = z[each, y]
        np.exp(z, z)
        s = z.dot(self.ones_K)
        L = ((np.log(s) - picked).reshape(T, B).sum(axis=1) / B).sum()
        z *= (np.float32(1 / B) / s)[:, None]
        z[each, y] -= np.float32(1 / B)
        z.dot(U.T, self.flat_dh)
        return L, h.T.dot(z), self.ones.dot(z)

    def transposed(self) -> Any:
        """Wᵀ: for several rows, a copy makes the products of the loop quicker."""
        W = self.d.p["W"]
        if self.d.sizes[0] == 1:
            return W.T
        np.copyto(self.W_T, W.T)
        return self.W_T

    def gradients(
        self, L: Any, dU: Any, db_y: Any, da: Any, dw: Any = None
    ) -> tuple[float, list[Any]]:
        """L and the gradients; dw is that of what W gives, where it is not da."""
        dV = self.d.x.reshape(-1, D).T.dot(da)
        dW = self.before.T.dot(da if dw is None else dw)
        return L, [dV, dW, dU, self.ones.dot(da), db_y]


class RNNByHand(ByHand):
    """The lecture's network."""

    def __init__(self, d: Data) -> None:
        super().__init__(d)
        self.slope = self.empty(*self.dh.shape)
        self.back = list(zip(self.dh, self.slope, strict=True))[-2::-1]

    def __call__(self) -> tuple[float, list[Any]]:
        V, W, U, b_h, b_y = self.d.p.values()
        add, tanh, multiply, r = np.add, np.tanh, np.multiply, self.r
        h, slope = self.flat_h, self.slope
        self.d.x.reshape(-1, D).dot(V, h)
        h += b_h
        self.h[0] = self.d.h
        before = self.h_rows[0]
        for now in self.h_rows[1:]:
            before.dot(W, r)
            add(now, r, now)
            tanh(now, now)
            before = now
        L, dU, db_y = self.losses(U, b_y)
        W_T = self.transposed()
        multiply(self.h[1:], self.h[1:], slope)
        np.subtract(1, slope, slope)
        later = self.dh_rows[-1]
        later *= slope[-1]
        for now, slope_t in self.back:
            later.dot(W_T, r)
            add(now, r, now)
            multiply(now, slope_t, now)
            later = now
        return self.gradients(L, dU, db_y, self.flat_dh)


class LSTMByHand(ByHand):
    """Gates i, f, o and the candidate g in one array."""

    def __init__(self, d: Data) -> None:
        super().__init__(d)
        H = d.sizes[2]
        self.c = self.empty(*self.h.shape)
        self.tanh_c, self.by_c = self.empty(*self.dh.shape), self.empty(*self.dh.shape)
        self.by_gate, self.da = self.empty(*self.a.shape), self.empty(*self.a.shape)
        self.u, self.dc = self.empty(*self.s.shape), self.empty(*self.s.shape)
        self.flat_da, self.sigmoids = self.da.reshape(-1, 4 * H), self.by_gate[..., : 3 * H]
        self.forth = [
            (a_t, a_t[:, : 3 * H], *self.parts(a_t), c_t, tanh_c_t, h_t)
            for a_t, c_t, tanh_c_t, h_t in zip(
                self.a, self.c[1:], self.tanh_c, self.h[1:], strict=True
            )
        ]
        self.back = [
            (dh_t, by_c_t, f_t, da_t, *self.parts(da_t), *self.parts(by_t))
            for dh_t, by_c_t, f_t, da_t, by_t in zip(
                self.dh, self.by_c, self.parts(self.a)[1], self.da, self.by_gate, strict=True
            )
        ][::-1]

    def __call__(self) -> tuple[float, list[Any]]:
        H = self.d.sizes[2]
        V, W, U, b_h, b_y = self.d.p.values()
        add, tanh, multiply = np.add, np.tanh, np.multiply
        a, h, c, tanh_c, r, u, s = self.a, self.h, self.c, self.tanh_c, self.r, self.u, self.s
        self.d.x.reshape(-1, D).dot(V, self.flat_a)
        a += b_h
        h[0] = c[0] = self.d.h
        h_before, c_before = self.h_rows[0], c[0]
        for a_t, gates, i_t, f_t, o_t, g_t, c_t, tanh_c_t, h_t in self.forth:
            h_before.dot(W, r)
            add(a_t, r, a_t)
            multiply(gates, 0.5, gates)
            tanh(a_t, a_t)
            multiply(gates, 0.5, gates)
            add(gates, 0.5, gates)
            multiply(f_t, c_before, c_t)
            multiply(i_t, g_t, u)
            add(c_t, u, c_t)
            tanh(c_t, tanh_c_t)
            multiply(o_t, tanh_c_t, h_t)
            h_before, c_before = h_t, c_t
        L, dU, db_y = self.losses(U, b_y)
        W_T = self.transposed()
        (i, _f, o, g), (by_i, by_f, by_o, by_g) = self.parts(a), self.parts(self.by_gate)
        np.subtract(1, a[..., : 3 * H], self.sigmoids)
        self.sigmoids *= a[..., : 3 * H]
        by_i *= g
        by_f *= c[:-1]
        by_o *= tanh_c
        multiply(g, g, by_g)
        np.subtract(1, by_g, by_g)
        by_g *= i
        by_c, dc = self.by_c, self.dc
        multiply(tanh_c, tanh_c, by_c)
        np.subtract(1, by_c, by_c)
        by_c *= o
        f_later = da_later = None
        for dh, by_c_t, f_t, da_t, da_i, da_f, da_o, da_g, d_i, d_f, d_o, d_g in self.back:
            if da_later is None:
                multiply(dh, by_c_t, dc)
            else:
                da_later.dot(W_T, s)
                add(dh, s, dh)
                multiply(dc, f_later, dc)
                multiply(dh, by_c_t, u)
                add(dc, u, dc)
            multiply(dc, d_i, da_i)
            multiply(dc, d_f, da_f)
            multiply(dh, d_o, da_o)
            multiply(dc, d_g, da_g)
            f_later, da_later = f_t, da_t
        return self.gradients(L, dU, db_y, self.flat_da)


class GRUByHand(ByHand):
    """r, z and the candidate n in one array; a holds what comes from x, w what comes from h."""

    def __init__(self, d: Data) -> None:
        super().__init__(d)
        H = d.sizes[2]
        self.w, self.da, self.dw = (self.empty(*self.a.shape) for _ in range(3))
        self.by_n, self.by_r, self.by_z = (self.empty(*self.dh.shape) for _ in range(3))
        self.u = self.empty(*self.s.shape)
        self.flat_da, self.flat_dw = self.da.reshape(-1, 3 * H), self.dw.reshape(-1, 3 * H)
        self.forth = [
            (w_t, w_t[:, : 2 * H], w_t[:, 2 * H :], a_t[:, : 2 * H], *self.parts(a_t), h_t)
            for w_t, a_t, h_t in zip(self.w, self.a, self.h[1:], strict=True)
        ]
        r, z, _n = self.parts(self.a)
        self.back = [
            (dh_t, by_r_t, by_z_t, by_n_t, r_t, z_t, *self.parts(da_t), da_t[:, : 2 * H],
             dw_t, dw_t[:, : 2 * H], dw_t[:, 2 * H :])
            for dh_t, by_r_t, by_z_t, by_n_t, r_t, z_t, da_t, dw_t in zip(
                self.dh, self.by_r, self.by_z, self.by_n, r, z, self.da, self.dw, strict=True
            )
        ][::-1]  # fmt: skip

    def __call__(self) -> tuple[float, list[Any]]:
        V, W, U, b_h, b_y = self.d.p.values()
        add, subtract, tanh, multiply = np.add, np.subtract, np.tanh, np.multiply
        a, w, h, u, s = self.a, self.w, self.h, self.u, self.s
        self.d.x.reshape(-1, D).dot(V, self.flat_a)
        a += b_h
        h[0] = self.d.h
        before = self.h_rows[0]
        for w_t, w_gates, w_n, gates, r_t, z_t, n_t, now in self.forth:
            before.dot(W, w_t)
            add(gates, w_gates, gates)
            multiply(gates, 0.5, gates)
            tanh(gates, gates)
            multiply(gates, 0.5, gates)
            add(gates, 0.5, gates)
            multiply(r_t, w_n, u)
            add(n_t, u, n_t)
            tanh(n_t, n_t)
            subtract(before, n_t, now)
            multiply(now, z_t, now)
            add(now, n_t, now)
            before = now
        L, dU, db_y = self.losses(U, b_y)
        W_T = self.transposed()
        (r, z, n), (_, _, w_n) = self.parts(a), self.parts(w)
        by_r, by_z, by_n = self.by_r, self.by_z, self.by_n
        subtract(1, z, by_z)
        multiply(n, n, by_n)
        subtract(1, by_n, by_n)
        by_n *= by_z
        by_z *= z
        subtract(h[:-1], n, by_r)
        by_z *= by_r
        subtract(1, r, by_r)
        by_r *= r
        by_r *= w_n
        dh_later = z_later = dw_later = None
        for dh, d_r, d_z, d_n, r_t, z_t, da_r, da_z, da_n, da_g, dw, dw_g, dw_n in self.back:
            if dh_later is not None:
                dw_later.dot(W_T, s)
                add(dh, s, dh)
                multiply(dh_later, z_later, u)
                add(dh, u, dh)
            multiply(dh, d_n, da_n)
            multiply(da_n, d_r, da_r)
            multiply(dh, d_z, da_z)
            dw_g[...] = da_g
            multiply(da_n, r_t, dw_n)
            dh_later, z_later, dw_later = dh, z_t, dw
        return self.gradients(L, dU, db_y, self.flat_da, self.flat_dw)


BY_HAND = {"rnn": RNNByHand, "lstm": LSTMByHand, "gru": GRUByHand}

# ------------------------------------------------------------------------------------------ others


def torch_loop(d: Data, compiled: bool = False) -> Step:
    import torch

    p = {name: torch.tensor(a, requires_grad=True) for name, a in d.p.items()}
    x, y, h0 = torch.tensor(d.x), torch.tensor(d.y), torch.tensor(d.h)

    def loss(x: Any, y: Any, h0: Any, p: Any) -> Any:
        h = c = h0
        states = []
        for x_t in x:
            h, c = equations(d.kind, d.sizes[2], x_t, h, c, p, torch)
            states.append(h)
        z = torch.stack(states) @ p["U"] + p["b_y"]
        K = z.shape[-1]
        return torch.nn.functional.cross_entropy(z.view(-1, K), y.view(-1)) * len(x)

    if compiled:
        loss = torch.compile(loss)

    def run() -> tuple[float, list[Any]]:
        L = loss(x, y, h0, p)
        return L.detach(), [g.numpy() for g in torch.autograd.grad(L, list(p.values()))]

    return run


def torch_compiled(d: Data) -> Step:
    return torch_loop(d, compiled=True)


def torch_layer(d: Data) -> Step:
    import torch

    _B, T, H, K = d.sizes
    layer = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[d.kind](D, H)
    order = {"rnn": [0], "lstm": [0, 1, 3, 2], "gru": [0, 1, 2]}[d.kind]  # ours is i, f, o, g

    def theirs(a: Any) -> Any:
        blocks = [a[..., k * H : (k + 1) * H] for k in order]
        return torch.tensor(np.ascontiguousarray(np.concatenate(blocks, -1).T))

    back = np.argsort(order)

    def mine(g: Any) -> Any:
        g = g.numpy().T
        return np.concatenate([g[..., k * H : (k + 1) * H] for k in back], -1)

    with torch.no_grad():
        layer.weight_ih_l0.copy_(theirs(d.p["V"]))
        layer.weight_hh_l0.copy_(theirs(d.p["W"]))
        layer.bias_ih_l0.copy_(theirs(d.p["b_h"]))
        layer.bias_hh_l0.zero_()
    U, b_y = (torch.tensor(d.p[name], requires_grad=True) for name in ("U", "b_y"))
    x, y = torch.tensor(d.x), torch.tensor(d.y)
    leaves = [layer.weight_ih_l0, layer.weight_hh_l0, U, layer.bias_ih_l0, b_y]

    def run() -> tuple[float, list[Any]]:
        z = layer(x)[0] @ U + b_y
        L = torch.nn.functional.cross_entropy(z.view(-1, K), y.view(-1)) * T
        found = torch.autograd.grad(L, leaves)
        return L.detach(), found

    def step() -> tuple[float, list[Any]]:
        L, (dV, dW, dU, db, db_y) = run()
        return L, [mine(dV), mine(dW), dU.numpy(), mine(db), db_y.numpy()]

    step.timed = run  # type: ignore[attr-defined]
    return step


def jax_scan(d: Data) -> Step:
    import jax
    import jax.numpy as jnp

    H, kind = d.sizes[2], d.kind

    class Lib:
        tanh, sigmoid = jnp.tanh, jax.nn.sigmoid

    def loss(p: Any, x: Any, y: Any, h: Any) -> Any:
        def body(carry: Any, x_t: Any) -> Any:
            h, c = equations(kind, H, x_t, *carry, p, Lib)
            return (h, c), h

        _, states = jax.lax.scan(body, (h, h), x)
        z = jax.nn.log_softmax(states @ p["U"] + p["b_y"])
        return -jnp.take_along_axis(z, y[..., None], -1).mean() * len(x)

    step = jax.jit(jax.value_and_grad(loss))

    def run() -> tuple[float, list[Any]]:
        L, g = step(d.p, d.x, d.y, d.h)
        g = jax.block_until_ready(g)
        return L, [np.asarray(g[name]) for name in d.p]

    return run


def hips(d: Data) -> Step:
    import autograd
    import autograd.numpy as anp

    H, kind = d.sizes[2], d.kind

    class Lib:
        tanh = staticmethod(anp.tanh)

        @staticmethod
        def sigmoid(x: Any) -> Any:
            return 0.5 * anp.tanh(0.5 * x) + 0.5

    def loss(p: Any) -> Any:
        h = c = d.h
        states = []
        for x_t in d.x:
            h, c = equations(kind, H, x_t, h, c, p, Lib)
            states.append(h)
        z = anp.reshape(anp.stack(states), (-1, H)) @ p["U"] + p["b_y"]
        m = z.max(axis=1, keepdims=True)
        log_p = z - m - anp.log(anp.sum(anp.exp(z - m), axis=1, keepdims=True))
        return -anp.mean(log_p[anp.arange(d.y.size), d.y.reshape(-1)]) * np.float32(len(d.x))

    step = autograd.value_and_grad(loss)

    def run() -> tuple[float, list[Any]]:
        L, g = step(d.p)
        return L, [np.asarray(g[name]) for name in d.p]

    return run


PEERS = {"by operations": by_operations, "PyTorch loop": torch_loop,
         "PyTorch compiled": torch_compiled, "PyTorch layer": torch_layer, "JAX scan": jax_scan,
         "HIPS autograd": hips}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--network", choices=GATES, default="rnn")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--sizes", type=int, default=len(SIZES), help="only the first so many")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--report", action="store_true", help="the program's report instead")
    args = parser.parse_args()
    threads = with_threads(args.threads)
    if not threads:
        return
    keep_freed_memory()
    if args.report:
        print(f"\n{args.network}, {threads} thread(s), (B, T, H, K) = {SIZES[args.sizes - 1]}")
        d = Data(args.network, *SIZES[args.sizes - 1])
        program = tg.compile(recorded(d)[0])
        program(d.x, d.y, d.h)
        print(program.report(times=True), flush=True)
        return
    peers = available({name: PEERS[name] for name in args.peers})
    print(f"\n{args.network}, {threads} thread(s): time of a peer ÷ time of the program")
    names = ["by hand", *peers]
    show = table("(B, T, H, K)", "the program", *names)
    for sizes in SIZES[: args.sizes]:
        d = Data(args.network, *sizes)
        steps = {OURS: ours(d), "by hand": BY_HAND[args.network](d)}
        steps = working(steps | {name: peer(d) for name, peer in peers.items()})
        agree(steps, rtol=2e-2, atol=2e-3)
        timed = {name: getattr(step, "timed", step) for name, step in steps.items()}
        seconds = medians(timed, args.rounds)
        ratios = [
            f"{seconds[name] / seconds[OURS]:.2f}" if name in seconds else "-" for name in names
        ]
        show(str(sizes), f"{1e3 * seconds[OURS]:.2f} ms", *ratios)


if __name__ == "__main__":
    main()
