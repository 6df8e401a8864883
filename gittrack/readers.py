"""Where a run's points and contents come from: a commit, or the journal of a live run.

Knows nothing of how runs are found or written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .checkpoint import Previous, build_summaries, find_previous, read_parts
from .content import ContentStore
from .draft import Draft
from .errors import NotFound
from .history import History
from .journal import gather_tables, is_live, read_draft
from .model import Pointer
from .series import merge_tables, select_series
from .store import Commit
from .stored_run import StoredRun

if TYPE_CHECKING:
    import pyarrow as pa

    from .content_remote import Transferred

# Fetches content from where it is kept for others.
FetchContent = Callable[[Sequence[Pointer]], "Transferred"]


class CommitReader:
    """Reads the points and contents of a run that is in the store."""

    def __init__(
        self, history: History, content: ContentStore, commit: Commit, *, fetch: FetchContent | None = None
    ) -> None:
        self._history = history
        self._content = content
        self._commit = commit
        self._fetch = fetch

    def read_points(self, metric: str | None) -> pa.Table:
        """Return the points of one metric, or of all; page checksums are verified."""
        parts = self._history.find_parts(self._commit)
        tables = list(read_parts(self._history.store, parts, metric=metric))
        return tables[0] if len(tables) == 1 else merge_tables(tables)

    def read_tables(self) -> Iterator[pa.Table]:
        """Yield the points of all metrics, a table of bounded size for each part, as they were recorded."""
        yield from read_parts(self._history.store, self._history.find_parts(self._commit), metric=None)

    def find_content(self, pointer: Pointer) -> Path | None:
        """Return the local file with an artifact's content, if it is here."""
        return self._content.find(pointer)

    def fetch_content(self, pointer: Pointer) -> Path | None:
        """Return that file when the content was fetched; None where nobody has it, or nobody can be asked."""
        failed = self._fetch([pointer]).failed if self._fetch is not None else ()
        if failed:
            raise failed[0].error
        return self._content.find(pointer)


class JournalReader:
    """Reads the points and contents of a live run: what earlier revisions hold, and what its journal adds."""

    def __init__(
        self, history: History, content: ContentStore, directory: Path, *, draft: Draft, previous: Previous | None
    ) -> None:
        self._history = history
        self._content = content
        self._directory = directory
        self._draft = draft
        self._previous = previous

    def read_points(self, metric: str | None) -> pa.Table:
        """Return the points of one metric, or of all, as the journal stood when it was read."""
        parts = self._history.find_parts(self._previous.commit) if self._previous else {}
        tables = list(read_parts(self._history.store, parts, metric=metric))
        merged = merge_tables([*tables, *self._gather()])
        return merged if metric is None else select_series(merged, metric)

    def find_content(self, pointer: Pointer) -> Path | None:
        """Return the local file with an artifact's content, if it is here."""
        return self._content.find(pointer)

    def fetch_content(self, pointer: Pointer) -> Path | None:
        """Return that file: what a live run has is on the machine it runs on."""
        return self._content.find(pointer)

    def _gather(self) -> list[pa.Table]:
        if not self._directory.exists():
            run = self._draft.run
            raise NotFound(
                f"run {run.name} has ended since it was read; read it again", hint=f'gittrack.get_run("{run.id}")'
            )
        offsets = self._previous.offsets if self._previous else {}
        return [table for table, _ in gather_tables(self._directory, self._draft, offsets=offsets)]

    def load(self) -> StoredRun:
        """Return the live run as it stands now, its metrics' summaries up to date."""
        summaries = build_summaries(self._history, self._previous)
        for table in self._gather():
            summaries.add(table)
        snapshot = replace(self._draft.snapshot(), summary=summaries.build())
        commit = self._previous.commit.id if self._previous else None
        if self._previous:
            snapshot = replace(snapshot, run=replace(snapshot.run, revision=self._previous.revision))
        return StoredRun(snapshot, self, commit=commit, live=True)


def load_live_run(history: History, content: ContentStore, directory: Path) -> StoredRun | None:
    """Return the run that a living process records in a journal, or None where it has ended or its process is dead."""
    if not is_live(directory):
        return None
    draft = read_draft(directory)
    if draft.ended or not draft.started:
        return None
    previous = find_previous(history, draft) if draft.intents or draft.base else None
    try:
        return JournalReader(history, content, directory, draft=draft, previous=previous).load()
    except (NotFound, FileNotFoundError):  # it ended while it was read
        return None
