"""Finds the row of a frame that a person means by an id prefix, a name, a commit prefix, `latest` or `latest~2`.

Only the few rows that could be meant become values, among which `address` chooses. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .address import Candidate, choose_run, find_back, find_prefix
from .frame.arrays import make_texts
from .query import sort_rows

if TYPE_CHECKING:
    import pyarrow as pa

    from .frame import Frame

# Where no name is exact, a close one is looked for among so many of the newest runs.
_SUGGESTED = 2000


def choose_row(ref: str, frame: Frame) -> int:
    """Return the number of the visible row that ref means; raises what `choose_run` raises."""
    back = find_back(ref)
    if back is not None:
        kept = frame.filter(frame.get_attribute("removed").is_null())
        rows = sort_rows(kept, (), kept.visible, limit=back + 1)
    else:
        rows = _find_rows(ref, frame)
        if not len(rows):
            rows = sort_rows(frame, (), frame.visible, limit=_SUGGESTED)
    candidates = _list_candidates(frame, rows)
    return rows[candidates.index(choose_run(ref, candidates))].as_py()  # type: ignore[no-any-return]


def _find_rows(ref: str, frame: Frame) -> pa.Array:
    """Return every visible row whose id, name or commit fits ref."""
    import pyarrow.compute as pc

    ids = frame.get_attribute("id")
    fits = pc.or_(pc.equal(ids, _make_text(ref.lower())), pc.equal(frame.get_attribute("name"), _make_text(ref)))
    prefix = find_prefix(ref)
    if prefix is not None:
        fits = pc.or_(fits, pc.starts_with(ids, pattern=prefix))
        fits = pc.or_kleene(fits, pc.starts_with(frame.get_attribute("commit"), pattern=prefix))
    return frame.filter(fits).rows


def _list_candidates(frame: Frame, rows: pa.Array) -> list[Candidate]:
    import pyarrow as pa

    taken = frame.take(rows)
    started = taken.get_attribute("started").cast(pa.int64()).to_pylist()
    removed = taken.get_attribute("removed").is_valid().to_pylist()
    ids, names, experiments, commits = (
        taken.get_attribute(name).to_pylist() for name in ("id", "name", "experiment", "commit")
    )
    return [Candidate(*values) for values in zip(ids, names, experiments, started, removed, commits, strict=True)]


def _make_text(text: str) -> pa.StringScalar:
    return make_texts([text])[0]
