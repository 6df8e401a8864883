"""Finds out who still has what is damaged or missing here, and by which command it comes back.

What a Git remote had when it was last looked at is taken from the copies of its branches; nobody is asked. Content
remotes are asked by whoever calls.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import dataclass, replace

from .. import layout
from ..errors import GittrackError
from ..git import Git
from ..history import History
from ..model import Pointer
from ..store.loose import loose_path
from .findings import Finding, Verdict

_MOST_LOOSE = 8


@dataclass(frozen=True)
class Copies:
    """What a content remote has of the content that is not good here: `held` of what was asked.

    Without a `remote` there is none; `unknown` says why it could not be asked.
    """

    remote: str = ""
    held: frozenset[Pointer] = frozenset()
    unknown: str = ""

    @property
    def certain(self) -> bool:
        """Tell whether what is not held is known to be nowhere."""
        return not self.unknown


def find_copies(history: History, verdict: Verdict, copies: Copies) -> Verdict:
    """Return a verdict whose findings say who has a copy; content that nobody has is a finding from now on."""
    asked = any(found.id and found.pointer is None for found in verdict.findings)
    remotes = _find_remotes(history, verdict) if asked else ()
    findings = [
        _trace_content(found, verdict, copies)
        if found.pointer is not None
        else _trace_object(history, found, verdict, remotes)
        for found in verdict.findings
    ]
    for absent in verdict.absent if copies.certain else ():
        if absent.pointer not in copies.held:
            place = f"{layout.ARTIFACTS_DIRECTORY}/{absent.path}"
            where = f"with {copies.remote}" if copies.remote else "with a remote, of which there is none"
            reason = f"its content is neither on this machine nor {where}"
            findings.append(Finding("content", True, place, reason, id=absent.pointer.oid, pointer=absent.pointer))
    return replace(verdict, findings=tuple(findings))


def list_questionable(verdicts: Collection[Verdict]) -> list[Pointer]:
    """Return the content that is not good here, each once."""
    found = {finding.pointer: None for verdict in verdicts for finding in verdict.findings if finding.pointer}
    found.update((absent.pointer, None) for verdict in verdicts for absent in verdict.absent)
    return list(found)


def _trace_content(found: Finding, verdict: Verdict, copies: Copies) -> Finding:
    if found.pointer not in copies.held:
        return found
    words = f"{verdict.run_id[:8]} {shlex.quote(found.place.partition('/')[2])}"
    remedy = f"gittrack artifact rm-content {words} --yes && gittrack artifact get {words}"
    return replace(found, copies=(copies.remote,), remedy=remedy)


def _trace_object(history: History, found: Finding, verdict: Verdict, remotes: tuple[str, ...]) -> Finding:
    if not found.id or not remotes:
        return replace(found, copies=remotes if found.id else ())
    repository = history.store.repository
    branch = layout.branch_ref(verdict.experiment, history.namespace)
    file = loose_path(repository.objects_directory, found.id)
    if found.missing or file.exists():
        removal = f"rm -f {shlex.quote(str(file))} && " if file.exists() else ""
        remedy = f"{removal}git fetch --refetch {shlex.quote(remotes[0])} {shlex.quote(branch)}"
    else:  # in a pack with others, which a fetch would not replace
        remedy = f'gittrack clone "$(git remote get-url {shlex.quote(remotes[0])})" repaired'
    return replace(found, copies=remotes, remedy=remedy)


def _find_remotes(history: History, verdict: Verdict) -> tuple[str, ...]:
    """Return the remotes whose branch of the experiment held the run's commit when they were last looked at."""
    if not verdict.commit:
        return ()
    try:
        listed = Git(history.store.repository.directory).run(
            "for-each-ref", f"--contains={verdict.commit}", "--format=%(refname)", "refs/remotes/"
        )
    except GittrackError:  # commits on the way are damaged too
        return ()
    refs = listed.decode("utf-8", "replace").split()
    slug = verdict.experiment
    end = layout.tracking_ref("", slug, history.namespace).removeprefix("refs/remotes/")
    return tuple(ref.removeprefix("refs/remotes/").removesuffix(end) for ref in refs if ref.endswith(end))
