"""Columns: where an item stands from left to right, and which values stand for the step before.

Each loop is a stage of columns, one for each step (in a fold, one for all). Parameters stand at the
left of all, initial states beside their loop, and what follows the steps above them. This file
knows items, and nothing of boxes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Any, NamedTuple

from .items import Item, Items
from .words import base_of, timeless


class Column(NamedTuple):
    """Each loop is a stage of one column per step; stages without steps have one column.

    own: whether it is laid out by itself, and not like the others of its stage.
    """

    stage: float
    step: int
    own: bool = False


LEFT = Column(-1, 0)  # the parameters
ABOVE = Column(float("inf"), 0)  # what follows the steps, or all of it if there are none


def through_time(items: list[Item]) -> dict[tuple[Hashable, Hashable], Hashable]:
    """The place of the state that a slot of a place reads of an earlier step."""
    found: dict[tuple[Hashable, Hashable], Hashable] = {}
    for item in items:
        for read in item.reads:
            x, slot = read.source, (item.place, read.slot)
            carried = isinstance(x, Item) and read.lag and x.loop == item.loop and not item.gap
            if carried and (not x.leaf or slot not in found):
                found[slot] = x.place
    return found


def initial_states(
    items: list[Item], before: dict[tuple[Hashable, Hashable], Hashable], folded: bool
) -> dict[Item, Hashable]:
    """The leaves that stand in for the step before the first, and the place they stand in for."""
    found: dict[Item, Hashable] = {}
    named = {(item.loop, base_of(item.name)): item.place for item in items
             if item.step is not None and item.name and not item.leaf}  # fmt: skip
    lags = {(item.place, read.slot): abs(read.lag) for item in items for read in item.reads
            if read.lag and not item.gap}  # fmt: skip
    times: Counter[tuple[Item, Hashable, Hashable]] = Counter()
    for item in items:
        for read in item.reads:
            if isinstance(read.source, Item) and read.source.leaf and item.step is not None:
                times[read.source, item.place, read.slot] += read.times
    for item in items:
        for read in item.reads:
            leaf, slot = read.source, read.slot
            if not isinstance(leaf, Item) or (leaf, item.place, slot) not in times:
                continue
            if leaf.step is not None and not (read.lag and folded):
                continue
            state = before.get((item.place, slot))
            if state is not None and state is not leaf.place:
                if times[leaf, item.place, slot] <= lags[item.place, slot]:
                    found.setdefault(leaf, state)
                    if leaf.name:  # a state without a name is called what it starts as
                        for other in items:
                            if other.place is state and not other.name:
                                other.name = leaf.name
            elif state is None and len(item.place.nodes) == 1 and not leaf.parameter and leaf.name:  # type: ignore[attr-defined]
                # With one step there is no second to compare with, but the name tells.
                name = base_of(timeless(leaf.name))
                if (item.loop, name) in named:
                    found.setdefault(leaf, named[item.loop, name])
    return found


def beside(items: Items, loop: Any, turns: bool) -> Column:
    """Where the initial states of a loop stand: where its time comes from.

    turns: whether there is a second step.
    """
    stage = items.loops.stage[loop]
    if items.folded and turns:
        return Column(stage + 0.6, 0)
    return Column(stage + (1 if loop in items.loops.mirrored else -1), 0)


def columns_of(
    items: Items,
    readers: dict[Item, list[Item]],
    initials: dict[Item, Hashable],
    carried: set[Hashable],
) -> dict[Item, Column]:
    """The column of every item; `carried` are the places that a later step reads."""
    loops = items.loops
    steps: dict[Item, Any] = {item: item.step for item in items.items}
    feeds: dict[Item, bool] = dict.fromkeys(items.items, False)  # whether a step depends on it
    for item in reversed(items.items):
        read_in_steps = any(steps[x] is not None or feeds[x] for x in readers[item])
        # A running total that nothing but the end reads belongs to the end.
        if item.sums and not read_in_steps:
            steps[item] = None
        feeds[item] = read_in_steps
    columns: dict[Item, Column] = {}
    stages: dict[Item, int] = {}
    loop_of_place = {item.place: item.loop for item in items.items if item.step is not None}
    for item in items.items:
        step = steps[item]
        if step is not None and item not in initials:
            stages[item] = loops.stage[item.loop]
            time = 1 if items.folded else loops.time(item.loop, step)
            columns[item] = Column(stages[item], time, own=bool(item.gap))
        elif not item.leaf:
            reached = [stages.get(read.source, 0) for read in item.reads
                       if isinstance(read.source, Item)]  # fmt: skip
            stages[item] = even = -(-max(reached, default=0) // 2) * 2
            columns[item] = Column(even, 0) if feeds[item] else ABOVE
    for item in items.items:
        if item in columns:
            continue
        read_in = {columns[x] for x in readers[item] if not x.leaf or x.gap}
        if item in initials:
            state = initials[item]
            columns[item] = beside(items, loop_of_place[state], state in carried)
        elif item.parameter or len(read_in) > 1:
            columns[item] = LEFT
        else:
            columns[item] = read_in.pop() if read_in else ABOVE
    return columns
