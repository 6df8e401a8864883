"""The journal directories of a repository: which there are, whether a process holds one, and what one says.

Knows nothing of how a journal is written to, or of git.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from .. import layout
from ..draft import Draft, fold_events, incomplete_event
from .events import EVENTS_FILE, read_events
from .lock import is_live as is_lock_held
from .points import read_points
from .tables import list_points_files

LOCK_FILE = "lock"
COMMIT_LOCK_FILE = "commit"
UNFINISHED_PREFIX = ".new-"
_DELETED_PREFIX = ".old-"


def list_journals(common_directory: Path) -> list[Path]:
    """Return the journal directories of a repository, live and dead, sorted by run id."""
    root = layout.journals_directory(common_directory)
    try:
        names = sorted(entry.name for entry in os.scandir(root) if layout.is_run_id(entry.name))
    except FileNotFoundError:
        return []
    return [root / name for name in names]


def is_live(directory: Path) -> bool:
    """Tell whether a process holds the journal in a directory."""
    return is_lock_held(directory / LOCK_FILE)


def has_dead_journals(common_directory: Path) -> bool:
    """Tell whether a process died and left a journal that is not committed."""
    return any(not is_live(directory) for directory in list_journals(common_directory))


def read_draft(directory: Path) -> Draft:
    """Return the run that a journal's events describe; damaged events are passed over and noted as incomplete."""
    try:
        events, damaged = read_events(directory / EVENTS_FILE)
        modified = _modified(directory)
    except FileNotFoundError:  # whoever held the journal deleted it just now
        events, damaged, modified = [], 0, 0
    draft = fold_events(events, run_id=directory.name, started=modified)
    if damaged:
        draft.apply(incomplete_event(f"{damaged} damaged lines were passed over in {EVENTS_FILE}"))
    return draft


def find_last_write(directory: Path, draft: Draft) -> int:
    """Return when a dead run last recorded something, as far as its files tell, in UTC microseconds."""
    times = [draft.run.started]
    for path in directory.iterdir():
        times.append(_modified(path))
    for file in list_points_files(directory):
        for batch in read_points(file):
            times.extend(max(rows.timestamps) for rows in batch.rows)
    return max(times)


def sync_points(directory: Path) -> None:
    """Return when all points recorded so far are on disk, those of other processes too.

    To be called before the run's end is recorded: an end that survives a power cut must not stand without its points.
    """
    for path in [*list_points_files(directory), directory]:
        file = os.open(path, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)


def remove_unfinished(common_directory: Path, *, before: float) -> None:
    """Remove journals that were never finished being created, or deleted, untouched since `before` (in seconds).

    Nothing in the former was ever acknowledged, and everything in the latter is committed.
    """
    root = layout.journals_directory(common_directory)
    for directory in (*root.glob(f"{UNFINISHED_PREFIX}*"), *root.glob(f"{_DELETED_PREFIX}*")):
        with suppress(OSError):
            if directory.stat().st_mtime < before and not is_live(directory):
                shutil.rmtree(directory)


def delete_journal(directory: Path) -> None:
    """Delete a journal: at once for whoever looks for it, then file by file. Safe to repeat."""
    deleted = directory.with_name(f"{_DELETED_PREFIX}{directory.name}-{os.urandom(4).hex()}")
    with suppress(FileNotFoundError):
        directory.rename(deleted)
    shutil.rmtree(deleted, ignore_errors=True)


def _modified(path: Path) -> int:
    return path.stat().st_mtime_ns // 1000
