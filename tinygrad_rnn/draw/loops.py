"""Loops on the paper: which of them share their columns, and which run against time.

A loop that reads another step by step stands above it. One that reads it from the last step to the
first does so too, if the other is turned round. All others stand side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False, slots=True)
class Crossing:
    """A loop, and the steps of others that its steps read."""

    loop: Any
    lags: dict[Any, set[int]] = field(default_factory=dict)
    sums: dict[Any, set[int]] = field(default_factory=dict)

    def add(self, source: Any, step: int, t: int) -> None:
        """In step t, the loop reads this step of another."""
        self.lags.setdefault(source, set()).add(t - step)
        self.sums.setdefault(source, set()).add(t + step)


@dataclass(eq=False, slots=True)
class Loops:
    """stage: where each loop stands, from left to right: odd numbers.

    mirrored: the loops that run against time; their step s belongs to the time that this minus s
        is.
    """

    stage: dict[Any, int] = field(default_factory=dict)
    mirrored: dict[Any, int] = field(default_factory=dict)

    def time(self, loop: Any, step: int) -> int:
        """The time that a step of a loop belongs to."""
        return self.mirrored[loop] - step if loop in self.mirrored else step


def place_loops(crossings: Sequence[Crossing], beside: bool = False) -> Loops:
    """Where loops stand, given oldest first.

    beside: a loop that runs against time gets a place of its own.
    """
    loops = Loops()
    last = -1
    for crossing in crossings:
        earlier = {x: lags for x, lags in crossing.lags.items() if x in loops.stage}
        aligned = [x for x, lags in earlier.items() if lags == {0}]
        turned = [
            x
            for x, lags in earlier.items()
            if len(crossing.sums[x]) == 1 and len(lags) > 1 and _alone(x, loops, crossings)
        ]
        if aligned and len(aligned) + len(turned) == len(earlier):
            loops.stage[crossing.loop] = stage = max(loops.stage[x] for x in aligned)
            for x in turned:
                loops.mirrored[x] = next(iter(crossing.sums[x]))
                if not beside:
                    loops.stage[x] = stage
        else:
            last = loops.stage[crossing.loop] = last + 2
    return loops


def _alone(loop: Any, loops: Loops, crossings: Sequence[Crossing]) -> bool:
    """Whether a loop shares its place with no other, and reads none."""
    reads = next(crossing.lags for crossing in crossings if crossing.loop == loop)
    return not reads and list(loops.stage.values()).count(loops.stage[loop]) == 1
