"""Reads the points of many runs, one part at a time, so that no run is too long.

Knows where runs keep their points; nothing of the tables and files they go into.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from .. import layout
from ..errors import GittrackError, NotFound
from ..frame import Frame
from ..readers import CommitReader, load_live_run
from ..tracker import Tracker

if TYPE_CHECKING:
    import pyarrow as pa

Progress = Callable[[int, int], None]
"""Told how many of how many runs have been read."""


def read_points(tracker: Tracker, frame: Frame, *, progress: Progress | None = None) -> Iterator[tuple[str, pa.Table]]:
    """Yield the series of a frame's visible runs: a run's id and a table of its points, sorted by metric and step.

    A run of several parts comes in several tables, in the order in which they were recorded. A run whose parts are
    damaged, or that is gone, is passed over and named in `tracker.damaged`.
    """
    runs = frame.to_table(["id", "commit", "live"])
    for number, (run_id, commit, live) in enumerate(zip(*(column.to_pylist() for column in runs.columns), strict=True)):
        if progress is not None:
            progress(number, runs.num_rows)
        try:
            for table in _read_run(tracker, run_id, commit=commit, live=live):
                yield run_id, table
        except GittrackError as error:
            tracker.damaged.append(error)
    if progress is not None:
        progress(runs.num_rows, runs.num_rows)


def _read_run(tracker: Tracker, run_id: str, *, commit: str | None, live: bool) -> Iterator[pa.Table]:
    if live:
        directory = layout.journal_directory(tracker.repository.common_directory, run_id)
        run = load_live_run(tracker.history, tracker.content, directory)
        if run is not None:
            yield run.series()
            return
        commit = tracker.get_run(run_id).commit  # it has ended since the frame was made
    if commit is None:
        raise NotFound(f"run {run_id} has ended since it was listed; export again")
    yield from CommitReader(tracker.history, tracker.content, tracker.store.get_commit(commit)).read_tables()
