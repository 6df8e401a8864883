"""Judges the commits of a range as the hook would have: by the guard each carries, and by the runs there are now.

A commit that changes no guarded path needs no run, nor does a merge that leaves them as one of its parents has them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InvalidInput
from ..git import Git
from ..guard import Guard
from ..vouching import Verdict
from .evidence import Evidence
from .message import TRAILER, read_run_ids
from .project import find_committed_guard
from .trees import compare_trees

if TYPE_CHECKING:
    from ..tracker import Tracker

_FORMAT = f"%H%x1f%T%x1f%P%x1f%ct%x1f%s%x1f%(trailers:key={TRAILER},valueonly,separator=%x20)"


@dataclass(frozen=True)
class Commit:
    """A commit of the code: when it was made, in UTC microseconds, and in `named` the runs that its message names."""

    id: str
    tree: str
    parents: tuple[str, ...]
    time: int
    subject: str
    named: tuple[str, ...]


@dataclass(frozen=True)
class Judged:
    """A commit and whether a run vouches for it."""

    commit: Commit
    verdict: Verdict


@dataclass(frozen=True)
class Need:
    """What a commit asks for: under which guard, and the guarded paths that it changes. Without those, for nothing."""

    guard: Guard | None
    changed: tuple[str, ...]
    notes: tuple[str, ...]


class Audit:
    """Judges commits. `git` must see the objects of the code and of the store, as a workbench's does."""

    def __init__(self, tracker: Tracker, git: Git) -> None:
        self._tracker = tracker
        self._git = git
        self._evidence: dict[Guard, Evidence] = {}

    def judge(self, range: str) -> Iterator[Judged]:
        """Yield each commit of a range with what is to be said of it; raises as `list_commits` does."""
        for commit in list_commits(self._git, range):
            yield Judged(commit, self.judge_commit(commit))

    def judge_commit(self, commit: Commit) -> Verdict:
        """Return whether a run vouches for a commit."""
        need = find_need(self._git, commit)
        if need.guard is None:
            return Verdict(waived="nothing is guarded", notes=need.notes)
        if not need.changed:
            return Verdict(waived="no guarded path changes", notes=need.notes)
        head = commit.parents[0] if commit.parents else None
        run, nearest, notes = self.get_evidence(need.guard).find_run(commit.tree, now=commit.time, head=head)
        if run is not None and commit.named and run.witness.id not in commit.named:
            notes.append(f"its message names {', '.join(name[:8] for name in commit.named)}")
        return Verdict(need.changed, run, nearest, notes=(*need.notes, *notes), experiment=need.guard.experiment)

    def get_evidence(self, guard: Guard) -> Evidence:
        """Return the runs that may vouch under a guard; commits with the same guard share it."""
        if guard not in self._evidence:
            self._evidence[guard] = Evidence(self._tracker, guard, self._git)
        return self._evidence[guard]


def list_commits(git: Git, range: str) -> list[Commit]:
    """Return the commits of a range such as `main..HEAD`, or all that one commit stands on, the oldest first.

    Raises InvalidInput for what is no range, GitFailed for one that names what is not there.
    """
    _check_revision(range)
    words = ("-z", "--reverse", "--topo-order", f"--format={_FORMAT}", "--end-of-options", range, "--")
    return [_read_commit(entry) for entry in os.fsdecode(git.run("log", *words)).split("\0") if entry]


def get_commit(git: Git, revision: str) -> Commit:
    """Return one commit; raises as `list_commits` does."""
    _check_revision(revision)
    words = ("-z", "--max-count=1", f"--format={_FORMAT}", "--end-of-options", revision, "--")
    return _read_commit(os.fsdecode(git.run("log", *words)).rstrip("\0"))


def find_need(git: Git, commit: Commit) -> Need:
    """Return what a commit asks for, by the guard that it carries itself."""
    guard = find_committed_guard(git, commit.id)
    notes = _list_notes(git, commit, guard)
    return Need(guard, () if guard is None else _list_changes(git, commit, guard), notes)


def _check_revision(text: str) -> None:
    if not text or text.startswith("-"):
        raise InvalidInput(f"not a range of commits: {text!r:.100}", hint="gittrack audit main..HEAD")


def _list_changes(git: Git, commit: Commit, guard: Guard) -> tuple[str, ...]:
    """Return the guarded paths that differ from the first parent, none where any parent has them all so."""
    found: list[tuple[str, ...]] = []
    names = [f"{parent}^{{tree}}" for parent in commit.parents]
    trees = [git.run("rev-parse", "--verify", name).decode().strip() for name in names]
    for tree in trees or [git.run("mktree", input=b"").decode().strip()]:
        differences = compare_trees(git, tree, [commit.tree], guard).get(commit.tree, ())
        found.append(tuple(entry.path for entry in differences))
    return found[0] if all(found) else ()


def _list_notes(git: Git, commit: Commit, guard: Guard | None) -> tuple[str, ...]:
    if not commit.parents:
        return ()
    try:
        before = find_committed_guard(git, commit.parents[0])
    except InvalidInput:
        return ()
    if before is None or before == guard:
        return ()
    return ("it takes the guard away" if guard is None else "it changes what is guarded or required",)


def _read_commit(entry: str) -> Commit:
    id, tree, parents, seconds, subject, named = entry.split("\x1f")
    return Commit(id, tree, tuple(parents.split()), int(seconds) * 1_000_000, subject, tuple(read_run_ids(named)))
