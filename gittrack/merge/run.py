"""Merges two revisions of one run. Pure; the rules of single values stand in `choice`.

Knows nothing of how revisions are found, read or written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from .. import layout
from ..errors import InvalidInput
from ..model import MetricSummary, Pointer, Run, Scalar, Snapshot
from ..snapshot import encode_params
from .choice import choose, join_lists, join_tags, join_texts, order_writers

_MARK = "~"
_DIGEST_LENGTHS = (8, 16, 32, 64)
_CONFLICTS = "conflicts"

Summarize = Callable[[tuple[str, ...]], Mapping[str, MetricSummary]]


@dataclass(frozen=True)
class RunVersion:
    """One revision of a run: its snapshot, the object ids of its metric parts in order and of its source tree.

    `time` (UTC seconds) and `commit` are its commit's, and say who wrote last.
    """

    snapshot: Snapshot
    parts: tuple[str, ...]
    source: str | None
    time: int
    commit: str


@dataclass(frozen=True)
class MergedRun:
    """What a run's next revision is made of: `snapshot.parts` follows from `parts`."""

    snapshot: Snapshot
    parts: tuple[str, ...]
    source: str | None


def merge_runs(base: RunVersion | None, ours: RunVersion, theirs: RunVersion, *, summarize: Summarize) -> MergedRun:
    """Return the revision that follows two which do not know of each other, the same whichever comes first.

    `base` is the latest revision that both were made from, if there is one. `summarize` returns the summary of all
    points of some parts; it is called where neither side has them all. Nothing that either side says is dropped, but
    for tags, the name, the lifecycle and what the execution was, where the last writer counts; the other's revision
    stays in the history.
    """
    first, last = order_writers(ours, theirs)
    execution = _choose_execution(base, first, last)
    parts = join_lists(base.parts if base else (), first.parts, last.parts)
    run = _merge_records(base.snapshot.run if base else None, first, last, execution=execution.snapshot.run)
    snapshot = Snapshot(
        run=run,
        params=_merge_params(first.snapshot.params, last.snapshot.params),
        summary=_choose_summary(parts, (last, first), summarize),
        artifacts=_merge_artifacts(base.snapshot.artifacts if base else {}, first, last),
        environment=execution.snapshot.environment,
        parts=tuple(layout.part_path(number) for number in range(1, len(parts) + 1)),
    )
    return MergedRun(snapshot, parts, execution.source)


def _merge_records(base: Run | None, first: RunVersion, last: RunVersion, *, execution: Run) -> Run:
    """Merge what run.json holds; all that describes the execution is taken from one side as a whole."""
    earlier, later = first.snapshot.run, last.snapshot.run
    known = base or replace(later, name="", tags={}, note="", removed=None, parent=None, reproduces=None)
    if base is None:
        known = replace(known, incomplete="", inputs=(), scrubbed=(), redacted=())
    return replace(
        execution,
        revision=max(earlier.revision, later.revision) + 1,
        name=choose(known.name, earlier.name, later.name),
        tags=join_tags(known.tags, earlier.tags, later.tags),
        note=join_texts(known.note, earlier.note, later.note, separator="\n\n"),
        removed=choose(known.removed, earlier.removed, later.removed),
        parent=choose(known.parent, earlier.parent, later.parent),
        reproduces=choose(known.reproduces, earlier.reproduces, later.reproduces),
        incomplete=join_texts(known.incomplete, earlier.incomplete, later.incomplete, separator="; "),
        inputs=join_lists(known.inputs, earlier.inputs, later.inputs),
        scrubbed=join_lists(known.scrubbed, earlier.scrubbed, later.scrubbed),
        redacted=join_lists(known.redacted, earlier.redacted, later.redacted),
    )


def _choose_execution(base: RunVersion | None, first: RunVersion, last: RunVersion) -> RunVersion:
    """Return the side whose status, times, command, host, source and environment count: they belong together."""
    if base is None or _describe_execution(last) != _describe_execution(base):
        return last
    return first


def _describe_execution(version: RunVersion) -> tuple[object, ...]:
    run = version.snapshot.run
    environment = json.dumps(version.snapshot.environment, sort_keys=True)
    moments = (run.started, run.ended, run.status, run.exit_code, run.failure)
    return (*moments, run.user, run.host, run.command, run.source, run.experiment, version.source, environment)


def _choose_summary(
    parts: tuple[str, ...], versions: tuple[RunVersion, ...], summarize: Summarize
) -> Mapping[str, MetricSummary]:
    """Return the summary of a side that has all the parts, or a new one."""
    known = next((version.snapshot.summary for version in versions if set(version.parts) == set(parts)), None)
    return summarize(parts) if known is None else known


def _merge_params(earlier: Mapping[str, Scalar], later: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return the union; where both sides set a key, differently, the earlier writer's value goes to `<key>~<digest>`.

    A param never changes once it is set, so there is no base to look at.
    """
    merged = {**earlier, **later}
    for key in sorted(earlier.keys() & later.keys()):
        lost = encode_params({key: earlier[key]})
        if lost == encode_params({key: later[key]}):
            continue
        digest = hashlib.sha256(lost).hexdigest()
        for length in _DIGEST_LENGTHS:
            name = key[: layout.MAX_KEY_LENGTH - length - 1] + _MARK + digest[:length]
            if name not in merged or encode_params({key: merged[name]}) == lost:
                merged[name] = earlier[key]
                break
    return merged


def _merge_artifacts(base: Mapping[str, Pointer], first: RunVersion, last: RunVersion) -> dict[str, Pointer]:
    """Return the union by path; of two contents of one path, the last writer's stays and the other's goes beside it.

    So does a file where the other side has a directory.
    """
    earlier, later = first.snapshot.artifacts, last.snapshot.artifacts
    merged = {**earlier, **later}
    beside: list[tuple[str, Pointer]] = []
    for path in sorted(earlier.keys() & later.keys()):
        merged[path] = choose(base.get(path), earlier[path], later[path]) or later[path]
        if earlier[path] != later[path] and base.get(path) not in (earlier[path], later[path]):
            beside.append((path, earlier[path]))
    directories = {above for path in merged for above in _list_above(path)}
    beside += [(path, merged.pop(path)) for path in sorted(directories & merged.keys())]
    for path, pointer in beside:
        merged[_find_free_path(path, pointer, merged, directories)] = pointer
    return merged


def _find_free_path(path: str, pointer: Pointer, merged: Mapping[str, Pointer], directories: set[str]) -> str:
    """Return `<stem>~<digest><suffix>` in the same directory, or `conflicts/<digest>` where that is no usable path."""
    above, slash, name = path.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    names = [f"{above}{slash}{stem}{_MARK}{pointer.oid[:length]}{dot}{suffix}" for length in _DIGEST_LENGTHS]
    names += [f"{_CONFLICTS}{_MARK * count}/{pointer.oid}" for count in range(len(merged) + 1)]
    return next(
        name
        for name in names
        if merged.get(name, pointer) == pointer
        and name not in directories
        and merged.keys().isdisjoint(_list_above(name))
        and _is_usable(name)
    )


def _list_above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def _is_usable(path: str) -> bool:
    try:
        layout.check_artifact_path(path)
    except InvalidInput:
        return False
    return True
