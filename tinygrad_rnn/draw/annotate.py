"""Numbers on lines: what each use of a parameter contributes, how large a Jacobian is.

The number is written on the line, and is the width of the line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..engine.record import Node
from .scene import Box, Line, Scene

THIN, THICK = 0.8, 5.0  # points


def annotate(scene: Scene, given: Any) -> None:
    """Write numbers on the lines: of contributions, of Jacobians, or by (source, reader)."""
    for one in given if isinstance(given, (list, tuple)) else [given]:
        numbers = dict(_numbers(scene, one))
        if not numbers:
            raise ValueError(f"draw: annotate has {type(one).__name__} of no line in this picture")
        largest = max((max(found) for found in numbers.values() if found), default=0.0) or 1.0
        for line, found in numbers.items():
            line.width = THIN + (THICK - THIN) * max(found) / largest
            low, high = f"{min(found):.2g}", f"{max(found):.2g}"
            line.words += ((low if low == high else f"{low} … {high}", ""),)


def _numbers(scene: Scene, given: Any) -> Iterator[tuple[Line, list[float]]]:
    """What is to be written on which line: in a fold, a number for each step."""
    if isinstance(given, Mapping):
        yield from _by_ends(scene, given)
    elif hasattr(given, "one_step"):  # tg.bptt.jacobians
        norms = [float(np.linalg.norm(J, 2)) for J in given.one_step]
        last = max((t for box in scene.boxes for t in _steps(box)), default=0)
        start = last - len(norms) + 1  # the last of them leads to the last step
        for line in scene.lines:
            if line.kind in ("time", "initial") and line.target.kind not in ("delay", "gap"):
                found = [norms[t - start] for t in _steps(line.target) if t >= start]
                if found and line.source.kind != "gap":
                    yield line, found
    elif hasattr(given, "steps") and hasattr(given, "name"):  # tg.bptt.contributions
        for line in scene.lines:
            if line.source.kind == "parameter" and _name(line.source.nodes[0]) == given.name:
                found = [use.norm for use in given if _is_use(use, line)]
                if found:
                    yield line, found
    else:
        raise TypeError(
            f"draw: annotate takes contributions, jacobians or a mapping, not {_kind(given)}"
        )


def _by_ends(scene: Scene, given: Mapping[Any, Any]) -> Iterator[tuple[Line, list[float]]]:
    for line in scene.lines:
        sources = set(line.source.nodes)
        found = [
            float(number)
            for (source, reader), number in given.items()
            if source in sources and reader in set(line.target.nodes)
        ]
        if found:
            yield line, found


def _is_use(use: Any, line: Line) -> bool:
    ops = {node.primitive.name for node in line.target.nodes if node.primitive is not None}
    return use.op in ops and use.slot == line.slot and use.step in {*_steps(line.target), None}


def _steps(box: Box) -> list[int]:
    return sorted({node.step for node in box.nodes if node.step is not None})


def _name(node: Node) -> str:
    return getattr(node, "name", None) or "θ"


def _kind(given: Any) -> str:
    return type(given).__name__
