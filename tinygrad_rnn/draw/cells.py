"""Cells: the lecture's boxes x, h, ŷ and L, with the operations between them drawn into the lines.

What stays is what has a name, what the loop carries, data and results. A line stands for all the
ways from one box to the next. A parameter that an operation on the way takes in is written on it:
h to h carries W. This file knows items, and nothing of boxes.
"""

from __future__ import annotations

from dataclasses import replace

from .items import Item, Items, Read
from .sums import is_sum


def contract(items: Items) -> Items:
    """The items with a name or a role of their own, reading each other directly."""
    carried = {read.source.place for item in items.items for read in item.reads
               if isinstance(read.source, Item) and read.lag and read.source.loop == item.loop
               and not item.gap}  # fmt: skip
    summed = {read.source for item in items.items if item.sums for read in item.reads
              if isinstance(read.source, Item)}  # fmt: skip
    kept = {
        item
        for item in items.items
        if item.gap or item.leaf or item.root or item.sums or item.name
        or item.place in carried or item in summed
    }  # fmt: skip
    through: dict[Item, list[Read]] = {}
    for item in items.items:
        reads: list[Read] = []
        for read in item.reads:
            if not isinstance(read.source, Item) or read.source in kept:
                reads.append(read)
            else:
                reads += [_joined(part, read) for part in through[read.source]]
        through[item] = reads if item.gap else _labelled(reads, is_sum(item.node))
    for item in kept:
        item.reads = through[item]
    left = [item for item in items.items if item in kept]
    # A gap that stood for an operation alone is of no more use.
    used = {r.source for item in left for r in item.reads if isinstance(r.source, Item)}
    return replace(items, items=[x for x in left if not x.gap or x in used or x.reads])


def _joined(part: Read, read: Read) -> Read:
    """The way through an operation that is not drawn."""
    return replace(
        part,
        slot=(read.slot, part.slot),
        lag=part.lag if read.lag in (0, None) else read.lag,
        over=part.over or read.over,
        note=part.note or read.note,
        cuts=tuple(sorted({*part.cuts, *read.cuts})),
    )


def _labelled(reads: list[Read], adds: bool) -> list[Read]:
    """One read for each source and lag; parameters are labels of the value they meet.

    What reads a value of its own step in another way at the ends of the loop still reads it there.
    What adds a term that is made of parameters alone, such as a penalty, meets them by themselves.
    """
    leaves = [r for r in reads if isinstance(r.source, Item) and r.source.parameter]
    weights = [r for r in leaves if not r.source.begins]
    apart = [r for r in weights if adds and isinstance(r.slot, tuple)]
    parameters = [r for r in weights if r not in apart]
    values: dict[tuple[int, int | None, str], Read] = {}
    for read in reads:
        if read in weights:
            continue
        key = (id(read.source), read.lag, "" if read.lag == 0 else read.note)
        if key in values:
            before = values[key]
            labels = dict.fromkeys([*before.labels, *read.labels])
            note = read.note if read.note == before.note else ""
            values[key] = replace(before, labels=tuple(labels), note=note)
        else:
            values[key] = read
    found = list(values.values())
    if not found:
        return weights
    # In x V + h W + b_h, b_h goes with x; in h W, W with h and with the initial state.
    now = [i for i, read in enumerate(found) if read.lag == 0][:1] or range(len(found))
    for i in now:
        labels = dict.fromkeys([*found[i].labels, *(read.source for read in parameters)])
        found[i] = replace(found[i], labels=tuple(labels))
    return found + apart
