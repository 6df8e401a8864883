"""Says in words whether a run vouches for a commit: which one, or what keeps the nearest from it. As JSON, too."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from .amounts import count, format_age
from .text import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..vouching import Difference, Finding, Verdict

_MOST_NAMED = 3
_MOST_LISTED = 10
_MOST_COMMAND = 200
_CHANGES = {"other": "it ran another content", "missing": "it ran without it", "extra": "it ran with it"}


def say_run(finding: Finding, *, now: int) -> str:
    """Return a run in a few words: its name, id, experiment and age."""
    run = finding.witness
    age = format_age(run.ended or run.started, now=now)
    return f"{clean(run.name)} ({run.id[:8]}) of {clean(run.experiment)}, {age}"


def say_paths(paths: Sequence[str]) -> str:
    """Return some paths on one line, and how many more there are."""
    named = ", ".join(clean(path) for path in paths[:_MOST_NAMED])
    rest = len(paths) - _MOST_NAMED
    return f"{named} and {count(rest, 'other path')}" if rest > 0 else named


def list_reasons(nearest: Finding | None, *, now: int) -> list[str]:
    """Return lines that say which run comes nearest, and what keeps it from vouching."""
    if nearest is None:
        return ["there is no run to compare with"]
    lines = [f"nearest: {say_run(nearest, now=now)}"]
    lines += [f"  {clean(entry.path)}: {_CHANGES[entry.change]}" for entry in nearest.differences[:_MOST_LISTED]]
    rest = len(nearest.differences) - _MOST_LISTED
    if rest > 0:
        lines.append(f"  and {count(rest, 'other path')}")
    if not nearest.differences:
        lines.append("  it ran just that, but")
    lines += [f"  {clean(objection)}" for objection in nearest.objections]
    return lines


def suggest_command(verdict: Verdict) -> str:
    """Return the command that would log a run: what the nearest one ran, where that is short enough to be read."""
    nearest = verdict.nearest
    experiment = verdict.experiment or (nearest.witness.experiment if nearest else None)
    known = clean(shlex.join(nearest.command)) if nearest else ""
    words = shlex.join(["gittrack", "run", *(["-e", experiment] if experiment else []), "--"])
    return f"{words} {known if known and len(known) <= _MOST_COMMAND else 'python train.py'}"


def describe_verdict(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as JSON-ready values."""
    return {
        "ok": verdict.passes,
        "paths": list(verdict.changed),
        "run": None if verdict.run is None else _describe_finding(verdict.run),
        "nearest": None if verdict.nearest is None else _describe_finding(verdict.nearest),
        "waived": verdict.waived or None,
        "notes": list(verdict.notes),
        "log": None if verdict.passes else suggest_command(verdict),
    }


def _describe_finding(finding: Finding) -> dict[str, Any]:
    run = finding.witness
    return {
        "id": run.id,
        "name": run.name,
        "experiment": run.experiment,
        "status": str(run.status),
        "differences": [_describe_difference(entry) for entry in finding.differences],
        "objections": list(finding.objections),
    }


def _describe_difference(entry: Difference) -> dict[str, str]:
    return {"path": entry.path, "change": entry.change}
