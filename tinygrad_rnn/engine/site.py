"""The site: which call, in the code outside the engine, an operation was asked for by.

From a running frame it gives the line, and the variable that the result is about to be assigned to.
It reads frames and bytecode, and knows nothing of nodes.
"""

from __future__ import annotations

import dis
import functools
import os
from types import CodeType
from typing import Any

_ENGINE = os.path.dirname(__file__) + os.sep
_STORES = {"STORE_FAST", "STORE_NAME", "STORE_GLOBAL", "STORE_DEREF", "STORE_FAST_LOAD_FAST"}


class Site:
    """A call: a code object, and the offset of an instruction in it."""

    def __init__(self, code: CodeType, offset: int, line: int) -> None:
        self.code = code
        self.offset = offset
        self.line = (code.co_filename, line)

    @functools.cached_property
    def variable(self) -> str | None:
        """The variable that this call's result is assigned to: "h" for `h = np.tanh(a)`."""
        made_by = ""
        for instruction in dis.get_instructions(self.code):
            if instruction.offset <= self.offset:
                made_by = instruction.opname
            elif (made_by, instruction.opname) == ("PRECALL", "CALL"):
                continue  # in CPython 3.11 a call is two instructions
            elif made_by.startswith("UNPACK"):
                return None  # a, b = x
            elif instruction.opname != "EXTENDED_ARG":
                names = instruction.argval if instruction.opname in _STORES else ""
                name = str(names[0] if isinstance(names, tuple) else names)
                return name if name.isidentifier() else None
        return None


_sites: dict[tuple[int, int], Site] = {}  # a site keeps its code object, hence the key, alive


def site_of(frame: Any) -> Site:
    """The site of a frame, or of the innermost one around it that is outside the engine."""
    return _sites.get((id(frame.f_code), frame.f_lasti)) or _first_time(frame)


def _first_time(frame: Any) -> Site:
    while frame.f_code.co_filename.startswith(_ENGINE) and frame.f_back is not None:
        frame = frame.f_back
    key = (id(frame.f_code), frame.f_lasti)
    if key not in _sites:
        _sites[key] = Site(frame.f_code, frame.f_lasti, frame.f_lineno)
    return _sites[key]
