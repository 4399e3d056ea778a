"""Items: what is drawn, be it a recording node by node, or its fold, line by line.

An item is a value, and knows what it reads. Sums of sums are one item already, and steps that are
left out are gaps. recorded.py makes items of a recording, folded.py of its fold; from here on a
picture is made in one way. This file knows neither boxes nor places on the paper.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from ..engine.record import Node
from ..engine.tensor import Parameter
from .loops import Loops
from .words import base_of, is_number, timeless

MOST = 5000  # items; more than an engine draws, or a reader reads


@dataclass(eq=False, slots=True)
class Read:
    """One use of a value.

    source: an item, or an array that was no tensor.
    slot: the argument of the reader; of operations that are not drawn, the way through them.
    lag: how many steps before its own the reader reads; None where that is no one number.
    times: in how many steps it is read.
    over: whether all the steps of the source are read at once.
    note: which step is read, if that needs saying.
    cuts: the steps in which it is a detached copy that is read.
    labels: the parameters that operations on the way took in, if those are not drawn.
    """

    source: Any
    slot: Hashable
    lag: int | None = None
    times: int = 1
    over: bool = False
    note: str = ""
    cuts: tuple[int, ...] = ()
    labels: tuple[Item, ...] = ()


@dataclass(eq=False, slots=True)
class Item:
    """A value: of one node, of a sum with the sums inside it, or of one line in all the steps.

    step: its time step; "t" in a fold; None outside the steps.
    place: the same for the items of one line at different steps.
    uses: how often it is used in the whole recording.
    sums: whether it adds up what several steps made.
    gap: how many steps it stands for that are left out.
    begins: whether it is one of the `beginnings`.
    """

    nodes: tuple[Node, ...]
    node: Node  # the one that it is described by
    step: int | str | None
    loop: Any
    place: Hashable
    attributes: dict[str, Any] = field(default_factory=dict)
    numbers: tuple[tuple[int, Any], ...] = ()  # constant operands, by slot
    reads: list[Read] = field(default_factory=list)
    name: str = ""
    uses: int = 0
    sums: bool = False
    gap: int = 0
    root: bool = False
    begins: bool = False

    @property
    def leaf(self) -> bool:
        """Whether no operation made it."""
        return self.node.primitive is None

    @property
    def parameter(self) -> bool:
        """Whether it is a leaf that a gradient is wanted for: an initial state only if it is made
        to be learnt."""
        wanted = self.leaf and self.node.requires_grad and not self.gap
        return wanted and (isinstance(self.node, Parameter) or not self.begins)


@dataclass(eq=False, slots=True)
class Items:
    """All that is drawn, sources before their readers.

    steps: the first step of each loop and its last.
    """

    items: list[Item]
    loops: Loops
    steps: dict[Any, tuple[int, int]]
    folded: bool = False


def beginnings(nodes: list[Node], names: dict[Node, str]) -> set[Node]:
    """The leaves that the first of several steps reads, and nothing else: initial states.

    Where there is but one step, a leaf with the name of a value of that step, h or h_0, is one.
    """
    steps: dict[Any, set[int]] = {}
    made: set[tuple[Any, str]] = set()
    read: dict[Node, set[tuple[Any, int | None]]] = {}
    for node in nodes:
        loop, step = node.label.loop, node.step
        if step is not None:
            steps.setdefault(loop, set()).add(step)
        if node.primitive is not None:
            made.add((loop, base_of(names.get(node, ""))))
        for x in node.inputs or ():
            if isinstance(x, Node) and x.primitive is None and x.step is None:
                read.setdefault(x, set()).add((loop, step))
    found = set()
    for leaf, readers in read.items():
        name = base_of(timeless(names.get(leaf, "")))
        if all(
            step is not None
            and step == min(steps[loop])
            and (len(steps[loop]) > 1 or (loop, name) in made)
            for loop, step in readers
        ):
            found.add(leaf)
    return found


def check_count(count: int) -> None:
    """Refuse at once what would take minutes to place, and what nobody could read."""
    if count > MOST:
        raise ValueError(
            f"draw: {count:,} boxes are more than can be drawn (at most {MOST:,}); label the steps "
            "with tg.steps, give steps=(3, 2) or folded=True, or record less"
        )


def numbers_of(node: Node) -> tuple[tuple[int, Any], ...]:
    """The constant numbers among the inputs, by slot."""
    return tuple((slot, x) for slot, x in enumerate(node.inputs or ()) if is_number(x))


def add_once(item: Item, read: Read) -> None:
    """Add a read, unless the source is read already."""
    if all(other.source is not read.source for other in item.reads):
        item.reads.append(read)
