"""The `verify` command: whether runs are still what was recorded, what of them is good, and who has the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from ..errors import Corrupt, InvalidInput, NotFound
from .amounts import count, format_size
from .command import Command, complete_run, json_option, pass_session
from .progress import Progress
from .session import Session
from .terminal import Screen
from .text import clean

if TYPE_CHECKING:
    from ..integrity import Inspection
    from ..verification import Copies, Finding, Verdict

_MOST = 20


def finding_record(finding: Finding) -> dict[str, object]:
    """Return a finding as JSON-ready values."""
    return {
        "kind": finding.kind,
        "state": "missing" if finding.missing else "damaged",
        "place": finding.place,
        "reason": finding.reason,
        "id": finding.id or None,
        "copies": list(finding.copies),
        "remedy": finding.remedy or None,
    }


def verdict_record(verdict: Verdict) -> dict[str, object]:
    """Return the verdict about a run as JSON-ready values."""
    return {
        "id": verdict.run_id or None,
        "name": verdict.name,
        "experiment": verdict.experiment,
        "commit": verdict.commit or None,
        "good": list(verdict.good),
        "objects": verdict.objects,
        "points": verdict.points,
        "artifacts": verdict.artifacts,
        "contents": verdict.contents,
        "hashed": verdict.hashed,
        "not_here": [{"path": absent.path, "size": absent.pointer.size} for absent in verdict.absent],
        "findings": [finding_record(finding) for finding in verdict.findings],
    }


def render_verdict(verdict: Verdict, screen: Screen) -> Iterator[str]:
    """Yield the lines that say what is wrong with a run, what of it is good, and how to get the rest back."""
    who = f"run {verdict.name} ({verdict.run_id[:8]})" if verdict.run_id else f"experiment {verdict.experiment}"
    yield clean(f"{who}: {count(len(verdict.findings), 'finding')}")
    for finding in verdict.findings[:_MOST]:
        state = "missing" if finding.missing else "damaged"
        place = clean(finding.place) or "the record"
        yield f"  {screen.paint(state, 'warning')}  {place}: {clean(finding.reason)}"
        if finding.copies:
            yield f"           {clean(', '.join(finding.copies))} has a copy"
        if finding.remedy:
            yield f"           to get it back: {clean(finding.remedy)}"
    if len(verdict.findings) > _MOST:
        yield f"  … {len(verdict.findings) - _MOST} more: gittrack verify {verdict.run_id[:8]} --json"
    if verdict.run_id:
        yield f"  still good: {clean(describe_good(verdict)) or 'nothing'}"


def describe_good(verdict: Verdict) -> str:
    """Return what of a run is whole, in one line."""
    words = [section for section in verdict.good if section not in ("metrics", "artifacts")]
    if verdict.points or "metrics" in verdict.good:
        words.append(count(verdict.points, "point") + " of metrics")
    hurt = sum(finding.place.startswith("artifacts") for finding in verdict.findings)
    if verdict.artifacts > hurt:
        words.append(f"{verdict.artifacts - hurt} of {count(verdict.artifacts, 'artifact')}")
    return ", ".join(words)


def tell_absent(session: Session, verdicts: Sequence[Verdict], copies: Copies) -> None:
    """Say how much content is elsewhere, and whether that is known to be so."""
    pointers = {absent.pointer for verdict in verdicts for absent in verdict.absent}
    known = pointers & copies.held
    if known:
        size = format_size(sum(pointer.size for pointer in known))
        verb = "is" if len(known) == 1 else "are"
        session.terminal.note(f"{count(len(known), 'content')} ({size}) {verb} not here, and with {copies.remote}")
    if pointers and copies.unknown:
        size = format_size(sum(pointer.size for pointer in pointers))
        session.terminal.warn(
            f"{count(len(pointers), 'content')} ({size}) not here, and who has it is not known: {copies.unknown}"
        )


def raise_verdict(verdicts: Sequence[Verdict], *, hint: str | None) -> None:
    """Raise Corrupt where anything is damaged, NotFound where content is nowhere to be found."""
    hurt = [verdict for verdict in verdicts if verdict.findings]
    damaged = [verdict for verdict in hurt if verdict.damaged]
    if damaged:
        raise Corrupt(f"{_say_runs(damaged)} damaged, of {len(verdicts)} that were checked", hint=hint)
    if hurt:
        raise NotFound(
            f"content of {_say_runs(hurt)} nowhere to be found",
            hint="gittrack push --content  # where it was recorded",
        )


def _say_runs(verdicts: Sequence[Verdict]) -> str:
    return f"{count(len(verdicts), 'run')} {'is' if len(verdicts) == 1 else 'are'}"


@click.command(
    "verify",
    cls=Command,
    examples=("gittrack verify latest", "gittrack verify --all", "gittrack verify brave-otter-41 --read-content"),
)
@click.argument("runs", metavar="[RUN]...", nargs=-1, shell_complete=complete_run)
@click.option("--all", "every", is_flag=True, help="Check all runs of all experiments.")
@click.option("--read-content", is_flag=True, help="Read artifacts' content too, instead of looking at its size.")
@click.option("--offline", is_flag=True, help="Ask no remote who has what is not here.")
@json_option()
@pass_session
def verify(
    session: Session, runs: tuple[str, ...], every: bool, read_content: bool, offline: bool, as_json: bool
) -> None:
    """Check that runs are still what was recorded.

    Reads every Git object of a run's tree, every pointer and every page of metrics, compares the summary with the
    points, and looks for the content of artifacts. Of what is damaged it says what is still good, which remote has a
    copy, and how to get it back. Content that is only with a remote is no damage. Changes nothing.
    """
    from ..integrity import verify_runs

    if bool(runs) == every:
        raise InvalidInput(
            "verify needs a run, or --all" if every is False else "either runs or --all, not both",
            hint="gittrack verify --all",
        )
    terminal = session.terminal
    with session.open_tracker() as tracker, Progress(terminal, "verifying") as progress:
        done = verify_runs(
            tracker,
            runs,
            read_content=read_content,
            offline=offline,
            interactive=terminal.error_screen.interactive,
            report=progress,
        )
    if as_json:
        session.write_json("verified", [verdict_record(verdict) for verdict in done.verdicts], **_ask_record(done))
    else:
        _tell(session, done)
    hint = None if read_content else "gittrack verify --all --read-content  # to know about content as well"
    raise_verdict(done.verdicts, hint=hint)


def _ask_record(done: Inspection) -> dict[str, object]:
    return {"content_remote": done.copies.remote or None, "unknown": done.copies.unknown or None}


def _tell(session: Session, done: Inspection) -> None:
    terminal = session.terminal
    for verdict in done.verdicts:
        if verdict.findings:
            terminal.write(render_verdict(verdict, terminal.screen))
    tell_absent(session, done.verdicts, done.copies)
    promised = sum(verdict.promised for verdict in done.verdicts)
    if promised:
        terminal.note(f"{count(promised, 'object')} are left with the remote of this partial clone, and not checked")
    good = [verdict for verdict in done.verdicts if not verdict.findings]
    if done.verdicts and not good:
        return
    objects, contents = sum(v.objects for v in good), sum(v.contents for v in good)
    read = "read" if any(verdict.hashed for verdict in good) else "of the right size"
    terminal.note(
        f"{count(len(good), 'run')} good: {count(objects, 'object')}, {count(sum(v.points for v in good), 'point')}, "
        f"{count(contents, 'content')} {read}"
    )
