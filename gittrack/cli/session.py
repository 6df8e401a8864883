"""Owns one command line's state: what the global options said, the terminal, the present time, the open store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from time import time_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..errors import GittrackError
    from ..tracker import Tracker
    from .terminal import Terminal

JSON_VERSION = 1
_MOST_DAMAGE = 4


class Session:
    """What every command is given, as click's context object.

    `store` is what `--store` said, or None. `-C` has no place here: it moved the process when it was parsed, as git's
    does.
    """

    def __init__(self) -> None:
        self.store: str | None = None
        self.debug = False

    @cached_property
    def terminal(self) -> Terminal:
        """Where this command writes to."""
        from .terminal import Terminal

        return Terminal()

    @cached_property
    def now(self) -> int:
        """The time this command began, in UTC microseconds."""
        return time_ns() // 1000

    @contextmanager
    def open_tracker(self, *, recover: bool = True) -> Iterator[Tracker]:
        """Open the store, and say on standard error which dead runs were recovered and which records are damaged.

        There too, how far it is with the index, where that takes long.
        """
        from ..tracker import Tracker
        from .progress import Progress

        with (
            Tracker.open(store=self.store, recover=recover) as tracker,
            Progress(self.terminal, "indexing") as tracker.progress,
        ):
            for run in tracker.recovered:
                self.terminal.note(
                    f"recovered run {run.name} ({run.id[:8]}): its process died; it is kept as {run.status}"
                )
            try:
                yield tracker
            finally:
                for note in tracker.notes:
                    self.terminal.note(note)
                self._warn_of_damage(tracker.damaged)

    def _warn_of_damage(self, damaged: Sequence[GittrackError]) -> None:
        """Name what is damaged, of much only the first: somebody's broken push must not bury what was asked for."""
        shown = damaged if len(damaged) <= _MOST_DAMAGE else damaged[: _MOST_DAMAGE - 1]
        for problem in shown:
            self.terminal.warn(problem.message, hint=problem.hint)
        if more := len(damaged) - len(shown):
            self.terminal.warn(f"{more} more records are damaged", hint="gittrack verify --all")

    def write_json(self, key: str, value: object, **more: object) -> None:
        """Write one JSON document to standard output: `{"gittrack": 1, key: value}`."""
        from .text import encode_json

        document: Mapping[str, object] = {"gittrack": JSON_VERSION, key: value, **more}
        self.terminal.write([encode_json(document)])
