"""Owns what a look over new commits finds: which revision speaks for each run, and where the new history meets the old.

Pure: commits in, values out. Knows nothing of how commits are read or of what is in their trees.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from ..dropped import Dropped
from ..errors import GittrackError
from ..message import RunTrailers, parse_epoch, parse_message
from ..store import Commit

# Of a run's revisions the one with the greatest order speaks: revision, commit time, commit.
Order = tuple[int, int, str]


class Finding(NamedTuple):
    """A commit that speaks for a run, as far as its message tells; `tree` holds the rest."""

    run_id: str
    order: Order
    tree: str

    @property
    def commit(self) -> str:
        """The commit's id."""
        return self.order[2]


class Damage(NamedTuple):
    """A record that cannot be read, with what is to be said about it.

    Where its message tells which run it speaks for, `run_id` and `order` do: that run is then passed over.
    """

    commit: str
    message: str
    hint: str | None
    run_id: str | None = None
    order: Order | None = None

    @classmethod
    def of(cls, finding: Finding, error: GittrackError) -> Damage:
        """Return what is to be said of a finding whose tree cannot be read."""
        return cls(finding.commit, error.message, error.hint, finding.run_id, finding.order)


class Harvest:
    """What the commits given to `add` say. `is_known` tells of a commit whether the index covers it already.

    `commits` are the ids of all of them, `findings` the greatest revision of each run among them that is not `dropped`,
    `record` the greatest record of the experiment, `epochs` those that list what was deleted, `parents` all their
    parents; `met` are the known commits that were come upon.
    """

    def __init__(self, is_known: Callable[[str], bool], dropped: Dropped | None = None) -> None:
        self._is_known = is_known
        self._dropped = Dropped() if dropped is None else dropped
        self.epochs: list[Commit] = []
        self.commits: list[str] = []
        self.findings: dict[str, Finding] = {}
        self.record: tuple[Order, Commit] | None = None
        self.damages: list[Damage] = []
        self.parents: set[str] = set()
        self.met: set[str] = set()

    def meets(self, commit_id: str) -> bool:
        """Tell whether a commit is known; if so, remember that it was come upon."""
        if not self._is_known(commit_id):
            return False
        self.met.add(commit_id)
        return True

    def add(self, commit: Commit) -> None:
        """Take in one more commit."""
        self.commits.append(commit.id)
        self.parents.update(commit.parents)
        quick = _match_run(commit.message)
        if quick is not None:
            self._add_run(quick[1], (int(quick[2]), commit.time, commit.id), commit.tree)
            return
        try:
            trailers = parse_message(commit.message, where=f"commit {commit.id[:12]}")
            epoch = parse_epoch(commit.message, where=f"commit {commit.id[:12]}")
        except GittrackError as error:
            self.damages.append(Damage(commit.id, error.message, error.hint))
            return
        if epoch is not None:
            self.epochs.append(commit)
        if trailers is None:
            return
        order = (trailers.revision, commit.time, commit.id)
        if isinstance(trailers, RunTrailers):
            self._add_run(trailers.run_id, order, commit.tree)
        elif self.record is None or self.record[0] < order:
            self.record = order, commit

    def _add_run(self, run_id: str, order: Order, tree: str) -> None:
        if self._dropped.holds(run_id, tree):
            return
        known = self.findings.get(run_id)
        if known is None or known.order < order:
            self.findings[run_id] = Finding(run_id, order, tree)


# The message of a run as gittrack writes it, on a day that every month has. What is not found so is parsed.
_match_run = re.compile(
    r"[^\n]*\n\n"
    r"Run: ([0-9a-f]{32})\n"
    r"Revision: ([1-9][0-9]{0,8})\n"
    r"Status: (?:RUNNING|FINISHED|FAILED|KILLED)\n"
    r"Started: [1-9]\d{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}Z\n"
    r"Experiment: [^\n]+\n"
    r"(?:(?:Removed|Source-Commit|Source-Dirty|Parent-Run|Previous): [^\n]*\n)*"
    r"Format: 1\n",
    re.ASCII,
).fullmatch
