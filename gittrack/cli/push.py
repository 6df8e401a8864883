"""The `push` command: show what a push discloses, ask once, push until it is in."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from time import time_ns
from typing import TYPE_CHECKING

import click

from ..errors import Conflict
from .amounts import count
from .command import Command, json_option, pass_session
from .session import Session
from .text import clean
from .transfer import NAMES, Transfer, open_link, show_address

if TYPE_CHECKING:
    from ..sync.disclosure import Disclosure, Finding
    from ..sync.link import Link
    from ..sync.pushing import Plan, Pushed

_MOST_FINDINGS = 20
_RETRY_SECONDS = 3600.0


def describe_disclosure(found: Disclosure, *, remote: str, address: str) -> list[str]:
    """Return what a push shows to whoever can read the remote, in a few lines."""
    lines = [
        f"{remote} ({address}) will get {count(found.runs, 'run')} of {_list(found.experiments, 'experiment')}: "
        "params, metrics, tags, notes, command lines"
    ]
    if found.sources:
        modified = f", {found.modified} of them with changes that are in no commit" if found.modified else ""
        lines.append(f"with the source code that ran: {count(found.sources, 'version')}{modified}")
    if found.environments:
        lines.append("with the environment: Python, packages and their versions, hardware")
    if found.people or found.machines:
        names = [*(f"user {name}" for name in found.people[:3]), *(f"host {name}" for name in found.machines[:3])]
        lines.append(f"with the names they ran under: {', '.join(names)}")
    if found.artifacts:
        lines.append(f"with the names and sizes of the artifacts of {count(found.artifacts, 'run')}")
    return [clean(line) for line in lines]


def _list(slugs: Sequence[str], noun: str) -> str:
    if len(slugs) > 3:
        return count(len(slugs), noun)
    return f"{noun if len(slugs) == 1 else noun + 's'} {', '.join(slugs)}"


def describe_finding(finding: Finding) -> str:
    """Return where a value stands that looks like a secret; the value itself is not shown."""
    return f"run {finding.run_name} ({finding.run_id[:8]}) {finding.field}: --allow-secret {finding.id}"


def describe_pushed(result: Pushed, remote: str) -> str:
    """Return what became of one experiment, in a line."""
    if result.result == "pushed":
        rounds = f", after {result.rounds} rounds with others" if result.rounds > 1 else ""
        return f"{result.slug}: {count(result.runs, 'run')} pushed to {remote}{rounds}"
    if result.result == "deleted":
        return f"{result.slug}: its branch was deleted on {remote}, so nothing was pushed"
    return f"{result.slug}: {remote} has everything"


def pushed_record(result: Pushed) -> dict[str, object]:
    """Return what became of one experiment as JSON-ready values."""
    return {
        "experiment": result.slug,
        "result": result.result,
        "runs": result.runs,
        "merged": list(result.merged),
        "rounds": result.rounds,
        "reason": result.failure.message if result.failure else None,
    }


class _Consent:
    """Asks, once for each address, whether what is about to be pushed may be; refuses what looks like a secret."""

    def __init__(self, session: Session, link: Link, *, agreed: bool, allowed: Sequence[str], silent: bool) -> None:
        self._session = session
        self._link = link
        self._agreed = agreed
        self._allowed = allowed
        self._silent = silent

    def __call__(self, plans: Sequence[Plan]) -> None:
        from ..sync import agreement
        from ..sync.disclosure import describe

        link = self._link
        agreement.allow(link.repository, self._allowed)
        found = describe(link.store, link.git, plans)
        self._refuse_secrets(found)
        if not agreement.is_agreed(link.repository, link.remote):
            self._ask(found)
            agreement.agree(link.repository, link.remote)

    def _refuse_secrets(self, found: Disclosure) -> None:
        from ..sync.agreement import list_allowed

        allowed = list_allowed(self._link.repository)
        findings = [finding for finding in found.findings if finding.id not in allowed]
        if not findings:
            return
        terminal = self._session.terminal
        for finding in findings[:_MOST_FINDINGS]:
            terminal.warn(f"this looks like a secret: {describe_finding(finding)}")
        if len(findings) > _MOST_FINDINGS:
            terminal.warn(f"and {len(findings) - _MOST_FINDINGS} more")
        first = findings[0]
        raise Conflict(
            f"nothing was pushed: {count(len(findings), 'value')} in these runs would be seen by others and look like "
            f"secrets, the first in run {first.run_name} ({first.run_id[:8]}), {first.field}",
            hint=f"gittrack push --allow-secret {first.id}  # if it is none",
        )

    def _ask(self, found: Disclosure) -> None:
        if self._agreed:
            return
        remote, terminal = self._link.remote, self._session.terminal
        lines = describe_disclosure(found, remote=remote.name, address=show_address(remote.push_url))
        refusal = f"nothing was pushed: sharing runs through {remote.name} has to be agreed to first"
        if self._silent:
            raise Conflict(f"{refusal}; {'; '.join(lines)}", hint=f"gittrack push {remote.name} --yes")
        if isinstance(self._link.report, Transfer):
            self._link.report.stop()
        for line in lines:
            terminal.note(line)
        if not (terminal.error_screen.interactive and sys.stdin.isatty()):
            raise Conflict(refusal, hint=f"gittrack push {remote.name} --yes")
        if not click.confirm(f"Share runs through {remote.name}? (asked once)", err=True):
            raise Conflict("nothing was pushed", hint=f"gittrack push {remote.name}")


@click.command(
    "push",
    cls=Command,
    examples=("gittrack push", "gittrack push origin churn", "gittrack push --yes", "gittrack push --auto"),
)
@NAMES
@click.option("--yes", "agreed", is_flag=True, help="Agree to what the first push to a remote discloses.")
@click.option(
    "--allow-secret", "allowed", metavar="ID", multiple=True, help="Push a value that looks like a secret, and is none."
)
@click.option(
    "--auto/--no-auto", "auto", default=None, help="From now on, push each run in the background when it ends; or not."
)
@click.option("--detached", is_flag=True, hidden=True, help="Push what runs that have ended are owed.")
@json_option()
@pass_session
def push(
    session: Session,
    names: tuple[str, ...],
    agreed: bool,
    allowed: tuple[str, ...],
    auto: bool | None,
    detached: bool,
    as_json: bool,
) -> None:
    """Share your runs with everybody who can read the remote.

    Joins what others have pushed meanwhile, and goes on until yours are in; nothing on the remote is ever overwritten.
    The first push to a remote says what it discloses, and asks. Without EXPERIMENT, all experiments.
    """
    if detached:
        _run_detached(session, names)
        return
    if auto is not None:
        _set_auto(session, auto)
    with open_link(session, names, purpose="push") as (_, link, experiments):
        consent = _Consent(session, link, agreed=agreed, allowed=allowed, silent=as_json)
        results = _push(session, link, experiments, consent)
    if as_json:
        session.write_json("pushed", [pushed_record(result) for result in results], remote=link.remote.name)
    else:
        _tell(session, results, link.remote.name)
    failure = next((result.failure for result in results if result.failure is not None), None)
    if failure is not None:
        raise failure


def _push(session: Session, link: Link, experiments: Sequence[str], consent: _Consent) -> Sequence[Pushed]:
    from ..sync.errand import Errand
    from ..sync.pushing import find_pushable
    from ..sync.pushing import push as push_experiments

    slugs = find_pushable(link, experiments)
    results = push_experiments(link, slugs, approve=consent, revive=bool(experiments))
    done = [result.slug for result in results if result.result in ("pushed", "current")]
    Errand(link.repository.common_directory).settle(done)
    return results


def _tell(session: Session, results: Sequence[Pushed], remote: str) -> None:
    terminal = session.terminal
    if not results:
        terminal.note("no runs were recorded here yet", hint="gittrack run -- python train.py")
    elif len(results) > 1 and all(result.result == "current" for result in results):
        terminal.note(f"{remote} has everything")
        return
    for result in results:
        if result.result == "deleted":
            terminal.warn(describe_pushed(result, remote), hint=f"gittrack push {remote} {result.slug}")
        elif result.failure is not None:
            terminal.warn(f"{result.slug}: {result.failure.message}")
        elif result.result == "pushed" or len(results) == 1:
            terminal.note(describe_pushed(result, remote))
        for name in result.merged if result.result == "pushed" else ():
            terminal.note(f"{result.slug}: {name} was edited here and there; both edits are kept")


def _set_auto(session: Session, auto: bool) -> None:
    from ..git import Git

    with session.open_tracker(recover=False) as tracker:
        directory = (tracker.code or tracker.repository).directory
    Git(directory).run("config", "--local", "--replace-all", "--", "gittrack.autoPush", str(auto).lower())
    said = "each run is pushed in the background when it ends" if auto else "runs are pushed by gittrack push alone"
    session.terminal.note(f"{said} (git config gittrack.autoPush is {str(auto).lower()})")


def _run_detached(session: Session, names: Sequence[str]) -> None:
    from ..sync.errand import Errand, run_errands
    from ..sync.pushing import push as push_experiments

    with open_link(session, names[:1], purpose="push", silent=True) as (_, link, _experiments):
        consent = _Consent(session, link, agreed=False, allowed=(), silent=True)
        run_errands(
            Errand(link.repository.common_directory),
            lambda slugs: push_experiments(link, slugs, approve=consent),
            now=lambda: time_ns() // 1000,
            patience=_RETRY_SECONDS,
        )
