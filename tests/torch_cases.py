"""What PyTorch computes, for tests that run with and without it.

    python -m tests.torch_cases        writes tests/torch_cases.json anew, with PyTorch

A case is plain data, so that it can be stored: small numbers, float64, drawn by NumPy.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

STORED = Path(__file__).with_suffix(".json")

OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD": ("SGD", {"lr": 0.1}),
    "momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}),
    "Nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "decay": ("SGD", {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.3}),
    "Nesterov, decay": (
        "SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.3}
    ),
    "Adagrad": ("Adagrad", {"lr": 0.1}),
    "RMSprop": ("RMSprop", {"lr": 0.1, "alpha": 0.9}),
    "Adam": ("Adam", {"lr": 0.1, "betas": (0.8, 0.95)}),
    "AdamW": ("AdamW", {"lr": 0.1, "weight_decay": 0.2}),
}  # fmt: skip
UPDATES = 10


def gradients() -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
    """Where two parameters start, and the gradients of ten updates, of very different sizes."""
    rng = np.random.default_rng(0)
    shapes = (2, 3), (4,)
    start = [rng.standard_normal(shape) for shape in shapes]
    sizes = 10 ** rng.uniform(-3, 2, UPDATES)
    return start, [[size * rng.standard_normal(shape) for shape in shapes] for size in sizes]


def optimizer_case(name: str) -> dict[str, Any]:
    """Where the parameters are after one update and after ten."""
    import torch

    start, updates = gradients()
    parameters = [torch.tensor(a, requires_grad=True) for a in start]
    kind, options = OPTIMIZERS[name]
    optimizer = getattr(torch.optim, kind)(parameters, **options)
    reached = []
    for given in updates:
        for p, g in zip(parameters, given, strict=True):
            p.grad = torch.tensor(g)
        optimizer.step()
        reached.append([p.detach().numpy().copy() for p in parameters])
    return {"1": reached[0], "10": reached[-1]}


def layer_case(
    kind: str, layers: int, bidirectional: bool, lengths: list[int] | None, given: bool
) -> dict[str, Any]:
    """A recurrent layer in PyTorch: its weights and what goes in, its outputs and all gradients.

    kind: "RNN", "relu", "LSTM" or "GRU". given: whether there is a state to start from.
    The loss is Σ outputs · A + Σ state · B; of an LSTM the state is (h, c).
    """
    import torch

    T, B, D, H = 4, 3, 2, 3
    seed = [len(kind), ord(kind[0]), layers, bidirectional, bool(lengths), given]
    rng = np.random.default_rng(seed)
    options = {"nonlinearity": "relu"} if kind == "relu" else {}
    theirs = getattr(torch.nn, "RNN" if kind == "relu" else kind)(
        D, H, layers, bidirectional=bidirectional, dtype=torch.float64, **options
    )
    weights = {k: 0.7 * rng.standard_normal(p.shape) for k, p in theirs.named_parameters()}
    theirs.load_state_dict({k: torch.tensor(a) for k, a in weights.items()})
    directions = 2 if bidirectional else 1
    parts = 2 if kind == "LSTM" else 1
    x = rng.standard_normal((T, B, D))
    for row, length in enumerate(lengths or []):
        x[length:, row] = 0
    A = rng.standard_normal((T, B, H * directions))
    state, B_ = (
        [rng.standard_normal((layers * directions, B, H)) for _ in range(parts)] for _ in range(2)
    )
    x_in = torch.tensor(x, requires_grad=True)
    state_in = [torch.tensor(s, requires_grad=True) for s in state]
    start = (tuple(state_in) if parts == 2 else state_in[0]) if given else None
    if lengths is None:
        outputs, last = theirs(x_in, start)
    else:
        rnn = torch.nn.utils.rnn
        packed, last = theirs(rnn.pack_padded_sequence(x_in, lengths, enforce_sorted=False), start)
        outputs, _ = rnn.pad_packed_sequence(packed, total_length=T)
    last = last if parts == 2 else (last,)
    loss = (outputs * torch.tensor(A)).sum()
    loss = loss + sum((s * torch.tensor(b)).sum() for s, b in zip(last, B_, strict=True))
    loss.backward()
    return {
        "kind": kind, "layers": layers, "bidirectional": bidirectional, "lengths": lengths,
        "given": given, "sizes": [D, H], "weights": weights, "x": x, "state": state,
        "A": A, "B": B_,
        "outputs": outputs.detach().numpy(), "last": [s.detach().numpy() for s in last],
        "dx": x_in.grad.numpy(), "dstate": [s.grad.numpy() for s in state_in] if given else [],
        "dweights": {k: p.grad.numpy() for k, p in theirs.named_parameters()},
    }  # fmt: skip


def stored() -> dict[str, Any]:
    """What the file holds; arrays are nested lists in it."""
    cases: dict[str, Any] = json.loads(STORED.read_text(encoding="utf-8"))
    return cases


def main() -> None:
    """Write the file."""
    cases = {
        "optimizers": {name: optimizer_case(name) for name in OPTIMIZERS},
        "layers": [
            layer_case(kind, layers, bidirectional, lengths, given)
            for kind in ("RNN", "LSTM", "GRU")
            for layers, bidirectional, lengths, given in (
                (1, False, None, True), (2, True, [2, 4, 1], True)
            )
        ],
    }  # fmt: skip
    text = json.dumps(cases, default=np.ndarray.tolist, indent=None, separators=(",", ":"))
    STORED.write_text(text.replace('},{"kind"', '},\n{"kind"') + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
