"""Reads the points of a journal as tables, a bounded number of points at a time.

Knows the points files of one journal and the draft that names their key sets; nothing of git or of live processes.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..draft import Draft, incomplete_event
from ..errors import Corrupt
from ..series import MAX_PART_POINTS, Columns, build_table
from .events import EVENTS_FILE, read_events
from .points import Rows, read_points

if TYPE_CHECKING:
    import pyarrow as pa

POINTS_SUFFIX = ".points"


def list_points_files(directory: Path) -> list[Path]:
    """Return the points files of a journal: one for each process that recorded a metric, sorted by name."""
    return sorted(directory.glob(f"*{POINTS_SUFFIX}"))


def gather_tables(
    directory: Path, draft: Draft, *, offsets: Mapping[str, int]
) -> Iterator[tuple[pa.Table, dict[str, int]]]:
    """Yield the points behind `offsets` (by points file) as sorted tables of at most about a million points.

    With each table come the offsets up to which its points and all before it reach. Damaged records, and rows whose
    metric names are lost, are passed over and noted in the draft as incomplete.
    """
    reached = dict(offsets)
    columns: dict[str, Columns] = {}
    count = 0
    for file in list_points_files(directory):
        for batch in read_points(file, start=reached.get(file.name, 0)):
            size = sum(len(rows.values) for rows in batch.rows)
            if count and count + size > MAX_PART_POINTS:
                yield build_table(columns), dict(reached)
                columns, count = {}, 0
            reached[file.name] = batch.end
            count += size
            if batch.skipped:
                draft.apply(incomplete_event(f"{batch.skipped} damaged bytes were passed over in {file.name}"))
            for rows in batch.rows:
                _add_rows(columns, draft, file, rows)
    if columns:
        yield build_table(columns), dict(reached)


def _add_rows(columns: dict[str, Columns], draft: Draft, file: Path, rows: Rows) -> None:
    try:
        if not draft.has_keys(file.name, rows.key_set):
            _learn_keys(file.parent, draft)
        names = draft.get_keys(file.name, rows.key_set)
        if len(names) != rows.width:
            raise Corrupt(f"key set {rows.key_set} of {file.name} has {len(names)} names for {rows.width} values")
    except Corrupt as error:
        draft.apply(incomplete_event(error.message))
        return
    for position, name in enumerate(names):
        known = columns.setdefault(name, Columns(array("q"), array("q"), array("d")))
        known.steps.extend(rows.steps)
        known.timestamps.extend(rows.timestamps)
        known.values.extend(rows.values[position :: rows.width])


def _learn_keys(directory: Path, draft: Draft) -> None:
    """Take in the key sets that were named since the draft was read: another process may have begun to record since."""
    for event in read_events(directory / EVENTS_FILE)[0]:
        if event.get("kind") == "keys":
            draft.apply(event)
