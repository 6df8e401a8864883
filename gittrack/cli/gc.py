"""The `gc` command: delete for good what was marked removed long ago, and show first what that comes to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from ..canonical import format_time
from ..errors import InvalidInput
from .amounts import count, format_age, format_size, format_utc
from .command import Command, complete_experiment, json_option, pass_session
from .session import Session
from .table import Cell, Column, lay_out
from .terminal import Screen, Terminal
from .text import clean
from .transfer import find_remote_name

if TYPE_CHECKING:
    from ..deletion import Deleted, Doomed, Survey
    from ..model import Pointer
    from ..tracker import Tracker

_DEFAULT_AGE = "30d"


def render_doomed(runs: Sequence[Doomed], screen: Screen, *, now: int) -> list[str]:
    """Return runs that are to be deleted, or were, as a table."""
    say = (lambda moment: format_age(moment, now=now)) if screen.interactive else format_utc
    sizes = [format_size(sum(pointer.size for pointer in run.contents)) if run.contents else "" for run in runs]
    columns = [
        Column("RUN", tuple(Cell(run.id[:8], "id") for run in runs)),
        Column("NAME", tuple(Cell(clean(run.name)) for run in runs), rank=1, least=8),
        Column("EXPERIMENT", tuple(Cell(clean(run.experiment), "dim") for run in runs), rank=2, least=8),
        Column("REMOVED", tuple(Cell(say(run.removed), "dim") for run in runs), rank=1),
        Column("REVISIONS", tuple(Cell(str(len(run.commits))) for run in runs), rank=4, align="right"),
        Column("ARTIFACTS", tuple(Cell(size) for size in sizes), rank=3, align="right"),
    ]
    return lay_out(columns, screen).lines


def run_record(run: Doomed) -> dict[str, object]:
    """Return a deleted run as JSON-ready values."""
    return {
        "id": run.id,
        "name": run.name,
        "experiment": run.experiment,
        "removed": format_time(run.removed),
        "revisions": len(run.commits),
        "artifacts": sum(pointer.size for pointer in run.contents),
    }


def content_record(pointers: Iterable[Pointer]) -> dict[str, int]:
    """Return content as JSON-ready values: how many files, of how many bytes in all."""
    sizes = [pointer.size for pointer in pointers]
    return {"files": len(sizes), "bytes": sum(sizes)}


def describe_content(pointers: Iterable[Pointer]) -> str:
    """Return content in a few words: how many files, and how large."""
    sizes = [pointer.size for pointer in pointers]
    return f"{count(len(sizes), 'file')} ({format_size(sum(sizes))})"


def say_what_remains(terminal: Terminal, slugs: Sequence[str], *, tracker: Tracker) -> None:
    """Say where a deleted run still is, and what takes it from there."""
    namespace, remote = tracker.settings.namespace, find_remote_name(tracker)
    branches = [f"{namespace}/{slug}" for slug in slugs]
    short = " ".join(branch.removeprefix("refs/heads/") for branch in branches[:3])
    terminal.note(
        "remotes keep it until you push, other clones until they pull; copies and backups are beyond reach",
        hint=" ".join(("gittrack push", *([remote] if remote else []), *slugs)),
    )
    terminal.note(
        "here, git itself keeps the old commits for a while (reflogs, unreachable objects)",
        hint=f"git reflog expire --expire=now --expire-unreachable=now {short} && git gc --prune=now",
    )


@click.command(
    "gc",
    cls=Command,
    examples=(
        "gittrack gc",
        "gittrack gc --yes",
        "gittrack gc churn --older-than 90d --yes",
        "gittrack gc --now --yes",
    ),
)
@click.argument("experiments", metavar="[EXPERIMENT]...", nargs=-1, shell_complete=complete_experiment)
@click.option(
    "--older-than",
    metavar="AGE",
    help=f"Delete runs that were removed so long ago, such as 12h or 8w ({_DEFAULT_AGE}).",
)
@click.option("--now", "at_once", is_flag=True, help="Delete all removed runs, and at once the content they leave.")
@click.option("--yes", is_flag=True, help="Do it; without this, gc only shows what it would do.")
@json_option()
@pass_session
def gc(
    session: Session,
    experiments: tuple[str, ...],
    older_than: str | None,
    at_once: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Delete for good the runs that were removed 30 days ago.

    Shows what it would delete, and deletes it with --yes: the runs with all their revisions, of the experiments named
    or of all. Their artifacts' content is condemned, and deleted by a later gc, once 14 days have passed and if still
    nothing needs it. Runs that are being recorded stay.
    """
    from ..deletion import GRACE, PERIOD, delete_runs, survey_deletion

    if at_once and older_than is not None:
        raise InvalidInput("--now and --older-than contradict each other", hint="gittrack gc --now")
    period = 0 if at_once else PERIOD if older_than is None else _read_age(older_than)
    grace = 0 if at_once else GRACE
    with session.open_tracker() as tracker:
        if yes:
            done = delete_runs(tracker, experiments, now=session.now, period=period, grace=grace)
            _tell_done(session, done, tracker=tracker, as_json=as_json)
            return
        survey = survey_deletion(tracker, experiments, now=session.now, period=period, grace=grace)
    words = ["gittrack", "gc", *experiments, *(["--now"] if at_once else [])]
    words += ["--older-than", older_than] if older_than is not None else []
    _tell_plan(session, survey, " ".join([*words, "--yes"]), as_json=as_json)


def _read_age(text: str) -> int:
    """Return the microseconds of an age such as `30d`; raises InvalidInput."""
    from ..query.times import parse_duration

    seconds = parse_duration(text)
    if seconds is None or seconds < 0:
        raise InvalidInput(f"not an age: {text!r:.60}", hint="gittrack gc --older-than 30d")
    return int(seconds * 1_000_000)


def _tell_plan(session: Session, survey: Survey, command: str, *, as_json: bool) -> None:
    due = [entry.pointer for entry in survey.due]
    condemned = [entry.pointer for entry in survey.condemned]
    if as_json:
        content = {"unneeded": content_record(survey.unneeded), "condemned": content_record(condemned)}
        content |= {"due": content_record(due)}
        session.write_json("gc", {"done": False, "runs": [run_record(run) for run in survey.runs], "content": content})
        return
    terminal = session.terminal
    if survey.runs:
        terminal.write(render_doomed(survey.runs, terminal.screen, now=session.now))
        terminal.note(f"would delete {count(len(survey.runs), 'run')} for good")
    for slug, number in survey.returned:
        terminal.note(f"would delete {count(number, 'revision')} of {slug} again, which had come back")
    if survey.unneeded:
        terminal.note(f"would condemn {describe_content(survey.unneeded)} that nothing else needs")
    if due:
        terminal.note(f"would delete {describe_content(due)}, condemned before")
    if len(condemned) > len(due):
        terminal.note(f"{describe_content(condemned)} condemned and not yet deleted")
    _tell_left(terminal, survey)
    if survey.runs or survey.returned or due:
        terminal.hint(f"nothing was deleted; to do it: {command}")
    else:
        terminal.note("there is nothing to delete")


def _tell_left(terminal: Terminal, survey: Survey) -> None:
    if survey.recent:
        terminal.note(f"{count(survey.recent, 'run was', 'runs were')} removed only lately", hint="gittrack gc --now")
    if survey.busy:
        terminal.note(f"{count(survey.busy, 'removed run is', 'removed runs are')} being recorded again: not deleted")
    if survey.unsure:
        terminal.warn(f"content stays: {survey.unsure}")


def _tell_done(session: Session, done: Deleted, *, tracker: Tracker, as_json: bool) -> None:
    waiting = [entry.pointer for entry in done.content.waiting]
    if as_json:
        content = {"deleted": content_record(done.content.deleted), "condemned": content_record(waiting)}
        session.write_json("gc", {"done": True, "runs": [run_record(run) for run in done.runs], "content": content})
        return
    terminal = session.terminal
    if done.runs:
        terminal.write(render_doomed(done.runs, terminal.screen, now=session.now))
    for slug, number in done.epochs:
        gone = sum(run.experiment == slug for run in done.runs)
        terminal.note(f"deleted {count(gone, 'run')} of {slug} for good: its history begins anew, as epoch {number}")
    if done.content.deleted:
        terminal.note(f"deleted {describe_content(done.content.deleted)} of content")
    if waiting:
        terminal.note(
            f"{describe_content(waiting)} condemned: a gc in 14 days deletes what nothing needs by then",
            hint="gittrack gc --now --yes  # at once",
        )
    if done.content.unsure:
        terminal.warn(f"content stays: {done.content.unsure}")
    if done.epochs:
        say_what_remains(terminal, [slug for slug, _ in done.epochs], tracker=tracker)
    elif not done.content.deleted:
        terminal.note("there was nothing to delete")
