"""The `status` command: what is here alone, what only the remote has, what is being recorded and pushed right now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ..canonical import format_time
from ..errors import GittrackError
from .amounts import count, describe_moment, format_size
from .command import Command, json_option, pass_session
from .session import Session
from .table import Cell, Column, lay_out
from .text import clean

if TYPE_CHECKING:
    from ..stored_run import StoredRun
    from ..sync.errand import Errand
    from ..sync.link import Link
    from ..sync.standing import Standing
    from ..sync.unsent import Content, Unsent
    from ..tracker import Tracker
    from .terminal import Screen


def render_standings(standings: Sequence[Standing], counts: dict[str, int], screen: Screen) -> list[str]:
    """Return how the experiments stand as a table."""
    columns = [
        Column("EXPERIMENT", tuple(Cell(clean(entry.slug), "key") for entry in standings), least=12),
        Column("RUNS", tuple(Cell(str(counts.get(entry.slug, 0))) for entry in standings), rank=4, align="right"),
        Column("TO PUSH", tuple(Cell(str(len(entry.ahead) or "")) for entry in standings), rank=1, align="right"),
        Column("TO PULL", tuple(Cell(str(len(entry.behind) or "")) for entry in standings), rank=2, align="right"),
        Column("", tuple(Cell(_describe(entry), "dim") for entry in standings), rank=3, least=8),
    ]
    return lay_out(columns, screen).lines


def _describe(entry: Standing) -> str:
    if not entry.remote:
        return "no longer on the remote" if entry.gone else "not on the remote"
    if not entry.local:
        return "theirs alone"
    return "" if entry.ahead or entry.behind else "up to date"


def standing_record(entry: Standing, runs: int) -> dict[str, object]:
    """Return how an experiment stands as JSON-ready values."""
    return {
        "experiment": entry.slug,
        "runs": runs,
        "local": entry.local,
        "remote": entry.remote,
        "ahead": sorted(entry.ahead),
        "behind": sorted(entry.behind),
    }


@click.command("status", cls=Command, examples=("gittrack status", "gittrack status origin --json"))
@click.argument("remote", required=False)
@json_option()
@pass_session
def status(session: Session, remote: str | None, as_json: bool) -> None:
    """Say what is not pushed or pulled yet, and what is being recorded.

    As of the last fetch or push: it asks nobody over the network. An experiment is theirs alone until your first run
    or edit in it; its runs are listed and read as any other's.
    """
    from ..sync.errand import Errand

    with session.open_tracker() as tracker:
        link, problem, standings = _compare(session, tracker, remote)
        name, why = (link.remote.name or None), (link.remote.why or None)
        place, content = _measure_content(tracker, link, standings)
        counts = {entry.slug: tracker.count_runs(entry.slug) for entry in standings}
        live = [run for run in tracker.list_runs(query="status = 'RUNNING'") if run.live]
        errand = Errand(tracker.repository.common_directory)
        background = _describe_background(errand)
    if as_json:
        session.write_json(
            "status",
            {
                "remote": name,
                "why": why,
                "experiments": [standing_record(entry, counts[entry.slug]) for entry in standings],
                "live": [{"id": run.id, "name": run.name, "experiment": run.experiment} for run in live],
                "content": {"place": place, **content_record(content.waiting, content.stranded)},
                "background": background,
            },
        )
        return
    if standings:
        session.terminal.write(render_standings(standings, counts, session.terminal.screen))
    else:
        session.terminal.note("no experiments here yet", hint="gittrack run -e churn -- python train.py")
    if problem is not None:
        session.terminal.note(problem.message, hint=problem.hint)
    _tell_content(session, content, place, name=name)
    _tell_rest(session, live, background, name=name)


def content_record(waiting: Content, stranded: Content) -> dict[str, object]:
    """Return content that is here alone as JSON-ready values: all of it, and what of that pushed runs name."""
    return {
        "artifacts": waiting.count + stranded.count,
        "bytes": waiting.size + stranded.size,
        "of_pushed_runs": {"artifacts": stranded.count, "bytes": stranded.size},
    }


def _measure_content(tracker: Tracker, link: Link, standings: Sequence[Standing]) -> tuple[str | None, Unsent]:
    """Return the address of where content goes, and what of it is not known to be there."""
    from ..content_remote import NO_REMOTE
    from ..sync.contents import find_place
    from ..sync.unsent import Unsent, measure_unsent

    if tracker.settings.content_remote == NO_REMOTE:
        return None, Unsent()
    try:
        there = link.remote if link.remote.name else None
        place = find_place(link.repository, tracker.settings, lambda: there, uploads=True)
    except GittrackError:  # an address that cannot be used: a push says so
        place = None
    address = None if place is None else place.address
    return address, measure_unsent(link, tracker.content, standings, place=address)


def _compare(
    session: Session, tracker: Tracker, remote: str | None
) -> tuple[Link, GittrackError | None, list[Standing]]:
    from ..errors import NotFound
    from ..sync.link import Link, connect
    from ..sync.standing import compare_experiments, list_unshared
    from ..transport import Remote

    author = tracker.make_stamp(session.now).author
    try:
        link = connect(tracker.history, tracker.settings, author=author, remote=remote)
    except NotFound as error:
        if remote is not None:
            raise
        nowhere = Link(tracker.history, Remote("", "", "", ""), author)
        return nowhere, error, list_unshared(nowhere)
    return link, None, compare_experiments(link)


def _describe_background(errand: Errand) -> dict[str, Any]:
    report = errand.find_report()
    last = None
    if report is not None:
        last = {
            "time": format_time(report.time),
            "experiments": list(report.experiments),
            "pushed": report.pushed,
            "message": report.message,
            "hint": report.hint,
        }
    return {"running": errand.is_held(), "waiting": errand.list_wanted(), "last": last, "log": str(errand.log)}


def _tell_content(session: Session, content: Unsent, place: str | None, *, name: str | None) -> None:
    """Say what content nobody else can get, and what sends it."""
    again = f"gittrack push {name}" if name else "gittrack push"
    for part, kind, command in (
        (content.waiting, "of runs that are not pushed", again),
        (content.stranded, "of runs that are pushed", f"{again} --content"),
    ):
        if part.count:
            where = f"is not known to be at {clean(place)}" if place else "is here alone"
            what = f"{count(part.count, 'artifact')} ({format_size(part.size)})"
            session.terminal.write([f"content: {what} {kind} {where}; {command} sends it"])


def _tell_rest(session: Session, live: Sequence[StoredRun], background: dict[str, Any], *, name: str | None) -> None:
    terminal = session.terminal
    interactive = terminal.screen.interactive
    for run in live:
        since = describe_moment(run.started, now=session.now, interactive=interactive)
        terminal.write([f"live: {clean(run.name)} ({run.id[:8]}) in {run.experiment}, since {since}"])
    if background["running"]:
        terminal.write([f"pushing in the background: {', '.join(background['waiting']) or 'almost done'}"])
    last = background["last"]
    if last is not None and not last["pushed"]:
        terminal.warn(
            f"the last push in the background failed at {last['time'][:19]}Z: {last['message']} (log: "
            f"{background['log']})",
            hint=last["hint"] or f"gittrack push {name or ''}".strip(),
        )
