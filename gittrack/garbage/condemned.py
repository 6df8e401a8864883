"""Owns the list of condemned content: a file below the repository's gittrack directory, replaced as a whole.

Losing it loses room on the disk and nothing else: what is not listed is never deleted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .. import layout
from ..canonical import decode_object, encode_rows, format_time, parse_time
from ..content import ContentStore
from ..errors import Corrupt, GittrackError, StoreFailed
from ..history import History
from ..model import Pointer
from ..store import Commit, Store
from ..store.disk import NewFile, Sharing, make_directories, sync_directory


@dataclass(frozen=True)
class Condemned:
    """Content that no run needed when it was looked at.

    `since` is when it was condemned, in UTC microseconds; `stamp` what its file was then: one that was put again since
    has another.
    """

    pointer: Pointer
    since: int
    stamp: tuple[int, int]


def read_condemned(store: Store) -> dict[str, Condemned]:
    """Return what is condemned, by oid; a list that is missing or damaged is an empty one."""
    path = layout.condemned_path(store.repository.common_directory)
    try:
        rows: Mapping[str, Any] = decode_object(path.read_bytes(), where=str(path))
        return {oid: _read_row(oid, row, where=str(path)) for oid, row in rows.items()}
    except (OSError, Corrupt, KeyError, TypeError, ValueError):
        return {}


def _read_row(oid: str, row: Mapping[str, Any], *, where: str) -> Condemned:
    if re.fullmatch("[0-9a-f]{64}", oid) is None:
        raise Corrupt(f"{where}: not the name of a content: {oid!r:.80}")
    since = parse_time(row["since"], where=where)
    return Condemned(Pointer(oid, int(row["size"])), since, (int(row["inode"]), int(row["modified"])))


def list_contents(history: History, commits: Iterable[Commit]) -> tuple[Pointer, ...]:
    """Return the artifacts of some revisions, each content once; what cannot be read names none."""
    found: dict[str, Pointer] = {}
    for commit in commits:
        with suppress(GittrackError):
            found.update((pointer.oid, pointer) for pointer in history.list_pointers(commit).values())
    return tuple(found.values())


def condemn(store: Store, content: ContentStore, pointers: Iterable[Pointer], *, now: int) -> list[Condemned]:
    """Add content to the list, as far as it is here and not on it; return what was added, durably.

    Nothing is deleted by this, and content that is still needed may be on the list: `collect` looks. `now` is in UTC
    microseconds.
    """
    with store.lock():
        listed = read_condemned(store)
        added = []
        for pointer in pointers:
            stamp = content.find_stamp(pointer.oid) if pointer.size else None
            if stamp is not None and pointer.oid not in listed:
                listed[pointer.oid] = Condemned(pointer, now, stamp)
                added.append(listed[pointer.oid])
        if added:
            write_condemned(store, listed)
    return added


def write_condemned(store: Store, listed: Mapping[str, Condemned]) -> None:
    """Replace the list, durably; to be called under the store's lock. Raises StoreFailed."""
    path = layout.condemned_path(store.repository.common_directory)
    rows = {
        oid: {
            "size": entry.pointer.size,
            "since": format_time(entry.since),
            "inode": entry.stamp[0],
            "modified": entry.stamp[1],
        }
        for oid, entry in listed.items()
    }
    try:
        make_directories(path.parent)
        file = NewFile(path, temporary=path.with_name(f"{path.name}-{os.urandom(4).hex()}"), mode=0o666)
        try:
            file.write(encode_rows(rows))
            file.finish(sharing=Sharing())
        except BaseException:
            file.abandon()
            raise
        sync_directory(path.parent)
    except OSError as error:
        raise StoreFailed(f"{path} cannot be written: {error.strerror or error}") from error
