"""Where a run is recorded: the repository of the code, the one that holds the runs, and who records.

Lends out this process's open tracker for it. Knows nothing of runs.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InvalidInput
from .repository import Repository, find_repository, get_current_directory, get_repository
from .settings import Settings, load_settings
from .store import Ident, read_identity

if TYPE_CHECKING:
    from .tracker import Tracker

_trackers: dict[tuple[object, ...], Tracker] = {}
_tracker_lock = threading.Lock()


@dataclass(frozen=True)
class Place:
    """Where a run is recorded: the repository of the code (if any), the one that holds the runs, and the settings."""

    directory: Path
    code: Repository | None
    repository: Repository
    settings: Settings

    @cached_property
    def identity(self) -> Ident:
        """Who records, as the user's Git is set up."""
        return read_identity(self.code or self.repository)

    @contextmanager
    def open_tracker(self) -> Iterator[Tracker]:
        """Lend out this process's tracker for the store; journals of dead processes are left as they are.

        It stays open for the next run: a sweep in one process would open the same packs again and again.
        """
        from .tracker import Tracker

        key = (self.repository.common_directory, self.settings, self.code, self.identity)
        with _tracker_lock:
            tracker = _trackers.get(key)
            if tracker is None:
                close_trackers()
                tracker = _trackers[key] = Tracker(
                    self.repository, self.settings, code=self.code, identity=self.identity
                )
        yield tracker


def close_trackers() -> None:
    """Close what is lent out; it opens itself again where it is used after all."""
    for tracker in _trackers.values():
        tracker.close()
    _trackers.clear()


def find_code() -> tuple[Path, Repository | None]:
    """Return the directory this process works in, and the repository of the code there, if any."""
    directory = get_current_directory()
    return directory, find_repository(directory)


def find_place(store: str | Path | None = None) -> Place:
    """Return where a run started here and now is recorded; raises NotFound outside of any repository."""
    directory, code = find_code()
    return choose_place(directory, code, store=store)


def choose_place(
    directory: Path,
    code: Repository | None,
    *,
    store: str | Path | None,
    forgive: Callable[[InvalidInput], None] | None = None,
) -> Place:
    """Return where a run of the code in directory is recorded; raises NotFound where that is no repository.

    `forgive` is told of bad settings that recording can do without, which are an error otherwise.
    """
    settings = load_settings(code, environ=os.environ, directory=directory, forgive=forgive)
    chosen = settings.store if store is None else directory / Path(store).expanduser()
    if chosen is None and code is not None:
        return Place(directory, code, code, settings)
    return Place(directory, code, get_repository(chosen or directory), settings)


def forget_trackers() -> None:
    """In a forked child, leave the parent's trackers alone: the locks they held would stay locked here."""
    global _tracker_lock
    _tracker_lock = threading.Lock()
    _trackers.clear()
