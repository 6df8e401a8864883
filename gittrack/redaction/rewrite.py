"""Writes a run's tree anew without what was to be taken out: its records, metric parts, artifacts and source.

First `plan_redaction` says what would change and writes nothing; then `stage_redaction` writes the tree. Knows nothing
of branches, and of who asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from .. import layout
from ..admission import MAX_PART_SIZE
from ..content import ContentStore
from ..dropped import hide_previous
from ..errors import Corrupt
from ..history import History
from ..message import write_run_message
from ..model import Pointer, Snapshot
from ..revision import StagedTree, stage_snapshot
from ..series import decode_part, drop_metrics, encode_parts
from ..store import Commit, Store, TreeEntry
from .places import check_places, redact_places
from .text import TextSearch, spell_text

Effect = Literal["replaced", "removed"]

# A source file that is larger is not searched; what is captured by itself is a hundred times smaller.
_MAX_SOURCE_FILE = 64 << 20
_SYMLINK = 0o120000
_SUBMODULE = 0o160000


@dataclass(frozen=True)
class Change:
    """One place of a run, and whether its value is replaced or taken out; `count` is how often a text stood there."""

    place: str
    effect: Effect
    count: int = 1


@dataclass(frozen=True)
class Redaction:
    """What a redaction comes to.

    `snapshot` is the run without it, at the revision it has. `files` are the paths of source files with the bytes that
    replace them, None for those taken out; `contents` the artifacts whose content is written anew, without the text.
    `unseen` are the places that could not be searched for a text.
    """

    commit: Commit
    snapshot: Snapshot
    changes: tuple[Change, ...]
    files: Mapping[str, bytes | None]
    contents: Mapping[str, Pointer]
    search: TextSearch
    unseen: tuple[str, ...] = ()


def plan_redaction(
    history: History, content: ContentStore, commit: Commit, *, places: Iterable[str], texts: Iterable[str]
) -> Redaction:
    """Return what redacting some places and texts of the run in a commit comes to; writes nothing.

    Raises NotFound for a place that the run does not have, and InvalidInput for a text that is too short.
    """
    listed = tuple(dict.fromkeys(places))
    spellings = spell_text(texts)
    before = history.load_snapshot(commit)
    sources = _list_source(history.store, commit)
    check_places(before, listed, files=sources)
    search = TextSearch(spellings)
    snapshot = search.snapshot(redact_places(before, listed))
    files: dict[str, bytes | None] = {
        path: None for place in listed if (path := place.removeprefix("source/")) != place and path in sources
    }
    changes = [Change(place, _find_effect(place)) for place in listed]
    changes += [Change(place, _find_effect(place), count) for place, count in search.places.items()]
    contents: dict[str, Pointer] = {}
    unseen: list[str] = []
    if spellings:
        found = _search_artifacts(content, snapshot.artifacts, search, unseen)
        effects = {change.place: change.effect for change in found}
        kept = {
            path: pointer
            for path, pointer in snapshot.artifacts.items()
            if effects.get(f"artifacts/{path}") != "removed"
        }
        contents = {path: pointer for path, pointer in kept.items() if f"artifacts/{path}" in effects}
        snapshot = replace(snapshot, artifacts=kept)
        left = {path: entry for path, entry in sources.items() if path not in files}
        changes += [*found, *_search_source(history.store, left, search, files, unseen)]
    redacted = dict.fromkeys((*before.run.redacted, *(change.place for change in changes)))
    snapshot = replace(snapshot, run=replace(snapshot.run, redacted=tuple(redacted)))
    return Redaction(commit, snapshot, tuple(changes), files, contents, search, tuple(unseen))


def stage_redaction(history: History, content: ContentStore, redaction: Redaction, *, revision: int) -> StagedTree:
    """Write the tree of a planned redaction as a revision of its run.

    What it was made from is deleted, and only named in a way that leads nowhere. The new content of artifacts is in the
    content store first. Equal input gives an equal tree.
    """
    artifacts = dict(redaction.snapshot.artifacts)
    for path, pointer in redaction.contents.items():
        with content.open(pointer) as file:
            artifacts[path] = content.put_chunks(redaction.search.replace_stream(file))
    snapshot = replace(redaction.snapshot, artifacts=artifacts)
    staged = _stage(history, redaction.commit, snapshot, files=redaction.files, revision=revision)
    return _name_previous(staged, [hide_previous(staged.tree, redaction.commit.tree)])


def redact_tree(
    history: History,
    commit: Commit,
    places: Iterable[str],
    *,
    previous: Iterable[str],
    is_dropped: Callable[[str], bool],
) -> StagedTree:
    """Write the run of a commit without what is in some places, at the revision it has; places it lacks are fine.

    For a revision that was made by somebody who did not know of a redaction. `previous` are the trees of the revisions
    it was made from; those that are dropped are named in a way that leads nowhere.
    """
    listed = tuple(places)
    snapshot = redact_places(history.load_snapshot(commit), listed)
    sources = _list_source(history.store, commit) if any(place.startswith("source/") for place in listed) else {}
    files = {path: None for path in sources if f"source/{path}" in listed}
    staged = _stage(history, commit, snapshot, files=files, revision=snapshot.run.revision)
    return _name_previous(staged, [hide_previous(staged.tree, tree) if is_dropped(tree) else tree for tree in previous])


def _name_previous(staged: StagedTree, previous: Iterable[str]) -> StagedTree:
    return replace(staged, message=write_run_message(staged.snapshot, previous=previous))


def _stage(
    history: History,
    commit: Commit,
    snapshot: Snapshot,
    *,
    files: Mapping[str, bytes | None],
    revision: int,
) -> StagedTree:
    store = history.store
    entry = store.find_entry(commit.tree, layout.SOURCE_DIRECTORY)
    source = None if entry is None else entry.id
    run = replace(snapshot.run, revision=revision)
    if source is not None and files:
        source = _edit_tree(store, source, {tuple(path.split("/")): data for path, data in files.items()})
        run = replace(run, source=replace(run.source, tree=source))
    parts = _redact_parts(history, commit, set(snapshot.summary))
    return stage_snapshot(store, replace(snapshot, run=run), parts=parts, source=source)


def _redact_parts(history: History, commit: Commit, kept: set[str]) -> dict[str, bytes | TreeEntry]:
    """Return a run's metric parts with the points of some metrics alone; parts that have no others stay as they are."""
    before = history.load_snapshot(commit).summary.keys()
    gone = before - kept
    entries = history.find_parts(commit)
    if not gone:
        return dict(entries)
    parts: dict[str, bytes | TreeEntry] = {}
    for entry in entries.values():
        table = decode_part(history.store.get_blob(entry.id, limit=MAX_PART_SIZE))
        rest = drop_metrics(table, gone)
        pieces = [entry] if rest.num_rows == table.num_rows else list(encode_parts(rest))
        for piece in pieces:
            parts[layout.part_path(len(parts) + 1)] = piece
    return parts


def _edit_tree(store: Store, tree: str, files: Mapping[tuple[str, ...], bytes | None]) -> str:
    """Return a tree with other content in some files, or without them, and write it; a directory left empty is gone."""
    entries = store.get_tree(tree)
    below: dict[str, dict[tuple[str, ...], bytes | None]] = {}
    for (name, *rest), data in files.items():
        if rest:
            below.setdefault(name, {})[tuple(rest)] = data
        elif data is None:
            del entries[name]
        else:
            entries[name] = TreeEntry(entries[name].mode, store.write_blob(data))
    for name, inner in below.items():
        edited = _edit_tree(store, entries[name].id, inner)
        entries[name] = TreeEntry(entries[name].mode, edited)
        if not store.get_tree(edited):
            del entries[name]
    return store.write_tree(entries)


def _list_source(store: Store, commit: Commit) -> dict[str, TreeEntry]:
    entry = store.find_entry(commit.tree, layout.SOURCE_DIRECTORY)
    return {} if entry is None else dict(store.list_files(entry.id))


def _search_source(
    store: Store,
    sources: Mapping[str, TreeEntry],
    search: TextSearch,
    files: dict[str, bytes | None],
    unseen: list[str],
) -> list[Change]:
    """Look for the text in source files; put what replaces them into `files`, and what cannot be read into `unseen`."""
    changes = []
    for path, entry in sources.items():
        place = f"source/{path}"
        if search.occurs(path):
            files[path] = None
            changes.append(Change("source/[redacted]", "removed"))
            continue
        try:
            data = b"" if entry.mode == _SUBMODULE else store.get_blob(entry.id, limit=_MAX_SOURCE_FILE)
        except Corrupt:
            unseen.append(place)
            continue
        clean, count = search.replace_bytes(data)
        if count:
            binary = b"\0" in data or entry.mode == _SYMLINK
            files[path] = None if binary else clean
            changes.append(Change(place, "removed" if binary else "replaced", count))
    return changes


def _search_artifacts(
    content: ContentStore, artifacts: Mapping[str, Pointer], search: TextSearch, unseen: list[str]
) -> list[Change]:
    """Look for the text in the content of artifacts; put those whose content is not here into `unseen`."""
    changes = []
    for path, pointer in artifacts.items():
        place = f"artifacts/{path}"
        if content.find(pointer) is None:
            unseen.append(place)
            continue
        with content.open(pointer) as file:
            count, binary = search.inspect(file)
        if count:
            changes.append(Change(place, "removed" if binary else "replaced", count))
    return changes


def _find_effect(place: str) -> Effect:
    return "removed" if place.startswith(("artifacts/", "source/", "metrics.")) else "replaced"
