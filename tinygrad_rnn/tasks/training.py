"""The training that all tasks share: updates, a look at held-out data now and then, checkpoints.

A task knows its data, its model and where a gradient comes from. A plan says how long, how fast and
when it is enough. This file knows what happens in which order, and nothing of what is learnt.

Training leaves three files:

    model.npz               the model that was best on the held-out data so far; for use
    model.checkpoint.npz    all that training goes on from, since the last look at held-out data
    model.csv               the log: a row for each look

Each of them is whole at all times. Training that is resumed goes on as if it had never stopped, bit
by bit: what an update depends on is in the checkpoint, or is a function of its number.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from ..engine.record import no_grad
from ..nn import Module
from ..optim import Optimizer, clip_grad_norm
from ..progress import Progress
from ..saving import LoadError, Saved, load, save, write_whole

RECENT = 100  # updates, whose mean loss is shown
CHECKPOINT = {"about", "log", "carried", "planned"}  # beside the weights and the optimizer's arrays


class TrainingError(ValueError):
    """Training can't begin or go on; the message says why, what there is, and what to do."""


class Task:
    """What is to be learnt; a subclass says how.

    model, optimizer: what is trained. The optimizer's `lr` is set by the plan.
    about: what a user of the model's file has to know, in what JSON can say: the kind of model, its
        sizes, its vocabulary. Training is resumed only by a task with the same.
    unit: what the losses are counted by, such as "characters".
    looked_at: what a look at the held-out data finds, as the progress calls it.
    carried: what goes from one update to the next beside the model, in what JSON can say: the state
        of a recurrent network, say. Assigned to when training is resumed.
    """

    model: Module
    optimizer: Optimizer
    about: dict[str, Any]
    unit: str = "tokens"
    looked_at: str = "held-out"
    carried: Any = None

    def batches(self, n: int) -> Iterator[Any]:
        """The batches of the updates n, n + 1, …, where 0 is the first; without end."""
        raise NotImplementedError(f"{type(self).__name__} has no method batches")

    def gradient(self, batch: Any) -> tuple[float, int]:
        """Leave in `.grad` the gradient of the mean loss over a batch.

        Returns the sum of the losses and how many there are. The gradients before are forgotten
        already. Called with the model set to training.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method gradient")

    def evaluate(self) -> float:
        """The mean loss on the held-out data, or what else is to be small.

        Called in `no_grad`, with the model set to use.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method evaluate")


@dataclass(frozen=True)
class Plan:
    """How to train.

    updates: how many in all; those before a resumption count.
    every: updates from one look at the held-out data, and one checkpoint, to the next.
    learning_rate: of update n, which is 0 for the first.
    max_norm: gradients are clipped to this norm; see `optim.clip_grad_norm`.
    patience: looks at the held-out data without a better loss, after which it is enough.
    """

    updates: int
    every: int
    learning_rate: Callable[[int], float]
    max_norm: float = 1.0
    patience: int | None = None


class Row(NamedTuple):
    """A row of the log: a look at the held-out data after so many updates."""

    updates: int
    training_loss: float  # mean since the row before
    held_out_loss: float  # what `Task.evaluate` returns
    learning_rate: float  # of the last update
    seconds: float  # of training, looks included


def train(
    task: Task, plan: Plan, path: Path, resume: bool = False, stream: TextIO | None = None
) -> list[Row]:
    """Train, and return the log. Afterwards the model is the one that was best on held-out data.

    path: of the model's file; `checkpoint_path` and `log_path` say where the others are.
    resume: go on from the checkpoint.
    stream: where progress is shown, if anywhere.

    A `TrainingError` says what can't be written, that the gradient is not finite, or that the
    checkpoint is of another training; a `LoadError`, what is wrong with a file. A KeyboardInterrupt
    is passed on, and says from where training can be resumed.
    """
    log = _resumed(task, path) if resume else []
    _write(task, plan, path, log)  # now: that there is no room is not to be found out an hour later
    done = log[-1].updates if log else 0
    began = time.monotonic() - (log[-1].seconds if log else 0)
    task.model.train()
    try:
        if not _enough(log, plan):
            with (
                Progress("training", plan.updates - done, task.unit, stream) as progress,
                np.errstate(over="ignore", invalid="ignore"),  # what it ends in is looked at
            ):
                _updates(task, plan, path, log, began, progress)
    except KeyboardInterrupt:
        at = log[-1].updates if log else 0
        raise KeyboardInterrupt(
            f"interrupted; {checkpoint_path(path)} is of update {at:,} of {plan.updates:,}, "
            "from where training can be resumed"
        ) from None
    load(path).restore(task.model)
    return log


def _updates(
    task: Task, plan: Plan, path: Path, log: list[Row], began: float, progress: Progress
) -> None:
    """Make updates until it is enough; adds to the log."""
    start = log[-1].updates if log else 0
    recent: deque[tuple[float, int]] = deque(maxlen=RECENT)
    total, count, units = 0.0, 0, 0
    for n, batch in zip(range(start, plan.updates), task.batches(start), strict=False):
        task.optimizer.zero_grad()
        loss, size = task.gradient(batch)
        norm = clip_grad_norm(task.optimizer.parameters, plan.max_norm)
        if not math.isfinite(norm):
            raise TrainingError(
                f"update {n + 1:,}: the gradient is not finite; choose a smaller learning rate"
            )
        task.optimizer.lr = plan.learning_rate(n)
        task.optimizer.step()
        recent.append((loss, size))
        total, count, units = total + loss, count + size, units + size
        if (n + 1) % plan.every == 0 or n + 1 == plan.updates:
            held_out = _evaluate(task)
            if not math.isfinite(held_out):
                raise TrainingError(
                    f"update {n + 1:,}: the held-out loss is {held_out}; choose a smaller learning "
                    "rate"
                )
            seconds = time.monotonic() - began
            row = Row(n + 1, total / count, held_out, task.optimizer.lr, round(seconds, 1))
            _write(task, plan, path, [*log, row])
            log.append(row)
            total, count = 0.0, 0
        losses, sizes = map(sum, zip(*recent, strict=True))
        found = f"loss {losses / sizes:.3f}"
        if log:
            found += f", {task.looked_at} {log[-1].held_out_loss:.3f}"
        progress.show(n + 1 - start, units, found)
        if _enough(log, plan):
            return


def _evaluate(task: Task) -> float:
    task.model.eval()
    with no_grad():
        loss = task.evaluate()
    task.model.train()
    return loss


def best(log: list[Row]) -> Row:
    """The row with the least loss on the held-out data, the first of such."""
    return min(log, key=lambda row: row.held_out_loss)


def _enough(log: list[Row], plan: Plan) -> bool:
    if not log:
        return False
    if log[-1].updates >= plan.updates:
        return True
    return plan.patience is not None and log.index(best(log)) < len(log) - plan.patience


# -------------------------------------------------------------------------------------- the files


def checkpoint_path(path: Path) -> Path:
    """Where the checkpoint of the training of a model is."""
    return path.with_suffix(f".checkpoint{path.suffix}")


def log_path(path: Path) -> Path:
    """Where the log of the training of a model is."""
    return path.with_suffix(".csv")


def read_checkpoint(path: Path) -> Saved:
    """The checkpoint of the training of the model at a path.

    In its extra are "about", as the task has it, and "planned", the number of updates of the plan.

    A `TrainingError` if there is none, a `LoadError` if it is none.
    """
    file = checkpoint_path(path)
    try:
        saved = load(file)
    except FileNotFoundError:
        raise TrainingError(
            f"{file}: there is no such checkpoint to resume training from"
        ) from None
    except OSError as error:
        raise TrainingError(f"{file}: can't be read ({error.strerror})") from None
    if not _is_checkpoint(saved):
        raise LoadError(f"{file}: this is no checkpoint of a training")
    return saved


def read_model_file(path: str | os.PathLike[str], kind: str, version: int) -> Saved:
    """The file of a model of this kind, "tagger", say; its extra is what `about` of the task was.

    A `LoadError` says what is wrong with the file: that it can't be read, is damaged, is of
    something else or of another version.
    """
    name = os.fspath(path)
    try:
        saved = load(path)
    except (OSError, ValueError) as error:
        if isinstance(error, LoadError):
            raise
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise LoadError(f"{name}: can't be read ({reason}); give the file of a {kind}") from None
    about = saved.extra if isinstance(saved.extra, dict) else {}
    if about.get("kind") != kind:
        other = f"a {about['kind']}" if isinstance(about.get("kind"), str) else "something else"
        if _is_checkpoint(saved):
            other = "the checkpoint of a training"
        raise LoadError(f"{name}: this is {other:.40}, and no {kind}")
    if about.get("version") != version:
        raise LoadError(
            f"{name}: this is version {about.get('version')!r:.40} of a {kind}'s file, and version "
            f"{version} can be read"
        )
    return saved


def _is_checkpoint(saved: Saved) -> bool:
    return isinstance(saved.extra, dict) and set(saved.extra) == CHECKPOINT


def _resumed(task: Task, path: Path) -> list[Row]:
    """Give the task what the checkpoint has; returns the log."""
    saved = read_checkpoint(path)
    theirs, ours = saved.extra["about"], json.loads(json.dumps(task.about))
    if theirs != ours:
        keys = [key for key in ours if theirs.get(key) != ours[key]]
        raise TrainingError(
            f"{saved.path}: this is the checkpoint of another training; not the same: "
            f"{', '.join(keys)}"
        )
    if saved.extra["log"] and not path.exists():
        raise TrainingError(f"{path}: the best model so far was there, and is there no more")
    saved.restore(task.model, task.optimizer)
    task.carried = saved.extra["carried"]
    return [Row(*row) for row in saved.extra["log"]]


def _write(task: Task, plan: Plan, path: Path, log: list[Row]) -> None:
    """Write the files: the model first, so that it is never older than the checkpoint says."""
    try:
        if log and best(log) is log[-1]:
            save(task.model, path, extra=task.about)
        extra = {"about": task.about, "log": log, "carried": task.carried, "planned": plan.updates}
        save(task.model, checkpoint_path(path), task.optimizer, extra)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([Row._fields, *log])
        write_whole(log_path(path), text.getvalue().encode())
    except OSError as error:
        remedy = "choose another place for it"
        if log:
            before = log[-2].updates if len(log) > 1 else 0
            remedy = f"from the checkpoint of update {before:,}, training can be resumed"
        raise TrainingError(f"{path}: can't be written ({error.strerror}); {remedy}") from None
