"""The crash-safe record of a run that is not committed yet.

`writer` is a recording process's hold on one; `directory` finds and reads them; `tables` reads their points. Below
those, `events`, `points` and `lock` each own one kind of file. Knows nothing of git.
"""

from __future__ import annotations

from .directory import (
    LOCK_FILE,
    delete_journal,
    find_last_write,
    has_dead_journals,
    is_live,
    list_journals,
    read_draft,
    remove_unfinished,
    sync_points,
)
from .events import EVENTS_FILE, EventLog
from .lock import RunLock
from .tables import gather_tables
from .writer import JournalWriter

__all__ = [
    "EVENTS_FILE",
    "LOCK_FILE",
    "EventLog",
    "JournalWriter",
    "RunLock",
    "delete_journal",
    "find_last_write",
    "gather_tables",
    "has_dead_journals",
    "is_live",
    "list_journals",
    "read_draft",
    "remove_unfinished",
    "sync_points",
]
