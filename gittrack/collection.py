"""All runs of one store as one frame: those on the branches, by the index, and over them the ones that are live.

Gives out the handle of any of them. Writes nothing but the index. Knows nothing of how runs are written or edited.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .address import find_prefix
from .content import ContentStore
from .errors import GittrackError, NotFound
from .frame import Frame, build_segment, join_frames
from .frame.arrays import join_chunks, make_constant, make_texts
from .history import History
from .index import Index, IndexedExperiment
from .live import KnownRevision, LiveRun, LiveRuns
from .lookup import choose_row
from .model import Experiment, Snapshot
from .query import SortKey, check_keys, filter_frame, parse_query, parse_sort, sort_rows
from .readers import CommitReader, FetchContent
from .run_table import RunTable
from .store import Commit
from .stored_run import StoredRun

# So many snapshots are kept, so that a run that is asked for again is not read again.
_MOST_SNAPSHOTS = 1000


class Collection:
    """The recorded and the live runs of one store, read together.

    `report` is told of each record that cannot be read, each time it is met; `note` of an index that is rebuilt;
    `progress` of how much of a long reading is done. `fetch` fetches content that is not here.
    """

    def __init__(
        self,
        history: History,
        content: ContentStore,
        *,
        report: Callable[[GittrackError], None],
        note: Callable[[str], None],
        progress: Callable[[int, int], None],
        fetch: FetchContent,
    ) -> None:
        self._history = history
        self._content = content
        self._report = report
        self._fetch = fetch
        self.index = Index(history, note=note, progress=progress)
        self._live_runs = LiveRuns(history, content, self.index.directory)
        self._live: dict[str, LiveRun] = {}
        self._snapshots: dict[str, Snapshot] = {}
        self._frames: dict[tuple[str | None, bool], tuple[list[IndexedExperiment], Frame]] = {}

    def load_frame(self, slug: str | None, *, removed: bool) -> Frame:
        """Return the runs of an experiment, or of all; see `Tracker.load_frame`."""
        found, live = self._read(slug)
        frame = self._join(slug, found, removed=removed)
        shown = [run for run in live if removed or self._is_shown(run, slug, found)]
        if live:
            frame = _overlay(frame, live, shown)
        return frame

    def load_table(self, frame: Frame) -> RunTable:
        """Return the visible runs of a frame, in its order."""
        return RunTable(frame, self.load_row, report=self._report)

    def search(
        self,
        slug: str | None,
        query: str | None,
        sort: str | Sequence[SortKey],
        *,
        removed: bool,
        limit: int | None,
        now: int,
    ) -> RunTable:
        """Return the runs that a query finds, in order; see `Tracker.list_runs`. `now` is in UTC microseconds."""
        # Read before the runs are: a slip of the pen is told at once.
        parsed = None if query is None else parse_query(query)
        keys = parse_sort(sort) if isinstance(sort, str) else sort
        frame = self.load_frame(slug, removed=removed)
        mask = frame.visible
        if frame.count:
            check_keys(keys, frame)
            if parsed is not None:
                check_keys(parsed, frame)
                mask = filter_frame(parsed, frame, now=now)
        return self.load_table(frame.take(sort_rows(frame, keys, mask, limit=limit)))

    def find_run(self, ref: str, slug: str | None) -> StoredRun:
        """Return the run that ref means; raises NotFound, Ambiguous, or Corrupt where its record is damaged."""
        frame = self.load_frame(slug, removed=True)
        try:
            row = choose_row(ref, frame)
        except NotFound:
            self._check_damaged(ref, slug)
            raise
        return self.load_row(frame, row)

    def load_row(self, frame: Frame, row: int) -> StoredRun:
        """Return the run of one row of a frame."""
        run_id, commit, live = (_get(frame, name, row) for name in ("id", "commit", "live"))
        if not live:
            return self.load_commit(self._history.store.get_commit(commit))
        known = self._live.get(run_id)
        return self.find_run(run_id, None) if known is None else known.run

    def load_commit(self, commit: Commit) -> StoredRun:
        """Return the run that a commit holds."""
        snapshot = self._snapshots.get(commit.id)
        if snapshot is None:
            if len(self._snapshots) >= _MOST_SNAPSHOTS:
                self._snapshots.clear()
            snapshot = self._snapshots[commit.id] = self._history.load_snapshot(commit)
        return StoredRun(snapshot, self._read_from(commit), commit=commit.id)

    def _read_from(self, commit: Commit) -> CommitReader:
        return CommitReader(self._history, self._content, commit, fetch=self._fetch)

    def list_experiments(self) -> list[Experiment]:
        """Return all experiments, sorted by slug; one of which there are only live runs is among them."""
        found, live = self._read(None)
        experiments = {entry.slug: entry.experiment for entry in found}
        for run in (entry.run for entry in live):
            experiments.setdefault(run.experiment, Experiment(run.experiment, run.experiment, created=run.started))
        return [experiments[slug] for slug in sorted(experiments)]

    def find_slug(self, run_id: str) -> str | None:
        """Return the experiment whose branches hold a run (a whole id), be its record damaged or not."""
        for entry in self.index.read():
            if entry.holds(run_id):
                return entry.slug
        return None

    def _read(self, slug: str | None) -> tuple[list[IndexedExperiment], list[LiveRun]]:
        """Return what the branches hold and what is live, so that no run is missing from both.

        Raises NotFound for an experiment that does not exist.
        """
        directories = self._live_runs.list_directories()
        found = self.index.read(slug)
        live = self._live_runs.load(directories, find_known=self._find_known) if directories else []
        if len(live) < len(directories):
            found = self.index.read(slug)  # a run may have ended after the branches were read
        self._live = {entry.run.id: entry for entry in live}
        live = [entry for entry in live if slug is None or entry.run.experiment == slug]
        if slug is not None and not found and not live:
            raise NotFound(f"no experiment {slug!r:.100}", hint="gittrack experiment ls")
        for entry in found:
            for damage in entry.damages:
                self._report(damage)
        return found, live

    def _find_known(self, slug: str, run_id: str) -> KnownRevision | None:
        for entry in self.index.read(slug):
            row = entry.find_row(run_id)
            if row is not None:
                commit, revision, tree = (_get(entry.frame, name, row) for name in ("commit", "revision", "tree"))
                return KnownRevision(commit, revision, tree)
        return None

    def _join(self, slug: str | None, found: list[IndexedExperiment], *, removed: bool) -> Frame:
        """Return the stored runs; the same frame as before where nothing has changed, for what it has worked out."""
        known = self._frames.get((slug, removed))
        if known is not None and known[0] == found:
            return known[1]
        shown = [entry for entry in found if removed or slug is not None or entry.experiment.removed is None]
        frame = join_frames(_hide_copies(shown))
        if not removed:
            gone = frame.get_attribute("removed")
            if gone.null_count < len(gone):
                frame = frame.filter(gone.is_null())
        self._frames[slug, removed] = found, frame
        return frame

    def _is_shown(self, entry: LiveRun, slug: str | None, found: list[IndexedExperiment]) -> bool:
        if slug is None and any(
            known.slug == entry.run.experiment and known.experiment.removed is not None for known in found
        ):
            return False
        return entry.run.removed is None

    def _check_damaged(self, ref: str, slug: str | None) -> None:
        """Raise what is wrong with the run whose id ref begins, if it is there and its record is damaged."""
        prefix = find_prefix(ref)
        if prefix is None:
            return
        for entry in self.index.read(slug):
            error = entry.find_damage(prefix)
            if error is not None:
                raise error


def _hide_copies(found: list[IndexedExperiment]) -> list[Frame]:
    """Return the frames of experiments, each run in one of them.

    A branch that was copied or renamed by hand holds runs of an experiment of another name. They are shown where no
    branch of that name has them.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    strange = [
        pc.and_(pc.not_equal(entry.frame.get_attribute("experiment"), make_texts([entry.slug])[0]), entry.frame.visible)
        for entry in found
    ]
    if not any(pc.any(mask).as_py() for mask in strange):
        return [entry.frame for entry in found]
    known = pa.concat_arrays(
        [make_texts([])]
        + [
            join_chunks(entry.frame.get_attribute("id").filter(pc.and_not(entry.frame.visible, mask)))
            for entry, mask in zip(found, strange, strict=True)
        ]
    )
    frames = []
    for entry, mask in zip(found, strange, strict=True):
        ids = entry.frame.get_attribute("id")
        copies = pc.and_(mask, pc.is_in(ids, value_set=known))
        frames.append(entry.frame.filter(pc.invert(copies)))
        known = pa.concat_arrays([known, join_chunks(ids.filter(mask))])
    return frames


def _overlay(frame: Frame, live: list[LiveRun], shown: list[LiveRun]) -> Frame:
    """Put live runs over what is stored of them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    stored = pc.is_in(frame.get_attribute("id"), value_set=make_texts([entry.run.id for entry in live]))
    segment = build_segment([entry.record for entry in shown])
    kept = frame.filter(pc.invert(stored)).visible
    visible = pa.concat_arrays([kept, make_constant(True, segment.height)])
    return Frame([*frame.segments, segment], visible)


def _get(frame: Frame, name: str, row: int) -> Any:
    return frame.get_attribute(name)[row].as_py()
