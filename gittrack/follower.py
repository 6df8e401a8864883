"""Follows a live run: reads what its journal says once, and from then on only what is new in it.

Knows nothing of what is done with it, or of clocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from . import layout
from .checkpoint import find_previous, read_parts
from .draft import Draft
from .errors import NotFound
from .figure import Points, read_points
from .journal import EVENTS_FILE, gather_tables, is_live, list_journals, read_draft
from .model import MetricSummary, Run, Scalar
from .series import SummaryBuilder
from .series.table import find_segments
from .stored_run import StoredRun
from .tracker import Tracker

if TYPE_CHECKING:
    import pyarrow as pa


class RunFollower:
    """A run as it stood at the last look, and its points so far.

    `live` tells whether a process was recording it then. Once it has ended, `run` is what was committed. A run that was
    not live to begin with is read once.
    """

    def __init__(self, tracker: Tracker, run: StoredRun) -> None:
        """Take up a run; nothing is read before the first look."""
        self.run: Run = run.snapshot.run
        self.params: Mapping[str, Scalar] = run.params
        self.summary: Mapping[str, MetricSummary] = {}
        self.series: dict[str, Points] = {}
        self.live = run.live
        self._tracker = tracker
        self._directory = layout.journal_directory(tracker.repository.common_directory, run.id)
        self._stored: StoredRun | None = None if run.live else run
        self._seen: tuple[int, int] | None = None
        self._draft: Draft | None = None
        self._builder = SummaryBuilder()
        self._offsets: Mapping[str, int] = {}

    def look(self) -> bool:
        """Take in what is new, and tell whether anything was.

        Raises NotFound where the run is gone altogether.
        """
        if not self.live:
            return self._read_stored()
        try:
            if is_live(self._directory):
                return self._read_journal()
        except FileNotFoundError:  # it ended while it was read
            pass
        return self._find_end()

    def _read_journal(self) -> bool:
        first = self._draft is None
        changed = self._read_events()
        assert self._draft is not None
        if first:
            self._read_earlier(self._draft)
        for table, offsets in gather_tables(self._directory, self._draft, offsets=self._offsets):
            self._offsets = offsets
            self._take(table)
            changed = True
        return changed

    def _read_events(self) -> bool:
        """Read the events anew where there are more of them, and tell whether there were."""
        seen = _measure(self._directory / EVENTS_FILE)
        if seen == self._seen:
            return False
        self._seen = seen
        self._draft = read_draft(self._directory)
        self.run, self.params = self._draft.run, dict(self._draft.params)
        return True

    def _read_earlier(self, draft: Draft) -> None:
        """Take in the points that the run's earlier revisions hold, where it was checkpointed or resumed."""
        history = self._tracker.history
        previous = find_previous(history, draft) if draft.intents or draft.base else None
        if previous is not None:
            self._offsets = previous.offsets
            for table in read_parts(history.store, history.find_parts(previous.commit), metric=None):
                self._take(table)

    def _take(self, table: pa.Table) -> None:
        self._builder.add(table)
        self.summary = self._builder.build()
        for metric, start, length in find_segments(table):
            points = read_points(table.slice(start, length))
            known = self.series.get(metric)
            self.series[metric] = points if known is None else known.join(points)

    def _find_end(self) -> bool:
        """Read the run as it was committed at its end; not yet, where that is still going on."""
        self._tracker.recover()
        try:
            found = self._tracker.get_run(self.run.id)
        except NotFound:
            if self._directory.exists():
                return False
            raise
        if found.live:
            return False
        self._stored, self.live = found, False
        return self._read_stored()

    def _read_stored(self) -> bool:
        stored, self._stored = self._stored, None
        if stored is None:
            return False
        self.run, self.params, self.summary = stored.snapshot.run, stored.params, stored.summary
        self.series = {metric: read_points(stored.series(metric)) for metric in stored.summary}
        return True


def find_live_runs(tracker: Tracker, *, experiment: str | None = None) -> list[str]:
    """Return the ids of the runs that living processes record, the one that started last first."""
    slug = None if experiment is None else layout.make_slug(experiment)
    found = []
    for directory in list_journals(tracker.repository.common_directory):
        if is_live(directory):
            run = read_draft(directory).run
            if slug in (None, run.experiment):
                found.append((run.started, run.id))
    return [run_id for _, run_id in sorted(found, reverse=True)]


def _measure(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
