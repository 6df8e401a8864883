"""A process's hold on the journal of a live run: its events, its own points file, and the lock that says it lives.

Knows nothing of git, of tables, or of what the run is for.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import SupportsFloat

from .. import layout
from ..content import ContentStore
from ..draft import Draft, Event, fold_events, keys_event
from ..errors import NotFound
from ..repository import Repository
from .directory import COMMIT_LOCK_FILE, LOCK_FILE, UNFINISHED_PREFIX, delete_journal
from .events import EVENTS_FILE, EventLog
from .lock import RunLock, hold
from .points import PointsWriter
from .tables import POINTS_SUFFIX

_COMMIT_PATIENCE = 600.0


class JournalWriter:
    """The open journal of one run in one process. Safe for threads; `after_fork` makes it so for forked children."""

    def __init__(
        self, repository: Repository, directory: Path, lock: RunLock, *, events: EventLog | None = None
    ) -> None:
        self.repository = repository
        self.directory = directory
        self.content = ContentStore.of(repository)
        self.draft = fold_events([], run_id=directory.name, started=0)
        self._events: EventLog | None = events or EventLog(directory / EVENTS_FILE)
        self._lock: RunLock | None = lock
        self._points: PointsWriter | None = None
        self._opening = threading.RLock()
        self._bind()
        self.refresh()

    @classmethod
    def create(cls, repository: Repository, run_id: str, make_start: Callable[[], Sequence[Event]]) -> JournalWriter:
        """Create a run's journal, opened by the events that `make_start` returns, and hold it.

        It appears under its name whole: locked, and with its first events. Nobody can take it for a dead one meanwhile.
        The files come before the call, which may be waiting for another process anyway. Raises OSError where the
        journal cannot be created, and whatever `make_start` raises; nothing is left of it then.
        """
        directory = layout.journal_directory(repository.common_directory, run_id)
        making = directory.with_name(f"{UNFINISHED_PREFIX}{run_id}-{uuid.uuid4().hex[:8]}")
        making.mkdir(parents=True, mode=0o700)
        events = None
        try:
            lock = RunLock.hold_shared(making / LOCK_FILE)
            events = EventLog(making / EVENTS_FILE)
            for event in make_start():
                events.append(event)
            making.rename(directory)
        except BaseException:
            if events is not None:
                events.close()
            delete_journal(making)
            raise
        return cls(repository, directory, lock, events=events)

    @classmethod
    def join(cls, repository: Repository, run_id: str) -> JournalWriter:
        """Hold a journal that another process created; raises NotFound where there is none."""
        directory = layout.journal_directory(repository.common_directory, run_id)
        try:
            lock = RunLock.hold_shared(directory / LOCK_FILE)
        except FileNotFoundError:
            raise NotFound(f"no process records a run {run_id}", hint="gittrack ls") from None
        return cls(repository, directory, lock)

    def append(self, *events: Event) -> None:
        """Append events; each survives `kill -9` once this returns. Raises OSError, with nothing half-written."""
        for event in events:
            self.events.append(event)

    def decide(self, decide: Callable[[Draft], Event | None]) -> None:
        """Append the event that `decide` returns, if any, given everything that any process has recorded so far."""

        def make(others: list[Event]) -> Mapping[str, object] | None:
            self._fold(others)
            return decide(self.draft)

        self.events.append_checked(make)

    def refresh(self) -> Draft:
        """Return the draft with everything in it that any process has recorded."""
        self._fold(self.events.read_new())
        return self.draft

    def _fold(self, events: list[Event]) -> None:
        for event in events:
            self.draft.apply(event)

    def close_points(self) -> None:
        """Close this process's points file, if it has one."""
        if self._points is not None:
            self._points.close()

    def try_own(self) -> bool:
        """Tell whether no other process holds the journal; if so, none can join it any more."""
        return self._lock is not None and self._lock.try_upgrade()

    @contextmanager
    def hold_commits(self) -> Iterator[None]:
        """Keep other processes of this run from committing it meanwhile; raises StoreFailed after ten minutes."""
        with hold(self.directory / COMMIT_LOCK_FILE, _COMMIT_PATIENCE):
            yield

    def delete(self) -> None:
        """Delete the journal: everything in it is committed, or was never worth keeping."""
        if self._points is not None:
            self._points.abandon()  # nobody will miss what closing would tidy up
            self._points = None
        delete_journal(self.directory)

    def close(self) -> None:
        """Let go of the journal's files and of the lock."""
        self.close_points()
        self.events.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @property
    def events(self) -> EventLog:
        """The journal's event log, opened anew by a forked child at its first use."""
        with self._opening:
            if self._events is None:
                self._hold()
                self._events = EventLog(self.directory / EVENTS_FILE)
            return self._events

    def _hold(self) -> None:
        if self._lock is None:
            self._lock = RunLock.hold_shared(self.directory / LOCK_FILE)

    def after_fork(self) -> None:
        """In a forked child, let go of the parent's file, mapping and lock without touching them.

        The child takes a hold and a points file of its own when it first records something.
        """
        if self._points is not None:
            self._points.abandon()
            self._points = None
        if self._lock is not None:
            self._lock.abandon()
            self._lock = None
        if self._events is not None:
            self._events.abandon()
            self._events = None
        self._opening = threading.RLock()
        self.draft = fold_events([], run_id=self.directory.name, started=0)
        self._bind()

    def _bind(self) -> None:
        """Until the first metric, calls go through `_open_points`; from then on straight to the points file."""
        self.log: Callable[[Mapping[str, SupportsFloat], int | None, int | None], None] = self._log_first
        self.log_one: Callable[[str, SupportsFloat, int | None, int | None], None] = self._log_one_first

    def _log_first(self, metrics: Mapping[str, SupportsFloat], step: int | None, timestamp: int | None) -> None:
        self._open_points().log(metrics, step, timestamp)

    def _log_one_first(self, key: str, value: SupportsFloat, step: int | None, timestamp: int | None) -> None:
        self._open_points().log_one(key, value, step, timestamp)

    def _open_points(self) -> PointsWriter:
        with self._opening:
            self._hold()
            if self._points is None:
                name = f"{uuid.uuid4().hex[:16]}{POINTS_SUFFIX}"
                self._points = PointsWriter(
                    self.directory / name,
                    define_keys=lambda number, names: self.events.append(keys_event(name, number, names)),
                )
                self.log = self._points.log
                self.log_one = self._points.log_one
            return self._points
