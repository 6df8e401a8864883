"""Shows something that changes, such as a live run: the whole terminal drawn anew, or lines in a pipe.

Knows nothing of what is shown.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from .room import Room, measure_room
from .terminal import Terminal

Draw = Callable[[Room], Sequence[str] | None]


def redraw(terminal: Terminal, draw: Draw, *, seconds: float) -> None:
    """Show the lines that `draw` returns, again after so many seconds, and so on until it returns None.

    `draw` is told the room there is now. On a terminal the screen is drawn anew each time, and given back at the end,
    also where Ctrl-C is the end (KeyboardInterrupt is raised on); what was shown last then stays behind. In a pipe, and
    on a terminal that cannot move its cursor, lines are written when they are others than before.
    """
    stage = _Stage()
    shown: Sequence[str] = ()
    if not stage.works:
        while (lines := draw(measure_room())) is not None:
            if lines != shown:
                terminal.write(lines)
            shown = lines
            time.sleep(seconds)
        return
    try:
        with stage:
            while (lines := draw(measure_room(kept=1))) is not None:
                shown = lines
                stage.show(lines)
                time.sleep(seconds)
    finally:
        terminal.write(shown)


class _Stage:
    """The terminal's other screen, while it is used as a context manager."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        console = Console(file=sys.stdout, highlight=False)
        self.works = sys.stdout.isatty() and not console.is_dumb_terminal  # whatever the environment claims
        self._live = Live(
            console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )

    def show(self, lines: Sequence[str]) -> None:
        """Draw lines, as far as they fit; they may hold colours."""
        from rich.text import Text

        self._live.update(Text.from_ansi("\n".join(lines), no_wrap=True, overflow="crop"), refresh=True)

    def __enter__(self) -> None:
        self._live.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
