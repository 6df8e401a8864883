"""Pushes branches, each only if the remote's is where it is expected, and says what became of every one.

Nothing is ever forced away: the caller makes sure that what is pushed contains what is expected there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from .failure import TransportFailed
from .wire import Wire

_PUSH = (
    "-c",
    "advice.graftFileDeprecated=false",
    "push",
    "--porcelain",
    "--progress",
    "--no-verify",
    "--no-follow-tags",
    "--recurse-submodules=no",
)
_MOVED = (
    r"stale info|fetch first|non-fast-forward|needs force|failed to update ref|cannot lock ref|incorrect old value"
    r"|already exists|remote ref updated since checkout"
)
_UNKNOWN = r"remote failure|failed to report status"


class Outcome(Enum):
    """What became of a branch that was pushed: it is in; somebody moved it first; it was refused; nobody knows."""

    DONE = "done"
    MOVED = "moved"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class PushedRef:
    """One branch to push: `ref` there becomes `new` if it is `expected` (None: if it does not exist)."""

    ref: str
    new: str
    expected: str | None


@dataclass(frozen=True)
class Answer:
    """What became of one branch, and why where it was not accepted."""

    outcome: Outcome
    failure: TransportFailed | None = None


def push_branches(wire: Wire, refs: Sequence[PushedRef], *, grafts: str | None = None) -> dict[str, Answer]:
    """Push branches over one connection; return what became of each, by ref.

    `grafts` is the path of a file in the form of git's grafts that tells which commits the remote has besides: their
    trees are then not sent again. Raises TransportFailed where no branch got an answer.
    """
    leases = [f"--force-with-lease={ref.ref}:{ref.expected or ''}" for ref in refs]
    specs = [f"{ref.new}:{ref.ref}" for ref in refs]
    extra = {} if grafts is None else {"GIT_GRAFT_FILE": grafts}
    ended = wire.ask(*_PUSH, *leases, "--", wire.remote.name, *specs, environment=extra)
    found = _read_answers(ended.output.decode("utf-8", "replace"))
    if ended.code == 0:
        return {ref.ref: Answer(Outcome.DONE) for ref in refs}
    answers = {}
    for ref in refs:
        outcome, words = found.get(ref.ref, (Outcome.UNKNOWN, ""))
        failure = None if outcome is Outcome.DONE else wire.explain(f"{ended.stderr}\n{words}", writing=True)
        answers[ref.ref] = Answer(outcome, failure)
    if all(answer.outcome is Outcome.UNKNOWN for answer in answers.values()):
        raise wire.explain(ended.stderr, writing=True)
    return answers


def _read_answers(output: str) -> dict[str, tuple[Outcome, str]]:
    """Return what `git push --porcelain` says of each ref: flag, tab, `from:to`, tab, summary (reason)."""
    answers = {}
    for line in output.splitlines():
        flag, _, rest = line.partition("\t")
        names, _, summary = rest.partition("\t")
        ref = names.rpartition(":")[2]
        if not ref.startswith("refs/") or len(flag) != 1:
            continue
        if flag != "!":
            answers[ref] = (Outcome.DONE, "")
            continue
        reason = re.sub(r"^\[[a-z ]+\] ", "", summary).strip("() ")
        if re.search(_UNKNOWN, summary):
            answers[ref] = (Outcome.UNKNOWN, reason)
        else:
            answers[ref] = (Outcome.MOVED if re.search(_MOVED, summary) else Outcome.REFUSED, reason)
    return answers
