"""Backpropagation through time, taken apart.

What each use of a shared parameter contributes, through which Jacobians and by which paths, and
what truncation leaves of it: all read off a recording, for any recorded graph with labelled steps.
"""

from . import by_hand, truncation
from .contributions import contributions, explain
from .forward_mode import rtrl
from .jacobians import bound, immediate, jacobians
from .paths import paths, split
from .triangle import triangle

__all__ = [
    "bound",
    "by_hand",
    "contributions",
    "explain",
    "immediate",
    "jacobians",
    "paths",
    "rtrl",
    "split",
    "triangle",
    "truncation",
]
