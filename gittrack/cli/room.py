"""Owns how much room a picture has on standard output, and what can be shown there.

Knows nothing of what is shown.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from typing import TextIO

from .terminal import Screen, detect_screen

PIPE_WIDTH = 80
_LEAST_ROWS = 12


@dataclass(frozen=True)
class Room:
    """Where a picture is put: the screen, how many rows it may take (None for any), whether Unicode shows there."""

    screen: Screen
    rows: int | None = None
    unicode: bool = True

    @property
    def width(self) -> int:
        """The cells of a line: those of the terminal, or what fits most places that a pipe leads to."""
        return self.screen.width or PIPE_WIDTH


def measure_room(*, kept: int = 0) -> Room:
    """Return the room on standard output as it is now; of a terminal's rows so many are kept for other things."""
    screen = detect_screen(sys.stdout)
    rows = max(_LEAST_ROWS, shutil.get_terminal_size().lines - kept) if screen.interactive else None
    return Room(screen, rows, speaks_unicode(sys.stdout))


def speaks_unicode(stream: TextIO) -> bool:
    """Tell whether a stream's encoding has the characters that curves are drawn with."""
    try:
        "⠿│•─".encode(stream.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True
