"""Decides which records stay when an epoch begins, and how two lines of different epochs become one. Pure.

Both give the same in every clone that knows the same records, whatever lines it knows them from: records are the same
where run, revision and tree are, and they are put in order by what they say, never by where they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ..dropped import Dropped
from .line import Key, Line, Record, Redactions, unite_redactions

FindRedacted = Callable[[Record], Iterable[str]]


@dataclass(frozen=True)
class Replay:
    """A record to be written again: as it is, or without what is in some places, which somebody else has redacted."""

    record: Record
    redact: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What to write: on top of the tip of `base`, or, where that is None, on the first commit of a new epoch.

    `number` and `dropped` are those of the line this gives. `left_out` are the records that are not written again,
    because they are dropped; `redacted` tells, for runs of which something was dropped, which places all of their
    revisions have redacted, or had, where nothing is left of them.
    """

    base: Line | None
    number: int
    dropped: Dropped
    replays: tuple[Replay, ...]
    left_out: tuple[Record, ...] = ()
    redacted: Redactions = field(default_factory=dict)


def begin_epoch(lines: Iterable[Line], dropped: Dropped, *, above: int, find_redacted: FindRedacted) -> Plan:
    """Return the plan of the epoch after `above` that holds the records of some lines, without those dropped.

    `find_redacted` tells which places of a record were redacted; it is only asked about runs of which something was
    dropped. What one revision of a run has redacted is redacted in all others that are left of it, and those are
    dropped as they were: else an edit by somebody who had not heard would bring it back. What was redacted in a run
    stays known when the run is dropped.
    """
    lines = tuple(lines)
    return _plan_epoch(lines, dropped, above=above, find_redacted=find_redacted)


def follow(ours: Line, theirs: Line, *, find_redacted: FindRedacted) -> Plan:
    """Return what makes one line of two of which one, or both, began an epoch the other does not know.

    What either has dropped stays dropped, and nothing else is lost: records that the line of the later epoch lacks are
    written on top of it. Where that line still holds what the other has dropped, a new epoch begins. The same whichever
    line is whose; safe to repeat: a plan without base or replays changes nothing.
    """
    dropped = ours.dropped | theirs.dropped
    records = _unite((ours, theirs))
    kept = [record for record in records.values() if not _is_dropped(record, dropped)]
    known = unite_redactions(ours.redacted, theirs.redacted)
    redacted, redactions = _find_redactions(records.values(), dropped, known, find_redacted)
    if not redactions:
        left_out = tuple(record for record in records.values() if _is_dropped(record, dropped))
        found = []
        for line in (ours, theirs):
            holds_any = any(_is_dropped(record, dropped) for record in line.records)
            if line.dropped == dropped and line.redacted == redacted and not holds_any:
                present = {record.key for record in line.records}
                found.append((line, [record for record in kept if record.key not in present]))
        if found:
            # One that lacks nothing is taken as it stands.
            line, missing = max(found, key=lambda pair: (not pair[1], pair[0].number, pair[0].tip))
            return Plan(line, line.number, dropped, tuple(map(Replay, missing)), left_out, redacted)
    return _plan_epoch((ours, theirs), dropped, above=max(ours.number, theirs.number), find_redacted=find_redacted)


def _plan_epoch(lines: Sequence[Line], dropped: Dropped, *, above: int, find_redacted: FindRedacted) -> Plan:
    records = _unite(lines)
    kept = [record for record in records.values() if not _is_dropped(record, dropped)]
    known = unite_redactions(*(line.redacted for line in lines))
    redacted, redactions = _find_redactions(records.values(), dropped, known, find_redacted)
    dropped = dropped.add((record.run_id, record.tree) for record in kept if record.key in redactions)
    replays = tuple(Replay(record, redactions.get(record.key, ())) for record in kept)
    left_out = tuple(record for record in records.values() if _is_dropped(record, dropped))
    return Plan(None, above + 1, dropped, replays, left_out, redacted)


def _unite(lines: Iterable[Line]) -> dict[Key, Record]:
    """Return the records of all lines, each once and in order; of equal ones by two people, the same in every clone."""
    records: dict[Key, Record] = {}
    for line in lines:
        for record in line.records:
            known = records.get(record.key)
            if known is None or record.order < known.order:
                records[record.key] = record
    return dict(sorted(records.items(), key=lambda entry: entry[1].order))


def _is_dropped(record: Record, dropped: Dropped) -> bool:
    return dropped.holds(record.run_id, record.tree)


def _find_redactions(
    records: Iterable[Record], dropped: Dropped, known: Redactions, find_redacted: FindRedacted
) -> tuple[Redactions, dict[Key, tuple[str, ...]]]:
    """Return what is redacted in any revision of a run, also in one that is dropped or of which that is only `known`.

    And the records that stay in which some of that is not redacted yet.
    """
    runs: dict[str, list[Record]] = {}
    for record in records:
        if record.run_id in dropped.marks:
            runs.setdefault(record.run_id, []).append(record)
    said = {record.key: frozenset(find_redacted(record)) for found in runs.values() for record in found}
    found_in = {run_id: frozenset().union(*(said[record.key] for record in found)) for run_id, found in runs.items()}
    redacted = unite_redactions(known, {run_id: places for run_id, places in found_in.items() if places})
    missing = {}
    for run_id, found in runs.items():
        everything = redacted.get(run_id, frozenset())
        for record in found:
            if not _is_dropped(record, dropped) and everything > said[record.key]:
                missing[record.key] = tuple(sorted(everything - said[record.key]))
    return redacted, missing
