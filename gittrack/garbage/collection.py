"""Deletes condemned content whose time has come, after one more look at who needs it.

The order: look, with everybody free to go on; then, while nobody can put content that is not on record, set it aside,
look again, bring back what is needed by now, delete the rest. What a process leaves set aside that dies over it is
brought back by whoever looks for it, or by the next collection.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..content import ContentStore
from ..errors import StoreFailed
from ..history import History
from ..model import Pointer
from .condemned import Condemned, read_condemned, write_condemned
from .references import FindDropped, References, Unsure

_PATIENCE = 60.0


@dataclass(frozen=True)
class Collected:
    """What became of condemned content.

    `deleted` is gone. `needed` is taken off the list: something refers to it. `waiting` is still condemned. `unsure`
    says why what was due was not deleted, if it was not.
    """

    deleted: tuple[Pointer, ...] = ()
    needed: tuple[Pointer, ...] = ()
    waiting: tuple[Condemned, ...] = ()
    unsure: str = ""


def find_shared(history: History, content: ContentStore) -> str:
    """Return why content must never be deleted here, or nothing: another repository may keep its own with it."""
    common = history.store.repository.common_directory.resolve()
    if common not in content.directory.resolve().parents:
        return f"content is kept in {content.directory}, which other repositories may share (lfs.storage)"
    return ""


def collect(history: History, content: ContentStore, *, now: int, grace: int, find_dropped: FindDropped) -> Collected:
    """Delete what was condemned `grace` microseconds ago or earlier and is not needed; say what became of all.

    `now` is in UTC microseconds. Safe to repeat, beside others who record, push or do the same, and after a crash at
    any point. Raises StoreFailed where the list cannot be written, Unsupported without git.
    """
    store = history.store
    _bring_back_leftovers(content)
    listed = read_condemned(store)
    if not listed:
        return Collected()
    reason = find_shared(history, content)
    if reason:
        return Collected(waiting=tuple(listed.values()), unsure=reason)
    references = References(history, [entry.pointer for entry in listed.values()], find_dropped=find_dropped)
    try:
        needed = references.look()
        due = [entry for oid, entry in listed.items() if oid not in needed and entry.since + grace <= now]
        deleted = _delete(content, references, due, needed) if due else set()
    except Unsure as error:
        return Collected(waiting=tuple(listed.values()), unsure=error.message)
    with store.lock():
        left = {oid: entry for oid, entry in read_condemned(store).items() if oid not in deleted | needed}
        left = {oid: kept for oid, entry in left.items() if (kept := _renew(content, entry, now)) is not None}
        write_condemned(store, left)
    postponed = [entry for entry in due if entry.pointer.oid in left and left[entry.pointer.oid] == entry]
    return Collected(
        deleted=tuple(entry.pointer for oid, entry in listed.items() if oid in deleted),
        needed=tuple(entry.pointer for oid, entry in listed.items() if oid in needed),
        waiting=tuple(left.values()),
        unsure="git is adding files, or somebody is keeping content, right now" if postponed else "",
    )


def _delete(content: ContentStore, references: References, due: list[Condemned], needed: set[str]) -> set[str]:
    """Delete what nobody needs after all, and return its oids; what is needed by now is added to `needed`."""
    with content.hold_alone(patience=_PATIENCE) as alone:
        if not alone:
            return set()
        aside = []
        try:
            aside = [entry.pointer.oid for entry in due if content.set_aside(entry.pointer.oid, entry.stamp)]
            # Whoever saw the content before it was set aside has named it by now, or still holds the index locked.
            if references.is_index_locked():
                return set()
            needed |= references.look()
            return {oid for oid in aside if oid not in needed and content.delete_aside(oid)}
        except OSError as error:
            raise StoreFailed(f"content in {content.directory} cannot be deleted: {error.strerror or error}") from error
        finally:
            for oid in content.list_aside():
                content.bring_back(oid)


def _bring_back_leftovers(content: ContentStore) -> None:
    """Bring back what a process left aside that died; where one is at it right now, it is left to that one."""
    if content.list_aside():
        with content.hold_alone(patience=0) as alone:
            for oid in content.list_aside() if alone else ():
                content.bring_back(oid)


def _renew(content: ContentStore, entry: Condemned, now: int) -> Condemned | None:
    """Return an entry as it stands: condemned anew where somebody put the content again, None where it is gone."""
    stamp = content.find_stamp(entry.pointer.oid)
    if stamp is None:
        return None
    return entry if stamp == entry.stamp else replace(entry, since=now, stamp=stamp)
