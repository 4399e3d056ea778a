"""A progress line: how far, how good, how fast, how long to go.

In a terminal it is one line, rewritten in place and cut to its width; elsewhere it is a few plain
lines. It knows nothing of what makes the progress.
"""

from __future__ import annotations

import os
import time
from typing import TextIO

PLAIN_LINES = 10  # from start to end, where there is no terminal


class Progress:
    """Shows the progress of a job of `total` rounds. Use it in a `with` block, which ends the line.

    unit: what is worked through, for the speed.
    """

    def __init__(self, what: str, total: int, unit: str, stream: TextIO | None) -> None:
        self.what, self.total, self.unit, self.stream = what, total, unit, stream
        self.terminal = stream is not None and stream.isatty()
        self.began = time.monotonic()
        self._shown = self.began  # when
        self._line = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._line and self.terminal:
            print(file=self.stream)

    def show(self, done: int, units: float, found: str) -> None:
        """Say how many rounds and units are done, and what was found; ten times a second at most.

        found: a few words, such as a loss.
        """
        now = time.monotonic()
        if self.terminal:
            due = now - self._shown >= 0.1 or done in (1, self.total)
        else:
            due = done * PLAIN_LINES // self.total > (done - 1) * PLAIN_LINES // self.total
        if self.stream is None or not due:
            return
        self._shown = now
        seconds = max(now - self.began, 1e-9)
        left = seconds / done * (self.total - done)
        clock = f"{_clock(left)} left" if done < self.total else f"in {_clock(seconds)}"
        rate = f"{units / seconds:,.0f} {self.unit}/s"
        facts = f"{done / self.total:4.0%}  {found}  {rate}  {clock}"
        if not self.terminal:
            print(f"{self.what} {facts}", file=self.stream, flush=True)
            return
        width = self._width()
        room = min(width - len(self.what) - len(facts) - 5, 40)
        bar = self._bar(done / self.total, room) + "  " if room >= 5 else ""
        line = f"{self.what}  {bar}{facts}"[: width - 1]
        print(f"\r{line:<{min(len(self._line), width - 1)}}", end="", file=self.stream, flush=True)
        self._line = line

    def _bar(self, fraction: float, room: int) -> str:
        unicode = "utf" in (getattr(self.stream, "encoding", "") or "").lower()
        full, empty = ("█", "░") if unicode else ("#", "-")
        return full * round(room * fraction) + empty * (room - round(room * fraction))

    def _width(self) -> int:
        assert self.stream is not None
        try:
            return os.get_terminal_size(self.stream.fileno()).columns or 80
        except OSError:
            return 80


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
