"""Decides which run vouches for what is to be committed, and which comes nearest, given what each of them ran.

A run vouches if it ran just what stands on the guarded paths, and nothing speaks against it. Pure: facts in, a verdict
out. Knows nothing of git, frames and clocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from .guard import Guard
from .model import LeftOut, Status

Change = Literal["other", "missing", "extra"]

_SECOND = 1_000_000
_REDACTED = "source/"
_WHY: dict[str, str] = {
    "too-large": "it was too large",
    "total-too-large": "there was too much of it",
    "too-many": "there were too many files",
    "secret-name": "its name is that of a secret",
    "secret-content": "it holds a secret",
    "unreadable": "it could not be read",
    "special-file": "it is no file that git keeps",
}


@dataclass(frozen=True)
class Difference:
    """A guarded path on which a run's source is not what is committed.

    `missing`: the run had no such file; `extra`: only the run had it; `other`: another content, mode or kind.
    """

    path: str
    change: Change


@dataclass(frozen=True)
class Witness:
    """A run, as far as it matters here. `started` and `ended` are UTC microseconds."""

    id: str
    name: str
    experiment: str
    status: Status
    started: int
    ended: int | None
    live: bool = False
    removed: bool = False
    captured: str = "worktree"
    tree: str | None = None


@dataclass(frozen=True)
class Finding:
    """What was found of one run: where its source differs, and what else keeps it from vouching, in sentences.

    `command` is what it ran, where that was asked.
    """

    witness: Witness
    differences: tuple[Difference, ...] = ()
    objections: tuple[str, ...] = ()
    command: tuple[str, ...] = ()

    @property
    def vouches(self) -> bool:
        """Whether the run vouches."""
        return not self.differences and not self.objections


@dataclass(frozen=True)
class Verdict:
    """Whether what is to be committed may be: the run that vouches, or else the one that comes nearest, if any.

    `changed` are the guarded paths that a commit changes. `waived` says in words why no run is needed, and is empty
    where one is. `notes` says what else people should know. `experiment` is the one that a run must be of, if any.
    """

    changed: tuple[str, ...] = ()
    run: Finding | None = None
    nearest: Finding | None = None
    waived: str = ""
    notes: tuple[str, ...] = ()
    experiment: str | None = None

    @property
    def passes(self) -> bool:
        """Whether it may be committed."""
        return self.run is not None or bool(self.waived)


def list_objections(witness: Witness, guard: Guard, *, now: int) -> list[str]:
    """Return what keeps a run from vouching, whatever its source holds. `now` is in UTC microseconds."""
    said = []
    if witness.live or witness.status is Status.RUNNING:
        said.append("it has not ended yet")
    elif witness.status is not Status.FINISHED:
        said.append(f"it {'was killed' if witness.status is Status.KILLED else 'failed'}")
    if witness.removed:
        said.append("it is marked removed")
    if witness.captured == "commit":
        said.append("only the commit it stood on was recorded, not what was on disk")
    age = now - (witness.ended or witness.started)
    if guard.max_age is not None and age > guard.max_age:
        said.append(f"it ended {_say_days(age)} ago, and max-age is {_say_days(guard.max_age)}")
    return said


def list_gaps(guard: Guard, left_out: Iterable[LeftOut], redacted: Iterable[str]) -> list[str]:
    """Return what a run ran on the guarded paths that its source does not hold, in sentences."""
    said = []
    for entry in left_out:
        if guard.covers(entry.path):
            what = "some of what is in it" if entry.path.endswith("/") else "it"
            said.append(f"{entry.path} is not in its source as it was: {what} was left out ({_WHY[entry.reason]})")
    for place in redacted:
        path = place.removeprefix(_REDACTED)
        if place.startswith(_REDACTED) and (guard.covers(path) or path == "[redacted]"):
            said.append(f"{path} was redacted in its source")
    return said


def choose_nearest(findings: Sequence[Finding]) -> Finding | None:
    """Return the run that comes nearest to vouching: with the fewest differences, then objections; then the newest."""
    return min(
        findings,
        key=lambda found: (len(found.differences), len(found.objections), -found.witness.started, found.witness.id),
        default=None,
    )


def _say_days(microseconds: int) -> str:
    seconds = microseconds // _SECOND
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            number = seconds // size
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{seconds} seconds"
