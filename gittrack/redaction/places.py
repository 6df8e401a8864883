"""Owns the places of a run that something can be taken out of: how they are named, and a snapshot without them.

A place is `params.KEY`, `tags.KEY`, `metrics.KEY`, `artifacts/PATH`, `source/PATH`, or one of the words in `WHOLE`.
Pure: knows nothing of trees, files or git.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from ..errors import NotFound
from ..model import Failure, Run, Snapshot

REDACTED = "[redacted]"

V = TypeVar("V")

# What of a run is taken out as a whole, by the place's name.
WHOLE: Mapping[str, Callable[[Run], Run]] = {
    "name": lambda run: replace(run, name=REDACTED),
    "note": lambda run: replace(run, note=REDACTED),
    "user": lambda run: replace(run, user=REDACTED),
    "host": lambda run: replace(run, host=REDACTED),
    "command": lambda run: replace(run, command=(REDACTED,)),
    "failure": lambda run: replace(run, failure=run.failure and Failure(REDACTED, REDACTED)),
    "incomplete": lambda run: replace(run, incomplete=REDACTED),
    "inputs": lambda run: replace(run, inputs=()),
    "source.branch": lambda run: replace(run, source=replace(run.source, branch=None)),
    "source.remote": lambda run: replace(run, source=replace(run.source, remote=None)),
    "source.directory": lambda run: replace(run, source=replace(run.source, directory=".")),
    "source.left_out": lambda run: replace(run, source=replace(run.source, left_out=())),
}
ENVIRONMENT = "environment"


def redact_places(snapshot: Snapshot, places: Iterable[str]) -> Snapshot:
    """Return the snapshot with the values at some places replaced, or taken out where nothing can stand for them.

    Each place is added to the run's `redacted`, also one that the snapshot does not have. The points of a metric, and
    the files of the source, are not in a snapshot: those are the tree's.
    """
    run, params, summary, artifacts = snapshot.run, snapshot.params, snapshot.summary, snapshot.artifacts
    environment, tags = snapshot.environment, dict(run.tags)
    listed = tuple(places)
    for place in listed:
        head, dot, key = place.partition(".")
        if place in WHOLE:
            run = WHOLE[place](run)
        elif place == ENVIRONMENT:
            environment = {}
        elif place.startswith("artifacts/"):
            artifacts = _without(artifacts, place.removeprefix("artifacts/"))
        elif dot and head == "params" and key in params:
            params = {**params, key: REDACTED}
        elif dot and head == "tags" and key in tags:
            tags[key] = REDACTED
        elif dot and head == "metrics":
            summary = _without(summary, key)
    run = replace(run, tags=tags, redacted=tuple(dict.fromkeys((*run.redacted, *listed))))
    return replace(
        snapshot, run=run, params=params, summary=summary, artifacts=artifacts, environment=dict(environment)
    )


def check_places(snapshot: Snapshot, places: Iterable[str], *, files: Iterable[str]) -> None:
    """Raise NotFound for a place that the snapshot does not have; `files` are the paths of its source."""
    paths = set(files)
    for place in places:
        kind, _, name = place.partition("/" if place.startswith(("artifacts/", "source/")) else ".")
        known: dict[str, Iterable[str]] = {
            "params": snapshot.params,
            "tags": snapshot.run.tags,
            "metrics": snapshot.summary,
            "artifacts": snapshot.artifacts,
            "source": paths,
        }
        if place == "note" and not snapshot.run.note:
            raise NotFound(f"run {snapshot.run.name} has no note", hint=f"gittrack show {snapshot.run.id[:8]}")
        if name and kind in known and name not in known[kind]:
            word = {"source": "file in its source called"}.get(kind, kind.removesuffix("s"))
            raise NotFound(
                f"run {snapshot.run.name} has no {word} {name!r:.200}", hint=f"gittrack show {snapshot.run.id[:8]}"
            )


def _without(values: Mapping[str, V], key: str) -> dict[str, V]:
    return {name: value for name, value in values.items() if name != key}
