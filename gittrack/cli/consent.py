"""Asks, once for each address, whether what is about to be pushed may be; keeps back what holds a secret.

Nothing here pushes. What was agreed to is remembered by `sync.agreement`.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from ..errors import Conflict, GittrackError, InvalidInput
from .amounts import count, format_size
from .session import Session
from .text import clean
from .transfer import Transfer, show_address

if TYPE_CHECKING:
    from ..sync.disclosure import Disclosure, Finding
    from ..sync.link import Link
    from ..sync.pushing import Plan, Pushed
    from ..sync.uploading import Offer, Upload

_MOST_FINDINGS = 20
_REDACTIONS = {
    "params": "--param",
    "tags": "--tag",
    "metrics": "--metric",
    "artifacts": "--artifact",
    "source": "--source",
}


def describe_disclosure(found: Disclosure, *, remote: str, address: str, content: Offer | None = None) -> list[str]:
    """Return what a push shows to whoever can read the remote, in a few lines; `content` is what goes along of that."""
    lines = [
        f"{remote} ({address}) will get {count(found.runs, 'run')} of {name_experiments(found.experiments)}: "
        "params, metrics, tags, notes, command lines"
    ]
    if found.sources:
        modified = f", {found.modified} of them with changes that are in no commit" if found.modified else ""
        unseen = f"; code of {count(found.commits, 'commit')} that {remote} does not have" if found.commits else ""
        lines.append(f"with the source code that ran: {count(found.sources, 'version')}{modified}{unseen}")
    if found.environments:
        lines.append("with the environment: Python, packages and their versions, hardware")
    if found.people or found.machines:
        names = [*(f"user {name}" for name in found.people[:3]), *(f"host {name}" for name in found.machines[:3])]
        lines.append(f"with the names they ran under: {', '.join(names)}")
    if found.artifacts:
        lines.append(f"with the names and sizes of the artifacts of {count(found.artifacts, 'run')}")
    if content is not None and content.place is not None:
        what = f"{count(content.count, 'file')}, {format_size(content.size)}"
        lines.append(f"with the content of these artifacts ({what}), to {content.place}")
    elif found.artifacts and (content is None or content.count):
        lines.append("without the content of these artifacts, which stays here")
    return [clean(line) for line in lines]


def name_experiments(slugs: Sequence[str]) -> str:
    """Return experiments in a few words: by name while they are few."""
    if len(slugs) > 3:
        return count(len(slugs), "experiment")
    return f"{'experiment' if len(slugs) == 1 else 'experiments'} {', '.join(slugs)}"


def describe_place(finding: Finding) -> str:
    """Return where a value stands; the value itself is not shown."""
    if not finding.run_id:
        return f"experiment {finding.experiment}, {finding.field}"
    return f"run {finding.run_name} ({finding.run_id[:8]}), {finding.field}"


def suggest_redaction(finding: Finding) -> str | None:
    """Return the command that takes a value out of its run; an experiment's own words cannot be taken out."""
    if not finding.run_id:
        return None
    kind, _, name = finding.field.partition("/" if finding.field.startswith(("source/", "artifacts/")) else ".")
    if "[scrubbed]" in name or kind not in _REDACTIONS:
        what = "--note" if finding.field == "note" else "--text TEXT"
    else:
        what = f"{_REDACTIONS[kind]} {shlex.quote(name)}"
    return f"gittrack redact {finding.run_id[:8]} {what}"


def finding_record(finding: Finding) -> dict[str, object]:
    """Return where a value stands that looks like a secret as JSON-ready values."""
    return {"id": finding.id, "run": finding.run_id or None, "field": finding.field}


def count_runs(plan: Plan) -> int:
    """Return how many runs a plan says something new of."""
    from ..sync.joining import list_records

    return len({record.subject for record in list_records(plan.commits)} - {""})


class Rehearsed(Exception):
    """A push was only to be rehearsed, and has been: nothing was sent."""


class Consent:
    """Approves what is about to be pushed, or does not.

    `upload` is what sends the content, where any is to be sent. `agreed` is a person's consent that was given
    beforehand, `allowed` the findings that are said to be no secrets; with `silent` nobody is asked, and nothing is
    said but in errors. With `rehearse` it says what would go, asks nobody, remembers nothing, and raises Rehearsed.
    """

    def __init__(
        self,
        session: Session,
        link: Link,
        *,
        upload: Upload | None = None,
        agreed: bool = False,
        allowed: Sequence[str] = (),
        silent: bool = False,
        rehearse: bool = False,
    ) -> None:
        self._session = session
        self._link = link
        self._upload = upload
        self._agreed = agreed
        self._allowed = frozenset(allowed)
        self._silent = silent
        self._rehearsal: tuple[Plan, ...] | None = () if rehearse else None
        self.findings: tuple[Finding, ...] = ()
        self.offered: Offer | None = None  # of a rehearsal: the content that would go along

    def __call__(self, plans: Sequence[Plan]) -> Mapping[str, GittrackError]:
        """Return the experiments that must not go, and why; raises Conflict where nobody has agreed to the rest."""
        from ..sync import agreement
        from ..sync.disclosure import describe

        link = self._link
        found = describe(link, plans)
        self._keep_allowed(found)
        refused = self._refuse_secrets()
        fit = [plan for plan in plans if plan.slug not in refused]
        agreed = agreement.is_agreed(link.repository, link.remote)
        if self._rehearsal is not None:
            self._rehearse(plans, fit, describe(link, fit) if refused else found)
        elif fit and not agreed:
            self._ask(fit, describe(link, fit) if refused else found)
            agreement.agree(link.repository, link.remote)
        elif not self._silent:
            self._tell_first(fit)
        return refused

    def ask_once(self, plans: Sequence[Plan]) -> Mapping[str, GittrackError]:
        """Do the same about what the remote has already, unless somebody has agreed to share runs through it."""
        from ..sync import agreement

        return {} if agreement.is_agreed(self._link.repository, self._link.remote) else self(plans)

    def _describe(self, plans: Sequence[Plan], found: Disclosure) -> list[str]:
        remote = self._link.remote
        return describe_disclosure(
            found, remote=remote.name, address=show_address(remote.push_url), content=self._offer(plans)
        )

    def _offer(self, plans: Sequence[Plan]) -> Offer | None:
        return None if self._upload is None else self._upload.offer(plans)

    def _tell_first(self, plans: Sequence[Plan]) -> None:
        """Say which experiments go along for the first time: what was agreed to once may have been about others."""
        first = [f"{plan.slug}: {count(count_runs(plan), 'run')}" for plan in plans if plan.first]
        if first and not self._link.names:
            self._session.terminal.note(f"also shares {'; '.join(first)}")

    def _rehearse(self, plans: Sequence[Plan], fit: Sequence[Plan], found: Disclosure) -> None:
        self._rehearsal = tuple(plans)
        self.offered = self._offer(fit)
        if not self._silent and found.experiments:
            for line in self._describe(fit, found):
                self._session.terminal.note(line)
        raise Rehearsed

    @property
    def rehearsed(self) -> tuple[Plan, ...]:
        """What would have been sent, of a rehearsal."""
        return self._rehearsal or ()

    def check_allowed(self) -> None:
        """Raise InvalidInput for what was said to be no secret and is nothing that was found, now or before."""
        from ..sync.agreement import list_allowed

        self._check_allowed(list_allowed(self._link.repository))

    def _check_allowed(self, known: frozenset[str]) -> None:
        unknown = sorted(self._allowed - known)
        if unknown:
            raise InvalidInput(
                f"--allow-secret {unknown[0]:.100}: nothing that is to be pushed has this name", hint=self._link.again
            )

    def _keep_allowed(self, found: Disclosure) -> None:
        from ..sync import agreement

        known = agreement.list_allowed(self._link.repository)
        self._check_allowed(known | {finding.id for finding in found.findings})
        if self._rehearsal is None:
            agreement.allow(self._link.repository, self._allowed)
        allowed = known | self._allowed
        self.findings = tuple(finding for finding in found.findings if finding.id not in allowed)

    def _refuse_secrets(self) -> dict[str, GittrackError]:
        terminal = self._session.terminal
        for finding in self.findings[:_MOST_FINDINGS]:
            terminal.warn(f"this looks like a secret: {describe_place(finding)}: --allow-secret {finding.id}")
        if len(self.findings) > _MOST_FINDINGS:
            terminal.warn(f"and {len(self.findings) - _MOST_FINDINGS} more")
        refused: dict[str, GittrackError] = {}
        for slug in dict.fromkeys(finding.experiment for finding in self.findings):
            refused[slug] = self._refuse([entry for entry in self.findings if entry.experiment == slug], f"{slug} was")
        return refused

    def make_refusal(self, results: Sequence[Pushed]) -> Conflict:
        """Return the error for all that was kept back, which says what went through beside it."""
        kept = list(dict.fromkeys(finding.experiment for finding in self.findings))
        sent = [result.slug for result in results if result.result == "pushed"]
        if not sent:
            return self._refuse(self.findings, "")
        verb = "were" if len(kept) > 1 else "was"
        return self._refuse(self.findings, f"{', '.join(sent)} went through, but {', '.join(kept)} {verb}")

    def _refuse(self, findings: Sequence[Finding], subject: str) -> Conflict:
        first = findings[0]
        way_out = suggest_redaction(first)
        return Conflict(
            f"{f'{subject} not' if subject else 'nothing was'} pushed: {count(len(findings), 'value')} in these runs "
            f"would be seen by others and look like secrets, the first in {describe_place(first)}"
            + (f"; {way_out} takes it out" if way_out else ""),
            hint=f"{self._link.again} --allow-secret {first.id}  # if it is none",
        )

    def tell_auto(self) -> None:
        """Say, where nobody has agreed yet, that runs are not pushed by themselves before somebody has."""
        from ..sync.agreement import is_agreed

        if not is_agreed(self._link.repository, self._link.remote):
            self._session.terminal.note(
                f"runs go only after sharing through {self._link.remote.name} was agreed to once",
                hint=f"gittrack push {self._link.remote.name}",
            )

    def _ask(self, plans: Sequence[Plan], found: Disclosure) -> None:
        if self._agreed:
            return
        remote, terminal = self._link.remote, self._session.terminal
        lines = self._describe(plans, found)
        refusal = f"nothing was pushed: sharing runs through {remote.name} has to be agreed to first"
        if self._silent:
            raise Conflict(f"{refusal}; {'; '.join(lines)}", hint=f"{self._link.again} --yes")
        if isinstance(self._link.report, Transfer):
            self._link.report.stop()
        for line in lines:
            terminal.note(line)
        if not (terminal.error_screen.interactive and sys.stdin.isatty()):
            raise Conflict(refusal, hint=f"{self._link.again} --yes")
        if not click.confirm(f"Share runs through {remote.name}? (asked once)", err=True):
            raise Conflict("nothing was pushed", hint=self._link.again)
