"""The options of a picture, checked in one place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ..engine.record import Node

CHOICES = {
    "detail": ("operations", "cells"),
    "show": ("shapes", "values", "gradients"),
    "notation": ("lecture", "goodfellow", "karpathy", "pytorch"),
    "direction": ("right", "up"),
    "theme": ("color", "print"),
}

LETTERS: dict[str, dict[str, str]] = {
    "lecture": {},
    "goodfellow": {"V": "U", "W": "W", "U": "V", "b_h": "b", "b_y": "c"},
    "karpathy": {"V": "Wxh", "W": "Whh", "U": "Why", "b_h": "bh", "b_y": "by"},
    "pytorch": {"V": "weight_ih", "W": "weight_hh", "U": "weight", "b_h": "bias_ih",
                "b_y": "bias"},
}  # fmt: skip
"""What others call the lecture's letters."""


@dataclass(frozen=True)
class Options:
    """What `draw` was asked for; see there."""

    title: str | None = None
    folded: bool = False
    steps: tuple[int, int] | None = None
    detail: str = "operations"
    show: tuple[str, ...] = ()
    backward: bool = False
    highlight: Highlight | None = None
    annotate: Any = None
    notation: str = "lecture"
    direction: str = "right"
    legend: bool = False
    theme: str = "color"
    letters: dict[str, str] = field(default_factory=dict)


def check(**given: Any) -> Options:
    """The options, or an error that says which one is wrong and what it can be."""
    show = given["show"]
    given["show"] = show = (show,) if isinstance(show, str) else tuple(show)
    if given["title"] is not None and not isinstance(given["title"], str):
        raise TypeError(f"draw: title is {type(given['title']).__name__}, and should be str")
    for name, choices in CHOICES.items():
        for word in show if name == "show" else (given[name],):
            if word not in choices:
                raise ValueError(f"draw: {name}={word!r}; it is one of {', '.join(choices)}")
    steps = given["steps"]
    if steps is not None:
        if given["folded"]:
            raise ValueError("draw: steps are those of the unrolled picture; a fold shows all")
        whole = isinstance(steps, tuple) and len(steps) == 2 and all(type(n) is int for n in steps)
        if not whole or min(steps) < 1:
            raise ValueError(
                f"draw: steps={steps!r}; it is how many to show at the beginning and at the end, "
                "such as (3, 2)"
            )
    given["highlight"] = _highlight(given["highlight"])
    return Options(**given, letters=LETTERS[given["notation"]])


@dataclass(frozen=True)
class Highlight:
    """What is not drawn pale: the boxes of some nodes, and the lines among them.

    edges: if given, only the lines from one node to the other, as (source, reader).
    """

    nodes: frozenset[Node]
    edges: frozenset[tuple[Node, Node]] | None = None


def _highlight(given: Any) -> Highlight | None:
    if given is None:
        return None
    if hasattr(given, "nodes") and hasattr(given, "slot"):  # a path of tg.bptt
        way = [*given.nodes, given.nodes[-1].inputs[given.slot]]
        return Highlight(frozenset(way), frozenset((x, y) for y, x in pairwise(way)))
    nodes = [given] if isinstance(given, Node) or not isinstance(given, Iterable) else list(given)
    for node in nodes:
        if not isinstance(node, Node):
            raise TypeError(f"draw: highlight has {type(node).__name__}, and takes tensors")
    return Highlight(frozenset(nodes))
