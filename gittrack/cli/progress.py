"""Shows on standard error how far something long has come: from its second second on, and to people only.

Knows nothing of what is being done.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType

from .amounts import format_duration
from .terminal import Screen, Terminal
from .text import clip

PATIENCE = 1.0
"""How many seconds something may take without a word."""

_EVERY = 0.1
_BAR = 20


class Progress:
    """A line that is written over and over, and gone when all is done. Call it with how many of how many are done.

    Without `things` to count, it says how many percent that is. Use it as a context manager. Nothing is written where
    standard error is no terminal.
    """

    def __init__(
        self, terminal: Terminal, what: str, *, things: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._screen = terminal.error_screen
        self._what = what
        self._things = things
        self._clock = clock
        self._began = clock()
        self._next = self._began + PATIENCE
        self._shown = False

    def __call__(self, done: int, total: int) -> None:
        """Say that `done` of `total` are done; cheap enough for every single one."""
        if done >= total:
            self._clear()
        now = self._clock()
        if done >= total or now < self._next or not self._screen.interactive:
            return
        self._next = now + _EVERY
        self._shown = True
        line = draw(self._what, done, total, things=self._things, seconds=now - self._began, screen=self._screen)
        sys.stderr.write(f"\r{line}\x1b[K")
        sys.stderr.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear()

    def _clear(self) -> None:
        if self._shown:
            self._shown = False
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def draw(what: str, done: int, total: int, *, things: str, seconds: float, screen: Screen) -> str:
    """Return the line that says how far it is after so many seconds, as wide as the screen at most."""
    share = done / total if total else 1.0
    bar = "#" * int(share * _BAR)
    said = f"{done:,} of {total:,} {things}" if things else f"{share:.0%}"
    line = f"{what} [{bar:.<{_BAR}}] {said}"
    if 0 < share < 1:
        line += f", {format_duration(round(seconds / share * (1 - share)) * 1_000_000)} left"
    return clip(line, (screen.width or 80) - 1)
