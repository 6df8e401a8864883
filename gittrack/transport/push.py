"""Pushes branches, each only if the remote's is where it is expected, and says what became of every one.

Nothing is ever forced away: the caller makes sure that what is pushed contains what is expected there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from .failure import TransportFailed, explain
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
    r"|already exists|reference already exists|remote ref updated since checkout"
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


def push_branches(
    wire: Wire, refs: Sequence[PushedRef], *, grafts: str | None = None
) -> dict[str, tuple[Outcome, str]]:
    """Push branches over one connection; return what became of each, by ref, with the remote's words.

    `grafts` is the path of a file in the form of git's grafts that tells which commits the remote has besides: their
    trees are then not sent again. Raises TransportFailed where no branch got an answer.
    """
    leases = [f"--force-with-lease={ref.ref}:{ref.expected or ''}" for ref in refs]
    specs = [f"{ref.new}:{ref.ref}" for ref in refs]
    extra = {} if grafts is None else {"GIT_GRAFT_FILE": grafts}
    ended = wire.ask(*_PUSH, *leases, "--", wire.remote.name, *specs, environment=extra)
    found = _read_answers(ended.output.decode("utf-8", "replace"))
    answers = {ref.ref: found[ref.ref] for ref in refs if ref.ref in found}
    if ended.code == 0:
        return {ref.ref: answers.get(ref.ref, (Outcome.DONE, "")) for ref in refs}
    failure = explain(ended, remote=wire.remote.name, action="push")
    if not answers or all(outcome is Outcome.UNKNOWN for outcome, _ in answers.values()):
        raise failure
    return {ref.ref: _complete(answers.get(ref.ref, (Outcome.UNKNOWN, "")), failure) for ref in refs}


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
        elif re.search(_UNKNOWN, summary):
            answers[ref] = (Outcome.UNKNOWN, summary)
        else:
            outcome = Outcome.MOVED if re.search(_MOVED, summary) else Outcome.REFUSED
            answers[ref] = (outcome, re.sub(r"^\[[a-z ]+\] ", "", summary).strip("() "))
    return answers


def _complete(answer: tuple[Outcome, str], failure: TransportFailed) -> tuple[Outcome, str]:
    """Return an answer with all that was said on the error output where the branch was refused."""
    outcome, words = answer
    return (outcome, failure.message) if outcome is Outcome.REFUSED else (outcome, words)
