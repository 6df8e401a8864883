"""Frees the room that the content of artifacts takes on this machine, where somebody else has it, or nobody has to.

The pointers stay, and so does every run: content that is asked for again is fetched. Knows nothing of terminals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ..errors import RemoteFailed, StoreFailed
from ..garbage import find_shared
from ..garbage.references import find_journal_oids
from ..model import Pointer
from ..sync.holdings import ask_holdings
from ..tracker import Tracker
from ..usage import find_sharers, read_census

_PATIENCE = 60.0


@dataclass(frozen=True)
class Local:
    """A content on this machine: the paths it has in the run, and the names of other runs that have it too.

    `copy` is the remote that says it has it, if one does. `kept` says why it is not to be deleted, if it is not.
    `stamp` tells its file from one that is put later.
    """

    pointer: Pointer
    paths: tuple[str, ...]
    shared: tuple[str, ...]
    copy: str
    kept: str
    stamp: tuple[int, int]


def survey_local_content(
    tracker: Tracker,
    run_id: str,
    artifacts: Mapping[str, Pointer],
    *,
    last_copy: bool,
    interactive: bool = False,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[Local]:
    """Return what of some artifacts of a run is on this machine, and what freeing it would come to.

    Content that no remote has is to be kept unless `last_copy`; so is, in any case, what a run needs that is being
    recorded. Asks the remote; changes nothing. Raises what `read_census` does.
    """
    paths: dict[Pointer, list[str]] = {}
    for path, pointer in sorted(artifacts.items()):
        paths.setdefault(pointer, []).append(path)
    stamps = {
        pointer: stamp
        for pointer in paths
        if pointer.size and (stamp := tracker.content.find_stamp(pointer.oid)) is not None
    }
    if not stamps:
        return []
    remote, held, unknown = _ask(tracker, stamps, interactive=interactive)
    sharers = find_sharers(read_census(tracker.history, report=report), {pointer.oid for pointer in stamps})
    recorded = find_journal_oids(tracker.repository.common_directory)
    store = find_shared(tracker.history, tracker.content)
    found = []
    for pointer, stamp in stamps.items():
        others = tuple(sorted(needs.name for needs in sharers[pointer.oid] if needs.run_id != run_id))
        kept = ""
        if pointer.oid in recorded:
            kept = "a run needs it that is being recorded"
        elif pointer not in held and not last_copy:
            kept = unknown or f"{remote} does not have it"
        elif store and not last_copy and pointer not in held:
            kept = store
        copy = remote if pointer in held else ""
        found.append(Local(pointer, tuple(paths[pointer]), others, copy, kept, stamp))
    return found


def delete_local_content(tracker: Tracker, contents: Iterable[Local]) -> list[Local]:
    """Delete what was surveyed and is not to be kept, and return what was deleted.

    What was put again since, or is needed by now by a run that is being recorded, stays. Raises StoreFailed where the
    disk does not do it, or somebody has been keeping content for a minute.
    """
    content = tracker.content
    deleted = []
    with content.hold_alone(patience=_PATIENCE) as alone:
        if not alone:
            raise StoreFailed(f"nothing was deleted: somebody is keeping content in {content.directory} right now")
        recorded = find_journal_oids(tracker.repository.common_directory)
        try:
            for entry in contents:
                oid = entry.pointer.oid
                if entry.kept or oid in recorded or not content.set_aside(oid, entry.stamp):
                    continue
                if content.delete_aside(oid):
                    deleted.append(entry)
        except OSError as error:
            raise StoreFailed(f"content in {content.directory} cannot be deleted: {error.strerror or error}") from error
    return deleted


def _ask(tracker: Tracker, pointers: Iterable[Pointer], *, interactive: bool) -> tuple[str, frozenset[Pointer], str]:
    """Return the remote, what it has, and why nothing is known of it, if nothing is."""
    try:
        found = ask_holdings(tracker.repository, pointers, settings=tracker.settings, interactive=interactive)
    except RemoteFailed as error:
        return "", frozenset(), f"it is not known whether a remote has it: {error.message}"
    if not found.remote:
        return "", frozenset(), "there is no remote that could have it"
    return found.remote, found.held, ""
