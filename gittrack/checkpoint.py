"""Turns a journal into its run's next revision: at a checkpoint, at the end, or after the recording process died.

Bytes before pointers, objects before refs, refs before deletion; every step can be repeated. Knows nothing of live
processes beyond the lock that tells them from dead ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from . import layout
from .admission import MAX_PART_SIZE
from .content import ContentStore
from .draft import Draft, Intent, artifact_event, commit_event, end_event
from .errors import NotFound
from .history import History
from .journal import (
    EVENTS_FILE,
    LOCK_FILE,
    EventLog,
    RunLock,
    delete_journal,
    find_last_write,
    gather_tables,
    read_draft,
    sync_points,
)
from .model import Run, SourceLink, Status
from .revision import Stamp, append_run, stage_snapshot
from .series import SummaryBuilder, decode_part, encode_parts
from .store import Commit, Store, TreeEntry

if TYPE_CHECKING:
    import pyarrow as pa

MakeStamp = Callable[[int], Stamp]


@dataclass(frozen=True)
class Previous:
    """The last revision of a run on the branch, and how much of each points file it holds."""

    commit: Commit
    revision: int
    offsets: Mapping[str, int]
    intent: Intent | None = None
    summaries: SummaryBuilder | None = None


def find_previous(history: History, draft: Draft) -> Previous | None:
    """Return the revision that a journal's next one follows: its own last one, else the one the run was resumed from.

    An intent whose commit is not on the branch was cut short before the ref moved, and counts for nothing. Where the
    commit that the run was resumed from is gone, with a branch that was written again since, the revision that speaks
    for the run stands for it; where there is none any more, the run begins anew.
    """
    for intent in reversed(draft.intents):
        run = draft.run
        commit = history.find_commit(run.experiment, run.id, revision=intent.revision, tree=intent.tree)
        if commit is not None:
            return _load_previous(history, commit, intent=intent)
    if draft.base is None:
        return None
    try:
        base = history.store.get_commit(draft.base)
    except NotFound:
        known = history.list_run_revisions(draft.run.experiment, draft.run.id)
        if not known:
            return None
        base = known[0].commit
    return _load_previous(history, base, intent=None)


def _load_previous(history: History, commit: Commit, *, intent: Intent | None) -> Previous:
    snapshot = history.load_snapshot(commit)
    offsets = intent.offsets if intent else {}
    return Previous(commit, snapshot.run.revision, offsets, intent)


def build_summaries(history: History, previous: Previous | None) -> SummaryBuilder:
    """Return the summaries of all points that a revision holds, ready for more.

    A process that checkpoints keeps them; one that takes a run over reads the earlier parts once.
    """
    if previous is not None and previous.summaries is not None:
        return previous.summaries
    builder = SummaryBuilder()
    for table in read_parts(history.store, history.find_parts(previous.commit) if previous else {}, metric=None):
        builder.add(table)
    return builder


def read_parts(store: Store, parts: Mapping[str, TreeEntry], *, metric: str | None) -> Iterator[pa.Table]:
    """Yield the points of each metric part, of one metric or of all; page checksums are verified."""
    for entry in parts.values():
        yield decode_part(store.get_blob(entry.id, limit=MAX_PART_SIZE), metric=metric)


def commit_draft(
    history: History,
    directory: Path,
    draft: Draft,
    *,
    previous: Previous | None,
    stamp: Stamp,
    log: EventLog,
) -> Previous:
    """Make a journal's present state the run's next revision, and return it; durable when it returns.

    Only points that no earlier revision holds are written. The intent is on disk before the branch moves, so that a
    crash between the two is told from one before.
    """
    parts: dict[str, bytes | TreeEntry] = dict(history.find_parts(previous.commit)) if previous else {}
    summaries = build_summaries(history, previous)
    offsets = dict(previous.offsets) if previous else {}
    for table, reached in gather_tables(directory, draft, offsets=offsets):
        for part in encode_parts(table):
            parts[layout.part_path(len(parts) + 1)] = part
        summaries.add(table)
        offsets = reached
    revision = previous.revision + 1 if previous else 1
    source = resolve_source(history.store, draft.run.source)
    records = draft.records  # counted first: another thread may add to the draft meanwhile
    snapshot = draft.snapshot()
    run = replace(snapshot.run, revision=revision, source=source)
    snapshot = replace(snapshot, run=run, summary=summaries.build())
    before = (previous.commit.tree,) if previous else ()
    staged = stage_snapshot(history.store, snapshot, parts=parts, source=source.tree, previous=before)
    log.append(commit_event(intent := Intent(revision, staged.tree, offsets, records)))
    log.sync()
    commit = append_run(history, staged, stamp, experiment_name=draft.experiment_name)
    return Previous(commit, revision, offsets, intent, summaries)


def is_settled(history: History, directory: Path, draft: Draft, previous: Previous | None) -> bool:
    """Tell whether the branch already holds everything that a journal does."""
    if previous is None or previous.intent is None or draft.records > previous.intent.records:
        return False
    return next(iter(gather_tables(directory, draft, offsets=previous.offsets)), None) is None


def keep_outputs(content: ContentStore, directory: Path, draft: Draft, *, log: EventLog) -> None:
    """Move the output files that a journal holds into the content store, as artifacts of the run."""
    for path, name in draft.outputs.items():
        file = directory / name
        if path not in draft.artifacts and file.is_file():
            with content.hold():
                event = artifact_event(path, content.put_file(file))
                log.append(event)
            draft.apply(event)


def recover_journal(history: History, content: ContentStore, directory: Path, make_stamp: MakeStamp) -> Commit | None:
    """Commit the journal of a dead run and delete it; return the commit, or None where there was nothing to do.

    None too where a process holds the journal: that run lives. A run that never ended is recorded as KILLED, ended at
    the last thing it wrote. Safe to repeat after a crash at any point.
    """
    lock = RunLock.try_exclusive(directory / LOCK_FILE)
    if lock is None:
        return None
    try:
        draft = read_draft(directory)
        if draft.empty:
            delete_journal(directory)
            return None
        log = EventLog(directory / EVENTS_FILE)
        try:
            if not draft.ended:
                sync_points(directory)
                event = end_event(Status.KILLED, time=find_last_write(directory, draft), exit_code=None)
                log.append(event)
                draft.apply(event)
            keep_outputs(content, directory, draft, log=log)
            previous = find_previous(history, draft)
            commit = None
            if not is_settled(history, directory, draft, previous):
                stamp = make_stamp(draft.run.ended or 0)
                commit = commit_draft(history, directory, draft, previous=previous, stamp=stamp, log=log).commit
        finally:
            log.close()
        release_source(history, draft)
        history.store.sweep()
        delete_journal(directory)
        return commit
    finally:
        lock.release()


def resolve_source(store: Store, source: SourceLink) -> SourceLink:
    """Return the link with its tree: a clean working tree's is its commit's own.

    Where the store no longer has the commit (rewritten and pruned during the run), nothing is captured.
    """
    if source.tree is not None or source.commit is None or source.captured == "none":
        return source
    try:
        return replace(source, tree=store.get_commit(source.commit).tree)
    except NotFound:
        return replace(source, captured="none")


def get_source_tree(store: Store, commit: str | None, run: Run) -> str:
    """Return the id of the tree of a run's source: what stands in its commit, of a live run without one what it says.

    Raises NotFound where there is none.
    """
    if commit is None:
        tree = resolve_source(store, run.source).tree
    else:
        entry = store.find_entry(store.get_commit(commit).tree, layout.SOURCE_DIRECTORY)
        tree = entry.id if entry is not None and entry.is_tree else None
    if tree is None:
        raise NotFound(f"run {run.name} has no source: none was captured when it was recorded")
    return tree


def release_source(history: History, draft: Draft) -> None:
    """Drop the ref that kept a live run's source from being pruned, once the run's own commit holds the tree."""
    if draft.run.source.tree is None:
        return  # a clean tree is its commit's own, and needed no ref
    ref = layout.live_ref(draft.run.id)
    with history.store.lock():
        known = history.store.find_ref(ref)
        if known is not None:
            history.store.delete_ref(ref, old=known)
