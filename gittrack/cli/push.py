"""The `push` command: show what a push discloses, ask once, push until it is in."""

from __future__ import annotations

from collections.abc import Sequence
from time import time_ns
from typing import TYPE_CHECKING

import click

from ..errors import Conflict, GittrackError, InvalidInput
from .amounts import count
from .command import Command, json_option, pass_session
from .consent import Consent, Rehearsed, count_runs, finding_record
from .content_shared import make_upload, tell_upload, upload_record
from .session import Session
from .transfer import NAMES, open_link, tell_merged

if TYPE_CHECKING:
    from ..sync.disclosure import Finding
    from ..sync.link import Link
    from ..sync.pushing import Pushed
    from ..sync.uploading import Upload
    from ..tracker import Tracker

_RETRY_SECONDS = 3600.0


def describe_pushed(result: Pushed, remote: str) -> str:
    """Return what became of one experiment that is in, in a line."""
    if result.result == "pushed":
        rounds = f", after {result.rounds} rounds with others" if result.rounds > 1 else ""
        return f"{result.slug}: {count(result.runs, 'run')} pushed to {remote}{rounds}"
    return f"{result.slug}: {remote} has everything"


def pushed_record(result: Pushed, findings: Sequence[Finding] = ()) -> dict[str, object]:
    """Return what became of one experiment as JSON-ready values; `findings` are what keeps it back, if anything."""
    return {
        "experiment": result.slug,
        "result": result.result,
        "runs": result.runs,
        "merged": list(result.merged),
        "rounds": result.rounds,
        "reason": result.failure.message if result.failure else None,
        "findings": [finding_record(finding) for finding in findings if finding.experiment == result.slug],
    }


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
@click.option(
    "--content/--no-content",
    "content",
    default=None,
    help="Send the content that the remote lacks of all runs, not of the new ones alone; or send none.",
)
@click.option("--dry-run", "rehearse", is_flag=True, help="Say what would be pushed, and push nothing.")
@click.option("--force", "force", is_flag=True, hidden=True)
@click.option("--all", "everything", is_flag=True, hidden=True, help="All experiments, as without EXPERIMENT.")
@click.option("--detached", is_flag=True, hidden=True, help="Push what runs that have ended are owed.")
@json_option()
@pass_session
def push(
    session: Session,
    names: tuple[str, ...],
    agreed: bool,
    allowed: tuple[str, ...],
    auto: bool | None,
    content: bool | None,
    rehearse: bool,
    force: bool,
    everything: bool,
    detached: bool,
    as_json: bool,
) -> None:
    """Share your runs with everybody who can read the remote.

    Joins what others have pushed meanwhile, and goes on until yours are in; nothing on the remote is ever overwritten.
    The content of artifacts goes first: to the remote's directory or Git LFS server, or where gittrack.contentRemote
    says. The first push to a remote says what it discloses, and asks. Without EXPERIMENT, all experiments.
    """
    if detached:
        _run_detached(session, names)
        return
    if force:
        raise InvalidInput(
            "there is no --force: nothing on the remote is ever overwritten, what others pushed is joined with yours",
            hint=" ".join(("gittrack push", *names)),
        )
    if auto is not None and not rehearse:
        _set_auto(session, auto)
    with open_link(session, names, purpose="push") as (tracker, link, experiments):
        upload = None if content is False else make_upload(session, tracker, link)
        consent = Consent(
            session, link, upload=upload, agreed=agreed, allowed=allowed, silent=as_json, rehearse=rehearse
        )
        if everything and experiments:
            raise InvalidInput("--all and experiments that are named contradict each other", hint=link.again)
        try:
            results = _push(link, experiments, consent, upload)
            stranded = _complete(upload, consent, results) if content and upload and not rehearse else None
        except Rehearsed:
            _tell_rehearsed(session, consent, link.remote.name, as_json=as_json)
            return
    if rehearse and as_json:
        _tell_rehearsed(session, consent, link.remote.name, as_json=True)
    elif as_json:
        records = [pushed_record(result, consent.findings) for result in results]
        sent = {} if upload is None else {"content": upload_record(upload)}
        session.write_json("pushed", records, remote=link.remote.name, **sent)
    else:
        _tell(session, results, link.remote.name)
        if upload is not None:
            tell_upload(session, upload, remote=link.remote.name)
    if auto:
        consent.tell_auto()
    problems = [*_list_problems(results, consent, link.remote.name), *([stranded] if stranded else [])]
    for problem in problems[1:]:
        session.terminal.warn(problem.message, hint=problem.hint)
    if problems:
        raise problems[0]


def _tell_rehearsed(session: Session, consent: Consent, remote: str, *, as_json: bool) -> None:
    kept = {finding.experiment for finding in consent.findings}
    if not as_json:
        for plan in consent.rehearsed:
            would = "would be kept back" if plan.slug in kept else f"would be pushed to {remote}"
            session.terminal.note(f"{plan.slug}: {count(count_runs(plan), 'run')} {would}")
        return
    records = [
        {
            "experiment": plan.slug,
            "runs": count_runs(plan),
            "first": plan.first,
            "findings": [finding_record(finding) for finding in consent.findings if finding.experiment == plan.slug],
        }
        for plan in consent.rehearsed
    ]
    offered = consent.offered
    content = {"files": offered.count, "bytes": offered.size, "place": offered.place} if offered else None
    session.write_json("would_push", records, remote=remote, content=content)


def _complete(upload: Upload, consent: Consent, results: Sequence[Pushed]) -> GittrackError | None:
    """Send the content that the place lacks of all runs the remote has now; return why that did not go through."""
    slugs = [result.slug for result in results if result.result in ("pushed", "current")]
    try:
        plans = upload.plan_all(slugs)
        refused = consent.ask_once(plans)
        for error in upload([plan for plan in plans if plan.slug not in refused]).values():
            raise error
    except GittrackError as error:
        return error
    return None


def _push(link: Link, experiments: Sequence[str], consent: Consent, upload: Upload | None) -> Sequence[Pushed]:
    from ..sync.errand import Errand
    from ..sync.pushing import find_pushable
    from ..sync.pushing import push as push_experiments

    slugs = find_pushable(link, experiments)
    results = push_experiments(link, slugs, approve=consent, upload=upload, revive=bool(experiments))
    done = [result.slug for result in results if result.result in ("pushed", "current")]
    Errand(link.repository.common_directory).settle(done)
    consent.check_allowed()
    return results


def _list_problems(results: Sequence[Pushed], consent: Consent, remote: str) -> list[GittrackError]:
    """Return why experiments were not pushed, each reason once."""
    from ..errors import RemoteFailed

    problems: list[GittrackError] = [consent.make_refusal(results)] if consent.findings else []
    kept = {finding.experiment for finding in consent.findings}
    failed: dict[str, list[Pushed]] = {}
    for result in results:
        if result.failure is not None and result.slug not in kept:
            failed.setdefault(result.failure.message, []).append(result)
    for message, refused in failed.items():
        failure = refused[0].failure
        if failure is not None and len(results) > 1:
            failure = RemoteFailed(f"{', '.join(result.slug for result in refused)}: {message}", hint=failure.hint)
        problems += [] if failure is None else [failure]
    gone = [result.slug for result in results if result.result == "deleted"]
    if gone:
        were = "its branch was" if len(gone) == 1 else "their branches were"
        again = f"gittrack push {remote} {' '.join(gone)}"
        problems.append(Conflict(f"{', '.join(gone)} not pushed: {were} deleted on {remote}", hint=again))
    return problems


def _tell(session: Session, results: Sequence[Pushed], remote: str) -> None:
    terminal = session.terminal
    if not results:
        terminal.note("no runs were recorded here yet", hint="gittrack run -- python train.py")
    elif len(results) > 1 and all(result.result == "current" for result in results):
        terminal.note(f"{remote} has everything")
        return
    for result in results:
        if result.result == "pushed" or (result.result == "current" and len(results) == 1):
            terminal.note(describe_pushed(result, remote))
        tell_merged(terminal, result.slug, result.merged if result.result == "pushed" else ())


def _set_auto(session: Session, auto: bool) -> None:
    from ..git import Git

    with session.open_tracker(recover=False) as tracker:
        directory = (tracker.code or tracker.repository).directory
    Git(directory).run("config", "--local", "--replace-all", "--", "gittrack.autoPush", str(auto).lower())
    said = "each run is pushed in the background when it ends" if auto else "runs are pushed by gittrack push alone"
    session.terminal.note(f"{said} (git config gittrack.autoPush is {str(auto).lower()})")


def _run_detached(session: Session, names: Sequence[str]) -> None:
    from ..sync.errand import Errand, run_errands

    with open_link(session, names[:1], purpose="push", silent=True) as (tracker, link, _experiments):
        consent = Consent(session, link, silent=True)
        run_errands(
            Errand(link.repository.common_directory),
            lambda slugs: _push_patiently(session, tracker, link, slugs, consent),
            now=lambda: time_ns() // 1000,
            patience=_RETRY_SECONDS,
        )


def _push_patiently(
    session: Session, tracker: Tracker, link: Link, slugs: Sequence[str], consent: Consent
) -> Sequence[Pushed]:
    """Push; a directory that is not there is taken for one that is not there yet, such as one that is to be mounted."""
    from ..sync.pushing import push as push_experiments
    from ..transport import TransportFailed

    try:
        upload = make_upload(session, tracker, link)
        results = push_experiments(link, slugs, approve=consent, upload=upload)
        tell_upload(session, upload, remote=link.remote.name)
        return results
    except TransportFailed as error:
        if error.reason == "missing" and link.remote.push_url.startswith(("/", ".", "~", "file://")):
            raise TransportFailed(error.message, reason="unreachable", hint=error.hint) from error
        raise
