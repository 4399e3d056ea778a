"""The training loop: what is kept, when it ends, and that resuming changes nothing."""

from __future__ import annotations

import csv
import io
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import saving
from tinygrad_rnn.tasks import training
from tinygrad_rnn.tasks.training import Plan, Task, TrainingError, train


class Model(tg.nn.Module):
    def __init__(self) -> None:
        self.linear = tg.nn.Linear(3, 2, rng=np.random.default_rng(0))
        self.dropout = tg.nn.Dropout(0.2, rng=np.random.default_rng(1))

    def forward(self, x: Any) -> Any:
        return np.tanh(self.linear(self.dropout(x)))


class Drawn(Task):
    """A regression on numbers that are a function of the update's, with a state that is carried."""

    unit = "numbers"

    def __init__(self, about: str = "this", at: Callable[[int], None] = lambda n: None) -> None:
        self.model = Model()
        self.optimizer = tg.optim.Adam(self.model.parameters(), 0.1)
        self.about = {"kind": "test", "name": about}
        self.carried = [0.0, 0.0]
        self.at = at
        self.modes: list[tuple[bool, bool]] = []

    def batches(self, n: int) -> Iterator[Any]:
        for i in itertools.count(n):
            self.at(i)
            yield np.random.default_rng(i).standard_normal((4, 3)).astype(np.float32)

    def gradient(self, batch: Any) -> tuple[float, int]:
        assert self.model.training
        assert all(p.grad is None for p in self.model.parameters())
        state = np.array(self.carried, np.float32)
        y = self.model(batch) + state
        loss = ((y - batch[:, :2]) ** 2).mean()
        loss.backward()
        self.carried = (0.5 * y.data[-1]).tolist()
        return 4 * loss.item(), 4

    def evaluate(self) -> float:
        assert not self.model.training
        x = np.random.default_rng(99).standard_normal((20, 3)).astype(np.float32)
        y = self.model(x)
        assert not y.requires_grad
        return float(((y - x[:, :2]) ** 2).mean())


def plan(updates: int = 20, every: int = 5, patience: int | None = None, lr: float = 0.1) -> Plan:
    return Plan(updates, every, lambda n: lr * tg.optim.cosine(n, updates), 1.0, patience)


def bits(model: tg.nn.Module) -> dict[str, bytes]:
    return {name: a.tobytes() for name, a in model.state_dict().items()}


def content(path: Path) -> tuple[Any, ...]:
    """What a checkpoint says, but for the seconds."""
    saved = tg.load(path)
    extra = {**saved.extra, "log": [row[:-1] for row in saved.extra["log"]]}
    weights = {name: a.tobytes() for name, a in saved.parameters.items()}
    assert saved.optimizer is not None
    kept = [{k: np.asarray(v).tobytes() for k, v in s.items()} for s in saved.optimizer["state"]]
    return extra, weights, kept, saved._generators


def test_it_learns_and_leaves_the_model_a_checkpoint_and_a_log(tmp_path: Path) -> None:
    task = Drawn()
    path = tmp_path / "a.npz"
    log = train(task, plan(100, 10), path)
    assert sorted(os.listdir(tmp_path)) == ["a.checkpoint.npz", "a.csv", "a.npz"]
    assert [row.updates for row in log] == list(range(10, 101, 10))
    assert log[-1].held_out_loss < 0.3 * log[0].held_out_loss
    rows = list(csv.reader((tmp_path / "a.csv").open(encoding="utf-8")))
    assert rows == [list(training.Row._fields), *[[str(x) for x in row] for row in log]]
    saved = tg.load(path)
    assert saved.extra == task.about
    assert saved.optimizer is None
    assert [row.learning_rate for row in log] == [
        0.1 * tg.optim.cosine(n, 100) for n in range(9, 100, 10)
    ]


def test_afterwards_the_model_is_the_best_one_and_not_the_last(tmp_path: Path) -> None:
    task = Drawn()
    losses = iter([3.0, 1.0, 2.0, 1.0])
    models = []

    def evaluate() -> float:
        models.append(bits(task.model))
        return next(losses)

    task.evaluate = evaluate  # type: ignore[method-assign]
    log = train(task, plan(), tmp_path / "a.npz")
    assert training.best(log) == log[1]
    assert bits(task.model) == models[1] != models[3]
    again = Model()
    tg.load(tmp_path / "a.npz").restore(again)
    assert bits(again) == models[1]


@pytest.mark.parametrize("patience", [1, 2])
def test_it_ends_when_it_has_been_patient_enough(tmp_path: Path, patience: int) -> None:
    task = Drawn()
    losses = iter([3.0, 2.0, 2.5, 2.0, 1.0])
    task.evaluate = lambda: next(losses)  # type: ignore[method-assign]
    log = train(task, plan(1000, 5, patience), tmp_path / "a.npz")
    assert [row.updates for row in log] == [5 * n for n in range(1, 3 + patience)]
    assert train(task, plan(1000, 5, patience), tmp_path / "a.npz", resume=True) == log


@pytest.mark.parametrize("at", [0, 3, 5, 12, 19])
def test_what_was_interrupted_goes_on_as_if_it_had_not_been(tmp_path: Path, at: int) -> None:
    whole = Drawn()
    (tmp_path / "b").mkdir()
    log = train(whole, plan(), tmp_path / "a.npz")

    def interrupt(n: int) -> None:
        if n == at:
            raise KeyboardInterrupt

    path = tmp_path / "b" / "a.npz"
    with pytest.raises(KeyboardInterrupt, match=f"is of update {at // 5 * 5} of 20, from where"):
        train(Drawn(at=interrupt), plan(), path)
    assert sorted(os.listdir(path.parent)) == sorted(
        {"a.checkpoint.npz", "a.csv"} | ({"a.npz"} if at >= 5 else set())
    )
    task = Drawn()
    resumed = train(task, plan(), path, resume=True)
    assert [row[:-1] for row in resumed] == [row[:-1] for row in log]
    assert bits(task.model) == bits(whole.model)
    assert content(tmp_path / "a.checkpoint.npz") == content(path.with_name("a.checkpoint.npz"))


def test_what_was_ended_can_be_trained_for_longer(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    constant = [Plan(updates, 5, lambda n: 0.1) for updates in (10, 20)]
    train(Drawn(), constant[0], path)
    short = Drawn()
    train(short, constant[1], path, resume=True)
    long = Drawn()
    train(long, constant[1], tmp_path / "b.npz")
    assert bits(short.model) == bits(long.model)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    train(Drawn(), plan(), path)
    with pytest.raises(TrainingError, match="of another training; not the same: name"):
        train(Drawn("other"), plan(), path, resume=True)
    path.unlink()
    with pytest.raises(TrainingError, match="is there no more"):
        train(Drawn(), plan(), path, resume=True)
    tg.save(Model(), training.checkpoint_path(path), extra={"kind": "test"})
    with pytest.raises(tg.LoadError, match="no checkpoint of a training"):
        train(Drawn(), plan(), path, resume=True)
    training.checkpoint_path(path).write_bytes(b"PK")
    with pytest.raises(tg.LoadError, match=r"no \.npz"):
        train(Drawn(), plan(), path, resume=True)
    training.checkpoint_path(path).unlink()
    with pytest.raises(TrainingError, match="there is no such checkpoint"):
        train(Drawn(), plan(), path, resume=True)


def test_a_place_that_can_t_be_written_is_found_before_the_first_update(tmp_path: Path) -> None:
    def never(n: int) -> None:
        raise AssertionError("an update")

    with pytest.raises(TrainingError, match=r"no/a\.npz: can't be written \(No such file"):
        train(Drawn(at=never), plan(), tmp_path / "no" / "a.npz")


@pytest.mark.parametrize("which", [1, 2, 3])
def test_a_disk_that_fills_up_leaves_what_training_goes_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    path = tmp_path / "a.npz"
    written = itertools.count(-1)  # two files at the start: of the third look, the n-th is refused

    def full(name: str) -> Any:
        if next(written) == 6 + which:
            raise OSError(28, "No space left on device")
        return sync(name)

    sync = os.fsync
    monkeypatch.setattr(saving.os, "fsync", full)
    with pytest.raises(
        TrainingError, match=r"No space left.*of update 10, training can be resumed"
    ):
        train(Drawn(), plan(), path)
    assert sorted(os.listdir(tmp_path)) == ["a.checkpoint.npz", "a.csv", "a.npz"]
    monkeypatch.undo()
    task, whole = Drawn(), Drawn()
    train(task, plan(), path, resume=True)
    train(whole, plan(), tmp_path / "b.npz")
    assert bits(task.model) == bits(whole.model)


def test_a_gradient_that_is_not_finite_ends_it(tmp_path: Path) -> None:
    task = Drawn()
    task.carried = [float("inf"), 0.0]
    with pytest.raises(
        TrainingError, match="update 1: the gradient is not finite; choose a smaller"
    ):
        train(task, plan(), tmp_path / "a.npz")
    task = Drawn()
    task.evaluate = lambda: float("nan")  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match="update 5: the held-out loss is nan"):
        train(task, plan(), tmp_path / "a.npz")


def test_the_progress_says_the_losses_and_the_speed(tmp_path: Path) -> None:
    stream = io.StringIO()
    train(Drawn(), plan(), tmp_path / "a.npz", stream=stream)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10
    assert all(" numbers/s " in line for line in lines)
    assert "held-out" not in lines[0]
    assert "held-out" in lines[-1]
