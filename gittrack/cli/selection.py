"""Finds the runs that a command line means by `-e`, `--removed` and a query, as a frame, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .session import Session

if TYPE_CHECKING:
    from ..frame import Frame
    from ..tracker import Tracker


def load_selection(
    session: Session, tracker: Tracker, query: str | None, *, experiment: str | None, removed: bool
) -> Frame:
    """Return the runs that a query finds, of one experiment or of all, the one that started last first.

    Raises InvalidInput for a query that cannot be read or names what no run has, NotFound for an unknown experiment.
    """
    from ..query import check_keys, filter_frame, parse_query, sort_rows

    parsed = None if query is None else parse_query(query)
    frame = _load_frame(tracker, experiment, removed=removed)
    mask = frame.visible
    if parsed is not None and frame.count:
        check_keys(parsed, frame)
        mask = filter_frame(parsed, frame, now=session.now)
    return frame.take(sort_rows(frame, (), mask))


def _load_frame(tracker: Tracker, experiment: str | None, *, removed: bool) -> Frame:
    from ..frame import Frame, RunRecord, build_segment

    records = (
        RunRecord(run.snapshot.run, run.params, run.summary, run.artifacts(), commit=run.commit, live=run.live)
        for run in tracker.list_runs(experiment, removed=removed)
    )
    return Frame([build_segment(records)])
