"""Shows how far a transfer of content is: bytes, files and rate, to people only, from the second second on.

Knows nothing of what is transferred, or where to.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from .progress import PATIENCE

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from ..content_remote import Progress
    from .terminal import Screen


class ContentTransfer:
    """One line for all transfers under way. Use it as a context manager, and call it with each step.

    Nothing is shown where standard error is no terminal. Safe for one caller at a time, from any thread.
    """

    def __init__(self, screen: Screen, what: str) -> None:
        self._screen = screen
        self._what = what
        self._began = time.monotonic()
        self._bars: Bars | None = None

    def __call__(self, progress: Progress) -> None:
        """Show how far the transfers have come."""
        if not self._screen.interactive or time.monotonic() - self._began < PATIENCE:
            return
        if self._bars is None:
            self._bars = _make_bars(color=self._screen.color)
            self._bars.add_task(self._what, files="")
            self._bars.start()
        files = f"{progress.files:,} of {progress.files_total:,} files"
        task = self._bars.task_ids[0]
        self._bars.update(task, completed=progress.bytes, total=progress.bytes_total, files=files)

    def __enter__(self) -> ContentTransfer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()


def _make_bars(*, color: bool) -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(20),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TextColumn("{task.fields[files]}"),
        console=Console(file=sys.stderr, no_color=not color, highlight=False),
        transient=True,
    )
