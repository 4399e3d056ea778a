"""Equal to PyTorch: layers with all their gradients, names and layouts of weights, optimizers.

Against stored cases everywhere, and against PyTorch itself, in many more, where it is installed.
`torch_cases.py` makes both.
"""

from __future__ import annotations

import importlib.util
import itertools
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg

from . import torch_cases
from .torch_cases import OPTIMIZERS

HAS_TORCH = importlib.util.find_spec("torch") is not None
with_torch = pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed")
STORED = torch_cases.stored()
EXACT = 1e-12  # |ours − theirs| / max(1, |theirs|)

if HAS_TORCH:
    import torch


def difference(ours: Any, theirs: Any) -> float:
    """The largest one, relative where numbers are larger than 1."""
    a, b = np.asarray(ours), np.asarray(theirs)
    assert a.shape == b.shape
    return float((np.abs(a - b) / np.maximum(1, np.abs(b))).max(initial=0))


# ----------------------------------------------------------------------------------------- layers


def layer_differences(case: dict[str, Any]) -> dict[str, float]:
    """The largest differences in a case, forwards and in the gradients."""
    kind = case["kind"]
    options = {"nonlinearity": "relu"} if kind == "relu" else {}
    make = getattr(tg.nn, "RNN" if kind == "relu" else kind)

    def layer() -> Any:
        D, H = case["sizes"]
        return make(D, H, case["layers"], case["bidirectional"], dtype=np.float64, **options)

    model = layer()
    model.load_torch_state_dict({k: np.array(a) for k, a in case["weights"].items()})
    x = np.array(case["x"])
    for row, length in enumerate(case["lengths"] or []):
        x[length:, row] = np.nan  # where they have 0
    x_in = tg.tensor(x, requires_grad=True)
    state = [tg.tensor(s, requires_grad=True) for s in case["state"]]
    start = (tuple(state) if kind == "LSTM" else state[0]) if case["given"] else None
    outputs, last = model(x_in, start, case["lengths"])
    last = last if kind == "LSTM" else (last,)
    loss = (outputs * np.array(case["A"])).sum()
    for s, b in zip(last, case["B"], strict=True):
        loss = loss + (s * np.array(b)).sum()
    loss.backward()

    theirs = layer()  # which holds their gradients in our layout
    d = {k: np.array(a) for k, a in case["dweights"].items()}
    H = case["sizes"][1]
    for k in d:
        if k.startswith("bias_hh"):
            d[k][: 2 * H if kind == "GRU" else None] = 0  # they have the gradient of the sum twice
    theirs.load_torch_state_dict(d)
    pairs = zip(model.parameters(), theirs.parameters(), strict=True)
    return {
        "outputs": difference(outputs.data, case["outputs"]),
        "state": max(difference(s.data, t) for s, t in zip(last, case["last"], strict=True)),
        "dx": difference(x_in.grad.data, case["dx"]),
        "dstate": max([
            difference(s.grad.data, t) for s, t in zip(state, case["dstate"], strict=False)
        ], default=0.0),
        "dweights": max(difference(p.grad.data, q.data) for p, q in pairs),
    }  # fmt: skip


@pytest.mark.parametrize("case", STORED["layers"], ids=lambda c: f"{c['kind']} {c['layers']}")
def test_layers_equal_stored_cases(case: dict[str, Any]) -> None:
    found = layer_differences(case)
    assert max(found.values()) < EXACT, found


EVERY = list(itertools.product(
    ("RNN", "relu", "LSTM", "GRU"), (1, 2, 3), (False, True), (None, [2, 4, 1], [3, 3, 3]),
    (False, True)
))  # fmt: skip


@with_torch
@pytest.mark.parametrize("arguments", EVERY, ids=str)
def test_layers_equal_torch(arguments: Any) -> None:
    found = layer_differences(torch_cases.layer_case(*arguments))
    assert max(found.values()) < EXACT, found


@with_torch
def test_the_stored_layers_are_what_torch_gives_today() -> None:
    for case in STORED["layers"]:
        names = ("kind", "layers", "bidirectional", "lengths", "given")
        today = torch_cases.layer_case(*(case[name] for name in names))
        assert difference(today["outputs"], case["outputs"]) < EXACT
        for name, g in today["dweights"].items():
            assert difference(g, case["dweights"][name]) < EXACT


# ----------------------------------------------------------------------------- names and layouts


@pytest.mark.parametrize("case", STORED["layers"], ids=lambda c: f"{c['kind']} {c['layers']}")
def test_names_and_shapes_are_theirs_and_the_way_back_is_exact(case: dict[str, Any]) -> None:
    D, H = case["sizes"]
    model, other = (
        getattr(tg.nn, case["kind"])(D, H, case["layers"], case["bidirectional"]) for _ in range(2)
    )
    out = model.torch_state_dict()
    assert {k: a.shape for k, a in out.items()} == {
        k: np.shape(a) for k, a in case["weights"].items()
    }
    assert list(out) == list(case["weights"])
    other.load_torch_state_dict(out)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], array)
    with pytest.raises(ValueError, match=r"'bias_hh_l0' .* is missing.*'weight_xx' \(1,\) is not"):
        other.load_torch_state_dict(
            {k: a for k, a in out.items() if k != "bias_hh_l0"} | {"weight_xx": np.ones(1)}
        )
    with pytest.raises(ValueError, match=r"'weight_ih_l0' is float64, not float32; call astype"):
        other.load_torch_state_dict({**out, "weight_ih_l0": out["weight_ih_l0"].astype(float)})
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], array)


class Tagger(tg.nn.Module):
    def __init__(self, dtype: Any = np.float64) -> None:
        self.embed = tg.nn.Embedding(5, 3, padding_idx=0, dtype=dtype)
        self.rnn = tg.nn.GRU(3, 4, bidirectional=True, dtype=dtype)
        self.norm = tg.nn.LayerNorm(8, dtype=dtype)
        self.layers = [tg.nn.Linear(8, 8, dtype=dtype), tg.nn.Linear(8, 2, False, dtype=dtype)]
        self.cell = tg.nn.LSTMCell(2, 2, dtype=dtype)
        self.scale = tg.Parameter(np.ones(2, dtype))

    def forward(self, ids: Any) -> Any:
        x, _ = self.rnn(self.embed(ids))
        y = self.layers[1](np.tanh(self.layers[0](self.norm(x)))) * self.scale
        return tg.nn.unroll(self.cell, y)[0]


def test_a_module_made_of_modules_has_dotted_names() -> None:
    model, other = Tagger(), Tagger()
    out = model.torch_state_dict()
    assert list(out) == [
        "scale", "embed.weight",
        *(f"rnn.{k}_l0{d}" for d in ("", "_reverse")
          for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")),
        "norm.weight", "norm.bias", "layers.0.weight", "layers.0.bias", "layers.1.weight",
        "cell.weight_ih", "cell.weight_hh", "cell.bias_ih", "cell.bias_hh",
    ]  # fmt: skip
    other.load_torch_state_dict(out)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], array)


def test_a_tied_module_is_there_under_both_names_as_torch_has_it() -> None:
    model = Tagger()
    model.again = model.layers[0]
    out = model.torch_state_dict()
    assert "again.weight" in out
    model.load_torch_state_dict(out)
    assert len(model.state_dict()) == len(Tagger().state_dict())


@with_torch
def test_a_model_equals_its_copy_in_torch() -> None:
    class Theirs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = torch.nn.Embedding(5, 3, padding_idx=0)
            self.rnn = torch.nn.GRU(3, 4, bidirectional=True)
            self.norm = torch.nn.LayerNorm(8)
            self.layers = torch.nn.ModuleList(
                [torch.nn.Linear(8, 8), torch.nn.Linear(8, 2, bias=False)]
            )
            self.cell = torch.nn.LSTMCell(2, 2)
            self.scale = torch.nn.Parameter(torch.ones(2))

        def forward(self, ids: Any) -> Any:
            x, _ = self.rnn(self.embed(ids))
            y = self.layers[1](torch.tanh(self.layers[0](self.norm(x)))) * self.scale
            state, outputs = None, []
            for y_t in y:
                state = self.cell(y_t, state)
                outputs.append(state[0])
            return torch.stack(outputs)

    ids = np.array([[1, 0], [4, 2], [3, 3]])
    ours, theirs = Tagger(), Theirs().double()
    theirs.load_state_dict({k: torch.from_numpy(a) for k, a in ours.torch_state_dict().items()})
    y, z = ours(ids), theirs(torch.tensor(ids))
    assert difference(y.data, z.detach()) < EXACT
    y.sum().backward()
    z.sum().backward()
    assert difference(ours.embed.E.grad.data, theirs.embed.weight.grad) < EXACT
    assert difference(ours.norm.g.grad.data, theirs.norm.weight.grad) < EXACT
    assert difference(ours.layers[0].U.grad.data.T, theirs.layers[0].weight.grad) < EXACT
    assert difference(ours.cell.W.grad.data.T, theirs.cell.weight_hh.grad) < EXACT
    back = Tagger()
    back.load_torch_state_dict(Theirs().double().state_dict())
    back.load_torch_state_dict(theirs.state_dict())
    np.testing.assert_array_equal(back(ids).data, y.data)


# -------------------------------------------------------------------------------------- optimizers


def trajectory(name: str) -> dict[str, list[np.ndarray]]:
    start, updates = torch_cases.gradients()
    kind, options = OPTIMIZERS[name]
    parameters = [tg.Parameter(a) for a in start]
    optimizer = getattr(tg.optim, kind)(parameters, **options)
    reached = []
    for given in updates:
        for p, g in zip(parameters, given, strict=True):
            p.grad = tg.tensor(g)
        optimizer.step()
        reached.append([p.numpy() for p in parameters])
    return {"1": reached[0], "10": reached[-1]}


def optimizer_difference(name: str, case: dict[str, Any]) -> float:
    ours = trajectory(name)
    return max(difference(p, q) for n in ("1", "10") for p, q in zip(ours[n], case[n], strict=True))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_and_ten_updates_equal_stored_ones(name: str) -> None:
    assert optimizer_difference(name, STORED["optimizers"][name]) < EXACT


@with_torch
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_and_ten_updates_equal_those_of_torch(name: str) -> None:
    assert optimizer_difference(name, torch_cases.optimizer_case(name)) < EXACT


@with_torch
def test_clipping_by_norm_equals_that_of_torch() -> None:
    start, updates = torch_cases.gradients()
    for given in updates:
        ours = [tg.Parameter(a) for a in start]
        theirs = [torch.tensor(a, requires_grad=True) for a in start]
        for p, q, g in zip(ours, theirs, given, strict=True):
            p.grad, q.grad = tg.tensor(g), torch.tensor(g)
        norm = torch.nn.utils.clip_grad_norm_(theirs, 1.0)
        assert difference(tg.optim.clip_grad_norm(ours, 1.0), norm.numpy()) < EXACT
        for p, q in zip(ours, theirs, strict=True):
            assert difference(p.grad.data, q.grad) < 2e-6  # theirs divides by norm + 1e-6
