"""Keeps what a command prints in a file, secrets replaced, so that a kill of this process loses nothing of it.

Knows nothing of where the output comes from, or of runs.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..scrub import Scrubber

# An unfinished line up to this long is in the file as well; a longer one once it ends.
_MAX_TAIL = 4096


class OutputFile:
    """A file that output is kept in while it comes; memory stays flat, whatever its size.

    Whole lines are scrubbed as they are written, and `where` is reported by the scrubber for those that held a secret.
    The line that is not finished stands behind them, scrubbed on its own, and is written anew when more of it comes.
    `fault` says what went wrong where the file cannot be written (a full disk); nothing more is kept then, and nothing
    is raised.
    """

    def __init__(self, path: Path, scrubber: Scrubber, *, where: str) -> None:
        self.fault: OSError | None = None
        self._scrubber = scrubber
        self._stream = scrubber.stream(where=where)
        self._tail = b""
        self._tail_shown = False
        self._size = 0
        self._file = -1
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self.fault = error

    def write(self, chunk: bytes) -> None:
        """Keep the next bytes of the output."""
        if self.fault is not None:
            return
        lines = self._stream.feed(chunk)
        line_end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) + 1
        self._tail = chunk[line_end:] if line_end else (self._tail + chunk)[: _MAX_TAIL + 1]
        self._append(lines)
        if len(self._tail) <= _MAX_TAIL:
            self._show_tail()

    def close(self) -> None:
        """Write what is left, and close the file; safe to repeat."""
        if self._file < 0:
            return
        if self.fault is None:
            self._append(self._stream.finish())
        os.close(self._file)
        self._file = -1

    def _append(self, lines: bytes) -> None:
        if lines:
            self._hide_tail()
            self._write(lines)
            self._size += len(lines)

    def _show_tail(self) -> None:
        self._hide_tail()
        if self._tail:
            self._tail_shown = True
            self._write(self._scrubber.text(self._tail.decode("latin-1")).encode("latin-1"))

    def _hide_tail(self) -> None:
        if self._tail_shown and self.fault is None:
            try:
                os.ftruncate(self._file, self._size)
            except OSError as error:
                self.fault = error
            self._tail_shown = False

    def _write(self, data: bytes) -> None:
        """Write data behind the whole lines."""
        rest, offset = memoryview(data), self._size
        try:
            while rest and self.fault is None:
                written = os.pwrite(self._file, rest, offset)
                rest, offset = rest[written:], offset + written
        except OSError as error:
            self.fault = error
